import threading

import dask
import numpy as np
import pytest
import xarray as xr
from cubes import BANDS, N_COLUMNS, N_DATES, N_ROWS, ORIGIN, PerDate, make_cube, make_options
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_sits import (
    LinearInterpolator,
    MTANSVGPClassifier,
    PhenologyVAERegressor,
    ProsailVAERegressor,
)
from sklearn_sits.raster import pack_cube, predict_raster

UNSEEN = (4, 5)
SHAPE = (N_ROWS, N_COLUMNS)
LABELS = np.array(["bare soil", "crop", "wood"])


@pytest.fixture(scope="module")
def cube():
    return make_cube()


@pytest.fixture(scope="module")
def options(cube):
    return make_options(cube)


@pytest.fixture(scope="module")
def X(cube, options):
    """The pixels that are seen, and which they are."""
    seen = np.ones(SHAPE, dtype=bool)
    seen[UNSEEN] = False
    return pack_cube(cube, **options)[seen.ravel()], seen


@pytest.fixture(scope="module")
def y(X):
    return np.arange(len(X[0])) % 3


@pytest.fixture(scope="module")
def forest(X, y):
    model = RandomForestClassifier(5, random_state=0, n_jobs=2)
    return make_pipeline(LinearInterpolator(static_channels=(-2, -1)), model).fit(X[0], LABELS[y])


@pytest.fixture(scope="module")
def mtan(X, y):
    model = MTANSVGPClassifier(
        max_iter=2,
        n_reference_dates=4,
        time_embedding_dim=8,
        n_components=8,
        n_hidden=16,
        n_inducing=5,
        position_channels=(-2, -1),
        random_state=0,
    )
    return model.fit(X[0], y + 10)


def spread(values, seen, nodata):
    """Put the values of the seen pixels on the map, more axes first."""
    full = np.full((*SHAPE, *values.shape[1:]), nodata, dtype=values.dtype)
    full[seen] = values
    return np.moveaxis(full, [0, 1], [-2, -1])


CHUNKS = [None, {}, {"x": 4, "y": 5}, {"time": 3, "x": 6}, {"band": 1, "y": 2}]
DIMS = [("band", "time", "y", "x"), ("y", "x", "time", "band"), ("time", "x", "band", "y")]


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("dims", DIMS)
def test_labels_and_probabilities(cube, options, X, forest, chunks, dims):
    expected = np.searchsorted(LABELS, forest.predict(X[0])).astype(np.uint8)
    proba = forest.predict_proba(X[0]).astype(np.float32)
    cube = cube.transpose(*dims)
    if chunks is not None:
        cube, options = cube.chunk(chunks), {**options, "valid": options["valid"].chunk(x=3)}
    for batch_size in (None, 7):
        raster = predict_raster(forest, cube, batch_size=batch_size, **options)
        assert (raster.chunks is None) == (chunks is None)
        assert raster.dims == ("y", "x")
        assert raster.dtype == np.uint8
        np.testing.assert_array_equal(raster, spread(expected, X[1], 255))
    raster = predict_raster(forest, cube, method="predict_proba", **options)
    assert raster.dims == ("class", "y", "x")
    assert raster.dtype == np.float32
    assert raster["class"].values.tolist() == LABELS.tolist()
    with dask.config.set(scheduler="threads", num_workers=2):
        np.testing.assert_array_equal(raster, spread(proba, X[1], np.nan).transpose(0, 1, 2))


def test_coordinates_and_legend(cube, options, forest):
    raster = predict_raster(forest, cube, **options)
    xr.testing.assert_identical(
        raster.x, cube.x.drop_vars("spatial_ref").assign_coords(raster.x.coords)
    )
    assert set(raster.coords) == {"x", "y", "spatial_ref"}
    assert raster.name == "label"
    assert raster.attrs["crs"] == "EPSG:32631"
    assert raster.attrs["_FillValue"] == 255
    np.testing.assert_array_equal(raster.attrs["flag_values"], [0, 1, 2])
    assert raster.attrs["flag_values"].dtype == np.uint8
    assert raster.attrs["flag_meanings"] == "bare_soil crop wood"
    dataset = cube.to_dataset("band").assign_attrs(grid_mapping="spatial_ref")
    assert predict_raster(forest, dataset, **options).attrs["grid_mapping"] == "spatial_ref"


def test_nothing_is_computed_before(cube, options, forest):
    def fail(block):
        raise AssertionError("computed")

    lazy = cube.chunk(x=4)
    lazy = lazy.copy(data=lazy.data.map_blocks(fail, dtype=lazy.dtype, meta=np.empty((0,) * 4)))
    raster = predict_raster(forest, lazy, method="predict_proba", **options)
    assert raster.dtype == np.float32
    with pytest.raises(AssertionError, match="computed"):
        raster.compute(scheduler="synchronous")


@pytest.mark.parametrize(
    ("labels", "dtype", "nodata", "values"),
    [
        ([0, 7, 254], np.uint8, 255, [0, 7, 254]),
        ([0, 7, 255], np.int16, -32768, [0, 7, 255]),
        ([-1, 0, 1], np.int16, -32768, [-1, 0, 1]),
        ([1, 2, 70_000], np.int32, -(2**31), [1, 2, 70_000]),
        ([1, 2, 2**40], np.int64, -(2**63), [1, 2, 2**40]),
        # A join with missing rows makes floats of integers.
        ([10.0, 20.0, 255.0], np.int16, -32768, [10, 20, 255]),
    ],
)
def test_integer_labels(cube, options, X, y, labels, dtype, nodata, values):
    model = make_pipeline(LinearInterpolator(), RandomForestClassifier(2, random_state=0))
    model.fit(X[0], np.array(labels)[y])
    raster = predict_raster(model, cube, **options)
    assert raster.dtype == dtype
    assert raster.values[UNSEEN] == raster.attrs["_FillValue"] == nodata
    np.testing.assert_array_equal(raster.attrs["flag_values"], values)
    found = np.array(labels)[np.searchsorted(values, raster.values[X[1]])]
    np.testing.assert_array_equal(found, model.predict(X[0]))


@pytest.mark.parametrize("chunks", [None, {"x": 4, "y": 5}])
def test_mtan(cube, options, X, mtan, chunks):
    cube = cube if chunks is None else cube.chunk(chunks)
    raster = predict_raster(mtan, cube, **options)
    np.testing.assert_array_equal(raster, spread(mtan.predict(X[0]), X[1], 255))
    proba = predict_raster(mtan, cube, method="predict_proba", **options)
    assert proba["class"].values.tolist() == [10, 11, 12]
    # Some processors round products of matrices of other sizes differently.
    np.testing.assert_allclose(proba, spread(mtan.predict_proba(X[0]), X[1], np.nan), rtol=3e-6)
    latent = predict_raster(mtan, cube, method="predict_latent", return_std=True, **options)
    assert latent.dims == ("statistic", "class", "y", "x")
    assert latent["statistic"].values.tolist() == ["mean", "std"]
    mean, std = (spread(one, X[1], np.nan) for one in mtan.predict_latent(X[0], return_std=True))
    np.testing.assert_allclose(latent.sel(statistic="mean"), mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(latent.sel(statistic="std"), std, rtol=1e-5)
    z = predict_raster(mtan, cube, method="transform", **options)
    assert z.dims == ("feature", "y", "x")
    assert z["feature"].values.tolist() == mtan.get_feature_names_out().tolist()


def test_transform_names(cube, options, X):
    filler = LinearInterpolator(step=30, static_channels=(-2, -1)).fit(X[0])
    raster = predict_raster(filler, cube, method="transform", **options)
    assert raster["feature"].values[:4].tolist() == ["b1_t0", "b2_t0", "b3_t0", "b1_t30"]
    np.testing.assert_array_equal(raster, spread(filler.transform(X[0]), X[1], np.nan))


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("n_dates", [N_DATES, 1])
def test_per_date(cube, chunks, n_dates):
    cube = cube.isel(time=slice(n_dates))
    cube = cube if chunks is None else cube.chunk(chunks)
    X = pack_cube(cube)
    model = PerDate().fit(X)
    mean = model.predict(X).reshape(*SHAPE, n_dates).transpose(2, 0, 1).astype(np.float32)
    raster = predict_raster(model, cube)
    assert raster.dims == ("time", "y", "x")
    assert (raster.name, raster.attrs["units"]) == ("LAI", "m²/m²")
    xr.testing.assert_equal(
        raster["time"], cube["time"].drop_vars("spatial_ref").assign_coords(raster["time"].coords)
    )
    np.testing.assert_array_equal(raster, mean)
    raster = predict_raster(model, cube, return_std=True)
    assert raster.dims == ("statistic", "time", "y", "x")
    np.testing.assert_array_equal(raster.sel(statistic="mean"), mean)
    np.testing.assert_allclose(raster.sel(statistic="std"), mean / 10, rtol=1e-6)
    interval = predict_raster(model, cube, method="predict_interval")
    assert interval["statistic"].values.tolist() == ["lower", "upper"]
    both = predict_raster(PerDate(["LAI", "CCC"]).fit(X), cube, return_std=True)
    assert both.dims == ("statistic", "target", "time", "y", "x")
    assert both["target"].values.tolist() == ["LAI", "CCC"]
    assert both["units"].values.tolist() == ["m²/m²", "µg/cm²"]
    np.testing.assert_array_equal(both.sel(statistic="mean", target="CCC"), 2 * mean)


# The values are no spectra.
@pytest.mark.filterwarnings("ignore:.* would be likelier if 0.1 were subtracted")
@pytest.mark.filterwarnings("ignore:Training . of at most 3 collapsed")
def test_prosail(cube):
    """Angles are layers with dates; a spectrum needs all of them."""
    bands = ["B4", "B8", "B11"]
    cube = (0.4 * cube).assign_coords(band=bands)
    angles = xr.Dataset(
        {
            "sun_zenith": ("time", np.linspace(60, 30, N_DATES)),
            "view_zenith": (("y", "x"), np.full(SHAPE, 5.0)),
            "relative_azimuth": (("time", "y", "x"), np.full((N_DATES, *SHAPE), 100.0)),
        }
    )
    X = pack_cube(cube, static=angles)
    model = ProsailVAERegressor(
        bands=bands, objective="simulations", n_simulations=200, pretrain_iter=2, random_state=0
    ).fit(X)
    for chunks in (None, {"x": 5}):
        inputs = cube if chunks is None else cube.chunk(chunks)
        raster = predict_raster(model, inputs, static=angles, origin="1970-01-01", return_std=True)
        expected = np.stack(model.predict(X, return_std=True), axis=-1)
        expected = expected.reshape(*SHAPE, N_DATES, 2).transpose(3, 2, 0, 1)
        assert raster.dims == ("statistic", "time", "y", "x")
        assert raster.name == "LAI"
        np.testing.assert_allclose(raster, expected, rtol=1e-5)
    traits = predict_raster(model, cube, static=angles, origin="1970-01-01", method="transform")
    assert traits.dims == ("feature", "time", "y", "x")
    assert traits["feature"].values.tolist() == model.get_feature_names_out().tolist()


def flat(X):
    return np.nan_to_num(X).reshape(len(X), -1)


def test_phenology(cube):
    index = cube.isel(band=[0]).fillna(0.5)
    X = pack_cube(index, origin=ORIGIN)
    model = PhenologyVAERegressor(n_hidden=8, pretrain_iter=5, random_state=0, device="cpu").fit(X)
    seasons = predict_raster(model, index, origin=ORIGIN)
    assert seasons.name == "prediction"
    assert seasons.target.values.tolist()[2:4] == ["start_of_season", "maturity"]
    assert seasons.units.values.tolist() == ["", "", "day", "day", "day", "day"]
    expected = model.predict(X).T.reshape(6, *SHAPE)
    np.testing.assert_allclose(seasons, expected, rtol=1e-6)
    start = predict_raster(model.set_params(targets="start_of_season"), index, origin=ORIGIN)
    assert (start.name, start.dims) == ("start_of_season", ("y", "x"))
    np.testing.assert_array_equal(start, seasons.sel(target="start_of_season"))
    with pytest.raises(ValueError, match="8 of 8 dates of cube lie outside"):
        predict_raster(model, index)


def test_any_estimator(cube, options, X, y):
    """Estimators of a fixed number of dates, integers that are no classes, several targets."""
    flatten = FunctionTransformer(flat)
    options = {**options, "origin": ORIGIN}
    # As many classes as dates.
    labels = np.arange(len(y)) % N_DATES
    classes = make_pipeline(flatten, RandomForestClassifier(3, random_state=0)).fit(X[0], labels)
    proba = predict_raster(classes, cube, method="predict_proba", **options)
    assert proba.dims == ("class", "y", "x")
    expected = classes.predict_proba(X[0]).astype(np.float32)
    np.testing.assert_array_equal(proba, spread(expected, X[1], np.nan))
    clusters = make_pipeline(flatten, KMeans(3, n_init=1, random_state=0)).fit(X[0])
    raster = predict_raster(clusters, cube, **options)
    np.testing.assert_array_equal(
        raster, spread(clusters.predict(X[0]), X[1], np.iinfo(np.int32).min)
    )
    assert raster.attrs["_FillValue"] == np.iinfo(np.int32).min
    targets = np.stack([y, -y], axis=1)
    regressor = make_pipeline(flatten, RandomForestRegressor(3, random_state=0))
    raster = predict_raster(regressor.fit(X[0], targets), cube, **options)
    assert raster.dims == ("target", "y", "x")
    expected = regressor.predict(X[0]).astype(np.float32)
    np.testing.assert_array_equal(raster, spread(expected, X[1], np.nan))
    single = predict_raster(
        make_pipeline(flatten, LinearRegression()).fit(X[0], y), cube, **options
    )
    assert (single.dims, single.name, single.dtype) == (("y", "x"), "prediction", np.float32)


def test_nodata_in_a_constant_layer(cube, X, y):
    layer = xr.DataArray(np.ones(SHAPE), dims=("y", "x"), name="dem")
    layer[0, :3] = np.nan
    model = make_pipeline(LinearInterpolator(static_channels=(-1,)), RandomForestClassifier(2))
    model.fit(pack_cube(cube, static=layer.fillna(0)), np.arange(N_ROWS * N_COLUMNS) % 3)
    for inputs in (cube, cube.chunk(x=2)):
        raster = predict_raster(model, inputs, static=layer)
        assert (raster.values == 255).sum() == 3
        assert (raster.values[0, :3] == 255).all()


def test_all_clouds(cube, options, forest):
    options = {**options, "valid": options["valid"] & False}
    assert (predict_raster(forest, cube, **options).values == 255).all()
    assert np.isnan(predict_raster(forest, cube, method="predict_proba", **options).values).all()


def test_decode(cube, options, forest):
    raw = (cube.fillna(-1) * 10_000).round().astype("int16")
    raw.attrs = {"scale_factor": 1e-4, "_FillValue": np.int16(-10_000)}
    decoded = xr.decode_cf(raw.to_dataset(name="raw"))["raw"]
    expected = predict_raster(forest, decoded, **options)
    for stored in (raw, raw.chunk(x=4)):
        raster = predict_raster(forest, stored, decode=True, **options)
        np.testing.assert_array_equal(raster, expected)
    with pytest.raises(ValueError, match="cube holds integers"):
        predict_raster(forest, raw, **options)
    unscaled = raw.where(raw > -10_000).chunk(x=4)
    with pytest.raises(ValueError, match="the scale was not applied"):
        predict_raster(forest, unscaled, **options).compute()


def test_another_year(cube, options, forest):
    expected = predict_raster(forest, cube, **options)
    shift = np.timedelta64(365, "D")
    later = cube.assign_coords(time=cube.time.values + shift)
    options = {**options, "valid": options["valid"].assign_coords(time=later.time)}
    with pytest.raises(ValueError, match="8 of 8 dates of cube lie outside .* since 2023-01-01"):
        predict_raster(forest, later, **options)
    moved = predict_raster(forest, later, **{**options, "origin": "2024-01-01"})
    np.testing.assert_array_equal(moved, expected)
    with pytest.raises(ValueError, match="days 19358 to 19568 since 1970-01-01"):
        predict_raster(forest, cube, bands=BANDS, static=["x", "y"])


def test_bad_input(cube, options, forest, mtan, X, y):
    with pytest.raises(ValueError, match="method='score_all': Pipeline has no such method"):
        predict_raster(forest, cube, method="score_all", **options)
    with pytest.raises(ValueError, match="batch_size must be a positive int or None, got 0"):
        predict_raster(forest, cube, batch_size=0, **options)
    with pytest.raises(ValueError, match="X has 5 channels .* expecting 6"):
        predict_raster(mtan, cube, **{**options, "static": "x"})
    with pytest.raises(ValueError, match="origin must be given"):
        predict_raster(make_pipeline(FunctionTransformer(flat), LinearRegression()), cube)
    with pytest.raises(NotFittedError):
        predict_raster(MTANSVGPClassifier(), cube, origin=ORIGIN)
    several = make_pipeline(
        FunctionTransformer(flat), MultiOutputClassifier(RandomForestClassifier(2))
    ).fit(X[0], np.stack([y, y], axis=1))
    with pytest.raises(ValueError, match="several targets of classes"):
        predict_raster(several, cube, **options)


def test_cut_along_time(cube, options, forest, monkeypatch):
    monkeypatch.setattr("sklearn_sits.raster.prediction._LARGEST_BLOCK", 1000)
    message = r"cut along time, .* chunks of \{'y': 9, 'x': 6\}.*chunks=\{'time': -1, 'y': 256"
    with pytest.raises(ValueError, match=message):
        predict_raster(forest, cube.chunk(time=2, x=6), **options)
    predict_raster(forest, cube.chunk(x=6), **options)


class Sum(BaseEstimator):
    """Text that is no class, and arrays of too many dimensions."""

    date_range_ = None

    def predict(self, X):
        return np.full(len(X), "a")

    def transform(self, X):
        return np.zeros((len(X), 3, 4))


def test_output_that_is_no_map(cube):
    with pytest.raises(ValueError, match="returns values of dtype <U1, expected numbers"):
        predict_raster(Sum(), cube)
    with pytest.raises(ValueError, match=r"shape \(2, 3, 4\) .* makes no map"):
        predict_raster(Sum(), cube, method="transform")


class Threads(Sum):
    """Predicts how many threads forests get."""

    def predict(self, X):
        import joblib

        main = threading.current_thread() is threading.main_thread()
        return np.full(len(X), 100.0 * main + joblib.effective_n_jobs(4))


def test_one_thread_per_block(cube):
    with dask.config.set(scheduler="threads", num_workers=3):
        raster = predict_raster(Threads(), cube.chunk(x=4), origin=ORIGIN).compute()
    assert (raster.values == 1).all()


def test_fingerprint(cube, options, forest, mtan):
    def digest(*args, **kwargs):
        return predict_raster(*args, **{**options, **kwargs}).attrs["fingerprint"]

    same = digest(forest, cube)
    assert digest(forest, cube.chunk(x=3)) == same
    assert digest(mtan, cube) != same
    assert digest(forest, cube, method="predict_proba") != same
    assert digest(forest, cube, bands=BANDS[::-1]) != same
    assert digest(forest, cube, origin="2023-01-02") != same
    assert digest(forest, cube, valid=None) != same


@pytest.mark.slow
def test_processes(cube, options, X, forest):
    raster = predict_raster(forest, cube.chunk(x=6), method="predict_proba", **options)
    expected = spread(forest.predict_proba(X[0]).astype(np.float32), X[1], np.nan)
    np.testing.assert_array_equal(raster.compute(scheduler="processes", num_workers=2), expected)

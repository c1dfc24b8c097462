"""Single wrong values do not stop a map: they count as not observed, with one warning."""

import os

import dask
import numpy as np
import pandas as pd
import pytest
import skops.io
import xarray as xr
from cubes import BANDS, N_COLUMNS, N_DATES, N_ROWS, ORIGIN, make_cube
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from sklearn_sits import LinearInterpolator, MTANMLPClassifier, load_prosail_vae
from sklearn_sits.__main__ import main
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.raster import open_map, pack_cube, predict_raster, write_map

OPTIONS = {"bands": BANDS, "origin": ORIGIN}
CHUNKS = {"x": 4, "y": 3}
SHAPE = (N_ROWS, N_COLUMNS)
# Two pixels in different blocks without any usable value, and one with a single bad value.
EMPTY, SPOILT = ([0, 7], [1, 9]), (5, 5)
N_BAD = 2 * 3 * N_DATES + 1
INFINITE = f"^{N_BAD} values of the cube in 3 of 99 pixels are infinite"


@pytest.fixture(scope="module")
def cube():
    return make_cube().fillna(0.5)


@pytest.fixture(scope="module")
def spoilt(cube):
    values = cube.copy()
    values.values[:, :, EMPTY[0], EMPTY[1]] = np.inf
    values.values[1, 3, SPOILT[0], SPOILT[1]] = -np.inf
    return values


@pytest.fixture(scope="module")
def without(spoilt):
    """The same cube with NaN where it is infinite."""
    return spoilt.where(np.isfinite(spoilt)).assign_attrs(spoilt.attrs)


@pytest.fixture(scope="module", params=["tree", "mtan"])
def model(request, cube):
    X = pack_cube(cube, **OPTIONS)
    y = np.array(["bare soil", "crop", "wood"])[np.arange(len(X)) % 3]
    if request.param == "tree":
        tree = DecisionTreeClassifier(random_state=0)
        return make_pipeline(LinearInterpolator(step=30), tree).fit(X, y)
    return MTANMLPClassifier(max_iter=1, n_hidden=8, random_state=0, device="cpu").fit(X, y)


def caught(function, *args, **kwargs):
    """Return the result of a function and its only warning."""
    with pytest.warns(DataQualityWarning) as record:
        result = function(*args, **kwargs)
    found = [one for one in record if one.category is DataQualityWarning]
    assert len(found) == 1, [str(one.message) for one in found]
    return result, found[0]


def check(raster, expected):
    np.testing.assert_array_equal(raster, expected)
    assert (raster.values[..., EMPTY[0], EMPTY[1]] == 255).all()
    assert (raster.values == 255).sum() == 2


def test_predict_raster(model, spoilt, without):
    expected = predict_raster(model, without, **OPTIONS)
    raster, warning = caught(predict_raster, model, spoilt, **OPTIONS)
    check(raster, expected)
    assert str(warning.message).startswith(INFINITE[1:])
    assert warning.filename == __file__
    proba, _ = caught(predict_raster, model, spoilt, method="predict_proba", **OPTIONS)
    np.testing.assert_array_equal(
        proba, predict_raster(model, without, method="predict_proba", **OPTIONS)
    )
    assert np.isnan(proba.values[:, EMPTY[0], EMPTY[1]]).all()
    # A batch of few pixels is no other.
    raster, warning = caught(predict_raster, model, spoilt, batch_size=5, **OPTIONS)
    check(raster, expected)
    assert str(warning.message).startswith(INFINITE[1:])


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_lazy(model, spoilt, without, scheduler):
    """Without an end that could count, the first block that has some warns."""
    expected = predict_raster(model, without, **OPTIONS)
    raster = predict_raster(model, spoilt.chunk(CHUNKS), **OPTIONS)
    with dask.config.set(scheduler=scheduler, num_workers=3):
        raster, warning = caught(raster.compute)
    check(raster, expected)
    assert "Other blocks of the map do not repeat this warning" in str(warning.message)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_write_map(model, spoilt, without, tmp_path, scheduler):
    raster = predict_raster(model, spoilt.chunk(CHUNKS), **OPTIONS)
    with dask.config.set(scheduler=scheduler, num_workers=3):
        written, warning = caught(write_map, raster, tmp_path / "map.zarr", progress=False)
    check(written, predict_raster(model, without, **OPTIONS))
    assert str(warning.message).startswith(INFINITE[1:])
    assert warning.filename == __file__


@pytest.mark.slow
def test_processes(model, spoilt, without, tmp_path):
    """The counts come back from the workers."""
    raster = predict_raster(model, spoilt.chunk(CHUNKS), **OPTIONS)
    with dask.config.set(scheduler="processes", num_workers=2):
        written, warning = caught(write_map, raster, tmp_path / "map.zarr", progress=False)
    check(written, predict_raster(model, without, **OPTIONS))
    assert str(warning.message).startswith(INFINITE[1:])


def test_resume(model, spoilt, without, tmp_path):
    """A map that stopped continues over the bad pixels."""
    raster = predict_raster(model, spoilt.chunk(CHUNKS), **OPTIONS)
    begun = []

    def block(values, block_info=None):
        if block_info:
            begun.append(block_info[0]["chunk-location"])
            if len(begun) == 3:
                raise RuntimeError("interrupted")
        return values

    meta = np.empty((0, 0), raster.dtype)
    broken = raster.copy(data=raster.data.map_blocks(block, dtype=raster.dtype, meta=meta))
    path = tmp_path / "map.zarr"
    with dask.config.set(scheduler="synchronous"):
        with pytest.raises(RuntimeError, match="interrupted"):
            write_map(broken, path, progress=False)
        written, _ = caught(write_map, raster, path, progress=False)
    check(written, predict_raster(model, without, **OPTIONS))


@pytest.mark.filterwarnings("always")
def test_command(model, spoilt, without, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    skops.io.dump(model, "model.skops")
    spoilt.drop_attrs().rename("reflectance").to_dataset().to_zarr("cube.zarr", zarr_format=2)
    command = ["map", "--model", "model.skops", "--cube", "cube.zarr", "--out", "map.zarr"]
    command += ["--bands", *BANDS, "--origin", ORIGIN, "--chunk", "4", "--quiet"]
    main([*command, "--trust", "sklearn.tree._tree.Tree"])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"python -m sklearn_sits map: warning: {INFINITE[1:]}")
    check(open_map("map.zarr"), predict_raster(model, without, **OPTIONS))
    assert sorted(os.listdir()) == ["cube.zarr", "map.zarr", "model.skops"]


def test_values_of_a_broken_division(model, cube):
    """Finite, but a million times as large as any in training."""
    wrong = cube.copy()
    wrong.values[:, :, 4, 4] = 1e30
    expected = predict_raster(model, cube, **OPTIONS).values
    with pytest.warns(UserWarning, match="^1 of 99 pixels have no valid observation.$"):
        raster, warning = caught(predict_raster, model, wrong, **OPTIONS)
    assert str(warning.message).startswith(
        f"{3 * N_DATES} values in 1 of 99 pixels count as not observed: 0 are infinite, 24 are more"
    )
    elsewhere = np.ones(SHAPE, dtype=bool)
    elsewhere[4, 4] = False
    np.testing.assert_array_equal(raster.values[elsewhere], expected[elsewhere])


def test_constant_layer(cube):
    """A pixel whose elevation is infinite is not predicted."""
    layer = xr.DataArray(np.ones(SHAPE), dims=("y", "x"), name="dem")
    X = pack_cube(cube, static=layer, **OPTIONS)
    tree = DecisionTreeClassifier(random_state=0)
    model = make_pipeline(LinearInterpolator(static_channels=(-1,)), tree)
    model.fit(X, np.arange(len(X)) % 3)
    layer[2, 2] = np.inf
    raster, _ = caught(predict_raster, model, cube, static=layer, **OPTIONS)
    assert (raster.values == 255).sum() == 1
    assert raster.values[2, 2] == 255


def test_one_warning_about_values_of_another_scale(model, cube):
    """Not one per block, each with its own medians."""
    raster = predict_raster(model, (10_000 * cube).chunk(CHUNKS), **OPTIONS)
    with dask.config.set(scheduler="threads", num_workers=2):
        _, warning = caught(raster.compute)
    assert "Were integers not multiplied by their scale" in str(warning.message)


def test_one_warning_about_dates(model, cube):
    """Dates are compared for the whole map, not once more in each block."""
    later = cube.assign_coords(time=cube.time.values + np.timedelta64(130, "D"))
    lazy = later.chunk(CHUNKS)
    raster, warning = caught(predict_raster, model, lazy, **OPTIONS)
    assert "5 of 8 dates of cube lie outside" in str(warning.message)
    assert warning.filename == __file__
    raster.compute()


def test_whole_numbers_beside_an_infinity(model, cube):
    """The check of the scale of a block looks at the finite values."""
    zeros = (0 * cube).assign_attrs(scale_factor=1e-4)
    zeros.values[0, 0, 3, 3] = np.inf
    raster, _ = caught(predict_raster, model, zeros, **OPTIONS)
    assert (raster.values != 255).all()


# Reflectances that no surface has count as not observed in `load_prosail_vae`, too.


@pytest.fixture(scope="module")
def traits():
    return load_prosail_vae()


@pytest.fixture(scope="module")
def spectra(traits):
    """A cube of vegetation, its angles, and the same cube with 1 % of bad pixels per date."""
    rng = np.random.default_rng(0)
    bands = list(traits.sensor_.bands)
    leaf = np.interp(np.arange(len(bands)), [0, 2, 5, len(bands) - 1], [0.04, 0.05, 0.35, 0.15])
    values = leaf[:, None, None, None] * rng.uniform(0.8, 1.2, (len(bands), 2, 10, 10))
    time = pd.date_range(ORIGIN, periods=2, freq="10D")
    coords = {"band": bands, "time": time, "y": np.arange(10.0), "x": np.arange(10.0)}
    cube = xr.DataArray(values.astype(np.float32), coords, ("band", "time", "y", "x"))
    angles = xr.Dataset({"sun": ("time", [40.0, 42]), "view": ((), 5.0), "azimuth": ((), 90.0)})
    wrong = cube.copy()
    wrong.values[0, 0, 1, 1] = 1.6
    wrong.values[1, 1, 2, 8] = -0.2
    wrong.values[2, 0, 8, 3] = np.inf
    bad = np.zeros((2, 10, 10), dtype=bool)
    bad[[0, 1, 0], [1, 2, 8], [1, 8, 3]] = True
    return cube, wrong, angles, bad


@pytest.mark.parametrize("lazy", [False, True])
def test_reflectances(traits, spectra, tmp_path, lazy):
    cube, wrong, angles, bad = spectra
    options = {"static": angles, "origin": "1970-01-01"}
    expected = predict_raster(traits, cube, **options).values.copy()
    assert np.isfinite(expected).all()
    expected[bad] = np.nan

    def predict():
        raster = predict_raster(traits, wrong.chunk(x=5, y=5) if lazy else wrong, **options)
        return write_map(raster, tmp_path / "lai.zarr", progress=False) if lazy else raster

    with pytest.warns(DataQualityWarning) as record:
        raster = predict()
    np.testing.assert_allclose(raster, expected, rtol=1e-5)
    # One about the infinity, one about reflectances that are out of range.
    assert len(record) == 2

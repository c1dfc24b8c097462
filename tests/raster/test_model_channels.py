"""A model that knows its bands and angles finds them in a cube."""

import numpy as np
import pytest
import xarray as xr
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_sits import load_prosail_vae
from sklearn_sits.datasets import make_prosail
from sklearn_sits.raster import predict_raster

GRID = {"time": np.array(["2023-06-01"], "M8[ns]"), "y": np.arange(3.0), "x": np.arange(4.0)}


@pytest.fixture(scope="module")
def table():
    return make_prosail(12, as_frame=True, random_state=0)[0].astype(np.float32)


@pytest.fixture(scope="module")
def layers(table):
    shape = (1, 3, 4)
    return xr.Dataset(
        {c: (("time", "y", "x"), table[c].to_numpy().reshape(shape)) for c in table}, GRID
    )


@pytest.fixture(scope="module")
def model():
    return load_prosail_vae()


@pytest.fixture(scope="module")
def expected(model, table):
    return model.predict(table.to_numpy()).reshape(1, 3, 4)


def split(layers):
    bands = [name for name in layers if name.startswith("B")]
    return layers[bands], layers.drop_vars(bands)


def spell(name):
    return name.replace("B", "B0") if name in ("B2", "B3", "B4") else name


CASES = {
    "in order": lambda cube, angles: (cube, {"static": angles}),
    "alphabetical": lambda cube, angles: (
        cube[sorted(cube)],
        {"static": angles[sorted(angles)]},
    ),
    "names in another order": lambda cube, angles: (
        cube,
        {"bands": list(cube)[::-1], "static": angles},
    ),
    "B02": lambda cube, angles: (cube.rename({b: spell(b) for b in cube}), {"static": angles}),
    "more variables": lambda cube, angles: (cube.assign(SCL=cube.B2), {"static": angles}),
    "one cube": lambda cube, angles: (xr.merge([angles, cube]), {}),
    "coordinates": lambda cube, angles: (cube.assign_coords(angles.data_vars), {}),
    "names of variables": lambda cube, angles: (
        xr.merge([angles, cube]),
        {"static": sorted(angles)},
    ),
    "one array": lambda cube, angles: (
        cube[sorted(cube)].to_dataarray("band"),
        {"static": [angles[name] for name in sorted(angles)]},
    ),
    # Without names the order has to do.
    "no names": lambda cube, angles: (
        cube.to_dataarray("band").drop_vars("band"),
        {"static": angles},
    ),
    "other names": lambda cube, angles: (
        cube.rename({b: f"layer {i}" for i, b in enumerate(cube)}),
        {"static": angles.rename({b: f"angle {i}" for i, b in enumerate(angles)})},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_channels_are_found_by_name(layers, model, expected, case):
    cube, options = CASES[case](*split(layers))
    raster = predict_raster(model, cube, **options)
    np.testing.assert_allclose(raster, expected, rtol=1e-5)


def test_pipeline_that_starts_with_the_model(layers, model, table):
    """A step in front may change the channels: then nothing is known."""
    cube, angles = split(layers)
    first = make_pipeline(model, FunctionTransformer())
    found = predict_raster(first, cube[sorted(cube)], static=angles, method="transform")
    expected = model.transform(table.to_numpy()).reshape(1, 3, 4, -1)
    np.testing.assert_allclose(found, np.moveaxis(expected, -1, 0), rtol=1e-4)
    behind = make_pipeline(FunctionTransformer(), model)
    found = predict_raster(behind, cube[sorted(cube)], static=angles)
    assert not np.allclose(found, expected[..., 6])


BAD = {
    "Landsat": (
        lambda cube, angles: (cube[["B2", "B3", "B4", "B5", "B6", "B7"]], {"static": angles}),
        "cube lacks B8, B8A, B11, B12 of the model; .* The model is for Sentinel-2A",
    ),
    "bands": (
        lambda cube, angles: (cube, {"bands": ["B2", "B4"], "static": angles}),
        "bands lacks B3, B5",
    ),
    "a band too many": (
        lambda cube, angles: (cube.assign(B1=cube.B2), {"bands": ["B1", *cube], "static": angles}),
        "bands names B1, B2, .* bands=None takes those",
    ),
    "no angles": (
        lambda cube, angles: (cube, {}),
        "static is None, and cube has no variables or coordinates sun_zenith, view_zenith",
    ),
    "an angle missing": (
        lambda cube, angles: (cube, {"static": angles.drop_vars("view_zenith")}),
        "static lacks view_zenith of the model",
    ),
    "a layer too many": (
        lambda cube, angles: (cube, {"static": angles.assign(dem=angles.sun_zenith)}),
        "Leave the others out",
    ),
    "no time": (
        lambda cube, angles: (cube.isel(time=0, drop=True), {"static": angles.isel(time=0)}),
        r"cube.expand_dims\(time=\[numpy.datetime64",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_other_channels(layers, model, case):
    change, match = BAD[case]
    cube, options = change(*split(layers))
    with pytest.raises(ValueError, match=match):
        predict_raster(model, cube, **options)


def test_intervals_have_the_names_of_targets(layers):
    cube, angles = split(layers)
    model = load_prosail_vae(targets=["LAI", "CCC"])
    raster = predict_raster(model, cube, static=angles, method="predict_interval")
    assert raster.dims == ("statistic", "target", "time", "y", "x")
    assert raster["statistic"].values.tolist() == ["lower", "upper"]
    assert raster["target"].values.tolist() == ["LAI", "CCC"]
    assert raster["units"].values.tolist() == ["m²/m²", "µg/cm²"]
    one = predict_raster(model.set_params(targets="LAI"), cube, static=angles, return_std=True)
    raster = predict_raster(model, cube, static=angles, method="predict_interval")
    assert (raster.name, raster.attrs["units"]) == (one.name, one.attrs["units"])
    np.testing.assert_array_less(raster.sel(statistic="lower"), one.sel(statistic="mean"))

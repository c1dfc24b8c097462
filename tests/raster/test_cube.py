import re
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from cubes import BANDS, N_COLUMNS, N_DATES, N_ROWS, ORIGIN, make_cube, make_options, make_valid

from sklearn_sits.raster import pack_cube
from sklearn_sits.series.packing import pack


@pytest.fixture
def cube():
    return make_cube()


def reference(cube, valid):
    """Pack pixel by pixel with `pack`."""
    values = cube.sel(band=BANDS).transpose("y", "x", "time", "band").values
    values = values.reshape(-1, N_DATES, 3)
    mask = valid.transpose("y", "x", "time").values.reshape(-1, N_DATES)[..., None]
    y, x = np.meshgrid(cube.y, cube.x, indexing="ij")
    static = np.stack([x.ravel(), y.ravel()], axis=1)
    mask = mask & ~np.isnan(values)
    return pack(values, cube.time.values, mask=mask, static=static, origin=ORIGIN)


DIMS = [
    ("band", "time", "y", "x"),
    ("y", "x", "time", "band"),
    ("x", "time", "y", "band"),
    ("time", "band", "x", "y"),
]


@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("chunks", [None, {}, {"x": 3, "y": 4}, {"time": 3, "band": 1, "x": 5}])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pack_cube(cube, dims, chunks, dtype):
    options = make_options(cube)
    expected = reference(cube, options["valid"])
    cube = cube.transpose(*dims).astype(dtype)
    if chunks is not None:
        cube, options["valid"] = cube.chunk(chunks), options["valid"].chunk(x=2)
    X = pack_cube(cube, **options)
    assert X.dtype == np.float32
    assert X.flags.c_contiguous
    np.testing.assert_array_equal(X, expected)


@pytest.mark.parametrize("lazy", [False, True])
def test_pack_cube_dataset(cube, lazy):
    options = make_options(cube)
    dataset = cube.to_dataset("band").assign(elevation=(("y", "x"), np.ones((N_ROWS, N_COLUMNS))))
    dataset = dataset.chunk(x=3) if lazy else dataset
    X = pack_cube(dataset, **{**options, "static": ["x", "y", "elevation"]})
    np.testing.assert_array_equal(X[..., :-1], reference(cube, options["valid"]))
    assert (X[..., -1] == 1).all()
    every = pack_cube(dataset, static="elevation", origin=ORIGIN)
    np.testing.assert_array_equal(every[..., 1:4], X_bands(cube, ["B2", "B4", "B8"]))


def X_bands(cube, bands):
    return pack_cube(cube, bands=bands, origin=ORIGIN)[..., 1:]


def test_pack_cube_defaults(cube):
    X = pack_cube(cube)
    assert X.shape == (N_ROWS * N_COLUMNS, N_DATES, 4)
    assert X[0, 0, 0] == (np.datetime64(ORIGIN) - np.datetime64("1970-01-01")).astype(int)
    np.testing.assert_array_equal(X[:, 0, 1].reshape(N_ROWS, N_COLUMNS), cube[0, 0])


def test_pack_cube_wide_rows():
    """Rows longer than a tile."""
    values = np.random.default_rng(0).random((2, 3, 2, 600), dtype=np.float32)
    time = pd.date_range(ORIGIN, periods=3)
    cube = xr.DataArray(values, {"time": time}, ("band", "time", "y", "x"))
    expected = values.transpose(2, 3, 1, 0).reshape(1200, 3, 2)
    np.testing.assert_array_equal(pack_cube(cube)[..., 1:], expected)


def test_pack_cube_static_layers(cube):
    """Constant layers of any dimensions, and angles that are not observed below clouds."""
    valid = make_valid(cube)
    sun = xr.DataArray(np.arange(N_DATES), {"time": cube.time}, ("time",), name="sun")
    view = xr.DataArray(
        np.random.default_rng(0).random((N_COLUMNS, N_DATES, N_ROWS)), dims=("x", "time", "y")
    )
    slope = xr.DataArray(np.arange(N_ROWS), dims="y", name="slope")
    angles = xr.Dataset({"sun": sun, "view": view.chunk(x=2)})
    X = pack_cube(cube, valid=valid, static=[slope, angles, "x"], origin=ORIGIN)
    X = X.reshape(N_ROWS, N_COLUMNS, N_DATES, -1)
    clear = valid.transpose("y", "x", "time").values
    np.testing.assert_array_equal(X[..., 4], np.arange(N_ROWS)[:, None, None] + 0 * X[..., 0])
    np.testing.assert_array_equal(X[..., 5], np.where(clear, np.arange(N_DATES), np.nan))
    expected = np.float32(view.transpose("y", "x", "time").values)
    np.testing.assert_array_equal(X[..., 6], np.where(clear, expected, np.nan))
    np.testing.assert_array_equal(X[0, :, 0, 7], cube.x)


def test_pack_cube_other_names_of_dimensions(cube):
    """Latitude and longitude are known, others keep their order."""
    expected = pack_cube(cube, origin=ORIGIN)
    geographic = cube.rename(y="latitude", x="longitude").transpose("longitude", ...)
    np.testing.assert_array_equal(pack_cube(geographic, origin=ORIGIN), expected)
    np.testing.assert_array_equal(pack_cube(cube.rename(y="a", x="b"), origin=ORIGIN), expected)


def test_pack_cube_one_date_below_clouds(cube):
    cube = cube.isel(time=[0])
    angle = xr.DataArray([30.0], dims="time", name="angle")
    valid = make_valid(cube)
    X = pack_cube(cube, valid=valid, static=angle, origin=ORIGIN)
    np.testing.assert_array_equal(np.isnan(X[:, 0, 4]), ~valid.values.ravel())


def stored(cube):
    """Return the cube as integers, and as xarray decodes them."""
    raw = (cube.fillna(-1) * 10_000 - 1000).round().astype("int16")
    raw.attrs = {"scale_factor": 1e-4, "add_offset": 0.1, "_FillValue": np.int16(-11_000)}
    return raw, xr.decode_cf(raw.to_dataset(name="raw"))["raw"]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("dims", DIMS[:2])
def test_pack_cube_decodes_integers_as_xarray(cube, lazy, dims):
    raw, decoded = stored(cube.transpose(*dims))
    raw = raw.chunk(x=4) if lazy else raw
    assert np.isnan(decoded).any()
    options = make_options(cube)
    expected = pack_cube(decoded, **options)
    np.testing.assert_array_equal(pack_cube(raw, decode=True, **options), expected)
    bands = raw.to_dataset("band")
    for one in bands.values():
        one.attrs = raw.attrs
    np.testing.assert_array_equal(pack_cube(bands, decode=True, **options), expected)


def test_pack_cube_integers_that_were_not_decoded(cube):
    raw, decoded = stored(cube)
    with pytest.raises(ValueError, match="cube holds integers .int16.*decode=True"):
        pack_cube(raw)
    with pytest.raises(ValueError, match="band 'B2' of cube holds integers"):
        pack_cube(raw.to_dataset("band"))
    with pytest.raises(ValueError, match="band 'SCL' .* a mask .* name the other bands in bands"):
        pack_cube(decoded.to_dataset("band").assign(SCL=raw[0]))
    with pytest.raises(ValueError, match="decode=True is for integers, but cube has .* float64"):
        pack_cube(decoded, decode=True)
    unscaled = raw.where(raw != -11_000)
    for lazy in (unscaled, unscaled.chunk(x=3)):
        with pytest.raises(ValueError, match="whole numbers up to .*the scale was not applied"):
            pack_cube(lazy)
    # The same attributes on values that were multiplied, or that are all zero.
    pack_cube((unscaled * 1e-4 + 0.1).assign_attrs(raw.attrs))
    pack_cube((unscaled * 0).assign_attrs(raw.attrs))
    raw.attrs = {}
    with pytest.raises(ValueError, match="no attribute scale_factor or add_offset"):
        pack_cube(raw, decode=True)
    raw.attrs = {"scale_factor": [1, 2]}
    with pytest.raises(ValueError, match="expected one number each"):
        pack_cube(raw, decode=True)


def _infinite(cube):
    cube = cube.copy()
    cube[0, 0, 0, 0] = np.inf
    return cube


def _twice(cube):
    return cube.assign_coords(band=["B2", "B2", "B8"])


def _layer(cube, **changes):
    layer = xr.DataArray(np.ones((N_ROWS, N_COLUMNS)), dims=("y", "x"), name="dem")
    return layer.assign_coords(y=cube.y, x=cube.x).assign_coords(changes)


@pytest.mark.parametrize(
    ("change", "options", "error", "match"),
    [
        (lambda c: c.values, {}, TypeError, "cube must be an xarray DataArray or Dataset, got nd"),
        (lambda c: c[0], {}, ValueError, r"must have the dimensions band, .*expand_dims"),
        (lambda c: c.rename(time="t"), {}, ValueError, "must have the dimension time"),
        (lambda c: c.isel(x=0), {}, ValueError, r"two dimensions besides .* got \('y',\)"),
        (lambda c: c.expand_dims(z=2), {}, ValueError, "two dimensions besides band and time"),
        (lambda c: c.isel(x=[]), {}, ValueError, "cube is empty"),
        (lambda c: c.isel(band=[]), {}, ValueError, "cube has no band"),
        (lambda c: c.drop_vars("time"), {}, ValueError, "must have a coordinate time"),
        (lambda c: c.assign_coords(time=np.arange(8)), {}, TypeError, "time must be datetime64"),
        (lambda c: c.assign_coords(time=c.time.where(c.time > c.time[0])), {}, ValueError, "1 mis"),
        (lambda c: c.astype(bool), {}, TypeError, "cube must hold real numbers, got dtype bool"),
        (lambda c: c.astype(complex), {}, TypeError, "cube must hold real numbers"),
        (lambda c: c.to_dataset("band")[[]], {}, ValueError, "bands must name one band or more"),
        (_infinite, {}, ValueError, "infinite values, or too large for float32, in 'B2'"),
        (lambda c: c.astype(float) * 1e300, {}, ValueError, "too large for float32"),
        (_twice, {}, ValueError, "each once"),
        (lambda c: c, {"bands": ["B3"]}, ValueError, r"no band \['B3'\]; its bands are \['B2'"),
        (lambda c: c, {"bands": []}, ValueError, "bands must name one band"),
        (lambda c: c.drop_vars("band"), {"bands": "B2"}, ValueError, "no coordinate band"),
        (lambda c: c.to_dataset("band"), {"bands": ["B3"]}, ValueError, r"no variable \['B3'\]"),
        (lambda c: c, {"origin": "2023"}, ValueError, "origin must be an ISO 8601"),
        (lambda c: c, {"static": "z"}, ValueError, "no coordinate 'z'"),
        (lambda c: c, {"static": ["x", "x"]}, ValueError, "channel 'x' twice"),
        (lambda c: c, {"static": [3]}, TypeError, "static must hold names .* got int"),
        (lambda c: c, {"valid": np.ones(3)}, TypeError, "valid must be an xarray DataArray"),
    ],
)
def test_pack_cube_bad_input(cube, change, options, error, match):
    with pytest.raises(error, match=match):
        pack_cube(change(cube), **options)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda v: v.astype(int), TypeError, r"valid must be boolean .* scl.isin"),
        (lambda v: v[0], ValueError, r"valid has the dimensions \('y', 'x'\), expected"),
        (lambda v: v[:, 1:], ValueError, "8 entries along y, .* 9. Load both .*reindex_like"),
        (lambda v: v.assign_coords(x=v.x + 1), ValueError, "other coordinates x than cube: 400001"),
        (lambda v: v.assign_coords(time=v.time[::-1].values), ValueError, "other coordinates time"),
    ],
)
def test_pack_cube_bad_valid(cube, change, error, match):
    with pytest.raises(error, match=match):
        pack_cube(cube, valid=change(make_valid(cube)))


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda s: s.rename(None), ValueError, "must have a name"),
        (lambda s: s.rename(y="z"), ValueError, r"'dem' has the dimensions \('z', 'x'\)"),
        (lambda s: s.assign_coords(y=s.y[::-1].values), ValueError, "other coordinates y"),
        (lambda s: s.astype(str), TypeError, "'dem' must be numeric"),
        (lambda s: s.astype(int).assign_attrs(_FillValue=0), ValueError, "were not applied"),
        (lambda s: s.where(s.x > s.x[0]), ValueError, "'dem' has NaN at 9 pixels"),
        (lambda s: s.rename("B2"), ValueError, "'B2' twice, or it is a band"),
    ],
)
def test_pack_cube_bad_static(cube, change, error, match):
    with pytest.raises(error, match=match):
        pack_cube(cube, static=change(_layer(cube)))


def test_pack_cube_dataset_of_different_dimensions(cube):
    dataset = cube.to_dataset("band").assign(dem=_layer(cube))
    with pytest.raises(ValueError, match=re.escape("'dem' has ('y', 'x'). Name the bands")):
        pack_cube(dataset)


def test_without_xarray(cube, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match=r'xarray: pip install "sklearn-sits\[raster\]"'):
        pack_cube(cube)

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from cubes import N_COLUMNS, N_ROWS, make_cube, make_options

from sklearn_sits.raster import pack_cube, sample_cube, sample_labels


@pytest.fixture
def cube():
    return make_cube()


@pytest.mark.parametrize("chunks", [None, {"x": 3, "y": 4}, {"time": 2}])
@pytest.mark.parametrize("ascending", [False, True])
def test_sample_cube(cube, chunks, ascending):
    options = make_options(cube)
    X = pack_cube(cube, **options)
    if ascending:
        cube, options["valid"] = cube.sortby("y"), options["valid"].sortby("y")
    cube = cube if chunks is None else cube.chunk(chunks)
    rng = np.random.default_rng(0)
    row, column = rng.integers(N_ROWS, size=50), rng.integers(N_COLUMNS, size=50)
    points = pd.DataFrame(
        {
            "lon": 4e5 + 10 * column + rng.uniform(-4.9, 4.9, 50),
            "lat": 5e6 - 10 * row + rng.uniform(-4.9, 4.9, 50),
        }
    )
    expected = X[row * N_COLUMNS + column]
    sampled = sample_cube(cube, points, x="lon", y="lat", **options)
    np.testing.assert_array_equal(sampled, expected)
    np.testing.assert_array_equal(sample_cube(cube, points.to_numpy(), **options), expected)


def test_sample_cube_corners_and_single_row(cube):
    corners = [[399_995, 5_000_005], [400_105, 4_999_915]]
    X = pack_cube(cube)
    np.testing.assert_array_equal(sample_cube(cube, corners), X[[0, -1]])
    row = cube.isel(y=[3])
    np.testing.assert_array_equal(sample_cube(row, [[400_020, 4_999_974]]), X[[3 * N_COLUMNS + 2]])
    with pytest.raises(ValueError, match="1 of 1 points lie outside"):
        sample_cube(row, [[400_020, 4_999_976]])


def test_sample_cube_reads_where_needed(cube):
    read = []

    def note(block, block_info=None):
        if block_info:
            read.append(block_info[0]["chunk-location"][2:])
        return block

    lazy = cube.chunk(x=4, y=3)
    lazy = lazy.copy(data=lazy.data.map_blocks(note, dtype=lazy.dtype, meta=np.empty(0, "f4")))
    with dask.config.set(scheduler="synchronous"):
        sample_cube(lazy, [[4e5, 5e6], [4e5 + 100, 5e6 - 80], [4e5 + 10, 5e6]])
    assert sorted(read) == [(0, 0), (2, 2)]


@pytest.mark.parametrize(
    ("points", "error", "match"),
    [
        (pd.DataFrame({"x": [1], "lat": [2]}), ValueError, r"no column \['y'\]"),
        ([[4e5, np.nan], [4e5, 5e6]], ValueError, "1 points are not finite"),
        ([[4e5, 5e6], [5e6, 4e5], [0, 0]], ValueError, r"2 of 3 points .* \(5000000.0, 400000.0"),
        ([4e5, 5e6], ValueError, r"shape \(n_points, 2\), got \(2,\)"),
        (np.empty((0, 2)), ValueError, r"got \(0, 2\)"),
        ([["a", "b"]], TypeError, "points must be numbers"),
    ],
)
def test_sample_cube_bad_points(cube, points, error, match):
    with pytest.raises(error, match=match):
        sample_cube(cube, points)


def test_sample_cube_bad_coordinates(cube):
    with pytest.raises(ValueError, match="no coordinate y"):
        sample_cube(cube.drop_vars("y"), [[4e5, 5e6]])
    with pytest.raises(ValueError, match="x of cube must be strictly monotonic"):
        sample_cube(cube.assign_coords(x=np.arange(N_COLUMNS) % 3), [[4e5, 5e6]])


@pytest.fixture
def labels(cube):
    values = np.random.default_rng(0).integers(4, size=(N_ROWS, N_COLUMNS))
    values[values == 3] = 70
    values[0, 0], values[0, 1] = 5, 5
    return xr.DataArray(values, {"y": cube.y, "x": cube.x}, ("y", "x"))


@pytest.mark.parametrize("lazy", [False, True])
def test_sample_labels(cube, labels, lazy):
    options = make_options(cube)
    expected = pack_cube(cube, **options)
    cube = cube.chunk(x=4) if lazy else cube
    kept = (labels != 0).values.ravel()
    X, y = sample_labels(cube, labels.transpose("x", "y"), nodata=0, **options)
    np.testing.assert_array_equal(X, expected[kept])
    np.testing.assert_array_equal(y, labels.values.ravel()[kept])
    again, _ = sample_labels(cube, labels.assign_attrs(_FillValue=0), **options)
    np.testing.assert_array_equal(again, X)
    # As rioxarray opens a map with masked=True.
    again, whole = sample_labels(cube, labels.where(labels != 0).astype(np.float32), **options)
    np.testing.assert_array_equal(again, X)
    np.testing.assert_array_equal(whole, y)
    assert whole.dtype.kind == "i"


def test_sample_labels_per_class(cube, labels):
    X, y = sample_labels(cube, labels, nodata=0, n_per_class=6, random_state=0, static=["x", "y"])
    assert {label: (y == label).sum() for label in np.unique(y)} == {1: 6, 2: 6, 5: 2, 70: 6}
    assert len(np.unique(X[:, 0, -2:], axis=0)) == len(X)
    found = labels.sel(x=xr.DataArray(X[:, 0, -2]), y=xr.DataArray(X[:, 0, -1])).values
    np.testing.assert_array_equal(y, found)
    same, _ = sample_labels(
        cube, labels, nodata=0, n_per_class=6, random_state=0, static=["x", "y"]
    )
    np.testing.assert_array_equal(X, same)


@pytest.mark.parametrize(
    ("change", "options", "error", "match"),
    [
        (lambda m: m.values, {"nodata": 0}, TypeError, "labels must be an xarray DataArray"),
        (lambda m: m * 0.5, {"nodata": 0}, TypeError, "must be whole numbers, got 2.5"),
        (lambda m: m == 0, {"nodata": 0}, TypeError, "must be whole numbers, got dtype bool"),
        (lambda m: m, {}, ValueError, "nodata must be given"),
        (lambda m: m[0], {"nodata": 0}, ValueError, r"labels has the dimensions \('x',\).*\.$"),
        (
            lambda m: m.expand_dims("band"),
            {"nodata": 0},
            ValueError,
            r"dimensions \('band', 'y', 'x'\), .* labels.squeeze\(\"band\", drop=True\)",
        ),
        (lambda m: m.assign_coords(x=m.x + 1), {"nodata": 0}, ValueError, "other coordinates x"),
        (lambda m: 0 * m, {"nodata": 0}, ValueError, "no pixel that is not nodata"),
        (lambda m: m, {"nodata": 0, "n_per_class": 0}, ValueError, "n_per_class must be a pos"),
    ],
)
def test_sample_labels_bad_input(cube, labels, change, options, error, match):
    with pytest.raises(error, match=match):
        sample_labels(cube, change(labels), **options)

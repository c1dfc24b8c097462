import dask
import geopandas
import numpy as np
import pandas as pd
import pytest
from cubes import N_COLUMNS, N_ROWS, make_cube
from rasterio.warp import transform

from sklearn_sits.raster import pack_cube, sample_cube


@pytest.fixture
def cube():
    return make_cube()


@pytest.fixture
def table():
    """Points in the middle of pixels, as a table with longitude and latitude too."""
    rng = np.random.default_rng(0)
    row, column = rng.integers(N_ROWS, size=30), rng.integers(N_COLUMNS, size=30)
    points = pd.DataFrame({"x": 4e5 + 10.0 * column, "y": 5e6 - 10.0 * row})
    points["lon"], points["lat"] = transform(32631, 4326, points["x"], points["y"])
    points["pixel"] = row * N_COLUMNS + column
    return points


def test_systems(cube, table):
    expected = pack_cube(cube)[table["pixel"]]
    lonlat = geopandas.points_from_xy(table["lon"], table["lat"])
    geographic = geopandas.GeoDataFrame(table[["pixel"]], geometry=lonlat, crs=4326)
    projected = geographic.to_crs(32631)
    for points, options in [
        (table, {}),
        (table, {"crs": 32631}),
        (table, {"x": "lon", "y": "lat", "crs": 4326}),
        (table[["lon", "lat"]].to_numpy(), {"crs": "EPSG:4326"}),
        (geographic, {}),
        (geographic, {"crs": "WGS84"}),
        (geographic.geometry, {}),
        (projected, {}),
        (projected.set_crs(None, allow_override=True), {}),
        (projected.set_crs(None, allow_override=True), {"crs": 32631}),
    ]:
        np.testing.assert_array_equal(sample_cube(cube, points, **options), expected)
    dataset = cube.drop_attrs().rio.write_crs(32631).to_dataset("band")
    np.testing.assert_array_equal(sample_cube(dataset, geographic), expected)


def test_bad_systems(cube, table):
    lonlat = table[["lon", "lat"]].to_numpy()
    points = geopandas.GeoDataFrame(geometry=geopandas.points_from_xy(*lonlat.T), crs=4326)
    with pytest.raises(ValueError, match="30 of 30 points lie outside.*give crs=4326"):
        sample_cube(cube, lonlat)
    with pytest.raises(ValueError, match="crs='EPSG:nowhere' is not known"):
        sample_cube(cube, lonlat, crs="EPSG:nowhere")
    with pytest.raises(ValueError, match="crs=32631, but points is in EPSG:4326"):
        sample_cube(cube, points, crs=32631)
    with pytest.raises(ValueError, match="cube has none. Give it one: cube.rio.write_crs"):
        sample_cube(cube.drop_attrs(), points)
    with pytest.raises(ValueError, match=r"type Point, got \['Polygon'\].*representative_point"):
        sample_cube(cube, points.to_crs(32631).buffer(1))
    with pytest.raises(ValueError, match="points have no position in EPSG:32631"):
        sample_cube(cube, 1e7 * np.ones((2, 2)), crs=4326)


def test_chunks_of_one_date_are_read_once(cube, table):
    read = []

    def note(block, block_info=None):
        if block_info:
            read.append(block_info[0]["chunk-location"])
        return block

    lazy = cube.chunk(time=1, x=4, y=3)
    lazy = lazy.copy(data=lazy.data.map_blocks(note, dtype=lazy.dtype, meta=np.empty(0, "f4")))
    with dask.config.set(scheduler="synchronous"):
        sample_cube(lazy, table)
    row, column = np.divmod(table["pixel"], N_COLUMNS)
    n_places = len(np.unique(np.column_stack([row // 3, column // 4]), axis=0))
    assert len(read) == len(set(read)) == n_places * cube.sizes["time"]

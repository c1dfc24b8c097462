import numpy as np
import pytest
import rasterio
import xarray as xr

from sklearn_sits.raster import export_geotiff, write_vrt


def make_map(west=0.0, north=40.0, values=((0, 1, 255), (1, 1, 0)), dtype="uint8", names=None):
    values = np.array(values, dtype)
    y = north - 10.0 * np.arange(values.shape[0])
    x = west + 10.0 * np.arange(values.shape[1])
    raster = xr.DataArray(values, {"y": y, "x": x}, ("y", "x"))
    if dtype == "uint8":
        raster.attrs = {
            "_FillValue": 255,
            "flag_values": [0, 1],
            "class_names": names or ["winter wheat", "maize"],
            "origin": "2023-01-01",
        }
    return raster


def write(folder, **tiles):
    paths = []
    for name, raster in tiles.items():
        paths.append(folder / f"{name}.tif")
        export_geotiff(raster, paths[-1], crs="EPSG:32631", overwrite=True)
    return paths


def test_mosaic_is_the_map_of_all_tiles(tmp_path):
    tiles = write(tmp_path, west=make_map(), south=make_map(west=20.0, north=20.0))
    write_vrt(tiles, tmp_path / "map.vrt")
    with rasterio.open(tmp_path / "map.vrt") as file:
        found = file.read(1)
        # The second tile begins in the third column and row; its nodata covers nothing.
        expected = np.full((4, 5), 255, np.uint8)
        expected[:2, :3] = make_map()
        expected[2:, 2:] = make_map()
        np.testing.assert_array_equal(found, expected)
        with rasterio.open(tiles[0]) as first:
            assert file.crs == first.crs
            assert file.transform == first.transform
            assert file.nodata == 255
            assert file.colormap(1) == first.colormap(1)
            assert file.tags()["flag_values"] == "[0, 1]"
            assert file.tags()["origin"] == "2023-01-01"
            assert file.descriptions == first.descriptions
    text = (tmp_path / "map.vrt").read_text()
    assert "<Category>winter wheat</Category>" in text
    # The folder can be moved.
    assert str(tmp_path) not in text


def test_last_tile_counts_where_tiles_overlap(tmp_path):
    first = make_map(values=np.zeros((2, 3)))
    second = make_map(west=20.0, values=np.ones((2, 2)))
    tiles = write(tmp_path, one=first, two=second)
    for order, expected in ((tiles, [0, 0, 1, 1]), (tiles[::-1], [0, 0, 0, 1])):
        write_vrt(order, tmp_path / "map.vrt", overwrite=True)
        with rasterio.open(tmp_path / "map.vrt") as file:
            assert file.read(1).tolist() == [expected, expected]


@pytest.mark.parametrize(
    ("dtype", "fill"), [("int32", -2147483648), ("float32", -3.4028234663852886e38)]
)
def test_nodata_of_many_digits(tmp_path, dtype, fill):
    raster = make_map(values=[[fill, 1, 2], [3, 4, 5]], dtype=dtype)
    raster.attrs["_FillValue"] = raster.dtype.type(fill)
    write_vrt(write(tmp_path, one=raster), tmp_path / "map.vrt")
    with rasterio.open(tmp_path / "map.vrt") as file:
        assert file.nodata == fill
        assert file.read(1, masked=True).mask.tolist() == [[True, False, False], [False] * 3]


def test_several_bands_with_units(tmp_path):
    values = np.random.default_rng(0).random((2, 3, 4), np.float32)
    coords = {"target": ["LAI", "CCC"], "y": [30.0, 20.0, 10.0], "x": [0.0, 10.0, 20.0, 30.0]}
    raster = xr.DataArray(values, coords, ("target", "y", "x"))
    raster = raster.assign_coords(units=("target", ["m2/m2", "ug/cm2"]))
    tiles = write(tmp_path, one=raster, two=raster.assign_coords(x=raster["x"] + 40))
    write_vrt(tiles, tmp_path / "map.vrt")
    with rasterio.open(tmp_path / "map.vrt") as file, rasterio.open(tiles[0]) as tile:
        np.testing.assert_array_equal(file.read(), np.concatenate([values, values], axis=2))
        assert file.descriptions == tile.descriptions == ("LAI", "CCC")
        assert file.units == tile.units


@pytest.mark.parametrize(
    ("other", "match"),
    [
        (make_map(west=35.0), "must lie on one grid: two.tif is 3.5 columns and 0 rows from one"),
        (make_map(dtype="float32"), "must have the same type"),
        (make_map(names=["rye", "maize"]), "must have the same classes"),
        (make_map().isel(x=slice(None, None, 2)), "must have the same pixel size"),
        (make_map().expand_dims(time=2), "must have the same type"),
    ],
)
def test_tiles_of_different_maps(tmp_path, other, match):
    tiles = write(tmp_path, one=make_map(), two=other)
    with pytest.raises(ValueError, match=match):
        write_vrt(tiles, tmp_path / "map.vrt")
    assert not (tmp_path / "map.vrt").exists()


def test_bad_input(tmp_path):
    tiles = write(tmp_path, one=make_map())
    with pytest.raises(ValueError, match="tiles must name at least one file"):
        write_vrt([], tmp_path / "map.vrt")
    with pytest.raises(ValueError, match="path must end in .vrt, got 'map.tif'"):
        write_vrt(tiles, tmp_path / "map.tif")
    write_vrt(tiles, tmp_path / "map.vrt")
    with pytest.raises(FileExistsError, match="overwrite=True replaces it"):
        write_vrt(tiles, tmp_path / "map.vrt")

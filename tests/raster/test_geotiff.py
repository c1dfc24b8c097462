import os

import dask.array as da
import numpy as np
import pytest
import rasterio
import xarray as xr

from sklearn_sits.raster import export_geotiff, write_map


def make_map(values, **attrs):
    dims = ("time", "class", "y", "x")[4 - values.ndim :]
    coords = {"y": 5e6 - 10.0 * np.arange(20), "x": 4e5 + 10.0 * np.arange(30)}
    if values.ndim > 2:
        coords["class"] = ["crop", "wood"]
    raster = xr.DataArray(values, coords, dims, name="map", attrs=attrs)
    return raster.chunk(x=10)


@pytest.fixture
def labels():
    values = np.random.default_rng(0).integers(3, size=(20, 30)).astype(np.uint8)
    values[3, 4] = 255
    attrs = {"_FillValue": np.uint8(255), "flag_values": np.arange(3, dtype=np.uint8)}
    return make_map(values, flag_meanings="bare crop wood", crs="EPSG:32631", **attrs)


def test_export_labels(labels, tmp_path):
    write_map(labels, tmp_path / "map.zarr", progress=False)
    export_geotiff(tmp_path / "map.zarr", tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        np.testing.assert_array_equal(file.read(1), labels)
        assert (file.nodata, file.dtypes, file.crs.to_epsg()) == (255, ("uint8",), 32631)
        assert file.transform.to_gdal() == (399_995, 10, 0, 5_000_005, 0, -10)
        assert file.tags()["flag_meanings"] == "bare crop wood"
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert sorted(os.listdir(tmp_path)) == ["map.tif", "map.zarr"]


def test_export_probabilities(tmp_path):
    values = np.random.default_rng(0).random((2, 20, 30), dtype=np.float32)
    values[:, 3, 4] = np.nan
    raster = make_map(values)
    with pytest.raises(ValueError, match="no coordinate reference system. Give crs"):
        export_geotiff(raster, tmp_path / "map.tif")
    export_geotiff(raster, tmp_path / "map.tif", crs=32631)
    with rasterio.open(tmp_path / "map.tif") as file:
        np.testing.assert_array_equal(file.read(), values)
        assert file.descriptions == ("crop", "wood")
        assert np.isnan(file.nodata)


def test_bad_input(labels, tmp_path):
    with pytest.raises(ValueError, match="must end in .tif or .tiff, got 'map.png'"):
        export_geotiff(labels, tmp_path / "map.png")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        export_geotiff(tmp_path / "map.zarr", tmp_path / "map.tif")
    with pytest.raises(ValueError, match=r"dimensions \('time', 'class', 'y', 'x'\)"):
        export_geotiff(make_map(np.zeros((4, 2, 20, 30))), tmp_path / "map.tif", crs=32631)
    with pytest.raises(ValueError, match="crs=32632, but the map is in EPSG:32631"):
        export_geotiff(labels, tmp_path / "map.tif", crs=32632)
    (tmp_path / "map.tif").write_text("mine")
    with pytest.raises(FileExistsError, match="overwrite=True replaces it"):
        export_geotiff(labels, tmp_path / "map.tif")
    failing = labels.copy(
        data=da.map_blocks(fail, labels.data, dtype=np.uint8, meta=labels.data._meta)
    )
    with pytest.raises(ZeroDivisionError):
        export_geotiff(failing, tmp_path / "map.tif", overwrite=True)
    assert (tmp_path / "map.tif").read_text() == "mine"
    assert os.listdir(tmp_path) == ["map.tif"]
    export_geotiff(labels, tmp_path / "map.tif", overwrite=True)


def fail(block):
    raise ZeroDivisionError

import json
import os
from xml.etree import ElementTree

import dask.array as da
import numpy as np
import pystac
import pytest
import rasterio
import rasterio.shutil
import xarray as xr
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.projection import ProjectionExtension

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
    attrs |= {"flag_meanings": "bare winter_wheat wood", "crs": "EPSG:32631"}
    return make_map(values, class_names=["bare", "winter wheat", "wood"], **attrs)


def test_export_labels(labels, tmp_path):
    write_map(labels, tmp_path / "map.zarr", progress=False)
    export_geotiff(tmp_path / "map.zarr", tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        np.testing.assert_array_equal(file.read(1), labels)
        assert (file.nodata, file.dtypes, file.crs.to_epsg()) == (255, ("uint8",), 32631)
        assert file.transform.to_gdal() == (399_995, 10, 0, 5_000_005, 0, -10)
        assert file.tags()["flag_meanings"] == "bare winter_wheat wood"
        assert json.loads(file.tags()["class_names"]) == ["bare", "winter wheat", "wood"]
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert sorted(os.listdir(tmp_path)) == ["map.tif", "map.tif.aux.xml", "map.zarr"]


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


def read_categories(path):
    """Return the names and the attribute table that GDAL finds."""
    # The driver VRT writes all that GDAL knows about a file as text.
    rasterio.shutil.copy(path, path.with_suffix(".vrt"), driver="VRT")
    band = ElementTree.parse(path.with_suffix(".vrt")).find("VRTRasterBand")
    names = [one.text for one in band.iterfind("CategoryNames/Category")]
    copied = path.with_name("copy.tif")
    rasterio.shutil.copy(path, copied, driver="GTiff")
    tree = ElementTree.parse(f"{copied}.aux.xml")
    rows = tree.iterfind("PAMRasterBand/GDALRasterAttributeTable/Row")
    return names, [[cell.text for cell in row] for row in rows]


def test_colors_and_names(labels, tmp_path):
    colors = {"winter wheat": "#e6c229", "bare": "#010203"}
    path = tmp_path / "map.tif"
    write_map(labels, tmp_path / "map.zarr", colors=colors, progress=False)
    # Statistics of another map, as viewers leave them.
    (tmp_path / "map.tif.aux.xml").write_text("<PAMDataset>old</PAMDataset>")
    export_geotiff(tmp_path / "map.zarr", path, colors={"wood": "#0a0b0c"})
    with rasterio.open(path) as file:
        assert file.colorinterp == (rasterio.enums.ColorInterp.palette,)
        assert [file.colormap(1)[i] for i in (0, 1, 2, 255)] == [
            (1, 2, 3, 255),
            (230, 194, 41, 255),
            (10, 11, 12, 255),
            (0, 0, 0, 0),
        ]
        # Class 0 is data, and only what has no prediction is not.
        np.testing.assert_array_equal(file.dataset_mask() > 0, labels != 255)
        assert file.descriptions == ("map",)
    names, rows = read_categories(path)
    assert names == ["bare", "winter wheat", "wood"]
    assert rows[1] == ["1", "winter wheat", "230", "194", "41", "255"]


def test_classes_in_floating_point(labels, tmp_path):
    """NaN is nodata, and so is nothing else."""
    floating = labels.where(labels != 255).astype(np.float32).assign_attrs(labels.attrs)
    del floating.attrs["_FillValue"]
    export_geotiff(floating, tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert (file.dtypes, file.nodata) == (("uint8",), 255)
        np.testing.assert_array_equal(file.read(1), labels)


@pytest.mark.parametrize(
    ("values", "dtype", "nodata"),
    [
        ([0, 10, 20], "uint8", 255),
        ([0, 10, 254], "uint8", 255),
        ([0, 10, 255], "int16", -32768),
        ([111, 112, 1000], "int16", -32768),
        ([-1, 0, 1], "int16", -32768),
    ],
)
def test_type_holds_colours(values, dtype, nodata, tmp_path):
    values = np.array(values, dtype="int16")
    grid = np.resize(values, (20, 30))
    grid[0, 0] = -32768
    attrs = {"_FillValue": values.dtype.type(-32768), "flag_values": values, "crs": "EPSG:32631"}
    export_geotiff(make_map(grid, **attrs, flag_meanings="a b c"), tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        found = file.read(1)
        assert (file.dtypes[0], file.nodata, found[0, 0]) == (dtype, nodata, nodata)
        np.testing.assert_array_equal(found.flat[1:], grid.flat[1:])
        has_table = file.colorinterp[0] == rasterio.enums.ColorInterp.palette
        assert has_table == (dtype == "uint8")
    _, rows = read_categories(tmp_path / "map.tif")
    assert [int(row[0]) for row in rows] == values.tolist()


def test_overviews_hold_classes_and_probabilities(tmp_path):
    rng = np.random.default_rng(0)
    coords = {"y": -10.0 * np.arange(1100), "x": 10.0 * np.arange(1100)}
    labels = xr.DataArray(
        rng.choice(np.array([10, 200], dtype=np.uint8), (1100, 1100)), coords, ("y", "x")
    )
    labels.attrs = {"flag_values": [10, 200], "class_names": ["a", "b"]}
    proba = labels.astype(np.float32) / 200
    proba.attrs = {}
    for raster, allowed in [(labels, lambda v: np.isin(v, [10, 200])), (proba, lambda v: v <= 1)]:
        export_geotiff(raster, tmp_path / "map.tif", crs=32631, overwrite=True)
        with rasterio.open(tmp_path / "map.tif") as file:
            assert file.overviews(1) == [2, 4]
            assert allowed(file.read(1, out_shape=(275, 275))).all()


def test_units_and_dates_of_traits(tmp_path):
    coords = {"y": -10.0 * np.arange(20), "x": 10.0 * np.arange(30)}
    values = np.zeros((2, 20, 30), dtype=np.float32)
    targets = {"target": ["LAI", "CCC"], "units": ("target", ["m²/m²", "µg/cm²"])}
    traits = xr.DataArray(values, coords | targets, ("target", "y", "x"))
    export_geotiff(traits, tmp_path / "traits.tif", crs=32631)
    with rasterio.open(tmp_path / "traits.tif") as file:
        assert file.descriptions == ("LAI", "CCC")
        assert file.units == ("m²/m²", "µg/cm²")
        assert np.isnan(file.nodata)
    time = np.array(["2023-01-05T10:30", "2023-02-05T10:30"], dtype="datetime64[ns]")
    series = xr.DataArray(values, coords | {"time": time}, ("time", "y", "x"), name="LAI")
    series.attrs["units"] = "m²/m²"
    export_geotiff(series, tmp_path / "series.tif", crs=32631, stac=True)
    with rasterio.open(tmp_path / "series.tif") as file:
        assert file.descriptions == ("2023-01-05", "2023-02-05")
        assert file.units == ("m²/m²", "m²/m²")
    item = json.loads((tmp_path / "series.json").read_text("utf-8"))
    assert item["properties"]["end_datetime"] == "2023-02-05T10:30:00Z"
    assert item["assets"]["map"]["bands"][0] == {
        "name": "2023-01-05",
        "data_type": "float32",
        "nodata": "nan",
        "unit": "m²/m²",
    }


def test_part_of_a_map(labels, tmp_path):
    """The coordinates place it, whatever an attribute says about the whole."""
    whole = labels.compute().rio.write_crs(32631).rio.write_transform()
    export_geotiff(whole.isel(x=slice(5, None), y=slice(2, None)), tmp_path / "part.tif")
    with rasterio.open(tmp_path / "part.tif") as file:
        assert file.transform.to_gdal() == (400_045, 10, 0, 4_999_985, 0, -10)


def test_lazy_map_is_computed_once(tmp_path):
    raster, computed = make_map(np.zeros((2, 20, 30), dtype=np.float32)), []

    def note(block, block_info=None):
        if block_info:
            computed.append(block_info[0]["chunk-location"])
        return block

    lazy = raster.copy(data=raster.data.map_blocks(note, dtype=np.float32, meta=raster.data._meta))
    export_geotiff(lazy, tmp_path / "map.tif", crs=32631)
    assert sorted(computed) == [(0, 0, 0), (0, 0, 1), (0, 0, 2)]


def test_stac_item(labels, tmp_path):
    period = {
        "time_coverage_start": "2023-01-01T00:00:00Z",
        "time_coverage_end": "2023-12-27T00:00:00Z",
    }
    colors = {"winter wheat": "#e6c229"}
    path = tmp_path / "map.tif"
    export_geotiff(labels.assign_attrs(period), path, colors=colors, stac=True)
    item = pystac.Item.from_file(str(tmp_path / "map.json"))
    assert (item.id, item.common_metadata.end_datetime.month) == ("map", 12)
    projection = ProjectionExtension.ext(item)
    assert (projection.code, projection.shape) == ("EPSG:32631", [20, 30])
    assert projection.transform == [10, 0, 399_995, 0, -10, 5_000_005]
    # 300 m by 200 m west of the meridian of 3 degrees.
    west, south, east, north = item.bbox
    assert 1.72 < west < east < 1.74
    assert 45.14 < south < north < 45.16
    with rasterio.open(item.assets["map"].get_absolute_href()) as file:
        assert file.count == len(item.assets["map"].extra_fields["bands"])
    (band,) = item.assets["map"].extra_fields["bands"]
    assert (band["data_type"], band["nodata"]) == ("uint8", 255)
    wheat = band["classification:classes"][1]
    assert wheat["title"] == "winter wheat"
    assert (wheat["value"], wheat["name"], wheat["color_hint"]) == (1, "winter_wheat", "E6C229")
    assert ClassificationExtension.get_schema_uri() in item.stac_extensions
    # The schemas of extensions are on the network, that of the core is in the package.
    item.stac_extensions = []
    item.validate()
    with pytest.raises(FileExistsError, match=r"map\.tif exists"):
        export_geotiff(labels.assign_attrs(period), path, stac=True)
    path.unlink()
    with pytest.raises(FileExistsError, match=r"map\.json exists"):
        export_geotiff(labels.assign_attrs(period), path, stac=True)
    with pytest.raises(ValueError, match="stac=True needs the dates of the map"):
        export_geotiff(labels, path, stac=True, overwrite=True)


def test_bad_input(labels, tmp_path):
    with pytest.raises(ValueError, match="must end in .tif or .tiff, got 'map.png'"):
        export_geotiff(labels, tmp_path / "map.png")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        export_geotiff(tmp_path / "map.zarr", tmp_path / "map.tif")
    with pytest.raises(ValueError, match=r"dimensions \('time', 'class', 'y', 'x'\)"):
        export_geotiff(make_map(np.zeros((4, 2, 20, 30))), tmp_path / "map.tif", crs=32631)
    with pytest.raises(ValueError, match="crs=32632, but the map is in EPSG:32631"):
        export_geotiff(labels, tmp_path / "map.tif", crs=32632)
    with pytest.raises(ValueError, match="_FillValue=0, which is the value of the class 'bare'"):
        export_geotiff(labels.assign_attrs(_FillValue=0), tmp_path / "map.tif")
    with pytest.raises(ValueError, match=r"colors names \['rye'\]"):
        export_geotiff(labels, tmp_path / "map.tif", colors={"rye": "#ffffff"})
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

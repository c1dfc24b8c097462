import numpy as np
import odc.stac
import pystac
import pytest
import rioxarray  # noqa: F401
import stackstac
import xarray as xr
from cubes import PerDate
from scenes import BANDS, compute_reflectance, make_item

from sklearn_sits.raster import decode_stac, predict_raster, read_stac_scale, write_map
from sklearn_sits.raster.cube import pack_cube


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    return [
        make_item(folder, "old", "2021-06-01T09:30:00+00:00", "03.01"),
        make_item(folder, "new", "2022-06-01T09:30:00+00:00", "04.00"),
    ]


def load(items, **options):
    return odc.stac.load(
        items,
        bands=[*BANDS, "SCL"],
        dtype="uint16",
        nodata=0,
        groupby="solar_day",
        **{"chunks": {"x": 12, "y": 12, "time": -1}, "resolution": 10} | options,
    )


def stack(items, **options):
    options = {"assets": [*BANDS, "SCL"], "epsg": 32635, "resolution": 10} | options
    options = {"xy_coords": "center", "rescale": False} | options
    return stackstac.stack(items, **{"dtype": "uint16", "fill_value": np.uint16(0)} | options)


@pytest.mark.parametrize("loaded_by", ["odc", "stackstac"])
def test_reflectance_before_and_after_baseline_4(items, loaded_by, tmp_path):
    cube = load(items) if loaded_by == "odc" else stack(items)
    reflectance = decode_stac(cube, items, BANDS)
    one = reflectance["B04"] if loaded_by == "odc" else reflectance.sel(band="B04")
    assert one.chunks is not None
    values = one.transpose("time", "y", "x").values
    assert values.dtype == np.float32
    expected = compute_reflectance("B04", one["x"].values, one["y"].values[:, None])
    expected[0, 0] = np.nan
    for date in values:
        np.testing.assert_allclose(date, expected, atol=5e-5)

    scl = cube["SCL"] if loaded_by == "odc" else cube.sel(band="SCL", drop=True)
    valid = scl.isin([4, 5, 6])
    X = pack_cube(reflectance, bands=BANDS, valid=valid, origin="2021-01-01")
    model = PerDate().fit(X)
    raster = predict_raster(model, reflectance, bands=BANDS, valid=valid, origin="2021-01-01")
    written = write_map(raster.chunk(x=12, y=12), tmp_path / "map.zarr", progress=False)
    assert written.rio.crs.to_epsg() == 32635
    assert written.rio.transform().xoff == 300_000
    # Clouds cover the last row of 20 m.
    x, y = written["x"].values, written["y"].values[:, None]
    sums = [compute_reflectance(band, x, y) for band in BANDS]
    found = written.isel(time=1).values
    np.testing.assert_allclose(found[1:-2], np.sum(sums, axis=0)[1:-2], atol=2e-4)


def test_two_zones_in_one_grid(tmp_path):
    """Scenes of two zones that meet at 24 degrees east make one cube without a seam."""
    moment = "2022-06-01T09:30:00+00:00"
    scenes = [
        make_item(tmp_path, "west", moment, "04.00", epsg=32634, left=735_000, reflectance=0.1),
        make_item(tmp_path, "east", moment, "04.00", epsg=32635, left=263_800, reflectance=0.3),
    ]
    cube = load(scenes, crs="EPSG:32635", resolution=20)
    assert cube.sizes["time"] == 1
    values = decode_stac(cube, scenes, BANDS)["B03"].values
    found, counts = np.unique(values[np.isfinite(values)].round(4), return_counts=True)
    np.testing.assert_allclose(found, [0.1, 0.3], atol=1e-4)
    # 144 pixels of 20 m each, apart from edges and the corners without data.
    assert (counts > 110).all()


def edit(item, properties=None, **asset):
    item = item.to_dict(include_self_link=False, transform_hrefs=False)
    item["properties"] = item["properties"] | (properties or {})
    item["assets"] = {**item["assets"], "B04": item["assets"]["B04"] | asset}
    return item


def test_sources_of_the_scale(items):
    new = items[1]
    old_style = {"raster:bands": [{"scale": 2.75e-5, "offset": -0.2}]}
    landsat = edit(new, {"s2:processing_baseline": None, "platform": "landsat-8"}, **old_style)
    copernicus = edit(
        new,
        {"s2:processing_baseline": None, "processing:version": "05.11"},
        **{"bands": [{"raster:scale": 1e-4, "raster:offset": -0.1, "name": "red"}]},
    )
    assets = {"raster:scale": 1e-4, "raster:offset": -0.1, "bands": [{"name": "B04"}]}
    copernicus_assets = edit(new, **assets)
    removed = {"earthsearch:boa_offset_applied": True}
    earth_search = edit(new, removed, **{"raster:bands": [{"scale": 1e-4, "offset": -0.1}]})
    scales = read_stac_scale(
        [*items, landsat, copernicus, earth_search, copernicus_assets], ["B04"]
    )
    np.testing.assert_allclose(scales["scale"][:, 0], [1e-4, 1e-4, 2.75e-5, 1e-4, 1e-4, 1e-4])
    np.testing.assert_allclose(scales["offset"][:, 0], [0, -0.1, -0.2, -0.1, 0, -0.1])
    assert scales["item"].values.tolist()[:2] == ["old", "new"]
    assert read_stac_scale(pystac.ItemCollection(items), "B04").sizes == {"item": 2, "band": 1}
    np.testing.assert_allclose(read_stac_scale(copernicus, ["red"])["offset"], -0.1)


def test_explicit_numbers(items):
    cube = load(items)
    values = decode_stac(cube, items, ["B04"], offset=0.5)["B04"]
    stored = cube["B04"].where(cube["B04"] > 0)
    np.testing.assert_allclose(values, stored * 1e-4 + 0.5, rtol=1e-5)
    bare = [edit(item, {"s2:processing_baseline": None}) for item in items]
    with pytest.raises(ValueError, match="old does not tell the scale of 'B04'.* Give scale and"):
        decode_stac(cube, bare, ["B04"])
    values = decode_stac(cube, bare, ["B04"], scale=0.01, offset=1)["B04"]
    np.testing.assert_allclose(values, stored * 0.01 + 1, rtol=1e-5)


def test_never_silent(items):
    cube = load(items)
    with pytest.raises(TypeError, match="must hold the stored integers, got dtype float64"):
        decode_stac(stack(items, rescale=True, dtype="float64", fill_value=np.nan), items, BANDS)
    with pytest.raises(ValueError, match="are those of the corners of its pixels"):
        decode_stac(stack(items, xy_coords="topleft"), items, BANDS)
    with pytest.raises(ValueError, match="no item for the date 2021-06-01T09:30:00 of cube"):
        decode_stac(cube, items[1:], BANDS)
    with pytest.raises(ValueError, match=r"must name bands of reflectance, got \['SCL'\]"):
        decode_stac(cube, items, ["B04", "SCL"])
    with pytest.raises(ValueError, match=r"got \['WVP_10m'\]"):
        read_stac_scale(items, ["B04", "WVP_10m"])
    with pytest.raises(ValueError, match=r"cube has no band \['B05'\]"):
        decode_stac(cube, items, ["B05"])
    with pytest.raises(TypeError, match="offset must be a number or None, got '-0.1'"):
        decode_stac(cube, items, BANDS, offset="-0.1")
    with pytest.raises(TypeError, match="items must be STAC items.* got str"):
        decode_stac(cube, ["new"], BANDS)
    with pytest.raises(ValueError, match="one STAC item or more, got none"):
        decode_stac(cube, [], BANDS)
    wrong = edit(items[1], **{"raster:bands": [{"scale": 1e-4}]})
    with pytest.raises(ValueError, match="new contradicts itself.* offset=0, its .* -0.1"):
        decode_stac(cube, [items[0], wrong], BANDS)
    other = edit(items[1], {"s2:processing_baseline": "03.01"})
    with pytest.raises(ValueError, match="different offsets in 'B02': new, twin"):
        decode_stac(cube, [*items, {**other, "id": "twin"}], BANDS)
    with pytest.raises(ValueError, match=r"old has no asset 'B05'; its assets are \['B02'"):
        read_stac_scale(items, ["B05"])


def test_scene_classes_at_another_resolution(items):
    cube, coarse = load(items), load(items, resolution=20)
    reflectance = decode_stac(cube, items, BANDS)
    valid = coarse["SCL"].isin([4, 5, 6])
    with pytest.raises(ValueError, match="valid has 12 entries along .*reindex_like"):
        pack_cube(reflectance, bands=BANDS, valid=valid)
    finer = valid.reindex_like(reflectance, method="nearest")
    xr.testing.assert_equal(finer.compute(), cube["SCL"].isin([4, 5, 6]).compute())
    pack_cube(reflectance, bands=BANDS, valid=finer)

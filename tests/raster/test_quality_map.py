"""Maps of quality flags, and bad pixels that do not stop a map."""

import numpy as np
import pytest
import xarray as xr

from sklearn_sits import load_prosail_vae
from sklearn_sits.datasets import make_prosail
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.raster import export_geotiff, open_map, predict_raster, write_map

TIMES = np.array(["2023-06-01", "2023-06-06"], "M8[ns]")


@pytest.fixture(scope="module")
def layers():
    """Two images of 4 x 5 pixels: a cloud, a bad and a missing pixel in the first one."""
    X = make_prosail(40, as_frame=True, random_state=0)[0].astype(np.float32)
    grid = {"time": TIMES, "y": np.arange(4.0), "x": np.arange(5.0)}
    layers = xr.Dataset(
        {c: (("time", "y", "x"), X[c].to_numpy().reshape(2, 4, 5).copy()) for c in X}, grid
    )
    for band in list(layers)[:10]:
        layers[band][0, 0, 0] = 0.7
    layers["B2"][0, 0, 1] = 1.6
    layers["B8"][0, 0, 2] = np.nan
    for band in list(layers)[:10]:
        layers[band][:, 3, 3] = np.nan
    return layers


@pytest.fixture(scope="module")
def model():
    return load_prosail_vae(targets=["LAI", "CCC"])


@pytest.fixture(scope="module")
def flags(layers, model):
    with pytest.warns(DataQualityWarning, match="1 of .* spectra count as not observed"):
        return predict_raster(model, layers, method="quality")


def test_flags(layers, model, flags):
    names = flags.attrs["flag_meanings"].split()
    assert flags.dims == ("time", "y", "x")
    assert flags.dtype == flags.attrs["flag_masks"].dtype == np.int32
    assert dict(zip(names, flags.attrs["flag_masks"].tolist(), strict=True)) == model.quality_flags_
    assert names[0] == "not_observed"
    assert names[-1] == "CCC_at_bound"
    assert "_FillValue" not in flags.attrs
    assert flags.name == "quality"
    X = np.stack([layers[name] for name in layers], axis=-1).reshape(-1, 13)
    with pytest.warns(DataQualityWarning):
        expected = model.quality(X).reshape(flags.shape)
    np.testing.assert_array_equal(flags, expected)
    cloud, bad, missing, unseen = (flags[0].values[p] for p in ((0, 0), (0, 1), (0, 2), (3, 3)))
    assert cloud & model.quality_flags_["large_misfit"]
    assert bad == 1 + model.quality_flags_["band_out_of_domain"]
    assert missing == unseen == 1
    assert np.mean(flags == 0) > 0.8


def test_bad_pixels_are_nodata(layers, model, flags):
    with pytest.warns(DataQualityWarning, match="1 of .* spectra count as not observed"):
        raster = predict_raster(model, layers)
    not_observed = (flags & model.quality_flags_["not_observed"]) != 0
    assert int(not_observed.sum()) == 4
    np.testing.assert_array_equal(np.isnan(raster.sel(target="LAI")), not_observed)


@pytest.mark.filterwarnings("ignore:1 of .* spectra")
def test_flags_in_files(layers, model, flags, tmp_path):
    lazy = predict_raster(model, layers.chunk(x=3), method="quality")
    written = write_map(lazy, tmp_path / "flags.zarr", progress=False)
    for raster in (lazy, written, open_map(tmp_path / "flags.zarr")):
        np.testing.assert_array_equal(raster, flags)
        assert raster.dtype == np.int32
        assert raster.attrs["flag_meanings"] == flags.attrs["flag_meanings"]
        np.testing.assert_array_equal(raster.attrs["flag_masks"], flags.attrs["flag_masks"])
    rioxarray = pytest.importorskip("rioxarray")
    export_geotiff(tmp_path / "flags.zarr", tmp_path / "flags.tif", crs="EPSG:32631")
    exported = rioxarray.open_rasterio(tmp_path / "flags.tif")
    np.testing.assert_array_equal(
        exported, flags[:, ::-1] if exported.y[0] > exported.y[-1] else flags
    )
    assert exported.attrs["flag_meanings"] == flags.attrs["flag_meanings"]


def test_one_warning_for_a_map(layers, model):
    """Angles and an offset are said once, whatever the number of blocks."""
    # Four times the images, because an offset takes fifty spectra of a block.
    cube = layers.isel(y=np.tile(np.arange(4), 4)).assign_coords(y=np.arange(16.0))
    cube["view_zenith"] = cube["view_zenith"] + 20
    for band in list(cube)[:10]:
        cube[band] = cube[band] + 0.1
    with pytest.warns(DataQualityWarning) as caught:
        raster = predict_raster(model, cube, batch_size=40)
    messages = [str(warning.message) for warning in caught]
    assert np.isfinite(raster).sum() > 240
    (angles,) = [one for one in messages if "have angles outside" in one]
    # All but the bad ones.
    assert angles.startswith("144 spectra have angles")
    (offset,) = [one for one in messages if "BOA_ADD_OFFSET" in one]
    assert "such warnings in this map" in offset

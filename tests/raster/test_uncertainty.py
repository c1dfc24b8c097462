import numpy as np
import pytest
import rasterio
import xarray as xr
from cubes import make_cube, make_options
from scipy.stats import entropy
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline

from sklearn_sits import LinearInterpolator
from sklearn_sits.raster import (
    export_geotiff,
    map_uncertainty,
    open_map,
    pack_cube,
    predict_raster,
    write_map,
)

LABELS = [np.array([10, 20, 40]), np.array([10.0, 20.0, 40.0]), np.array(["b", "spring c", "w"])]


@pytest.fixture
def cube():
    return make_cube()


def fit(cube, labels):
    X = pack_cube(cube.fillna(0), **{**make_options(cube), "valid": None})
    forest = RandomForestClassifier(5, random_state=0)
    return make_pipeline(LinearInterpolator(), forest).fit(X, labels[np.arange(len(X)) % 3])


@pytest.mark.parametrize("labels", LABELS, ids=["int", "whole float", "text"])
def test_equals_numpy(cube, labels, tmp_path):
    model, options = fit(cube, labels), make_options(cube)
    probabilities = predict_raster(model, cube.chunk(x=4), method="predict_proba", **options)
    maps = map_uncertainty(probabilities)
    assert all(one.chunks is not None for one in maps.data_vars.values())
    p = np.moveaxis(probabilities.values, 0, -1).astype(np.float64)
    ordered = np.sort(p, axis=-1)
    np.testing.assert_allclose(maps["margin"], ordered[..., -1] - ordered[..., -2], atol=1e-6)
    np.testing.assert_allclose(maps["entropy"], entropy(p, axis=-1), rtol=1e-5, atol=1e-6)
    # Pixels without an observation, and ties, are those of predict.
    expected = predict_raster(model, cube, **options)
    np.testing.assert_array_equal(maps["label"], expected)
    assert np.isnan(maps["entropy"].values[4, 5])
    for name in ("_FillValue", "flag_values", "flag_meanings", "class_names", "crs"):
        np.testing.assert_array_equal(maps["label"].attrs[name], expected.attrs[name])

    stored = write_map(probabilities, tmp_path / "proba.zarr", progress=False)
    again = map_uncertainty(stored)
    xr.testing.assert_equal(again.compute(), maps.compute())
    written = write_map(again["entropy"], tmp_path / "entropy.zarr", progress=False)
    np.testing.assert_array_equal(written, maps["entropy"])
    export_geotiff(tmp_path / "entropy.zarr", tmp_path / "entropy.tif", crs=32631)
    export_geotiff(again["label"], tmp_path / "label.tif", crs=32631)
    with rasterio.open(tmp_path / "entropy.tif") as file:
        assert (file.descriptions, file.units) == (("entropy",), ("nat",))
    with rasterio.open(tmp_path / "label.tif") as file:
        np.testing.assert_array_equal(file.read(1), expected)
    assert open_map(tmp_path / "entropy.zarr").attrs["crs"] == "EPSG:32631"


def test_resumes(cube, tmp_path):
    """A finished map is kept, and one of another model refused."""
    options = make_options(cube) | {"method": "predict_proba"}
    names = LABELS[2]
    entropy = map_uncertainty(predict_raster(fit(cube, names), cube.chunk(x=4), **options))
    path = tmp_path / "map.zarr"
    write_map(entropy["label"], path, colors={"spring c": "#e6c229"}, progress=False)
    stamp = (path / "label" / "0.0").stat().st_mtime_ns
    again = map_uncertainty(predict_raster(fit(cube, names), cube.chunk(x=4), **options))
    write_map(again["label"], path, colors={"spring c": "#e6c229"}, progress=False)
    assert (path / "label" / "0.0").stat().st_mtime_ns == stamp
    with pytest.raises(ValueError, match=r"attributes \(flag_colors is .* instead of"):
        write_map(again["label"], path, colors={"spring c": "#000000"}, progress=False)
    other = map_uncertainty(predict_raster(fit(cube, names[::-1]), cube.chunk(x=4), **options))
    with pytest.raises(ValueError, match="made with other model than raster"):
        write_map(other["label"], path, colors={"spring c": "#e6c229"}, progress=False)


def test_bad_input():
    p = xr.DataArray(np.full((2, 3, 4), 0.5), dims=("class", "y", "x"))
    with pytest.raises(TypeError, match="must be an xarray DataArray, got ndarray"):
        map_uncertainty(p.values)
    with pytest.raises(ValueError, match=r"dimensions \('target', 'y', 'x'\), expected class"):
        map_uncertainty(p.rename({"class": "target"}))
    with pytest.raises(ValueError, match="two classes or more"):
        map_uncertainty(p[:1])
    with pytest.raises(TypeError, match="floating point, got dtype int"):
        map_uncertainty(p.astype(int))
    with pytest.raises(ValueError, match="between 0 and 1, got 50 to 50"):
        map_uncertainty(p * 100)
    with pytest.raises(ValueError, match="between 0 and 1, got -0.5 to -0.5"):
        map_uncertainty(-p.chunk(x=2))["entropy"].compute()

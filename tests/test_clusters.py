"""Searches and maps on the processes of a cluster give what they give here."""

import joblib
import numpy as np
import pytest
import skops.io
import xarray as xr
from distributed import Client, LocalCluster
from numpy.testing import assert_array_equal
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_sits import LinearInterpolator, MTANSVGPClassifier
from sklearn_sits.__main__ import main
from sklearn_sits.datasets import make_sits
from sklearn_sits.raster import open_map, predict_raster, write_map

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def data():
    return make_sits(120, 12, 3, 3, positions=False, random_state=0)


MODELS = {
    "mtan": MTANSVGPClassifier(
        max_iter=3,
        n_reference_dates=4,
        time_embedding_dim=8,
        n_components=8,
        n_hidden=16,
        n_inducing=5,
        random_state=0,
        device="cpu",
    ),
    "forest": make_pipeline(LinearInterpolator(), RandomForestClassifier(5, random_state=0)),
}
GRIDS = {
    "mtan": {"learning_rate": [1e-3, 1e-2]},
    "forest": {"randomforestclassifier__max_depth": [2, 4]},
}


@pytest.mark.parametrize("name", MODELS)
def test_searches(cluster, data, name):
    X, y = data
    model, options = MODELS[name], {"cv": 3, "scoring": "neg_log_loss"}
    scores = cross_val_score(model, X, y, **options)
    search = GridSearchCV(model, GRIDS[name], **options).fit(X, y)
    with Client(cluster), joblib.parallel_config(backend="dask", scatter=[X]):
        np.testing.assert_allclose(cross_val_score(model, X, y, **options), scores, rtol=1e-6)
        other = GridSearchCV(model, GRIDS[name], **options).fit(X, y)
    expected = search.cv_results_["mean_test_score"]
    np.testing.assert_allclose(other.cv_results_["mean_test_score"], expected, rtol=1e-6)
    assert other.best_params_ == search.best_params_
    assert_array_equal(other.predict(X), search.predict(X))


@pytest.mark.parametrize("name", MODELS)
def test_maps(cluster, data, name, tmp_path):
    X, y = data
    model = MODELS[name].fit(X, y)
    trained = model[0] if name == "forest" else model
    time = np.linspace(*trained.date_range_, 9).astype("datetime64[D]")
    low, high = trained.value_range_.T[..., None, None, None].astype(np.float32)
    values = np.random.default_rng(0).random((3, len(time), 6, 8), dtype=np.float32)
    values = low + (high - low) * values
    coords = {"time": time.astype("datetime64[ns]"), "y": np.arange(6), "x": np.arange(8)}
    cube = xr.DataArray(values, coords, ("band", "time", "y", "x"), name="reflectance")
    cube.to_dataset().to_zarr(tmp_path / "cube.zarr", zarr_format=2, consolidated=True)
    raster = predict_raster(model, cube.chunk(x=3, y=3), method="predict_proba")
    expected = raster.compute()
    with Client(cluster):
        written = write_map(raster, tmp_path / "map.zarr", progress=False)
        np.testing.assert_allclose(written, expected, rtol=3e-6)
    skops.io.dump(model, tmp_path / "model.skops")
    command = ["map", "--model", tmp_path / "model.skops", "--cube", tmp_path / "cube.zarr"]
    command += ["--out", tmp_path / "other.zarr", "--method", "predict_proba", "--chunk", "4"]
    command += ["--scheduler", cluster.scheduler_address, "--quiet"]
    command += ["--trust", "sklearn.tree._tree.Tree"]
    main([str(part) for part in command])
    np.testing.assert_allclose(open_map(tmp_path / "other.zarr"), expected, rtol=3e-6)

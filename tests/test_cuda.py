"""What a GPU fits and predicts, against the CPU."""

import dask
import numpy as np
import pytest
import torch
import xarray as xr
from numpy.testing import assert_allclose
from sklearn.frozen import FrozenEstimator

from sklearn_sits import (
    MTANEncoder,
    MTANMLPClassifier,
    MTANSVGPClassifier,
    PhenologyVAERegressor,
    ProsailVAERegressor,
    SVGPClassifier,
    load_prosail_vae,
)
from sklearn_sits.datasets import make_phenology, make_prosail, make_sits
from sklearn_sits.raster import predict_raster

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

TOLERANCE = {np.float32: 1e-4, np.float64: 1e-9}


@pytest.fixture(scope="module")
def series():
    return make_sits(1500, 24, 3, 3, random_state=0, positions=False, dtype=np.float64)


def pairs(model, X, methods):
    """Predictions on both devices."""
    for method in methods:
        on_gpu = getattr(model.set_params(device="cuda"), method)(X)
        on_cpu = getattr(model.set_params(device="cpu"), method)(X)
        yield on_gpu, on_cpu


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cls", [MTANSVGPClassifier, MTANMLPClassifier])
def test_classifiers_of_series(series, cls, dtype):
    X, y = series
    X = X.astype(dtype)
    model = cls(device="cuda", max_iter=10, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.8
    for on_gpu, on_cpu in pairs(model, X, ["predict_proba", "transform"]):
        assert on_gpu.dtype == dtype
        assert_allclose(on_gpu, on_cpu, rtol=0, atol=10 * TOLERANCE[dtype])


# Some of the series have fewer than two dates.
@pytest.mark.filterwarnings("ignore:.*fewer than two observed dates:UserWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_encoder(series, dtype):
    X, y = series
    X = X.astype(dtype)
    noise = {"date_dropout": 0.2, "band_dropout": 0.1, "date_shift": 5.0}
    options = {"max_iter": 100, "early_stopping": True, "random_state": 0, **noise}
    encoder = MTANEncoder(device="cuda", **options).fit(X)
    for on_gpu, on_cpu in pairs(encoder, X, ["transform"]):
        assert on_gpu.dtype == dtype
        assert_allclose(on_gpu, on_cpu, rtol=0, atol=10 * TOLERANCE[dtype])
    model = MTANSVGPClassifier(
        encoder=FrozenEstimator(encoder), n_members=2, device="cuda", max_iter=5, random_state=0
    ).fit(X[:300], y[:300])
    assert model.score(X, y) > 0.7
    for on_gpu, on_cpu in pairs(model, X, ["predict_proba", "transform", "predict_latent"]):
        assert on_gpu.dtype == dtype
        assert_allclose(on_gpu, on_cpu, rtol=0, atol=50 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_classifier_of_features(dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 4)).astype(dtype)
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    model = SVGPClassifier(device="cuda", random_state=0).fit(X, y)
    assert model.score(X, y) > 0.8
    for on_gpu, on_cpu in pairs(model, X, ["predict_proba", "predict_latent"]):
        assert_allclose(on_gpu, on_cpu, rtol=0, atol=10 * TOLERANCE[dtype])


@pytest.mark.parametrize("objective", ["hybrid", "simulations"])
def test_traits(objective):
    X, y = make_prosail(600, targets=["LAI"], random_state=0)
    options = {"pretrain_iter": 300, "max_iter": 5, "n_simulations": 5000, "random_state": 0}
    model = ProsailVAERegressor(objective=objective, device="cuda", **options).fit(X)
    for on_gpu, on_cpu in pairs(model, X, ["predict", "transform", "predict_interval"]):
        assert_allclose(on_gpu, on_cpu, rtol=1e-7, atol=1e-7)
    assert np.corrcoef(model.predict(X), y[:, 0])[0, 1] > 0.5


def test_traits_of_series():
    X, _ = make_prosail(60, targets=["LAI"], random_state=0)
    days = np.tile(10.0 * np.arange(6)[:, None], (10, 1, 1))
    X = np.concatenate([days, X.reshape(10, 6, -1)], axis=2)
    X[2, 3, 1:] = np.nan
    model = load_prosail_vae()
    model.time_scale_ = 30.0
    for on_gpu, on_cpu in pairs(model, X, ["predict", "predict_interval"]):
        assert_allclose(on_gpu, on_cpu, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("n_seasons", [1, 2])
def test_phenology(n_seasons):
    X, _ = make_phenology(300, n_seasons=n_seasons, random_state=0)
    settings = {"device": "cuda", "pretrain_iter": 100, "random_state": 0}
    model = PhenologyVAERegressor(n_seasons=n_seasons, **settings).fit(X)
    methods = ["predict", "transform", "predict_interval", "quality"]
    for on_gpu, on_cpu in pairs(model, X, methods):
        assert_allclose(on_gpu, on_cpu, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_map(series, scheduler):
    X, y = series
    n_bands, n_dates = X.shape[2] - 1, 24
    model = MTANSVGPClassifier(device="cuda", max_iter=5, random_state=0)
    days = np.nanmin(X[..., 0]) + 15.0 * np.arange(n_dates)
    values = np.random.default_rng(0).random((n_bands, n_dates, 70, 90), dtype=np.float32)
    time = np.datetime64("1970-01-01", "ns") + (days * 86400e9).astype("timedelta64[ns]")
    cube = xr.DataArray(values, {"time": time}, ("band", "time", "y", "x"))
    model.fit(X, y)
    whole = predict_raster(model, cube, method="predict_proba")
    with dask.config.set(scheduler=scheduler, num_workers=4):
        chunked = predict_raster(model, cube.chunk(y=20, x=30), method="predict_proba").compute()
    assert_allclose(chunked, whole, rtol=0, atol=1e-4)
    on_cpu = predict_raster(model.set_params(device="cpu"), cube, method="predict_proba")
    assert_allclose(whole, on_cpu, rtol=0, atol=1e-4)

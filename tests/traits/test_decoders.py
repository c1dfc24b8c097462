import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from regressor_contracts import check_unchanged
from spectra import BANDS, make, results, to_series

from sklearn_sits.datasets import make_prosail
from sklearn_sits.nn.calibrated_encoder import CalibratedEncoder
from sklearn_sits.physics import Sensor

forward = CalibratedEncoder.forward

# Trainings of a few steps.
pytestmark = pytest.mark.filterwarnings(r"ignore:Training \d of at most 3 collapsed:UserWarning")


@pytest.mark.parametrize(
    ("sensor", "bands"),
    [
        ("Landsat-8", None),
        ("MODIS-Terra", ["B1", "B2"]),
        ("Sentinel-2A", ["B8", "B4", "B11"]),
        (Sensor.load("Sentinel-2B"), None),
        (Sensor.load("Sentinel-2B"), ("B4", "B8A")),
    ],
)
def test_sensors(sensor, bands):
    X, _ = make_prosail(50, sensor=sensor, bands=bands, random_state=0)
    model = make(sensor=sensor, bands=bands).fit(X)
    assert np.isfinite(results(model, X)).all()
    assert model.reconstruct(X).shape == (50, X.shape[1] - 3)
    if bands is not None:
        assert model.sensor_.bands == tuple(bands)
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(results(loaded, X), results(model, X))


def test_without_sensor():
    X = np.random.default_rng(0).uniform(0.1, 0.4, size=(50, 5))
    model = make(sensor=None, objective="simulations").fit(X)
    assert np.isfinite(results(model, X)).all()
    assert model.sensor_.bands == ("1", "2", "3", "4", "5")
    packed = to_series(X, 5)
    found = make(sensor=None, objective="simulations").fit(packed).predict(packed)
    assert_allclose(found[:, :-1].ravel(), model.predict(X), rtol=1e-12)


def encode_nothing(module, spectra, angles):
    """Return distributions that do not depend on the spectra."""
    return forward(module, torch.full_like(spectra, 0.2), angles)


def test_excluded_bands_are_not_reconstructed(data, monkeypatch):
    """What they hold is an input, and no part of the loss."""
    X, _ = data
    # The encoder sees the same input, so that only the loss can tell.
    monkeypatch.setattr(CalibratedEncoder, "forward", encode_nothing)
    excluded = ["B2", "B12"]
    other = X.copy()
    other[:, [0, 9]] = X[::-1][:, [0, 9]]
    settings = {"objective": "self-supervised", "max_iter": 1, "pretrain_iter": 1}
    losses = {}
    for name, part in (("own", X), ("other", other)):
        for bands in ([], excluded):
            model = make(**settings, excluded_bands=bands).fit(part)
            losses[name, len(bands)] = model.history_[-1]["reconstruction"]
    assert losses["own", 2] == losses["other", 2]
    assert losses["own", 0] != losses["other", 0]


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"bands": ["B4", "B99"]}, "bands must be of"),
        ({"bands": ["B4", "B4"]}, "bands must have names, all different"),
        ({"bands": "B4"}, "'bands' parameter"),
        ({"sensor": "Sentinel-9"}, "sensor must be one of .'Sentinel-2A'"),
        ({"sensor": 2}, "'sensor' parameter"),
        ({"excluded_bands": BANDS}, "excluded_bands leaves no band"),
        ({"excluded_bands": "B2"}, "'excluded_bands' parameter"),
        ({"excluded_bands": ["B02"]}, r"excluded_bands must be among .* \['B02'\]"),
        ({"decoder": "PROSAIL"}, "'decoder' parameter"),
        ({"quadrature": 0}, "'quadrature' parameter"),
        ({"quadrature": "coarse"}, "'quadrature' parameter"),
    ],
)
def test_bad_parameter(data, parameters, match):
    check_unchanged(make(**parameters), data[0], match)

import pickle
from importlib.resources import files

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_sits import load_prosail_vae
from sklearn_sits.datasets import make_prosail
from sklearn_sits.physics import Sensor
from sklearn_sits.traits import _build_weights, pretrained
from sklearn_sits.traits.shipped import SHIPPED, TrainedSensor

TARGETS = ["LAI", "CCC"]


@pytest.mark.parametrize(("sensor", "bands"), SHIPPED)
def test_shipped_weights(sensor, bands):
    few = bands is not None and len(bands) == 4
    bounds = {"mixed": [1.4, 90] if few else [1.2, 62], "paper": [1.5, 100] if few else [1.3, 80]}
    model = load_prosail_vae(sensor, bands, targets=TARGETS)
    for variables, largest in bounds.items():
        X, y = make_prosail(
            3000,
            sensor=sensor,
            bands=bands,
            variables=variables,
            targets=TARGETS,
            random_state=123,
        )
        low, high = model.predict_interval(X)
        inside = ((y >= low) & (y <= high)).mean(0)
        assert (inside > 0.93).all(), (variables, inside)
        # As wide as the type of canopy with the largest errors needs them.
        assert (inside < 0.985).all(), (variables, inside)
        rmse = np.sqrt(np.mean((model.predict(X) - y) ** 2, axis=0))
        assert (rmse < largest).all(), (variables, rmse)


def test_size():
    folder = files("sklearn_sits.traits") / "weights"
    names = {file.name for file in folder.iterdir() if file.name.endswith(".npz")}
    assert names == {trained.file_name for trained in SHIPPED}
    sizes = [len((folder / name).read_bytes()) for name in names]
    assert max(sizes) < 200_000
    assert sum(sizes) < 2_000_000


def test_behaves_as_fitted():
    X, _ = make_prosail(20, random_state=0)
    model = load_prosail_vae(time_scale=30.0)
    assert model.n_features_in_ == 13
    assert model.n_iter_ == model.pretrain_iter
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    series = np.concatenate([np.arange(20.0)[:, None], X], axis=1)[None]
    assert model.predict(series).shape == (1, 20)
    with pytest.raises(ValueError, match="X has 12 features"):
        model.predict(X[:, 1:])


@pytest.mark.parametrize(
    ("sensor", "bands", "match"),
    [
        (
            "Landsat-8",
            ["B4"],
            r"the bands B4 of Landsat-8, .* ProsailVAERegressor\(sensor='Landsat-8', bands=",
        ),
        ("Sentinel-2A", ["B4"], r"the bands B4 of .*\(sensor='Sentinel-2A', bands=\['B4'\], obj"),
        ("Sentinel-2A", ["B3", "B2", "B4", "B8"], "order B2 B3 B4 B8 of the weights, got B3 B2"),
        ("Sentinel-2A", "B4", "bands must be a sequence of names"),
        ("sentinel 2a", None, "sensor must be one of .* Did you mean 'Sentinel-2A'"),
    ],
)
def test_unknown(sensor, bands, match):
    with pytest.raises(ValueError, match=match):
        load_prosail_vae(sensor, bands)


def test_other_spelling():
    model = load_prosail_vae(bands=["B02", "B03", "b4", "B08"])
    assert model.feature_names_in_.tolist()[:5] == ["B2", "B3", "B4", "B8", "sun_zenith"]


def test_other_spelling_where_training_starts():
    expected = TrainedSensor.find("Sentinel-2A", ["B2", "B3", "B4", "B8"])
    assert TrainedSensor.find("Sentinel-2A", ["B02", "B03", "b4", "B08"]) == expected is not None


@pytest.mark.parametrize("targets", ["lai", ["LAI", "CCc"]])
def test_unknown_target(targets):
    with pytest.raises(ValueError, match="targets must be .* Did you mean '(LAI|CCC)'"):
        load_prosail_vae(targets=targets)


def test_all_bands_by_name():
    X, _ = make_prosail(20, random_state=0)
    bands = Sensor.load("Sentinel-2A").bands
    assert_array_equal(load_prosail_vae(bands=bands).predict(X), load_prosail_vae().predict(X))


@pytest.mark.filterwarnings(r"ignore:Training \d of at most 3 collapsed:UserWarning")
def test_weights_can_be_built_again(monkeypatch):
    expected = set(load_prosail_vae().state_)
    quick = {"objective": "simulations", "n_simulations": 500, "pretrain_iter": 5}
    monkeypatch.setattr(pretrained, "_PARAMETERS", quick | {"random_state": 0, "n_hidden": 8})
    state = _build_weights.build(TrainedSensor("Sentinel-2A", ("B2", "B3", "B4", "B8")))
    assert set(state) == expected
    assert state["encoder.first.weight"].shape == (8, 7)

"""A part is added from outside of the package, in at most 40 lines.

The code of each section is that of docs/extending.md, with other numbers where time matters.
"""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_sits import ProsailVAERegressor
from sklearn_sits.classifiers import BaseMTANClassifier
from sklearn_sits.datasets import make_prosail, make_sits
from sklearn_sits.nn.heads import Head
from sklearn_sits.physics import (
    Prior,
    Prosail,
    RadiativeTransferModel,
    Sensor,
    Trait,
    Variable,
)

QUICK = {
    "priors": "paper",
    "objective": "simulations",
    "n_simulations": 4000,
    "n_hidden": 32,
    "pretrain_iter": 400,
    "batch_size": 32,
    "learning_rate": 2e-3,
    "random_state": 0,
    "device": "cpu",
}

# A classifier head


class PrototypeHead(Head):
    """Softmax of the squared distances to one learned prototype per class."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.prototypes = torch.nn.Parameter(torch.zeros(n_classes, n_features))

    def reset(self, z, labels, weight, generator):
        for k in labels.unique():
            self.prototypes.data[k] = z[labels == k].mean(0)

    def predict_log_proba(self, z):
        return (-((z[:, None] - self.prototypes) ** 2).mean(2)).log_softmax(1)

    def nll(self, z, labels):
        return -self.predict_log_proba(z).gather(1, labels[:, None])[:, 0]


class MTANPrototypeClassifier(BaseMTANClassifier):
    def _make_head(self, params, n_features, n_classes):
        return PrototypeHead(n_features, n_classes)


def test_classifier_head():
    X, y = make_sits(600, 40, 4, 3, random_state=0)
    clf = MTANPrototypeClassifier(position_channels=(-2, -1), random_state=0, device="cpu")
    assert clone(clf).fit(X[:400], y[:400]).score(X[400:], y[400:]) > 0.85
    search = GridSearchCV(clf, {"max_iter": np.arange(1, 3)}, cv=2).fit(X[:400], y[:400])
    probabilities = search.predict_proba(X)
    assert_allclose(probabilities.sum(axis=1, dtype=float), 1, rtol=0, atol=1.5e-8)
    loaded = pickle.loads(pickle.dumps(search.best_estimator_))
    assert_array_equal(loaded.predict_proba(X), probabilities)


# A sensor


def make_camera():
    """Return a camera with five bands of Gaussian responses."""
    wavelengths = np.arange(400.0, 901.0, 2.0)  # nm
    centre = np.array([475, 560, 668, 717, 842])[:, None]
    width = np.array([32, 27, 14, 12, 57])[:, None]  # full width at half maximum, nm
    responses = np.exp(-4 * np.log(2) * ((wavelengths - centre) / width) ** 2)
    names = ["blue", "green", "red", "red edge", "nir"]
    return Sensor.from_responses(wavelengths, responses, names, name="drone")


def test_sensor():
    camera = make_camera()
    X, y = make_prosail(400, sensor=camera, targets=["LAI"], as_frame=True, random_state=1)
    assert X.columns[:5].tolist() == list(camera.bands)
    model = ProsailVAERegressor(sensor=camera, **QUICK).fit(X)
    lai, std = model.predict(X, return_std=True)
    assert np.corrcoef(lai, y["LAI"])[0, 1] > 0.7
    assert (std > 0).all()
    assert model.sensor_.bands == camera.bands
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(loaded.predict(X), lai)


# A derived trait


def canopy_carotenoids(model, variables, geometry):
    """Multiply carotenoids per leaf area by the leaf area per ground area."""
    return variables[..., 6] * variables[..., 2]


class CarotenoidProsail(Prosail):
    """PROSAIL that reports the carotenoids of the canopy, too."""

    derived = (
        *Prosail.derived,
        Trait("CCarC", "µg/cm²", canopy_carotenoids, "canopy carotenoid content"),
    )


def test_derived_trait():
    X, y = make_prosail(400, targets=["LAI", "Car"], random_state=1)
    targets = ["CCarC", "LAI", "Car", "fAPAR"]
    model = ProsailVAERegressor(targets, decoder=CarotenoidProsail(quadrature=1), **QUICK).fit(X)
    assert model.units_["CCarC"] == "µg/cm²"
    assert model.get_feature_names_out()[-2:].tolist() == ["fCover", "CCarC"]
    assert np.corrcoef(model.predict(X)[:, 0], y.prod(1))[0, 1] > 0.7
    content, lai, car, fapar = np.moveaxis(model.sample(X, 50, random_state=0), -1, 0)
    assert_allclose(content, lai * car)
    assert ((fapar >= 0) & (fapar <= 1)).all()
    # Among the draws of a spectrum, more leaves absorb more, unless they are brown.
    assert np.corrcoef(lai[:, 0], fapar[:, 0])[0, 1] > 0.2
    lower, upper = model.predict_interval(X)
    inside = (lower[:, 0] <= y.prod(1)) & (y.prod(1) <= upper[:, 0])
    assert 0.9 < inside.mean() < 0.99


# Another radiative transfer model


class Layer(RadiativeTransferModel):
    """Leaves that hide a soil, by the law of Beer and Lambert."""

    variables = (
        Variable("LAI", "m²/m²", 0.0, 4.0, "leaf area index"),
        Variable("Cab", "µg/cm²", 10.0, 80.0, "leaf chlorophyll"),
        Variable("soil", "", 0.05, 0.35, "reflectance of the soil"),
    )
    priors = {variable.name: Prior.uniform(*variable[2:4]) for variable in variables}
    bands = ("green", "red", "nir")
    geometry = (Variable("sun zenith", "°", 0.0, 70.0, "angle of the sun from the zenith"),)
    nominal_geometry = (35.0,)

    def forward(self, variables, geometry, *, check=True):
        """See :class:`RadiativeTransferModel`."""
        lai, cab, soil = variables.unsqueeze(-1).unbind(-2)
        leaf = 0.5 * torch.exp(-cab * torch.tensor([0.02, 0.04, 0.0]).to(variables))
        sun = torch.cos(torch.deg2rad(geometry))
        return torch.lerp(leaf, soil, torch.exp(-0.5 * lai / sun))


def simulate(model, n, seed):
    """Return spectra with noise and the sun zenith, and the variables."""
    generator = torch.Generator().manual_seed(seed)
    variables = model.sample_variables(n, model.priors, generator)
    geometry = model.sample_geometry(n, generator)
    noise = 0.005 * torch.randn(n, len(model.bands), generator=generator)
    return torch.cat([model(variables, geometry) + noise, geometry], 1).numpy(), variables.numpy()


def test_radiative_transfer_model():
    X, y = simulate(Layer(), 1000, seed=1)
    model = ProsailVAERegressor(["LAI", "Cab", "soil"], decoder=Layer(), **QUICK).fit(X)
    for one, other in zip(model.predict(X).T, y.T, strict=True):
        assert np.corrcoef(one, other)[0, 1] > 0.3
    assert np.corrcoef(model.predict(X)[:, 0], y[:, 0])[0, 1] > 0.9
    lower, upper = model.predict_interval(X)
    coverage = ((lower <= y) & (y <= upper)).mean(0)
    assert ((coverage > 0.9) & (coverage < 0.99)).all(), coverage
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(loaded.predict(X), model.predict(X))


# The other objectives and formats with that model, and a model without angles


class Nadir(Layer):
    """The same layer under a sun that does not move."""

    geometry, nominal_geometry = (), ()
    derived = (Trait("CCC", "µg/cm²", lambda model, v, geometry: v[..., 0] * v[..., 1]),)

    def forward(self, variables, geometry, *, check=True):
        """See :class:`RadiativeTransferModel`."""
        return super().forward(variables, variables.new_tensor([35.0]))


@pytest.mark.parametrize("decoder", [Layer(), Nadir()])
def test_hybrid_and_series(decoder):
    X, y = simulate(decoder, 300, seed=1)
    parameters = QUICK | {"objective": "hybrid", "max_iter": 20}
    model = ProsailVAERegressor(decoder=decoder, n_mc_samples=4, **parameters).fit(X)
    assert np.corrcoef(model.predict(X), y[:, 0])[0, 1] > 0.6
    assert model.reconstruct(X).shape == (300, 3)
    model.time_scale_ = 30.0
    series = np.concatenate([np.tile(np.arange(5.0), 60)[:, None], X], 1).reshape(60, 5, -1)
    series[:, 2, 1:] = np.nan
    assert np.isfinite(model.predict(series)).all()
    assert model.sample(series, 3).shape == (3, 60, 5)
    with pytest.raises(ValueError, match=r"X has \d columns .*: the bands green, red, nir"):
        ProsailVAERegressor(decoder=decoder, **parameters).fit(X[:, 1:])


def test_every_part_takes_at_most_40_lines():
    text = Path(__file__).read_text("utf-8")
    sections = re.split(
        r"^# (A classifier head|A sensor|A derived trait|Another .*|The other .*)$",
        text,
        flags=re.M,
    )
    assert len(sections) == 11
    for title, section in zip(sections[1:8:2], sections[2:9:2], strict=True):
        lines = [line for line in section.splitlines() if line.strip()]
        assert len(lines) <= 40, (title, len(lines))

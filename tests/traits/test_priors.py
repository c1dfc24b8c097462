import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from regressor_contracts import check_unchanged
from spectra import NAN, make

from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.physics.variables import SIMULATION_PRIORS, Prior

# Trainings of a few steps.
pytestmark = pytest.mark.filterwarnings(r"ignore:Training \d of at most 3 collapsed:UserWarning")


@pytest.mark.parametrize("lai", [Prior(1.0, 1.0, 0.5, 2.0, 0.5, 2.0), Prior(3, np.inf, 1, 5, 1, 5)])
def test_priors(data, lai):
    X, _ = data
    settings = {"targets": ["LAI", "CCC", "Cab"], "objective": "simulations"}
    model = make(priors={"LAI": lai}, **settings).fit(X)
    mean, std = model.predict(X, return_std=True)
    lower, upper = model.predict_interval(X, 0.999)
    for values in (lower, mean, upper):
        assert (values >= [lai.low, lai.low * 20, 20]).all()
        assert (values <= [lai.high, lai.high * 90, 90]).all()
    assert (std > 0).all()
    bounds = make(priors={"LAI": (1, 5)}, **settings).fit(X)
    uniform = make(priors={"LAI": Prior.uniform(1, 5)}, **settings).fit(X)
    assert_array_equal(bounds.predict(X), uniform.predict(X))
    paper = make(priors=SIMULATION_PRIORS).fit(X)
    assert_array_equal(paper.predict(X), make(priors="paper").fit(X).predict(X))


def test_named_priors(data):
    X, _ = data
    settings = {"targets": ["LAI", "Cbrown"], "objective": "simulations"}
    bounds = {
        name: make(priors=name, **settings).fit(X)._highest[[3, 6]].tolist()
        for name in ("paper", "crops", "forest", "mixed")
    }
    assert bounds["paper"] == [2, 15]
    assert_allclose(bounds["crops"], [0.4, 15], rtol=1e-6)
    assert_allclose(bounds["forest"], [0.6, 9], rtol=1e-6)
    # Of all types in it.
    assert_allclose(bounds["mixed"], [1.5, 15], rtol=1e-6)
    two = make(priors=["crops", "forest"], **settings).fit(X)
    assert_allclose(two._highest[[3, 6]], [0.6, 15], rtol=1e-6)
    one = make(priors=["crops"], **settings).fit(X)
    assert_array_equal(one.predict(X), make(priors="crops", **settings).fit(X).predict(X))


def test_geometry(data):
    X, _ = data
    model = make(objective="simulations", geometry={"view zenith": (40.0, 60.0)})
    simulator = model.fit(X)._prepare(model._decoder)
    _, angles, _ = simulator.draw(50, None, torch.Generator().manual_seed(0))
    assert angles[:, 1].min() >= 40
    # Simulations may take the angles of X whatever the objective.
    X = X.copy()
    X[:, 10] = 5.0
    own = make(objective="simulations", geometry="X").fit(X)
    found = own.predict(X)
    with pytest.warns(DataQualityWarning, match="400 spectra have angles outside"):
        other = make(objective="simulations").fit(X).predict(X)
    assert not np.array_equal(found, other)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"priors": {"lai": SIMULATION_PRIORS["LAI"]}}, "priors must name some of .* got .'lai'"),
        ({"priors": {"LAI": (2, 3, 0, 15, 0, 15)}}, "priors must hold objects of Prior"),
        ({"priors": {"LAI": Prior(2, 3, 5, 1, 0, 15)}}, "ascending bounds of LAI within 0 and 15"),
        ({"priors": {"LAI": Prior(2, 3, 0, 20, 0, 15)}}, "ascending bounds of LAI within 0 and 15"),
        ({"priors": {"Cm": Prior(0, 1, 0, NAN, 0, 0.05)}}, "ascending bounds of Cm"),
        ({"priors": {"LAI": Prior(2, 0, 0, 15, 0, 15)}}, "positive standard deviations"),
        ({"priors": {"LAI": Prior(NAN, 1, 0, 15, 0, 15)}}, "finite means"),
        ({"priors": {"LAI": (5, 1)}}, "ascending bounds of LAI within 0 and 15"),
        (
            {"priors": "papaya"},
            "'priors' parameter must be a mapping or among .*'paper', 'mixed', 'crops'",
        ),
        ({"priors": ["crops", "weeds"]}, r"'priors' parameter must be .* got \['weeds'\]"),
        ({"priors": []}, "'priors' parameter must be .* got an empty sequence"),
        ({"geometry": "nadir"}, "'geometry' parameter"),
        ({"geometry": {"sun": (0, 10)}}, r"geometry must name some of .* got \['sun'\]"),
        ({"geometry": {"view zenith": (10, 5)}}, "ascending bounds of view zenith within 0 and 85"),
        ({"geometry": {"view zenith": 5}}, "ascending bounds of view zenith within 0 and 85"),
    ],
)
def test_bad_parameter(data, parameters, match):
    check_unchanged(make(**parameters), data[0], match)

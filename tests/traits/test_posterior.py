import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from spectra import NAN, TRAINED, TRAITS, distort, make

from sklearn_sits import ProsailVAERegressor, reconstruction_score
from sklearn_sits.datasets import make_prosail
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.traits.posterior import TraitPosterior

# Trainings of a few steps.
pytestmark = pytest.mark.filterwarnings(r"ignore:Training \d of at most 3 collapsed:UserWarning")


# Uncertainty


def test_intervals(trained, data):
    X, y = data
    mean, std = trained.predict(X, return_std=True)
    assert (std > 0).all()
    assert_array_equal(mean, trained.predict(X))
    intervals = [trained.predict_interval(X, coverage) for coverage in (0.5, 0.8, 0.95)]
    for (lower, upper), (outer_lower, outer_upper) in zip(intervals, intervals[1:], strict=False):
        assert (outer_lower <= lower).all()
        assert (lower < upper).all()
        assert (upper <= outer_upper).all()
    lower, upper = trained.predict_interval(X)
    assert_array_equal(lower, intervals[-1][0])
    assert lower.min() >= 0
    assert (upper.max(0) <= [15, 15 * 90]).all()
    assert ((lower <= mean) & (mean <= upper)).mean() > 0.99
    inside = ((lower <= y) & (y <= upper)).mean(0)
    assert (inside > 0.9).all(), inside
    assert (inside < 0.99).all(), inside


@pytest.mark.slow
def test_coverage_of_default_settings():
    X, y = make_prosail(5000, targets=["LAI", "CCC"], random_state=7)
    model = ProsailVAERegressor(
        ["LAI", "CCC"], objective="simulations", random_state=0, device="cpu"
    ).fit(X[:100])
    lower, upper = model.predict_interval(X)
    coverage = ((lower <= y) & (y <= upper)).mean(0)
    assert (coverage > 0.93).all(), coverage
    assert (coverage < 0.97).all(), coverage


def test_misfit_widens(trained, fitted, data, monkeypatch):
    X, _ = data
    assert 0.9 < trained.misfit_ < 1.2
    wrong = distort(X)
    with monkeypatch.context() as patch:
        patch.setattr(
            TraitPosterior, "misfit", property(lambda self: torch.ones_like(self.loc[:, 0]))
        )
        alone = [trained.predict(part, return_std=True)[1] for part in (X, wrong)]
        inner = [trained.predict_interval(part) for part in (X, wrong)]
    factors = [
        trained.predict(part, return_std=True)[1] / std
        for part, std in zip((X, wrong), alone, strict=True)
    ]
    assert_allclose(np.median(factors[0]), 1, rtol=0.05)
    assert (factors[1] > 1.5).mean() > 0.99
    # One factor of a spectrum for all of its targets.
    assert_allclose(factors[1][:, 0], factors[1][:, 1])
    lower, upper = trained.predict_interval(wrong)
    assert (lower <= inner[1][0] + 1e-9).all()
    assert (upper >= inner[1][1] - 1e-9).all()
    assert make(objective="simulations").fit(wrong).misfit_ > 1.5


def test_calibration_by_simulations(data):
    """Spectra alone narrow the distributions, which are widened again."""
    X, y = data
    model = make(**{**TRAINED, "objective": "self-supervised", "max_iter": 100}).fit(X)
    lai = TRAITS.index("LAI")
    ratio = model._apply([X[:, :10], X[:, 10:]], lambda posterior, _: posterior.width_factor([lai]))
    assert ratio.mean() > 1.1
    lower, upper = model.predict_interval(X)
    assert 0.9 < ((lower <= y[:, 0]) & (y[:, 0] <= upper)).mean() < 0.99


# Clouds


def test_spectra_with_nan(trained, data):
    X, _ = data
    holes = X[:10].copy()
    holes[2, 4] = holes[6, 12] = NAN
    seen = ~np.isnan(holes).any(1)
    with pytest.warns(DataQualityWarning, match="2 of 10 spectra have NaN") as caught:
        mean, std = trained.predict(holes, return_std=True)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert np.isnan(mean[~seen]).all()
    assert np.isnan(std[~seen]).all()
    assert_allclose(mean[seen], trained.predict(X[:10])[seen], rtol=1e-12)
    with pytest.warns(UserWarning, match="2 of 10 spectra"):
        model = make().fit(holes)
    assert_array_equal(model.predict(X), make().fit(holes[seen]).predict(X))
    with pytest.warns(UserWarning, match="2 of 10 spectra"):
        score = reconstruction_score(trained, holes)
    assert_allclose(score, reconstruction_score(trained, holes[seen]))

"""Flags of seasons, and distributions that know their residuals."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from seasons import NAN, make_doubles, make_flat

from sklearn_sits.datasets import make_phenology
from sklearn_sits.phenology.quality import QUALITY_FLAGS
from sklearn_sits.physics.double_logistic import double_logistic

SEASON = torch.tensor([0.2, 0.8, 90.0, 130.0, 220.0, 270.0], dtype=torch.float64)


def flagged(model, X, name):
    return (model.quality(X) & QUALITY_FLAGS[name]) > 0


def one_season(days, noise=0.01, n_series=20):
    """Return series of the season above with observations on some days."""
    X = np.empty((n_series, len(days), 2))
    X[..., 0] = days
    noise = noise * np.random.default_rng(0).normal(size=X.shape[:2])
    X[..., 1] = double_logistic(SEASON, torch.from_numpy(days).double()).numpy() + noise
    return X


def test_seasons_are_not_flagged(trained):
    X = one_season(np.arange(0, 365, 10))
    flags = trained.quality(X)
    assert flags.dtype == np.int32
    assert trained.quality_flags_ == QUALITY_FLAGS
    assert_array_equal(flags, 0)
    X, _ = make_phenology(1000, random_state=8)
    wrong = sum(QUALITY_FLAGS[name] for name in ("no_season", "several_seasons", "misfit"))
    assert ((trained.quality(X) & wrong) > 0).mean() < 0.05


@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_no_season(trained, noise):
    X = make_flat(300, noise)
    assert flagged(trained, X, "no_season").mean() > 0.95
    assert flagged(trained, X, "several_seasons").mean() < 0.02


def test_several_seasons(trained):
    X, _ = make_doubles(gaps=0.3)
    several = flagged(trained, X, "several_seasons")
    assert several.mean() > 0.8
    assert not (several & flagged(trained, X, "no_season")).any()


def test_badly_seen(trained):
    days = np.arange(0, 365, 10)
    for part in (days[days > 160], days[days < 200], days[::9]):
        assert flagged(trained, one_season(part), "badly_seen").mean() > 0.9
    X, y = make_phenology(1000, random_state=8)
    error = np.abs(trained.predict(X) - y)[:, 2:].mean(1)
    badly = flagged(trained, X, "badly_seen")
    assert error[badly].mean() > 1.2 * error[~badly].mean()


def test_extrapolated(trained):
    days = np.arange(0, 365, 10)
    late, early = one_season(days[days > 100]), one_season(days[days < 240])
    assert flagged(trained, late, "extrapolated_start").mean() > 0.9
    assert not flagged(trained, late, "extrapolated_end").any()
    assert flagged(trained, early, "extrapolated_end").mean() > 0.9
    assert not flagged(trained, early, "extrapolated_start").any()
    # The truth, in simulations.
    X, y = make_phenology(1000, random_state=8)
    last = np.where(np.isnan(X[..., 1]), -np.inf, X[..., 0]).max(1)
    after = flagged(trained, X, "extrapolated_end")
    assert (after == (y[:, 5] > last)).mean() > 0.9


def test_not_observed(trained, data):
    X = data[0][:10].copy()
    X[3, :, 1] = NAN
    with pytest.warns(UserWarning, match="1 of 10"):
        flags = trained.quality(X)
    assert flags[3] == QUALITY_FLAGS["not_observed"]
    assert_array_equal(np.delete(flags, 3), trained.quality(np.delete(X, 3, axis=0)))


def test_misfit_widens(trained):
    """Noise that is larger than in simulations, and a curve that is no double logistic."""
    days = np.arange(0, 365, 10)
    clear = one_season(days)
    noisy = one_season(days, noise=0.2)
    assert not flagged(trained, clear, "misfit").any()
    assert flagged(trained, noisy, "misfit").all()
    X, y = make_phenology(500, noise=0.15, gaps=0.3, random_state=5)
    lower, upper = trained.predict_interval(X)
    inside = ((lower <= y) & (y <= upper)).mean(0)
    assert (inside > 0.8).all(), inside


def test_widening_starts_at_the_noise(trained, data, monkeypatch):
    """Distributions of seasons with the noise of simulations are those of the encoder."""
    X = data[0]
    expected = trained.predict(X, return_std=True)
    trained._module.noise_variance, before = 1e6, trained._module.noise_variance
    trained._copies.clear()
    try:
        found = trained.predict(X, return_std=True)
    finally:
        trained._module.noise_variance = before
        trained._copies.clear()
    same = np.isclose(found[1], expected[1]).all(axis=1)
    assert same.mean() > 0.97
    assert_allclose(found[0][same], expected[0][same])
    assert (expected[1] >= found[1] - 1e-9).mean() > 0.99

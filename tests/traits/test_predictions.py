import pickle
from copy import deepcopy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from spectra import (
    NAN,
    TRAINED,
    TRAITS,
    distort,
    make,
    results,
    to_series,
)

from sklearn_sits import ProsailVAERegressor, reconstruction_score
from sklearn_sits.datasets import make_prosail
from sklearn_sits.traits import predictions as trait_predictions
from sklearn_sits.traits.posterior import TraitPosterior

# Trainings of a few steps.
pytestmark = pytest.mark.filterwarnings(r"ignore:Training \d of at most 3 collapsed:UserWarning")


@pytest.fixture(scope="module")
def data():
    X, y = make_prosail(400, targets=["LAI", "CCC"], random_state=1)
    X.setflags(write=False)
    return X, y


@pytest.fixture(scope="module")
def trained(data):
    return ProsailVAERegressor(["LAI", "CCC"], **TRAINED).fit(data[0])


@pytest.fixture
def fitted(trained):
    """Copy that a test may change."""
    return deepcopy(trained)


@pytest.fixture(scope="module")
def tiny(data):
    return make().fit(data[0])


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
    assert (inside > 0.88).all()


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
        patch.setattr(TraitPosterior, "misfit", lambda self: torch.ones_like(self.loc[:, 0]))
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
    posterior = model._encode(X[:, :10], X[:, 10:])
    assert (posterior.narrowed * posterior.widening)[:, lai].mean() > 1.1
    lower, upper = model.predict_interval(X)
    assert 0.9 < ((lower <= y[:, 0]) & (y[:, 0] <= upper)).mean() < 0.99


@pytest.mark.parametrize("factor", [0.3, 4.0])
def test_calibration_by_measurements(fitted, data, factor):
    X, _ = data
    mean, std = fitted.predict(X, return_std=True)
    rng = np.random.default_rng(0)
    y = mean + factor * std * rng.standard_normal(mean.shape)
    expected = np.sqrt((10 + ((y - mean) / std) ** 2 @ [1, 0] @ np.ones(len(X))) / (10 + len(X)))
    for _ in range(2):
        assert fitted.calibrate(X, y) is fitted
        lai = TRAITS.index("LAI")
        assert_allclose(fitted.state_["labelled"][lai], expected, rtol=1e-6)
        assert fitted.state_["labelled"][TRAITS.index("Cab")] == 1
    found, wider = fitted.predict(X, return_std=True)
    assert_array_equal(found, mean)
    free = wider[:, 0] < 7.4  # half of the range is the most
    assert_allclose(wider[free, 0], expected * std[free, 0], rtol=1e-6)
    assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(X, return_std=True)[1], wider)


def test_calibration_by_few_measurements_of_series(data):
    X, y = data
    series = to_series(X)
    model = ProsailVAERegressor("LAI", **TRAINED).fit(series)
    measured = np.full(series.shape[:2], NAN)
    measured[3, 1] = 14.0
    assert model.calibrate(series, measured).state_["labelled"][TRAITS.index("LAI")] > 1


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (np.zeros((3, 2)), r"y must have shape \(400, 2\)"),
        (np.full((400, 2), NAN), "y must be finite"),
        (np.full((400, 2), np.inf), "y must be finite"),
    ],
)
def test_bad_measurements(fitted, data, y, match):
    before = dict(vars(fitted))
    with pytest.raises(ValueError, match=match):
        fitted.calibrate(data[0], y)
    assert vars(fitted) == before


def test_samples(trained, data):
    X = data[0][:50]
    draws = trained.sample(X, 4000)
    assert draws.shape == (4000, 50, 2)
    for level in (0.5, 0.9):
        lower, upper = trained.predict_interval(X, level)
        found = [np.quantile(draws, q, axis=0) for q in (0.5 - level / 2, 0.5 + level / 2)]
        assert_allclose(found, [lower, upper], atol=0.1 * (upper - lower).max(), rtol=0.1)
    assert_array_equal(trained.sample(X, 3), trained.sample(X, 3))
    assert not np.array_equal(trained.sample(X, 3), trained.sample(X, 3, random_state=1))
    with pytest.raises(ValueError, match="n_samples must be a positive integer, got 0"):
        trained.sample(X, 0)


# Series


def series_of(X, days, gone=()):
    """One series of spectra, some of them clouds."""
    packed = np.concatenate([np.reshape(days, (-1, 1)), X], axis=1)[None]
    packed[:, list(gone), 1:] = NAN
    return packed


def test_prior_in_time(trained, fitted, data):
    X, _ = data
    fitted.time_scale_ = 30.0
    days = np.array([0.0, 10.0, 20.0, 30.0, 300.0])
    series = series_of(X[:5], days, gone=[2, 4])
    mean, std = fitted.predict(series, return_std=True)
    alone, spread = trained.predict(series, return_std=True)
    assert np.isfinite(mean).all()
    assert np.isnan(alone[0, [2, 4]]).all()
    # Neighbours pull the dates together, a cloud gets what is around it, and time forgets.
    seen = [0, 1, 3]
    assert np.ptp(mean[0, seen, 0]) < np.ptp(alone[0, seen, 0])
    assert mean[0, seen, 0].min() <= mean[0, 2, 0] <= mean[0, seen, 0].max()
    assert_allclose(mean[0, 4], mean[0, 3], rtol=1e-6)
    assert (std[0, 4] > std[0, 3]).all()
    lower, upper = fitted.predict_interval(series)
    assert ((lower < upper) & (lower <= mean) & (mean <= upper)).all()
    assert fitted.transform(series).shape == (1, 5, 14)
    assert fitted.sample(series, 3).shape == (3, 1, 5, 2)
    assert_array_equal(fitted.reconstruct(series), trained.reconstruct(series))


def test_one_date_has_no_neighbours(trained, fitted, data):
    fitted.time_scale_ = 30.0
    X = data[0][:20]
    series = np.concatenate([np.zeros((20, 1)), X], axis=1)[:, None]
    found, expected = (model.predict(series, return_std=True) for model in (fitted, trained))
    assert_allclose(found[0], expected[0], rtol=1e-4)
    assert_allclose(found[1], expected[1], rtol=1e-4)
    assert_array_equal(fitted.predict(X), trained.predict(X))


def test_series_without_observation(fitted, data):
    fitted.time_scale_ = 30.0
    series = np.concatenate([series_of(data[0][:3], [0, 1, 2]) for _ in range(3)])
    series[1, :, 1:] = NAN
    series[2, 2] = NAN
    with pytest.warns(UserWarning, match="1 of 3 series have no valid observation"):
        found = fitted.predict(series)
    assert np.isnan(found[1]).all()
    assert np.isnan(found[2, 2]).all()
    assert np.isfinite(found[0]).all()
    assert np.isfinite(found[2, :2]).all()


def test_batches_and_order_of_series(fitted, data, monkeypatch):
    fitted.time_scale_ = 30.0
    series = to_series(data[0])
    series[::3, 2, 1:] = NAN
    expected = fitted.predict(series)
    assert_allclose(fitted.predict(series[::-1]), expected[::-1], rtol=1e-9)
    order = [2, 0, 4, 1, 3]
    assert_allclose(fitted.predict(series[:, order]), expected[:, order], rtol=1e-9)
    monkeypatch.setitem(trait_predictions._PREDICTED_AT_ONCE, "cpu", 7)
    assert_allclose(fitted.predict(series), expected, rtol=1e-9)


def test_time_scale_is_learned(trained):
    """Canopies that never change, and canopies that are new at every date."""
    same, _ = make_prosail(100, random_state=3)
    days = np.tile(10.0 * np.arange(12), (100, 1))[..., None]
    steady = np.concatenate([days, np.repeat(same[:, None], 12, axis=1)], axis=2)
    noise = np.random.default_rng(0).normal(0, 0.004, (100, 12, 10))
    steady[..., 1:11] = np.clip(steady[..., 1:11] + noise, 0, 1)
    hectic = np.concatenate([days, make_prosail(1200, random_state=4)[0].reshape(100, 12, 13)], 2)
    scales = []
    for series in (steady, hectic.astype(np.float32)):
        model = ProsailVAERegressor(time_scale="auto", **TRAINED).fit(series)
        assert model.time_scale_.shape == (14,)
        assert np.isfinite(model.predict(series)).all()
        scales.append(model.time_scale_[TRAITS.index("LAI")])
    assert scales[0] > 2 * scales[1]


def test_learned_time_scale_needs_series(data):
    with pytest.raises(ValueError, match="time_scale='auto' needs packed series"):
        make(time_scale="auto").fit(data[0])


# Invariance


def test_batches_subsets_and_order_of_rows(trained, data, monkeypatch):
    X, _ = data
    expected = results(trained, X)
    for chosen in (np.arange(len(X))[::-1], np.arange(0, len(X), 7), [5], [1, 2, 3]):
        assert_allclose(results(trained, X[chosen]), expected[chosen], rtol=1e-9, atol=1e-12)
    monkeypatch.setitem(trait_predictions._PREDICTED_AT_ONCE, "cpu", 7)
    assert_allclose(results(trained, X), expected, rtol=1e-9, atol=1e-12)


def test_float32(trained, data):
    X, _ = data
    single = X.astype(np.float32)
    found = results(trained, single)
    assert found.dtype == np.float32
    assert_allclose(found, results(trained, single.astype(np.float64)), rtol=1e-4, atol=1e-5)
    model = make().fit(single)
    assert_array_equal(model.predict(single), make().fit(single.astype(float)).predict(single))


def test_spectra_with_nan(trained, data):
    X, _ = data
    holes = X[:10].copy()
    holes[2, 4] = holes[6, 12] = NAN
    seen = ~np.isnan(holes).any(1)
    with pytest.warns(UserWarning, match="2 of 10 spectra have NaN") as caught:
        mean, std = trained.predict(holes, return_std=True)
    assert len(caught) == 1
    assert np.isnan(mean[~seen]).all()
    assert np.isnan(std[~seen]).all()
    assert_allclose(mean[seen], trained.predict(X[:10])[seen], rtol=1e-12)
    with pytest.warns(UserWarning, match="2 of 10 spectra"):
        model = make().fit(holes)
    assert_array_equal(model.predict(X), make().fit(holes[seen]).predict(X))
    with pytest.warns(UserWarning, match="2 of 10 spectra"):
        score = reconstruction_score(trained, holes)
    assert_allclose(score, reconstruction_score(trained, holes[seen]))


def test_y_is_checked_only(data, tiny):
    X, y = data
    assert_array_equal(make().fit(X, y[:, 0]).predict(X), tiny.predict(X))
    assert_array_equal(make(targets=["LAI"]).fit(X, y).predict(X)[:, 0], tiny.predict(X))
    for wrong, match in (
        (y[:-1, 0], "inconsistent numbers of samples"),
        (np.full(len(X), NAN), "y contains NaN"),
        (np.full(len(X), np.inf), "y contains infinity"),
        (y, "y should be a 1d array"),
    ):
        with pytest.raises(ValueError, match=match):
            make().fit(X, wrong)

import pickle
from copy import deepcopy

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from contracts import torch_objects
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_sits import (
    ProsailVAERegressor,
    reconstruction_score,
    trait_predictions,
    vae_training,
)
from sklearn_sits.datasets import make_prosail
from sklearn_sits.physics import VARIABLES, Sensor
from sklearn_sits.physics.variables import SIMULATION_PRIORS, Prior
from sklearn_sits.trait_posterior import TraitPosterior

NAN = np.nan
# Trainings of a few steps.
pytestmark = pytest.mark.filterwarnings(r"ignore:Training \d of at most 3 collapsed:UserWarning")

BANDS = ["B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"]
TRAITS = [variable.name for variable in VARIABLES] + ["CCC", "CWC", "CDMC"]
OBJECTIVES = ["hybrid", "self-supervised", "simulations"]
TINY = {
    "n_hidden": 32,
    "pretrain_iter": 30,
    "max_iter": 3,
    "n_simulations": 500,
    "batch_size": 64,
    "n_mc_samples": 4,
    "learning_rate": 1e-2,
    "random_state": 0,
    "device": "cpu",
}
TRAINED = {**TINY, "objective": "simulations", "pretrain_iter": 600, "n_simulations": 8000}
METHODS = ["predict", "predict_interval", "transform", "reconstruct"]


def make(**kwargs):
    return ProsailVAERegressor(**{**TINY, **kwargs})


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


def to_series(X, n_dates=4):
    """Series with a date in front, and one slot more, of which nothing was observed."""
    X = X.reshape(-1, n_dates, X.shape[1])
    days = np.tile(np.arange(n_dates, dtype=float)[:, None], (len(X), 1, 1))
    packed = np.concatenate([days, X], axis=2)
    return np.concatenate([packed, np.full_like(packed[:, :1], NAN)], axis=1)


def results(model, X):
    """All that a model returns, as one table."""
    mean, std = model.predict(X, return_std=True)
    parts = [mean, std, *model.predict_interval(X), model.transform(X), model.reconstruct(X)]
    return np.concatenate([np.reshape(part, (*np.shape(X)[:-1], -1)) for part in parts], axis=-1)


def distort(X):
    """Vegetation upside down: what no canopy reflects."""
    X = X.copy()
    X[:, :10] = X[:, 9::-1]
    return X


# Learning


def test_predictions_learn(trained):
    X, y = make_prosail(1000, targets=["LAI", "CCC"], random_state=2)
    found = trained.predict(X)
    for j in range(2):
        assert np.corrcoef(found[:, j], y[:, j])[0, 1] > 0.8
    assert trained.score(X, y) > 0.5


def test_reconstruction(trained):
    X, _ = make_prosail(1000, noise=0.0, random_state=2)
    found = trained.reconstruct(X)
    for band, one, other in zip(BANDS, found.T, X.T, strict=False):
        assert np.corrcoef(one, other)[0, 1] > 0.95, band
    assert reconstruction_score(trained, X) < 0
    assert reconstruction_score(trained, X) > reconstruction_score(trained, distort(X))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_objectives(data, objective):
    X, _ = data
    model = make(objective=objective, max_iter=101).fit(X)
    assert np.isfinite(results(model, X)).all()
    observed = objective != "simulations"
    assert model.n_iter_ == 30 + 101 * observed
    assert [record["step"] for record in model.history_] == [30] + [130, 131] * observed
    assert [r["phase"] for r in model.history_] == ["pretrain"] + ["observed"] * 2 * observed
    parts = {
        "hybrid": {"reconstruction", "kl", "simulations"},
        "self-supervised": {"reconstruction", "kl"},
        "simulations": {"simulations"},
    }[objective]
    assert set(model.history_[-1]) == {"step", "phase"} | parts


def test_simulations_do_not_look_at_X(data):
    X, _ = data
    one = make(objective="simulations").fit(X)
    other = make(objective="simulations").fit(X[:7])
    assert_array_equal(one.predict(X), other.predict(X))
    hybrid = [make(objective="hybrid").fit(part).predict(X) for part in (X, X[:200])]
    assert not np.array_equal(*hybrid)


def test_observed_spectra_are_learned(data):
    """More steps on the spectra bring the reconstructions closer to them."""
    X, _ = data
    scores = [
        reconstruction_score(make(objective="self-supervised", max_iter=n, kl_weight=0).fit(X), X)
        for n in (1, 60)
    ]
    assert scores[1] > scores[0] + 10


def test_excluded_bands_are_not_reconstructed(data):
    """What they hold makes no difference but as an input."""
    X, _ = data
    settings = {"objective": "self-supervised", "max_iter": 5, "excluded_bands": BANDS[1:]}
    one, other = (make(**settings | {"excluded_bands": e}) for e in (BANDS[1:], []))
    one, other = one.fit(X), other.fit(X)
    losses = [model.history_[-1]["reconstruction"] for model in (one, other)]
    assert losses[0] < losses[1]
    assert not np.array_equal(one.predict(X), other.predict(X))


# Shapes and names


@pytest.mark.parametrize(
    ("targets", "shape"),
    [("LAI", ()), ("CWC", ()), (("LAI",), (1,)), (["Cab", "CCC", "LAI"], (3,))],
)
def test_targets(trained, fitted, data, targets, shape):
    X, _ = data
    fitted.targets = targets
    for found in (fitted.predict(X), *fitted.predict(X, return_std=True)):
        assert found.shape == (len(X), *shape)
        assert found.dtype == np.float64
    for found in fitted.predict_interval(X):
        assert found.shape == (len(X), *shape)
    names = [targets] if isinstance(targets, str) else targets
    columns = [TRAITS.index(name) for name in names]
    expected = trained.transform(X)[:, columns].reshape(len(X), *shape)
    assert_allclose(fitted.predict(X), expected, rtol=1e-12)


def test_series(data):
    X, _ = data
    packed = to_series(X)
    model, other = make().fit(X), make().fit(packed)
    found = results(other, packed)
    assert found.shape[:2] == packed.shape[:2]
    assert_allclose(found[:, :-1].reshape(len(X), -1), results(model, X), rtol=1e-12)
    assert np.isnan(found[:, -1]).all()
    assert other.n_features_in_ == model.n_features_in_ == 13
    # The date is no column: pixels to fit, series to predict.
    assert_array_equal(results(model, packed), found)
    assert other.misfit_ == model.misfit_
    # One missing band, and the spectrum is missing.
    packed[3, 1, 2] = NAN
    changed = results(other, packed)
    assert np.isnan(changed[3, 1]).all()
    changed[3, 1] = found[3, 1]
    assert_array_equal(changed, found)
    assert other.set_params(targets=["LAI"]).predict(packed).shape == (100, 5, 1)


def test_dates_do_not_matter(data):
    packed = to_series(data[0])
    model = make().fit(packed)
    later = packed + np.array([1000.0, *[0] * 13])
    assert_array_equal(results(model, later), results(model, packed))


def test_names(trained, fitted, data):
    X, _ = data
    assert trained.get_feature_names_out().tolist() == TRAITS
    table = fitted.set_output(transform="pandas").transform(X)
    assert table.columns.tolist() == TRAITS
    assert_array_equal(table, trained.transform(X))


def test_table(data):
    X, _ = data
    table = pd.DataFrame(X, columns=[*BANDS, "sza", "vza", "raa"])
    model = make().fit(table)
    assert model.feature_names_in_.tolist() == table.columns.tolist()
    assert_array_equal(model.predict(table), make().fit(X).predict(X))
    other = table[["B3", "B2", *table.columns[2:]]]
    with pytest.raises(ValueError, match="X has the bands in the order B3, B2, B4"):
        make().fit(other)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(other)


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
    monkeypatch.setattr(trait_predictions, "_PREDICTED_AT_ONCE", 7)
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
    monkeypatch.setattr(trait_predictions, "_PREDICTED_AT_ONCE", 7)
    assert_allclose(results(trained, X), expected, rtol=1e-9, atol=1e-12)


def test_float32(trained, data):
    X, _ = data
    single = X.astype(np.float32)
    found = results(trained, single)
    assert found.dtype == np.float64
    assert_array_equal(found, results(trained, single.astype(np.float64)))
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


# State


def test_same_seed_same_result(data, tiny):
    X, _ = data
    expected = results(tiny, X)
    assert_array_equal(results(make().fit(X), X), expected)
    assert_array_equal(results(deepcopy(tiny).fit(X), X), expected)
    other = make(random_state=1).fit(X)
    assert not np.allclose(other.predict(X), tiny.predict(X))
    one, two = (make(random_state=np.random.RandomState(3)).fit(X).predict(X) for _ in range(2))
    assert_array_equal(one, two)


@pytest.mark.parametrize("random_state", [0, None])
def test_global_state_is_untouched(data, random_state):
    def snapshot():
        numpy = np.random.get_state()
        return (
            torch.get_rng_state().tolist(),
            [part.tolist() if isinstance(part, np.ndarray) else part for part in numpy],
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
        )

    X = data[0].copy()
    before = snapshot()
    results(make(random_state=random_state).fit(X), X)
    after = snapshot()
    if random_state is None:
        # The seed is then drawn from the global generator of numpy, as in scikit-learn.
        before, after = before[:1] + before[2:], after[:1] + after[2:]
    assert after == before
    assert_array_equal(X, data[0])


def test_pickle(trained, data):
    loaded = pickle.loads(pickle.dumps(trained))
    assert_array_equal(results(loaded, data[0]), results(trained, data[0]))
    assert loaded.misfit_ == trained.misfit_
    assert loaded.history_ == trained.history_


def test_joblib(trained, data, tmp_path):
    joblib.dump(trained, tmp_path / "model.joblib")
    loaded = joblib.load(tmp_path / "model.joblib")
    assert_array_equal(results(loaded, data[0]), results(trained, data[0]))
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    assert_array_equal(results(mapped, data[0]), results(trained, data[0]))


def test_skops(trained, data, tmp_path):
    skops.io.dump(trained, tmp_path / "model.skops")
    trusted = skops.io.get_untrusted_types(file=tmp_path / "model.skops")
    assert sorted(trusted) == [
        "sklearn_sits.physics.sensors.Sensor",
        "sklearn_sits.prosail_vae.ProsailVAERegressor",
    ]
    loaded = skops.io.load(tmp_path / "model.skops", trusted=trusted)
    assert_array_equal(results(loaded, data[0]), results(trained, data[0]))


@pytest.mark.parametrize(
    "changes",
    [
        {"n_hidden": 5, "n_blocks": 0},
        {"quadrature": 1},
        {"sensor": "Landsat-8"},
        {"sensor": None},
        {"bands": ["B4", "B8"]},
        {"priors": {"LAI": Prior(1, 1, 0, 2, 0, 2)}, "objective": "hybrid"},
    ],
)
def test_fitted_model_is_that_of_its_fit(trained, fitted, data, changes):
    X, _ = data
    expected = results(trained, X)
    fitted.set_params(**changes)
    assert_array_equal(results(fitted, X), expected)
    loaded = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(results(loaded, X), expected)
    for name, value in changes.items():
        assert getattr(loaded, name) == value


def test_state_is_without_torch(tiny, data):
    tiny.predict(data[0])
    assert torch_objects(tiny.__getstate__()) == []
    assert all(isinstance(value, np.ndarray) for value in tiny.state_.values())
    assert b"torch" not in pickle.dumps(tiny)


def interrupt_after(monkeypatch, name, n_calls):
    """Let a training stop in one of its steps."""
    function, count = getattr(vae_training, name), []

    def interrupted(*args):
        count.append(1)
        if len(count) > n_calls:
            raise KeyboardInterrupt
        return function(*args)

    monkeypatch.setattr(vae_training, name, interrupted)


@pytest.mark.parametrize(
    ("name", "n_calls"), [("latent_nll", 0), ("latent_nll", 5), ("reconstruction_nll", 1)]
)
def test_interrupt(data, monkeypatch, name, n_calls):
    X, _ = data
    new, old = make(), make(bands=None).fit(X)
    before, expected = dict(vars(new)), results(old, X)
    old.set_params(n_hidden=4)
    interrupt_after(monkeypatch, name, n_calls)
    with pytest.raises(KeyboardInterrupt):
        new.fit(X)
    assert vars(new) == before
    with pytest.raises(NotFittedError):
        new.predict(X)
    with pytest.raises(KeyboardInterrupt):
        old.fit(X[:50])
    assert_array_equal(results(old, X), expected)


def test_divergence(data):
    X, _ = data
    model = make(learning_rate=1e6)
    before = dict(vars(model))
    with pytest.raises(FloatingPointError, match="The training diverged. Lower learning_rate"):
        model.fit(X)
    assert vars(model) == before


def test_collapse_of_every_attempt(data):
    X, _ = data
    model = make(objective="self-supervised", max_iter=30, kl_weight=1e4)
    with pytest.warns(UserWarning, match="collapsed") as caught:
        model.fit(X)
    assert [str(warning.message)[:10] for warning in caught] == [f"Training {i}" for i in (1, 2, 3)]
    assert "starts again" in str(caught[0].message)
    assert "Try another random_state" in str(caught[-1].message)
    assert np.isfinite(results(model, X)).all()


def test_collapse_starts_again(data, monkeypatch):
    """An encoder that cannot learn at first, and then can."""
    X, _ = data
    minimise, rates = vae_training.minimise, []

    def stuck_once(encoder, objective, n_steps, rate, *args):
        rates.append(1e-9 if not rates else rate)
        return minimise(encoder, objective, n_steps, rates[-1], *args)

    monkeypatch.setattr(vae_training, "minimise", stuck_once)
    model = ProsailVAERegressor(**TRAINED)
    with pytest.warns(UserWarning, match="Training 1 of at most 3 collapsed") as caught:
        model.fit(X)
    assert len(caught) == 1
    assert len(rates) == 2
    found = model.predict(X)
    assert np.corrcoef(found, data[1][:, 0])[0, 1] > 0.8


def test_refit_on_another_sensor(data, tiny):
    X, _ = data
    model = make(sensor="Landsat-8").fit(make_prosail(50, sensor="Landsat-8", random_state=0)[0])
    model.set_params(sensor="Sentinel-2A").fit(X)
    assert_array_equal(model.predict(X), make().fit(X).predict(X))


# Tools of scikit-learn


def test_clone(tiny, data):
    copy = clone(tiny)
    assert not hasattr(copy, "state_")
    assert copy.get_params() == tiny.get_params()
    assert_array_equal(copy.fit(data[0]).predict(data[0]), tiny.predict(data[0]))


def test_workflows(data):
    X, y = data
    scaled = make_pipeline(FunctionTransformer(lambda X: X / [*[10_000] * 10, 1, 1, 1]), make())
    integers = X * [*[10_000] * 10, 1, 1, 1]
    found = scaled.fit(integers).predict(integers)
    assert_allclose(found, make().fit(X).predict(X), rtol=1e-3)
    assert cross_val_predict(make(), X, y[:, 0], cv=2).shape == (len(X),)
    search = GridSearchCV(make(), {"n_hidden": [4, 8]}, scoring=reconstruction_score, cv=2)
    search.fit(X)
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(X).shape == (len(X),)


# Sensors and priors


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
    paper = make(priors=SIMULATION_PRIORS).fit(X)
    assert_array_equal(paper.predict(X), make(priors="paper").fit(X).predict(X))


# Bad input


def change(column, value):
    def apply(X):
        X = X.copy()
        X[:, column] = value
        return X

    return apply


def scale(columns, factor):
    def apply(X):
        X = X.copy()
        X[:, columns] *= factor
        return X

    return apply


BAD_INPUTS = {
    "integers": (scale(slice(10), 10_000), "X must hold reflectances in 0-1, found .*: divide"),
    "bright": (change(3, 1.7), "X must hold reflectances within -0.05 and 1.5, found .* to 1.7"),
    "negative": (change(3, -0.2), "X must hold reflectances within .* found -0.2"),
    "radians": (scale(slice(10, 13), np.pi / 180), "in degrees"),
    "night": (change(10, 95), "X contains sun zenith = 95"),
    "no angles": (lambda X: X[:, :10], "X has 10 columns .* expected 13: the bands B2, B3"),
    "no dates": (lambda X: X[None], "X has 12 columns .* expected 13"),
    "inf": (change(4, np.inf), "infinity"),
    "1-D": (lambda X: X[0], "1D array"),
    "4-D": (lambda X: X[None, None], "dim"),
    "strings": (lambda X: X.astype(str).astype(object) + "m", "could not convert|numeric"),
    "empty": (lambda X: X[:0], "0 sample"),
}


def check_unchanged(model, X, match):
    before = dict(vars(model))
    with pytest.raises((ValueError, TypeError), match=match):
        model.fit(X)
    assert list(vars(model)) == list(before)
    assert all(vars(model)[name] is value for name, value in before.items())


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input(data, case):
    apply, match = BAD_INPUTS[case]
    check_unchanged(make(), apply(data[0]), match)


@pytest.mark.parametrize("case", sorted(set(BAD_INPUTS) - {"no angles", "no dates"}))
def test_bad_input_of_predict(trained, data, case):
    apply, match = BAD_INPUTS[case]
    for name in METHODS:
        with pytest.raises(ValueError, match=match):
            getattr(trained, name)(apply(data[0]))


def test_other_columns_in_predict(trained, data):
    for X in (data[0][:, :10], data[0][:, 1:]):
        with pytest.raises(ValueError, match="X has .* features, but .* is expecting 13"):
            trained.predict(X)


def test_nothing_observed(trained, data):
    X = np.full_like(data[0], NAN)
    with (
        pytest.warns(UserWarning, match="400 of 400"),
        pytest.raises(ValueError, match="X has no spectrum without NaN"),
    ):
        make().fit(X)
    with pytest.warns(UserWarning, match="400 of 400"):
        assert np.isnan(trained.predict(X)).all()


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"targets": "lai"}, "targets must be among .* got .'lai'"),
        ({"targets": ["LAI", "fCover"]}, "targets must be among .* got .'fCover'"),
        ({"targets": []}, "targets must be among .* got none"),
        ({"targets": None}, "'targets' parameter"),
        ({"bands": ["B4", "B99"]}, "bands must be of"),
        ({"bands": ["B4", "B4"]}, "bands must have names, all different"),
        ({"bands": "B4"}, "'bands' parameter"),
        ({"sensor": "Sentinel-9"}, "name must be one of Sentinel-2A"),
        ({"sensor": 2}, "'sensor' parameter"),
        ({"excluded_bands": BANDS}, "excluded_bands leaves no band"),
        ({"excluded_bands": "B2"}, "'excluded_bands' parameter"),
        ({"excluded_bands": ["B02"]}, r"excluded_bands must be among .* \['B02'\]"),
        ({"objective": "supervised"}, "'objective' parameter"),
        ({"priors": {"lai": SIMULATION_PRIORS["LAI"]}}, "priors must name some of .* got .'lai'"),
        ({"priors": {"LAI": (2, 3, 0, 15, 0, 15)}}, "priors must hold objects of Prior"),
        ({"priors": {"LAI": Prior(2, 3, 5, 1, 0, 15)}}, "ascending bounds of LAI within 0 and 15"),
        ({"priors": {"LAI": Prior(2, 3, 0, 20, 0, 15)}}, "ascending bounds of LAI within 0 and 15"),
        ({"priors": {"Cm": Prior(0, 1, 0, NAN, 0, 0.05)}}, "ascending bounds of Cm"),
        ({"priors": {"LAI": Prior(2, 0, 0, 15, 0, 15)}}, "positive standard deviations"),
        ({"priors": {"LAI": Prior(NAN, 1, 0, 15, 0, 15)}}, "finite means"),
        ({"priors": "uniform"}, "'priors' parameter"),
        ({"n_simulations": 99}, "'n_simulations' parameter"),
        ({"noise": -0.1}, "'noise' parameter"),
        ({"n_hidden": 0}, "'n_hidden' parameter"),
        ({"n_blocks": -1}, "'n_blocks' parameter"),
        ({"pretrain_iter": 0}, "'pretrain_iter' parameter"),
        ({"max_iter": 1.5}, "'max_iter' parameter"),
        ({"batch_size": "large"}, "'batch_size' parameter"),
        ({"learning_rate": 0.0}, "'learning_rate' parameter"),
        ({"n_mc_samples": 1}, "'n_mc_samples' parameter"),
        ({"kl_weight": -1.0}, "'kl_weight' parameter"),
        ({"quadrature": 0}, "'quadrature' parameter"),
        ({"quadrature": "coarse"}, "'quadrature' parameter"),
        ({"random_state": "seed"}, "'random_state' parameter"),
        ({"device": "abacus"}, "device must be"),
        ({"device": "mps"}, "device='mps' is not supported"),
        ({"device": 3}, "'device' parameter"),
    ],
)
def test_bad_parameter(data, parameters, match):
    check_unchanged(make(**parameters), data[0], match)


@pytest.mark.parametrize("coverage", [0, 1, 1.5, "a", None, NAN])
def test_bad_coverage(trained, data, coverage):
    with pytest.raises(ValueError, match="coverage must be between 0 and 1, got"):
        trained.predict_interval(data[0], coverage)


def test_unknown_target_in_predict(fitted, data):
    with pytest.raises(ValueError, match="targets must be among .* got .'lai'"):
        fitted.set_params(targets="lai").predict(data[0])


def test_error_keeps_the_previous_fit(data):
    X, _ = data
    model = make().fit(X)
    expected = results(model, X)
    check_unchanged(model, X[:, 1:], "X has 12 columns")
    assert_array_equal(results(model, X), expected)


def test_not_fitted(data):
    for name in METHODS:
        with pytest.raises(NotFittedError):
            getattr(make(), name)(data[0])
    with pytest.raises(NotFittedError):
        make().get_feature_names_out()
    with pytest.raises(NotFittedError):
        reconstruction_score(make(), data[0])

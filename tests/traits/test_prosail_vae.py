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
from spectra import (
    BANDS,
    METHODS,
    NAN,
    OBJECTIVES,
    TRAINED,
    TRAITS,
    distort,
    make,
    results,
    to_series,
)

from sklearn_sits import ProsailVAERegressor, reconstruction_score
from sklearn_sits.datasets import make_prosail
from sklearn_sits.physics import Sensor
from sklearn_sits.physics.variables import SIMULATION_PRIORS, Prior
from sklearn_sits.traits import training as vae_training

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
    # On some processors the rounding of a product depends on its number of rows.
    assert_allclose(changed, found, rtol=1e-10, atol=1e-12)
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
        "sklearn_sits.ProsailVAERegressor",
        "sklearn_sits.physics.Sensor",
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

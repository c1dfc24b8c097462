from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from regressor_contracts import check_unchanged
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
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
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.nn.calibrated_encoder import CalibratedEncoder
from sklearn_sits.physics import Prosail
from sklearn_sits.vae import training as vae_training

forward = CalibratedEncoder.forward

# Trainings of a few steps.
pytestmark = pytest.mark.filterwarnings(r"ignore:Training \d of at most 3 collapsed:UserWarning")


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
    # About 0.024 in each of ten bands; half of the summed squares in units of 0.01.
    assert -40 < reconstruction_score(trained, X) < -1
    assert reconstruction_score(trained, distort(X)) < 4 * reconstruction_score(trained, X)
    with pytest.raises(NotFittedError):
        reconstruction_score(make(), X)


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


def test_simulations_need_no_X(data):
    X, _ = data
    expected = make(objective="simulations").fit(X)
    found = make(objective="simulations").fit(None)
    assert_array_equal(found.predict(X), expected.predict(X))
    assert found.n_features_in_ == 13
    assert found.feature_names_in_.tolist() == expected.feature_names_in_.tolist()
    assert found.misfit_ == 1.0


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({}, "objective='hybrid' needs spectra"),
        ({"geometry": "X"}, "geometry='X' needs spectra"),
        ({"time_scale": "auto"}, "time_scale='auto' needs spectra"),
        ({"sensor": None}, "sensor=None needs spectra"),
    ],
)
def test_fit_without_X_that_needs_it(parameters, match):
    settings = {"objective": "simulations" if parameters else "hybrid"}
    with pytest.raises(ValueError, match=f"X is None, but {match}"):
        make(**settings, **parameters).fit(None)


def test_observed_spectra_are_learned(data):
    """More steps on the spectra bring the reconstructions closer to them."""
    X, _ = data
    scores = [
        reconstruction_score(make(objective="self-supervised", max_iter=n, kl_weight=0).fit(X), X)
        for n in (1, 60)
    ]
    assert scores[1] > scores[0] + 10


# Shapes and names


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
    # As in fit, where they are read as dates.
    assert_array_equal(make().fit(later).predict(packed), model.predict(packed))


@pytest.mark.filterwarnings("error:X ")
def test_table(data):
    X, _ = data
    table = pd.DataFrame(X, columns=[*BANDS, "sun_zenith", "view_zenith", "relative_azimuth"])
    model = make().fit(X)
    expected = model.predict(X)
    assert model.feature_names_in_.tolist() == table.columns.tolist()
    shuffled = table[sorted(table)].rename(columns={"B2": "B02", "relative_azimuth": "raa"})
    for fitted_on in (X, table, shuffled):
        model = make().fit(fitted_on)
        assert model.feature_names_in_.tolist() == table.columns.tolist()
        for given in (X, table, shuffled):
            assert_array_equal(model.predict(given), expected)
    with pytest.raises(ValueError, match="X lacks B8A of the model"):
        model.predict(table.drop(columns="B8A"))
    swapped = make(bands=["B08", "b2"]).fit(table[["B8", "B2", *table.columns[10:]]])
    assert swapped.sensor_.bands == ("B8", "B2")
    assert swapped.feature_names_in_.tolist()[:2] == ["B8", "B2"]


# State


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


def test_workflows(data):
    X, _ = data
    scaled = make_pipeline(FunctionTransformer(lambda X: X / [*[10_000] * 10, 1, 1, 1]), make())
    integers = X * [*[10_000] * 10, 1, 1, 1]
    found = scaled.fit(integers).predict(integers)
    assert_allclose(found, make().fit(X).predict(X), rtol=1e-3)
    search = GridSearchCV(make(), {"n_hidden": [4, 8]}, scoring=reconstruction_score, cv=2)
    search.fit(X)
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert_array_equal(
        search.predict(X), make(n_hidden=search.best_params_["n_hidden"]).fit(X).predict(X)
    )


# Draws


def test_draws_are_canopies(trained, data):
    """Fractions follow from the variables of a draw, under the sun of its spectrum."""
    X, _ = data
    model = deepcopy(trained).set_params(targets="all")
    draws = model.sample(X[:20], 5, random_state=0)
    variables, angles = torch.from_numpy(draws[..., :11]), torch.from_numpy(X[:20, 10:].copy())
    decoder = Prosail(quadrature=1).double()
    expected = {
        "CCC": draws[..., 6] * draws[..., 1],
        "fAPAR": decoder.fapar(variables, angles, green=True).numpy(),
        "fCover": decoder.fcover(variables, green=True).numpy(),
    }
    for name, values in expected.items():
        assert_allclose(draws[..., TRAITS.index(name)], values, rtol=1e-6, atol=1e-9)


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
    "integers": (
        scale(slice(10), 10_000),
        "X must hold reflectances in 0-1, but their median is .*. Divide",
    ),
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


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input(data, case):
    apply, match = BAD_INPUTS[case]
    check_unchanged(make(), apply(data[0]), match)


# Wrong in the same way as a whole, or no array of spectra.
REFUSED = ("integers", "radians", "1-D", "4-D", "strings", "empty")


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_of_predict(trained, data, case):
    apply, match = BAD_INPUTS[case]
    for name in METHODS:
        with pytest.raises(ValueError, match=match):
            getattr(trained, name)(apply(data[0]))


@pytest.mark.parametrize("format", [lambda X: X, to_series], ids=["spectra", "series"])
def test_spectra_out_of_range_are_not_observed(trained, data, format):
    """One bad pixel does not stop a map."""
    X = data[0].copy()
    bad = {
        7: (3, 1.7),
        12: (0, -0.2),
        30: (4, np.inf),
        31: (4, -np.inf),
        50: (10, 95),
        51: (11, -1),
    }
    for row, (column, value) in bad.items():
        X[row, column] = value
    is_bad = np.isin(np.arange(len(X)), list(bad))
    given, original = format(X), format(data[0])
    total = given.size // given.shape[-1]
    message = f"6 of {total} spectra count as not observed, .* with B5 = 1.7"
    for name in METHODS:
        seed = {"random_state": 0} if name == "sample" else {}
        with pytest.warns(DataQualityWarning, match=message) as caught:
            found = getattr(trained, name)(given, **seed)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        expected = getattr(trained, name)(original, **seed)
        if name in ("predict", "transform", "reconstruct"):
            found, expected = [found], [expected]
        for one, other in zip(found, expected, strict=True):
            if given.ndim == 3:
                one, other = (part[:, :-1].reshape(len(X), -1) for part in (one, other))
            assert np.isnan(one[is_bad]).all()
            assert_allclose(one[~is_bad], other[~is_bad], rtol=1e-10)


def test_unknown_date_is_not_observed(trained, data):
    series = to_series(data[0][:40])
    expected = trained.predict(series)
    series[3, 2, 0] = np.inf
    found = trained.predict(series)
    assert np.isnan(found[3, 2]).all()
    expected[3, 2] = NAN
    assert_allclose(found, expected, rtol=1e-10)


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
        ({"time_scale": 0.0}, "'time_scale' parameter"),
        ({"n_simulations": 99}, "'n_simulations' parameter"),
    ],
)
def test_bad_parameter(data, parameters, match):
    check_unchanged(make(**parameters), data[0], match)

"""What every classifier of packed series keeps to, as test classes to inherit from.

A subclass sets `estimator_class` and `settings`, small ones without dropout.
"""

import pickle
from operator import methodcaller

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from series_contracts import (
    NAN,
    SeriesBadInputContract,
    SeriesInvarianceContract,
    SeriesStateContract,
    SeriesWorkflowContract,
    interrupt_after,
)
from sklearn.ensemble import BaggingClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_sits.datasets import make_sits


def halves(X, y):
    """Validate on the eastern half of the scene."""
    easting = np.nanmax(X[..., -2], axis=1)
    east = easting > np.median(easting)
    return np.flatnonzero(~east), np.flatnonzero(east)


class InvarianceContract(SeriesInvarianceContract):
    """Predictions exist for any dates."""

    n_warnings_of_empty_series = 1

    def test_number_of_dates_may_differ(self, fitted, data):
        X = data[0]
        kept = np.sort(np.argsort(np.isnan(X[..., 1]), axis=1, kind="stable")[:, :5], axis=1)
        few = np.take_along_axis(X, kept[..., None], axis=1)
        assert fitted.predict_proba(few).shape == (len(X), 3)
        other, _ = make_sits(10, 60, 3, 3, random_state=1)
        assert fitted.predict(other).shape == (10,)

    def test_empty_series_do_not_disturb_the_training(self, fitted, data):
        X, y = data
        empty = np.full((2, *X.shape[1:]), NAN)
        with pytest.warns(UserWarning, match="2 of 92") as caught:
            other = self.make().fit(np.concatenate([X, empty]), np.append(y, y[:2]))
        assert len(caught) == self.n_warnings_of_empty_series
        assert_allclose(other.reference_dates_, fitted.reference_dates_)
        assert np.isfinite(other.predict_proba(X)).all()


def _bad_labels():
    def labels(value):
        return lambda y: value

    y_nan = np.zeros(90)
    y_nan[::2] = 1
    y_nan[3] = NAN
    return {
        "y NaN": (labels(y_nan), "Input y contains NaN"),
        "y None in": (labels(np.array([None, "a"] * 45, dtype=object)), "Input y contains NaN"),
        "one class": (labels(np.ones(90)), "y has 1 class"),
        "continuous": (labels(np.linspace(0, 1, 90)), "Unknown label type|continuous"),
        "y None": (labels(None), "requires y to be passed"),
        "y short": (lambda y: y[:-1], "inconsistent numbers of samples"),
        "y 2-D": (lambda y: np.stack([y, y], 1), "y should be a 1d array"),
    }


BAD_LABELS = _bad_labels()


BAD_PARAMETERS_OF_CLASSIFIERS = [
    ({"batch_size": "large"}, "'batch_size' parameter"),
    ({"embedding": "shallow"}, "'embedding' parameter"),
    ({"class_weight": {"corn": 2.0}}, r"class_weight names \['corn'\], .*: \[0, 1, 2\]"),
    ({"class_weight": "even"}, "'class_weight' parameter"),
    ({"early_stopping": True, "validation_fraction": 0.001}, "validation_fraction|test_size"),
]


BAD_SPLITS = [
    lambda X, y: None,
    lambda X, y: 7,
    lambda X, y: ([0, 1], [2], [3]),
    lambda X, y: ([0, 1], [1, 2]),
    lambda X, y: ([0, 1], [90]),
    lambda X, y: ([0, 1], [-1]),
    lambda X, y: ([0, 1], []),
    lambda X, y: ([0.5, 1.0], [2.0]),
    lambda X, y: (np.arange(90) < 50, np.arange(90) >= 50),
    lambda X, y: ([[0, 1]], [2]),
]


class BadInputContract(SeriesBadInputContract):
    """Wrong labels, weights and parameters."""

    @pytest.mark.parametrize("case", BAD_LABELS)
    def test_labels(self, data, case):
        apply, match = BAD_LABELS[case]
        X, y = data
        self.check(self.make(), X, apply(y), match)

    @pytest.mark.parametrize(("parameters", "match"), BAD_PARAMETERS_OF_CLASSIFIERS)
    def test_parameter_of_classifiers(self, data, parameters, match):
        self.check(self.make(**parameters), *data, match)

    @pytest.mark.parametrize("split", BAD_SPLITS)
    def test_validation_split(self, data, split):
        estimator = self.make(early_stopping=True, validation_split=split)
        self.check(estimator, *data, "validation_split")

    @pytest.mark.parametrize(
        ("weight", "match"),
        [
            (-np.ones(90), "Negative values in .*sample_weight"),
            (np.ones(89), "sample_weight.shape"),
            (np.zeros(90), "(?i)sample.weights?.*zero"),
            (np.full(90, NAN), "sample_weight contains NaN"),
            (np.ones((90, 2)), "[Ss]ample.weight"),
        ],
    )
    def test_sample_weight(self, data, weight, match):
        self.check(self.make(), *data, match, sample_weight=weight)


class StateContract(SeriesStateContract):
    """Continued training and searches."""

    @pytest.mark.parametrize("warm_start", [False, True])
    def test_interrupted_second_fit(self, data, monkeypatch, warm_start):
        X, y = data
        estimator = self.make(warm_start=warm_start).fit(X, y)
        expected, history = estimator.predict_proba(X), list(estimator.history_)
        other = X if warm_start else X[..., [0, 1, -2, -1]]
        interrupt_after(monkeypatch, 1)
        with pytest.raises(KeyboardInterrupt):
            estimator.fit(other, y)
        assert_array_equal(estimator.predict_proba(X), expected)
        assert estimator.history_ == history
        assert estimator.n_features_in_ == 6

    def test_interrupt_stops_a_search(self, data, monkeypatch):
        interrupt_after(monkeypatch, 1)
        search = GridSearchCV(self.make(), {"max_iter": [1, 2]}, cv=2, error_score=NAN)
        with pytest.raises(KeyboardInterrupt):
            search.fit(*data)

    def test_state_is_not_shared_with_a_copy(self, fitted, data):
        expected = fitted.predict_proba(data[0])
        other = pickle.loads(pickle.dumps(fitted)).set_params(warm_start=True)
        other.fit(*data)
        assert_array_equal(fitted.predict_proba(data[0]), expected)

    def test_warm_start_keeps_the_shape(self, data):
        estimator = self.make(warm_start=True).fit(*data)
        with pytest.raises(ValueError, match=r"with n_reference_dates=7 \(was"):
            estimator.set_params(n_reference_dates=7).fit(*data)

    def test_warm_start_continues_from_the_state(self, data):
        X, y = data
        estimator = self.make(warm_start=True).fit(X, y)
        expected = estimator.predict_proba(X)
        estimator.set_params(max_iter=1, learning_rate=1e-30).fit(X, y)
        assert_allclose(estimator.predict_proba(X), expected, rtol=0, atol=1e-12)

    def test_warm_start(self, data):
        X, y = data
        estimator = self.make(warm_start=True, max_iter=2).fit(X, y)
        first, history = estimator.predict_proba(X), list(estimator.history_)
        estimator.set_params(max_iter=3).fit(X, y)
        assert estimator.n_iter_ == len(estimator.history_) == 5
        assert estimator.history_[:2] == history
        assert not np.array_equal(estimator.predict_proba(X), first)
        with pytest.raises(ValueError, match="warm_start=True needs the classes"):
            estimator.fit(X, np.where(y == y[0], 0, 1))
        with pytest.raises(ValueError, match="X has 5 channels"):
            estimator.fit(X[..., 1:], y)
        assert estimator.n_iter_ == 5
        estimator.set_params(warm_start=False).fit(X, np.where(y == y[0], "a", "b"))
        assert estimator.n_iter_ == 3


class WorkflowContract(SeriesWorkflowContract):
    """Weights, dtypes, and the tools of scikit-learn."""

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_dtypes(self, data, dtype):
        X, y = data
        estimator = self.make().fit(X.astype(dtype), y)
        assert {value.dtype for value in estimator.state_.values()} == {np.dtype(dtype)}
        found = estimator.predict_proba(X.astype(dtype))
        assert found.dtype == dtype
        rounding = 1e-12 if dtype == np.float64 else 1e-6
        assert_allclose(found.sum(axis=1), 1, rtol=rounding)
        double = estimator.predict_proba(X.astype(dtype).astype(float))
        # Rounding grows on its way through the layers.
        assert_allclose(double, found, rtol=0, atol=5 * rounding)

    def test_probabilities_sum_to_one_in_double_precision(self, data):
        X, y = data
        found = self.make().fit(X.astype(np.float32), y).predict_proba(X.astype(np.float32))
        # A warning about the sum is an error here.
        assert np.isfinite(log_loss(y, found.astype(np.float64)))

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_logarithms_of_probabilities(self, data, dtype):
        X, y = data[0].astype(dtype), data[1]
        estimator = self.make().fit(X, y)
        found = estimator.predict_log_proba(X)
        assert found.dtype == dtype
        rounding = 1e-10 if dtype == np.float64 else 1e-4
        assert_allclose(np.exp(found), estimator.predict_proba(X), rtol=rounding, atol=1e-7)
        # Finite where probabilities underflow.
        (module,) = estimator._copies.values()
        for parameter in module.head.parameters():
            parameter.mul_(100)
        assert np.isfinite(estimator.predict_log_proba(X)).all()

    def test_parameters_from_a_grid_of_numpy(self, data):
        X, y = data
        plain = self.make(max_iter=2, batch_size=32, n_components=4, learning_rate=0.01)
        scalars = self.make(
            max_iter=np.int64(2),
            batch_size=np.int32(32),
            n_components=np.int64(4),
            n_reference_dates=np.int64(plain.n_reference_dates),
            n_iter_no_change=np.uint8(10),
            learning_rate=np.float64(0.01),
            verbose=np.int64(0),
        ).fit(X, y)
        assert_array_equal(scalars.predict_proba(X), plain.fit(X, y).predict_proba(X))
        assert isinstance(scalars.max_iter, np.int64)

    def test_string_labels(self, fitted, data):
        X, y = data
        names = np.array(["water", "corn", "forest"])[y]
        estimator = self.make().fit(X, names)
        assert estimator.classes_.tolist() == ["corn", "forest", "water"]
        assert set(estimator.predict(X)) <= set(names)

    def test_weight_of_two_is_a_repetition(self, data):
        X, y = data
        weight = np.random.default_rng(0).integers(0, 3, len(X))
        rows = np.repeat(np.arange(len(X)), weight)
        one = self.make().fit(X, y, sample_weight=weight)
        other = self.make().fit(X[rows], y[rows])
        assert_allclose(one.predict_proba(X), other.predict_proba(X), rtol=0, atol=1e-6)
        plain = self.make().fit(X, y)
        assert not np.allclose(one.predict_proba(X), plain.predict_proba(X), atol=1e-3)

    def test_balanced_class_weight(self, data):
        X, y = data
        kept = np.flatnonzero((y != 0) | (np.cumsum(y == 0) <= 5))
        X, y = X[kept], y[kept]
        balanced = self.make(class_weight="balanced").fit(X, y)
        weight = len(y) / (3 * np.bincount(y))
        by_hand = self.make(class_weight=dict(enumerate(weight))).fit(X, y)
        assert_allclose(balanced.predict_proba(X), by_hand.predict_proba(X), rtol=0, atol=1e-9)
        plain = self.make().fit(X, y)
        gain = balanced.predict_proba(X)[:, 0].mean() - plain.predict_proba(X)[:, 0].mean()
        assert gain > 0.01

    def test_early_stopping(self, data):
        X, y = data
        estimator = self.make(
            max_iter=50, early_stopping=True, n_iter_no_change=1, tol=10.0, validation_fraction=0.3
        ).fit(X, y)
        # The first epoch is an improvement on nothing.
        assert estimator.n_iter_ == 2
        losses = [record["valid_log_loss"] for record in estimator.history_]
        assert np.isfinite(losses).all()

    def test_early_stopping_keeps_the_best_state(self, data):
        X, y = data
        estimator = self.make(
            max_iter=8, early_stopping=True, validation_split=halves, learning_rate=0.05
        ).fit(X, y)
        _, east = halves(X, y)
        picked = estimator.predict_log_proba(X[east])[np.arange(len(east)), y[east]]
        losses = [record["valid_log_loss"] for record in estimator.history_]
        assert_allclose(-picked.mean(), min(losses), rtol=1e-6)

    def test_held_out_block_is_not_trained_on(self, data):
        X, y = data
        _, east = halves(X, y)
        wrong = y.copy()
        wrong[east] = (y[east] + 1) % 3
        settings = {"early_stopping": True, "validation_split": halves, "max_iter": 1}
        one = self.make(**settings).fit(X, y)
        other = self.make(**settings).fit(X, wrong)
        assert_array_equal(one.predict_proba(X), other.predict_proba(X))

    def test_search_and_scores(self, data):
        X, y = data
        easting = np.nanmax(X[..., -2], axis=1)
        blocks = np.digitize(easting, np.quantile(easting, [0.3, 0.6]))
        estimator = make_pipeline(self.make(max_iter=1))
        scores = cross_val_score(estimator, X, y, groups=blocks, cv=GroupKFold(3))
        assert np.isfinite(scores).all()
        grid = {f"{self.estimator_class.__name__.lower()}__n_reference_dates": [3, 4]}
        search = GridSearchCV(estimator, grid, cv=2).fit(X, y)
        assert search.predict(X).shape == y.shape

    def test_2d_series(self):
        rng = np.random.default_rng(0)
        y = np.arange(60) % 2
        X = np.sin(np.linspace(0, 3, 12)) * (1 + y[:, None]) + 0.1 * rng.normal(size=(60, 12))
        X[0, 3] = NAN
        estimator = self.make(position_channels=(), max_iter=10).fit(X, y)
        packed = np.stack([np.tile(np.linspace(0, 1, 12), (60, 1)), X], axis=2)
        other = self.make(position_channels=(), max_iter=10).fit(packed, y)
        assert_array_equal(estimator.predict_proba(X), other.predict_proba(packed))
        assert estimator.n_features_in_ == 12
        assert estimator.score(X, y) > 0.9

    def test_flat_input_for_bagging(self, data):
        X, y = data
        X = np.nan_to_num(X)
        X[..., -2:] = X[:, :1, -2:]
        reshape = FunctionTransformer(methodcaller("reshape", -1, *X.shape[1:]))
        model = make_pipeline(reshape, self.make(max_iter=1))
        bagged = BaggingClassifier(model, n_estimators=2, random_state=0)
        flat = X.reshape(len(X), -1)
        assert bagged.fit(flat, y).predict_proba(flat).shape == (len(X), 3)

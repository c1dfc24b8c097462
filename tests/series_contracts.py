"""What every estimator of packed series keeps to, as test classes to inherit from.

A subclass sets `estimator_class` and `settings`, small ones without dropout.
"""

import pickle

import joblib
import numpy as np
import pytest
import skops.io
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError

from sklearn_sits.datasets import make_sits
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.runtime import batches, training

NAN = np.nan


def series(n=90, seed=0, **kwargs):
    """Irregular series of three classes, in double precision, positions last."""
    kwargs = {"dtype": np.float64, **kwargs}
    return make_sits(n, 24, 3, 3, random_state=seed, **kwargs)


def interrupt_after(monkeypatch, n_steps, error=KeyboardInterrupt):
    """Let a training stop in the middle of an epoch."""
    step, count = training._Net.train_step_single, []

    def interrupted(net, *args, **kwargs):
        count.append(1)
        if len(count) > n_steps:
            raise error
        return step(net, *args, **kwargs)

    monkeypatch.setattr(training._Net, "train_step_single", interrupted)


def torch_objects(state, path="state"):
    """Paths of the objects of torch or of its companions anywhere in a state."""
    found = []
    if type(state).__module__.split(".")[0] in ("torch", "skorch", "gpytorch"):
        found.append(path)
    if isinstance(state, dict):
        for key, value in state.items():
            found += torch_objects(key, f"{path} key") + torch_objects(value, f"{path}[{key!r}]")
    elif isinstance(state, list | tuple | set):
        for i, value in enumerate(state):
            found += torch_objects(value, f"{path}[{i}]")
    elif isinstance(state, BaseEstimator):
        found += torch_objects(state.__getstate__(), path)
    elif hasattr(state, "__dict__"):
        found += torch_objects(vars(state), path)
    return found


class Contract:
    """Estimators of a subclass; the fixtures `data` and `fitted` are in conftest.py."""

    estimator_class = None
    settings = {}
    # What a fitted estimator answers, the most important first.
    methods = ("predict_proba", "predict_log_proba", "transform", "predict")

    # Types in a file of skops, besides its own.
    trusted = ()

    def make(self, **kwargs):
        defaults = {"device": "cpu", "random_state": 0, "position_channels": (-2, -1)}
        return self.estimator_class(**{**defaults, **self.settings, **kwargs})

    def answer(self, fitted, X):
        return getattr(fitted, self.methods[0])(X)


class SeriesInvarianceContract(Contract):
    """Answers depend on the observations alone."""

    def training_series(self, X):
        """Return the series of X that a fit learns from."""
        return X

    def check_same(self, fitted, X, other, **tolerance):
        tolerance = {"rtol": 0, "atol": 1e-10, **tolerance}
        # Labels are no numbers to compare.
        for name in sorted({*self.methods} - {"predict"}):
            method = getattr(fitted, name)
            assert_allclose(method(other), method(X), err_msg=name, **tolerance)

    def test_padding(self, fitted, data):
        X = data[0]
        padding = np.full((len(X), 4, X.shape[2]), NAN)
        self.check_same(fitted, X, np.concatenate([padding, X, padding], axis=1))

    @pytest.mark.parametrize("date", [-1e6, 0.0, 17_650.0, 1e6])
    def test_cloudy_slots(self, fitted, data, date):
        X = data[0]
        cloud = np.full((len(X), 2, X.shape[2]), NAN)
        cloud[..., 0] = date
        cloud[..., -2:] = X[:, :1, -2:]
        longer = np.concatenate([cloud, X], axis=1)
        self.check_same(fitted, X, longer)
        refitted = clone(fitted).fit(longer, data[1])
        assert_allclose(refitted.reference_dates_, fitted.reference_dates_)

    def test_order_of_slots(self, fitted, data):
        X = data[0]
        order = np.random.default_rng(0).permuted(
            np.tile(np.arange(X.shape[1]), (len(X), 1)), axis=1
        )
        self.check_same(fitted, X, np.take_along_axis(X, order[..., None], axis=1))

    def test_shared_dates_or_dates_of_each_series(self, data):
        X, y = series(aligned=True)
        assert (X[..., 0] == X[0, :, 0]).all()
        fitted = self.make().fit(X, y)
        order = np.random.default_rng(0).permuted(
            np.tile(np.arange(X.shape[1]), (len(X), 1)), axis=1
        )
        permuted = np.take_along_axis(X, order[..., None], axis=1)
        self.check_same(fitted, X, permuted)

    def test_batches_subsets_and_order_of_rows(self, fitted, data, monkeypatch):
        X = data[0]
        expected = self.answer(fitted, X)
        for chosen in (np.arange(len(X))[::-1], np.arange(0, len(X), 7), [5], [1, 2, 3]):
            assert_allclose(self.answer(fitted, X[chosen]), expected[chosen], rtol=1e-9, atol=1e-9)
        monkeypatch.setitem(batches._PREDICTED_AT_ONCE, "cpu", 7)
        assert_allclose(self.answer(fitted, X), expected, rtol=1e-9, atol=1e-9)

    def test_series_without_observation(self, fitted, data):
        X, y = data
        empty = X[:3].copy()
        empty[..., 1:-2] = NAN
        with pytest.warns(UserWarning, match="3 of 3 series have no valid observation") as caught:
            found = self.answer(fitted, empty)
        assert len(caught) == 1
        assert np.isfinite(found).all()
        # As the mean series at the same place.
        observed = self.training_series(X)
        observed = observed[..., 1:-2][~np.isnan(observed[..., 1])]
        mean = X[:3, :4].copy()
        mean[..., 1:-2] = observed.mean(axis=0)
        assert_allclose(found, self.answer(fitted, mean), rtol=1e-6, atol=1e-6)
        # The other series of a batch are unmoved.
        mixed = np.concatenate([X[:10], empty])
        with pytest.warns(UserWarning, match="3 of 13"):
            assert_allclose(self.answer(fitted, mixed)[:10], self.answer(fitted, X[:10]))

    def test_unknown_positions(self, fitted, data):
        X = data[0].copy()
        X[:4, :, -2:] = NAN
        assert np.isfinite(self.answer(fitted, X)).all()


def _bad_inputs():
    def change(slot, value):
        def apply(X, y):
            X[slot] = value
            return X, y

        return apply

    return {
        "4-D": (lambda X, y: (X[None], y), "X has 4 dimensions"),
        "1-D": (lambda X, y: (X[0, 0], y), "Reshape your data|1D array|X"),
        "only dates": (lambda X, y: (X[..., :1], y), "X has .* 1 channels"),
        "no dates": (lambda X, y: (X[:, :0], y), "X has 0 dates"),
        "inf": (change((3, 0, 1), np.inf), "X contains infinity"),
        "value without date": (change((slice(None), 0, 0), NAN), "X has an observation without"),
        "strings": (lambda X, y: (X.astype(str), y), "X"),
        "moving position": (change((0, 0, -1), 7.0), "position_channels: channel 5 of X must be"),
    }


BAD_INPUTS = _bad_inputs()


# Of every estimator with an attention interpolator.
BAD_PARAMETERS = [
    ({"position_channels": (9,)}, "position_channels contains 9"),
    ({"position_channels": (0,)}, "position_channels contains 0"),
    ({"position_channels": (-1, 5)}, "position_channels names a channel of X twice"),
    ({"position_channels": (1.5,)}, "position_channels must hold integers"),
    ({"position_channels": range(1, 6)}, "position_channels=.* leaves no band"),
    ({"position_channels": "ab"}, "position_channels"),
    ({"device": "abacus"}, "device must be"),
    ({"device": "mps"}, "device='mps' is not supported"),
    ({"device": "cuda:99"}, "device='cuda:99' is not available"),
    ({"device": 3}, "'device' parameter"),
    ({"n_heads": 3}, "time_embedding_dim=16 must be a multiple of n_heads=3"),
    ({"time_embedding_dim": 1}, "'time_embedding_dim' parameter"),
    ({"n_reference_dates": 1}, "'n_reference_dates' parameter"),
    ({"dropout": 1.0}, "'dropout' parameter"),
    ({"max_iter": 0}, "'max_iter' parameter"),
    ({"batch_size": True}, "'batch_size' parameter .* Got True"),
    ({"max_iter": True}, "'max_iter' parameter .* Got True"),
    ({"n_components": True}, "'n_components' parameter .* Got True"),
    ({"dropout": False}, "'dropout' parameter .* Got False"),
    ({"tol": True}, "'tol' parameter .* Got True"),
]


class SeriesBadInputContract(Contract):
    """Errors name the argument and leave the estimator as it was."""

    def check(self, estimator, X, y, match, **kwargs):
        before = dict(vars(estimator))
        with pytest.raises((ValueError, TypeError), match=match):
            estimator.fit(X, y, **kwargs)
        assert list(vars(estimator)) == list(before)
        assert all(vars(estimator)[name] is value for name, value in before.items())

    @pytest.mark.parametrize("case", BAD_INPUTS)
    def test_input(self, data, case):
        apply, match = BAD_INPUTS[case]
        X, y = data
        self.check(self.make(), *apply(X.copy(), y), match)

    @pytest.mark.parametrize("case", ["4-D", "only dates"])
    def test_input_of_predict(self, fitted, data, case):
        apply, match = BAD_INPUTS[case]
        X, _ = apply(data[0].copy(), None)
        before = dict(vars(fitted))
        for name in self.methods:
            with pytest.raises(ValueError, match=match):
                getattr(fitted, name)(X)
        assert before == dict(vars(fitted))

    @pytest.mark.parametrize("value", [np.inf, -np.inf, 1e30])
    def test_wrong_values_of_predict_count_as_not_observed(self, fitted, data, value):
        X = data[0].copy()
        X[3, 0, 1] = value
        with pytest.warns(DataQualityWarning, match="1 ") as caught:
            found = self.answer(fitted, X)
        assert len(caught) == 1
        X[3, 0, 1] = NAN
        assert_array_equal(found, self.answer(fitted, X))

    def test_other_channels_in_predict(self, fitted, data):
        X = data[0]
        with pytest.raises(ValueError, match="X has 5 channels .* expecting 6"):
            self.answer(fitted, X[..., 1:])
        with pytest.raises(ValueError, match="X is 2-D, but .* was fitted on a 3-D"):
            self.answer(fitted, X[..., 1])

    def test_not_fitted(self, data):
        estimator = self.make()
        for name in self.methods:
            with pytest.raises(NotFittedError):
                getattr(estimator, name)(data[0])

    def test_error_keeps_the_previous_fit(self, data):
        X, y = data
        estimator = self.make().fit(X, y)
        expected = self.answer(estimator, X)
        self.check(estimator, X[..., :4], y, "position_channels|constant")
        assert_array_equal(self.answer(estimator, X), expected)

    @pytest.mark.parametrize(("parameters", "match"), BAD_PARAMETERS)
    def test_parameter(self, data, parameters, match):
        self.check(self.make(**parameters), *data, match)


class SeriesStateContract(Contract):
    """Interruption, persistence, random numbers."""

    @pytest.mark.parametrize("n_steps", [0, 1, 4])
    def test_interrupted_first_fit(self, data, monkeypatch, n_steps):
        estimator = self.make(batch_size=32)
        before = dict(vars(estimator))
        with monkeypatch.context() as patch:
            interrupt_after(patch, n_steps)
            with pytest.raises(KeyboardInterrupt):
                estimator.fit(*data)
        assert vars(estimator) == before
        with pytest.raises(NotFittedError):
            self.answer(estimator, data[0])
        assert estimator.fit(*data).n_iter_ == estimator.max_iter

    def test_pickle(self, fitted, data):
        expected = self.answer(fitted, data[0])
        loaded = pickle.loads(pickle.dumps(fitted))
        assert_array_equal(self.answer(loaded, data[0]), expected)
        assert_array_equal(loaded.transform(data[0]), fitted.transform(data[0]))
        assert_array_equal(loaded.reference_dates_, fitted.reference_dates_)

    def test_joblib(self, fitted, data, tmp_path):
        joblib.dump(fitted, tmp_path / "model.joblib")
        loaded = joblib.load(tmp_path / "model.joblib")
        assert_array_equal(self.answer(loaded, data[0]), self.answer(fitted, data[0]))

    def test_skops(self, fitted, data, tmp_path):
        skops.io.dump(fitted, tmp_path / "model.skops")
        trusted = skops.io.get_untrusted_types(file=tmp_path / "model.skops")
        cls = self.estimator_class
        assert trusted == sorted({f"sklearn_sits.{cls.__name__}", *self.trusted})
        loaded = skops.io.load(tmp_path / "model.skops", trusted=trusted)
        assert_array_equal(self.answer(loaded, data[0]), self.answer(fitted, data[0]))

    def test_pickle_after_a_change_of_parameters(self, fitted, data):
        """A fitted model is that of its fit, whatever is set for the next one."""
        other = pickle.loads(pickle.dumps(fitted))
        other.set_params(n_reference_dates=7, time_embedding_dim=4, position_channels=())
        loaded = pickle.loads(pickle.dumps(other))
        assert loaded.n_reference_dates == 7
        assert_array_equal(self.answer(loaded, data[0]), self.answer(fitted, data[0]))

    def test_state_is_without_torch(self, fitted, data):
        self.answer(fitted, data[0])
        assert torch_objects(fitted.__getstate__()) == []
        assert all(isinstance(value, np.ndarray) for value in fitted.state_.values())
        assert b"torch" not in pickle.dumps(fitted)

    def test_same_seed_same_result(self, data):
        X, y = data
        settings = {"dropout": 0.2, "date_dropout": 0.3, "batch_size": 32, "max_iter": 2}
        one, other, third = (
            self.make(random_state=seed, **settings).fit(X, y) for seed in (3, 3, 4)
        )
        assert_array_equal(self.answer(one, X), self.answer(other, X))
        assert not np.allclose(self.answer(one, X), self.answer(third, X))
        generator = np.random.RandomState(3)
        fourth = self.make(random_state=generator, **settings).fit(X, y)
        assert_array_equal(self.answer(one, X), self.answer(fourth, X))

    @pytest.mark.parametrize("random_state", [0, None])
    def test_global_state_is_untouched(self, data, random_state):
        def snapshot():
            numpy = np.random.get_state()
            return (
                torch.get_rng_state().tolist(),
                [part.tolist() if isinstance(part, np.ndarray) else part for part in numpy],
                torch.get_default_dtype(),
                torch.get_num_threads(),
                torch.is_grad_enabled(),
            )

        X, y = data
        before = snapshot()
        estimator = self.make(random_state=random_state, dropout=0.2, date_dropout=0.3)
        estimator.fit(X, y)
        for name in self.methods:
            getattr(estimator, name)(X)
        after = snapshot()
        if random_state is None:
            # The seed is then drawn from the global generator of numpy, as in scikit-learn.
            before, after = before[:1] + before[2:], after[:1] + after[2:]
        assert after == before

    def test_input_is_not_changed(self, data):
        X, y = data
        copies = X.copy(), y.copy()
        self.answer(self.make().fit(X, y), X)
        assert_array_equal(X, copies[0])
        assert_array_equal(y, copies[1])


class SeriesWorkflowContract(Contract):
    """Storage and parameters."""

    def test_clone_and_parameters(self, fitted):
        copy = clone(fitted)
        assert not hasattr(copy, "state_")
        assert copy.get_params() == fitted.get_params()

    def test_memory_map(self, fitted, data, tmp_path):
        X, y = data
        np.save(tmp_path / "X.npy", X)
        mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
        estimator = self.make().fit(mapped, y)
        assert_array_equal(self.answer(estimator, mapped), self.answer(fitted, X))

    def test_names_of_the_representation(self, fitted, data):
        names = fitted.get_feature_names_out()
        prefix = self.estimator_class.__name__.lower()
        assert names[0] == f"{prefix}0"
        assert fitted.transform(data[0]).shape == (len(data[0]), len(names))

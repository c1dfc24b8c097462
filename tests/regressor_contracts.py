"""What both auto-encoder regressors keep to, as test classes to inherit from.

The fixtures `data`, `tiny` (trained for a few steps), `trained` (for long enough to be of use) and
`fitted` (a copy of `trained`) are in the conftest.py of each regressor.
"""

import pickle
from copy import deepcopy

import joblib
import numpy as np
import pytest
import skops.io
import torch
from numpy.testing import assert_allclose, assert_array_equal
from series_contracts import torch_objects
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict

NAN = np.nan


def interrupt_after(monkeypatch, training_class, name, n_calls):
    """Let a training stop in one of its steps."""
    method, count = getattr(training_class, name), []

    def interrupted(self, n):
        count.append(1)
        if len(count) > n_calls:
            raise KeyboardInterrupt
        return method(self, n)

    monkeypatch.setattr(training_class, name, interrupted)


def check_unchanged(model, X, match, y=None):
    """Check that a fit raises, and leaves the estimator as it was."""
    before = dict(vars(model))
    with pytest.raises((ValueError, TypeError), match=match):
        model.fit(X, y)
    assert list(vars(model)) == list(before)
    assert all(vars(model)[name] is value for name, value in before.items())


class RegressorContract:
    """Case of a regressor; a subclass sets the attributes and methods below."""

    # Names of all outputs; one target, and those of the columns of y.
    names = ()
    target, several = None, None
    # Of the training, of the distributions that it gives, and of the sizes of batches.
    training_class = posterior_class = batch_sizes = None
    # Parameters that a fitted model must not look at, and a learning rate that diverges.
    changes = ()
    diverging_rate = 1e30
    # Types that skops does not know.
    skops_types = ()
    tolerance = {"rtol": 1e-8, "atol": 1e-9}
    single_precision = {}
    # Relative difference of draws of an observation with and without neighbours.
    draw_tolerance = 0.0
    # Of quantiles of draws of `several` from those of `predict_interval`, as a share of the width.
    quantile_error = 0.06
    methods = ("predict", "predict_interval", "transform", "reconstruct", "sample")

    def make(self, **kwargs):
        """Return an estimator that trains for a few steps."""
        raise NotImplementedError

    def results(self, model, X):
        """Return all that a model returns as one table, a row per observation."""
        raise NotImplementedError

    def cases(self, trained, X):
        """Return pairs of a model and data in one of its formats."""
        return [(trained, X)]

    def pad(self, model, X):
        """Return X with slots without observation in front, and the draws without them."""
        raise NotImplementedError

    def check_draws(self, draws):
        """Check bounds and relations of draws (n_draws, n, n_outputs) of all outputs."""
        raise NotImplementedError


class StateContract(RegressorContract):
    """Persistence, interruption, random numbers."""

    def check_same(self, loaded, model, X):
        assert_array_equal(self.results(loaded, X), self.results(model, X))
        assert loaded.history_ == model.history_

    def test_pickle(self, trained, data):
        self.check_same(pickle.loads(pickle.dumps(trained)), trained, data[0])

    @pytest.mark.parametrize("mmap_mode", [None, "r"])
    def test_joblib(self, trained, data, tmp_path, mmap_mode):
        joblib.dump(trained, tmp_path / "model.joblib")
        loaded = joblib.load(tmp_path / "model.joblib", mmap_mode=mmap_mode)
        self.check_same(loaded, trained, data[0])

    def test_skops(self, trained, data, tmp_path):
        skops.io.dump(trained, tmp_path / "model.skops")
        trusted = skops.io.get_untrusted_types(file=tmp_path / "model.skops")
        assert sorted(trusted) == sorted(self.skops_types)
        loaded = skops.io.load(tmp_path / "model.skops", trusted=trusted)
        self.check_same(loaded, trained, data[0])

    def test_state_is_without_torch(self, tiny, data):
        tiny.predict(data[0])
        assert torch_objects(tiny.__getstate__()) == []
        assert all(isinstance(value, np.ndarray) for value in tiny.state_.values())
        assert b"torch" not in pickle.dumps(tiny)

    def test_fitted_model_is_that_of_its_fit(self, trained, data):
        X = data[0][:50]
        expected = self.results(trained, X)
        for changes in self.changes:
            other = deepcopy(trained).set_params(**changes)
            assert_array_equal(self.results(other, X), expected)
            loaded = pickle.loads(pickle.dumps(other))
            assert_array_equal(self.results(loaded, X), expected)
            for name, value in changes.items():
                assert getattr(loaded, name) == value

    @pytest.mark.parametrize(
        ("name", "n_calls"), [("simulated_loss", 0), ("simulated_loss", 5), ("observed_loss", 1)]
    )
    def test_interrupted_fit(self, data, monkeypatch, name, n_calls):
        X = data[0]
        new, old = self.make(objective="hybrid"), self.make(objective="hybrid").fit(X)
        before, expected = dict(vars(new)), self.results(old, X)
        old.set_params(n_hidden=4)
        interrupt_after(monkeypatch, self.training_class, name, n_calls)
        with pytest.raises(KeyboardInterrupt):
            new.fit(X)
        assert vars(new) == before
        with pytest.raises(NotFittedError):
            new.predict(X)
        with pytest.raises(KeyboardInterrupt):
            old.fit(X[:50])
        assert_array_equal(self.results(old, X), expected)

    def test_divergence_keeps_the_previous_fit(self, tiny, data):
        X = data[0]
        new = self.make(learning_rate=self.diverging_rate)
        old = deepcopy(tiny).set_params(learning_rate=self.diverging_rate)
        before = dict(vars(new))
        for model in (new, old):
            with pytest.raises(FloatingPointError, match="The training diverged. Lower learning_r"):
                model.fit(X)
        assert vars(new) == before
        self.check_same(old, tiny, X)

    def test_error_keeps_the_previous_fit(self, tiny, data):
        X = data[0]
        model = deepcopy(tiny)
        check_unchanged(model, X[..., :1], "X has ")
        self.check_same(model, tiny, X)

    def test_same_seed_same_result(self, data, tiny):
        X = data[0]
        expected = self.results(tiny, X)
        assert_array_equal(self.results(self.make().fit(X), X), expected)
        assert_array_equal(self.results(deepcopy(tiny).fit(X), X), expected)
        one, two = (
            self.make(random_state=np.random.RandomState(3)).fit(X).predict(X) for _ in range(2)
        )
        assert_array_equal(one, two)
        assert not np.isclose(one, tiny.predict(X)).all(axis=0).any()

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

        X = data[0].copy()
        before = snapshot()
        self.results(self.make(random_state=random_state, objective="hybrid").fit(X), X)
        after = snapshot()
        if random_state is None:
            # The seed is then drawn from the global generator of numpy, as in scikit-learn.
            before, after = before[:1] + before[2:], after[:1] + after[2:]
        assert after == before
        assert_array_equal(X, data[0])


class InputContract(RegressorContract):
    """Arguments that are not as documented, and targets."""

    @pytest.mark.parametrize(
        ("parameters", "match"),
        [
            ({"targets": []}, "targets must be 'all' or among .* got an empty sequence"),
            ({"targets": None}, "'targets' parameter"),
            ({"objective": "supervised"}, "'objective' parameter"),
            ({"noise": -0.1}, "'noise' parameter"),
            ({"priors": "broad"}, "'priors' parameter"),
            ({"priors": {"peak": (0, 1)}}, "priors must name some of .* got .'peak'"),
            ({"n_hidden": 0}, "'n_hidden' parameter"),
            ({"n_blocks": -1}, "'n_blocks' parameter"),
            ({"pretrain_iter": 0}, "'pretrain_iter' parameter"),
            ({"max_iter": 1.5}, "'max_iter' parameter"),
            ({"batch_size": "large"}, "'batch_size' parameter"),
            ({"learning_rate": 0.0}, "'learning_rate' parameter"),
            ({"n_mc_samples": 1}, "'n_mc_samples' parameter"),
            ({"kl_weight": -1.0}, "'kl_weight' parameter"),
            ({"random_state": "seed"}, "'random_state' parameter"),
            ({"device": "abacus"}, "device must be"),
            ({"device": "mps"}, "device='mps' is not supported"),
            ({"device": 3}, "'device' parameter"),
        ],
    )
    def test_shared_parameter(self, data, parameters, match):
        check_unchanged(self.make(**parameters), data[0], match)

    @pytest.mark.parametrize("wrong", ["lai", ["lai"], ("lai", "sos")])
    def test_unknown_target(self, fitted, data, wrong):
        match = "targets must be 'all' or among .* got .'lai'"
        check_unchanged(self.make(targets=wrong), data[0], match)
        fitted.set_params(targets=wrong)
        for name in ("predict", "predict_interval", "sample"):
            with pytest.raises(ValueError, match=match):
                getattr(fitted, name)(data[0])

    def test_targets(self, trained, fitted, data):
        X = data[0]
        everything = trained.transform(X)
        for targets in (self.target, (self.target,), list(self.names[::-3]), "all"):
            fitted.targets = targets
            names = self.names if targets == "all" else np.atleast_1d(targets).tolist()
            columns = [self.names.index(name) for name in names]
            shape = (len(X),) if targets == self.target else (len(X), len(columns))
            expected = everything[:, columns].reshape(shape)
            mean, std = fitted.predict(X, return_std=True)
            draws = fitted.sample(X, 2, random_state=0)
            for found in (mean, std, *fitted.predict_interval(X), *draws):
                assert found.shape == shape
                assert found.dtype == np.float64
            assert_allclose(mean, expected, rtol=1e-12)
            assert_array_equal(fitted.predict(X), mean)

    @pytest.mark.parametrize("coverage", [0, 1, 1.5, "a", None, NAN, True, False])
    def test_bad_coverage(self, trained, data, coverage):
        with pytest.raises(ValueError, match="coverage must be between 0 and 1, got"):
            trained.predict_interval(data[0], coverage)

    @pytest.mark.parametrize("n_draws", [0, -1, 1.5, "many", None, True])
    def test_bad_n_draws(self, trained, data, n_draws):
        with pytest.raises(ValueError, match="n_draws must be a positive integer, got"):
            trained.sample(data[0], n_draws)

    def test_not_fitted(self, data):
        for name in self.methods:
            with pytest.raises(NotFittedError):
                getattr(self.make(), name)(data[0])
        with pytest.raises(NotFittedError):
            self.make().get_feature_names_out()

    def test_y_is_checked_only(self, data, tiny):
        X, y = data
        model = self.make(targets=self.several).fit(X, y)
        assert_array_equal(model.transform(X), tiny.transform(X))
        one = self.make(targets=self.target)
        assert_array_equal(one.fit(X, y[:, 0]).transform(X), tiny.transform(X))
        check_unchanged(one, X, "y should be a 1d array", y)
        for wrong, match in (
            (y[:-1], "inconsistent numbers of samples"),
            (np.full_like(y, NAN), "contains NaN"),
            (np.full_like(y, np.inf), "contains infinity"),
        ):
            check_unchanged(model, X, match, wrong)


class InvarianceContract(RegressorContract):
    """Predictions depend on the observations alone."""

    def test_order_and_neighbours(self, trained, data):
        for model, X in self.cases(trained, data[0]):
            expected = self.results(model, X)
            for chosen in (np.arange(len(X))[::-1], np.arange(0, len(X), 7), [5], [1, 2, 3]):
                found = self.results(model, X[chosen])
                assert_allclose(found, expected[chosen], **self.tolerance)

    def test_batch_size(self, trained, data, monkeypatch):
        initialise, count = self.posterior_class.__init__, []

        def counting(posterior, *args):
            count.append(1)
            initialise(posterior, *args)

        monkeypatch.setattr(self.posterior_class, "__init__", counting)
        for model, X in self.cases(trained, data[0]):
            count.clear()
            expected = self.results(model, X)
            n_batches = len(count)
            with monkeypatch.context() as patch:
                patch.setitem(self.batch_sizes, "cpu", 7)
                assert_allclose(self.results(model, X), expected, **self.tolerance)
            # Without this the patch could be of a number that nothing reads.
            assert len(count) > 10 * n_batches

    def test_single_precision(self, trained, data):
        single = data[0].astype(np.float32)
        found, expected = (self.results(trained, X) for X in (single, single.astype(float)))
        assert_allclose(found, expected, **self.single_precision)
        one, two = (self.make().fit(X).predict(single) for X in (single, single.astype(float)))
        assert_array_equal(one, two)

    def test_memory_map(self, tiny, data, tmp_path):
        np.save(tmp_path / "X.npy", data[0])
        mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
        model = self.make().fit(mapped)
        assert_array_equal(self.results(model, mapped), self.results(tiny, data[0]))


class DrawContract(RegressorContract):
    """Draws of the targets."""

    def test_draws_depend_on_the_observation_alone(self, trained, data):
        for model, X in self.cases(trained, data[0]):
            draws = model.sample(X, 5, random_state=0)
            assert draws.shape == (5, *model.predict(X).shape)
            for i in (0, 3, len(X) - 1):
                alone = model.sample(X[i : i + 1], 5, random_state=0)[:, 0]
                assert_allclose(draws[:, i], alone, rtol=self.draw_tolerance)

    def test_padding(self, trained, data):
        for model, X in self.cases(trained, data[0]):
            if X.ndim == 3:
                draws = model.sample(X, 5, random_state=0)
                assert_allclose(self.pad(model, X), draws, rtol=1e-12)

    def test_order_of_dates(self, trained, data):
        """That of the slots means nothing to draws."""
        for model, X in self.cases(trained, data[0]):
            if X.ndim == 3:
                order = np.random.default_rng(0).permutation(X.shape[1])
                draws, shuffled = (model.sample(one, 5, random_state=0) for one in (X, X[:, order]))
                if draws.ndim == 4 or draws.shape[2:] == X.shape[1:2]:
                    draws = draws[:, :, order]
                assert_allclose(shuffled, draws, rtol=1e-6)

    def test_different_observations_have_different_draws(self, trained, data):
        draws = trained.sample(data[0][:20], 1000, random_state=0)[..., 0]
        correlation = np.corrcoef(draws, rowvar=False)[np.triu_indices(20, 1)]
        assert np.abs(correlation).max() < 0.2
        assert len(np.unique(draws)) > 0.9 * draws.size

    def test_seeds(self, trained, data):
        X = data[0]
        one, two, three = (trained.sample(X, 5, random_state=seed) for seed in (0, 0, 1))
        assert_array_equal(one, two)
        # Some of thousands of numbers are close by chance.
        assert np.isclose(one, three).mean() < 0.005
        assert np.isclose(one[0], one[1]).mean() < 0.005
        generator = np.random.RandomState(0)
        assert_array_equal(trained.sample(X, 5, random_state=generator), one)
        assert not np.array_equal(trained.sample(X, 5, random_state=generator), one)

    def test_bounds_and_relations(self, trained, data):
        for model, X in self.cases(trained, data[0]):
            model = deepcopy(model).set_params(targets="all")
            draws = model.sample(X, 50, random_state=0)
            self.check_draws(draws[np.isfinite(draws).all(-1)].reshape(50, -1, len(self.names)))

    def test_quantiles(self, trained, data):
        X = data[0][:50]
        draws = trained.sample(X, 4000, random_state=0)
        for coverage in (0.5, 0.9):
            lower, upper = trained.predict_interval(X, coverage)
            found = np.quantile(draws, [0.5 - coverage / 2, 0.5 + coverage / 2], axis=0)
            error = np.abs(found - [lower, upper]) / (upper - lower)
            median = np.median(error, axis=(0, 1))
            assert (median < self.quantile_error).all(), median


class WorkflowContract(RegressorContract):
    """The tools of scikit-learn."""

    def test_names(self, trained, fitted, data):
        X = data[0]
        assert trained.get_feature_names_out().tolist() == list(self.names)
        table = fitted.set_output(transform="pandas").transform(X)
        assert table.columns.tolist() == list(self.names)
        assert_array_equal(table, trained.transform(X))

    def test_clone(self, tiny, data):
        copy = clone(tiny)
        assert not hasattr(copy, "state_")
        assert copy.get_params() == tiny.get_params()
        assert_array_equal(copy.fit(data[0]).predict(data[0]), tiny.predict(data[0]))

    def test_search(self, data):
        X, y = data
        model = self.make(targets=self.several)
        assert cross_val_predict(model, X, y, cv=2).shape == y.shape
        search = GridSearchCV(model, {"n_hidden": [4, 8]}, cv=2).fit(X, y)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        assert_array_equal(search.predict(X), search.best_estimator_.predict(X))

import numpy as np
import pytest
import series_contracts
import zarr
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import KMeans
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline

from sklearn_sits import MTANEncoder
from sklearn_sits.datasets import make_sits
from sklearn_sits.encoders import training
from sklearn_sits.exceptions import DataQualityWarning

NAN = np.nan
# Some of the random series are that cloudy.
pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than two observed dates:UserWarning")


class Encoder:
    estimator_class = MTANEncoder
    methods = ("transform",)
    settings = {
        "n_reference_dates": 5,
        "time_embedding_dim": 16,
        "n_components": 16,
        "n_hidden": 16,
        "embedding_dim": 8,
        "dropout": 0,
        "max_iter": 6,
    }


class TestInvariance(Encoder, series_contracts.SeriesInvarianceContract):
    def training_series(self, X):
        return X[count_dates(X) >= 2]


class TestBadInput(Encoder, series_contracts.SeriesBadInputContract):
    @pytest.mark.parametrize(
        ("parameters", "match"),
        [
            ({"embedding_dim": 1}, "'embedding_dim' parameter"),
            ({"date_dropout": 1.0}, "'date_dropout' parameter"),
            ({"gain_noise": -0.1}, "'gain_noise' parameter"),
            ({"band_dropout": 1.0}, "'band_dropout' parameter"),
            ({"date_shift": -1.0}, "'date_shift' parameter"),
            ({"temperature": 0}, "'temperature' parameter"),
            ({"max_iter": "auto"}, "'max_iter' parameter"),
            ({"batch_size": 1}, "'batch_size' parameter"),
            ({"learning_rate": 0}, "'learning_rate' parameter"),
            ({"early_stopping": 1}, "'early_stopping' parameter"),
            ({"validation_fraction": 1.0}, "'validation_fraction' parameter"),
            ({"n_iter_no_change": 0}, "'n_iter_no_change' parameter"),
            ({"tol": -1e-4}, "'tol' parameter"),
            ({"random_state": "a"}, "'random_state' parameter"),
            (
                {"early_stopping": True, "validation_fraction": 0.99},
                "validation_fraction=0.99 leaves 1 of .. series",
            ),
        ],
    )
    def test_own_parameter(self, data, parameters, match):
        self.check(self.make(**parameters), *data, match)

    def test_one_series(self, data):
        X, y = data
        self.check(self.make(), X[:1], y[:1], r"X has 1 sample\(s\) with at least two observed")

    def test_no_series_with_two_dates(self, data):
        X, y = data
        match = r"X has 0 sample\(s\) with at least two observed dates, expected at least 2"
        self.check(self.make(), keep_dates(X, 1), y, match)
        plain = self.make(position_channels=())
        one = "X has one date per series, expected at least two"
        self.check(plain, np.ones((9, 1, 3)), None, one)
        column = "X has 1 feature.*, that is one date, per series"
        self.check(plain, np.ones((9, 1)), None, column)

    def test_divergence(self, data):
        X, _ = data
        estimator = self.make(learning_rate=1e30, max_iter=60)
        before = dict(vars(estimator))
        with pytest.raises(FloatingPointError, match=r"Lower learning_rate=1e\+30"):
            estimator.fit(X.astype(np.float32))
        assert vars(estimator) == before


class TestState(Encoder, series_contracts.SeriesStateContract):
    def test_interrupted_second_fit(self, data, monkeypatch):
        X, _ = data
        estimator = self.make().fit(X)
        expected, history = estimator.transform(X), list(estimator.history_)
        series_contracts.interrupt_after(monkeypatch, 1)
        with pytest.raises(KeyboardInterrupt):
            estimator.fit(X[..., [0, 1, -2, -1]])
        assert_array_equal(estimator.transform(X), expected)
        assert estimator.history_ == history
        assert estimator.n_features_in_ == 6

    @pytest.mark.parametrize(
        "noise", ["dropout", "date_dropout", "gain_noise", "band_dropout", "date_shift"]
    )
    def test_random_parts(self, data, noise):
        """Each draws from the seed, and changes the result."""
        X, _ = data
        silent = {"dropout": 0, "gain_noise": 0, "max_iter": 3}
        strength = {"date_shift": 30.0}.get(noise, 0.3)
        plain = self.make(**silent).fit(X)
        one, other = (self.make(**{**silent, noise: strength}).fit(X) for _ in range(2))
        assert_array_equal(one.transform(X), other.transform(X))
        assert not np.allclose(one.transform(X), plain.transform(X), atol=1e-6)


class TestWorkflow(Encoder, series_contracts.SeriesWorkflowContract):
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_dtypes(self, data, dtype):
        X = data[0].astype(dtype)
        estimator = self.make().fit(X)
        assert {value.dtype for value in estimator.state_.values()} == {np.dtype(dtype)}
        Z = estimator.transform(X)
        assert Z.dtype == dtype
        rounding = 1e-10 if dtype == np.float64 else 1e-4
        assert_allclose(estimator.transform(X.astype(float)), Z, rtol=0, atol=rounding)
        embedding = Z[:, :8]
        assert_allclose(embedding.mean(axis=1), 0, atol=1e-5)
        assert_allclose(embedding.std(axis=1), 1, atol=1e-2)

    def test_series_are_appended_to_the_embedding(self, fitted, data):
        X, _ = data
        plain = self.make(append_series=False).fit(X)
        Z = fitted.transform(X)
        assert_array_equal(plain.transform(X), Z[:, :8])
        # 5 reference dates of 3 bands, of about the same norm.
        assert Z.shape == (90, 8 + 15)
        norms = np.square(Z[:, :8]).sum(axis=1).mean(), np.square(Z[:, 8:]).sum(axis=1).mean()
        assert 0.3 < norms[1] / norms[0] < 1.5

    def test_zarr(self, fitted, data, tmp_path):
        X, _ = data
        stored = zarr.create_array(tmp_path / "X.zarr", data=X, chunks=(7, 5, 4))
        estimator = self.make().fit(stored)
        assert_array_equal(estimator.transform(stored), fitted.transform(X))

    def test_labels_are_ignored(self, fitted, data):
        X, y = data
        assert_array_equal(self.make().fit_transform(X), fitted.transform(X))
        assert_array_equal(self.make().fit_transform(X, y), fitted.transform(X))

    def test_2d_series(self):
        rng = np.random.default_rng(0)
        phase = rng.uniform(0, 2, (60, 1))
        X = np.sin(np.linspace(0, 3, 12) + phase) + 0.1 * rng.normal(size=(60, 12))
        X[0, 3] = NAN
        packed = np.stack([np.tile(np.linspace(0, 1, 12), (60, 1)), X], axis=2)
        one, other = (self.make(position_channels=()).fit(series) for series in (X, packed))
        assert_array_equal(one.transform(X), other.transform(packed))
        assert one.n_features_in_ == 12

    def test_position_channels(self, fitted, data):
        X, _ = data
        order = [0, 4, 5, 1, 2, 3]
        other = self.make(position_channels=(1, 2)).fit(X[..., order])
        assert_allclose(other.transform(X[..., order]), fitted.transform(X), rtol=0, atol=1e-7)
        moved = X.copy()
        moved[..., -2:] = X[::-1][:, :1, -2:]
        assert not np.allclose(fitted.transform(moved), fitted.transform(X), atol=1e-3)

    def test_attributes(self, fitted, data):
        X, _ = data
        observed = X[..., 0][~np.isnan(X[..., 1])]
        dates = [observed.min(), observed.max()]
        assert_allclose(fitted.date_range_, dates)
        assert_allclose(fitted.reference_dates_, np.linspace(*dates, 5))
        assert fitted.value_range_.shape == (5, 2)
        assert fitted.n_iter_ == 6
        assert fitted.transform(X).shape == (90, 23)


def count_dates(X):
    return np.count_nonzero(~np.isnan(X[..., 1]), axis=1)


def keep_dates(X, n):
    """Hide all but the first observed dates of each series."""
    X = X.copy()
    observed = ~np.isnan(X[..., 1])
    X[..., 1:-2][observed & (observed.cumsum(axis=1) > n)] = NAN
    return X


def make(**kwargs):
    settings = {**Encoder.settings, "device": "cpu", "random_state": 0}
    return MTANEncoder(**{**settings, **kwargs})


def test_series_of_one_date_are_left_out_and_transformed(data):
    X = data[0][count_dates(data[0]) >= 2]
    X[:4] = keep_dates(X[:4], 1)
    X[4:6, :, 1:-2] = NAN
    match = f"6 of {len(X)} series have fewer than two observed dates"
    empty = pytest.warns(UserWarning, match="2 of .* series have no valid observation")
    with empty, pytest.warns(DataQualityWarning, match=match) as caught:
        encoder = make(position_channels=(-2, -1)).fit(X)
    assert {warning.filename for warning in caught} == {__file__}
    other = make(position_channels=(-2, -1)).fit(X[6:])
    with pytest.warns(UserWarning, match="2 of 6 series have no valid observation"):
        Z = encoder.transform(X[:6])
    assert np.isfinite(Z).all()
    assert_allclose(encoder.transform(X[6:]), other.transform(X[6:]), atol=1e-7)


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_constant_series(value):
    X = np.full((20, 8, 3), value)
    X[..., 0] = np.arange(8)
    Z = make().fit(X).transform(X)
    assert np.isfinite(Z).all()
    assert_allclose(Z, np.broadcast_to(Z[0], Z.shape))


def test_history():
    X, _ = series_contracts.series(positions=False)
    encoder = make(max_iter=60).fit(X)
    assert [record["step"] for record in encoder.history_] == [25, 50, 60]
    assert set(encoder.history_[0]) == {"step", "train_loss", "seconds"}
    assert encoder.n_iter_ == 60
    assert encoder.history_[-1]["train_loss"] < encoder.history_[0]["train_loss"]


def test_early_stopping():
    X, _ = series_contracts.series(positions=False)
    settings = {"early_stopping": True, "validation_fraction": 0.3, "max_iter": 200}
    encoder = make(n_iter_no_change=1, tol=10.0, **settings).fit(X)
    # The first record is an improvement on nothing.
    assert encoder.n_iter_ == 50
    assert all(np.isfinite(record["valid_loss"]) for record in encoder.history_)


def test_early_stopping_keeps_the_best_state(monkeypatch):
    X, _ = series_contracts.series(positions=False)
    validate, states = training._validate, []

    def recorded(module, *args):
        states.append(module.state_dict()["embedding.output.weight"].numpy().copy())
        return validate(module, *args)

    monkeypatch.setattr(training, "_validate", recorded)
    settings = {"early_stopping": True, "validation_fraction": 0.3, "tol": 0}
    # Steps of this size soon lead away from the best state.
    encoder = make(max_iter=200, n_iter_no_change=2, learning_rate=1.0, **settings).fit(X)
    losses = [record["valid_loss"] for record in encoder.history_]
    best = int(np.argmin(losses))
    assert encoder.n_iter_ == 25 * (best + 1 + 2) < 200
    assert_array_equal(encoder.state_["embedding.output.weight"], states[best])
    assert not np.array_equal(states[-1], states[best])


@pytest.mark.parametrize("verbose", [0, 1])
def test_progress_bar(capsys, verbose):
    X, _ = series_contracts.series(positions=False)
    make(verbose=verbose).fit(X)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("6/6" in err and "train_loss" in err) if verbose else err == ""


def test_batches_are_drawn_from_all_series():
    X, _ = series_contracts.series(positions=False)
    one, other = (make(batch_size=40).fit(series) for series in (X, X[:80]))
    assert not np.allclose(one.transform(X), other.transform(X), atol=1e-6)


@pytest.fixture(scope="module")
def scene():
    """Series of four classes whose dates are mostly cloudy."""
    return make_sits(1000, 30, 4, 4, positions=False, random_state=0)


@pytest.fixture(scope="module")
def learned(scene):
    settings = {"batch_size": 256, "random_state": 0, "device": "cpu"}
    return [MTANEncoder(max_iter=steps, **settings).fit(scene[0]) for steps in (1, 150)]


def test_few_labels_suffice_behind_the_encoder(scene, learned):
    X, y = scene
    test = np.arange(len(y)) >= 500
    scores = []
    for encoder in learned:
        found = []
        for seed in range(5):
            order = np.random.default_rng(seed).permutation(np.flatnonzero(~test))
            few = np.concatenate([order[y[order] == label][:5] for label in range(4)])
            clf = make_pipeline(FrozenEstimator(encoder), LogisticRegression()).fit(X[few], y[few])
            found.append(clf.score(X[test], y[test]))
        scores.append(np.mean(found))
    untrained, trained = scores
    assert trained > untrained + 0.05, scores
    assert trained > 0.7, scores


def test_clusters_are_classes(scene, learned):
    X, y = scene
    scores = []
    for encoder in learned:
        model = make_pipeline(FrozenEstimator(encoder), KMeans(4, n_init=5, random_state=0))
        scores.append(adjusted_rand_score(y, model.fit_predict(X)))
    untrained, trained = scores
    assert trained > untrained + 0.1, scores

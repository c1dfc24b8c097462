import contracts
import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV

from sklearn_sits import MTANSVGPClassifier, pack
from sklearn_sits.datasets import make_sits


class Small:
    estimator_class = MTANSVGPClassifier
    settings = {
        "n_reference_dates": 5,
        "time_embedding_dim": 16,
        "n_components": 16,
        "n_hidden": 16,
        "n_inducing": 8,
        "dropout": 0,
        "date_dropout": 0,
        "batch_size": 256,
        "max_iter": 3,
    }


class TestInvariance(Small, contracts.InvarianceContract):
    pass


class TestBadInput(Small, contracts.BadInputContract):
    @pytest.mark.parametrize(
        ("parameters", "match"),
        [
            ({"n_mc_samples": 3}, "n_mc_samples must be even, got 3"),
            ({"n_mc_samples": 0}, "'n_mc_samples' parameter"),
            ({"n_inducing": 0}, "'n_inducing' parameter"),
        ],
    )
    def test_own_parameter(self, data, parameters, match):
        self.check(self.make(**parameters), *data, match)


class TestState(Small, contracts.StateContract):
    pass


class TestWorkflow(Small, contracts.WorkflowContract):
    pass


def make(**kwargs):
    return MTANSVGPClassifier(device="cpu", random_state=0, **{**Small.settings, **kwargs})


class Interrupted(MTANSVGPClassifier):
    """Stopped by its user, in whatever process it is fitted."""

    def fit(self, X, y, sample_weight=None):
        raise KeyboardInterrupt


@pytest.mark.slow
def test_interrupt_in_a_worker_stops_a_search(data):
    search = GridSearchCV(
        Interrupted(device="cpu"), {"max_iter": [1, 2]}, cv=2, n_jobs=2, error_score=np.nan
    )
    with pytest.raises(KeyboardInterrupt):
        search.fit(*data)


def kind_of(X):
    return type(X).__name__, X.shape


@pytest.mark.slow
def test_workers_map_large_input():
    X = np.zeros((2000, 60, 110), dtype=np.float64)
    assert X.nbytes > 100_000_000
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(kind_of)(X) for _ in range(2))
    assert found == [("memmap", X.shape)] * 2


def test_latent_functions(data):
    X, y = data
    clf = make().fit(X, y)
    mean, std = clf.predict_latent(X, return_std=True)
    assert mean.shape == std.shape == (90, 3)
    assert mean.dtype == std.dtype == np.float64
    assert (std > 0).all()
    assert_array_equal(clf.predict_latent(X), mean)
    # The more certain the latent functions, the closer to their softmax.
    softmax = np.exp(mean) / np.exp(mean).sum(axis=1, keepdims=True)
    assert (softmax.argmax(axis=1) == clf.predict(X)).mean() > 0.9
    with pytest.raises(ValueError, match="X has 5 channels"):
        clf.predict_latent(X[..., 1:])


def test_reference_dates(data):
    X, y = data
    clf = make().fit(X, y)
    observed = X[..., 0][~np.isnan(X[..., 1])]
    assert_allclose(clf.reference_dates_, np.linspace(observed.min(), observed.max(), 5))
    assert clf.n_inducing_ == 8
    few = make(n_inducing=500).fit(X[:30], y[:30])
    assert few.n_inducing_ == 30


@pytest.mark.parametrize(("embedding_dim", "width"), [(None, 3), (2, 2)])
@pytest.mark.parametrize("n_heads", [1, 2])
def test_linear_embedding(data, embedding_dim, width, n_heads):
    X, y = data
    clf = make(
        embedding="linear",
        embedding_dim=embedding_dim,
        n_heads=n_heads,
        position_channels=(-2, -1),
        learning_rate=1e-9,
    ).fit(X, y)
    Z = clf.transform(X)
    assert Z.shape == (90, 5 * width)
    names = clf.get_feature_names_out()
    assert names[0] == "mtansvgpclassifier0"
    assert len(names) == 5 * width
    if embedding_dim is None:
        # Before any training Z is the interpolated series, standardised: bands within dates.
        seen = X[..., 1:4][~np.isnan(X[..., 1])]
        middle = (Z.reshape(90, 5, 3) * seen.std(axis=0) + seen.mean(axis=0))[:, 2]
        assert (middle >= seen.min(axis=0)).all()
        assert (middle <= seen.max(axis=0)).all()


def test_positions_are_used():
    X, y = contracts.series()
    moved = X.copy()
    moved[..., -2:] = X[::-1][:, :1, -2:]
    ignoring = make().fit(X[..., :4], y)
    assert ignoring.n_features_in_ == 4
    using = make(position_channels=(-2, -1), max_iter=20).fit(X, y)
    assert not np.allclose(using.predict_proba(moved), using.predict_proba(X), atol=1e-4)


def two_sensors(n=120, seed=0):
    """Two bands that are never observed at the same date, the class in the second one."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    dates = np.sort(rng.choice(365, size=(n, 20)), axis=1).astype(float)
    season = np.sin(2 * np.pi * dates / 365 + y[:, None] * 1.5)
    values = np.stack([rng.normal(size=(n, 20)), season + 0.2 * rng.normal(size=(n, 20))], axis=2)
    optical = rng.random((n, 20)) < 0.5
    mask = np.stack([~optical, optical], axis=2)
    mask[:, 0] = [True, False]
    mask[:, 1] = [False, True]
    return pack(values, dates, mask=mask, dtype=np.float64), y


def test_two_sensors():
    X, y = two_sensors()
    assert np.isnan(X[..., 1:]).any(axis=2).all()
    clf = make(n_reference_dates=8, max_iter=30).fit(X[:80], y[:80])
    assert clf.score(X[80:], y[80:]) > 0.85
    # Without one of the sensors a series has a prediction and no warning.
    half = X[80:].copy()
    half[..., 1] = np.nan
    assert np.isfinite(clf.predict_proba(half)).all()


def test_learns_classes_elsewhere_in_the_scene():
    X, y = make_sits(800, 40, 4, 3, random_state=0)
    easting = np.nanmax(X[..., -2], axis=1)
    west = easting < np.median(easting)
    clf = MTANSVGPClassifier(position_channels=(-2, -1), device="cpu", random_state=0)
    clf.fit(X[west], y[west])
    assert clf.score(X[~west], y[~west]) > 0.6
    losses = [record["train_loss"] for record in clf.history_]
    assert losses[-1] < 0.8 * losses[0]


def test_history(data):
    clf = make(early_stopping=True).fit(*data)
    assert [record["epoch"] for record in clf.history_] == [1, 2, 3]
    assert set(clf.history_[0]) == {"epoch", "train_loss", "valid_log_loss", "seconds"}
    assert all(np.isfinite(list(record.values())).all() for record in clf.history_)
    assert clf.n_iter_ == 3

import pickle

import numpy as np
import pytest
import skops.io
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import pdist
from series_contracts import interrupt_after, torch_objects
from sklearn.datasets import make_moons
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sits import LinearInterpolator, SVGPClassifier
from sklearn_sits.datasets import make_sits
from sklearn_sits.exceptions import DataQualityWarning


def make(**kwargs):
    settings = {"n_inducing": 15, "max_iter": 20, "device": "cpu", "random_state": 0}
    return SVGPClassifier(**{**settings, **kwargs})


@pytest.fixture(scope="module")
def moons():
    X, y = make_moons(300, noise=0.15, random_state=0)
    return X, y


def test_learns_a_boundary_that_is_not_linear(moons):
    X, y = moons
    clf = make().fit(X[:200], y[:200])
    assert clf.score(X[200:], y[200:]) > 0.93
    bounds = [-record["train_loss"] for record in clf.history_]
    assert np.mean(bounds[-3:]) > np.mean(bounds[:3])


def test_as_many_samples_as_classes_are_predicted_as_in_larger_batches(moons):
    X, y = moons
    clf = make(max_iter=3).fit(X, y)
    expected = clf.predict_proba(X)
    for n in (1, 2, 4, 128):
        assert_allclose(clf.predict_proba(X[:n]), expected[:n], rtol=1e-9)


def test_uncertainty_grows_away_from_the_data(moons):
    X, y = moons
    clf = make().fit(X, y)
    _, near = clf.predict_latent(X, return_std=True)
    mean, far = clf.predict_latent(X + 100, return_std=True)
    assert far.min() > near.max()
    assert_array_equal(clf.predict_latent(X + 100), mean)
    assert_allclose(mean, np.broadcast_to(mean[0], mean.shape))


def test_position_features(moons):
    X, y = moons
    rng = np.random.default_rng(0)
    positions = 1e5 * rng.random((300, 2)) + 5e5
    both = np.hstack([positions[:, :1], X, positions[:, 1:]])
    # At the start of the training, the two groups have the median distances within them.
    start = make(position_features=(0, -1), learning_rate=1e-9, max_iter=1).fit(both, y)
    lengthscale = np.exp(start.state_["head.gp.kernel.base_kernel.raw_lengthscale"])[0, 0]
    assert_allclose(lengthscale[[0, 1]], lengthscale[[3, 2]])
    standardised = StandardScaler().fit_transform(both)
    for features, found in ([0, 3], lengthscale[0]), ([1, 2], lengthscale[1]):
        assert_allclose(found, np.median(pdist(standardised[:, features])), rtol=0.03)
    together = make(learning_rate=1e-9, max_iter=1).fit(both, y)
    lengthscale = np.exp(together.state_["head.gp.kernel.base_kernel.raw_lengthscale"])
    assert_allclose(lengthscale, lengthscale[0, 0, 0], rtol=1e-6)
    clf = make(position_features=(0, -1)).fit(both[:200], y[:200])
    assert clf.score(both[200:], y[200:]) > 0.85


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_units_of_the_features_do_not_matter(moons, dtype):
    """Neither large numbers without variation, such as dates, nor small ones."""
    X, y = moons
    other = (X * [10.0, 1e-3] + [17_500.0, 0.0]).astype(dtype)
    other = np.hstack([other, np.full((300, 1), 1e30, dtype)])
    clf = make().fit(other[:200], y[:200])
    assert clf.score(other[200:], y[200:]) > 0.93
    reordered = np.random.default_rng(0).permutation(y)
    assert np.isfinite(make().fit(other, reordered).predict_proba(other)).all()


@pytest.mark.parametrize(("dtype", "value"), [(np.float32, 1e30), (np.float64, -1e300)])
def test_values_far_away_are_predicted_by_the_prior(moons, dtype, value):
    X, y = moons[0].astype(dtype), moons[1]
    clf = make().fit(X, y)
    far = X[:5].copy()
    far[:2, 1] = value
    with pytest.warns(DataQualityWarning, match=r"2 of 5 samples lie more than 10\^6") as caught:
        found = clf.predict_proba(far)
    assert caught[0].filename == __file__
    assert_allclose(found[:2], clf.predict_proba(X[:1] + 1e5).repeat(2, axis=0), rtol=1e-5)
    assert_allclose(found[2:], clf.predict_proba(X[2:5]), rtol=1e-5)


@pytest.mark.parametrize("largest", [1e30, 3e38])
def test_training_on_huge_values(moons, largest):
    X, y = moons
    huge = (X / np.abs(X).max() * largest).astype(np.float32)
    assert make().fit(huge, y).score(huge, y) > 0.93


def test_all_features_are_positions(moons):
    assert make(position_features=(0, 1)).fit(*moons).score(*moons) > 0.9


@pytest.mark.parametrize(
    ("parameters", "error", "match"),
    [
        ({"position_features": (2,)}, ValueError, "position_features contains 2"),
        ({"position_features": (-3,)}, ValueError, "position_features contains -3"),
        ({"position_features": (0.5,)}, TypeError, "position_features must hold integers"),
        ({"position_features": (True,)}, TypeError, "position_features must hold integers"),
        ({"position_features": 1}, ValueError, "'position_features' parameter"),
        ({"n_mc_samples": 5}, ValueError, "n_mc_samples must be even"),
        ({"max_iter": True}, ValueError, "'max_iter' parameter .* Got True"),
        ({"learning_rate": True}, ValueError, "'learning_rate' parameter .* Got True"),
        ({"device": "abacus"}, ValueError, "device must be"),
        ({"class_weight": {7: 1.0}}, ValueError, "class_weight names"),
    ],
)
def test_bad_parameters(moons, parameters, error, match):
    clf = make(**parameters)
    before = dict(vars(clf))
    with pytest.raises(error, match=match):
        clf.fit(*moons)
    assert vars(clf) == before


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_must_be_finite(moons, value):
    X, y = moons[0].copy(), moons[1]
    X[3, 1] = value
    with pytest.raises(ValueError, match="Input X contains"):
        make().fit(X, y)


def test_constant_feature_and_equal_samples():
    X = np.ones((40, 3))
    y = np.arange(40) % 2
    assert_allclose(make().fit(X, y).predict_proba(X), 0.5, atol=0.1)
    X[:, 0] = y
    assert make().fit(X, y).score(X, y) == 1


def test_interrupt_and_persistence(moons, monkeypatch, tmp_path):
    X, y = moons
    clf = make(max_iter=2).fit(X, y)
    expected = clf.predict_proba(X)
    assert torch_objects(clf.__getstate__()) == []
    assert_array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(X), expected)
    skops.io.dump(clf, tmp_path / "model.skops")
    trusted = skops.io.get_untrusted_types(file=tmp_path / "model.skops")
    assert trusted == ["sklearn_sits.SVGPClassifier"]
    loaded = skops.io.load(tmp_path / "model.skops", trusted=trusted)
    assert_array_equal(loaded.predict_proba(X), expected)
    interrupt_after(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X[:, :1], y)
    assert_array_equal(clf.predict_proba(X), expected)
    fresh = make()
    with pytest.raises(KeyboardInterrupt):
        fresh.fit(X, y)
    with pytest.raises(NotFittedError):
        fresh.predict(X)


def test_weight_of_two_is_a_repetition(moons):
    X, y = moons
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    rows = np.repeat(np.arange(len(X)), weight)
    one = make(batch_size=1000).fit(X, y, sample_weight=weight)
    other = make(batch_size=1000).fit(X[rows], y[rows])
    assert_allclose(one.predict_proba(X), other.predict_proba(X), rtol=0, atol=1e-6)


def test_gap_filled_series():
    X, y = make_sits(600, 40, 4, 3, positions=False, random_state=0)
    clf = make_pipeline(LinearInterpolator(), make()).fit(X[:400], y[:400])
    assert clf.score(X[400:], y[400:]) > 0.85
    standardised = make_pipeline(LinearInterpolator(), StandardScaler(), make())
    standardised.fit(X[:400], y[:400])
    assert (standardised.predict(X) == clf.predict(X)).mean() > 0.98

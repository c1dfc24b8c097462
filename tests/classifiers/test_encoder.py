"""Classifiers that start from an encoder, and that average members."""

import pickle

import contracts
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_sits import LinearInterpolator, MTANEncoder, MTANMLPClassifier, MTANSVGPClassifier
from sklearn_sits.exceptions import DataQualityWarning

# Some of the random series have fewer than two dates.
pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than two observed dates:UserWarning")

ENCODER = {
    "n_reference_dates": 4,
    "time_embedding_dim": 8,
    "n_components": 8,
    "n_hidden": 8,
    "embedding_dim": 6,
    "max_iter": 5,
    "position_channels": (-2, -1),
    "device": "cpu",
}
SMALL = {
    "n_reference_dates": 5,
    "time_embedding_dim": 16,
    "n_components": 16,
    "n_hidden": 16,
    "dropout": 0,
    "date_dropout": 0,
    "batch_size": 256,
    "max_iter": 5,
    "position_channels": (-2, -1),
}
CLASSIFIERS = {MTANMLPClassifier: SMALL, MTANSVGPClassifier: {**SMALL, "n_inducing": 8}}


def make_encoder(**kwargs):
    return MTANEncoder(**{**ENCODER, "random_state": 0, **kwargs})


def make(cls=MTANSVGPClassifier, **kwargs):
    return cls(device="cpu", random_state=0, **{**CLASSIFIERS[cls], **kwargs})


def freeze(X, **kwargs):
    return FrozenEstimator(make_encoder(**kwargs).fit(X))


class FromEncoder:
    estimator_class = MTANSVGPClassifier
    settings = {
        **CLASSIFIERS[MTANSVGPClassifier],
        "encoder": make_encoder(),
        "n_members": 2,
        "max_iter": 5,
    }


class TestInvariance(FromEncoder, contracts.InvarianceContract):
    # The encoder leaves them out of its own training, and says so.
    n_warnings_of_empty_series = 2

    def training_series(self, X):
        return X[np.count_nonzero(~np.isnan(X[..., 1]), axis=1) >= 2]


class TestState(FromEncoder, contracts.StateContract):
    trusted = ("sklearn_sits.MTANEncoder",)

    def test_warm_start_keeps_the_shape(self, data):
        """Which is that of the encoder."""
        estimator = self.make(warm_start=True).fit(*data)
        assert estimator.set_params(n_reference_dates=7).fit(*data).n_iter_ == 10


class TestStateOfMembers(contracts.StateContract):
    estimator_class = MTANSVGPClassifier
    settings = {**CLASSIFIERS[MTANSVGPClassifier], "n_members": 2}


@pytest.fixture(scope="module")
def frozen(data):
    return freeze(data[0])


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_unfitted_encoder_is_fitted_to_the_training_series(data, cls):
    X, y = data
    encoder = make_encoder()
    clf = make(cls, encoder=encoder).fit(X, y)
    assert clf.encoder is encoder
    assert not hasattr(encoder, "state_")
    assert_array_equal(clf.encoder_.transform(X), make_encoder().fit_transform(X))
    # Not by series without weight.
    weight = (np.arange(len(X)) >= 20).astype(float)
    part = make(cls, encoder=encoder).fit(X, y, sample_weight=weight)
    assert_array_equal(part.encoder_.transform(X), make_encoder().fit(X[20:]).transform(X))
    # Its seed comes from that of the classifier.
    seeds = [make(cls, encoder=make_encoder(random_state=None)).fit(X, y) for _ in range(2)]
    assert_array_equal(*[one.encoder_.transform(X) for one in seeds])


def test_encoder_of_2d_series():
    rng = np.random.default_rng(0)
    X, y = rng.random((60, 8)), np.arange(60) % 2
    encoder = make_encoder(position_channels=())
    clf = make(encoder=encoder, position_channels=()).fit(X, y)
    alone = clone(encoder).fit(X)
    assert clf.encoder_.n_features_in_ == alone.n_features_in_ == 8
    assert_array_equal(clf.encoder_.transform(X), alone.transform(X))


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_frozen_encoder_is_used_as_it_is(data, frozen, cls):
    X, y = data
    expected = frozen.transform(X)
    clf = make(cls, encoder=frozen)
    assert clone(clf).encoder is frozen
    clf = clone(clf).fit(X[:60], y[:60])
    assert_array_equal(frozen.transform(X), expected)
    assert_array_equal(clf.encoder_.transform(X), expected)
    # The last columns of the representation are as learned without labels.
    Z = clf.transform(X)
    assert Z.shape == (90, clf.n_members_ * 6 + expected.shape[1])
    assert len(clf.get_feature_names_out()) == Z.shape[1]
    assert_allclose(Z[:, -expected.shape[1] :], expected, rtol=0, atol=1e-12)
    assert not np.allclose(Z[:, :6], expected[:, :6], atol=1e-6)
    assert_array_equal(clf.reference_dates_, frozen.estimator.reference_dates_)


def test_encoder_fitted_anew_leaves_the_classifier(data):
    X, y = data
    frozen = freeze(X)
    clf = make(encoder=frozen).fit(X, y)
    expected = clf.predict_proba(X)
    frozen.estimator.set_params(embedding_dim=3).fit(X)
    loaded = pickle.loads(pickle.dumps(clf))
    assert_array_equal(loaded.predict_proba(X), expected)


@pytest.mark.parametrize("fitted", [False, True])
def test_tools_of_scikit_learn(data, frozen, fitted):
    X, y = data
    clf = make(encoder=frozen if fitted else make_encoder(), n_members=1)
    scores = cross_val_score(clf, X, y, cv=2, error_score="raise")
    assert np.isfinite(scores).all()
    model = make_pipeline(FunctionTransformer(), clf)
    assert model.fit(X, y).predict_proba(X).shape == (90, 3)
    if not fitted:
        grid = {"encoder__max_iter": [2, 4], "encoder": [make_encoder(max_iter=3), None]}
        for name, values in grid.items():
            search = GridSearchCV(clf, {name: values}, cv=2, error_score="raise").fit(X, y)
            assert search.predict(X).shape == y.shape
        grid = {"mtansvgpclassifier__encoder__embedding_dim": [2, 3]}
        search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(X, y)
        best = search.best_estimator_[-1]
        assert best.encoder_.transform(X).shape[1] == best.encoder.embedding_dim + 12 < 18


def check(estimator, X, y, error, match):
    before = dict(vars(estimator))
    with pytest.raises(error, match=match):
        estimator.fit(X, y)
    assert vars(estimator) == before


def test_wrong_encoders(data, frozen):
    X, y = data
    for encoder, error, match in [
        (frozen.estimator, ValueError, r"encoder is fitted, .* pass FrozenEstimator\(encoder\)"),
        (FrozenEstimator(make_encoder()), NotFittedError, "MTANEncoder instance is not fitted"),
        (FrozenEstimator(LinearInterpolator()), TypeError, "encoder must hold an MTANEncoder"),
        (LinearInterpolator(), ValueError, "'encoder' parameter of MTANSVGPClassifier"),
        ("auto", ValueError, "'encoder' parameter of MTANSVGPClassifier"),
        (make_encoder(max_iter=0), ValueError, "'max_iter' parameter of MTANEncoder"),
        (make_encoder(time_embedding_dim=3, n_heads=2), ValueError, "time_embedding_dim=3 must"),
        (make_encoder(position_channels=()), ValueError, r"encoder has position_channels=\(\)"),
        (make_encoder(position_channels=(-1, -2)), ValueError, "encoder has position_channels"),
        (make_encoder(position_channels=("a",)), ValueError, "encoder has position_channels"),
        (freeze(X[..., :4], position_channels=()), ValueError, "encoder has position_channels"),
        (freeze(X[..., [0, 1, 2, 4, 5]]), ValueError, "encoder was fitted on 3-D .* 5 channels"),
    ]:
        check(make(encoder=encoder), X, y, error, match)
    make(encoder=make_encoder(position_channels=(4, 5))).fit(X, y)


def test_encoder_of_series_of_other_dimensions(data):
    X, y = data
    flat = np.nan_to_num(X[..., 1])
    encoder = freeze(flat, position_channels=())
    univariate = X[..., :2]
    check(
        make(encoder=encoder, position_channels=()),
        univariate,
        y,
        ValueError,
        "encoder was fitted on 2-D series with 16 channels .* X is 3-D with 2",
    )
    clf = make(encoder=encoder, position_channels=()).fit(flat, y)
    assert clf.predict_proba(flat).shape == (90, 3)


def test_changed_parameters_of_a_frozen_encoder_do_not_matter(data):
    X, y = data
    expected = make(encoder=freeze(X)).fit(X, y).predict_proba(X)
    frozen = freeze(X)
    frozen.estimator.set_params(position_channels=(), embedding_dim=3, n_reference_dates=9)
    assert_array_equal(make(encoder=frozen).fit(X, y).predict_proba(X), expected)


def test_other_units_than_those_of_the_encoder(data):
    X, y = data
    percent = X.copy()
    percent[..., 1:-2] *= 100
    frozen = freeze(X)
    with pytest.warns(DataQualityWarning, match="MTANEncoder was fitted on") as caught:
        make(encoder=frozen).fit(percent, y)
    assert len(caught) == 1


@pytest.mark.parametrize("fitted", [False, True])
def test_minus_one_is_a_class_like_others(data, frozen, fitted):
    X, y = data
    encoder = frozen if fitted else make_encoder()
    clf = make(encoder=encoder).fit(X, y - 1)
    assert clf.classes_.tolist() == [-1, 0, 1]
    assert_array_equal(clf.predict_proba(X), make(encoder=encoder).fit(X, y).predict_proba(X))


@pytest.mark.parametrize("cls", CLASSIFIERS)
@pytest.mark.parametrize("with_encoder", [False, True])
def test_probabilities_are_means_over_the_members(data, frozen, cls, with_encoder):
    X, y = data
    clf = make(cls, encoder=frozen if with_encoder else None, n_members=2).fit(X, y)
    assert clf.n_members_ == 2
    Z = torch.from_numpy(clf.transform(X))
    head = clf._module.head
    each = [one.predict_proba(part) for one, part in zip(head.members, head.split(Z), strict=True)]
    assert len(each) == 2 + 2 * with_encoder
    share = head.share.numpy()
    assert_allclose(share.sum(), 1)
    if with_encoder:
        # The process on series has what held-out predictions give it; the one on the
        # representation has half of the rest.
        assert 0 < share[-1] < 1
        assert_allclose(share[-2], (1 - share[-1]) / 2)
    assert_allclose(share[0], share[1])
    assert_allclose(
        clf.predict_proba(X), sum(s * p.numpy() for s, p in zip(share, each, strict=True))
    )
    # Members start and end differently.
    assert not np.allclose(each[0], each[1], atol=1e-4)


def test_fixed_member_of_many_series_has_fewer_votes(data, frozen):
    X, y = data
    weight = np.full(len(y), 3000.0 / len(y))
    clf = make(encoder=frozen, n_members=1).fit(X, y, sample_weight=weight)
    member, of_encoder, of_series = clf.state_["head.share"]
    assert 0 < of_series < 0.5
    assert_allclose(of_encoder, (1 - of_series) / 4)
    assert_allclose(member, 3 * of_encoder)


def test_process_on_the_series_joins_the_members_of_few_series(data):
    X, y = data
    clf = make(n_members="auto").fit(X, y)
    assert_allclose(clf.state_["head.share"], [1 / 6] * 3 + [1 / 2])
    many = make(n_members="auto").fit(X, y, sample_weight=np.full(90, 10.0))
    assert_allclose(many.state_["head.share"][-1], 150 / 900)
    # The representation is that of the members.
    assert clf.transform(X).shape == (90, 3 * 32)
    series = clf._module.representation.fixed
    batch = clf._to_batch(X, torch.device("cpu"))
    expected = clf._apply(
        clf._check_X(X, reset=False), lambda head, z: head.members[-1].predict_proba(z[:, -15:])
    )
    found = clf._module.head.members[-1].predict_proba(series(**batch))
    assert_allclose(found, expected)
    for other in (make(n_members=3), make(MTANMLPClassifier, n_members="auto")):
        assert "head.members.3.intercept" not in other.fit(X, y).state_


@pytest.mark.parametrize("with_encoder", [False, True])
def test_latent_functions_of_an_ensemble(data, frozen, with_encoder):
    X, y = data
    clf = make(encoder=frozen if with_encoder else None, n_members=2).fit(X, y)
    mean, std = clf.predict_latent(X, return_std=True)
    assert mean.shape == std.shape == (90, 3)
    assert (std > 0).all()
    assert_array_equal(clf.predict_latent(X), mean)


def test_automatic_number_of_members(data):
    rng = np.random.default_rng(0)
    many = rng.random((1600, 6))
    y = (many[:, 0] > 0.5).astype(int)
    settings = {"position_channels": (), "max_iter": 1, "n_members": "auto"}
    few = make(MTANMLPClassifier, **settings).fit(many[:1500], y[:1500])
    assert few.n_members_ > 1
    assert make(MTANMLPClassifier, **settings).fit(many, y).n_members_ == 1
    one = make(MTANMLPClassifier, n_members=1).fit(*data)
    assert one.n_members_ == 1
    assert one.transform(data[0]).shape == (90, 256)


@pytest.mark.parametrize("value", [0, True, "many", None, 1.5])
def test_wrong_number_of_members(data, value):
    check(make(n_members=value), *data, ValueError, "'n_members' parameter")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_dtypes(data, frozen, cls, dtype):
    X, y = data[0].astype(dtype), data[1]
    clf = make(cls, encoder=frozen, n_members=3).fit(X, y)
    assert {value.dtype for value in clf.state_.values()} == {np.dtype(dtype)}
    found = clf.predict_log_proba(X)
    assert found.dtype == clf.predict_proba(X).dtype == dtype
    rounding = 1e-10 if dtype == np.float64 else 1e-4
    assert_allclose(np.exp(found), clf.predict_proba(X), rtol=rounding, atol=1e-7)
    assert_allclose(np.exp(found).sum(axis=1), 1, rtol=rounding)


@pytest.mark.parametrize("with_encoder", [False, True])
def test_warm_start(data, frozen, with_encoder):
    X, y = data
    encoder = frozen if with_encoder else None
    clf = make(encoder=encoder, n_members=2, warm_start=True).fit(X, y)
    first = clf.predict_proba(X)
    clf.fit(X, y)
    assert clf.n_iter_ == len(clf.history_) == 10
    assert not np.array_equal(clf.predict_proba(X), first)
    if with_encoder:
        # It is not trained further.
        assert_allclose(clf.transform(X)[:, -18:], frozen.transform(X), rtol=0, atol=1e-12)
    other = None if with_encoder else frozen
    expected = clf.predict_proba(X)
    with pytest.raises(ValueError, match="warm_start=True .* encoder=(None|FrozenEstimator)"):
        clf.set_params(encoder=other).fit(X, y)
    assert_array_equal(clf.predict_proba(X), expected)
    with pytest.raises(ValueError, match="has 2 members, but n_members=3"):
        clf.set_params(encoder=encoder, n_members=3).fit(X, y)
    clf.set_params(encoder=other, n_members=2, warm_start=False).fit(X, y)
    assert hasattr(clf, "encoder_") != with_encoder


@pytest.mark.parametrize(
    ("n", "batch_size", "n_epochs"), [(60, 256, 200), (90, 30, 67), (900, 30, 15), (89, 9, 20)]
)
def test_automatic_number_of_epochs(n, batch_size, n_epochs):
    """At least 200 steps and at least 15 epochs."""
    rng = np.random.default_rng(0)
    X = rng.random((n, 3))
    y = np.arange(n) % 2
    tiny = {"n_components": 2, "n_hidden": 2, "time_embedding_dim": 2, "n_reference_dates": 2}
    settings = {"position_channels": (), "n_members": 1, "embedding_dim": 2, **tiny}
    clf = make(MTANMLPClassifier, max_iter="auto", batch_size=batch_size, **settings).fit(X, y)
    assert clf.n_iter_ == n_epochs

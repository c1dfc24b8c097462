import contracts
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sklearn_sits import MTANMLPClassifier
from sklearn_sits.datasets import make_sits
from sklearn_sits.nn.heads import MLPHead


class Small:
    estimator_class = MTANMLPClassifier
    settings = {
        "n_reference_dates": 5,
        "time_embedding_dim": 16,
        "n_components": 16,
        "n_hidden": 16,
        "dropout": 0,
        "date_dropout": 0,
        "batch_size": 256,
        "max_iter": 3,
    }


class TestInvariance(Small, contracts.InvarianceContract):
    pass


class TestBadInput(Small, contracts.BadInputContract):
    pass


class TestState(Small, contracts.StateContract):
    pass


class TestWorkflow(Small, contracts.WorkflowContract):
    pass


def make(**kwargs):
    return MTANMLPClassifier(device="cpu", random_state=0, **{**Small.settings, **kwargs})


def test_probabilities_are_a_softmax_of_the_representation():
    X, y = contracts.series()
    clf = make().fit(X, y)
    Z = torch.from_numpy(clf.transform(X))
    assert Z.shape == (90, 256)
    head = clf._module.head
    assert isinstance(head, MLPHead)
    logits = head.linear(Z * torch.sigmoid(Z))
    assert_allclose(clf.predict_proba(X), logits.softmax(1).numpy(), rtol=1e-9)


@pytest.mark.parametrize(("embedding_dim", "width"), [(None, 256), (7, 7)])
def test_width_of_the_deep_embedding(embedding_dim, width):
    X, y = contracts.series()
    clf = make(embedding_dim=embedding_dim, max_iter=1).fit(X, y)
    assert clf.transform(X).shape == (90, width)
    assert len(clf.get_feature_names_out()) == width


def test_learns_classes_elsewhere_in_the_scene():
    X, y = make_sits(800, 40, 4, 3, random_state=0)
    easting = np.nanmax(X[..., -2], axis=1)
    west = easting < np.median(easting)
    clf = MTANMLPClassifier(position_channels=(-2, -1), device="cpu", random_state=0)
    clf.fit(X[west], y[west])
    assert clf.score(X[~west], y[~west]) > 0.6
    losses = [record["train_loss"] for record in clf.history_]
    assert losses[-1] < 0.5 * losses[0]


def test_position_channels_are_named_not_placed(data):
    X, y = data
    one = make(position_channels=(-2, -1), max_iter=5).fit(X, y)
    order = [0, 4, 5, 1, 2, 3]
    other = make(position_channels=(1, 2), max_iter=5).fit(X[..., order], y)
    assert_allclose(other.predict_proba(X[..., order]), one.predict_proba(X), rtol=0, atol=1e-7)


@pytest.mark.parametrize("seed", range(2))
def test_storage_of_the_series_does_not_change_the_training(seed):
    X, y = contracts.series(aligned=True)
    one = make().fit(X, y)
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(X.shape[1]), (len(X), 1)), axis=1)
    own = np.take_along_axis(X, order[..., None], axis=1)
    padded = np.concatenate([np.full_like(X[:, :2], np.nan), own], axis=1)
    other = make().fit(padded, y)
    assert_allclose(other.predict_proba(X), one.predict_proba(X), rtol=0, atol=1e-7)

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

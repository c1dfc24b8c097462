import pickle

import numpy as np
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_sits.classifiers import BaseMTANClassifier
from sklearn_sits.datasets import make_sits
from sklearn_sits.nn.heads import Head


class PrototypeHead(Head):
    """Softmax of the squared distances to one learned prototype per class."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.prototypes = torch.nn.Parameter(torch.zeros(n_classes, n_features))

    def reset(self, z, labels, weight, generator):
        for k in labels.unique():
            self.prototypes.data[k] = z[labels == k].mean(0)

    def predict_log_proba(self, z):
        return (-((z[:, None] - self.prototypes) ** 2).mean(2)).log_softmax(1)

    def nll(self, z, labels):
        return -self.predict_log_proba(z).gather(1, labels[:, None])[:, 0]


class MTANPrototypeClassifier(BaseMTANClassifier):
    def _make_head(self, params, n_features, n_classes):
        return PrototypeHead(n_features, n_classes)


def test_classifier_head():
    X, y = make_sits(600, 40, 4, 3, random_state=0)
    clf = MTANPrototypeClassifier(position_channels=(-2, -1), random_state=0, device="cpu")
    assert clone(clf).fit(X[:400], y[:400]).score(X[400:], y[400:]) > 0.85
    search = GridSearchCV(clf, {"max_iter": np.arange(1, 3)}, cv=2).fit(X[:400], y[:400])
    probabilities = search.predict_proba(X)
    assert_allclose(probabilities.sum(axis=1, dtype=float), 1, rtol=0, atol=1.5e-8)
    loaded = pickle.loads(pickle.dumps(search.best_estimator_))
    assert_array_equal(loaded.predict_proba(X), probabilities)

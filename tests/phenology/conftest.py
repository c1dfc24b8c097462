import pickle
from copy import deepcopy

import pytest
from seasons import TRAINED, make

from sklearn_sits import PhenologyVAERegressor
from sklearn_sits.datasets import make_phenology


@pytest.fixture(scope="session")
def data():
    X, y = make_phenology(300, random_state=1)
    X.setflags(write=False)
    return X, y


@pytest.fixture(scope="session")
def trained(data):
    return PhenologyVAERegressor(**TRAINED).fit(data[0])


@pytest.fixture
def fitted(trained):
    """Copy that a test may change."""
    return deepcopy(trained)


@pytest.fixture(scope="session")
def like_trained(trained):
    """Return a function that makes estimators with other seasons and the weights of `trained`."""

    def make_like(X, **kwargs):
        settings = {**TRAINED, "pretrain_iter": 1, **kwargs}
        model = PhenologyVAERegressor(**settings).fit(X)
        model.state_ = trained.state_
        return pickle.loads(pickle.dumps(model))

    return make_like


@pytest.fixture(scope="session")
def tiny(data):
    return make().fit(data[0])

from copy import deepcopy

import pytest
from spectra import TRAINED, make

from sklearn_sits import ProsailVAERegressor
from sklearn_sits.datasets import make_prosail


@pytest.fixture(scope="session")
def data():
    X, y = make_prosail(400, targets=["LAI", "CCC"], random_state=1)
    X.setflags(write=False)
    return X, y


@pytest.fixture(scope="session")
def trained(data):
    return ProsailVAERegressor(["LAI", "CCC"], **TRAINED).fit(data[0])


@pytest.fixture
def fitted(trained):
    """Copy that a test may change."""
    return deepcopy(trained)


@pytest.fixture(scope="session")
def tiny(data):
    return make().fit(data[0])

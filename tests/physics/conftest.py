import pytest

from sklearn_sits.physics import Prosail


@pytest.fixture(scope="session")
def model():
    return Prosail()

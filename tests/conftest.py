import os

# Read by SciPy when it is first imported: without it the array API checks are skipped.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import pytest
import torch
from hypothesis import settings

# Small problems on few cores: more threads spend their time waiting for each other.
torch.set_num_threads(1)

# A first call pays for imports and caches, so a deadline would fail on slow machines only.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# Before any test module imports them.
pytest.register_assert_rewrite("contracts", "regressor_contracts")


@pytest.fixture(scope="session")
def data():
    """Small series and labels that no test may write to."""
    from series_contracts import series

    X, y = series()
    X.setflags(write=False)
    y.setflags(write=False)
    return X, y


@pytest.fixture(scope="class")
def fitted(request, data):
    """Fitted estimator of the contract class of a test."""
    return request.cls().make().fit(*data)

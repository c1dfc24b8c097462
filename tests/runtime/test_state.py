import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from sklearn_sits.runtime.state import TorchStateMixin, check_device


class Line(TorchStateMixin, BaseEstimator):
    def __init__(self, error=None):
        self.error = error

    def _build_module(self):
        return torch.nn.utils.skip_init(torch.nn.Linear, 2, 1)

    def fit(self, weight):
        with self._all_or_nothing():
            self.half_ = True
            if self.error is not None:
                raise self.error
            self.state_ = {
                "weight": np.asarray(weight, dtype=np.float32),
                "bias": np.ones(1, dtype=np.float32),
            }
            self._restore()
            del self.half_
            return self

    def predict(self, x):
        return float(self._module(torch.tensor(x, dtype=torch.float64)))


def test_restored_module_is_double_and_frozen():
    line = Line().fit([[1, 2]])
    assert line.predict([3.0, 4.0]) == 12.0
    assert not line._module.training
    assert all(p.dtype == torch.float64 and not p.requires_grad for p in line._module.parameters())
    line._module.weight[0, 0] = 5.0
    assert line.state_["weight"][0, 0] == 1.0


@pytest.mark.parametrize("copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
def test_copies(copied):
    line = Line().fit([[1, 2]])
    assert copied(line).predict([3.0, 4.0]) == 12.0
    assert not hasattr(copied(Line()), "_module")


def test_state_is_without_torch():
    line = Line().fit([[1, 2]])
    assert "_module" not in line.__getstate__()
    assert b"torch" not in pickle.dumps(line).replace(b"sklearn_sits.runtime.state", b"").replace(
        b"test_torch_state", b""
    )
    assert hasattr(line, "_module")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError("no")])
def test_all_or_nothing(error):
    line = Line(error)
    with pytest.raises((KeyboardInterrupt, ValueError)):
        line.fit([[1, 2]])
    assert vars(line) == {"error": error}
    with pytest.raises(NotFittedError):
        check_is_fitted(line)
    line = Line().fit([[1, 2]])
    line.error = error
    with pytest.raises((KeyboardInterrupt, ValueError)):
        line.fit([[3, 4]])
    check_is_fitted(line)
    assert not hasattr(line, "half_")
    assert line.predict([3.0, 4.0]) == 12.0


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_cpu(device):
    assert check_device(device) == torch.device("cpu")


def test_auto_is_an_available_device():
    torch.ones(1, device=check_device("auto"))


@pytest.mark.parametrize(
    ("device", "match"),
    [
        ("abacus", "device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got 'abacus'"),
        ("mps", "device='mps' is not supported"),
        (torch.device("meta"), "device='meta' is not supported"),
        ("cuda:99", "device='cuda:99' is not available"),
    ],
)
def test_unknown_device(device, match):
    with pytest.raises(ValueError, match=match):
        check_device(device)

"""State of an estimator that wraps a PyTorch module: arrays, and never a half of a fit."""

import copy
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["TorchStateMixin", "check_device"]


class TorchStateMixin:
    """Keeps the parameters of a module in `state_`, numpy arrays that any machine can read.

    A subclass builds the module in `_build_module`, with parameters of the right shape and any
    value, and calls `_restore` when `state_` is set.
    """

    def __sklearn_is_fitted__(self):
        return hasattr(self, "state_")

    @contextmanager
    def _all_or_nothing(self):
        """Leave the estimator as it was before, be that fitted or not, if fit does not end."""
        previous = dict(vars(self))
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(previous)
            raise

    def _restore(self):
        """Rebuild the module from the arrays, in double precision."""
        module = self._build_module().double()
        module.load_state_dict(self._state_tensors())
        self._module = module.eval().requires_grad_(False)
        self._copies = {}

    def _make_copy(self):
        """Return a module that predicts, in double precision on the CPU."""
        return copy.deepcopy(self._module)

    def _copy_for(self, device, dtype):
        """Return the module that predicts on a device and in a precision, made at its first use.

        It is never moved, so that threads can share the estimator.
        """
        key = (device, dtype)
        if key not in self._copies:
            self._copies[key] = self._make_copy().to(device, dtype)
        return self._copies[key]

    def _state_tensors(self):
        return {name: torch.from_numpy(np.array(value)) for name, value in self.state_.items()}

    def __getstate__(self):
        state = super().__getstate__().copy()
        for name in ("_module", "_copies"):
            state.pop(name, None)
        return state

    def __setstate__(self, state):
        super().__setstate__(state)
        if self.__sklearn_is_fitted__():
            self._restore()


def check_device(device):
    """Return the torch device that a parameter names.

    Parameters
    ----------
    device : str or torch.device
        "auto" is CUDA where available, else the CPU.

    Returns
    -------
    device : torch.device

    Raises
    ------
    ValueError
        If it is unknown, not available, or neither a CPU nor a CUDA device.
    """
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got {device!r}."
        ) from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(
            f"device={str(device)!r} is not supported, expected 'auto', 'cpu' or 'cuda': double "
            "precision is needed."
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={str(device)!r} is not available, PyTorch sees "
            f"{torch.cuda.device_count()} CUDA devices."
        )
    return device

"""Predictions of many rows, a batch at a time, on a CPU or a GPU."""

from contextlib import nullcontext

import numpy as np
import torch

__all__ = ["ROW_BLOCK", "predict_in_batches", "to_tensor"]

_PREDICTED_AT_ONCE = {"cpu": 1024, "cuda": 2**15}
ROW_BLOCK = 64


def predict_in_batches(function, load, n_series, device, batch_size=None):
    """Apply a function to batches of series in order, without gradients.

    Batches have a multiple of 64 rows, the last one by repetition: at the edges of its blocks a
    matrix product may round differently.

    Parameters
    ----------
    function : callable
        From a batch, a dict of tensors, to a tensor or a tuple of tensors, a row per series.
    load : callable
        From a slice or an array of row numbers to a batch, on `device`.
    n_series : int
        Number of series.
    device : torch.device
        Where to compute.
    batch_size : int, default=None
        Series at a time. None: what fits into the cache of a CPU, or keeps a GPU busy. The result
        does not depend on it.

    Returns
    -------
    result : ndarray, or tuple of ndarray
        Concatenated over the batches.
    """
    if batch_size is None:
        batch_size = _PREDICTED_AT_ONCE[device.type]
    parts = []
    with torch.inference_mode(), _own_stream(device):
        for start in range(0, n_series, batch_size):
            rows = slice(start, min(start + batch_size, n_series))
            n = rows.stop - rows.start
            if n % ROW_BLOCK:
                rows = np.resize(np.arange(rows.start, rows.stop), n + -n % ROW_BLOCK)
            part = function(load(rows))
            part = part if isinstance(part, tuple) else (part,)
            parts.append([column[:n] for column in part])
        arrays = tuple(torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
    return arrays if len(arrays) > 1 else arrays[0]


def to_tensor(array, device):
    """Copy an array to a device.

    Parameters
    ----------
    array : ndarray
        Numbers, in any order, writeable or not.
    device : torch.device
        CPU or CUDA device.

    Returns
    -------
    tensor : tensor
        On a CPU it may share the memory of the array: do not write to it.
    """
    if device.type == "cpu":
        return torch.from_numpy(np.require(array, requirements="CW"))
    # From pinned memory, a batch travels while the one before is computed.
    dtype = torch.from_numpy(np.empty(0, array.dtype)).dtype
    pinned = torch.empty(array.shape, dtype=dtype, pin_memory=True)
    np.copyto(pinned.numpy(), array)
    return pinned.to(device, non_blocking=True)


def _own_stream(device):
    """Return a context in which the calls of several threads do not wait for each other."""
    if device.type == "cpu":
        return nullcontext()
    return torch.cuda.stream(torch.cuda.Stream(device))

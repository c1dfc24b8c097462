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
        Series at a time. With None, as many as fit into the cache of a CPU or keep a GPU busy.
        The result does not depend on it.

    Returns
    -------
    result : ndarray, or tuple of ndarray
        A row per series.
    """
    if batch_size is None:
        batch_size = _PREDICTED_AT_ONCE[device.type]
    results, previous = None, None
    with torch.inference_mode(), _own_stream(device):
        for start in range(0, n_series, batch_size):
            rows = slice(start, min(start + batch_size, n_series))
            columns = function(load(_whole_blocks(rows)))
            columns = columns if isinstance(columns, tuple) else (columns,)
            if results is None:
                results = [_empty_like(column, n_series) for column in columns]
            # A GPU computes this batch while the results of the one before are copied.
            if previous is not None:
                _write(results, *previous)
            n = rows.stop - rows.start
            previous = rows, *_start_copy([column[:n] for column in columns])
        _write(results, *previous)
    return tuple(results) if len(results) > 1 else results[0]


def _whole_blocks(rows):
    n = rows.stop - rows.start
    if n % ROW_BLOCK == 0:
        return rows
    return np.resize(np.arange(rows.start, rows.stop), n + -n % ROW_BLOCK)


def _empty_like(column, n_rows):
    dtype = torch.empty(0, dtype=column.dtype).numpy().dtype
    return np.empty((n_rows, *column.shape[1:]), dtype)


def _start_copy(columns):
    """Return the columns on the CPU, and the event after which they are there."""
    if columns[0].device.type == "cpu":
        return columns, None
    copies = [
        torch.empty(column.shape, dtype=column.dtype, pin_memory=True).copy_(
            column, non_blocking=True
        )
        for column in columns
    ]
    return copies, torch.cuda.current_stream(columns[0].device).record_event()


def _write(results, rows, columns, event):
    if event is not None:
        event.synchronize()
    for result, column in zip(results, columns, strict=True):
        result[rows] = column.numpy()


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
    stream = torch.cuda.Stream(device)
    # The module may still be on its way to the device.
    stream.wait_stream(torch.cuda.current_stream(device))
    return torch.cuda.stream(stream)

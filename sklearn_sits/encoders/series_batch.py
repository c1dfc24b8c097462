"""Batches of packed series for a PyTorch module."""

import numpy as np
import torch

from sklearn_sits.runtime.batches import to_tensor
from sklearn_sits.series.checks import split_channels

__all__ = ["to_batch"]


def to_batch(series, position_channels, device):
    """Turn packed series into arguments of a representation.

    Parameters
    ----------
    series : ndarray of shape (n, t, 1 + c + k)
        Packed series.
    position_channels : sequence of int
        Channels that hold the k coordinates of the position.
    device : torch.device
        CPU or CUDA device.

    Returns
    -------
    batch : dict of tensors
        Arguments of :meth:`SeriesRepresentation.forward`, on the device.
    """
    bands, static = split_channels(series.shape[2], position_channels)
    dates = np.array(series[..., 0], dtype=np.float64)
    padding = np.isnan(dates)
    if padding.any():
        # Any date will do where nothing is observed.
        dates[padding] = 0.0 if padding.all() else np.nanmin(dates)
    batch = {}
    if (dates == dates[0]).all():
        dates = dates[0]
    else:
        shape = dates.shape
        dates, index = np.unique(dates, return_inverse=True)
        batch["index"] = to_tensor(index.reshape(shape), device)
    batch["dates"] = to_tensor(dates, device)
    if static:
        batch["positions"] = to_tensor(np.fmin.reduce(series[..., static], axis=1), device)
    values = to_tensor(series, device)[..., bands].transpose(1, 2)
    values = values.clone(memory_format=torch.contiguous_format)
    # NaN is not equal to itself; in place, for the result to have the type of the values.
    mask = values.clone().eq_(values)
    n_channels = mask.shape[1]
    # Clouds hide all bands of a date: one mask then serves them all.
    if n_channels > 1 and bool((mask.sum(1) == n_channels * mask[:, 0]).all()):
        mask = mask[:, :1].contiguous()
    return batch | {"values": values.nan_to_num_(0.0), "mask": mask}

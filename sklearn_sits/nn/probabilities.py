"""Probabilities whose sum is one to more digits than their own precision."""

import torch

__all__ = ["sum_to_one"]


def sum_to_one(probabilities):
    """Make the sum of every row one within 1.5e-8, computed in float64.

    Metrics compute in float64 and refuse rows whose sum differs from one by the rounding of
    float32. The largest probability of a row is rounded, the others share the rest in
    proportion, and the second largest takes the remainder of their rounding. Changes are as large
    as the rounding errors of numbers near one, and no probability becomes zero.

    Parameters
    ----------
    probabilities : tensor of shape (n, C)
        Probabilities that sum to one within rounding.

    Returns
    -------
    probabilities : tensor of shape (n, C)
        Of the same precision.
    """
    # Classes first: sums over the first axis are several times faster.
    columns = probabilities.T.contiguous()
    total = columns.sum(0, keepdim=True, dtype=torch.float64)
    if columns.dtype == torch.float64:
        return (columns / total).T
    top, first = columns.max(0, keepdim=True)
    largest = (top / total).to(columns.dtype)
    rest = 1.0 - largest.double()
    share = rest / (1.0 - top / total).clamp_min(torch.finfo(torch.float64).tiny)
    columns = columns * (share.clamp(0.5, 2.0) / total).to(columns.dtype)
    columns.scatter_(0, first, 0.0)
    missing = rest - columns.sum(0, keepdim=True, dtype=torch.float64)
    value, second = columns.max(0, keepdim=True)
    columns.scatter_(0, second, torch.maximum(value + missing, 0.5 * value).to(columns.dtype))
    return columns.scatter_(0, first, largest).T

"""Leaf angle distributions."""

import math

import numpy as np
import torch
from torch import Tensor

__all__ = ["CLASS_CENTRES", "campbell", "verhoef"]

N_CLASSES = 18
# Inclination of the leaf classes of 5 degrees, in degrees from the horizontal.
CLASS_CENTRES = tuple(2.5 + 5.0 * i for i in range(N_CLASSES))
_EDGES = np.radians(5.0 * np.arange(N_CLASSES))


def campbell(mean_angle: Tensor) -> Tensor:
    """Compute the ellipsoidal leaf angle distribution [1]_.

    Parameters
    ----------
    mean_angle : Tensor of shape (...)
        Mean leaf angle in degrees, 0-90.

    Returns
    -------
    Tensor of shape (..., 18)
        Share of the leaves in each inclination class of `CLASS_CENTRES`.

    References
    ----------
    .. [1] Campbell, "Derivation of an angle density function for canopies with ellipsoidal leaf
       angle distributions", Agricultural and Forest Meteorology 49, 1990.
    """
    a = mean_angle.unsqueeze(-1)
    # Ratio of the axes of the ellipsoid, a fit to the mean angle.
    ratio = torch.exp(((-1.6184e-5 * a + 2.1145e-3) * a - 1.2390e-1) * a + 3.2491)
    square = ratio * ratio
    cosine = torch.as_tensor(np.cos(_EDGES), dtype=a.dtype, device=a.device)
    cosine2 = cosine * cosine
    # Share steeper than each edge, up to a factor. In this form prolate and oblate ellipsoids
    # meet without a gap in the sphere (58.4 degrees).
    steeper = cosine * (
        square / (cosine2 + square * (1 - cosine2)) + _atanhc((1 - 1 / square) * cosine2)
    )
    steeper = steeper / steeper[..., :1]
    return torch.cat([steeper[..., :-1] - steeper[..., 1:], steeper[..., -1:]], dim=-1)


def _atanhc(u):
    """Return atanh(sqrt(u)) / sqrt(u), which is atan(sqrt(-u)) / sqrt(-u) for negative u."""
    threshold = 1e-3
    series = 1 + u * (1 / 3 + u * (1 / 5 + u * (1 / 7 + u / 9)))
    positive = torch.sqrt(u.clamp_min(threshold))
    negative = torch.sqrt((-u).clamp_min(threshold))
    outside = torch.where(u > 0, torch.atanh(positive) / positive, torch.atan(negative) / negative)
    return torch.where(u.abs() < threshold, series, outside)


def verhoef(a: Tensor, b: Tensor) -> Tensor:
    """Compute the leaf angle distribution with two parameters [1]_.

    Parameters
    ----------
    a : Tensor of shape (...)
        Average slope, -1 (erectophile) to 1 (planophile).
    b : Tensor of shape (...)
        Bimodality, with abs(a) + abs(b) <= 1.

    Returns
    -------
    Tensor of shape (..., 18)
        Share of the leaves in each inclination class of `CLASS_CENTRES`.

    Raises
    ------
    ValueError
        If abs(a) + abs(b) exceeds one, because the result would not be a distribution.

    References
    ----------
    .. [1] Verhoef, "Theory of radiative transfer models applied in optical remote sensing of
       vegetation canopies", NLR, 1998.
    """
    a, b = torch.broadcast_tensors(a, b)
    a, b = a.unsqueeze(-1), b.unsqueeze(-1)
    if not torch.compiler.is_compiling() and (a.abs() + b.abs() > 1 + 1e-6).any():
        raise ValueError("a and b of the leaf angles must hold abs(a) + abs(b) <= 1.")
    twice = torch.as_tensor(2 * _EDGES[1:], dtype=a.dtype, device=a.device)

    # The distribution function is given by the root x of this function, which is increasing.
    def excess(x):
        return x - a * torch.sin(x) - 0.5 * b * torch.sin(2 * x) - twice

    with torch.no_grad():
        low, high = torch.zeros_like(excess(twice)), torch.full_like(excess(twice), math.pi)
        for _ in range(55 if a.dtype == torch.float64 else 26):
            middle = 0.5 * (low + high)
            above = excess(middle) > 0
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        root = 0.5 * (low + high)
        slope = 1 - a * torch.cos(root) - b * torch.cos(2 * root)
    # One Newton step carries the gradient.
    root = root - excess(root) / slope.clamp_min(1e-6)
    below = 2 * (root - 0.5 * twice) / math.pi
    edge = torch.zeros_like(below[..., :1])
    return torch.diff(torch.cat([edge, below, edge + 1], dim=-1), dim=-1)

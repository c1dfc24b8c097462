"""Distributions of seasons that know their residuals."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["SeasonFit", "fit_seasons", "square_of_constant"]

# Standard deviations by which a sum of squares of noise may exceed its mean without widening.
_TOLERANCE = 3.0


class SeasonFit(NamedTuple):
    """Distributions of the latents of seasons, and what they leave of the observations.

    Parameters
    ----------
    loc, scale : tensor of shape (n, 6)
        Truncated normal distributions on [0, 1].
    covariance : tensor of shape (n, 6, 6)
        How they depend on each other.
    square : tensor of shape (n,)
        Sum of the squared residuals at `loc`.
    n_observed : tensor of shape (n,)
        Number of observations.
    """

    loc: Tensor
    scale: Tensor
    covariance: Tensor
    square: Tensor
    n_observed: Tensor

    def split(self, n_parts):
        """Return the parts of equal size, in the order of the rows.

        Parameters
        ----------
        n_parts : int
            Their number, which divides n.

        Returns
        -------
        parts : list of SeasonFit
        """
        return [SeasonFit(*part) for part in zip(*(x.chunk(n_parts) for x in self), strict=True)]

    def where(self, is_chosen, other):
        """Return the rows that are chosen from this fit, and those of another fit elsewhere.

        Parameters
        ----------
        is_chosen : bool tensor of shape (n,)
            Rows of this fit.
        other : SeasonFit
            Fit of as many rows.

        Returns
        -------
        fit : SeasonFit
        """
        pairs = zip(self, other, strict=True)
        return SeasonFit(
            *(torch.where(is_chosen.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in pairs)
        )

    def interleave(self, other):
        """Return the rows of this fit, each followed by that of another one.

        Parameters
        ----------
        other : SeasonFit
            Fit of as many rows.

        Returns
        -------
        fit : SeasonFit
            With 2 n rows.
        """
        pairs = zip(self, other, strict=True)
        return SeasonFit(*(torch.stack(pair, dim=1).flatten(0, 1) for pair in pairs))


def fit_seasons(module, days, values, seen):
    """Encode series, and widen the distributions of those that are no season with noise.

    Residuals that are larger than the noise of the simulations allows are taken for noise of
    their size, to which the widths of the distributions are proportional.

    Parameters
    ----------
    module : SeasonModel
        Trained model.
    days, values, seen : tensor of shape (n, t)
        Days of the season, vegetation index, and where there is an observation.

    Returns
    -------
    fit : SeasonFit
    """
    latents = module(days, values, seen)
    count = seen.sum(1)
    residual = module.decode(latents.loc, days).sub_(values).mul_(seen)
    square = torch.einsum("nt,nt->n", residual, residual)
    allowed = module.noise_variance * (count + _TOLERANCE * (2 * count).sqrt())
    factor = (square / allowed).clamp_min(1).sqrt().unsqueeze(1)
    return SeasonFit(latents.loc, latents.scale * factor, latents.covariance, square, count)


def square_of_constant(values, seen):
    """Compute the sum of the squared residuals of a constant.

    Parameters
    ----------
    values, seen : tensor of shape (n, t)
        Vegetation index, and where there is an observation, one per row at least.

    Returns
    -------
    square : tensor of shape (n,)
    """
    mean = (values * seen).sum(1, keepdim=True) / seen.sum(1, keepdim=True)
    return ((values - mean) * seen).square().sum(1)

"""Truncated normal latents on [0, 1] of physics-constrained auto-encoders.

The mean of a latent before truncation lies in [0, 1] too, so that the mass within is never small
and the closed forms are exact. No distribution that holds everywhere is needed here.
"""

import math

import torch

__all__ = [
    "kl_to_uniform",
    "latent_moments",
    "latent_nll",
    "latent_quantiles",
    "sample_latents",
]

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
# The quantile function and its slope are infinite at the ends of (0, 1).
_MIN_PROBABILITY = 1e-12


def _tails(loc, scale):
    """Return the probabilities below zero and below one, which need double precision."""
    loc, scale = loc.double(), scale.double()
    return torch.special.ndtr(-loc / scale), torch.special.ndtr((1 - loc) / scale)


def _mass(loc, scale):
    below, above = _tails(loc, scale)
    return (above - below).to(loc.dtype)


def latent_moments(loc, scale):
    """Compute the means and standard deviations of latents.

    Parameters
    ----------
    loc, scale : tensor of shape (n, k)
        Truncated normal distributions on [0, 1]; loc lies within.

    Returns
    -------
    mean, std : tensor of shape (n, k)
    """
    low, high = -loc / scale, (1 - loc) / scale
    mass = math.sqrt(2 * math.pi) * _mass(loc, scale)
    at_low, at_high = torch.exp(-0.5 * low * low) / mass, torch.exp(-0.5 * high * high) / mass
    shift = at_low - at_high
    variance = 1 + low * at_low - high * at_high - shift * shift
    return loc + scale * shift, scale * variance.clamp_min(0).sqrt()


def latent_nll(loc, scale, values):
    """Compute the negative log-likelihood of known latents.

    Parameters
    ----------
    loc, scale : tensor of shape (n, k)
        Truncated normal distributions on [0, 1].
    values : tensor of shape (n, k)
        Values in [0, 1].

    Returns
    -------
    nll : tensor of shape (n, k)
    """
    mass = _mass(loc, scale)
    return 0.5 * ((values - loc) / scale) ** 2 + torch.log(scale * mass) + _LOG_SQRT_2PI


def latent_quantiles(loc, scale, levels):
    """Compute quantiles of latents.

    Parameters
    ----------
    loc, scale : tensor of shape (n, k)
        Truncated normal distributions on [0, 1]; loc lies within.
    levels : tensor
        Probabilities, of a shape that broadcasts with (n, k).

    Returns
    -------
    values : tensor
        In [0, 1], of the broadcast shape, differentiable in `loc` and `scale`.
    """
    mass = torch.lerp(*_tails(loc, scale), levels.double())
    mass = mass.clamp(_MIN_PROBABILITY, 1 - _MIN_PROBABILITY)
    return (loc + scale * torch.special.ndtri(mass).to(loc.dtype)).clamp(0, 1)


def sample_latents(loc, scale, n_draws, generator):
    """Draw latents, differentiable in the parameters of their distribution.

    Parameters
    ----------
    loc, scale : tensor of shape (n, k)
        Truncated normal distributions on [0, 1].
    n_draws : int
        Number of draws.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    values : tensor of shape (n_draws, n, k)
        Values in [0, 1].
    """
    shape = (n_draws, *loc.shape)
    levels = torch.rand(shape, dtype=loc.dtype, device=loc.device, generator=generator)
    return latent_quantiles(loc, scale, levels)


def kl_to_uniform(loc, scale):
    """Compute the Kullback-Leibler divergence to the uniform distribution on [0, 1].

    Parameters
    ----------
    loc, scale : tensor of shape (n, k)
        Truncated normal distributions on [0, 1].

    Returns
    -------
    kl : tensor of shape (n, k)
    """
    mass = _mass(loc, scale)
    low, high = -loc / scale, (1 - loc) / scale
    edges = low * torch.exp(-0.5 * low * low) - high * torch.exp(-0.5 * high * high)
    edges = edges / (2 * math.sqrt(2 * math.pi) * mass)
    return -torch.log(scale * mass) - _LOG_SQRT_2PI - 0.5 - edges

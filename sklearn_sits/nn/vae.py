"""Objectives of physics-constrained auto-encoders with truncated normal latents on [0, 1].

The mean of a latent before truncation lies in [0, 1] too, so that the mass within is never small
and the closed forms are exact: no need, here, for a distribution that holds everywhere.
"""

import math

import torch

__all__ = [
    "kl_to_uniform",
    "latent_mean",
    "latent_nll",
    "latent_std",
    "reconstruction_nll",
    "sample_latents",
]

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
# Floor of the variance of reconstructions, in units of the spread of a band.
_MIN_VARIANCE = 1e-6


def _mass(loc, scale):
    """Return the probabilities below zero and below one, which need double precision."""
    loc, scale = loc.double(), scale.double()
    return torch.special.ndtr(-loc / scale), torch.special.ndtr((1 - loc) / scale)


def _moments(loc, scale):
    """Return mean and variance in units of the scale, the mean from loc."""
    below, above = _mass(loc, scale)
    mass = math.sqrt(2 * math.pi) * (above - below).to(loc.dtype)
    low, high = -loc / scale, (1 - loc) / scale
    at_low, at_high = torch.exp(-0.5 * low * low) / mass, torch.exp(-0.5 * high * high) / mass
    mean = at_low - at_high
    return mean, 1 + low * at_low - high * at_high - mean * mean


def latent_mean(loc, scale):
    """Compute the means of latents.

    Parameters
    ----------
    loc, scale : tensor of shape (n, k)
        Truncated normal distributions on [0, 1].

    Returns
    -------
    mean : tensor of shape (n, k)
    """
    return loc + scale * _moments(loc, scale)[0]


def latent_std(loc, scale):
    """Compute the standard deviations of latents.

    Parameters
    ----------
    loc, scale : tensor of shape (n, k)
        Truncated normal distributions on [0, 1].

    Returns
    -------
    std : tensor of shape (n, k)
    """
    return scale * _moments(loc, scale)[1].sqrt()


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
    below, above = _mass(loc, scale)
    mass = (above - below).to(loc.dtype)
    return 0.5 * ((values - loc) / scale) ** 2 + torch.log(scale * mass) + _LOG_SQRT_2PI


def sample_latents(loc, scale, n_samples, generator):
    """Draw latents, differentiable in the parameters of their distribution.

    Parameters
    ----------
    loc, scale : tensor of shape (n, k)
        Truncated normal distributions on [0, 1].
    n_samples : int
        Number of draws.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    values : tensor of shape (n_samples, n, k)
        Values in [0, 1].
    """
    below, above = _mass(loc, scale)
    shape = (n_samples, *loc.shape)
    uniform = torch.rand(shape, dtype=loc.dtype, device=loc.device, generator=generator)
    # Inside (0, 1): the quantile function and its slope are infinite at the ends.
    mass = torch.lerp(below, above, uniform.double()).clamp(1e-12, 1 - 1e-12)
    return (loc + scale * torch.special.ndtri(mass).to(loc.dtype)).clamp(0, 1)


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
    below, above = _mass(loc, scale)
    mass = (above - below).to(loc.dtype)
    low, high = -loc / scale, (1 - loc) / scale
    edges = low * torch.exp(-0.5 * low * low) - high * torch.exp(-0.5 * high * high)
    edges = edges / (2 * math.sqrt(2 * math.pi) * mass)
    return -torch.log(scale * mass) - _LOG_SQRT_2PI - 0.5 - edges


def reconstruction_nll(samples, target):
    """Compute how unlikely observations are under decoded samples of the latents.

    The observation is normal with the mean and the variance of the samples: the spread of the
    latents is what explains the data, and there is no noise to learn.

    Parameters
    ----------
    samples : tensor of shape (n_samples, n, n_outputs)
        Decoded samples.
    target : tensor of shape (n, n_outputs)
        Observations, NaN where there is none.

    Returns
    -------
    nll : tensor of shape (n, n_outputs)
        Twice the negative log-likelihood up to a constant, zero where nothing is observed.
    """
    mean, variance = samples.mean(0), samples.var(0) + _MIN_VARIANCE
    seen = ~target.isnan()
    error = torch.where(seen, target, mean.detach()) - mean
    return (error * error / variance + torch.log(variance)) * seen

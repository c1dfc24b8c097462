"""Likelihood of observations under decoded samples of the latents."""

import torch

__all__ = ["reconstruction_nll"]

# Floor of the variance of reconstructions, in units of the range of a band.
_MIN_VARIANCE = 1e-6


def reconstruction_nll(samples, target):
    """Compute the negative log-likelihood of observations under decoded samples.

    The observation is normal with the mean and the variance of the samples: the spread of the
    latents explains the data, and there is no noise to learn.

    Parameters
    ----------
    samples : tensor of shape (n_draws, n, n_outputs)
        Decoded samples.
    target : tensor of shape (n, n_outputs)
        Observations, NaN where there is none.

    Returns
    -------
    nll : tensor of shape (n, n_outputs)
        Up to a constant; zero where nothing is observed.
    """
    mean, variance = samples.mean(0), samples.var(0) + _MIN_VARIANCE
    seen = ~target.isnan()
    error = torch.where(seen, target, mean.detach()) - mean
    return 0.5 * (error * error / variance + torch.log(variance)) * seen

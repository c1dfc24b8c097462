"""Encoder that looks at its own residuals once: a step of Gauss-Newton between two networks."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sklearn_sits.nn.encoder import ResidualEncoder
from sklearn_sits.nn.latents import latent_moments
from sklearn_sits.nn.layers import reset_linear

__all__ = ["Refined", "RefinedEncoder"]

# Bounds of the standard deviations of the latents, those of the encoder.
_LOG_MIN, _LOG_MAX = math.log(5e-4), math.log(1.4)
# The standard deviation of the uniform distribution on [0, 1].
_UNIFORM = 12**-0.5
# A step leaves a distribution by at most this many standard deviations, and the second network
# moves the result by at most so many logits.
_LARGEST_STEP, _LARGEST_MOVE = 3.0, 4.0
# About the size of the inputs of the second network, which are divided by it.
_TYPICAL_SCALE, _TYPICAL_VARIANCE, _TYPICAL_COUNT = 0.05, 0.03**2, 20.0
_MIN_VARIANCE = 1e-5


class Refined(NamedTuple):
    """Distributions of the latents of a batch.

    Parameters
    ----------
    loc, scale : tensor of shape (n, k)
        Truncated normal distributions on [0, 1].
    covariance : tensor of shape (n, k, k)
        How they depend on each other: of a normal approximation, in any units.
    first_loc, first_scale : tensor of shape (n, k)
        Result of the first network.
    """

    loc: Tensor
    scale: Tensor
    covariance: Tensor
    first_loc: Tensor
    first_scale: Tensor


class RefinedEncoder(nn.Module):
    """Encoder of the parameters of a known model of the observations.

    A first network proposes distributions. The residuals of the model, linearised at their
    means, then update these priors by a Bayesian linear regression. A second
    network learns how far to trust this step, because the observations are used twice and the
    model is not linear. It has few weights because the model does most of the work.

    Parameters
    ----------
    n_inputs : int
        Number of inputs of the first network.
    n_latents : int
        Number of latents k.
    n_hidden : int, default=64
        Units of the layers of both networks.
    n_blocks : int, default=2
        Number of residual blocks of each.
    """

    def __init__(self, n_inputs, n_latents, n_hidden=64, n_blocks=2):
        super().__init__()
        self.first = ResidualEncoder(n_inputs, n_latents, n_hidden, n_blocks)
        self.second = ResidualEncoder(4 * n_latents + 3, n_latents, n_hidden, n_blocks)

    def reset(self, inputs, generator):
        """Standardise the inputs of the first network, and draw the weights of both.

        Parameters
        ----------
        inputs : tensor of shape (n, n_inputs)
            Training inputs.
        generator : torch.Generator
            Source of randomness.
        """
        self.first.reset(inputs, generator)
        for module in self.second.modules():
            if isinstance(module, nn.Linear):
                reset_linear(module, generator)

    def forward(self, inputs, normal_equations):
        """Encode.

        Parameters
        ----------
        inputs : tensor of shape (n, n_inputs)
            Inputs of the first network.
        normal_equations : callable
            Takes latents (n, k). Returns those at which it has evaluated the model, the sum of the
            squared residuals there (n, 1), minus half of its gradient (n, k), the product of the
            derivatives of the model with their transpose (n, k, k), and the number of
            observations (n, 1), at least one.

        Returns
        -------
        refined : Refined
        """
        loc, scale = self.first(inputs)
        with torch.no_grad():
            width = scale.clamp_max(_UNIFORM)
            point, square, gradient, information, count = normal_equations(
                latent_moments(loc, scale)[0]
            )
            variance = square / count + _MIN_VARIANCE
            # In standard deviations of the first distributions, which are then white.
            gradient = gradient * width
            information = information * width.unsqueeze(1) * width.unsqueeze(2)
            prior = torch.eye(information.shape[-1]).to(information)
            covariance = torch.linalg.inv(information / variance.unsqueeze(-1) + prior)
            step = (covariance @ (gradient / variance).unsqueeze(-1)).squeeze(-1)
            curvature = (information @ step.unsqueeze(-1)).squeeze(-1)
            left = (square + (step * (curvature - 2 * gradient)).sum(1, keepdim=True)).clamp_min(0)
            shrinkage = covariance.diagonal(dim1=1, dim2=2).log()
            step = step.clamp(-_LARGEST_STEP, _LARGEST_STEP)
            start = torch.logit((point + width * step).clamp(1e-3, 1 - 1e-3))
            log_scale = width.log() + 0.5 * shrinkage
            inputs = [
                4 * (point - 0.5),
                torch.log(width / _TYPICAL_SCALE),
                step,
                1 + shrinkage,
                torch.log(variance / _TYPICAL_VARIANCE),
                torch.log((left / count + _MIN_VARIANCE) / _TYPICAL_VARIANCE),
                torch.log(count / _TYPICAL_COUNT),
            ]
        move, factor = self.second(torch.cat(inputs, dim=1))
        centre, span = (_LOG_MIN + _LOG_MAX) / 2, _LOG_MAX - _LOG_MIN
        log_scale = log_scale + torch.log(factor) - centre
        # Softly within the bounds.
        log_scale = _LOG_MIN + span * torch.sigmoid(4 * (log_scale - centre) / span)
        refined_loc = torch.sigmoid(start + _LARGEST_MOVE * (2 * move - 1))
        return Refined(refined_loc, torch.exp(log_scale), covariance, loc, scale)

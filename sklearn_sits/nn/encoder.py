"""Encoders of physics-constrained auto-encoders."""

import math

import torch
from torch import nn

from sklearn_sits.nn.layers import linear, reset_linear

__all__ = ["ResidualEncoder"]

# Standard deviations of the latents, as shares of their range (Zérah et al. 2024).
_MIN_SCALE, _MAX_SCALE = 5e-4, 1.4


class ResidualEncoder(nn.Module):
    """Perceptron with residual blocks that returns truncated normal latents on [0, 1].

    Parameters
    ----------
    n_inputs : int
        Number of inputs.
    n_latents : int
        Number of latents.
    n_hidden : int, default=32
        Units of every layer.
    n_blocks : int, default=3
        Number of residual blocks of two layers.

    References
    ----------
    .. [1] Zérah, Valero and Inglada, "Physics-constrained deep learning for biophysical parameter
       retrieval from Sentinel-2 images", Remote Sensing of Environment 312, 2024.
    """

    def __init__(self, n_inputs, n_latents, n_hidden=32, n_blocks=3):
        super().__init__()
        self.n_latents = n_latents
        self.register_buffer("centre", torch.zeros(n_inputs))
        self.register_buffer("input_range", torch.ones(n_inputs))
        self.first = linear(n_inputs, n_hidden)
        self.blocks = nn.ModuleList(
            nn.ModuleList([linear(n_hidden, n_hidden), linear(n_hidden, n_hidden)])
            for _ in range(n_blocks)
        )
        self.last = linear(n_hidden, 2 * n_latents)

    def reset(self, inputs, generator):
        """Standardise by median and quantiles, and draw the weights.

        Parameters
        ----------
        inputs : tensor of shape (n, n_inputs)
            Training inputs.
        generator : torch.Generator
            Source of randomness.
        """
        with torch.no_grad():
            low, middle, high = torch.quantile(inputs.float(), torch.tensor([0.05, 0.5, 0.95]), 0)
            self.centre.copy_(middle)
            # A constant input keeps its scale.
            self.input_range.copy_(torch.where(high > low, high - low, 1.0))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                reset_linear(module, generator)

    def forward(self, inputs):
        """Encode.

        Parameters
        ----------
        inputs : tensor of shape (..., n_inputs)

        Returns
        -------
        loc, scale : tensor of shape (..., n_latents)
            Parameters of normal distributions truncated to [0, 1]; loc lies within.
        """
        # In place, because memory traffic costs as much as the products.
        hidden = self.first((inputs - self.centre) / self.input_range).relu_()
        for inner, outer in self.blocks:
            hidden = outer(inner(hidden).relu_()).add_(hidden).relu_()
        loc, scale = self.last(hidden).split(self.n_latents, dim=-1)
        span = math.log(_MAX_SCALE / _MIN_SCALE)
        return torch.sigmoid(loc), _MIN_SCALE * torch.exp(span * torch.sigmoid(scale))

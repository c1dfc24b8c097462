"""Positional encoding in space."""

import math

import torch
from torch import nn

from sklearn_sits.nn.layers import linear

__all__ = ["SpatialEncoding"]


class SpatialEncoding(nn.Module):
    """Learned linear map of sines and cosines of the position, zero at the start.

    The wavelengths go from four times to an eighth of the extent of the training positions.
    This is P of Z = B[X* + P]Γ: as the attention weights of Γ sum to one, adding it to the
    interpolated series is the same as adding it to every observation.

    Parameters
    ----------
    n_positions : int
        Number of coordinates, such as 2 for easting and northing.
    n_channels : int
        Number of channels of the series.
    n_frequencies : int, default=8
        Number of frequencies per coordinate.
    """

    def __init__(self, n_positions, n_channels, n_frequencies=8):
        super().__init__()
        self.register_buffer("origin", torch.zeros(n_positions))
        self.register_buffer("extent", torch.ones(()))
        self.register_buffer("frequency", math.pi * 2 ** torch.linspace(-1, 4, n_frequencies))
        self.linear = linear(2 * n_positions * n_frequencies, n_channels)

    def reset(self, positions):
        """Fit the extent to the positions and make the encoding zero.

        Parameters
        ----------
        positions : tensor of shape (n, n_positions)
            Training positions, NaN where unknown.
        """
        known = positions[~positions.isnan().any(1)]
        if len(known):
            self.origin.copy_(known.amin(0))
            extent = (known.amax(0) - self.origin).amax()
            self.extent.copy_(torch.where(extent > 0, extent, 1.0))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, positions):
        """Encode positions.

        Parameters
        ----------
        positions : tensor of shape (n, n_positions)
            NaN where unknown: the encoding is then zero.

        Returns
        -------
        encoding : tensor of shape (n, n_channels)
        """
        unknown = positions.isnan().any(1, keepdim=True)
        scaled = (torch.where(unknown, self.origin, positions) - self.origin) / self.extent
        angles = (scaled[..., None] * self.frequency).flatten(1)
        encoding = self.linear(torch.cat([angles.sin(), angles.cos()], dim=1))
        return torch.where(unknown, 0.0, encoding)

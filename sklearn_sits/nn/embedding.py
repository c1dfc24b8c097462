"""Embeddings B of the interpolated series."""

import torch
from torch import nn

from sklearn_sits.nn.layers import Dropout, linear, reset_linear

__all__ = ["DeepEmbedding", "IdentityEmbedding", "SpectralEmbedding"]

# Floor of the variances by which the principal components are divided, relative to their mean. With
# few series, the small components are mostly noise, which a division would magnify: the floor is
# the mean up to this number of series, and falls with more.
_NOISY_SERIES = 300
_VARIANCE_FLOOR = 1e-2
# Components below this share of the largest variance are rounding noise, of arbitrary direction.
_RANK_TOLERANCE = 1e-10


class IdentityEmbedding(nn.Module):
    """The interpolated series as they are.

    Parameters
    ----------
    n_channels : int
        Number of channels D.
    n_reference_dates : int
        Number of reference dates R.
    n_heads : int
        Number of attention heads H.
    """

    def __init__(self, n_channels, n_reference_dates, n_heads):
        super().__init__()
        self.n_features = n_channels * n_heads * n_reference_dates

    def reset(self, series, weight, generator):
        """Do nothing: there are no parameters.

        Parameters
        ----------
        series : tensor of shape (n, D, H * R)
            Interpolated training series (not used).
        weight : tensor of shape (n,)
            Weights of the series (not used).
        generator : torch.Generator
            Source of randomness (not used).
        """

    def forward(self, series):
        """Flatten the series.

        Parameters
        ----------
        series : tensor of shape (n, D, H * R)

        Returns
        -------
        z : tensor of shape (n, D * H * R)
        """
        return series.flatten(1)


class SpectralEmbedding(nn.Module):
    """Linear map of the channels, the same for every reference date, as in the paper.

    Parameters
    ----------
    n_channels : int
        Number of channels D.
    n_reference_dates : int
        Number of reference dates R.
    n_heads : int
        Number of attention heads H.
    n_outputs : int or None, default=None
        Number of channels D' after the map, D if None.
    """

    def __init__(self, n_channels, n_reference_dates, n_heads, n_outputs=None):
        super().__init__()
        self.n_heads = n_heads
        self.n_features = (n_outputs or n_channels) * n_reference_dates
        self.linear = linear(n_channels * n_heads, n_outputs or n_channels)

    def reset(self, series, weight, generator):
        """Start as the mean over heads of the channels, or as a random map of them.

        Parameters
        ----------
        series : tensor of shape (n, D, H * R)
            Interpolated training series (not used).
        weight : tensor of shape (n,)
            Weights of the series (not used).
        generator : torch.Generator
            Source of randomness.
        """
        reset_linear(self.linear, generator)
        n_out, n_in = self.linear.weight.shape
        if n_in == n_out * self.n_heads:
            with torch.no_grad():
                eye = torch.eye(n_out, dtype=self.linear.weight.dtype)
                self.linear.weight.copy_(eye.repeat_interleave(self.n_heads, 1) / self.n_heads)
                self.linear.bias.zero_()

    def forward(self, series):
        """Map the channels of every reference date.

        Parameters
        ----------
        series : tensor of shape (n, D, H * R)

        Returns
        -------
        z : tensor of shape (n, R * D')
        """
        # (n, D, H, R) -> (n, R, D * H)
        split = series.unflatten(2, (self.n_heads, -1)).permute(0, 3, 1, 2).flatten(2)
        return self.linear(split).flatten(1)


class DeepEmbedding(nn.Module):
    """Principal components of the series, then one hidden layer: the kernel becomes deep.

    Neighbouring reference dates and bands are strongly correlated. Dividing the leading
    principal components by their standard deviations, at the start of training, lets a first
    order optimiser converge in a fraction of the steps.

    Parameters
    ----------
    n_inputs : int
        Number of channels times reference dates times heads.
    n_components : int
        Number of principal components.
    n_hidden : int
        Units of the hidden layer.
    n_outputs : int
        Size of the embedding.
    dropout : float
        Probability to drop a hidden unit in training, in [0, 1).
    """

    def __init__(self, n_inputs, n_components, n_hidden, n_outputs, dropout):
        super().__init__()
        self.n_features = n_outputs
        n_components = min(n_components, n_inputs)
        self.register_buffer("location", torch.zeros(n_inputs))
        self.register_buffer("components", torch.zeros(n_components, n_inputs))
        self.hidden = linear(n_components, n_hidden)
        self.norm = nn.LayerNorm(n_hidden)
        self.dropout = Dropout(dropout)
        self.output = linear(n_hidden, n_outputs)

    def reset(self, series, weight, generator):
        """Compute the principal components and draw the layers.

        Parameters
        ----------
        series : tensor of shape (n, D, H * R)
            Interpolated training series.
        weight : tensor of shape (n,)
            Weights of the series.
        generator : torch.Generator
            Source of randomness.
        """
        x = series.flatten(1).double()
        n = float(weight.double().sum())
        weight = weight.double() / n
        location = weight @ x
        x = x - location
        variance, vectors = torch.linalg.eigh(x.T @ (x * weight[:, None]))
        # eigh sorts upwards; the sign of a vector is arbitrary and is fixed here.
        variance, vectors = variance.flip(0), vectors.flip(1)[:, : len(self.components)].T
        vectors = vectors * vectors.gather(1, vectors.abs().argmax(1, keepdim=True)).sign()
        kept = variance[: len(self.components)]
        floor = min(1.0, max(_VARIANCE_FLOOR, _NOISY_SERIES / n)) * variance.clamp_min(0).mean()
        meaningful = kept > _RANK_TOLERANCE * kept[0].clamp_min(torch.finfo(x.dtype).tiny)
        scale = torch.where(meaningful, (kept.clamp_min(0) + floor).rsqrt(), 0.0)
        self.location.copy_(location)
        self.components.copy_(vectors * torch.where(meaningful, scale, 0.0)[:, None])
        for layer in (self.hidden, self.output):
            reset_linear(layer, generator)

    def forward(self, series):
        """Embed the series.

        Parameters
        ----------
        series : tensor of shape (n, D, H * R)

        Returns
        -------
        z : tensor of shape (n, n_outputs)
            Of mean 0 and variance 1 over its components.
        """
        offset = -(self.components @ self.location)
        x = nn.functional.linear(series.flatten(1), self.components, offset)
        x = self.dropout(nn.functional.silu(self.norm(self.hidden(x))))
        return nn.functional.layer_norm(self.output(x), (self.n_features,))

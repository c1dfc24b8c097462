"""Standardisation of features."""

import torch
from torch import nn

__all__ = ["FAR", "Standardisation"]

# Standard deviations beyond which it makes no difference to a kernel how far a value lies. The
# squares of such numbers are still exact enough, those of any float32 would be infinite.
FAR = 1e6


class Standardisation(nn.Module):
    """Features of mean zero and variance one on the training data.

    Parameters
    ----------
    n_features : int
        Number of features d.
    """

    def __init__(self, n_features):
        super().__init__()
        self.n_features = n_features
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))

    def reset(self, x, weight):
        """Fit mean and standard deviation; that of a constant feature is one.

        Parameters
        ----------
        x : tensor of shape (n, d)
            Features of a sample of the training data, finite.
        weight : tensor of shape (n,)
            Weights of the sample.
        """
        # Relative to the largest number, whose square could be infinite.
        largest = x.double().abs().amax(0).clamp_min(torch.finfo(torch.float32).tiny)
        relative, share = x.double() / largest, weight.double() / weight.double().sum()
        mean = share @ relative
        scale = (share @ (relative - mean).square()).sqrt()
        # Rounding alone gives a constant feature a deviation, not to be magnified.
        rounding = 10 * torch.finfo(x.dtype).eps * mean.abs()
        constant = (10 * rounding * largest).clamp_min(1.0)
        self.mean.copy_(mean * largest)
        self.scale.copy_(torch.where(scale <= rounding, constant, scale * largest))
        self.scale.clamp_min_(torch.finfo(x.dtype).tiny)

    def forward(self, x):
        """Standardise features.

        Parameters
        ----------
        x : tensor of shape (n, d)
            Features.

        Returns
        -------
        z : tensor of shape (n, d)
            Between -10^6 and 10^6, the value of those that lie even further away.
        """
        return ((x - self.mean) / self.scale).clamp(-FAR, FAR)

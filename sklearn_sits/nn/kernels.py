"""Covariance functions of Gaussian processes on fixed features."""

import torch
from torch import nn

__all__ = ["RepresentationKernel", "SeriesKernel"]

# Variances of the squared exponentials, whose length-scales are these multiples of the median
# distance, and of the linear part.
_VARIANCES, _MULTIPLES, _LINEAR_VARIANCE = (10.0, 10.0), (1.0, 0.5), 5.0
# Variance of the process on series, and its length-scale as a multiple of the median distance.
_SERIES_VARIANCE, _SERIES_MULTIPLE = 20.0, 2**-0.5
# Where the steps lie that a value is seen through, in standard deviations, and their steepness.
_THRESHOLDS, _STEEPNESS = (-0.6, 0.6), 2.0
# Rows whose distances give a length-scale.
_N_DISTANCES = 500


class RepresentationKernel(nn.Module):
    """Sum of two squared exponentials, a coarse and a fine one, and a linear kernel.

    Parameters
    ----------
    n_features : int
        Size of the representation (not used).
    """

    def __init__(self, n_features):
        super().__init__()
        self.register_buffer("lengthscale", torch.ones(()))
        self.register_buffer("square_norm", torch.ones(()))

    def reset(self, z):
        """Set the scales from a sample.

        Parameters
        ----------
        z : tensor of shape (n, d)
            Representation of a sample of the training series, in random order.
        """
        self.lengthscale.fill_(_median_distance(z))
        self.square_norm.fill_(z.square().sum(1).mean().clamp_min(1e-12))

    def forward(self, first, second):
        """Compute the covariances.

        Parameters
        ----------
        first : tensor of shape (n, d)
        second : tensor of shape (m, d)

        Returns
        -------
        covariance : tensor of shape (n, m)
        """
        product = first @ second.T
        exponent = _half_square_distance(first, second, product) / self.lengthscale.square()
        covariance = product * (_LINEAR_VARIANCE / self.square_norm)
        for variance, multiple in zip(_VARIANCES, _MULTIPLES, strict=True):
            covariance = covariance + variance * (-exponent / multiple**2).clamp_min(-80.0).exp()
        return covariance


class SeriesKernel(nn.Module):
    """Squared exponential of the number of values on which two series disagree.

    Each value of an interpolated series is seen through two soft steps, low or not and high or
    not, as a tree sees it through its splits. The distance then counts where two series differ,
    and hardly how much: a few extreme values do not outweigh all others. The exponential of a
    sum of absolute differences is the kernel that random forests have in the limit [1]_; this is
    a smooth version of it that matrix products compute.

    Parameters
    ----------
    n_features : int
        Number of values of a series.

    References
    ----------
    .. [1] Balog, Lakshminarayanan, Ghahramani, Roy and Teh, "The Mondrian kernel", UAI 2016.
    """

    def __init__(self, n_features):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("precision", torch.ones(n_features))
        self.register_buffer("lengthscale", torch.ones(()))

    def reset(self, z):
        """Set the scales from a sample.

        Parameters
        ----------
        z : tensor of shape (n, d)
            Interpolated training series, in random order.
        """
        std, mean = torch.std_mean(z, dim=0, correction=0)
        self.mean.copy_(mean)
        # Rounding alone gives a constant value a deviation, not to be magnified.
        constant = std <= 1e-6 * mean.abs().clamp_min(1.0)
        self.precision.copy_(torch.where(constant, 1.0, std).reciprocal())
        self.lengthscale.fill_(_SERIES_MULTIPLE * _median_distance(self._through_steps(z)))

    def forward(self, first, second):
        """Compute the covariances.

        Parameters
        ----------
        first : tensor of shape (n, d)
        second : tensor of shape (m, d)

        Returns
        -------
        covariance : tensor of shape (n, m)
        """
        first, second = self._through_steps(first), self._through_steps(second)
        exponent = _half_square_distance(first, second, first @ second.T)
        return _SERIES_VARIANCE * (-exponent / self.lengthscale.square()).clamp_min(-80.0).exp()

    def _through_steps(self, z):
        z = _STEEPNESS * (z - self.mean) * self.precision
        return torch.cat([torch.tanh(z - _STEEPNESS * step) for step in _THRESHOLDS], dim=1)


def _median_distance(z):
    """Compute the median distance between different rows, 1 if all are equal."""
    distances = torch.pdist(z[:_N_DISTANCES])
    distances = distances[distances > 0]
    return float(distances.median()) if len(distances) else 1.0


def _half_square_distance(first, second, product):
    half_norms = 0.5 * (first.square().sum(1)[:, None] + second.square().sum(1))
    # Rounding could make it slightly negative.
    return (half_norms - product).clamp_min(0)

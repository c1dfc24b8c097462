"""Where the spectra of simulations lie."""

import math

import torch
from torch import nn

__all__ = ["SpectralDomain"]

_N_COMPONENTS = 16
_MAX_DIMENSIONS = 10
_N_ITERATIONS, _N_FITTED = 20, 4096
# Errors of reflectances that leave a spectrum where it is: of the sensor, the atmosphere, and the
# canopy model. Without them, simulations fill less of the space than real spectra.
_TOLERANCE = 0.01
# Share of simulations that counts as outside.
_OUTSIDE = 0.002
_ANGLE_TOLERANCE = 1.0  # degrees
# BOA_ADD_OFFSET of Sentinel-2 products, in reflectance.
_OFFSET = 0.1
# Share of simulations that seem to have it.
_WITH_OFFSET = 0.02
# Without it, real spectra may still be this far outside (logarithm of the density, per band); snow
# and clouds are further.
_MARGIN = 5.0


class SpectralDomain(nn.Module):
    """Density of simulated spectra, and the range of their bands and angles.

    The density is a mixture of normal distributions of the principal components.

    Parameters
    ----------
    n_bands, n_angles : int
        Number of bands, and of angles that are known.

    Attributes
    ----------
    projection : Tensor of shape (n_bands, n_dimensions)
        From spectra to their principal components.
    means : Tensor of shape (n_components, n_dimensions)
        Centres of the components of the mixture.
    whitening : Tensor of shape (n_components, n_dimensions, n_dimensions)
        Makes the deviations from each centre white.
    log_weights : Tensor of shape (n_components,)
        Logarithms of the shares of the components, and of the scales of their densities.
    lowest_density : Tensor of shape ()
        Logarithm of the density below which a spectrum is outside.
    offset_evidence : Tensor of shape ()
        Gain of the logarithm of the density above which a spectrum has an offset.
    band_range : Tensor of shape (2, n_bands)
        Lowest and highest reflectance.
    angle_range : Tensor of shape (2, n_angles)
        Smallest and largest angle in degrees; azimuths are folded to 0 to 180.
    """

    def __init__(self, n_bands, n_angles):
        super().__init__()
        k, d = _N_COMPONENTS, min(n_bands, _MAX_DIMENSIONS)
        self.register_buffer("projection", torch.eye(n_bands)[:, :d].clone())
        self.register_buffer("means", torch.zeros(k, d))
        self.register_buffer("whitening", torch.eye(d).repeat(k, 1, 1))
        self.register_buffer("log_weights", torch.zeros(k))
        self.register_buffer("lowest_density", torch.tensor(-math.inf))
        self.register_buffer("offset_evidence", torch.zeros(()))
        limits = torch.tensor([[-math.inf], [math.inf]])
        self.register_buffer("band_range", limits.repeat(1, n_bands))
        self.register_buffer("angle_range", limits.repeat(1, n_angles))

    def learn(self, spectra, angles, generator):
        """Learn the density and the ranges of simulations.

        Parameters
        ----------
        spectra : tensor of shape (n, n_bands)
            Reflectances with noise.
        angles : tensor of shape (n, n_angles)
            Angles in degrees.
        generator : torch.Generator
            Source of randomness.
        """
        spectra, dtype = spectra.double(), self.means.dtype
        self.double()
        tail = torch.tensor([_OUTSIDE / 4, 1 - _OUTSIDE / 4], dtype=torch.float64)
        self.band_range.copy_(torch.quantile(spectra, tail, dim=0))
        self.band_range += _TOLERANCE * torch.tensor([[-1.0], [1.0]])
        if angles.shape[1]:
            folded = _fold(angles.double())
            self.angle_range.copy_(torch.stack([folded.amin(0), folded.amax(0)]))
        _, vectors = torch.linalg.eigh(torch.cov(spectra.T).reshape(2 * spectra.shape[1:]))
        self.projection.copy_(vectors.flip(1)[:, : self.projection.shape[1]])
        self._learn_mixture(spectra[:_N_FITTED] @ self.projection, generator)
        density = self.log_density(spectra)
        gain = self.log_density(spectra - _OFFSET) - density
        self.lowest_density.copy_(torch.quantile(density, _OUTSIDE))
        self.offset_evidence.copy_(torch.quantile(gain, 1 - _WITH_OFFSET).clamp_min(0))
        self.to(dtype)

    def _learn_mixture(self, points, generator):
        """Maximise the likelihood, from random centres."""
        n, d = points.shape
        k = len(self.means)
        self.means.copy_(points[torch.randperm(n, generator=generator)[:k].repeat(k)[:k]])
        start = torch.cov(points.T).reshape(d, d) / k
        covariances, weights = start.repeat(k, 1, 1), points.new_full((k,), 1 / k)
        noise = _TOLERANCE**2 * torch.eye(d, dtype=points.dtype)
        products = (points[:, :, None] * points[:, None]).flatten(1)
        for _ in range(_N_ITERATIONS):
            self._set_components(weights, covariances + noise)
            share = torch.softmax(self._log_terms(points), dim=1)
            count = share.sum(0) + 1e-6
            weights = count / count.sum()
            self.means.copy_((share.T @ points) / count[:, None])
            moments = ((share.T @ products) / count[:, None]).unflatten(1, (d, d))
            covariances = moments - self.means[:, :, None] * self.means[:, None]
        self._set_components(weights, covariances + noise)

    def _set_components(self, weights, covariances):
        inverse = torch.linalg.inv(torch.linalg.cholesky(covariances))
        self.whitening.copy_(inverse.mT)
        scales = inverse.diagonal(dim1=1, dim2=2).log().sum(1)
        self.log_weights.copy_(weights.log() + scales)

    def _log_terms(self, points):
        """Return the logarithms of the weighted densities, (n, n_components)."""
        k, d = self.means.shape
        # One product for all components.
        white = points @ self.whitening.transpose(0, 1).reshape(d, k * d)
        centre = (self.means[:, None] @ self.whitening).flatten()
        distance = (white - centre).square().unflatten(1, (k, d)).sum(2)
        return self.log_weights - 0.5 * distance

    def log_density(self, spectra):
        """Compute the logarithm of the density, up to a constant.

        Parameters
        ----------
        spectra : tensor of shape (n, n_bands)
            Reflectances.

        Returns
        -------
        log_density : tensor of shape (n,)
        """
        return torch.logsumexp(self._log_terms(spectra @ self.projection), dim=1)

    def has_offset(self, spectra, log_density):
        """Tell which spectra are likelier after the offset of Sentinel-2 has been subtracted.

        Such a spectrum has to be near the domain then: a cloud is not.

        Parameters
        ----------
        spectra : tensor of shape (n, n_bands)
            Reflectances.
        log_density : tensor of shape (n,)
            That of the spectra.

        Returns
        -------
        has_offset : bool tensor of shape (n,)
        """
        without = self.log_density(spectra - _OFFSET)
        gain = without - log_density
        margin = _MARGIN * spectra.shape[1]
        return (gain > self.offset_evidence) & (without > self.lowest_density - margin)

    def band_is_outside(self, spectra):
        """Tell which spectra have a reflectance outside of the range of its band.

        Parameters
        ----------
        spectra : tensor of shape (n, n_bands)
            Reflectances.

        Returns
        -------
        is_outside : bool tensor of shape (n,)
        """
        low, high = self.band_range
        return ((spectra < low) | (spectra > high)).any(1)

    def angle_is_outside(self, angles):
        """Tell which angles lie outside of the range of simulations.

        Parameters
        ----------
        angles : tensor of shape (n, n_angles)
            Angles in degrees.

        Returns
        -------
        is_outside : bool tensor of shape (n,)
        """
        folded, (low, high) = _fold(angles), self.angle_range
        return ((folded < low - _ANGLE_TOLERANCE) | (folded > high + _ANGLE_TOLERANCE)).any(1)


def _fold(angles):
    """Return angles within 0 and 180; zeniths stay as they are."""
    return 180 - (180 - angles.remainder(360)).abs()

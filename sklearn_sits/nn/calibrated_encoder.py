"""An encoder with the statistics of its errors on simulations."""

import torch
from torch import nn

from sklearn_sits.nn.latents import latent_moments
from sklearn_sits.nn.spectral_domain import SpectralDomain

__all__ = ["CalibratedEncoder"]


class CalibratedEncoder(nn.Module):
    """An encoder, and the buffers that widen its distributions and relate them to one another.

    Parameters
    ----------
    encoder : torch.nn.Module
        From standardised inputs to loc and scale of the latents.
    n_bands : int
        Number of bands.
    n_latents : int
        Number of latents.
    n_variables : int
        Number of latents that are variables of the decoder; the others follow from them.
    pretrained_encoder : torch.nn.Module or None, default=None
        The encoder at the time when it had seen nothing but simulations.
    n_angles : int, default=0
        Number of angles that the encoder knows.

    Attributes
    ----------
    whitening : Tensor of shape (n_bands, n_bands)
        Makes the residuals of simulations white.
    median_residual : Tensor of shape ()
        Median over simulations of the root mean square of their white residuals.
    simulation_factor : Tensor of shape (n_latents,)
        Factor on the widths that gives the intervals of simulations their coverage.
    measurement_factor : Tensor of shape (n_latents,)
        Factor on the standard deviations that is learned from measurements.
    measurement_offset, measurement_slope : Tensor of shape (n_latents,)
        Correction of means that is learned from measurements: offset + slope mean, in the units of
        the traits.
    log_std : Tensor of shape (n_latents,)
        Standard deviation of the logarithms of the latents of simulations.
    error_correlation : Tensor of shape (n_latents,)
        Share of the variance of the errors that the dates of a series have in common.
    copula_factor : Tensor of shape (n_variables, n_variables)
        Cholesky factor of the correlations between the errors of the variables of a spectrum.
    domain : SpectralDomain
        Where the spectra of simulations lie.
    largest_misfit : Tensor of shape ()
        Misfit that no simulation reaches.
    """

    def __init__(
        self, encoder, n_bands, n_latents, n_variables, pretrained_encoder=None, n_angles=0
    ):
        super().__init__()
        self.encoder, self.pretrained_encoder = encoder, pretrained_encoder
        self.register_buffer("whitening", torch.eye(n_bands))
        self.register_buffer("median_residual", torch.ones(()))
        self.register_buffer("simulation_factor", torch.ones(n_latents))
        self.register_buffer("measurement_factor", torch.ones(n_latents))
        self.register_buffer("measurement_offset", torch.zeros(n_latents))
        self.register_buffer("measurement_slope", torch.zeros(n_latents))
        self.register_buffer("log_std", torch.ones(n_latents))
        self.register_buffer("error_correlation", torch.zeros(n_latents))
        self.register_buffer("copula_factor", torch.eye(n_variables))
        self.register_buffer("largest_misfit", torch.tensor(torch.inf))
        self.domain = SpectralDomain(n_bands, n_angles)

    def forward(self, spectra, angles):
        """Encode spectra.

        Parameters
        ----------
        spectra : tensor of shape (n, n_bands)
            Reflectances.
        angles : tensor of shape (n, n_angles)
            Angles in degrees, which the encoder sees as cosines.

        Returns
        -------
        loc, scale : tensor of shape (n, n_latents)
        """
        return self.encoder(_to_inputs(spectra, angles))

    @property
    def is_corrected(self):
        """Whether there is a correction from measurements."""
        return bool((self.measurement_offset != 0).any() or (self.measurement_factor != 1).any())

    def pretraining_width_ratio(self, spectra, angles, std):
        """Compute how much wider the distributions of the pretrained encoder are.

        Training on spectra makes distributions narrower without adding evidence about latents.

        Parameters
        ----------
        spectra : tensor of shape (n, n_bands)
            Reflectances.
        angles : tensor of shape (n, n_angles)
            Angles in degrees.
        std : tensor of shape (n, n_latents)
            Standard deviations.

        Returns
        -------
        ratio : tensor of shape (n, n_latents)
            At least one.
        """
        before = latent_moments(*self.pretrained_encoder(_to_inputs(spectra, angles)))[1]
        return (before / std).clamp_min(1.0)

    def misfit(self, residuals):
        """Compute how much larger residuals are than those of simulations.

        Parameters
        ----------
        residuals : tensor of shape (n, n_bands)
            Observed minus reconstructed reflectances.

        Returns
        -------
        factor : tensor of shape (n,)
            About one for spectra that the model can produce.
        """
        square = (residuals @ self.whitening).square().mean(1)
        return torch.sqrt((1 + square) / (1 + self.median_residual.square()))

    def learn_residuals(self, residuals):
        """Set the scale of residuals.

        Parameters
        ----------
        residuals : tensor of shape (n, n_bands)
            Residuals of simulations.
        """
        residuals = residuals.double()
        covariance = residuals.T @ residuals / len(residuals)
        covariance += 1e-8 * torch.eye(len(covariance), dtype=covariance.dtype)
        inverse = torch.linalg.inv(torch.linalg.cholesky(covariance)).T
        self.whitening.copy_(inverse)
        self.median_residual.copy_((residuals @ inverse).square().mean(1).sqrt().median())


def _to_inputs(spectra, angles):
    return torch.cat([spectra, torch.cos(torch.deg2rad(angles))], dim=1)

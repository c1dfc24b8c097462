"""An encoder with what simulations have shown about its errors."""

import torch
from torch import nn

from sklearn_sits.nn.vae import latent_std

__all__ = ["CalibratedEncoder"]


class CalibratedEncoder(nn.Module):
    """An encoder and the buffers by which its distributions are widened and joined in time.

    Parameters
    ----------
    encoder : torch.nn.Module
        From standardised inputs to loc and scale of the latents.
    n_bands : int
        Number of bands.
    n_latents : int
        Number of latents.
    before : torch.nn.Module or None, default=None
        The encoder before it has seen anything but simulations.

    Attributes
    ----------
    whitening : Tensor of shape (n_bands, n_bands)
        Makes the residuals of simulations white.
    typical : Tensor of shape ()
        Median over simulations of the root mean square of their white residuals.
    widening : Tensor of shape (n_latents,)
        Factor on the intervals that makes those of simulations right.
    labelled : Tensor of shape (n_latents,)
        Factor on the standard deviations that measurements ask for.
    spread : Tensor of shape (n_latents,)
        Standard deviation of the logarithms of the latents of simulations.
    shared : Tensor of shape (n_latents,)
        Share of the variance of the errors that the dates of a series have in common.
    """

    def __init__(self, encoder, n_bands, n_latents, before=None):
        super().__init__()
        self.encoder, self.before = encoder, before
        self.register_buffer("whitening", torch.eye(n_bands))
        self.register_buffer("typical", torch.ones(()))
        self.register_buffer("widening", torch.ones(n_latents))
        self.register_buffer("labelled", torch.ones(n_latents))
        self.register_buffer("spread", torch.ones(n_latents))
        self.register_buffer("shared", torch.zeros(n_latents))

    def forward(self, spectra, angles):
        """Encode spectra.

        Parameters
        ----------
        spectra : tensor of shape (n, n_bands)
            Reflectances.
        angles : tensor of shape (n, 3) or (n, 0)
            Angles in degrees, which the encoder sees as cosines.

        Returns
        -------
        loc, scale : tensor of shape (n, n_latents)
        """
        return self.encoder(_inputs(spectra, angles))

    def narrowed(self, spectra, angles, std):
        """Compute how much wider the distributions were before.

        To reconstruct spectra narrows distributions, but is no evidence on latents.

        Parameters
        ----------
        spectra : tensor of shape (n, n_bands)
            Reflectances.
        angles : tensor of shape (n, 3) or (n, 0)
            Angles in degrees.
        std : tensor of shape (n, n_latents)
            Standard deviations.

        Returns
        -------
        factor : tensor of shape (n, n_latents)
            At least one.
        """
        if self.before is None:
            return torch.ones_like(std)
        return (latent_std(*self.before(_inputs(spectra, angles))) / std).clamp_min(1.0)

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
        return torch.sqrt((1 + square) / (1 + self.typical.square()))

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
        self.typical.copy_((residuals @ inverse).square().mean(1).sqrt().median())


def _inputs(spectra, angles):
    return torch.cat([spectra, torch.cos(torch.deg2rad(angles))], dim=1)

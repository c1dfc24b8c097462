"""What an encoder says of the traits of a batch of spectra."""

import torch

from sklearn_sits.physics import VARIABLES, TruncatedNormal
from sklearn_sits.vae_training import NOMINAL_ANGLES

__all__ = ["TraitPosterior"]


class TraitPosterior:
    """Distributions of the traits of a batch of spectra.

    Parameters
    ----------
    module : VAEModule
        Trained encoder.
    decoder : Prosail
        Canopy model of the sensor.
    spectra : tensor of shape (n, n_bands)
        Reflectances.
    angles : tensor of shape (n, 3) or (n, 0)
        Angles in degrees; `NOMINAL_ANGLES` where there are none.
    low, high : tensor of shape (n_traits,)
        Bounds of the traits.
    """

    def __init__(self, module, decoder, spectra, angles, low, high):
        self.module, self.decoder, self.spectra = module, decoder, spectra
        self.low, self.high = low, high
        self.loc, self.scale = module(spectra, angles)
        nominal = torch.tensor(NOMINAL_ANGLES).to(spectra).expand(len(spectra), 3)
        self.geometry = angles if angles.shape[1] else nominal

    def of(self, columns):
        """Return the distributions of some traits.

        Parameters
        ----------
        columns : list of int
            Their positions.

        Returns
        -------
        distribution : TruncatedNormal of shape (n, n_columns)
            In the units of the traits.
        """
        low, high = self.low[columns], self.high[columns]
        loc, scale = self.loc[:, columns], self.scale[:, columns]
        width = high - low
        return TruncatedNormal(low + width * loc, width * scale, low, high, validate_args=False)

    def reconstruct(self):
        """Decode the mean traits.

        Returns
        -------
        reflectances : tensor of shape (n, n_bands)
        """
        mean = self.of(list(range(len(VARIABLES)))).mean
        return self.decoder(mean, self.geometry, check=False)

    def misfit(self):
        """Compute the factor by which a spectrum widens its standard deviations.

        Returns
        -------
        factor : tensor of shape (n,)
        """
        return self.module.misfit(self.spectra - self.reconstruct())

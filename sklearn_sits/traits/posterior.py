"""What an encoder says of the traits of spectra."""

from functools import cached_property

import torch

from sklearn_sits.nn.vae import latent_mean, latent_std
from sklearn_sits.physics import VARIABLES, TruncatedNormal
from sklearn_sits.traits.simulator import NOMINAL_ANGLES

__all__ = ["TraitPosterior"]


class TraitPosterior:
    """Distributions of the traits of spectra, each by itself.

    Parameters
    ----------
    module : CalibratedEncoder
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
        self.widening = module.widening * module.labelled
        nominal = torch.tensor(NOMINAL_ANGLES).to(spectra).expand(len(spectra), 3)
        self.angles = angles
        self.geometry = angles if angles.shape[1] else nominal

    def __len__(self):
        return len(self.loc)

    def of(self, columns):
        """Return the distributions of some traits, as narrow as the encoder has them.

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

    @cached_property
    def narrowed(self):
        """Factor by which distributions were wider before, a tensor of shape (n, n_traits)."""
        std = latent_std(self.loc, self.scale)
        return self.module.narrowed(self.spectra, self.angles, std)

    def _factor(self, columns):
        return self.misfit().unsqueeze(1) * self.narrowed[:, columns] * self.widening[columns]

    def mean(self, columns):
        """Return the means of some traits.

        Parameters
        ----------
        columns : list of int
            Their positions.

        Returns
        -------
        mean : tensor of shape (n, n_columns)
            In the units of the traits.
        """
        return self.of(columns).mean

    def std(self, columns):
        """Return the standard deviations of some traits.

        Parameters
        ----------
        columns : list of int
            Their positions.

        Returns
        -------
        std : tensor of shape (n, n_columns)
        """
        of = self.of(columns)
        # No distribution between the bounds has a larger one.
        return torch.minimum(of.stddev * self._factor(columns), (of.high - of.low) / 2)

    def quantiles(self, levels, columns):
        """Return quantiles of some traits.

        Parameters
        ----------
        levels : tensor of shape (n_levels, 1, 1) or (n_levels, n, n_columns)
            Probabilities.
        columns : list of int
            Positions of the traits.

        Returns
        -------
        values : tensor of shape (n_levels, n, n_columns)
            Moved away from the median by the widening, within the bounds.
        """
        of = self.of(columns)
        median = of.icdf(torch.full_like(of.loc, 0.5))
        values = median + self._factor(columns) * (of.icdf(levels) - median)
        return torch.minimum(torch.maximum(values, of.low), of.high)

    def reconstruct(self):
        """Decode the mean traits.

        Returns
        -------
        reflectances : tensor of shape (n, n_bands)
        """
        n_variables = len(VARIABLES)
        mean = latent_mean(self.loc[:, :n_variables], self.scale[:, :n_variables])
        low, high = self.low[:n_variables], self.high[:n_variables]
        return self.decoder(torch.lerp(low, high, mean), self.geometry, check=False)

    @cached_property
    def residuals(self):
        """Spectra minus their reconstructions, a tensor of shape (n, n_bands)."""
        return self.spectra - self.reconstruct()

    def misfit(self):
        """Compute the factor by which a spectrum widens its distributions.

        Returns
        -------
        factor : tensor of shape (n,)
        """
        return self.module.misfit(self.residuals)

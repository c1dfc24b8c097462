"""Distributions of the traits of single spectra."""

from functools import cached_property

import torch

from sklearn_sits.nn.latents import latent_moments, latent_quantiles
from sklearn_sits.traits.measurements import Correction
from sklearn_sits.vae.posterior import Posterior

__all__ = ["TraitPosterior"]


class TraitPosterior(Posterior):
    """Distributions of the traits of spectra, each by itself.

    Parameters
    ----------
    module : CalibratedEncoder
        Trained encoder.
    decoder : RadiativeTransferModel
        Canopy model of the sensor.
    spectra : tensor of shape (n, n_bands)
        Reflectances.
    angles : tensor of shape (n, n_angles)
        Angles in degrees; those that the encoder does not know are nominal.
    low, high : tensor of shape (n_traits,)
        Bounds of the traits.
    """

    def __init__(self, module, decoder, spectra, angles, low, high):
        self.module, self.decoder, self.spectra = module, decoder, spectra
        self.low, self.high = low, high
        self.loc, self.scale = module(spectra, angles)
        self.angles = angles
        self.n_variables = len(decoder.variables)
        self.geometry = angles
        if angles.shape[1] != len(decoder.nominal_geometry):
            nominal = torch.tensor(decoder.nominal_geometry).to(spectra)
            self.geometry = nominal.expand(len(spectra), len(nominal))

    def __len__(self):
        return len(self.loc)

    @cached_property
    def latent_moments(self):
        """Means and standard deviations of the latents, tensors of shape (n, n_traits)."""
        return latent_moments(self.loc, self.scale)

    @cached_property
    def reconstruction(self):
        """Reflectances of the mean traits, a tensor of shape (n, n_bands)."""
        low, high = self.low[: self.n_variables], self.high[: self.n_variables]
        mean = self.latent_moments[0][:, : self.n_variables]
        return self.decoder(torch.lerp(low, high, mean), self.geometry, check=False)

    @cached_property
    def misfit(self):
        """Factor by which the misfit of a spectrum widens its distributions, (n,)."""
        return self.module.misfit(self.spectra - self.reconstruction)

    @cached_property
    def _pretraining_width_ratio(self):
        std = self.latent_moments[1]
        return self.module.pretraining_width_ratio(self.spectra, self.angles, std)

    def trim(self, n):
        """Compute all that depends on matrix products, and keep the first spectra.

        Parameters
        ----------
        n : int
            Number of spectra to keep.

        Returns
        -------
        self : TraitPosterior
        """
        names = ["spectra", "angles", "geometry", "loc", "scale", "reconstruction", "misfit"]
        if self.module.pretrained_encoder is not None:
            names.append("_pretraining_width_ratio")
        vars(self).update({name: getattr(self, name)[:n] for name in names})
        vars(self).pop("latent_moments", None)
        return self

    def width_factor(self, columns):
        """Compute the factor of the widths of traits that does not depend on the misfit.

        Parameters
        ----------
        columns : list of int
            Positions of the traits.

        Returns
        -------
        factor : tensor of shape (n_columns,) or (n, n_columns)
        """
        module = self.module
        factor = module.simulation_factor[columns] * module.measurement_factor[columns]
        if module.pretrained_encoder is None:
            return factor
        return factor * self._pretraining_width_ratio[:, columns]

    def _factor(self, columns):
        return self.misfit.unsqueeze(1) * self.width_factor(columns)

    def _to_units(self, latents, columns):
        return torch.lerp(self.low[columns], self.high[columns], latents)

    @cached_property
    def _correction(self):
        """The correction by measurements, None if there is none."""
        if not self.module.is_corrected:
            return None
        columns = list(range(len(self.low)))
        mean = self._to_units(self.latent_moments[0], columns)
        return Correction.find(self.module, self.decoder, mean, self.geometry, self.low, self.high)

    def _move(self, values, columns):
        return values if self._correction is None else self._correction.move(values, columns)

    def mean(self, columns):
        """See :class:`Posterior`."""
        # Those of the other traits, of which a mean alone has no need, would double the time.
        mean, _ = latent_moments(self.loc[:, columns], self.scale[:, columns])
        return self._move(self._to_units(mean, columns), columns)

    def moments(self, columns):
        """See :class:`Posterior`."""
        # No distribution between the bounds has a larger deviation than half of their distance.
        mean, std = (values[:, columns] for values in self.latent_moments)
        std = (std * self._factor(columns)).clamp_max(0.5)
        mean = self._move(self._to_units(mean, columns), columns)
        return mean, std * (self.high - self.low)[columns]

    def quantiles(self, levels, columns):
        """See :class:`Posterior`. Quantiles move away from the median by the widening."""
        loc, scale = self.loc[:, columns], self.scale[:, columns]
        median = latent_quantiles(loc, scale, torch.full_like(loc, 0.5))
        distance = latent_quantiles(loc, scale, levels.to(loc.device)) - median
        latents = (median + self._factor(columns) * distance).clamp(0, 1)
        return self._move(self._to_units(latents, columns), columns)

    def draw(self, normal, columns):
        """See :class:`Posterior`. The variables depend on one another by a normal copula."""
        levels = torch.special.ndtr(normal @ self.module.copula_factor.to(normal).mT)
        variables = self.quantiles(levels.transpose(0, 1), list(range(self.n_variables)))
        variables, geometry = variables.transpose(0, 1), self.geometry.unsqueeze(1)
        return self.compute_traits(variables, geometry, columns)

    def compute_traits(self, variables, geometry, columns):
        """Compute some of the traits of draws, corrected by measurements.

        Parameters
        ----------
        variables : tensor of shape (n, n_draws, n_variables)
            Variables of the decoder, corrected.
        geometry : tensor of shape (n, 1, n_geometry)
            Their angles.
        columns : list of int
            Positions of the traits.

        Returns
        -------
        traits : tensor of shape (n, n_draws, n_columns)
        """
        if self._correction is None:
            return self.decoder.compute_traits(variables, geometry, columns)
        traits = self.decoder.append_derived(variables, geometry)
        return self._correction.move_derived(traits)[..., columns]

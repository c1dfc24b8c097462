"""Distributions of the parameters of seasons."""

import torch

from sklearn_sits.nn.latents import latent_moments, latent_quantiles
from sklearn_sits.nn.ordered import dependence, sample_dependent
from sklearn_sits.physics.double_logistic import PHENOLOGY
from sklearn_sits.vae.posterior import Posterior

__all__ = ["SeasonPosterior"]


class SeasonPosterior(Posterior):
    """Distributions of the parameters of the seasons of series.

    Parameters
    ----------
    module : SeasonModel
        Trained model, in double precision.
    series : tuple of tensors
        Days of the season, values and where there are observations, each (n, n_dates).
    start : float
        Date of day 0 of the season.
    """

    def __init__(self, module, series, start):
        self.module = module
        self.latents = module(*series)
        is_date = torch.tensor([variable.unit == "day" for variable in PHENOLOGY])
        self._offset = start * is_date.to(self.latents.loc)

    def _to_dates(self, latents):
        """Turn latents into parameters in their order, with dates in the time scale of X."""
        return self.module.to_parameters(latents) + self._offset

    def moments(self, columns):
        """See :class:`Posterior`."""
        mean, std = latent_moments(self.latents.loc, self.latents.scale)
        width = self.module.high - self.module.low
        return self._to_dates(mean)[:, columns], (width * std)[:, columns]

    def quantiles(self, levels, columns):
        """See :class:`Posterior`."""
        loc, scale = self.latents.loc, self.latents.scale
        return self._to_dates(latent_quantiles(loc, scale, levels.to(loc)))[..., columns]

    def draw(self, normal, columns):
        """See :class:`Posterior`. Dates ascend, and the minimum is not above the maximum."""
        latents = self.latents
        factor = dependence(latents.covariance)
        draws = sample_dependent(latents.loc, latents.scale, factor, normal.transpose(0, 1))
        return self._to_dates(draws).transpose(0, 1)[..., columns]

    def decode(self, days):
        """Compute the vegetation index of the mean parameters.

        Parameters
        ----------
        days : tensor of shape (n_days,)
            Days of the season.

        Returns
        -------
        index : tensor of shape (n, n_days)
        """
        mean, _ = latent_moments(self.latents.loc, self.latents.scale)
        return self.module.decode(mean, days)

"""Distributions of the parameters of seasons."""

import torch

from sklearn_sits.nn.latents import latent_moments, latent_quantiles
from sklearn_sits.nn.ordered import dependence, sample_dependent
from sklearn_sits.physics.double_logistic import PHENOLOGY

__all__ = ["SeasonPosterior"]


class SeasonPosterior:
    """Distributions of the parameters of the seasons of series.

    Parameters
    ----------
    module : SeasonModel
        Trained model.
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

    def mean(self, columns):
        """Return the means of some parameters.

        Parameters
        ----------
        columns : list of int
            Their positions.

        Returns
        -------
        mean : tensor of shape (n, n_columns)
        """
        return self.moments(columns)[0]

    def moments(self, columns):
        """Return the means and standard deviations of some parameters.

        Parameters
        ----------
        columns : list of int
            Their positions.

        Returns
        -------
        mean, std : tensor of shape (n, n_columns)
        """
        mean, std = latent_moments(self.latents.loc, self.latents.scale)
        width = self.module.high - self.module.low
        return self._to_dates(mean)[:, columns], (width * std)[:, columns]

    def quantiles(self, levels, columns):
        """Return quantiles of some parameters.

        Parameters
        ----------
        levels : tensor of shape (n_levels, 1, 1)
            Probabilities.
        columns : list of int
            Positions of the parameters.

        Returns
        -------
        values : tensor of shape (n_levels, n, n_columns)
        """
        loc, scale = self.latents.loc, self.latents.scale
        return self._to_dates(latent_quantiles(loc, scale, levels.to(loc)))[..., columns]

    def draw(self, normal):
        """Draw parameters that depend on one another as in a normal approximation.

        Parameters
        ----------
        normal : tensor of shape (n, n_draws, 6)
            Independent standard normal numbers.

        Returns
        -------
        parameters : tensor of shape (n, n_draws, 6)
            Minimum not above maximum, and the dates in ascending order.
        """
        latents = self.latents
        factor = dependence(latents.covariance)
        draws = sample_dependent(latents.loc, latents.scale, factor, normal.transpose(0, 1))
        return self._to_dates(draws).transpose(0, 1)

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

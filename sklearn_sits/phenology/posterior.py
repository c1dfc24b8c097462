"""Distributions of the parameters of seasons."""

from functools import cached_property

import torch

from sklearn_sits.nn.latents import latent_moments, latent_quantiles
from sklearn_sits.nn.ordered import dependence, sample_dependent
from sklearn_sits.phenology.fit import fit_seasons, square_of_constant
from sklearn_sits.phenology.quality import QUALITY_FLAGS, flag_seasons, is_double
from sklearn_sits.phenology.valleys import find_windows
from sklearn_sits.physics.double_logistic import PHENOLOGY
from sklearn_sits.vae.posterior import Posterior

__all__ = ["SeasonPosterior"]


class SeasonPosterior(Posterior):
    """Distributions of the parameters of the seasons of series.

    Its outputs are the parameters of the first season of the first year, of the second one if
    years may have two, and so on for all years.

    Parameters
    ----------
    module : SeasonModel
        Trained model, in double precision.
    series : tuple of tensors
        Days of the season, values and where there are observations, each
        (n * n_years, n_dates), with the years of a series in consecutive rows.
    starts : tensor of shape (n_years,)
        Dates of day 0 of the seasons.
    n_seasons : {1, 2}
        Most seasons of a year.
    """

    def __init__(self, module, series, starts, n_seasons):
        self.module, self.starts, self.n_seasons = module, starts, n_seasons
        self.n_years = len(starts)
        days, values, seen = series
        is_observed = seen.any(1)
        # An invented observation of the years without any, which have no result.
        self._series = days, values, seen | ~is_observed.unsqueeze(1)
        is_present = is_observed.repeat_interleave(n_seasons)
        if n_seasons == 1:
            self._fit = fit_seasons(module, *self._series)
        else:
            whole, first, second = self._fits_of_windows
            self._fit = first.where(self.is_double, whole).interleave(second)
            is_present[1::2] &= self.is_double
        shape = (-1, self.n_years * n_seasons)
        self._is_unobserved = ~is_observed.repeat_interleave(n_seasons).reshape(shape)
        self._is_absent = ~is_present.reshape(shape)
        is_date = torch.tensor([variable.unit == "day" for variable in PHENOLOGY])
        start = starts.repeat_interleave(n_seasons).unsqueeze(1)
        # (n_years * n_seasons, 6)
        self._offset = (start * is_date.to(start)).to(self._fit.loc)

    @cached_property
    def _windows(self):
        return find_windows(*self._series, self.module.smallest_amplitude)

    @cached_property
    def _fits_of_windows(self):
        """Fits of the year, and of its parts before and after the deepest valley."""
        parts = self._windows
        days, values = (x.repeat(3, 1) for x in (parts.days, parts.values))
        masks = torch.cat([parts.whole, parts.first, parts.second])
        return fit_seasons(self.module, days, values, masks).split(3)

    @cached_property
    def is_double(self):
        """Whether a year has two seasons, (n * n_years,)."""
        parts = self._windows
        constant = square_of_constant(parts.values, parts.whole)
        return is_double(*self._fits_of_windows, constant, parts.depth, self.module)

    def _arrange(self, parameters, *, is_absolute=True):
        """Arrange values (..., n_rows, 6) as outputs (..., n, n_outputs) in the scale of X."""
        shape = (*parameters.shape[:-2], *self._is_absent.shape, len(PHENOLOGY))
        parameters = parameters.reshape(shape)
        if is_absolute:
            parameters = parameters + self._offset
        return parameters.masked_fill(self._is_absent.unsqueeze(-1), torch.nan).flatten(-2)

    def moments(self, columns):
        """See :class:`Posterior`."""
        mean, std = latent_moments(self._fit.loc, self._fit.scale)
        width = self.module.high - self.module.low
        mean = self._arrange(self.module.to_parameters(mean))
        return mean[:, columns], self._arrange(width * std, is_absolute=False)[:, columns]

    def quantiles(self, levels, columns):
        """See :class:`Posterior`."""
        latents = latent_quantiles(self._fit.loc, self._fit.scale, levels.to(self._fit.loc))
        return self._arrange(self.module.to_parameters(latents))[..., columns]

    def draw(self, normal, columns):
        """See :class:`Posterior`. Dates ascend, and the minimum is not above the maximum."""
        fit = self._fit
        n, n_draws, _ = normal.shape
        normal = normal.transpose(0, 1).reshape(n_draws, len(fit.loc), len(PHENOLOGY))
        draws = sample_dependent(fit.loc, fit.scale, dependence(fit.covariance), normal)
        draws = self._arrange(self.module.to_parameters(draws)).transpose(0, 1)
        return draws[..., columns]

    def decode(self, dates):
        """Compute the vegetation index of the mean parameters.

        Between two seasons of a year, the curve changes from the first to the second in the
        middle between the end of one and the start of the other.

        Parameters
        ----------
        dates : tensor of shape (n_dates,)
            Dates in the time scale of X. A date belongs to the last year that starts before it.

        Returns
        -------
        index : tensor of shape (n, n_dates)
        """
        mean, _ = latent_moments(self._fit.loc, self._fit.scale)
        shape = (-1, self.n_years, self.n_seasons, len(PHENOLOGY))
        mean = mean.reshape(shape)
        parameters = self.module.to_parameters(mean)
        absent = self._is_absent.reshape(shape[:-1])
        year = (torch.searchsorted(self.starts, dates, right=True) - 1).clamp_min(0)
        result = mean.new_empty(len(mean), len(dates))
        for i, start in enumerate(self.starts):
            days = dates[year == i] - start
            index = self.module.decode(mean[:, i, 0], days)
            if self.n_seasons == 2:
                change = (parameters[:, i, 0, -1] + parameters[:, i, 1, 2]) / 2
                is_second = ~absent[:, i, 1:] & (days > change.unsqueeze(1))
                index = torch.where(is_second, self.module.decode(mean[:, i, 1], days), index)
            result[:, year == i] = index.masked_fill(absent[:, i, :1], torch.nan)
        return result

    def flags(self):
        """Compute the flags of the seasons.

        Returns
        -------
        flags : tensor of shape (n, n_years * n_seasons)
            Sums of the values of :data:`~sklearn_sits.phenology.quality.QUALITY_FLAGS`, except
            that of years without observation.
        """
        days, values, seen = self._series
        if self.n_seasons == 1:
            constant = square_of_constant(values, seen)
        else:
            constant = square_of_constant(self._windows.values, self._windows.whole)
        rows = [
            part.repeat_interleave(self.n_seasons, 0)
            for part in (constant, days, seen, self.is_double)
        ]
        flags = flag_seasons(self._fit, *rows, self.module)
        if self.n_seasons == 2:
            flags = flags & ~QUALITY_FLAGS["several_seasons"]
        flags = flags.reshape(self._is_absent.shape)
        flags = torch.where(self._is_absent, QUALITY_FLAGS["no_season"], flags)
        return torch.where(self._is_unobserved, QUALITY_FLAGS["not_observed"], flags)

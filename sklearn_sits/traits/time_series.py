"""Distributions of traits at every date of a series."""

import math
from functools import cached_property

import torch

from sklearn_sits.nn.time_prior import smooth
from sklearn_sits.traits.measurements import Correction
from sklearn_sits.vae.posterior import Posterior

__all__ = ["TIME_SCALES", "SeriesPosterior", "find_time_scale", "to_log"]

TIME_SCALES = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)  # days
# Share of the range of a trait below which a change is absolute, above which it is relative.
_OFFSET = 0.02


class SeriesPosterior(Posterior):
    """Distributions of traits that change smoothly, at all dates with and without a spectrum.

    The uncertainty of a trait grows with its value, as does its change from date to date.
    Therefore the logarithm of a trait takes a random walk, and is normal.

    Parameters
    ----------
    single : TraitPosterior
        Of the observed spectra, in the order of the series and their dates.
    dates : float64 tensor of shape (n_series, n_dates)
        Days, NaN in padding.
    seen : bool tensor of shape (n_series, n_dates)
        Dates of the spectra.
    time_scale : tensor of shape (n_traits,)
        Days in which a trait changes by about its standard deviation between canopies.

    Attributes
    ----------
    known : bool tensor of shape (n_series, n_dates)
        Dates of the distributions: those of series with a spectrum.
    """

    def __init__(self, single, dates, seen, time_scale):
        self.single, self.dates, self.seen, self.time_scale = single, dates, seen, time_scale
        self.known = ~dates.isnan() & seen.any(1, keepdim=True)
        self.low, self.high = single.low, single.high

    def __len__(self):
        return int(self.known.sum())

    def _smooth_logarithms(self, columns):
        """Return the means and standard deviations of the logarithms of some traits."""
        misfits = self.dates.new_full(self.dates.shape, torch.nan)
        misfits[self.seen] = self.single.misfit.to(self.dates)
        median = misfits.nanmedian(1, keepdim=True).values
        # The misfit that all dates share widens them alike; a cloud widens its own date only.
        share = (misfits / median)[self.seen]
        factor = share.unsqueeze(1) * self.single.width_factor(columns)
        time_scale = self.time_scale[columns]
        median = median.expand_as(self.dates)
        mean, std, _ = _smooth(
            self.single,
            self.dates,
            self.seen,
            factor,
            time_scale,
            columns,
            common_factor=median[self.seen].unsqueeze(1),
        )
        median = median[self.known].unsqueeze(1)
        return mean[self.known], std[self.known] * median

    @cached_property
    def _correction(self):
        """The correction by measurements, None if there is none."""
        single = self.single
        if not single.module.is_corrected:
            return None
        columns = list(range(len(self.low)))
        low, high = self.low.double(), self.high.double()
        mean = torch.lerp(low, high, _clamped_moments(*self._smooth_logarithms(columns))[0])
        geometry = self._nominal_geometry(mean)
        return Correction.find(single.module, single.decoder, mean, geometry, low, high)

    def _move(self, values, columns):
        return values if self._correction is None else self._correction.move(values, columns)

    def _nominal_geometry(self, like):
        # Only the shape of the canopy matters to traits of dates whose angles are not known.
        nominal = torch.tensor(self.single.decoder.nominal_geometry).to(like)
        return nominal.expand(len(like), len(nominal))

    def _to_units(self, logarithms, columns):
        latents = (logarithms.exp() - _OFFSET).clamp(0, 1)
        return torch.lerp(self.low.double()[columns], self.high.double()[columns], latents)

    def moments(self, columns):
        """See :class:`Posterior`."""
        mean, std = _clamped_moments(*self._smooth_logarithms(columns))
        low, high = (bound.double()[columns] for bound in (self.low, self.high))
        return self._move(torch.lerp(low, high, mean), columns), (high - low) * std

    def quantiles(self, levels, columns):
        """See :class:`Posterior`."""
        mean, std = self._smooth_logarithms(columns)
        values = self._to_units(mean + std * torch.special.ndtri(levels.to(mean)), columns)
        return self._move(values, columns)

    def draw(self, normal, columns):
        """See :class:`Posterior`. Each date has draws of its own."""
        decoder = self.single.decoder
        inputs = list(range(len(decoder.variables)))
        mean, std = (values.unsqueeze(1) for values in self._smooth_logarithms(inputs))
        factor = self.single.module.copula_factor.to(normal)
        # One product per date, whose rounding does not depend on the other dates.
        normal = torch.bmm(normal, factor.mT.expand(len(normal), *factor.shape))
        variables = self._to_units(mean + std * normal, inputs).transpose(0, 1)
        variables = self._move(variables, inputs).transpose(0, 1)
        geometry = self._find_geometry().unsqueeze(1)
        return self.single.compute_traits(variables, geometry, columns)

    def _find_geometry(self):
        """Return the angles of the spectrum that is nearest in time to each known date."""
        dates = self.dates.nan_to_num(0.0)
        distance = dates.unsqueeze(1) - dates.unsqueeze(2)
        # Of two at the same distance the earlier one, whatever the order of the dates.
        distance = distance.abs() + 1e-6 * (distance > 0)
        nearest = distance.masked_fill(~self.seen.unsqueeze(1), torch.inf).argmin(2)
        geometry = self.single.geometry.to(dates)
        at_dates = dates.new_zeros(*dates.shape, geometry.shape[1])
        at_dates[self.seen] = geometry
        series = torch.arange(len(dates), device=dates.device).unsqueeze(1)
        return at_dates[series, nearest][self.known]


def to_log(latents):
    """Return the logarithm that is normal in time.

    Parameters
    ----------
    latents : tensor
        Traits as shares of their range.

    Returns
    -------
    logarithm : tensor of the same shape
    """
    return torch.log(latents + _OFFSET)


def find_time_scale(single, dates, seen):
    """Find the time scale of each trait under which series are most likely.

    Parameters
    ----------
    single : TraitPosterior
        See :class:`SeriesPosterior`.
    dates, seen : tensor of shape (n_series, n_dates)
        See :class:`SeriesPosterior`.

    Returns
    -------
    time_scale : tensor of shape (n_traits,)
        Among `TIME_SCALES`.
    """
    columns = list(range(len(single.low)))
    factor = single.misfit.unsqueeze(1) * single.width_factor(columns)
    evidence = torch.stack(
        [_smooth(single, dates, seen, factor, value, columns)[2].sum(0) for value in TIME_SCALES]
    )
    return torch.tensor(TIME_SCALES, dtype=dates.dtype)[evidence.argmax(0).cpu()]


def _clamped_moments(log_mean, log_std):
    """Return mean and standard deviation of a log-normal share of a range, cut to [0, 1]."""
    low = (math.log(_OFFSET) - log_mean) / log_std
    high = (math.log1p(_OFFSET) - log_mean) / log_std

    def partial_moment(k):
        growth, shift = k * log_mean + 0.5 * (k * log_std).square(), k * log_std
        below, above = (torch.special.log_ndtr(bound - shift) for bound in (low, high))
        return torch.exp(growth + above) - torch.exp(growth + below)

    inside, first, second = (partial_moment(k) for k in range(3))
    at_one = torch.special.ndtr(-high)
    mean = first - _OFFSET * inside + at_one
    square = second - 2 * _OFFSET * first + _OFFSET**2 * inside + at_one
    return mean, (square - mean.square()).clamp_min(0.0).sqrt()


def _smooth(single, dates, seen, factor, time_scale, columns, common_factor=1.0):
    """Spread the distributions of spectra over the dates, and join their logarithms.

    The standard deviations are still to be multiplied by `common_factor`.
    """
    module = single.module
    latent_mean, latent_std = (values[:, columns].to(dates) for values in single.latent_moments)
    # The log-normal distributions with these moments.
    relative_std = latent_std * factor.to(dates) / (latent_mean + _OFFSET)
    variance = torch.log1p(relative_std.square())
    mean = dates.new_zeros(*dates.shape, len(columns))
    std = torch.full_like(mean, torch.inf)
    mean[seen], std[seen] = (
        # The mean is kept by the distribution that is as wide as it will be.
        to_log(latent_mean) - 0.5 * variance * common_factor**2,
        variance.sqrt(),
    )
    return smooth(
        # Any finite date does for padding, where nothing is seen.
        dates.nan_to_num(0.0),
        mean,
        std,
        rate=2 * module.log_std[columns].to(dates).square() / time_scale,
        error_correlation=module.error_correlation[columns].to(dates),
    )

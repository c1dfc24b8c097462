"""What an encoder says of traits at every date of a series."""

import torch

from sklearn_sits.nn.time_prior import smooth

__all__ = ["TIME_SCALES", "SeriesPosterior", "most_likely_time_scale", "to_log"]

TIME_SCALES = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)  # days
# Share of the range of a trait below which a change is absolute, above which it is relative.
_OFFSET = 0.02


class SeriesPosterior:
    """Distributions of traits that change smoothly, at all dates with and without a spectrum.

    The uncertainty of a trait grows with its value, as does its change from date to date. It is
    therefore the logarithm of a trait that takes a random walk, and is normal.

    Parameters
    ----------
    single : TraitPosterior
        Of the spectra that were seen, in the order of the series and their dates.
    dates : float64 tensor of shape (n_series, n_dates)
        Days, NaN in padding.
    seen : bool tensor of shape (n_series, n_dates)
        Dates of the spectra.
    time_scale : tensor of shape (n_traits,)
        Days in which a trait changes by what it varies.

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

    def _log(self, columns):
        """Return mean and standard deviation of the logarithms."""
        misfits = self.dates.new_full(self.dates.shape, torch.nan)
        misfits[self.seen] = self.single.misfit().to(self.dates)
        typical = misfits.nanmedian(1, keepdim=True).values
        # What a model cannot reproduce widens all dates alike; the clouds of one are its own.
        share = (misfits / typical)[self.seen]
        factor = share.unsqueeze(1) * (self.single.narrowed * self.single.widening)[:, columns]
        time_scale = self.time_scale[columns]
        mean, std, _ = _smooth(self.single, self.dates, self.seen, factor, time_scale, columns)
        typical = typical.expand_as(self.dates)[self.known].unsqueeze(1)
        return mean[self.known], std[self.known] * typical

    def _units(self, columns):
        return self.low[columns], (self.high - self.low)[columns]

    def mean(self, columns):
        """Return the means of some traits.

        Parameters
        ----------
        columns : list of int
            Their positions.

        Returns
        -------
        mean : tensor of shape (n_known, n_columns)
            In the units of the traits.
        """
        low, width = self._units(columns)
        return low + width * (self._log(columns)[0].exp() - _OFFSET).clamp(0, 1)

    def std(self, columns):
        """Return the standard deviations of some traits.

        Parameters
        ----------
        columns : list of int
            Their positions.

        Returns
        -------
        std : tensor of shape (n_known, n_columns)
        """
        _, width = self._units(columns)
        mean, std = self._log(columns)
        return width * (mean.exp() * std).clamp_max(0.5)

    def quantiles(self, levels, columns):
        """Return quantiles of some traits.

        Parameters
        ----------
        levels : tensor of shape (n_levels, 1, 1) or (n_levels, n_known, n_columns)
            Probabilities.
        columns : list of int
            Positions of the traits.

        Returns
        -------
        values : tensor of shape (n_levels, n_known, n_columns)
            Within the bounds.
        """
        low, width = self._units(columns)
        mean, std = self._log(columns)
        values = (mean + std * torch.special.ndtri(levels)).exp() - _OFFSET
        return low + width * values.clamp(0, 1)


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


def most_likely_time_scale(single, dates, seen):
    """Choose the time scale of each trait under which series are most likely.

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
    factor = single.misfit().unsqueeze(1) * single.narrowed * single.widening
    evidence = torch.stack(
        [_smooth(single, dates, seen, factor, value, columns)[2].sum(0) for value in TIME_SCALES]
    )
    return torch.tensor(TIME_SCALES, dtype=dates.dtype)[evidence.argmax(0).cpu()]


def _smooth(single, dates, seen, factor, time_scale, columns):
    """Spread the distributions of spectra over the dates, and join their logarithms."""
    module = single.module
    of = single.of(columns)
    width = of.high - of.low
    where = ((of.mean - of.low) / width).to(dates)
    mean = dates.new_zeros(*dates.shape, len(columns))
    std = torch.full_like(mean, torch.inf)
    mean[seen] = to_log(where)
    std[seen] = (of.stddev / width * factor).to(dates) / (where + _OFFSET)
    return smooth(
        # Any finite date does for padding, where nothing is seen.
        dates.nan_to_num(0.0),
        mean,
        std,
        rate=2 * module.spread[columns].to(dates).square() / time_scale,
        shared=module.shared[columns].to(dates),
    )

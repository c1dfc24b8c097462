"""Checks of series of a vegetation index, and their cut to a season."""

from numbers import Real

import numpy as np
from sklearn.utils import gen_batches

from sklearn_sits._warnings import warn_counted
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.physics import Prior
from sklearn_sits.physics.double_logistic import LAST_DAY, PHENOLOGY, PHENOLOGY_PRIORS
from sklearn_sits.series.content import first_index

__all__ = [
    "check_channel",
    "check_index",
    "check_priors",
    "check_start",
    "list_starts",
    "season_slots",
    "usable_series",
]

_FIRST_DAY = PHENOLOGY[2].low
_YEAR, _MEAN_YEAR = 365.0, 365.25
# No vegetation index is larger. Tables may hold anything that is not in another unit.
_LARGEST, _LARGEST_IN_TABLE = 10.0, 500.0
_AT_ONCE = 4096
# Bounds of the bounds of the priors.
_LIMITS = {
    "minimum": (-1.0, 1.0),
    "amplitude": (0.01, 2.0),
    "start_of_season": (_FIRST_DAY, LAST_DAY),
    "growth": (1.0, LAST_DAY - _FIRST_DAY),
    "plateau": (0.0, LAST_DAY - _FIRST_DAY),
    "decline": (1.0, LAST_DAY - _FIRST_DAY),
}


def check_channel(channel, n_channels):
    """Return the position of the vegetation index in the packed array.

    Parameters
    ----------
    channel : int
        Position on the last axis, negative from the end.
    n_channels : int
        Number of channels, date included.

    Returns
    -------
    channel : int

    Raises
    ------
    ValueError
        If it is out of range, or the date.
    """
    if not -n_channels < channel < n_channels or channel == 0:
        raise ValueError(
            f"channel={channel} is not in X, which has {n_channels} channels: expected 1 to "
            f"{n_channels - 1}, or -{n_channels - 1} to -1 (channel 0 is the date)."
        )
    return int(channel) % n_channels


def check_priors(priors):
    """Complete the distributions of the simulations.

    Parameters
    ----------
    priors : "wide" or mapping of str to Prior or (float, float)
        Uniform distributions, or their bounds, by the names of `PHENOLOGY_PRIORS`.

    Returns
    -------
    priors : dict of str to (float, float)
        Bounds of all parameters.

    Raises
    ------
    TypeError
        If an entry is neither a uniform `Prior` nor two bounds.
    ValueError
        If a name is unknown, or bounds are not two ascending numbers in range.
    """
    if isinstance(priors, str):
        return dict(PHENOLOGY_PRIORS)
    unknown = [name for name in priors if name not in PHENOLOGY_PRIORS]
    if unknown:
        raise ValueError(f"priors must name some of {list(PHENOLOGY_PRIORS)}, got {unknown}.")
    bounds = {name: _to_bounds(name, prior) for name, prior in priors.items()}
    return PHENOLOGY_PRIORS | bounds


def _to_bounds(name, prior):
    if isinstance(prior, Prior):
        if not np.isinf(prior.std):
            raise TypeError(f"priors must be uniform distributions, got {prior} for {name}.")
        prior = (prior.low, prior.high)
    low, high = _LIMITS[name]
    is_pair = isinstance(prior, tuple | list) and len(prior) == 2
    if not (
        is_pair
        and all(isinstance(bound, Real) for bound in prior)
        and low <= prior[0] < prior[1] <= high
    ):
        raise ValueError(
            f"priors must have two ascending bounds of {name} within {low:g} and {high:g}, "
            f"got {prior!r}."
        )
    return float(prior[0]), float(prior[1])


def list_starts(start, n_years):
    """Return the dates of day 0 of consecutive years.

    Parameters
    ----------
    start : float
        That of the first one.
    n_years : int
        Number of years.

    Returns
    -------
    starts : ndarray of shape (n_years,)
    """
    return start + np.round(_MEAN_YEAR * np.arange(n_years))


def season_slots(X, channel, starts, is_regular):
    """Return the parts of packed series that lie within seasons.

    Parameters
    ----------
    X : ndarray of shape (n, n_dates, n_channels)
        Packed array, checked.
    channel : int
        Position of the vegetation index.
    starts : ndarray of shape (n_years,)
        Dates of day 0 of the seasons.
    is_regular : bool
        Whether the dates in [0, 1] stand for a year.

    Returns
    -------
    days, values : float64 ndarray of shape (n * n_years, n_dates)
        Days of the season and vegetation index, zero where there is no observation. The years of
        a series are consecutive rows.
    seen : bool ndarray of shape (n * n_years, n_dates)
        Where there is one, and it can be a vegetation index.
    """
    # The difference of large dates in double precision.
    dates = X[:, None, :, 0] * np.float64(_YEAR if is_regular else 1.0)
    days = (dates - starts[:, None]).reshape(-1, X.shape[1])
    index = X[..., channel] if len(starts) == 1 else X[..., channel].repeat(len(starts), axis=0)
    with np.errstate(invalid="ignore"):
        in_season = (days >= _FIRST_DAY) & (days <= LAST_DAY)
        seen = in_season & (np.abs(index) <= _largest_index(is_regular))
    values = np.where(seen, index, 0.0)
    return np.where(seen, days, 0.0), values.astype(np.float64, copy=False), seen


def check_index(X, channel, is_regular, *, strict):
    """Check that a channel holds a vegetation index.

    Parameters
    ----------
    X, channel, is_regular
        See :func:`season_slots`.
    strict : bool
        Whether to refuse values that cannot be an index. Otherwise they count as not observed.

    Raises
    ------
    ValueError
        If `strict`, and some values are out of range.

    Warns
    -----
    DataQualityWarning
        If not `strict`, and some values are out of range.
    """
    limit = _largest_index(is_regular)
    n_values, largest, first = 0, 0.0, None
    for rows in gen_batches(len(X), _AT_ONCE):
        with np.errstate(invalid="ignore"):
            size = np.abs(X[rows, :, channel])
            is_out = size > limit
        if is_out.any():
            n_values += np.count_nonzero(is_out)
            largest = max(largest, float(size[is_out].max()))
            if first is None:
                first = rows.start + first_index(is_out)[0]
    if not n_values:
        return
    if strict:
        raise ValueError(
            f"X must hold a vegetation index, within about -1 and 1, in channel {channel}, found "
            f"{largest:g}. Divide integers by their scale, 10000 for many products, and write NaN "
            "where the index is not valid."
        )
    warn_counted(
        "{values} values of the vegetation index count as not observed, because it lies within "
        "about -1 and 1, and their magnitude is above {limit}.",
        DataQualityWarning,
        detail=f"The first one is in series {first}, the largest is {largest:g}.",
        values=n_values,
        limit=round(limit),
    )


def _largest_index(is_regular):
    return _LARGEST_IN_TABLE if is_regular else _LARGEST


def check_start(start, n_years, X, channel, is_regular):
    """Return the date of day 0 of the season.

    Parameters
    ----------
    start : float or None
        None is the first date with an observation.
    n_years : int
        Number of years.
    X, channel, is_regular
        See `season_slots`.

    Returns
    -------
    start : float

    Raises
    ------
    ValueError
        If the observations span more than these years, and `start` does not say which, or if
        there are several and X has no dates.
    """
    if is_regular and n_years > 1:
        raise ValueError(
            f"n_years={n_years} needs packed series with their dates, but X is 2-D, which stands "
            "for one year."
        )
    if start is not None:
        return float(start)
    if is_regular:
        return 0.0
    first, last = np.inf, -np.inf
    for rows in gen_batches(len(X), _AT_ONCE):
        days = X[rows, :, 0][~np.isnan(X[rows, :, channel])]
        first, last = min(first, days.min(initial=first)), max(last, days.max(initial=last))
    longest = list_starts(LAST_DAY, n_years)[-1]
    if last - first > longest:
        expected = "one season" if n_years == 1 else f"{n_years} years"
        raise ValueError(
            f"X has observations from day {first:g} to {last:g}, expected {expected} of at most "
            f"{longest:g} days. Tell by season_start where the year to look at starts, or the "
            "first of several, and by n_years how many there are."
        )
    return float(first) if np.isfinite(first) else 0.0


def usable_series(X, channel, starts, is_regular):
    """Find the series with an observation in a season.

    Parameters
    ----------
    X, channel, starts, is_regular
        See `season_slots`.

    Returns
    -------
    usable : bool ndarray of shape (n,)
    """
    blocks = gen_batches(len(X), _AT_ONCE)
    seen = [season_slots(X[rows], channel, starts, is_regular)[2].any(axis=1) for rows in blocks]
    return np.concatenate(seen).reshape(len(X), -1).any(axis=1)

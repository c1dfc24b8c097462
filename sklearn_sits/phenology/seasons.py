"""Checks of series of a vegetation index, and what of them belongs to a season."""

from numbers import Real

import numpy as np
from sklearn.utils import gen_batches

from sklearn_sits.physics.double_logistic import LAST_DAY, PHENOLOGY, PHENOLOGY_PRIORS

__all__ = ["check_channel", "check_priors", "check_start", "season_slots", "usable_series"]

_FIRST_DAY = PHENOLOGY[2].low
_YEAR = 365.0
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
    priors : mapping of str to (float, float) or None
        Bounds of uniform distributions, by the names of `PHENOLOGY_PRIORS`.

    Returns
    -------
    priors : dict of str to (float, float)

    Raises
    ------
    ValueError
        If a name is unknown, or bounds are not two ascending numbers in range.
    """
    priors = {} if priors is None else priors
    unknown = [name for name in priors if name not in PHENOLOGY_PRIORS]
    if unknown:
        raise ValueError(f"priors must name some of {list(PHENOLOGY_PRIORS)}, got {unknown}.")
    for name, bounds in priors.items():
        low, high = _LIMITS[name]
        pair = isinstance(bounds, tuple | list) and len(bounds) == 2
        if not (
            pair
            and all(isinstance(bound, Real) for bound in bounds)
            and low <= bounds[0] < bounds[1] <= high
        ):
            raise ValueError(
                f"priors must have two ascending bounds of {name} within {low:g} and {high:g}, "
                f"got {bounds!r}."
            )
    return PHENOLOGY_PRIORS | {name: tuple(map(float, pair)) for name, pair in priors.items()}


def season_slots(X, channel, start, regular):
    """Return the part of packed series that lies within the season.

    Parameters
    ----------
    X : ndarray of shape (n, n_dates, n_channels)
        Packed array, checked.
    channel : int
        Position of the vegetation index.
    start : float
        Date of day 0 of the season.
    regular : bool
        Whether the dates in [0, 1] stand for a year.

    Returns
    -------
    days, values : float64 ndarray of shape (n, n_dates)
        Days of the season and vegetation index, zero where there is no observation.
    seen : bool ndarray of shape (n, n_dates)
        Where there is one.

    Raises
    ------
    ValueError
        If the values are those of another unit.
    """
    # The difference of large dates in double precision.
    days = X[..., 0] * np.float64(_YEAR if regular else 1.0) - start
    with np.errstate(invalid="ignore"):
        seen = (days >= _FIRST_DAY) & (days <= LAST_DAY) & ~np.isnan(X[..., channel])
    values = np.where(seen, X[..., channel], 0.0)
    largest = max(values.max(initial=0), -values.min(initial=0))
    if largest > (_LARGEST_IN_TABLE if regular else _LARGEST):
        raise ValueError(
            f"X must hold a vegetation index, within about -1 and 1, in channel {channel}, found "
            f"{largest:g}: divide integers by their scale, 10000 for many products, and write NaN "
            "for what is not valid."
        )
    return np.where(seen, days, 0.0), values.astype(np.float64, copy=False), seen


def check_start(start, X, channel, regular):
    """Return the date of day 0 of the season.

    Parameters
    ----------
    start : float or None
        None is the first date with an observation.
    X, channel, regular
        As of `season_slots`.

    Returns
    -------
    start : float

    Raises
    ------
    ValueError
        If the observations span more than a season, and `start` does not say which.
    """
    if start is not None:
        return float(start)
    if regular:
        return 0.0
    first, last = np.inf, -np.inf
    for rows in gen_batches(len(X), _AT_ONCE):
        days = X[rows, :, 0][~np.isnan(X[rows, :, channel])]
        first, last = min(first, days.min(initial=first)), max(last, days.max(initial=last))
    if last - first > LAST_DAY:
        raise ValueError(
            f"X has observations from day {first:g} to {last:g}, expected one season of at most "
            f"{LAST_DAY:g} days. Cut it into seasons that start at the same day, or tell by "
            "season_start which one to look at."
        )
    return float(first) if np.isfinite(first) else 0.0


def usable_series(X, channel, start, regular):
    """Find the series with an observation in the season.

    Parameters
    ----------
    X, channel, start, regular
        As of `season_slots`.

    Returns
    -------
    usable : bool ndarray of shape (n,)
    """
    blocks = gen_batches(len(X), _AT_ONCE)
    seen = [season_slots(X[rows], channel, start, regular)[2].any(axis=1) for rows in blocks]
    return np.concatenate(seen)

"""Dates and values that the training data cover, and warnings about data that lie outside."""

import numpy as np

from sklearn_sits._warnings import is_collecting, warn_user
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.series.stored_array import row_blocks

__all__ = ["find_limits", "note_coverage", "warn_outside_coverage"]

_BLOCK_VALUES = 2**19
# Values so many times larger than those of the training data are errors of storage or of a
# division, and would overflow in a model.
_TOO_LARGE = 1e6
# Days that data may lie outside: half a day of time zones and acquisition hours.
_DATE_MARGIN = 1.0
# Share of the range of a channel by which a median may lie outside.
_VALUE_MARGIN = 0.1
# Ratio of magnitudes that only another unit explains.
_OTHER_SCALE = 30.0


def note_coverage(estimator, X, static_channels=(), *, rows=None, extend=False):
    """Record the dates and values of the training data, in one pass.

    Parameters
    ----------
    estimator : estimator instance
        Receives `date_range_`, the first and last date with an observation, and `value_range_` of
        shape (n_channels, 2), the lowest and highest value of each channel after the date; NaN
        where nothing is observed.
    X : ndarray or StoredArray of shape (n_series, n_dates, 1 + n_channels)
        Checked packed array.
    static_channels : sequence of int, default=()
        Channels that are not bands.
    rows : int ndarray, default=None
        Rows of X that are trained on, None for all.
    extend : bool, default=False
        Extend the ranges that these attributes hold already, as in a warm start.
    """
    n_dates, n_channels = X.shape[1:]
    bands = _find_bands(n_channels, static_channels)
    days = np.full(2, np.nan)
    low, high = np.full((2, n_dates * n_channels), np.nan)
    trained = np.ones(len(X), dtype=bool)
    if rows is not None:
        trained[:] = False
        trained[rows] = True
    for part in row_blocks(X, _BLOCK_VALUES // (n_dates * n_channels)):
        block = X[part] if trained[part].all() else X[part][trained[part]]
        if not len(block):
            continue
        days = _extend_date_range(days, block, bands)
        # Along rows: several times faster than along rows and dates at once.
        lines = block.reshape(len(block), -1)
        low = np.fmin(low, np.fmin.reduce(lines, axis=0))
        high = np.fmax(high, np.fmax.reduce(lines, axis=0))
    low = np.fmin.reduce(low.reshape(n_dates, n_channels), axis=0)[1:]
    high = np.fmax.reduce(high.reshape(n_dates, n_channels), axis=0)[1:]
    if extend:
        days = _join(days, estimator.date_range_)
        low = np.fmin(low, estimator.value_range_[:, 0])
        high = np.fmax(high, estimator.value_range_[:, 1])
    estimator.date_range_, estimator.value_range_ = days, np.stack([low, high], axis=1)


def find_limits(estimator, n_channels, dtype):
    """Find the largest magnitudes that an estimator can use.

    Parameters
    ----------
    estimator : estimator instance
        Estimator, with `date_range_` and `value_range_` if it knows its training data.
    n_channels : int
        Number of channels, date included.
    dtype : numpy.dtype
        Type of the data.

    Returns
    -------
    limits : ndarray of shape (n_channels,)
        A million times the largest magnitude of the channel in training, or the largest finite
        number if it is not known.
    """
    largest = np.full(n_channels, np.inf)
    days = getattr(estimator, "date_range_", None)
    if days is not None:
        largest[0] = np.abs(days).max()
    ranges = getattr(estimator, "value_range_", None)
    if ranges is not None:
        largest[1:] = np.abs(ranges).max(axis=1)
    # A channel without values, or of zeros only.
    largest[np.isnan(largest) | (largest == 0)] = 1.0
    with np.errstate(over="ignore"):
        return np.minimum(_TOO_LARGE * largest, np.finfo(dtype).max).astype(dtype)


def warn_outside_coverage(estimator, sample, static_channels=()):
    """Warn if data lie outside the dates and values that an estimator was fitted on.

    Parameters
    ----------
    estimator : estimator instance
        Fitted estimator, with `date_range_` and `value_range_` if it knows them.
    sample : ndarray of shape (n_sample, n_dates, 1 + n_channels)
        Some of the series to predict.
    static_channels : sequence of int, default=()
        Channels that are not bands; their values are not compared.

    Warns
    -----
    DataQualityWarning
        If most dates, or the median of a band, lie outside.
    """
    name = type(estimator).__name__
    bands = _find_bands(sample.shape[2], static_channels)
    slots = sample.reshape(-1, sample.shape[2])
    slots = slots[~np.isnan(slots[:, bands]).all(axis=1)]
    if not len(slots):
        return
    days = getattr(estimator, "date_range_", None)
    # Those of a map have been compared before.
    if days is not None and not np.isnan(days).any() and not is_collecting():
        _warn_about_dates(name, slots[:, 0], days)
    ranges = getattr(estimator, "value_range_", None)
    if ranges is not None:
        _warn_about_medians(name, slots, bands, ranges)


def _find_bands(n_channels, static_channels):
    static = np.array(static_channels, dtype=int) % n_channels
    return np.setdiff1d(np.arange(1, n_channels), static)


def _extend_date_range(days, block, bands):
    """Extend the first and last date so far, NaN if nothing was observed, by a block of series."""
    slots = block.reshape(-1, block.shape[2])
    dates = slots[:, 0]
    first, last = (np.inf, -np.inf) if np.isnan(days[0]) else days
    # Hardly any slot after the first block: the bands of the others need not be read.
    wider = np.flatnonzero((dates < first) | (dates > last))
    dates = dates[wider[~np.isnan(slots[wider][:, bands]).all(axis=1)]]
    if not dates.size:
        return days
    return np.array([min(first, float(dates.min())), max(last, float(dates.max()))])


def _join(days, previous):
    both = np.stack([days, previous])
    return np.array([np.fmin.reduce(both[:, 0]), np.fmax.reduce(both[:, 1])])


def _warn_about_dates(name, dates, days):
    outside = (dates < days[0] - _DATE_MARGIN) | (dates > days[1] + _DATE_MARGIN)
    share = outside.mean()
    if share <= 0.5:
        return
    warn_user(
        f"{share:.0%} of the dates in X lie outside of those that {name} was fitted on: days "
        f"{dates.min():g} to {dates.max():g}, fitted on days {days[0]:g} to {days[1]:g}. Count "
        "the dates from the origin of the training data; to apply a model to another year, move "
        "the origin by the difference between the years.",
        DataQualityWarning,
    )


def _warn_about_medians(name, slots, bands, ranges):
    ranges = ranges[bands - 1]
    low, high = ranges.T
    # Medians and margins of values near the largest number may be infinite.
    with np.errstate(over="ignore"):
        values = (slots[:, band] for band in bands)
        medians = np.array([_find_median(v[~np.isnan(v)]) for v in values])
        margin = _VALUE_MARGIN * np.maximum(high - low, np.finfo(np.float32).eps * np.abs(high))
        outside = (medians < low - margin) | (medians > high + margin)
    if not outside.any():
        return
    found = [
        f"channel {band} has the median {median:.4g}, in training {least:.4g} to {most:.4g}"
        for band, median, (least, most) in zip(
            bands[outside], medians[outside], ranges[outside], strict=True
        )
    ]
    more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
    warn_user(
        f"Values in X lie outside of those that {name} was fitted on: {'; '.join(found[:3])}"
        f"{more}. {_guess_cause(medians, ranges, outside)}",
        DataQualityWarning,
    )


def _find_median(values):
    return np.median(values) if values.size else np.nan


def _guess_cause(medians, ranges, outside):
    """Return a sentence on the likely cause of channels outside of the ranges."""
    largest = np.abs(ranges[outside]).max(axis=1)
    size = np.abs(medians[outside])
    if (size > _OTHER_SCALE * largest).all():
        return "Were integers not multiplied by their scale, as in the training data?"
    if (size * _OTHER_SCALE < largest).all():
        return "Was a scale applied that was not applied to the training data?"
    ordered = np.sort(medians)
    if (np.sort(ranges[:, 0]) <= ordered).all() and (ordered <= np.sort(ranges[:, 1])).all():
        return "Are the bands in another order than in the training data?"
    return "Was an offset forgotten, or are the bands in another order or unit?"

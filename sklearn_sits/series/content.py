"""The values of packed arrays: errors in training data, cleaning in data to predict."""

from typing import NamedTuple

import numpy as np

from sklearn_sits._warnings import warn_counted
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.series.stored_array import StoredArray, row_blocks

__all__ = ["check_content", "clean_content", "first_index", "warn_about_empty_series"]

# X is read in blocks of this size: a few MB of temporaries, whatever n_series is.
_BLOCK_BYTES = 2**21
# Series of which statistics are compared with the training data: one in this many, but not fewer
# and not more than these, nor more values.
_STEP, _MIN_SAMPLE, _MAX_SAMPLE, _MAX_SAMPLE_VALUES = 64, 256, 1024, 2**19
_COUNTS = ("values", "series", "infinite", "large", "undated")


class CleanContent(NamedTuple):
    """A packed array to predict, without values that cannot be used.

    Parameters
    ----------
    X : ndarray or StoredArray of shape (n_series, n_dates, 1 + n_channels)
        The input, or a copy if something had to be replaced by NaN.
    n_empty : int
        Number of series without an observation.
    sample : ndarray of shape (n_sample, n_dates, 1 + n_channels)
        Some of the series, spread evenly over X.
    """

    X: object
    n_empty: int
    sample: np.ndarray


class _CleanedArray(StoredArray):
    """Stored array whose rows are cleaned when they are read."""

    def __init__(self, stored, limits, static):
        super().__init__(stored.array)
        self._limits, self._static = limits, static

    def __getitem__(self, key):
        return _clean(super().__getitem__(key), self._limits, self._static)[0]


def check_content(X, static, name, static_name="static_channels"):
    """Check the values of a packed array, block by block.

    Parameters
    ----------
    X : ndarray or StoredArray of shape (n_series, n_dates, 1 + n_channels)
        Packed array.
    static : list of int
        Positive positions of the static channels.
    name : str
        Name of X in messages.
    static_name : str, default="static_channels"
        Name of the parameter that holds the static channels, for messages.

    Returns
    -------
    n_empty : int
        Number of series without an observation.

    Raises
    ------
    ValueError
        If a value is infinite, a static channel varies, or an observation has no date.
    """
    n_empty = 0
    for rows in _blocks(X):
        block = X[rows]
        if _has_larger(block, np.finfo(block.dtype).max):
            i, t, c = first_index(np.isinf(block))
            raise ValueError(
                f"Input {name} contains infinity or a value too large for {X.dtype}: series "
                f"{rows.start + i}, slot {t}, channel {c} (0 is the date). Use NaN for "
                "missing values."
            )
        _check_static(block, static, rows.start, name, static_name)
        observed, undated = _find_observed(block, static)
        if undated is not None:
            i, t, c = first_index(undated)
            none = np.isnan(block[i, :, 0]).all()
            where = "no date at all" if none else f"no date in slot {t}"
            raise ValueError(
                f"{name} has an observation without a date: series {rows.start + i} has a "
                f"value in channel {c} but {where}. A padding slot (NaN date) must be NaN "
                "in every band."
            )
        n_empty += _count_empty(observed)
    return n_empty


def clean_content(X, static, limits, static_name="static_channels"):
    """Replace values that cannot be used by NaN, block by block.

    Infinities, values beyond the limits and values without a date count as not observed; a slot
    with such a date is padding.

    Parameters
    ----------
    X : ndarray or StoredArray of shape (n_series, n_dates, 1 + n_channels)
        Packed array; not changed.
    static : list of int
        Positive positions of the static channels.
    limits : ndarray of shape (1 + n_channels,)
        Largest magnitude of each channel that can be used, in the type of X.
    static_name : str, default="static_channels"
        Name of the parameter that holds the static channels, for messages.

    Returns
    -------
    content : CleanContent

    Raises
    ------
    ValueError
        If a static channel varies.

    Warns
    -----
    DataQualityWarning
        If values were replaced.
    """
    step = _sample_step(X)
    cleaned, sample, n_empty = X, [], 0
    counts, first = np.zeros(len(_COUNTS), dtype=int), None
    for rows in _blocks(X):
        original = X[rows]
        block, observed, unusable, undated = _clean(original, limits, static)
        if block is not original:
            bad = (False if unusable is None else unusable) | (
                False if undated is None else undated
            )
            counts += _count_bad(original, bad, undated)
            if first is None:
                i, t, c = first_index(bad)
                first = f"series {rows.start + i}, slot {t}, channel {c} (0 is the date)"
            if isinstance(X, StoredArray):
                cleaned = _CleanedArray(X, limits, static)
            else:
                cleaned = X.copy() if cleaned is X else cleaned
                cleaned[rows] = block
        _check_static(block, static, rows.start, "X", static_name)
        n_empty += _count_empty(observed)
        sample.append(block[-rows.start % step :: step].copy())
    if first is not None:
        warn_counted(
            "{values} values in {series} of {total} series count as not observed: {infinite} are "
            "infinite, {large} are more than a million times as large as in the training data, "
            "{undated} have no date.",
            DataQualityWarning,
            detail=f"The first is in {first}.",
            total=len(X),
            **dict(zip(_COUNTS, counts.tolist(), strict=True)),
        )
    return CleanContent(cleaned, n_empty, np.concatenate(sample))


def warn_about_empty_series(n_empty, n_series):
    """Warn if there are series without an observation.

    Parameters
    ----------
    n_empty : int
        Their number.
    n_series : int
        Number of all series.

    Warns
    -----
    UserWarning
        If there are any.
    """
    if n_empty:
        text = "{empty} of {total} series have no valid observation."
        warn_counted(text, UserWarning, empty=n_empty, total=n_series)


def first_index(bad):
    """Find the first True of an array.

    Parameters
    ----------
    bad : bool ndarray
        Array with at least one True.

    Returns
    -------
    index : tuple of int
    """
    return tuple(int(i) for i in np.unravel_index(bad.argmax(), bad.shape))


def _blocks(X):
    return row_blocks(X, _BLOCK_BYTES // (X.dtype.itemsize * X.shape[1] * X.shape[2]))


def _sample_step(X):
    """Return the distance between the series of the sample."""
    n = int(np.clip(len(X) // _STEP, _MIN_SAMPLE, _MAX_SAMPLE))
    return max(1, len(X) // max(1, min(n, _MAX_SAMPLE_VALUES // (X.shape[1] * X.shape[2]))))


def _count_bad(block, bad, undated):
    """Return the numbers that `_COUNTS` names."""
    n_values = np.count_nonzero(bad)
    n_series = np.count_nonzero(bad.any(axis=(1, 2)))
    n_infinite = np.count_nonzero(np.isinf(block))
    n_undated = 0 if undated is None else np.count_nonzero(undated)
    return np.array([n_values, n_series, n_infinite, n_values - n_infinite - n_undated, n_undated])


def _has_larger(block, limit):
    """Tell whether a magnitude is above one limit, several times faster than by a mask."""
    high, low = np.fmax.reduce(block, axis=None), np.fmin.reduce(block, axis=None)
    return high > limit or low < -limit


def _has_beyond(block, limits):
    """Tell whether a magnitude is above the limit of its channel."""
    lines = block.reshape(len(block), -1)
    high = np.fmax(np.fmax.reduce(lines, axis=0), -np.fmin.reduce(lines, axis=0))
    return (high.reshape(-1, len(limits)) > limits).any()


def _clean(block, limits, static):
    """Return a block without unusable values, those beyond the limits and those without a date.

    Parameters
    ----------
    block : ndarray of shape (n, n_dates, 1 + n_channels)
        Some rows; not changed.
    limits, static
        See :func:`clean_content`.

    Returns
    -------
    block : ndarray of the same shape
        A copy if values were replaced.
    observed : bool ndarray of the same shape
        Values of bands that are left.
    unusable, undated : bool ndarray of the same shape, or None
        Values beyond the limits, and other values that have no date; None if there are none.
    """
    unusable = None
    if _has_larger(block, limits.min()) and _has_beyond(block, limits):
        unusable = np.abs(block) > limits
        block = np.where(unusable, block.dtype.type(np.nan), block)
    observed, undated = _find_observed(block, static)
    if undated is not None:
        block = np.where(undated, block.dtype.type(np.nan), block)
        observed &= ~undated
    return block, observed, unusable, undated


def _find_observed(block, static):
    """Return where bands are observed, and where they are without a date (None if nowhere)."""
    observed = ~np.isnan(block)
    padding = ~observed[..., 0]
    observed[..., static] = False
    observed[..., 0] = False
    if padding.any():
        undated = observed & padding[..., None]
        if undated.any():
            return observed, undated
    return observed, None


def _count_empty(observed):
    return np.count_nonzero(~observed.reshape(len(observed), -1).any(axis=1))


def _check_static(block, static, start, name, static_name):
    """Check that the static channels of a block of rows, the first of which is `start`, are so."""
    if not static:
        return
    values = block[..., static]
    # The fmin and fmax of NaN and a number is the number.
    bad = np.fmax.reduce(values, axis=1) > np.fmin.reduce(values, axis=1)
    if bad.any():
        i, k = first_index(bad)
        raise ValueError(
            f"{static_name}: channel {static[k]} of {name} must be constant within "
            f"each series, it varies in series {start + i}."
        )

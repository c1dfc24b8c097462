"""The packed array: one float array with the dates, bands and gaps of many series.

A packed array ``X`` has shape ``(n_series, n_dates, 1 + n_channels)``. Channel 0 is the
acquisition date in days since an origin, the other channels are bands. NaN in a band means
"not observed", NaN in the date means "padding". Slots may come in any order. A plain 2-D
array ``(n_series, n_dates)`` stands for univariate series on a regular grid of dates in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import Origin
from sklearn_sits.series.checks import check_numeric, split_sits
from sklearn_sits.series.content import check_content, first_index
from sklearn_sits.series.dates import to_days
from sklearn_sits.series.table_mask import find_invalid_rows, list_valid_columns

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["pack", "pack_frame", "unpack"]


@set_module("sklearn_sits")
def pack(
    values: ArrayLike,
    dates: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    static: ArrayLike | None = None,
    origin: Origin = None,
    dtype: DTypeLike = np.float32,
) -> np.ndarray:
    """Pack values and dates into one array.

    Parameters
    ----------
    values : array-like of shape (n_series, n_dates, n_bands) or (n_series, n_dates), or \
list of array-likes of shape (n_dates_i, n_bands) or (n_dates_i,)
        Observations. A list or tuple holds one series per item, of any length; the shorter
        ones are padded. Without the last axis there is one band. NaN means not observed.
    dates : array-like of shape (n_dates,) or (n_series, n_dates), or list of array-likes of \
shape (n_dates_i,)
        Acquisition dates, shared by all series or one row per series. Numbers are days, at most
        200,000 before or after day 0, and are not changed. datetime64, `datetime` and `date`
        are converted to days since `origin`. NaN and NaT mark padding slots.
    mask : bool array-like of shape (n_series, n_dates) or (n_series, n_dates, n_bands), or \
list of the same without the first axis, default=None
        True where observed. Values where it is False are ignored; values where it is True must
        be finite. None: all values that are not NaN are observed.
    static : array-like of shape (n_series, n_static), default=None
        Constant channels such as the position or the elevation, appended after the bands on
        every slot that has a date.
    origin : str, date, datetime or datetime64, default=None
        Day 0 of datetime dates; None is 1970-01-01. An ISO 8601 string is accepted.
    dtype : {np.float32, np.float64}, default=np.float32
        Type of the result.

    Returns
    -------
    X : ndarray of shape (n_series, n_dates, 1 + n_bands + n_static)
        The packed array, dates in days in channel 0.

    Raises
    ------
    ValueError
        If shapes disagree, a value is infinite, a value marked observed is NaN, an observed
        value has no date, dates are numbers that cannot be days, such as milliseconds, or
        `origin` is given with numeric dates.
    TypeError
        If `values` is not numeric, `mask` is not boolean, or `dates` are text or have a time
        zone.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sits import pack
    >>> ndvi = [[0.2, 0.5, 0.8], [0.3, 0.4]]
    >>> dates = [np.array(["2020-01-01", "2020-01-06", "2020-01-11"], dtype="datetime64[D]"),
    ...          np.array(["2020-01-03", "2020-01-08"], dtype="datetime64[D]")]
    >>> X = pack(ndvi, dates, origin="2020-01-01")
    >>> X.shape
    (2, 3, 2)
    >>> X[1, :, 0]
    array([ 2.,  7., nan], dtype=float32)
    """
    dtype = _check_dtype(dtype)
    is_list = isinstance(values, list | tuple)
    if is_list:
        values = [_check_series(one, f"values[{i}]", 1) for i, one in enumerate(values)]
        lengths = np.array([len(one) for one in values])
        widths = {one.shape[1] for one in values}
        if len(widths) > 1:
            raise ValueError(
                f"All series in values must have the same number of bands, got {sorted(widths)}."
            )
        n, n_dates, n_bands = len(values), max(lengths, default=0), max(widths, default=0)
    else:
        values = _check_series(values, "values", 2)
        n, n_dates, n_bands = values.shape
        lengths = None
    if 0 in (n, n_dates, n_bands):
        raise ValueError(
            "values must hold at least one series, one date and one band, got "
            f"{n} series, {n_dates} dates and {n_bands} bands."
        )
    days = _pack_dates(dates, origin, n, n_dates, lengths)
    if mask is not None:
        mask = _pack_mask(mask, n, n_dates, n_bands, lengths)
    static = np.empty((n, 0)) if static is None else check_numeric(static, "static")
    if static.ndim != 2 or len(static) != n or not np.isfinite(static).all():
        raise ValueError(f"static must be finite, of shape ({n}, n_static), got {static.shape}.")

    X = np.full((n, n_dates, 1 + n_bands + static.shape[1]), np.nan, dtype=dtype)
    bands = X[..., 1 : 1 + n_bands]
    X[..., 0] = days
    # A value beyond the range of float32 becomes infinite and is reported below.
    with np.errstate(over="ignore"):
        if is_list:
            for row, one in zip(bands, values, strict=True):
                row[: len(one)] = one
        else:
            bands[...] = values
    if mask is not None:
        bad = np.isnan(bands) & mask
        if bad.any():
            raise ValueError(
                f"values{first_index(bad)} is marked observed but NaN. mask must be False where "
                "values is NaN."
            )
        np.copyto(bands, np.nan, where=~mask)
    X[..., 1 + n_bands :] = static[:, None, :]
    X[..., 1 + n_bands :][np.isnan(X[..., 0])] = np.nan
    check_content(X, list(range(1 + n_bands, X.shape[2])), "values")
    return X


@set_module("sklearn_sits")
def pack_frame(
    frame: pd.DataFrame,
    *,
    id: str,
    date: str,
    bands: Sequence[str],
    valid: str | ArrayLike | Mapping[str, Sequence[str]] | None = None,
    static: Sequence[str] | None = None,
    origin: Origin = None,
    dtype: DTypeLike = np.float32,
) -> tuple[np.ndarray, pd.Index]:
    """Pack a long table with one row per series and date.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per acquisition of a series, in any order. Two rows of a series may share a
        date.
    id, date : str
        Columns of the series identifier and of the date. Dates are datetimes or days.
    bands : list of str
        Columns of the bands. NaN means not observed.
    valid : str, array-like of shape (n_rows,) or dict of str to list of str, default=None
        Column or array that is True or 1 where the row is observed, False or 0 where it is not.
        Where it is True, a band may still be NaN. A dict gives the bands to which each column
        applies: with optical and radar bands in one row, ``{"clear": ["B4", "B8"]}`` keeps the
        radar of cloudy dates. It may be missing where none of its bands has a value.
    static : list of str, default=None
        Columns that are constant for each series, appended after the bands.
    origin, dtype
        See :func:`pack`.

    Returns
    -------
    X : ndarray of shape (n_series, n_dates, 1 + n_bands + n_static)
        The packed array, series in order of first appearance, dates in days in channel 0.
    ids : pandas.Index of shape (n_series,)
        Identifier of each row of X: ``labels.loc[ids]`` gives labels in the order of X.

    Raises
    ------
    ValueError
        If the table is empty, a column is missing, an identifier, a date or a flag of `valid` is
        missing, dates are numbers that cannot be days, a static column varies or is NaN within a
        series, or a value is infinite.
    TypeError
        If `frame` is not a pandas DataFrame, a band is not numeric, `valid` is neither boolean
        nor 0 and 1, or dates are text or have a time zone.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sits import pack_frame
    >>> table = pd.DataFrame({
    ...     "field": ["a", "a", "b"],
    ...     "date": pd.to_datetime(["2024-05-01", "2024-05-11", "2024-05-01"]),
    ...     "ndvi": [0.3, 0.9, 0.5],
    ...     "clear": [1, 0, 1],
    ... })
    >>> X, ids = pack_frame(
    ...     table, id="field", date="date", bands=["ndvi"], valid="clear", origin="2024-01-01"
    ... )
    >>> X.shape, list(ids)
    ((2, 2, 2), ['a', 'b'])
    >>> X[0]
    array([[121. ,   0.3],
           [131. ,   nan]], dtype=float32)
    """
    import pandas as pd

    dtype = _check_dtype(dtype)
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(
            f"frame must be a pandas DataFrame, got {type(frame).__name__}. Other tables "
            "usually have a to_pandas method."
        )
    bands = [bands] if isinstance(bands, str) else list(bands)
    static = [static] if isinstance(static, str) else list(static or [])
    needed = [id, date, *bands, *static, *list_valid_columns(valid, bands)]
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise ValueError(f"frame has no column {missing}; its columns are {list(frame.columns)}.")
    if not bands or not len(frame):
        raise ValueError(f"Expected rows and bands, got {len(frame)} rows and bands={bands}.")
    for name in [*bands, *static]:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise TypeError(f"Column {name!r} must be numeric, got dtype {frame[name].dtype}.")
    codes, ids = pd.factorize(frame[id])
    if (codes < 0).any():
        raise ValueError(f"Column {id!r} (id) has {(codes < 0).sum()} missing values.")
    ids = pd.Index(ids, name=id)
    days = to_days(frame[date].to_numpy(), origin)
    if np.isnan(days).any():
        raise ValueError(f"Column {date!r} (date) has {np.isnan(days).sum()} missing dates.")

    grouped = frame[static].groupby(codes)
    slots = grouped.cumcount().to_numpy()
    varying = grouped.nunique().to_numpy() != 1
    if varying.any() or frame[static].isna().to_numpy().any():
        bad = [name for name, one in zip(static, varying.T, strict=True) if one.any()] or static
        raise ValueError(f"Columns {bad} (static) must be constant for each {id!r}, without NaN.")

    X = np.full((len(ids), slots.max() + 1, 1 + len(bands) + len(static)), np.nan, dtype=dtype)
    X[codes, slots, 0] = days
    with np.errstate(over="ignore"):
        for channel, name in enumerate([*bands, *static], start=1):
            X[codes, slots, channel] = frame[name].to_numpy(np.float64, na_value=np.nan)
    if valid is not None:
        for name, rows in find_invalid_rows(frame, valid, bands).items():
            X[codes[rows], slots[rows], 1 + bands.index(name)] = np.nan
    check_content(X, list(range(1 + len(bands), X.shape[2])), "frame")
    return X, ids


@set_module("sklearn_sits")
def unpack(X: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split a packed array into values, dates and mask.

    Parameters
    ----------
    X : array-like of shape (n_series, n_dates, 1 + n_channels)
        Packed array.

    Returns
    -------
    values : ndarray of shape (n_series, n_dates, n_channels)
        Bands and static channels, 0 where not observed.
    dates : ndarray of shape (n_series, n_dates)
        Days, NaN on padding slots.
    mask : bool ndarray of shape (n_series, n_dates, n_channels)
        True where observed.

    Raises
    ------
    ValueError
        If X is not 3-D or has no channel besides the date.

    Examples
    --------
    >>> from sklearn_sits import pack, unpack
    >>> values, dates, mask = unpack(pack([[0.2, 0.5], [0.3]], [[0, 10], [4]]))
    >>> values[..., 0]
    array([[0.2, 0.5],
           [0.3, 0. ]], dtype=float32)
    >>> dates
    array([[ 0., 10.],
           [ 4., nan]], dtype=float32)
    >>> mask[..., 0]
    array([[ True,  True],
           [ True, False]])
    """
    X = np.asarray(X)
    if X.ndim != 3 or X.shape[2] < 2:
        raise ValueError(
            "X must be a packed array of shape (n_series, n_dates, 1 + n_channels), got shape "
            f"{X.shape}."
        )
    dates, bands, _ = split_sits(X)
    mask = ~np.isnan(bands)
    return np.where(mask, bands, 0), dates.copy(), mask


def _check_dtype(dtype):
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {dtype}.")
    return dtype


def _check_series(values, name, n_axes):
    """Return values with a band axis after `n_axes` axes."""
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array. Give values.data and mask=~values.mask.")
    values = np.asarray(values)
    if values.dtype.kind not in "fiu":
        raise TypeError(
            f"{name} must be real numbers, got dtype {values.dtype}. Give series of unequal "
            "length as a list of arrays."
        )
    if values.ndim == n_axes:
        values = values[..., None]
    if values.ndim != n_axes + 1:
        axes = ["n_series", "n_dates", "n_bands"][-1 - n_axes :]
        raise ValueError(
            f"{name} has shape {values.shape}, expected ({', '.join(axes)}), or without n_bands."
        )
    return values


def _pack_dates(dates, origin, n, n_dates, lengths):
    """Return days of shape (n_dates,) or (n, n_dates)."""
    per_series = isinstance(dates, list | tuple) and len(dates) and np.ndim(dates[0]) > 0
    if not per_series:
        days = to_days(np.asarray(dates), origin)
        if days.shape not in ((n_dates,), (n, n_dates)):
            raise ValueError(
                f"dates has shape {days.shape}, expected {(n_dates,)} or {(n, n_dates)}, or a "
                "list with one array per series."
            )
        if lengths is not None and (lengths != n_dates).any():
            raise ValueError(
                "dates must be a list with one array per series, as the series in values have "
                f"between {min(lengths)} and {n_dates} dates."
            )
        return days
    parts = [np.asarray(part) for part in dates]
    sizes = np.array([part.size for part in parts])
    if len(parts) != n or any(part.ndim != 1 for part in parts):
        raise ValueError(
            f"dates must be {n} one-dimensional arrays, one per series, got {len(parts)} arrays "
            f"of {sorted({part.ndim for part in parts})} dimensions."
        )
    bad = sizes > n_dates if lengths is None else sizes != lengths
    if bad.any():
        i = bad.argmax()
        expected = f"at most {n_dates}" if lengths is None else lengths[i]
        raise ValueError(f"dates[{i}] has {sizes[i]} dates, expected {expected} as in values.")
    kinds = {part.dtype.kind for part in parts if part.size}
    if len(kinds) > 1 and not kinds <= set("fiu"):
        raise TypeError("dates mixes numbers and datetimes, or types of datetimes.")
    days = np.full((n, n_dates), np.nan)
    # An empty list is float64 to numpy and cannot be joined with datetimes.
    filled = [part for part in parts if part.size]
    if filled:
        days[np.arange(n_dates) < sizes[:, None]] = to_days(np.concatenate(filled), origin)
    return days


def _pack_mask(mask, n, n_dates, n_bands, lengths):
    """Return a mask of shape (n, n_dates, 1 or n_bands)."""
    if lengths is None:
        return _check_mask(mask, "mask", (n, n_dates), n_bands)
    if len(mask) != n:
        raise ValueError(f"mask has {len(mask)} series, values has {n}.")
    padded = np.zeros((n, n_dates, n_bands), dtype=bool)
    for i in np.flatnonzero(lengths):
        padded[i, : lengths[i]] = _check_mask(mask[i], f"mask[{i}]", (lengths[i],), n_bands)
    return padded


def _check_mask(mask, name, shape, n_bands):
    """Return a boolean mask with a last axis of 1 or n_bands."""
    mask = np.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(
            f"{name} must be boolean (True = observed), got dtype {mask.dtype}. Convert 0 and 1 "
            "with np.asarray(mask, dtype=bool)."
        )
    shape = tuple(map(int, shape))
    if mask.shape not in (shape, (*shape, n_bands)):
        raise ValueError(f"{name} has shape {mask.shape}, expected {shape} or {(*shape, n_bands)}.")
    return mask[..., None] if mask.shape == shape else mask

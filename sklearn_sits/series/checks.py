"""Checks of the input of estimators, and the parts of a packed array."""

import numbers
from collections.abc import Mapping, Set

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_array, validate_data

from sklearn_sits.series.content import check_content, clean_content, warn_about_empty_series
from sklearn_sits.series.coverage import find_limits, warn_outside_coverage
from sklearn_sits.series.stored_array import StoredArray

__all__ = [
    "check_numeric",
    "check_sits",
    "check_static_channels",
    "split_channels",
    "split_sits",
]


def check_sits(
    estimator, X, *, reset, strict=None, static_channels=(), static_name="static_channels"
):
    """Validate the input of an estimator and return it packed.

    Training data must be free of errors. In data to predict, wrong values count as not observed,
    so that one bad pixel does not stop a map.

    Parameters
    ----------
    estimator : estimator instance
        Receives `n_features_in_` (and `feature_names_in_` for tables) when `reset` is True.
    X : array-like of shape (n_series, n_dates, 1 + n_channels) or (n_series, n_dates)
        Packed array, or univariate series on a regular grid of dates in [0, 1]. A 3-D float32 or
        float64 array, memory-mapped or not, and a StoredArray are not copied.
    reset : bool
        True in `fit`, False in the other methods, which compare X with that of `fit`.
        `n_dates` of a packed array may differ.
    strict : bool, default=None
        True for training data, for which wrong values are errors. False for data to predict: they
        count as not observed. None is the value of `reset`; a warm start needs True.
    static_channels : sequence of int, default=()
        Channels that are constant within each series, as positions on the last axis of the
        packed array.
    static_name : str, default="static_channels"
        Name of the parameter that holds `static_channels`, for messages.

    Returns
    -------
    X : ndarray or StoredArray of shape (n_series, n_dates, 1 + n_channels)
        float32 or float64. A copy if wrong values were replaced by NaN; those of a stored array
        are replaced each time rows are read.

    Raises
    ------
    ValueError
        If X has a wrong shape, does not match that of `fit`, or if the static channels are out
        of range or not constant. If `strict`, also if a value is infinite or an observation has
        no date.
    TypeError
        If X is sparse or a masked array, or a static channel is not an integer.

    Warns
    -----
    UserWarning
        If some series have no valid observation.
    DataQualityWarning
        If not `strict`: if values count as not observed because they are infinite, more than a
        million times as large as in training, or have no date; if most dates lie outside of
        `date_range_`, or the median of a band outside of `value_range_` of the estimator.
    """
    strict = reset if strict is None else strict
    n_dims = None if reset else getattr(estimator, "_n_dims_in", None)
    # A sparse matrix is 2-D; validate_data refuses it with the usual message.
    stored = isinstance(X, StoredArray)
    array = X if stored else None if issparse(X) else check_numeric(X, "X")
    if array is not None and array.ndim > 3:
        raise ValueError(
            f"X has {array.ndim} dimensions, shape {array.shape}. Expected "
            "(n_series, n_dates, 1 + n_channels) or (n_series, n_dates)."
        )
    if array is not None and array.ndim > 1 and n_dims not in (None, array.ndim):
        raise ValueError(
            f"X is {array.ndim}-D, but {type(estimator).__name__} was fitted on a {n_dims}-D "
            "array. Packed arrays are 3-D (n_series, n_dates, 1 + n_channels), univariate "
            "series on a regular grid are 2-D (n_series, n_dates)."
        )
    dtypes = [np.float64, np.float32]
    if array is None or array.ndim == 2:
        finite = "allow-nan" if strict else False
        X = validate_data(estimator, X, reset=reset, dtype=dtypes, ensure_all_finite=finite)
        packed = np.empty((*X.shape, 2), dtype=X.dtype)
        packed[..., 0] = np.linspace(0, 1, X.shape[1])
        packed[..., 1] = X
    else:
        packed = array
        if not stored:
            # 0-D and 1-D arrays end here too, with the usual "Reshape your data".
            options = {"dtype": dtypes, "input_name": "X", "estimator": estimator}
            packed = check_array(array, allow_nd=True, ensure_all_finite=False, **options)
        _check_shape(estimator, packed, reset)
    static = check_static_channels(static_channels, packed.shape[2], static_name)
    if strict:
        n_empty = check_content(packed, static, "X", static_name)
    else:
        limits = find_limits(estimator, packed.shape[2], packed.dtype)
        packed, n_empty, sample = clean_content(packed, static, limits, static_name)
        warn_outside_coverage(estimator, sample, static)
    if reset:
        estimator._n_dims_in = array.ndim
    warn_about_empty_series(n_empty, len(packed))
    return packed


def split_sits(X, static_channels=()):
    """Split a checked packed array into dates, bands and static values.

    Parameters
    ----------
    X : ndarray of shape (n_series, n_dates, 1 + n_channels)
        Packed array, as returned by :func:`check_sits`.
    static_channels : sequence of int, default=()
        Positions of the static channels on the last axis of X.

    Returns
    -------
    dates : ndarray of shape (n_series, n_dates)
        Days; a view of X.
    bands : ndarray of shape (n_series, n_dates, n_bands)
        The other channels, in order; a view of X if they are neighbours.
    static : ndarray of shape (n_series, n_static)
        One value per series, in the order of `static_channels`; NaN if the series has none.
    """
    bands, static = split_channels(X.shape[2], static_channels)
    return X[..., 0], X[..., bands], np.fmin.reduce(X[..., static], axis=1)


def split_channels(n_channels, static_channels=()):
    """Find the bands and the static channels.

    Parameters
    ----------
    n_channels : int
        Length of the last axis of a packed array.
    static_channels : sequence of int, default=()
        Positions of the static channels on it.

    Returns
    -------
    bands : slice or list of int
        The other channels without the date, in order; a slice if they are neighbours.
    static : list of int
        Positive positions of `static_channels`, in their order.
    """
    static = [channel % n_channels for channel in static_channels]
    bands = [channel for channel in range(1, n_channels) if channel not in static]
    if bands[-1] - bands[0] < len(bands):
        return slice(bands[0], bands[-1] + 1), static
    return bands, static


def _check_shape(estimator, X, reset):
    """Set or compare the number of channels; validate_data would compare n_dates."""
    n, n_dates, n_channels = X.shape
    name = type(estimator).__name__
    if n_dates == 0 or n_channels < 2:
        raise ValueError(
            f"X has {n_dates} dates and {n_channels} channels (date included), shape {X.shape}. "
            f"{name} expects at least one date, and one channel after the date."
        )
    if reset:
        estimator.n_features_in_ = n_channels
        if hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    elif n_channels != estimator.n_features_in_:
        raise ValueError(
            f"X has {n_channels} channels (date included), but {name} is expecting "
            f"{estimator.n_features_in_} channels as input."
        )


def check_static_channels(static_channels, n_channels, name):
    """Check the positions of static channels.

    Parameters
    ----------
    static_channels : sequence of int
        Positions on the last axis of a packed array.
    n_channels : int
        Length of this axis.
    name : str
        Name of the argument in messages.

    Returns
    -------
    static : list of int
        Positive positions.

    Raises
    ------
    TypeError
        If they are no sequence of integers.
    ValueError
        If one is the date, out of range or given twice, or no band is left.
    """
    if isinstance(static_channels, Mapping | Set):
        raise TypeError(f"{name} must be a sequence of integers, got {static_channels!r}.")
    channels = list(static_channels)
    for channel in channels:
        if not isinstance(channel, numbers.Integral) or isinstance(channel, bool):
            raise TypeError(f"{name} must hold integers, got {channel!r}.")
        if not -n_channels <= channel < n_channels or channel % n_channels == 0:
            raise ValueError(
                f"{name} contains {channel}, but X has {n_channels} channels: expected 1 to "
                f"{n_channels - 1}, or -{n_channels - 1} to -1 (channel 0 is the date)."
            )
    static = [int(channel) % n_channels for channel in channels]
    if len(set(static)) < len(static):
        raise ValueError(f"{name} names a channel of X twice: {channels}.")
    if len(static) > n_channels - 2:
        raise ValueError(
            f"{name}={channels} leaves no band in X, which has {n_channels} channels "
            "(date included)."
        )
    return static


def check_numeric(array, name):
    """Check that an array holds numbers.

    Parameters
    ----------
    array : array-like
        Input of a user.
    name : str
        Its name in messages.

    Returns
    -------
    array : ndarray
        Objects are converted to float64, except those of a table.

    Raises
    ------
    TypeError
        If it is a masked array, or holds objects that are not numbers.
    ValueError
        If it is not rectangular, or holds text, dates or records.
    """
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, whose mask would be lost. Write NaN where masked: "
            f"{name}.filled(np.nan)."
        )
    is_table = hasattr(array, "columns")
    try:
        array = np.asarray(array)
    except ValueError as error:
        raise ValueError(
            f"{name} is not a rectangular array ({error}). sklearn_sits.pack pads series of "
            "unequal length."
        ) from error
    # A cast would read the string "1.5" as a number and a date as a count of its unit.
    text = array.dtype.kind in "USMmT" or (
        array.dtype == object and any(isinstance(item, str | bytes) for item in array.flat)
    )
    if text:
        raise ValueError(
            f"{name} must be numeric, got dtype {array.dtype} with text or dates. Convert it to "
            "float explicitly."
        )
    if array.dtype.kind == "V":
        raise ValueError(f"{name} must be numeric, got records of dtype {array.dtype}.")
    # scikit-learn converts tables, whose missing values may be objects.
    if array.dtype == object and not is_table:
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name} must be numeric: {error}") from error
    return array

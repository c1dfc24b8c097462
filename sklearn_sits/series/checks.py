"""Packed arrays as estimators see them: checked, and split into their parts."""

import numbers
import warnings

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_array, validate_data

from sklearn_sits.series.stored_array import StoredArray, row_blocks

__all__ = [
    "check_content",
    "check_numeric",
    "check_sits",
    "first_index",
    "split_channels",
    "split_sits",
]

# Content checks read X in blocks of this size: a few MB of temporaries whatever n_series is.
_BLOCK_BYTES = 2**21


def check_sits(estimator, X, *, reset, static_channels=(), static_name="static_channels"):
    """Validate the input of an estimator and return it packed.

    Parameters
    ----------
    estimator : estimator instance
        Receives `n_features_in_` (and `feature_names_in_` for tables) when `reset` is True.
    X : array-like of shape (n_series, n_dates, 1 + n_channels) or (n_series, n_dates)
        Packed array, or univariate series on a regular grid of dates in [0, 1]. Not copied
        when it is a 3-D float32 or float64 array, memory-mapped or not, or a StoredArray.
    reset : bool
        True in `fit`, False in the other methods, which compare X with what `fit` saw.
        `n_dates` of a packed array may differ.
    static_channels : sequence of int, default=()
        Channels that are constant within each series, as positions on the last axis of the
        packed array.
    static_name : str, default="static_channels"
        Name of the parameter that holds `static_channels`, for messages.

    Returns
    -------
    X : ndarray or StoredArray of shape (n_series, n_dates, 1 + n_channels)
        float32 or float64.

    Raises
    ------
    ValueError
        If X has a wrong shape, is infinite somewhere, has an observation without a date, does
        not match what `fit` saw, or if the static channels are out of range or not constant.
    TypeError
        If X is sparse or a masked array, or a static channel is not an integer.

    Warns
    -----
    UserWarning
        If some series have no valid observation.
    """
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
        X = validate_data(estimator, X, reset=reset, dtype=dtypes, ensure_all_finite="allow-nan")
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
    static = _check_static_channels(static_channels, packed.shape[2], static_name)
    n_empty = check_content(packed, static, "X", static_name)
    if reset:
        estimator._n_dims_in = array.ndim
    if n_empty:
        warnings.warn(
            f"{n_empty} of {len(packed)} series have no valid observation.",
            UserWarning,
            stacklevel=3,
        )
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


def _check_static_channels(static_channels, n_channels, name):
    """Return static channels as positive positions."""
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


def check_content(X, static, name, static_name="static_channels"):
    """Check what a packed array holds, block by block.

    Parameters
    ----------
    X : ndarray or StoredArray of shape (n_series, n_dates, 1 + n_channels)
        Packed array.
    static : list of int
        Positive positions of the static channels.
    name : str
        How messages call X.
    static_name : str, default="static_channels"
        How they call the parameter that names the static channels.

    Returns
    -------
    n_empty : int
        Number of series without observation.

    Raises
    ------
    ValueError
        If a value is infinite, a static channel varies, or an observation has no date.
    """
    n_empty = 0
    for rows in row_blocks(X, _BLOCK_BYTES // (X.dtype.itemsize * X.shape[1] * X.shape[2])):
        block = X[rows]
        observed = ~np.isnan(block)
        padding = ~observed[..., 0]
        bad = np.isinf(block)
        if bad.any():
            i, t, c = first_index(bad)
            raise ValueError(
                f"Input {name} contains infinity or a value too large for {X.dtype}: series "
                f"{rows.start + i}, slot {t}, channel {c} (0 is the date). Use NaN for "
                "missing values."
            )
        if static:
            steady = block[..., static]
            # The fmin and fmax of NaN and a number is the number.
            bad = np.fmax.reduce(steady, axis=1) > np.fmin.reduce(steady, axis=1)
            if bad.any():
                i, k = first_index(bad)
                raise ValueError(
                    f"{static_name}: channel {static[k]} of {name} must be constant within "
                    f"each series, it varies in series {rows.start + i}."
                )
            observed[..., static] = False
        observed[..., 0] = False
        if padding.any():
            bad = observed & padding[..., None]
            if bad.any():
                i, t, c = first_index(bad)
                where = "no date at all" if padding[i].all() else f"no date in slot {t}"
                raise ValueError(
                    f"{name} has an observation without a date: series {rows.start + i} has a "
                    f"value in channel {c} but {where}. A padding slot (NaN date) must be NaN "
                    "in every band."
                )
        n_empty += np.count_nonzero(~observed.reshape(len(block), -1).any(axis=1))
    return n_empty


def check_numeric(array, name):
    """Return an array that is certain not to hold text or dates.

    Parameters
    ----------
    array : array-like
        Any.
    name : str
        How messages call it.

    Returns
    -------
    array : ndarray

    Raises
    ------
    TypeError
        If it is a masked array.
    ValueError
        If it is not rectangular, or holds text or dates.
    """
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, whose mask would be lost. Write NaN where masked: "
            f"{name}.filled(np.nan)."
        )
    try:
        array = np.asarray(array)
    except ValueError as error:
        raise ValueError(
            f"{name} is not a rectangular array ({error}). Series of unequal length are padded "
            "by sklearn_sits.series.packing.pack."
        ) from error
    # A cast would read the string "1.5" as a number and a date as a count of its unit.
    text = array.dtype.kind in "USVMmT" or (
        array.dtype == object and any(isinstance(item, str | bytes) for item in array.flat)
    )
    if text:
        raise ValueError(
            f"{name} must be numeric, got dtype {array.dtype} with text or dates. Convert it to "
            "float explicitly."
        )
    return array


def first_index(bad):
    """Find the first True.

    Parameters
    ----------
    bad : bool ndarray
        With a True.

    Returns
    -------
    index : tuple of int
    """
    return tuple(int(i) for i in np.unravel_index(bad.argmax(), bad.shape))

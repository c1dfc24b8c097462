"""First and last date with an observation."""

import numpy as np

from sklearn_sits.series.stored_array import row_blocks

__all__ = ["extend_date_range", "find_date_range"]

_BLOCK_VALUES = 2**19


def find_date_range(X, static_channels=()):
    """Find the first and the last date with an observation in any series.

    Parameters
    ----------
    X : ndarray or StoredArray of shape (n_series, n_dates, 1 + n_channels)
        Checked packed array.
    static_channels : sequence of int, default=()
        Channels that are not bands.

    Returns
    -------
    days : float64 ndarray of shape (2,)
        First and last date; NaN if nothing was observed.
    """
    n_dates, n_channels = X.shape[1:]
    static = [channel % n_channels for channel in static_channels]
    bands = [channel for channel in range(1, n_channels) if channel not in static]
    days = np.full(2, np.nan)
    for rows in row_blocks(X, _BLOCK_VALUES // (n_dates * n_channels)):
        days = extend_date_range(days, X[rows], bands)
    return days


def extend_date_range(days, block, bands):
    """Extend a date range by the observations of some series.

    Parameters
    ----------
    days : float64 ndarray of shape (2,)
        First and last date so far, NaN if nothing was observed.
    block : ndarray of shape (n, n_dates, 1 + n_channels)
        Packed series.
    bands : slice or list of int
        Channels that are bands.

    Returns
    -------
    days : float64 ndarray of shape (2,)
        First and last date.
    """
    slots = block.reshape(-1, block.shape[2])
    dates = slots[:, 0]
    first, last = (np.inf, -np.inf) if np.isnan(days[0]) else days
    # Hardly any slot after the first block: the bands of the others need not be read.
    wider = np.flatnonzero((dates < first) | (dates > last))
    dates = dates[wider[~np.isnan(slots[wider][:, bands]).all(axis=1)]]
    if not dates.size:
        return days
    return np.array([min(first, float(dates.min())), max(last, float(dates.max()))])

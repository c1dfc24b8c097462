"""First and last date on which something was observed."""

import numpy as np

from sklearn_sits.series.stored_array import row_blocks

__all__ = ["find_date_range"]

_BLOCK_VALUES = 2**19


def find_date_range(X, static_channels=()):
    """Find the first and the last date on which a band of any series was observed.

    Parameters
    ----------
    X : ndarray or StoredArray of shape (n_series, n_dates, 1 + n_channels)
        Checked packed array.
    static_channels : sequence of int, default=()
        Channels that are no bands.

    Returns
    -------
    days : float64 ndarray of shape (2,)
        First and last, NaN if nothing was observed.
    """
    n_dates, n_channels = X.shape[1:]
    static = [channel % n_channels for channel in static_channels]
    bands = [channel for channel in range(1, n_channels) if channel not in static]
    first, last = np.inf, -np.inf
    for rows in row_blocks(X, _BLOCK_VALUES // (n_dates * n_channels)):
        slots = X[rows].reshape(-1, n_channels)
        days = slots[:, 0]
        # Hardly any slot after the first block: the bands of the others need not be read.
        wider = np.flatnonzero((days < first) | (days > last))
        seen = ~np.isnan(slots[wider][:, bands]).all(axis=1)
        if seen.any():
            days = days[wider[seen]]
            first, last = min(first, float(days.min())), max(last, float(days.max()))
    return np.array([first, last]) if first <= last else np.full(2, np.nan)

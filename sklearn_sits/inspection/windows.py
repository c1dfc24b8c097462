"""Windows of dates, in days, and their names."""

from numbers import Real

import numpy as np

from sklearn_sits.series.dates import to_days

__all__ = ["DateWindows", "find_windows"]

_MAX_WINDOWS = 10_000


class DateWindows:
    """Windows of dates; each holds its first day and not its last.

    Parameters
    ----------
    edges : ndarray of shape (n_windows, 2)
        First day of each window and first day after it.
    origin : datetime64 or None
        Date of day 0, None if it is not known.
    """

    def __init__(self, edges, origin):
        self.edges, self.origin = edges, origin

    @property
    def names(self):
        """Names such as ``2018-03-01 to 2018-03-31``, or ``60 to 90`` for days."""
        if self.origin is None:
            return np.array([f"{first:g} to {last:g}" for first, last in self.edges])
        # The last day that belongs to a window.
        dates = self.origin + (self.edges - [0, 1]).astype("timedelta64[D]")
        return np.array([f"{first} to {last}" for first, last in dates])


def find_windows(windows, days, origin=None):
    """Turn edges or a width into windows.

    Parameters
    ----------
    windows : float, timedelta64 or array-like of shape (n_windows + 1,)
        Width in days, or increasing edges: days, or datetimes.
    days : ndarray of shape (n,)
        Dates with an observation, in days.
    origin : str, date or datetime64, default=None
        Date of day 0. None is 1970-01-01 for edges that are datetimes.

    Returns
    -------
    windows : DateWindows
        Those of a width start on the first whole day; the ones without a date are left out.

    Raises
    ------
    ValueError
        If the width is not positive, edges do not increase, or no date lies between two edges.
    TypeError
        If they are neither numbers nor dates.
    """
    if isinstance(windows, np.timedelta64):
        windows = windows / np.timedelta64(1, "D")
    if isinstance(windows, bool | np.bool_ | str) or windows is None:
        raise TypeError(f"windows must be a width in days or a sequence of edges, got {windows!r}.")
    day_zero = None if origin is None else _read_origin(origin)
    if isinstance(windows, Real):
        edges = _regular_edges(windows, days)
        return DateWindows(edges[_count_dates(edges, days) > 0], day_zero)
    given = np.asarray(windows)
    if given.ndim != 1 or len(given) < 2:
        raise ValueError(
            "windows must be a width in days or at least two edges, got an array of shape "
            f"{given.shape}."
        )
    if given.dtype.kind in "fiu":
        bounds = to_days(given)
    else:
        bounds = to_days(given, origin)
        day_zero = _read_origin("1970-01-01") if day_zero is None else day_zero
    if np.isnan(bounds).any() or (np.diff(bounds) <= 0).any():
        raise ValueError(f"windows must be edges that increase, got {given.tolist()}.")
    found = DateWindows(np.stack([bounds[:-1], bounds[1:]], axis=1), day_zero)
    empty = np.flatnonzero(_count_dates(found.edges, days) == 0)
    if len(empty):
        named = ", ".join(found.names[empty[:3]]) + (", ..." if len(empty) > 3 else "")
        raise ValueError(
            f"{len(empty)} of {len(found.edges)} windows hold no date with an observation: "
            f"{named}. The dates of X are {days.min():g} to {days.max():g} (in days)."
        )
    return found


def _read_origin(origin):
    # The days of day 0 itself: the checks of an origin are those of `to_days`.
    to_days(np.array(["1970-01-01"], dtype="datetime64[D]"), origin)
    return np.datetime64(origin, "D")


def _regular_edges(width, days):
    if not 0 < width < np.inf:
        raise ValueError(f"windows must be a positive width in days, got {width!r}.")
    first, last = np.floor(days.min()), days.max()
    n = int((last - first) // width) + 1
    if n > _MAX_WINDOWS:
        raise ValueError(
            f"windows={width:g} makes {n:,} windows of days {first:g} to {last:g}, expected at "
            f"most {_MAX_WINDOWS:,}."
        )
    bounds = first + width * np.arange(n + 1)
    return np.stack([bounds[:-1], bounds[1:]], axis=1)


def _count_dates(edges, days):
    ordered = np.sort(days)
    start, stop = np.searchsorted(ordered, edges.T)
    return stop - start

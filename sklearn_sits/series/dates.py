"""Dates as days since an origin."""

import datetime

import numpy as np

__all__ = ["to_days"]

_EPOCH = "1970-01-01"
# Beyond these days, the years 1422 to 2517 for the default origin, numbers are not days.
_LARGEST_DAY = 200_000
# Instants of the years 1972 to 2100 in units of an epoch time, by their order of magnitude.
_EPOCH_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_FIRST_SECOND, _LAST_SECOND = 6.3e7, 4.1e9


def to_days(dates, origin=None):
    """Convert dates to days.

    Parameters
    ----------
    dates : ndarray
        Days, which are kept as they are, or datetimes. NaN and NaT are missing.
    origin : str, date, datetime or datetime64, default=None
        Day 0 of datetimes; None is 1970-01-01.

    Returns
    -------
    days : float64 ndarray of the same shape
        NaN where missing.

    Raises
    ------
    ValueError
        If numbers are infinite or can only be another code of a date than days, if `origin` is
        given with numbers, or is not a date.
    TypeError
        If dates are neither numbers nor datetimes, or have a time zone.
    """
    if dates.dtype.kind in "fiu":
        if origin is not None:
            raise ValueError(
                f"origin={origin!r} applies to datetime dates, but dates are numbers, which are "
                "kept as they are."
            )
        days = dates.astype(np.float64)
        if np.isinf(days).any():
            raise ValueError("dates contains infinity. Use NaN for padding slots.")
        _check_unit(days)
        return days
    if dates.dtype == object:
        _check_objects(dates)
        # numpy knows its own NaT, and None, but not the NaT of pandas.
        dates = np.where(dates != dates, None, dates)
    elif dates.dtype.kind != "M":
        raise TypeError(
            f"dates must be numbers or datetimes, got dtype {dates.dtype}. Parse text with "
            "pandas.to_datetime or np.array(dates, dtype='datetime64[D]')."
        )
    elapsed = dates.astype("datetime64[us]") - _to_origin(_EPOCH if origin is None else origin)
    return elapsed / np.timedelta64(1, "D")


def _check_unit(days):
    """Check that numbers can be days."""
    largest = np.fmax.reduce(np.abs(days), axis=None, initial=0.0)
    if largest <= _LARGEST_DAY:
        return
    value = days.flat[np.nanargmax(np.abs(days))]
    raise ValueError(
        f"dates must be days, at most {_LARGEST_DAY:,} before or after day 0, got {value:.15g}. "
        f"{_guess_format(value)}"
    )


def _guess_format(value):
    """Return the remedy for a number that is no day."""
    for code, n_digits in {"%Y%m%d": 8, "%Y%j": 7}.items():
        text = f"{value:.0f}"
        if len(text) == n_digits and 1900 <= int(text[:4]) <= 2100:
            try:
                datetime.datetime.strptime(text, code)
            except ValueError:
                continue
            return f'It looks like a calendar date: pandas.to_datetime(dates, format="{code}").'
    for unit, factor in _EPOCH_UNITS.items():
        if _FIRST_SECOND * factor <= value <= _LAST_SECOND * factor:
            return (
                "It looks like a time since 1970 in another unit: "
                f'pandas.to_datetime(dates, unit="{unit}").'
            )
    return "Convert it with pandas.to_datetime, or divide it so that its unit is a day."


def _check_objects(dates):
    for day in dates.flat:
        if isinstance(day, str):
            raise TypeError(
                f"dates must be numbers or datetimes, got the text {day!r}. Convert it with "
                "pandas.to_datetime(dates), or read the table with parse_dates."
            )
        if not isinstance(day, datetime.date | np.datetime64 | None):
            raise TypeError(f"dates must be numbers or datetimes, got {day!r}.")
        if getattr(day, "tzinfo", None) is not None:
            raise TypeError(
                f"dates must not have a time zone, got {day!r}. Convert a column to UTC with "
                'frame["date"].dt.tz_convert("UTC").dt.tz_localize(None).'
            )


def _to_origin(origin):
    # numpy would read "20190101" as a year and 2019 as microseconds.
    if isinstance(origin, str):
        try:
            origin = datetime.datetime.fromisoformat(origin)
        except ValueError as error:
            raise ValueError(f"origin must be an ISO 8601 date, got {origin!r}.") from error
    if not isinstance(origin, datetime.date | np.datetime64):
        raise TypeError(f"origin must be a date, got {origin!r}.")
    if getattr(origin, "tzinfo", None) is not None or np.isnat(np.datetime64(origin, "us")):
        raise ValueError(f"origin must be a date without time zone, got {origin!r}.")
    return np.datetime64(origin, "us")

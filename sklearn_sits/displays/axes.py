"""Axes of the displays: figures, dates and legends."""

import numpy as np

from sklearn_sits._extras import import_extra
from sklearn_sits.series.checks import check_numeric
from sklearn_sits.series.dates import to_days

__all__ = ["check_channel", "check_series", "open_axes", "place_legend", "show_dates", "to_axis"]


def open_axes(ax, layout="constrained"):
    """Return axes to draw on and their figure.

    Parameters
    ----------
    ax : matplotlib Axes or None
        None makes a new figure.
    layout : str, default="constrained"
        Layout of a new figure.

    Returns
    -------
    figure, ax : matplotlib Figure and Axes
    """
    if ax is not None:
        return ax.figure, ax
    return import_extra("matplotlib.pyplot", "plot").subplots(layout=layout)


def to_axis(days, origin):
    """Turn days into numbers of a date axis.

    Parameters
    ----------
    days : array-like
        Days.
    origin : str, date, datetime64 or None
        Date of day 0; None leaves days as they are.

    Returns
    -------
    numbers : float64 ndarray
    """
    days = np.asarray(days, dtype=np.float64)
    if origin is None:
        return days
    # Days from the origin to the day 0 of matplotlib, with the checks of an origin.
    return days - to_days(np.array(["1970-01-01"], dtype="datetime64[D]"), origin)[0]


def show_dates(ax, origin, axis="x"):
    """Write dates, or the word days, on an axis.

    Parameters
    ----------
    ax : matplotlib Axes
        Axes.
    origin : str, date, datetime64 or None
        Date of day 0.
    axis : {"x", "y"}, default="x"
        Which axis.
    """
    if origin is None:
        ax.set(**{f"{axis}label": "Day"})
        return
    dates = import_extra("matplotlib.dates", "plot")
    locator = dates.AutoDateLocator(minticks=3, maxticks=8)
    one = ax.xaxis if axis == "x" else ax.yaxis
    one.set_major_locator(locator)
    one.set_major_formatter(dates.ConciseDateFormatter(locator))
    ax.set(**{f"{axis}label": "Date"})


def place_legend(ax, ncols=3, **options):
    """Put the legend above the axes, where it hides nothing.

    Parameters
    ----------
    ax : matplotlib Axes
        Axes.
    ncols : int, default=3
        Columns of the legend, at most.
    **options : object
        Other arguments of ``ax.legend``.
    """
    handles, _ = ax.get_legend_handles_labels()
    n = len(options.get("handles", handles))
    ax.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=min(ncols, max(1, n)),
        frameon=False,
        **options,
    )


def check_series(series, name="series"):
    """Return a single packed series.

    Parameters
    ----------
    series : array-like of shape (n_dates, 1 + n_channels) or (1, n_dates, 1 + n_channels)
        Series.
    name : str, default="series"
        Its name in messages.

    Returns
    -------
    series : ndarray of shape (1, n_dates, 1 + n_channels)

    Raises
    ------
    ValueError
        If it has another shape.
    """
    array = check_numeric(series, name)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or len(array) != 1 or array.shape[1] == 0 or array.shape[2] < 2:
        raise ValueError(
            f"{name} must be one packed series of shape (n_dates, 1 + n_channels), got shape "
            f"{np.shape(series)}. One of many is X[i]."
        )
    return array


def check_channel(channel, n_channels):
    """Check that a channel is one after the date.

    Parameters
    ----------
    channel : int
        Position on the last axis of X.
    n_channels : int
        Length of this axis.

    Returns
    -------
    channel : int
        Positive position.

    Raises
    ------
    ValueError
        If it is out of range or the date.
    TypeError
        If it is not an integer.
    """
    if not isinstance(channel, int | np.integer) or isinstance(channel, bool):
        raise TypeError(f"channel must be an integer, got {channel!r}.")
    if not -n_channels <= channel < n_channels or channel % n_channels == 0:
        raise ValueError(
            f"channel={channel} is no band: X has {n_channels} channels, expected 1 to "
            f"{n_channels - 1} (channel 0 is the date)."
        )
    return int(channel) % n_channels

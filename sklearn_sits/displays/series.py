"""Figure of the series of classes: medians, quantiles and clear dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_consistent_length, column_or_1d

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import Origin
from sklearn_sits.displays.axes import (
    check_channel,
    open_axes,
    place_legend,
    show_dates,
    to_axis,
)
from sklearn_sits.series.checks import check_numeric

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SeriesDisplay"]

# Share of the height of the axes that the clear dates have.
_STRIP = 0.12


@set_module("sklearn_sits.displays")
class SeriesDisplay:
    """Median and quantiles of the series of each class over time, and how often they are clear.

    The observations of all series of a class are gathered in windows of equal width. The bars at
    the bottom are the share of the series, of all classes, that have an observation in a window: a
    bar of the full height of the strip would be all of them.

    Parameters
    ----------
    dates : ndarray of shape (n_windows,)
        Middles of the windows, in days.
    quantiles : dict of str to ndarray of shape (3, n_windows)
        Lower quantile, median and upper quantile of each class; NaN where nothing is observed.
    clear : ndarray of shape (n_windows,)
        Share of the series with an observation in each window.
    levels : tuple of float, default=(0.1, 0.9)
        Lower and upper quantile.
    name : str, default="Value"
        Name of the band.
    origin : str, date, datetime64 or None, default=None
        Date of day 0. None writes days.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the figure.
    figure_ : matplotlib Figure
        Figure.

    Examples
    --------
    >>> from sklearn_sits.datasets import make_sits
    >>> from sklearn_sits.displays import SeriesDisplay
    >>> X, y = make_sits(200, 40, 4, 3, positions=False, random_state=0)
    >>> display = SeriesDisplay.from_data(X, y, channel=3, name="B8", origin="1970-01-01")
    >>> list(display.quantiles)
    ['0', '1', '2']
    """

    def __init__(
        self,
        dates: np.ndarray,
        quantiles: Mapping[str, np.ndarray],
        clear: np.ndarray,
        *,
        levels: tuple[float, float] = (0.1, 0.9),
        name: str = "Value",
        origin: Origin = None,
    ) -> None:
        self.dates = dates
        self.quantiles = quantiles
        self.clear = clear
        self.levels = levels
        self.name = name
        self.origin = origin

    @classmethod
    def from_data(
        cls,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        channel: int = 1,
        classes: Sequence[Any] | None = None,
        step: float = 10.0,
        levels: tuple[float, float] = (0.1, 0.9),
        name: str | None = None,
        origin: Origin = None,
        ax: Axes | None = None,
    ) -> Self:
        """Summarise series and draw them.

        Parameters
        ----------
        X : array-like of shape (n_series, n_dates, 1 + n_channels)
            Packed series.
        y : array-like of shape (n_series,) or None, default=None
            Classes; None takes all series together.
        channel : int, default=1
            Band, a position on the last axis of X.
        classes : sequence or None, default=None
            Classes to draw, in this order. None draws all.
        step : float, default=10.0
            Width of the windows, in days.
        levels : tuple of float, default=(0.1, 0.9)
            Lower and upper quantile.
        name : str or None, default=None
            Name of the band; None is b1, b2, and so on.
        origin : str, date, datetime64 or None, default=None
            Date of day 0 of X. None writes days.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : SeriesDisplay

        Raises
        ------
        ValueError
            If X is not packed, the channel is no band or has no observation, a class has no
            series, or `step` or `levels` is out of range.
        TypeError
            If `channel` is not an integer.
        """
        X = check_numeric(X, "X")
        if X.ndim != 3:
            raise ValueError(
                "X must be packed series of shape (n_series, n_dates, 1 + n_channels), got shape "
                f"{X.shape}."
            )
        channel = check_channel(channel, X.shape[2])
        _check_levels(step, levels)
        groups = _group_rows(X, y, classes)
        X = X[np.concatenate(list(groups.values()))]
        sizes = [len(rows) for rows in groups.values()]
        seen = ~np.isnan(X[..., 0]) & ~np.isnan(X[..., channel])
        if not seen.any():
            raise ValueError(f"X has no observation in channel {channel}.")
        series, slots = np.nonzero(seen)
        first = np.floor(X[seen, 0].min())
        window = ((X[series, slots, 0] - first) // step).astype(int)
        n_windows = window.max() + 1
        values = X[series, slots, channel]
        of_group = np.repeat(np.arange(len(sizes)), sizes)[series]
        quantiles = {}
        for number, label in enumerate(groups):
            here = of_group == number
            quantiles[label] = _find_quantiles(values[here], window[here], n_windows, levels)
        clear = np.zeros((len(X), n_windows), dtype=bool)
        clear[series, window] = True
        return cls(
            first + step * (np.arange(n_windows) + 0.5),
            quantiles,
            clear.mean(axis=0),
            levels=tuple(levels),
            name=f"b{channel}" if name is None else name,
            origin=origin,
        ).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the summary.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : SeriesDisplay
        """
        self.figure_, self.ax_ = open_axes(ax)
        dates = to_axis(self.dates, self.origin)
        for number, (label, (low, median, high)) in enumerate(self.quantiles.items()):
            seen = ~np.isnan(median)
            color = {"facecolor": f"C{number}", "linewidth": 0, "alpha": 0.2}
            self.ax_.fill_between(dates[seen], low[seen], high[seen], **color)
            self.ax_.plot(dates[seen], median[seen], color=f"C{number}", label=label)
        # One entry of the legend for the bands of all classes.
        levels = "{:g} to {:g} %".format(*(100 * level for level in self.levels))
        self.ax_.fill_between([], [], facecolor="0.5", linewidth=0, alpha=0.4, label=levels)
        # The strip of the clear dates stays below all values.
        self.ax_.margins(y=0.05)
        low, high = self.ax_.get_ylim()
        self.ax_.set_ylim(high - (high - low) / (1 - _STRIP), high)
        width = np.diff(dates).min() if len(dates) > 1 else 1.0
        self.ax_.bar(
            dates,
            _STRIP * np.asarray(self.clear),
            width=0.8 * width,
            color="0.6",
            transform=self.ax_.get_xaxis_transform(),
            label=f"clear series, up to {100 * np.max(self.clear):.0f} %",
        )
        self.ax_.set(ylabel=self.name)
        show_dates(self.ax_, self.origin)
        place_legend(self.ax_)
        return self


def _check_levels(step, levels):
    if not isinstance(step, Real) or isinstance(step, bool) or not 0 < step < np.inf:
        raise ValueError(f"step must be a positive number of days, got {step!r}.")
    if len(levels) != 2 or not 0 <= levels[0] < levels[1] <= 1:
        raise ValueError(f"levels must be two increasing numbers from 0 to 1, got {levels!r}.")


def _group_rows(X, y, classes):
    """Return the rows of each class by its label."""
    if y is None:
        if classes is not None:
            raise ValueError(f"classes={classes!r} needs y.")
        return {"median": np.arange(len(X))}
    check_consistent_length(X, y)
    y = column_or_1d(y)
    found = np.unique(y)
    classes = found.tolist() if classes is None else list(classes)
    unknown = [label for label in classes if label not in found.tolist()]
    if unknown or not classes:
        raise ValueError(f"classes: y has no series of {unknown}; it has {found.tolist()}.")
    return {str(label): np.flatnonzero(y == label) for label in classes}


def _find_quantiles(values, window, n_windows, levels):
    """Return the quantiles of the values in each window, NaN where there are none."""
    found = np.full((3, n_windows), np.nan)
    order = np.argsort(window, kind="stable")
    starts = np.searchsorted(window[order], np.arange(n_windows + 1))
    for number, (start, stop) in enumerate(zip(starts[:-1], starts[1:], strict=True)):
        if stop > start:
            found[:, number] = np.quantile(values[order[start:stop]], [levels[0], 0.5, levels[1]])
    return found

"""Figure of a series, as a model interpolates it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import Origin
from sklearn_sits.displays.axes import (
    check_channel,
    check_series,
    open_axes,
    place_legend,
    show_dates,
    to_axis,
)
from sklearn_sits.inspection.attention import attention_weights
from sklearn_sits.series.checks import split_channels
from sklearn_sits.series.linear_interpolator import LinearInterpolator

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sklearn.base import BaseEstimator

__all__ = ["InterpolationDisplay"]


@set_module("sklearn_sits.displays")
class InterpolationDisplay:
    """Observations of a series, and its interpolation at the reference dates of a model.

    Parameters
    ----------
    dates, values : ndarray of shape (n_observations,)
        Days and values of the observations.
    reference_dates, interpolated : ndarray of shape (n_reference_dates,)
        Days and values of the interpolation.
    members : ndarray of shape (n_members, n_reference_dates) or None, default=None
        Interpolations of the members and heads of the model, of which `interpolated` is the mean.
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
    >>> from sklearn_sits import LinearInterpolator
    >>> from sklearn_sits.datasets import make_sits
    >>> from sklearn_sits.displays import InterpolationDisplay
    >>> X, _ = make_sits(50, 40, 4, 3, positions=False, random_state=0)
    >>> interpolator = LinearInterpolator().fit(X)
    >>> display = InterpolationDisplay.from_estimator(
    ...     interpolator, X[0], channel=3, name="B8", origin="1970-01-01"
    ... )
    >>> display.ax_.get_ylabel()
    'B8'
    """

    def __init__(
        self,
        dates: np.ndarray,
        values: np.ndarray,
        reference_dates: np.ndarray,
        interpolated: np.ndarray,
        *,
        members: np.ndarray | None = None,
        name: str = "Value",
        origin: Origin = None,
    ) -> None:
        self.dates = dates
        self.values = values
        self.reference_dates = reference_dates
        self.interpolated = interpolated
        self.members = members
        self.name = name
        self.origin = origin

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        series: ArrayLike,
        *,
        channel: int = 1,
        name: str | None = None,
        origin: Origin = None,
        ax: Axes | None = None,
    ) -> Self:
        """Interpolate a series and draw it.

        Parameters
        ----------
        estimator : MTANSVGPClassifier, MTANMLPClassifier, MTANEncoder or LinearInterpolator
            Fitted estimator.
        series : array-like of shape (n_dates, 1 + n_channels)
            One packed series.
        channel : int, default=1
            Band, a position on the last axis of the series.
        name : str or None, default=None
            Name of the band; None is b1, b2, and so on.
        origin : str, date, datetime64 or None, default=None
            Date of day 0 of the series. None writes days.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : InterpolationDisplay

        Raises
        ------
        TypeError
            If the estimator does not interpolate.
        ValueError
            If there is not one series, the channel is no band, or has no observation.
        """
        series = check_series(series)
        channel = check_channel(channel, series.shape[2])
        days, values = series[0, :, 0], series[0, :, channel]
        seen = ~np.isnan(days) & ~np.isnan(values)
        if not seen.any():
            raise ValueError(f"series has no observation in channel {channel}.")
        members = None
        if isinstance(estimator, LinearInterpolator):
            reference_dates, interpolated = _interpolate_linearly(estimator, series, channel)
        else:
            result = attention_weights(estimator, series, channel=channel, average=False)
            reference_dates = result.reference_dates
            # Member, head, reference date.
            single = result.weights[0] @ np.where(seen, values, 0.0)
            interpolated = result.votes @ single.mean(axis=1)
            members = single.reshape(-1, len(reference_dates))
        return cls(
            days[seen],
            values[seen],
            reference_dates,
            interpolated,
            members=members,
            name=f"b{channel}" if name is None else name,
            origin=origin,
        ).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the observations and the interpolation.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : InterpolationDisplay
        """
        self.figure_, self.ax_ = open_axes(ax)
        reference = to_axis(self.reference_dates, self.origin)
        if self.members is not None and len(self.members) > 1:
            for number, line in enumerate(self.members):
                label = "members" if number == 0 else None
                self.ax_.plot(reference, line, color="0.7", linewidth=0.9, label=label)
        self.ax_.plot(
            reference, self.interpolated, "o-", color="C0", markersize=4, label="interpolation"
        )
        self.ax_.plot(
            to_axis(self.dates, self.origin), self.values, "x", color="C1", label="observations"
        )
        self.ax_.set(ylabel=self.name)
        show_dates(self.ax_, self.origin)
        place_legend(self.ax_)
        return self


def _interpolate_linearly(interpolator, series, channel):
    features = interpolator.transform(series)[0]
    bands, _ = split_channels(series.shape[2], interpolator.static_channels)
    bands = list(range(series.shape[2]))[bands] if isinstance(bands, slice) else bands
    if channel not in bands:
        raise ValueError(f"channel={channel} is static: expected one of the bands {bands}.")
    n_dates = len(interpolator.dates_)
    grid = features[: n_dates * len(bands)].reshape(n_dates, len(bands))
    return interpolator.dates_, grid[:, bands.index(channel)]

"""Figure of the weights of the attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import Origin
from sklearn_sits.displays.axes import check_series, open_axes, show_dates, to_axis
from sklearn_sits.inspection.attention import attention_weights

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from sklearn.base import BaseEstimator

__all__ = ["AttentionDisplay"]

# Height of the strip of the observations, in heights of the table.
_STRIP = 0.03


@set_module("sklearn_sits.displays")
class AttentionDisplay:
    """Weights of the observations of a series at each reference date.

    A row is a reference date, and its weights sum to one. A column is an observation, and reaches
    halfway to its neighbours; a tick above marks its date.

    Parameters
    ----------
    weights : ndarray of shape (n_reference_dates, n_observations)
        Weights.
    dates : ndarray of shape (n_observations,)
        Dates of the observations, in days.
    reference_dates : ndarray of shape (n_reference_dates,)
        Reference dates, in days.
    origin : str, date, datetime64 or None, default=None
        Date of day 0. None writes days.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the figure.
    figure_ : matplotlib Figure
        Figure.
    colorbar_ : matplotlib Colorbar
        Colour bar.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sits.displays import AttentionDisplay
    >>> weights = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    >>> display = AttentionDisplay(weights, np.array([10, 50]), np.array([0, 30, 60])).plot()
    >>> display.ax_.get_ylabel()
    'Reference day'
    """

    def __init__(
        self,
        weights: np.ndarray,
        dates: np.ndarray,
        reference_dates: np.ndarray,
        *,
        origin: Origin = None,
    ) -> None:
        self.weights = weights
        self.dates = dates
        self.reference_dates = reference_dates
        self.origin = origin

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        series: ArrayLike,
        *,
        channel: int | None = None,
        origin: Origin = None,
        ax: Axes | None = None,
    ) -> Self:
        """Compute the weights of a series and draw them.

        Parameters
        ----------
        estimator : MTANSVGPClassifier, MTANMLPClassifier, MTANEncoder or BaseMTANClassifier
            Fitted estimator.
        series : array-like of shape (n_dates, 1 + n_channels)
            One packed series.
        channel : int or None, default=None
            Band whose gaps count; see :func:`sklearn_sits.inspection.attention_weights`.
        origin : str, date, datetime64 or None, default=None
            Date of day 0 of the series. None writes days.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : AttentionDisplay

        Raises
        ------
        TypeError
            If the estimator has no attention.
        ValueError
            If there is not one series, or it has no observation.
        """
        series = check_series(series)
        result = attention_weights(estimator, series, channel=channel)
        weights = result.weights[0]
        # An observation with a weight of zero is drawn too.
        bands = series[0, :, 1:] if channel is None else series[0, :, [channel]].T
        seen = ~np.isnan(bands).all(axis=1) & ~np.isnan(series[0, :, 0])
        if not weights.any():
            raise ValueError("series has no observation, so that no date has a weight.")
        return cls(
            weights[:, seen], series[0, seen, 0], result.reference_dates, origin=origin
        ).plot(ax=ax)

    def plot(self, ax: Axes | None = None, *, cmap: str | Colormap = "viridis") -> Self:
        """Draw the weights.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a new figure.
        cmap : str or matplotlib Colormap, default="viridis"
            Colours.

        Returns
        -------
        display : AttentionDisplay
        """
        self.figure_, self.ax_ = open_axes(ax)
        days, index = np.unique(np.asarray(self.dates, dtype=np.float64), return_inverse=True)
        # Observations of the same date share a column.
        weights = np.zeros((len(self.reference_dates), len(days)))
        np.add.at(weights, (slice(None), index), np.asarray(self.weights))
        rows = to_axis(self.reference_dates, self.origin)
        columns = to_axis(days, self.origin)
        image = self.ax_.pcolormesh(
            _find_bounds(columns), _find_bounds(rows), weights, cmap=cmap, vmin=0
        )
        low, high = self.ax_.get_ylim()
        top = high + _STRIP * (high - low)
        self.ax_.vlines(columns, high, top, color="black", linewidth=0.8)
        self.ax_.set_ylim(low, top)
        show_dates(self.ax_, self.origin)
        show_dates(self.ax_, self.origin, axis="y")
        unit = "day" if self.origin is None else "date"
        self.ax_.set(xlabel=f"{unit.title()} of the observation", ylabel=f"Reference {unit}")
        self.colorbar_ = self.figure_.colorbar(image, ax=self.ax_, label="Weight")
        return self


def _find_bounds(centres):
    """Return bounds halfway between sorted numbers, and as far beyond the first and the last."""
    if len(centres) == 1:
        return centres + np.array([-5.0, 5.0])
    middle = (centres[1:] + centres[:-1]) / 2
    first, last = 2 * centres[0] - middle[0], 2 * centres[-1] - middle[-1]
    return np.concatenate([[first], middle, [last]])

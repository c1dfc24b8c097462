"""Figure of the importance of bands and dates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import Origin
from sklearn_sits.displays.axes import open_axes, show_dates, to_axis
from sklearn_sits.inspection.importance import permutation_importance

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from sklearn.base import BaseEstimator
    from sklearn.utils import Bunch

__all__ = ["ImportanceDisplay"]


@set_module("sklearn_sits.displays")
class ImportanceDisplay:
    """Importance of bands, of dates, or of bands by date.

    Make it with :meth:`from_estimator` or :meth:`from_importances`. Bands are horizontal bars,
    windows of dates are bars as wide as the window, both with the standard deviation over the
    repeats; bands by date are a table of colours.

    Parameters
    ----------
    importances_mean : ndarray of shape (n_bands,), (n_windows,) or (n_bands, n_windows)
        Mean importance of each group.
    importances_std : ndarray of the same shape or None, default=None
        Standard deviation.
    band_names : sequence of str or None, default=None
        Names of the bands; None if groups are windows of dates.
    window_edges : ndarray of shape (n_windows, 2) or None, default=None
        First day of each window and first day after it; None if groups are bands.
    origin : str, date, datetime64 or None, default=None
        Date of day 0. None writes days.
    label : str, default="Decrease of score"
        Label of the importance.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the figure.
    figure_ : matplotlib Figure
        Figure.
    colorbar_ : matplotlib Colorbar or None
        Colour bar of bands by date.

    Examples
    --------
    >>> from sklearn_sits.displays import ImportanceDisplay
    >>> display = ImportanceDisplay([0.1, 0.3], [0.01, 0.02], band_names=["B4", "B8"]).plot()
    >>> [float(bar.get_width()) for bar in display.ax_.patches]
    [0.1, 0.3]
    """

    def __init__(
        self,
        importances_mean: np.ndarray,
        importances_std: np.ndarray | None = None,
        *,
        band_names: Sequence[str] | None = None,
        window_edges: np.ndarray | None = None,
        origin: Origin = None,
        label: str = "Decrease of score",
    ) -> None:
        self.importances_mean = importances_mean
        self.importances_std = importances_std
        self.band_names = band_names
        self.window_edges = window_edges
        self.origin = origin
        self.label = label

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike,
        *,
        scoring: str | Callable[..., float] | None = None,
        ax: Axes | None = None,
        **options: Any,
    ) -> Self:
        """Compute the importance and draw it.

        Parameters
        ----------
        estimator : estimator instance
            Fitted estimator.
        X : array-like of shape (n_series, n_dates, 1 + n_channels)
            Packed series that the estimator was not fitted on.
        y : array-like of shape (n_series,)
            Target.
        scoring : str, callable or None, default=None
            One scorer, as in scikit-learn.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a new figure.
        **options : object
            Other arguments of :func:`sklearn_sits.inspection.permutation_importance`.

        Returns
        -------
        display : ImportanceDisplay

        Raises
        ------
        ValueError
            If there are several scorers, or an argument is wrong.
        """
        result = permutation_importance(estimator, X, y, scoring=scoring, **options)
        name = scoring if isinstance(scoring, str) else "score"
        # The score is the negative of such an error.
        change = "Increase" if name.startswith("neg_") else "Decrease"
        label = f"{change} of {name.removeprefix('neg_').replace('_', ' ')}"
        return cls.from_importances(result, label=label, ax=ax)

    @classmethod
    def from_importances(
        cls, result: Bunch, *, label: str = "Decrease of score", ax: Axes | None = None
    ) -> Self:
        """Draw a result of :func:`sklearn_sits.inspection.permutation_importance`.

        Parameters
        ----------
        result : Bunch
            Result of one scorer.
        label : str, default="Decrease of score"
            Label of the importance.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : ImportanceDisplay

        Raises
        ------
        ValueError
            If the result has several scorers.
        """
        if not hasattr(result, "importances_mean"):
            raise ValueError(
                "result must be that of one scorer, got a dict of "
                f"{sorted(result) if isinstance(result, dict) else type(result).__name__}."
            )
        return cls(
            result.importances_mean,
            result.importances_std,
            band_names=result.band_names,
            window_edges=result.window_edges,
            origin=result.origin,
            label=label,
        ).plot(ax=ax)

    def plot(self, ax: Axes | None = None, *, cmap: str | Colormap = "viridis") -> Self:
        """Draw the importance.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a new figure.
        cmap : str or matplotlib Colormap, default="viridis"
            Colours of bands by date.

        Returns
        -------
        display : ImportanceDisplay
        """
        self.figure_, self.ax_ = open_axes(ax)
        self.colorbar_ = None
        if self.window_edges is None:
            self._plot_bands()
        elif self.band_names is None:
            self._plot_windows()
        else:
            self._plot_table(cmap)
        return self

    def _plot_bands(self):
        names = list(self.band_names)
        self.ax_.barh(
            np.arange(len(names)), self.importances_mean, xerr=self.importances_std, capsize=3
        )
        self.ax_.set_yticks(np.arange(len(names)), names)
        self.ax_.invert_yaxis()
        self.ax_.axvline(0, color="black", linewidth=0.8)
        self.ax_.set(xlabel=self.label, ylabel="Band")

    def _plot_windows(self):
        start, stop = to_axis(self.window_edges, self.origin).T
        self.ax_.bar(
            start,
            self.importances_mean,
            width=stop - start,
            align="edge",
            yerr=self.importances_std,
            capsize=3,
            edgecolor="white",
        )
        self.ax_.axhline(0, color="black", linewidth=0.8)
        self.ax_.set(ylabel=self.label)
        show_dates(self.ax_, self.origin)

    def _plot_table(self, cmap):
        edges = to_axis(self.window_edges, self.origin)
        bounds = np.unique(edges)
        names = list(self.band_names)
        # Between windows may be others without a date.
        table = np.full((len(names), len(bounds) - 1), np.nan)
        table[:, np.searchsorted(bounds, edges[:, 0])] = self.importances_mean
        rows = np.arange(len(names) + 1) - 0.5
        image = self.ax_.pcolormesh(bounds, rows, table, cmap=cmap)
        self.ax_.set_yticks(np.arange(len(names)), names)
        self.ax_.invert_yaxis()
        self.ax_.set(ylabel="Band")
        show_dates(self.ax_, self.origin)
        self.colorbar_ = self.figure_.colorbar(image, ax=self.ax_, label=self.label)

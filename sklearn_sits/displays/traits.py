"""Figure of a vegetation trait over time, with its intervals and seasons."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import Origin
from sklearn_sits.displays.axes import check_series, open_axes, place_legend, show_dates, to_axis
from sklearn_sits.phenology.phenology_vae import PhenologyVAERegressor
from sklearn_sits.traits.prosail_vae import ProsailVAERegressor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TraitSeriesDisplay"]

# Names, markers and columns of the dates of a season, after its minimum and maximum.
_DATES = {"start": ">", "maturity": "^", "senescence": "v", "end": "<"}
_N_COLUMNS = 6
# Height of the dates of a season in the axes, and of the strip that is kept free for them.
_ROW, _STRIP = 0.05, 0.1


@set_module("sklearn_sits.displays")
class TraitSeriesDisplay:
    """A trait of a series with its intervals, and the dates of its seasons.

    Parameters
    ----------
    dates : ndarray of shape (n_dates,)
        Dates, in days.
    mean, lower, upper : ndarray of shape (n_dates,)
        Mean of the trait and bounds of its interval, NaN where there are none.
    clear : bool ndarray of shape (n_dates,) or None, default=None
        Dates that were observed.
    seasons : ndarray of shape (n_seasons, 4, 3) or None, default=None
        Mean, lower and upper bound of start, maturity, senescence and end of each season, in days.
    coverage : float, default=0.9
        Probability of the intervals.
    name : str, default="Trait"
        Name of the trait, with its unit.
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
    >>> import numpy as np
    >>> from sklearn_sits import load_prosail_vae, pack
    >>> from sklearn_sits.datasets import make_prosail
    >>> from sklearn_sits.displays import TraitSeriesDisplay
    >>> spectra, _ = make_prosail(12, random_state=0)
    >>> series = pack(spectra[None], np.arange(0, 120, 10))[0]
    >>> display = TraitSeriesDisplay.from_estimator(load_prosail_vae(time_scale=30), series)
    >>> display.ax_.get_ylabel()
    'LAI (m²/m²)'
    """

    def __init__(
        self,
        dates: np.ndarray,
        mean: np.ndarray,
        lower: np.ndarray,
        upper: np.ndarray,
        *,
        clear: np.ndarray | None = None,
        seasons: np.ndarray | None = None,
        coverage: float = 0.9,
        name: str = "Trait",
        origin: Origin = None,
    ) -> None:
        self.dates = dates
        self.mean = mean
        self.lower = lower
        self.upper = upper
        self.clear = clear
        self.seasons = seasons
        self.coverage = coverage
        self.name = name
        self.origin = origin

    @classmethod
    def from_estimator(
        cls,
        estimator: ProsailVAERegressor,
        series: ArrayLike,
        *,
        target: str | None = None,
        phenology: PhenologyVAERegressor | None = None,
        index: ArrayLike | None = None,
        coverage: float = 0.9,
        origin: Origin = None,
        ax: Axes | None = None,
    ) -> Self:
        """Retrieve a trait of a series, and its seasons, and draw them.

        Parameters
        ----------
        estimator : ProsailVAERegressor
            Fitted regressor.
        series : array-like of shape (n_dates, 1 + n_channels)
            One packed series of bands and angles.
        target : str or None, default=None
            Trait, one of the targets of the estimator. None is the first.
        phenology : PhenologyVAERegressor or None, default=None
            Fitted regressor of the dates of the season.
        index : array-like of shape (n_dates, 2) or None, default=None
            Series of the index that `phenology` was fitted on, with the same day 0.
        coverage : float, default=0.9
            Probability of the intervals, in (0, 1).
        origin : str, date, datetime64 or None, default=None
            Date of day 0 of the series. None writes days.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : TraitSeriesDisplay
            Seasons that `phenology` flags as none are left out.

        Raises
        ------
        TypeError
            If an estimator is of another class.
        ValueError
            If there is not one series, no such target, or only one of `phenology` and `index`.
        """
        _check_estimators(estimator, phenology, index)
        series = check_series(series)
        targets = [estimator.targets] if isinstance(estimator.targets, str) else estimator.targets
        targets = list(targets)
        target = targets[0] if target is None else target
        if target not in targets:
            raise ValueError(f"target={target!r} is no target of the estimator: {targets}.")
        estimator = copy.copy(estimator).set_params(targets=target)
        mean = estimator.predict(series)[0]
        lower, upper = (bound[0] for bound in estimator.predict_interval(series, coverage))
        unit = estimator.units_.get(target, "")
        n_bands = series.shape[2] - 4
        order = np.argsort(series[0, :, 0], kind="stable")
        order = order[~np.isnan(series[0, order, 0])]
        return cls(
            series[0, order, 0],
            mean[order],
            lower[order],
            upper[order],
            clear=~np.isnan(series[0, order, 1 : 1 + n_bands]).any(axis=1),
            seasons=None if phenology is None else _find_seasons(phenology, index, coverage),
            coverage=coverage,
            name=f"{target} ({unit})" if unit else target,
            origin=origin,
        ).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the trait and the seasons.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : TraitSeriesDisplay
        """
        self.figure_, self.ax_ = open_axes(ax)
        dates = to_axis(self.dates, self.origin)
        mean = np.asarray(self.mean)
        self.ax_.fill_between(
            dates, self.lower, self.upper, color="C2", alpha=0.25, linewidth=0,
            label=f"{100 * self.coverage:g} % interval",
        )  # fmt: skip
        self.ax_.plot(dates, mean, color="C2", label="mean")
        if self.clear is not None:
            self.ax_.plot(
                dates[self.clear], mean[self.clear], "o", color="C2", markersize=4, label="clear"
            )
        if self.seasons is not None and len(self.seasons):
            self._plot_seasons()
        self.ax_.set(ylabel=self.name)
        show_dates(self.ax_, self.origin)
        place_legend(self.ax_, ncols=4)
        return self

    def _plot_seasons(self):
        low, high = self.ax_.get_ylim()
        self.ax_.set_ylim(high - (high - low) / (1 - _STRIP), high)
        seasons = to_axis(self.seasons, self.origin)
        for number, season in enumerate(seasons):
            label = "season" if number == 0 else None
            self.ax_.axvspan(
                season[0, 0], season[3, 0], color="C8", alpha=0.15, linewidth=0, label=label
            )
            for (name, marker), (day, lower, upper) in zip(_DATES.items(), season, strict=True):
                self.ax_.errorbar(
                    day,
                    _ROW,
                    xerr=[[max(0.0, day - lower)], [max(0.0, upper - day)]],
                    fmt=marker,
                    color="C5",
                    capsize=3,
                    transform=self.ax_.get_xaxis_transform(),
                    label=name if number == 0 else None,
                )


def _check_estimators(estimator, phenology, index):
    if not isinstance(estimator, ProsailVAERegressor):
        raise TypeError(
            f"estimator must be a ProsailVAERegressor, got {type(estimator).__name__}. Of a "
            "pipeline or a search, pass the fitted step."
        )
    check_is_fitted(estimator)
    if (phenology is None) != (index is None):
        raise ValueError("phenology needs index, the series that it reads, and index needs it.")
    if phenology is not None and not isinstance(phenology, PhenologyVAERegressor):
        raise TypeError(
            f"phenology must be a PhenologyVAERegressor, got {type(phenology).__name__}."
        )


def _find_seasons(phenology, index, coverage):
    """Return the dates of the seasons with their bounds, (n_seasons, 4, 3)."""
    check_is_fitted(phenology)
    index = check_series(index, "index")
    phenology = copy.copy(phenology).set_params(targets="all")
    parts = [phenology.predict(index), *phenology.predict_interval(index, coverage)]
    seasons = np.stack([part[0].reshape(-1, _N_COLUMNS)[:, 2:] for part in parts], axis=2)
    flags = np.atleast_1d(phenology.quality(index)[0])
    none = flags & (
        phenology.quality_flags_["no_season"] | phenology.quality_flags_["not_observed"]
    )
    return seasons[(none == 0) & ~np.isnan(seasons).any(axis=(1, 2))]

"""Linear interpolation of satellite image time series onto common dates."""

from collections.abc import Sequence
from numbers import Real
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import fit_context
from sklearn_sits.series.checks import check_sits, split_sits
from sklearn_sits.series.coverage import note_coverage
from sklearn_sits.series.stored_array import open_stored, row_blocks

__all__ = ["LinearInterpolator"]

# More dates are a mistake in the unit of the dates or of `step`: 27 years of daily values.
_MAX_DATES = 10_000
# Rows are processed in blocks of this many input and output values: below 100 MB of
# temporaries, and small enough to stay near the processor's cache.
_BLOCK_VALUES = 2**20


@set_module("sklearn_sits")
class LinearInterpolator(TransformerMixin, BaseEstimator):
    """Interpolate every band of every series linearly on common dates.

    Between two neighbouring observations of a band the value is linear; before the first and
    after the last observation it is constant. The result is a plain table that any scikit-learn
    estimator takes.

    Parameters
    ----------
    dates : array-like of shape (n_grid,), default=None
        Increasing dates in days, in the time scale of X. None: from the first to the last date
        with a valid observation in `fit`, every `step` days. For 2-D input, None means the
        dates of the input, so that complete series come back unchanged.
    step : float, default=10
        Days between two dates when `dates` is None. Not used for 2-D input.
    static_channels : sequence of int, default=()
        Channels that are constant within each series (position, elevation), as positions on
        the last axis of X. They are appended once, after the bands.

    Attributes
    ----------
    dates_ : ndarray of shape (n_grid,)
        Dates of the result, in days.
    date_range_ : float64 ndarray of shape (2,)
        First and last date with an observation in `fit`, in days; NaN if there is none.
    value_range_ : float64 ndarray of shape (n_channels, 2)
        Lowest and highest value of each channel after the date in `fit`; NaN if there is none.
    fill_values_ : ndarray of shape (n_bands + n_static,)
        Value given to a series that has no valid observation of a band: the mean of the band
        over all valid observations in `fit`, or 0 if there is none. For a static channel, the
        mean over the series.
    n_features_in_ : int
        Number of channels seen in `fit`, date included; number of dates for 2-D input.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, only when X was a table with string names in `fit`.

    Notes
    -----
    Observations of a band on the same date are averaged. Each series is transformed
    independently of the others. Padding, the order of the slots and dates without an observation
    have no effect.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sits import LinearInterpolator, pack
    >>> X = pack([[0.25, np.nan, 0.75], [0, 0.5, 1]], [0, 10, 20])
    >>> interpolator = LinearInterpolator(step=5).fit(X)
    >>> interpolator.transform(X)
    array([[0.25 , 0.375, 0.5  , 0.625, 0.75 ],
           [0.   , 0.25 , 0.5  , 0.75 , 1.   ]], dtype=float32)
    >>> interpolator.get_feature_names_out(["ndvi"])[:2]
    array(['ndvi_t0', 'ndvi_t5'], dtype=object)
    """

    _parameter_constraints: dict = {
        "dates": ["array-like", None],
        "step": [Interval(Real, 0, None, closed="neither")],
        "static_channels": ["array-like"],
    }

    def __init__(
        self, dates: ArrayLike | None = None, step: float = 10, static_channels: Sequence[int] = ()
    ) -> None:
        self.dates = dates
        self.step = step
        self.static_channels = static_channels

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Set the dates of the result and the mean of each band.

        Parameters
        ----------
        X : array-like of shape (n_series, n_dates, 1 + n_channels) or (n_series, n_dates)
            Packed array with dates in days, or univariate series on a regular grid.
        y : None
            Ignored.

        Returns
        -------
        self : object
            Fitted transformer.

        Raises
        ------
        ValueError
            If X is not a valid packed array, `dates` is not increasing, or `dates` is None
            and X has no valid observation to take dates from, or would give more than 10,000.
        TypeError
            If `dates` or `step` are not numbers.

        Warns
        -----
        UserWarning
            If some series have no valid observation.
        """
        if isinstance(self.step, bool | np.bool_):
            raise TypeError(f"step must be a number of days, got {self.step!r}.")
        X = open_stored(X)
        X = check_sits(self, X, reset=True, static_channels=self.static_channels)
        note_coverage(self, X, self.static_channels)
        if self.dates is not None:
            self.dates_ = _check_dates(self.dates)
        elif self._n_dims_in == 2:
            self.dates_ = split_sits(X[:1])[0][0].astype(np.float64)
        else:
            self.dates_ = self._regular_dates()

        total, count = 0, 0
        for rows in self._blocks(X):
            _, bands, static = split_sits(X[rows], self.static_channels)
            sums = [_sum_valid(bands.reshape(-1, bands.shape[2])), _sum_valid(static)]
            block_total, block_count = np.concatenate(sums, axis=1)
            total, count = total + block_total, count + block_count
        self.fill_values_ = total / np.maximum(count, 1)
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Interpolate the series at `dates_`.

        Parameters
        ----------
        X : array-like of shape (n_series, n_dates, 1 + n_channels) or (n_series, n_dates)
            Packed array or univariate series, as in `fit`; `n_dates` of a packed array may
            differ.

        Returns
        -------
        features : ndarray of shape (n_series, n_grid * n_bands + n_static)
            All bands of the first date, then those of the second date, and so on, and finally
            the static channels.
            float32 for float32 input, otherwise float64.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the transformer is not fitted.
        ValueError
            If X has a wrong shape or type, or differs in channels from `fit`.

        Warns
        -----
        UserWarning
            If some series have no valid observation.
        DataQualityWarning
            If values count as not observed, because they are infinite, more than a million times
            as large as in `fit`, or have no date; or if most dates or the median of a band lie
            outside of `date_range_` or `value_range_`.
        """
        check_is_fitted(self)
        X = open_stored(X)
        X = check_sits(self, X, reset=False, static_channels=self.static_channels)
        fill_values = self.fill_values_.astype(X.dtype)
        n_grid, n_bands = len(self.dates_), len(fill_values) - len(self.static_channels)
        n_out = n_grid * n_bands
        out = np.empty((len(X), n_out + len(self.static_channels)), dtype=X.dtype)
        for rows in self._blocks(X):
            dates, bands, static = split_sits(X[rows], self.static_channels)
            grid = out[rows, :n_out].reshape(len(bands), n_grid, n_bands)
            missing = np.isnan(bands)
            for group in _same_mask(missing):
                valid = ~missing[..., group[0]]
                grid[..., group] = _interpolate(
                    dates, bands, valid, self.dates_, group, fill_values[group]
                )
            out[rows, :n_out] = grid.reshape(len(bands), n_out)
            out[rows, n_out:] = np.where(np.isnan(static), fill_values[n_bands:], static)
        return out

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> np.ndarray:
        """Return the names of the columns, such as ``b1_t120``: band, then day.

        Parameters
        ----------
        input_features : array-like of str of shape (n_channels,), default=None
            Names of the channels without the date, but with the static ones; ``b1``, ``b2``,
            ... by default. For 2-D input, names of the input columns.

        Returns
        -------
        names : ndarray of str of shape (n_features_out,)
            A static channel keeps its name. 2-D series that stay on their own dates keep the
            names of their columns.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the transformer is not fitted.
        ValueError
            If `input_features` has a wrong length, or differs from `feature_names_in_`.
        """
        check_is_fitted(self)
        if self._n_dims_in == 2:
            columns = OneToOneFeatureMixin.get_feature_names_out(self, input_features)
            if self.dates is None:
                return columns
            names = ["b1"]
        else:
            n_channels = self.n_features_in_ - 1
            names = [f"b{i}" for i in range(1, n_channels + 1)]
            if input_features is not None:
                names = list(input_features)
            if len(names) != n_channels:
                raise ValueError(
                    "input_features should have length equal to number of channels without "
                    f"the date ({n_channels}), got {len(names)}"
                )
        static = [channel % self.n_features_in_ - 1 for channel in self.static_channels]
        bands = [i for i in range(len(names)) if i not in static]
        days = [np.format_float_positional(day, trim="-") for day in self.dates_]
        out = [f"{names[i]}_t{day}" for day in days for i in bands]
        return np.array(out + [names[i] for i in static], dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _blocks(self, X):
        n_slots = X.shape[1] + len(self.dates_)
        return row_blocks(X, _BLOCK_VALUES // (n_slots * X.shape[2]))

    def _regular_dates(self):
        """Return dates every `step` days between the first and last valid observation."""
        first, last = self.date_range_
        if np.isnan(first):
            raise ValueError("X has no valid observation in fit, so dates=None finds no dates.")
        # The margin keeps the last date when float32 dates are rounded.
        n_steps = np.floor((last - first) / self.step + 1e-3)
        if n_steps >= _MAX_DATES:
            raise ValueError(
                f"X has observations from day {first:g} to {last:g}. With step={self.step:g} they "
                f"make {n_steps + 1:,.0f} dates, expected at most {_MAX_DATES:,}. Are the dates "
                "days? Otherwise increase step, or give dates."
            )
        return first + self.step * np.arange(int(n_steps) + 1)


def _check_dates(dates):
    dates = np.asarray(dates)
    if dates.dtype.kind not in "fiu":
        raise TypeError(f"dates must be numbers (days), got dtype {dates.dtype}.")
    dates = dates.astype(np.float64)
    if dates.ndim != 1 or not dates.size or not np.isfinite(dates).all():
        raise ValueError(
            f"dates must be finite, of shape (n_grid,), n_grid > 0, got shape {dates.shape}."
        )
    if (np.diff(dates) <= 0).any():
        raise ValueError("dates must be strictly increasing.")
    return dates


def _sum_valid(values):
    """Return the sum of each column without NaN and its number of values, shape (2, k)."""
    missing = np.isnan(values)
    total = np.where(missing, 0, values).sum(axis=0, dtype=np.float64)
    return np.stack([total, len(values) - np.count_nonzero(missing, axis=0)])


def _same_mask(missing):
    """Group the bands that are missing at the same places.

    Often all bands of a sensor share one mask, and the search of neighbours is done once.
    """
    groups = []
    for band in range(missing.shape[2]):
        for group in groups:
            if np.array_equal(missing[..., band], missing[..., group[0]]):
                group.append(band)
                break
        else:
            groups.append([band])
    return groups


def _interpolate(dates, bands, valid, grid, group, fill_values):
    """Interpolate bands that share the mask `valid`.

    Parameters
    ----------
    dates, bands, valid : ndarray of shape (n, n_dates), (n, n_dates, n_bands), (n, n_dates)
        A block of series.
    grid : ndarray of shape (n_grid,)
        Increasing days.
    group : list of int
        Bands to interpolate.
    fill_values : ndarray of shape (len(group),)
        Result of series without valid observation.

    Returns
    -------
    values : ndarray of shape (n, n_grid, len(group))
        Interpolated bands.
    """
    n, n_grid = len(dates), len(grid)
    count = np.count_nonzero(valid, axis=1)
    values = np.empty((n, n_grid, len(group)), dtype=bands.dtype)
    # Valid observations of all series one after the other, sorted by series and date.
    where = np.flatnonzero(valid)
    if where.size:
        series = np.repeat(np.arange(n), count)
        days = dates.reshape(-1)[where].astype(np.float64)
        same = series[1:] == series[:-1]
        if (same & (days[1:] < days[:-1])).any():
            order = np.lexsort((days, series))
            where, days = where[order], days[order]
        lines = bands.reshape(-1, bands.shape[2])
        twice = same & (days[1:] == days[:-1])
        if twice.any():
            starts = np.flatnonzero(np.r_[True, ~twice])
            sizes = np.diff(np.r_[starts, where.size])
            lines = np.add.reduceat(lines[where], starts, axis=0)
            lines /= sizes[:, None].astype(lines.dtype)
            series, days, where = series[starts], days[starts], np.arange(starts.size)
            count = np.bincount(series, minlength=n)

        # Observations up to each date of the grid, counted without a search per series.
        cell = series * (n_grid + 1) + np.searchsorted(grid, days)
        before = np.bincount(cell, minlength=n * (n_grid + 1)).reshape(n, -1)
        before = before.cumsum(axis=1)[:, :n_grid]
        end = count.cumsum()[:, None]
        start = end - count[:, None]
        right = np.minimum(start + before, end - 1)
        # The second bound is for series without observation: left = right, weight 0.
        left = np.minimum(np.maximum(start + before - 1, start), right)
        gap = days[right] - days[left]
        weight = np.divide(grid - days[left], gap, out=np.zeros(gap.shape), where=gap > 0)
        low, high = lines[where[left]][..., group], lines[where[right]][..., group]
        values = low + weight[..., None].astype(low.dtype) * (high - low)
    values[count == 0] = fill_values
    return values

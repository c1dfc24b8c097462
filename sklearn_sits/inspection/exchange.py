"""Exchange of bands and dates between series whose dates differ."""

from typing import NamedTuple

import numpy as np

__all__ = ["SeriesExchange", "SeriesGroup"]


class SeriesGroup(NamedTuple):
    """What moves between series.

    Parameters
    ----------
    bands : tuple of int
        Bands, positions on the last axis of X.
    static : tuple of int
        Static channels, positions among those of the exchange.
    window : tuple of float or None
        First day, and first day after the last one; None for all dates.
    """

    bands: tuple
    static: tuple
    window: tuple | None


class SeriesExchange:
    """Packed series between which groups move with their dates.

    Series that all have the same dates keep their slots. Otherwise each series becomes the slots
    in which anything is observed, sorted by date: the result then depends neither on padding nor
    on the order of the slots.

    Parameters
    ----------
    X : ndarray of shape (n_series, n_dates, 1 + n_channels)
        Checked packed array; not changed.
    static : list of int
        Positions of the static channels on the last axis.
    """

    def __init__(self, X, static):
        self._static = list(static)
        self._bands = [c for c in range(1, X.shape[2]) if c not in self._static]
        self._static_values = np.fmin.reduce(X[..., self._static], axis=1)
        X = X[:, ~np.isnan(X[..., 0]).all(axis=0)]
        self._aligned = X.shape[1] > 0 and bool((X[..., 0] == X[:1, :, 0]).all())
        self._X = X if self._aligned else _sort_observations(X, self._bands)
        if not self._aligned:
            self._key_dates()

    @property
    def series(self):
        """The series as they are, an ndarray of shape (n_series, n_slots, 1 + n_channels)."""
        return self._X if self._aligned else self._write_static(self._X.copy(), [])

    def move(self, group, donors):
        """Replace a group in each series by that of another one.

        Parameters
        ----------
        group : SeriesGroup
            What moves.
        donors : int ndarray of shape (n_series,)
            Series from which each one receives the group.

        Returns
        -------
        X : ndarray of shape (n_series, n_slots, 1 + n_channels)
            The bands of the group lie on the dates of the donor, all others on their own. Slots
            of the same date are one slot.
        """
        if self._aligned:
            moved = self._move_values(group, donors)
        elif not group.bands:
            moved = self._X.copy()
        elif len(group.bands) == len(self._bands):
            moved = self._move_slots(group, donors)
        else:
            moved = self._move_bands(group, donors)
        if self._aligned and not group.static:
            return moved
        return self._write_static(moved, list(group.static), donors)

    def _find_inside(self, window):
        dates = self._X[..., 0]
        if window is None:
            return ~np.isnan(dates)
        return (dates >= window[0]) & (dates < window[1])

    def _move_values(self, group, donors):
        moved = self._X.copy()
        slots = np.flatnonzero(self._find_inside(group.window)[0])
        for band in group.bands:
            moved[:, slots, band] = self._X[donors[:, None], slots, band]
        return moved

    def _move_slots(self, group, donors):
        """Put the slots of the donor between those before and after the window."""
        n, width, _ = self._X.shape
        dates, rows = self._X[..., 0], np.arange(n)[:, None]
        first, last = (-np.inf, np.inf) if group.window is None else group.window
        start = np.count_nonzero(dates < first, axis=1)[:, None]
        stop = np.count_nonzero(dates < last, axis=1)[:, None]
        length = np.count_nonzero(~np.isnan(dates), axis=1)[:, None]
        end = start + (stop - start)[donors]
        total = end + length - stop
        slot = np.arange(max(1, total.max()))
        received = (slot >= start) & (slot < end)
        source_row = np.where(received, donors[:, None], rows)
        shift = np.where(received, start[donors] - start, np.where(slot < start, 0, stop - end))
        source = source_row * width + slot + shift
        # Beyond the last slot: a slot of padding, appended to all others.
        source[slot >= total] = n * width
        lines = self._X.reshape(n * width, -1)
        lines = np.concatenate([lines, np.full_like(lines[:1], np.nan)])
        return lines[source]

    def _move_bands(self, group, donors):
        """Put bands of the donor on slots of their dates, or on new ones between them."""
        n, width, n_channels = self._X.shape
        bands = list(group.bands)
        inside = self._find_inside(group.window)
        seen = inside & ~np.isnan(self._X[..., bands]).all(axis=2)
        rows, slots = np.nonzero(seen[donors])
        sources = donors[rows]
        wanted = rows * self._n_keys + self._key[sources, slots]
        place = np.searchsorted(self._keys, wanted)
        new = np.append(self._keys, -1)[place] != wanted
        # Number of own slots before each one received, and of new slots before each own one.
        target = place - self._first_key[rows]
        n_new = np.bincount(rows[new] * (width + 1) + target[new], minlength=n * (width + 1))
        n_new = n_new.reshape(n, width + 1)
        shift = n_new.cumsum(axis=1)[:, :width]
        rank = np.arange(np.count_nonzero(new))
        starts = n_new.sum(axis=1).cumsum() - n_new.sum(axis=1)
        target[~new] += shift[rows[~new], target[~new]]
        target[new] += rank - starts[rows[new]]

        length = int((self._length + n_new.sum(axis=1)).max())
        moved = np.full((n, length, n_channels), np.nan, self._X.dtype)
        own_rows, own = np.nonzero(~np.isnan(self._X[..., 0]))
        lines = self._X[own_rows, own]
        lines[np.ix_(inside[own_rows, own], bands)] = np.nan
        moved[own_rows, own + shift[own_rows, own]] = lines
        moved[rows, target, 0] = self._X[sources, slots, 0]
        for band in bands:
            moved[rows, target, band] = self._X[sources, slots, band]
        return moved

    def _key_dates(self):
        """Give each date of a series a number, and each repetition of it another one."""
        dates = self._X[..., 0]
        valid = ~np.isnan(dates)
        self._length = np.count_nonzero(valid, axis=1)
        self._first_key = self._length.cumsum() - self._length
        days, code = np.unique(dates[valid], return_inverse=True)
        width = dates.shape[1]
        slot = np.arange(width)
        is_new = np.ones(dates.shape, dtype=bool)
        is_new[:, 1:] = dates[:, 1:] != dates[:, :-1]
        repetition = slot - np.maximum.accumulate(np.where(is_new, slot, 0), axis=1)
        self._key = np.zeros(dates.shape, dtype=np.int64)
        self._key[valid] = code.ravel() * width + repetition[valid]
        self._n_keys = max(1, len(days)) * width
        self._keys = (np.arange(len(dates))[:, None] * self._n_keys + self._key)[valid]

    def _write_static(self, moved, received, donors=None):
        if not self._static:
            return moved
        values = self._static_values
        if received:
            values = values.copy()
            values[:, received] = self._static_values[donors][:, received]
        padding = np.isnan(moved[..., 0])
        # A series without any slot left keeps its position.
        padding[padding.all(axis=1), 0] = False
        for channel, column in zip(self._static, values.T, strict=True):
            moved[..., channel] = np.where(padding, np.nan, column[:, None])
        return moved


def _sort_observations(X, bands):
    """Return the slots in which anything is observed, by date, without more padding than needed."""
    observed = ~np.isnan(X[..., 0]) & ~np.isnan(X[..., bands]).all(axis=2)
    width = max(1, np.count_nonzero(observed, axis=1).max(initial=0))
    if X.shape[1] == 0:
        return np.full((len(X), 1, X.shape[2]), np.nan, X.dtype)
    order = np.argsort(np.where(observed, X[..., 0], np.inf), axis=1, kind="stable")[:, :width]
    series = np.take_along_axis(X, order[..., None], axis=1)
    series[~np.take_along_axis(observed, order, axis=1)] = np.nan
    return series

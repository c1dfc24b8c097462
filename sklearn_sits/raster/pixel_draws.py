"""Draw pixels of a cube at random."""

import math
from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.random import sample_without_replacement

from sklearn_sits._warnings import warn_user
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.raster.cube_packing import pack_positions

__all__ = ["draw_series"]

# Each chunk is read at most once per attempt, apart from those on the border of two parts.
_MOST_ATTEMPTS = 4
# Pixels that replace others, in multiples of n_pixels, per attempt.
_MOST_REPLACEMENTS = 10
# More than are expected to be needed, so that one attempt nearly always suffices.
_RESERVE = 1.2


def draw_series(layers, n_pixels, max_chunks, random_state):
    """Draw pixels that have a valid observation, and pack their series.

    Parameters
    ----------
    layers : CubeLayers
        Layers of the cube.
    n_pixels : int
        Number of pixels.
    max_chunks : int or None
        Largest number of chunks in space that hold them.
    random_state : int, RandomState instance or None
        Seed of the draw.

    Returns
    -------
    X : float32 ndarray of shape (n_series, n_dates, 1 + n_channels)
        Packed series, in the order of the pixels row by row.

    Raises
    ------
    ValueError
        If `n_pixels` or `max_chunks` is not positive, the cube has fewer pixels, or no pixel with
        a valid observation was found. See also
        :func:`~sklearn_sits.raster.cube_packing.pack_block`.
    """
    n_rows, n_columns = (sum(sizes) for sizes in layers.chunk_sizes)
    if not isinstance(n_pixels, Integral) or n_pixels < 1:
        raise ValueError(f"n_pixels must be a positive int, got {n_pixels!r}.")
    if max_chunks is not None and (not isinstance(max_chunks, Integral) or max_chunks < 1):
        raise ValueError(f"max_chunks must be a positive int or None, got {max_chunks!r}.")
    if n_pixels > n_rows * n_columns:
        raise ValueError(
            f"n_pixels={n_pixels}, but cube has {n_rows * n_columns} pixels "
            f"({n_rows} rows of {n_columns})."
        )
    generator = check_random_state(random_state)
    windows = _draw_windows(layers.chunk_sizes, max_chunks, generator)
    n_total = int((windows[:, 2] * windows[:, 3]).sum())
    tried, positions, series = np.empty(0, dtype=np.int64), [], []
    n_found = 0
    for _ in range(_MOST_ATTEMPTS):
        missing = n_pixels - n_found
        n_left = n_total - len(tried)
        if not missing or not n_left:
            break
        n_drawn = min(n_left, _count_candidates(n_pixels, missing, n_found, len(tried)))
        ranks = _draw_others(tried, n_total, n_drawn, generator)
        tried = np.union1d(tried, ranks)
        pixels = np.sort(_locate(windows, ranks, n_columns))
        kept, X = _read_usable(layers, pixels, n_columns, n_pixels)
        if len(kept) > missing:
            chosen = generator.choice(len(kept), missing, replace=False)
            # The order in which chunks were read must not decide which pixels remain.
            chosen = np.argsort(kept)[chosen]
            kept, X = kept[chosen], X[chosen]
        positions.append(kept)
        series.append(X)
        n_found += len(kept)
    if not n_found:
        raise ValueError(
            f"cube has no valid observation at any of {len(tried)} pixels that were drawn."
        )
    if n_found < n_pixels:
        warn_user(
            f"{n_found} series instead of n_pixels={n_pixels}: of {len(tried)} pixels that were "
            f"drawn from {n_total}, the others have no valid observation.",
            DataQualityWarning,
        )
    positions, X = _join(positions), _join(series)
    order = np.argsort(positions)
    return X if (np.diff(order) == 1).all() else X[order]


def _count_candidates(n_pixels, missing, n_found, n_tried):
    """Return how many pixels to draw so that the missing ones will most likely be among them."""
    if not n_tried:
        return n_pixels
    expected = math.ceil(_RESERVE * missing * (n_tried + 1) / (n_found + 1)) + 1
    return min(expected, _MOST_REPLACEMENTS * n_pixels)


def _draw_windows(chunk_sizes, max_chunks, generator):
    """Return first row, first column, height and width of the chunks, or of the whole cube."""
    rows, columns = (np.array(sizes) for sizes in chunk_sizes)
    n_chunks = len(rows) * len(columns)
    if max_chunks is None or max_chunks >= n_chunks:
        return np.array([[0, 0, rows.sum(), columns.sum()]])
    starts = np.meshgrid(np.cumsum(rows) - rows, np.cumsum(columns) - columns, indexing="ij")
    sizes = np.meshgrid(rows, columns, indexing="ij")
    windows = np.stack([*starts, *sizes], axis=-1).reshape(-1, 4)
    # Midzuno's scheme: with the first in proportion to its pixels and the others with equal
    # chances, pixels that are drawn from all of them have equal chances, in small chunks too.
    n_inside = windows[:, 2] * windows[:, 3]
    first = generator.choice(n_chunks, p=n_inside / n_inside.sum())
    others = np.delete(np.arange(n_chunks), first)
    return windows[[first, *generator.choice(others, max_chunks - 1, replace=False)]]


def _draw_others(tried, n_total, n_drawn, generator):
    """Draw numbers below `n_total` that are not among the sorted ones that were tried."""
    ranks = sample_without_replacement(n_total - len(tried), n_drawn, random_state=generator)
    # How many of those that were tried come before the number that has this rank.
    return ranks + np.searchsorted(tried - np.arange(len(tried)), ranks, side="right")


def _locate(windows, ranks, n_columns):
    """Return the pixels of the cube, counted row by row, from ranks within the windows."""
    n_inside = windows[:, 2] * windows[:, 3]
    ends = np.cumsum(n_inside)
    which = np.searchsorted(ends, ranks, side="right")
    row, column, _, width = windows[which].T
    below, right = np.divmod(ranks - (ends - n_inside)[which], width)
    return (row + below) * n_columns + column + right


def _read_usable(layers, pixels, n_columns, n_most):
    """Read pixels chunk by chunk, at most `n_most` at a time, and return the usable ones."""
    row, column = np.divmod(pixels, n_columns)
    ends = [np.cumsum(sizes) for sizes in layers.chunk_sizes]
    chunk = [
        np.searchsorted(end, values, side="right")
        for end, values in zip(ends, (row, column), strict=True)
    ]
    # Neighbours in a chunk are read together.
    order = np.lexsort(chunk[::-1])
    kept, series = [], []
    for part in np.array_split(order, -(-len(order) // n_most)):
        X, usable = pack_positions(layers, row[part], column[part], allow_incomplete=True)
        kept.append(pixels[part[usable]])
        series.append(X if usable.all() else X[usable])
    return _join(kept), _join(series)


def _join(arrays):
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

"""Chunked arrays on disk, whose rows are read on demand."""

import numpy as np
from sklearn.utils import gen_batches

__all__ = ["StoredArray", "open_stored", "row_blocks"]

# Bytes of the chunks that are opened at a time to read rows that are far apart.
_READ_BYTES = 2**24


class StoredArray:
    """Array of Zarr, HDF5 or dask whose rows are indexed as those of a numpy array.

    Parameters
    ----------
    array : array with shape, dtype, chunks and __getitem__
        Array that holds the values.
    """

    ndim = 3

    def __init__(self, array):
        self.array = array
        self.shape, self.dtype = tuple(array.shape), array.dtype
        # The chunks of dask are tuples of sizes; a contiguous data set of HDF5 has none.
        rows = array.chunks[0] if array.chunks else 1
        self.chunk_rows = rows if isinstance(rows, int) else max(rows)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        if not isinstance(key, np.ndarray):
            return np.asarray(self.array[key])
        if key.dtype == bool:
            key = np.flatnonzero(key)
        # HDF5 requires increasing rows, and the others read them faster.
        rows, index = np.unique(key, return_inverse=True)
        values = np.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        n_bytes = self.chunk_rows * self.dtype.itemsize * self.shape[1] * self.shape[2]
        group = rows // (self.chunk_rows * max(1, _READ_BYTES // n_bytes))
        for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(group)) + 1):
            values[part] = np.asarray(self.array[rows[part]])
        return values if np.array_equal(rows, key) else values[index]


def open_stored(X):
    """Wrap an array of packed series on disk.

    Parameters
    ----------
    X : array-like
        Input of an estimator.

    Returns
    -------
    X : StoredArray or array-like
        Wrapped if it is a three-dimensional array of Zarr, HDF5 or dask, otherwise unchanged.

    Raises
    ------
    TypeError
        If such an array is neither float32 nor float64.
    ValueError
        If it has no rows, or an unknown number of rows.
    """
    # A DataArray of xarray has chunks too, but knows names and returns more DataArrays.
    if isinstance(X, np.ndarray) or hasattr(X, "dims") or not hasattr(X, "chunks"):
        return X
    if len(X.shape) != 3:
        return X
    name = type(X).__module__.partition(".")[0]
    if X.dtype not in (np.float32, np.float64):
        raise TypeError(
            f"X is a {name} array with dtype {X.dtype}, expected float32 or float64. Convert it "
            "before: values are not converted while they are read."
        )
    if not X.shape[0] > 0:
        raise ValueError(
            f"X is a {name} array with {X.shape[0]} series, expected at least one. If the number "
            "of rows of a dask array is unknown, call X.compute_chunk_sizes()."
        )
    return StoredArray(X)


def row_blocks(X, n_rows):
    """Split the rows of an array into blocks.

    Parameters
    ----------
    X : ndarray or StoredArray
        Array.
    n_rows : int
        Rows of a block; rounded up to whole chunks for a stored array.

    Returns
    -------
    blocks : iterator of slice
    """
    chunk = getattr(X, "chunk_rows", 1)
    return gen_batches(len(X), -(-max(1, n_rows) // chunk) * chunk)

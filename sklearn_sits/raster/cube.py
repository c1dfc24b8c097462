"""Pack the pixels of an xarray cube."""

import itertools

import numpy as np

from sklearn_sits._module_names import set_module
from sklearn_sits.raster.cube_layers import read_cube
from sklearn_sits.raster.cube_packing import pack_block

__all__ = ["pack_cube"]


@set_module("sklearn_sits.raster")
def pack_cube(cube, *, valid=None, static=None, bands=None, origin=None, decode=False):
    """Pack all pixels of a cube into one array.

    Parameters
    ----------
    cube : xarray.DataArray or xarray.Dataset
        DataArray with the dimensions band, time and two of space in any order, or Dataset with
        one variable per band. Floating point, with its scale applied, unless `decode` is True;
        NaN means not observed.
        The coordinate time holds datetime64. If it is backed by dask, one block of pixels after
        the other is computed.
    valid : xarray.DataArray, default=None
        True where the bands are observed, with the dimensions time and space of the cube, such
        as ``scl.isin([4, 5, 6])``. Where it is True a band may still be NaN.
    static : str, xarray.DataArray, xarray.Dataset or list of them, default=None
        Channels after the bands: names of coordinates such as "x" and "y" (or variables, if
        `cube` is a Dataset), or layers on the grid of the cube. A layer without time is a
        constant channel, as in :func:`~sklearn_sits.pack`; one with time, such as the
        sun zenith of every acquisition, is an ordinary channel, not observed where `valid` is
        False.
    bands : list of str, default=None
        Bands in the order of the channels, by their names in the coordinate band or among the
        variables. None: all bands, or variables that `static` does not name, in their order.
        Name them: the order is that of the training data, and cannot be checked otherwise.
    origin : str, date, datetime or datetime64, default=None
        Day 0, the same as for the training data; None is 1970-01-01.
    decode : bool, default=False
        Apply the attributes scale_factor, add_offset and _FillValue of a cube of integers, which
        was opened with ``mask_and_scale=False``, while its pixels are packed. The result is that
        of ``mask_and_scale=True``, in a fraction of the time and memory.

    Returns
    -------
    X : float32 ndarray of shape (n_rows * n_columns, n_dates, 1 + n_bands + n_static)
        Packed series, row by row of the map: ``y.reshape(n_rows, n_columns)`` is a map. Rows are
        along y and columns along x (latitude and longitude), for other names in the order of the
        dimensions. As float32, coordinates of a projection are rounded to 0.5 m.

    Raises
    ------
    ImportError
        If xarray is not installed.
    TypeError
        If `cube`, `valid` or `static` is of another type, `valid` is not boolean, the bands are
        not real numbers, or time is not datetime64.
    ValueError
        If a dimension, a band, a coordinate or a date is missing, a layer lies on another grid,
        `cube` holds integers or its scale was not applied, a value is infinite, or a constant
        channel has NaN.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> from sklearn_sits.raster import pack_cube
    >>> time = pd.date_range("2024-01-01", periods=3)
    >>> cube = xr.DataArray(
    ...     np.zeros((2, 3, 4, 5), dtype=np.float32),
    ...     dims=("band", "time", "y", "x"),
    ...     coords={"band": ["B4", "B8"], "time": time, "x": np.arange(5), "y": np.arange(4)},
    ... )
    >>> pack_cube(cube, bands=["B8", "B4"], static=["x", "y"], origin="2024-01-01").shape
    (20, 3, 5)
    """
    layers = read_cube(cube, valid=valid, static=static, bands=bands, origin=origin, decode=decode)
    sizes = {dim: cube.sizes[dim] for dim in layers.spatial}
    shape = (*sizes.values(), len(layers.days), 1 + len(layers.names))
    X = np.empty(shape, dtype=np.float32)
    for rows, columns in _blocks(layers, sizes):
        window = dict(zip(layers.spatial, (rows, columns), strict=True))
        part = layers.map(lambda one, w=window: one.isel(w, missing_dims="ignore"))
        pack_block(part, X[rows, columns])
    return X.reshape(-1, *shape[2:])


def _blocks(layers, sizes):
    """Return pairs of slices of rows and columns: the chunks of dask, or everything at once."""
    lazy = [one for one in layers.bands if one.chunks is not None]
    if not lazy:
        return [tuple(slice(0, size) for size in sizes.values())]
    rows, columns = (
        [slice(end - size, end) for size, end in zip(sizes, np.cumsum(sizes).tolist(), strict=True)]
        for sizes in (lazy[0].chunksizes[dim] for dim in layers.spatial)
    )
    return itertools.product(rows, columns)

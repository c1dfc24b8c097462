"""Pack the pixels of an xarray cube."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import Origin
from sklearn_sits.raster.cube_layers import read_cube
from sklearn_sits.raster.cube_packing import pack_block

if TYPE_CHECKING:
    import xarray as xr

    from sklearn_sits._typing import Cube, Layers

__all__ = ["pack_cube"]


@set_module("sklearn_sits.raster")
def pack_cube(
    cube: Cube,
    *,
    valid: xr.DataArray | None = None,
    static: Layers | None = None,
    bands: Sequence[str] | None = None,
    origin: Origin = None,
    decode: bool = False,
) -> np.ndarray:
    """Pack all pixels of a cube into one array.

    Parameters
    ----------
    cube : xarray.DataArray or xarray.Dataset
        DataArray with the dimensions band, time and two of space in any order, or Dataset with
        one variable per band. Floating point with the scale applied, unless `decode` is True;
        NaN means not observed. The coordinate time holds datetime64. A cube backed by dask is
        computed block by block.
    valid : xarray.DataArray, default=None
        True where the bands are observed, with the dimensions of time and space of the cube,
        such as ``scl.isin([4, 5, 6])``. Where it is True, a band may still be NaN.
    static : str, xarray.DataArray, xarray.Dataset or list of them, default=None
        Channels after the bands: names of coordinates such as "x" and "y" (or of variables, if
        `cube` is a Dataset), or layers on the grid of the cube. A layer without time is a
        constant channel, as in :func:`~sklearn_sits.pack`. A layer with time, such as the sun
        zenith of each acquisition, is an ordinary channel, which is not observed where `valid`
        is False.
    bands : list of str, default=None
        Names of the bands in the order of the channels, from the coordinate band or from the
        variables. None: all bands, or all variables that `static` does not name, in their order.
        Give the names: a packed array has none, so another order than that of the training data
        cannot be detected.
    origin : str, date, datetime or datetime64, default=None
        Day 0, the same as for the training data; None is 1970-01-01.
    decode : bool, default=False
        Apply the attributes scale_factor, add_offset and _FillValue of a cube of integers, which
        was opened with ``mask_and_scale=False``, while its pixels are packed. The result equals
        that of ``mask_and_scale=True``, but takes a fraction of the time and memory.

    Returns
    -------
    X : float32 ndarray of shape (n_rows * n_columns, n_dates, 1 + n_bands + n_static)
        Packed series, row by row of the map: ``y.reshape(n_rows, n_columns)`` is a map. Rows run
        along y and columns along x (or latitude and longitude); dimensions with other names keep
        their order. In float32, projected coordinates are rounded to 0.5 m.

    Raises
    ------
    ImportError
        If xarray is not installed.
    TypeError
        If `cube`, `valid` or `static` has a wrong type, `valid` is not boolean, the bands are
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
    shape = (*map(sum, layers.chunk_sizes), len(layers.days), 1 + len(layers.names))
    X = np.empty(shape, dtype=np.float32)
    for rows, columns in itertools.product(*map(_slices, layers.chunk_sizes)):
        window = dict(zip(layers.spatial, (rows, columns), strict=True))
        part = layers.map(lambda one, w=window: one.isel(w, missing_dims="ignore"))
        pack_block(part, X[rows, columns])
    return X.reshape(-1, *shape[2:])


def _slices(sizes):
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]

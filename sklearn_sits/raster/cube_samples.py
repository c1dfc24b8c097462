"""Training series from a cube: at points, at random pixels or at those of a map of labels."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from sklearn_sits._extras import import_extra
from sklearn_sits._module_names import set_module
from sklearn_sits._typing import Origin, RandomState
from sklearn_sits.raster.cube_layers import check_layer, read_cube
from sklearn_sits.raster.cube_packing import pack_positions
from sklearn_sits.raster.pixel_draws import draw_series
from sklearn_sits.raster.points import find_pixels, read_points

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from sklearn_sits._typing import Cube, Layers

__all__ = ["sample_cube", "sample_labels"]


@set_module("sklearn_sits.raster")
def sample_cube(
    cube: Cube,
    points: pd.DataFrame | ArrayLike | None = None,
    *,
    n_pixels: int | None = None,
    max_chunks: int | None = None,
    random_state: RandomState = None,
    x: str = "x",
    y: str = "y",
    crs: Any = None,
    valid: xr.DataArray | None = None,
    static: Layers | None = None,
    bands: Sequence[str] | None = None,
    origin: Origin = None,
    decode: bool = False,
) -> np.ndarray:
    """Pack the series of the pixels at points, or of pixels drawn at random.

    Parameters
    ----------
    cube : xarray.DataArray or xarray.Dataset
        See :func:`~sklearn_sits.raster.pack_cube`. If it is backed by dask, only the chunks that
        hold the pixels are read, each of them once. Small chunks of large files are slow, because
        a file is opened for each of them.
    points : DataFrame, GeoDataFrame or array-like of shape (n_points, 2), default=None
        Positions: columns `x` and `y` of a table, points of a geopandas.GeoDataFrame, or two
        columns, x (or longitude) first. Give either `points` or `n_pixels`.
    n_pixels : int, default=None
        Number of pixels to draw without replacement, as unlabelled series for self-supervised
        learning.
    max_chunks : int, default=None
        With `n_pixels`: the largest number of chunks in space to draw the pixels from. The chunks
        are drawn first, then pixels from all of them. A few chunks are read much faster than the
        whole cube, but their pixels are less representative: neighbours resemble each other. None:
        draw from the whole cube, where all pixels with a valid observation have the same chance;
        the result then does not depend on the chunks.
    random_state : int, RandomState instance or None, default=None
        With `n_pixels`: seed of the draw.
    x, y : str, default="x", "y"
        Columns of the table.
    crs : str, int or CRS, default=None
        Coordinate reference system of the points, such as 4326 for longitude and latitude. None:
        that of the GeoDataFrame, or else that of the cube.
    valid, static, bands, origin, decode
        See :func:`~sklearn_sits.raster.pack_cube`. With ``static=["x", "y"]`` the last two
        channels hold the positions of the pixels.

    Returns
    -------
    X : float32 ndarray of shape (n_series, n_dates, 1 + n_bands + n_static)
        Series of the pixels whose centres are nearest, in the order of the points: the labels
        are a column of the table. With `n_pixels`: series of the pixels that were drawn, in their
        order row by row.

    Raises
    ------
    ImportError
        If xarray is not installed.
    TypeError, ValueError
        See :func:`~sklearn_sits.raster.pack_cube`; also if a column is missing, a position is not
        a finite number, a geometry is no point, points lie outside of the cube, its coordinates
        are not monotonic, or `crs` is not known or differs from that of the GeoDataFrame; if the
        points have a coordinate reference system and the cube has none; if not exactly one of
        `points` and `n_pixels` is given, `n_pixels` or `max_chunks` is not positive, the cube has
        fewer pixels than `n_pixels`, or none of those that were drawn has a valid observation.

    Warns
    -----
    DataQualityWarning
        If fewer than `n_pixels` pixels with a valid observation were found.

    Notes
    -----
    A pixel that is drawn but has no valid observation in any band, or has NaN in a constant layer,
    is replaced by another one, in the drawn chunks if `max_chunks` is given. This takes up to
    three more reads of at most ten times `n_pixels` pixels each. If `valid` marks only a small
    part of the cube, such as forest, there may be fewer series than `n_pixels`.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> from sklearn_sits.raster import sample_cube
    >>> cube = xr.DataArray(
    ...     np.arange(60.0).reshape(1, 3, 4, 5),
    ...     dims=("band", "time", "y", "x"),
    ...     coords={
    ...         "time": pd.date_range("2024-01-01", periods=3, freq="10D"),
    ...         "x": 10.0 * np.arange(5),
    ...         "y": 10.0 * np.arange(4),
    ...     },
    ... )
    >>> points = pd.DataFrame({"x": [2.0, 38.0], "y": [0.0, 11.0], "crop": ["wheat", "maize"]})
    >>> X = sample_cube(cube, points, origin="2024-01-01")
    >>> X[..., 1]
    array([[ 0., 20., 40.],
           [ 9., 29., 49.]], dtype=float32)

    Unlabelled series, all of one chunk:

    >>> X = sample_cube(cube.chunk(x=2), n_pixels=6, max_chunks=1, random_state=0, static="x")
    >>> X.shape, len(np.unique(X[:, 0, -1]))
    ((6, 3, 3), 2)
    """
    if (points is None) == (n_pixels is None):
        raise ValueError(
            "sample_cube takes either points or n_pixels, got "
            + ("neither." if points is None else f"points and n_pixels={n_pixels!r}.")
        )
    if points is not None and max_chunks is not None:
        raise ValueError(f"max_chunks={max_chunks!r} limits the draw of n_pixels, got points.")
    layers = read_cube(cube, valid=valid, static=static, bands=bands, origin=origin, decode=decode)
    if points is None:
        return draw_series(layers, n_pixels, max_chunks, random_state)
    xy = read_points(points, x, y, crs, cube)
    row, column = find_pixels(cube, layers.spatial, xy)
    return pack_positions(layers, row, column)[0]


@set_module("sklearn_sits.raster")
def sample_labels(
    cube: Cube,
    labels: xr.DataArray,
    *,
    nodata: int | None = None,
    n_per_class: int | None = None,
    random_state: RandomState = None,
    valid: xr.DataArray | None = None,
    static: Layers | None = None,
    bands: Sequence[str] | None = None,
    origin: Origin = None,
    decode: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Pack the series of labelled pixels.

    Parameters
    ----------
    cube : xarray.DataArray or xarray.Dataset
        See :func:`~sklearn_sits.raster.pack_cube`.
    labels : xarray.DataArray
        Whole numbers on the grid of the cube, without time; in floating point, NaN is no label.
    nodata : int, default=None
        Label of the pixels to leave out. None: the attribute `_FillValue` or `nodata` of
        `labels`, which floating point does not need.
    n_per_class : int, default=None
        Number of pixels to draw from each class without replacement; all pixels of a class that
        has fewer. None: all pixels.
    random_state : int, RandomState instance or None, default=None
        Seed of the selection.
    valid, static, bands, origin, decode
        See :func:`~sklearn_sits.raster.pack_cube`. With ``static=["x", "y"]`` the last two
        channels hold the positions, from which to make the blocks of a cross-validation.

    Returns
    -------
    X : float32 ndarray of shape (n_series, n_dates, 1 + n_bands + n_static)
        Packed series, in the order of the pixels row by row.
    y : int ndarray of shape (n_series,)
        Their labels.

    Raises
    ------
    ImportError
        If xarray is not installed.
    TypeError
        See :func:`~sklearn_sits.raster.pack_cube`; also if `labels` is not a DataArray of
        whole numbers.
    ValueError
        See :func:`~sklearn_sits.raster.pack_cube`; also if `labels` lies on another grid or holds
        no label, `nodata` is not known, or `n_per_class` is not positive.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> from sklearn_sits.raster import sample_labels
    >>> cube = xr.DataArray(
    ...     np.random.default_rng(0).uniform(size=(2, 3, 4, 5)),
    ...     dims=("band", "time", "y", "x"),
    ...     coords={"time": pd.date_range("2024-01-01", periods=3, freq="10D")},
    ... )
    >>> crops = xr.DataArray(np.repeat([[0], [1], [2], [2]], 5, axis=1), dims=("y", "x"))
    >>> X, y = sample_labels(cube, crops, nodata=0, n_per_class=4, random_state=0)
    >>> X.shape, y.tolist()
    ((8, 3, 3), [1, 1, 1, 1, 2, 2, 2, 2])
    """
    layers = read_cube(cube, valid=valid, static=static, bands=bands, origin=origin, decode=decode)
    xr = import_extra("xarray")
    if not isinstance(labels, xr.DataArray):
        raise TypeError(f"labels must be an xarray DataArray, got {type(labels).__name__}.")
    if labels.dtype.kind not in "iuf":
        raise TypeError(f"labels must be whole numbers, got dtype {labels.dtype}.")
    if set(labels.dims) != set(layers.spatial):
        single = [dim for dim in labels.dims if dim not in layers.spatial and labels[dim].size == 1]
        raise ValueError(
            f"labels has the dimensions {labels.dims}, expected {layers.spatial}."
            + (f' Try labels.squeeze("{single[0]}", drop=True).' if single else "")
        )
    check_layer(labels, "labels", cube, layers.spatial)
    if nodata is None:
        nodata = labels.attrs.get("_FillValue", labels.attrs.get("nodata"))
    if nodata is None and labels.dtype.kind != "f":
        raise ValueError("nodata must be given: the attributes of labels have no _FillValue.")
    if n_per_class is not None and (not isinstance(n_per_class, Integral) or n_per_class < 1):
        raise ValueError(f"n_per_class must be a positive int or None, got {n_per_class!r}.")
    values, labelled = _read_labels(labels.transpose(*layers.spatial).values, nodata)
    chosen = np.flatnonzero(labelled)
    if not chosen.size:
        raise ValueError(f"labels has no pixel that is not nodata ({nodata}).")
    if n_per_class is not None:
        generator = check_random_state(random_state)
        found = values.flat[chosen]
        parts = [chosen[found == label] for label in np.unique(found)]
        parts = [
            generator.choice(part, min(n_per_class, part.size), replace=False) for part in parts
        ]
        chosen = np.sort(np.concatenate(parts))
    row, column = np.unravel_index(chosen, values.shape)
    return pack_positions(layers, row, column)[0], values[row, column]


def _read_labels(values, nodata):
    """Return labels as integers, and where there is one."""
    labelled = np.ones(values.shape, dtype=bool) if nodata is None else values != nodata
    if values.dtype.kind in "iu":
        return values, labelled
    labelled &= ~np.isnan(values)
    found = values[labelled]
    fractions = found[found != np.floor(found)]
    if fractions.size:
        raise TypeError(f"labels must be whole numbers, got {fractions[0]:g}.")
    return np.where(labelled, values, 0).astype(np.int64), labelled

"""Predict every pixel of an xarray cube."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sklearn_sits._extras import import_extra
from sklearn_sits._module_names import set_module
from sklearn_sits._typing import Origin
from sklearn_sits._warnings import CollectedWarning, collect_warnings
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.raster.cube_layers import read_cube
from sklearn_sits.raster.cube_packing import arrange_axes, pack_pixels
from sklearn_sits.raster.fingerprint import fingerprint
from sklearn_sits.raster.fitted_dates import check_dates
from sklearn_sits.raster.map_warnings import MapWarnings, WarningRecords, gather_warnings
from sklearn_sits.raster.model_channels import find_channels
from sklearn_sits.raster.output import RasterOutput, describe_output, predict_series
from sklearn_sits.raster.thread_limits import one_thread

if TYPE_CHECKING:
    import xarray as xr

    from sklearn_sits._typing import Cube, Layers

__all__ = ["predict_raster"]

# Packed series that are passed to the estimator at a time.
_BATCH_BYTES = 2**25
# Chunks that are split along time are joined into blocks of all dates up to this size.
_LARGEST_BLOCK = 2**30
# Attributes of a cube that hold for a part of it, too; not the transform.
_GEO_ATTRS = ("grid_mapping", "crs")
_INFINITE = (
    "{values} values of the cube in {series} of {total} series are infinite, or too large for "
    "float32, and count as not observed."
)


class _Block(NamedTuple):
    """Settings of the prediction of a block, without its arrays and the estimator."""

    dims: tuple
    order: tuple
    scales: tuple
    constant: tuple
    has_valid: bool
    days: np.ndarray
    n_channels: int
    n_bands: int
    batch_size: int
    output: RasterOutput
    warnings: MapWarnings


@set_module("sklearn_sits.raster")
def predict_raster(
    estimator: Any,
    cube: Cube,
    *,
    method: str = "predict",
    return_std: bool = False,
    valid: xr.DataArray | None = None,
    static: Layers | None = None,
    bands: Sequence[str] | None = None,
    origin: Origin = None,
    decode: bool = False,
    batch_size: int | None = None,
) -> xr.DataArray:
    """Predict every pixel of a cube.

    Parameters
    ----------
    estimator : estimator instance
        Fitted estimator or pipeline that takes packed series.
    cube : xarray.DataArray or xarray.Dataset
        See :func:`~sklearn_sits.raster.pack_cube`. If it is backed by dask, so is the result, and
        nothing is computed here. Its chunks should hold all dates; chunks that are split along
        time are joined if a block then has at most 1 GiB.
    method : str, default="predict"
        Method of the estimator, such as "predict_proba", "transform", "predict_latent" or
        "predict_interval".
    return_std : bool, default=False
        Call the method with ``return_std=True``, for mean and standard deviation.
    valid, static, bands
        See :func:`~sklearn_sits.raster.pack_cube`. A pixel whose constant layer is NaN is not
        predicted. A model that knows the names of its bands and angles, such as
        :class:`~sklearn_sits.ProsailVAERegressor`, finds them in the cube: leave `bands` out, and
        `static` if the angles are variables or coordinates of the cube. Names that are given may
        have any order.
    origin : str, date, datetime or datetime64, default=None
        Day 0 of the training data; None is 1970-01-01, as in :func:`~sklearn_sits.pack`.
        It must be given if the estimator does not know the dates that it was fitted on. To
        apply a model to another year, move it by the difference: a model fitted on 2023 with
        ``origin="2023-01-01"`` predicts 2024 with ``origin="2024-01-01"``.
    decode : bool, default=False
        See :func:`~sklearn_sits.raster.pack_cube`.
    batch_size : int, default=None
        Number of pixels that are passed to the estimator at a time. None: as many as fit into
        32 MiB. It has no effect on the predictions of an estimator that treats each series
        independently.

    Returns
    -------
    raster : xarray.DataArray
        The map, with the coordinates of the cube and these dimensions before those of space:
        "statistic" (mean and std, or lower and upper) if the method returns a tuple; "class",
        "target" or "feature" if it returns several columns; "time" if it returns a value per
        date. Numbers are float32, and NaN where there is no observation. Class labels are
        integers: the labels themselves if they are whole numbers, otherwise their positions in
        `classes_`, with `_FillValue`, `flag_values`, `flag_meanings` and `class_names` in the
        attributes; only the latter keep their spaces. Units come from the attribute `units_` of
        the estimator, a mapping of targets to units, if there is one. The attributes
        `time_coverage_start` and `time_coverage_end` are the first and the last date of the cube.

    Raises
    ------
    ImportError
        If xarray is not installed.
    TypeError, ValueError
        See :func:`~sklearn_sits.raster.pack_cube`; also if the estimator has no such method, was
        fitted on other channels or needs bands or angles that are missing, no date of the cube
        lies within the dates that it was fitted on, `origin` is missing, or the joined chunks of a
        cube that is split along time are too large.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.

    Warns
    -----
    DataQualityWarning
        If most dates of the cube lie outside of those that the estimator was fitted on. When
        pixels are computed, also if values count as not observed because they are infinite or out
        of range, or if the medians of bands lie outside of the training data.

    Notes
    -----
    A pixel without a valid observation in any band is not passed to the estimator. One bad value
    never stops a map: it counts as not observed. A map in memory, and one that
    :func:`~sklearn_sits.raster.write_map` writes, gives one warning of each kind, which counts
    the values of all blocks; if you call ``compute``, the first block with such values warns.

    Where dask computes blocks in parallel, PyTorch, BLAS, OpenMP and joblib use one thread per
    block, whatever `n_jobs` is; their settings are restored afterwards. The estimator is one node
    of the graph, which each worker receives once.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_sits import LinearInterpolator
    >>> from sklearn_sits.raster import pack_cube, predict_raster
    >>> cube = xr.DataArray(
    ...     np.random.default_rng(0).uniform(size=(2, 3, 4, 5)),
    ...     dims=("band", "time", "y", "x"),
    ...     coords={"time": pd.date_range("2024-01-01", periods=3, freq="10D")},
    ... )
    >>> forest = make_pipeline(LinearInterpolator(), RandomForestClassifier(5, random_state=0))
    >>> forest = forest.fit(pack_cube(cube), np.arange(20) % 2)
    >>> predict_raster(forest, cube, method="predict_proba").dims
    ('class', 'y', 'x')
    """
    xr = import_extra("xarray")
    bands, static = find_channels(estimator, cube, bands, static)
    layers = read_cube(cube, valid=valid, static=static, bands=bands, origin=origin, decode=decode)
    check_dates(estimator, layers.days, origin)
    n_channels = len(layers.names)
    output = describe_output(
        estimator, method, return_std, layers.days, layers.n_bands, n_channels - layers.n_bands
    )
    if batch_size is None:
        batch_size = max(1, _BATCH_BYTES // (4 * len(layers.days) * (1 + n_channels)))
    elif not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size must be a positive int or None, got {batch_size!r}.")

    digest = fingerprint(
        estimator, method, return_std, layers.days, layers.names, layers.scales, valid is None
    )
    layers = _align_chunks(layers)
    block = _Block(
        tuple(variable.dims for variable in layers.variables),
        (*layers.spatial, "time", "band"),
        tuple(layers.scales),
        tuple(layers.constant),
        valid is not None,
        layers.days,
        n_channels,
        layers.n_bands,
        batch_size,
        output,
        MapWarnings(digest),
    )
    if any(variable.chunks is not None for variable in layers.variables):
        values = _predict_lazily(estimator, layers, block, digest)
    else:
        arrays = [one.values for one in layers.variables]
        with gather_warnings(digest):
            values = _predict_block(estimator, *arrays, block=block)
    result = xr.Variable((*layers.spatial, *output.dims), values)
    # In a map the dimensions of the prediction come before those of space, in reverse.
    result = result.transpose(*reversed(output.dims), *layers.spatial)
    attrs = _geo_attrs(cube) | _period(cube) | output.attrs | {"fingerprint": digest}
    coords = _spatial_coords(cube, layers.spatial, attrs) | output.coords
    if "time" in output.dims:
        coords["time"] = cube["time"].variable
    return xr.DataArray(result, coords=coords, name=output.name, attrs=attrs)


def _align_chunks(layers):
    """Return the layers in chunks of all bands and dates, cut alike in space."""
    lazy = [variable for variable in layers.variables if variable.chunks is not None]
    full = [variable for variable in lazy if set(layers.spatial) <= set(variable.dims)]
    if not lazy:
        return layers
    if not full:
        # Only a small layer is lazy.
        return layers.map(lambda one: one if one.chunks is None else one.compute())
    cut = {dim: full[0].chunksizes[dim] for dim in layers.spatial}
    joined = [
        dim
        for one in layers.bands
        for dim in ("time", "band")
        if len(one.chunksizes.get(dim, ())) > 1
    ]
    largest = {dim: max(sizes) for dim, sizes in cut.items()}
    n_bytes = int(np.prod([*largest.values()])) * len(layers.days) * layers.n_bands * 4
    if joined and n_bytes > _LARGEST_BLOCK:
        raise ValueError(
            f"cube is cut along {joined[0]}, and a block of all dates and bands would have "
            f"{n_bytes / 2**30:.1f} GiB with its chunks of {largest}. Open it with smaller chunks "
            f"in space and all dates in one: chunks={{'time': -1, "
            + ", ".join(f"'{dim}': 256" for dim in largest)
            + "}."
        )
    chunks = cut | {"time": -1, "band": -1}

    def align(one):
        if one.chunks is None and not set(layers.spatial) <= set(one.dims):
            return one
        return one.chunk({dim: size for dim, size in chunks.items() if dim in one.dims})

    return layers.map(align)


def _predict_lazily(estimator, layers, block, digest):
    """Return a dask array of the predictions, with the axes of space first."""
    array, delayed = import_extra("dask.array"), import_extra("dask.delayed")
    node = delayed.delayed(estimator, name=f"estimator-{digest}", traverse=False)
    args = [array.from_delayed(node, (), meta=np.empty((), dtype=object)), ()]
    for variable in layers.variables:
        args += [array.asarray(variable.data), variable.dims]
    output = block.output
    shape = dict(zip(output.dims, output.shape, strict=True))
    shape.pop("time", None)
    return array.blockwise(
        partial(_predict_block, block=block),
        (*layers.spatial, *output.dims),
        *args,
        new_axes=shape,
        # A block has all dates and bands: to concatenate would only copy it.
        concatenate=False,
        dtype=output.dtype,
        meta=np.empty((0,) * (2 + len(output.dims)), dtype=output.dtype),
    )


def _predict_block(estimator, *arrays, block):
    """Predict the pixels of a block from arrays with the dimensions `block.dims`."""
    arrays = [
        arrange_axes(_unnest(array), dims, block.order)
        for array, dims in zip(arrays, block.dims, strict=True)
    ]
    bands, extras = arrays[: len(block.scales)], arrays[len(block.scales) :]
    valid = extras.pop()[..., 0] if block.has_valid else None
    n_rows, n_columns = bands[0].shape[:2]
    output = block.output
    result = np.full((n_rows, n_columns, *output.shape), output.nodata, dtype=output.dtype)
    series = (len(block.days), 1 + block.n_channels)
    # One for all batches: to allocate it takes a third of the time of the packing.
    buffer = np.empty((min(block.batch_size, n_rows * n_columns), *series), dtype=np.float32)
    records = WarningRecords()
    with one_thread():
        for window in _windows(n_rows, n_columns, block.batch_size):
            values = result[window]
            X = buffer[: values.shape[0] * values.shape[1]]
            seen, complete = pack_pixels(
                [_select(one, window) for one in bands],
                block.scales,
                [_select(one, window) for one in extras],
                block.constant,
                None if valid is None else valid[window],
                block.days,
                X.reshape(*values.shape[:2], *series),
            )
            seen &= complete
            records.n_pixels += np.count_nonzero(seen)
            with collect_warnings() as collected:
                _drop_infinities(X, seen.reshape(-1), block, collected)
                if seen.any():
                    chosen = X if seen.all() else X[seen.ravel()]
                    values[seen] = predict_series(estimator, output, chosen)
            records.add_batch(collected)
    block.warnings.add(records)
    return result


def _drop_infinities(X, seen, block, collected):
    """Replace infinities by NaN, and note pixels of which nothing is left, both in place."""
    if np.isfinite([np.fmin.reduce(X, axis=None), np.fmax.reduce(X, axis=None)]).all():
        return
    infinite = np.isinf(X)
    counts = {
        "values": np.count_nonzero(infinite),
        "series": np.count_nonzero(infinite.any(axis=(1, 2))),
    }
    collected.append(CollectedWarning(_INFINITE, DataQualityWarning, counts))
    X[infinite] = np.nan
    seen &= ~np.isnan(X[..., 1 : 1 + block.n_bands]).all(axis=(1, 2))
    for channel, constant in enumerate(block.constant, start=1 + block.n_bands):
        if constant:
            seen &= ~np.isnan(X[:, 0, channel])


def _unnest(array):
    """Take an array out of the nested lists of the blocks along the axes of dask."""
    while isinstance(array, list):
        (array,) = array
    return array


def _windows(n_rows, n_columns, batch_size):
    """Yield pairs of slices of rows and columns with at most `batch_size` pixels."""
    width = min(n_columns, batch_size)
    height = max(1, batch_size // width)
    for row in range(0, n_rows, height):
        for column in range(0, n_columns, width):
            yield (
                slice(row, min(row + height, n_rows)),
                slice(column, min(column + width, n_columns)),
            )


def _select(array, window):
    """Select a window of an array, except along axes of length one, which serve all pixels."""
    return array[
        tuple(s if n > 1 else slice(None) for s, n in zip(window, array.shape, strict=False))
    ]


def _geo_attrs(cube):
    first = next(iter(cube.data_vars.values())) if hasattr(cube, "data_vars") else cube
    known = {**cube.attrs, **first.attrs, **cube.encoding, **first.encoding}
    # As text, as which it can be stored: libraries leave objects here.
    return {name: str(known[name]) for name in _GEO_ATTRS if name in known}


def _period(cube):
    """Return the first and the last date, by their names in the convention ACDD."""
    time = cube["time"].values
    return {
        f"time_coverage_{name}": f"{np.datetime_as_string(date, unit='s')}Z"
        for name, date in {"start": time.min(), "end": time.max()}.items()
    }


def _spatial_coords(cube, spatial, attrs):
    """Return the coordinates along rows and columns, and that of the coordinate system."""
    systems = ("spatial_ref", attrs.get("grid_mapping"))
    return {
        name: coord.variable
        for name, coord in cube.coords.items()
        if (coord.dims and set(coord.dims) <= set(spatial)) or name in systems
    }

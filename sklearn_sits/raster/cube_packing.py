"""Pack blocks of the pixels of a cube."""

import numpy as np

from sklearn_sits._extras import import_extra
from sklearn_sits.raster.band_scale import check_scale, decode

__all__ = ["arrange_axes", "pack_block", "pack_pixels", "pack_positions"]

# Pixels packed at a time: their series stay in the cache of the processor while the bands, which
# are far apart in the cube, are written next to each other.
_TILE = 256


def pack_positions(layers, row, column, *, allow_incomplete=False):
    """Read and pack the series of single pixels.

    Parameters
    ----------
    layers : CubeLayers
        Layers of the cube.
    row, column : int ndarray of shape (n_series,)
        Positions of the pixels in the cube.
    allow_incomplete : bool, default=False
        Accept NaN in a constant channel.

    Returns
    -------
    X : float32 ndarray of shape (n_series, n_dates, 1 + n_channels)
        Packed series.
    usable : bool ndarray of shape (n_series,)
        Pixels with an observation in a band, and without NaN in a constant channel.

    Raises
    ------
    ValueError
        See :func:`pack_block`.
    """
    Variable = import_extra("xarray").Variable
    where = dict(
        zip(layers.spatial, (Variable("series", row), Variable("series", column)), strict=True)
    )
    # They are packed as a map with one row.
    picked = layers.map(lambda one: one.isel(where, missing_dims="ignore"))
    picked = picked._replace(spatial=("row", "series"))
    X = np.empty((1, len(row), len(layers.days), 1 + len(layers.names)), dtype=np.float32)
    usable = pack_block(picked, X, allow_incomplete=allow_incomplete)
    return X[0], usable[0]


def pack_block(layers, X, *, allow_incomplete=False):
    """Read layers and pack them.

    Parameters
    ----------
    layers : CubeLayers
        Layers of some pixels, backed by dask or not.
    X : float32 ndarray of shape (n_rows, n_columns, n_dates, 1 + n_channels)
        Receives the series.
    allow_incomplete : bool, default=False
        Accept NaN in a constant channel.

    Returns
    -------
    usable : bool ndarray of shape (n_rows, n_columns)
        Pixels with an observation in a band, and without NaN in a constant channel.

    Raises
    ------
    ValueError
        If the scale of the cube was not applied, a value is infinite, or a constant channel has
        NaN that is not allowed.
    """
    variables = layers.variables
    if any(one.chunks is not None for one in variables):
        # In one go: bands and extras may come from the same files.
        data = import_extra("dask").compute(*(one.data for one in variables))
        variables = [one.copy(data=array) for one, array in zip(variables, data, strict=True)]
    order = (*layers.spatial, "time", "band")
    arrays = [arrange_axes(one.values, one.dims, order) for one in variables]
    n_bands, n_layers = len(layers.bands), len(layers.bands) + len(layers.extras)
    valid = None if layers.valid is None else arrays[-1][..., 0]
    extras = arrays[n_bands:n_layers]
    seen, complete = pack_pixels(
        arrays[:n_bands], layers.scales, extras, layers.constant, valid, layers.days, X
    )
    _check_finite(layers, X)
    if not allow_incomplete:
        _check_complete(layers, X)
    return seen & complete


# A value beyond the range of float32 becomes infinite, which is refused afterwards.
@np.errstate(over="ignore")
def pack_pixels(bands, scales, extras, constant, valid, days, X):
    """Pack a rectangle of pixels.

    Parameters
    ----------
    bands, extras : list of ndarray
        With the axes row, column, date and band; an axis along which all values are equal may
        have length one.
    scales : list of BandScale
        Scale of each of `bands`.
    constant : list of bool
        For each of the extras, whether it has no dates.
    valid : bool ndarray of shape (n_rows, n_columns, n_dates) or None
        True where the bands are observed.
    days : ndarray of shape (n_dates,)
        Dates.
    X : float32 ndarray of shape (n_rows, n_columns, n_dates, 1 + n_channels)
        Receives the series.

    Returns
    -------
    seen : bool ndarray of shape (n_rows, n_columns)
        Pixels with an observation in a band.
    complete : bool ndarray of shape (n_rows, n_columns)
        Pixels without NaN in a constant channel.

    Raises
    ------
    ValueError
        If the scale of a band was not applied.
    """
    n_rows, n_columns = X.shape[:2]
    for layer, scale in zip(bands, scales, strict=True):
        check_scale(layer, scale)
    seen = np.zeros((n_rows, n_columns), dtype=bool)
    complete = np.ones((n_rows, n_columns), dtype=bool)
    # To allocate memory for every tile would cost as much as the decoding.
    size = max(layer.shape[2] * layer.shape[3] for layer in bands) * min(_TILE, n_columns)
    buffer = np.empty(size, dtype=np.float32)
    for row in range(n_rows):
        for start in range(0, n_columns, _TILE):
            columns = slice(start, min(start + _TILE, n_columns))
            tile = X[row, columns]
            tile[..., 0] = days
            # NaN where not observed, to be added: dates first, as most cubes are stored.
            cloud = None
            if valid is not None:
                cloud = np.where(valid[row, columns].T, np.float32(0), np.float32(np.nan))
            channel, all_seen = 1, False
            for layer, scale in zip(bands, scales, strict=True):
                values = decode(layer[row, columns].T, scale, buffer)
                if cloud is not None:
                    values = values + cloud
                for band in values:
                    tile[..., channel] = band.T
                    if not all_seen:
                        seen[row, columns] |= ~np.isnan(band).all(axis=0)
                        all_seen = seen[row, columns].all()
                    channel += 1
            for layer, is_constant in zip(extras, constant, strict=True):
                # Where an axis has length one, its only entry serves all pixels.
                r = row if layer.shape[0] > 1 else 0
                c = columns if layer.shape[1] > 1 else slice(None)
                tile[..., channel] = layer[r, c, :, 0]
                if is_constant:
                    complete[row, columns] &= ~np.isnan(tile[:, 0, channel])
                elif cloud is not None:
                    tile[..., channel] += cloud.T
                channel += 1
    return seen, complete


def arrange_axes(array, dims, order):
    """Give an array all axes in order, with length one where it has none.

    Parameters
    ----------
    array : ndarray
        Array.
    dims : sequence of str
        Its dimensions.
    order : sequence of str
        Dimensions of the result.

    Returns
    -------
    array : ndarray
        A view.
    """
    array = array.transpose([dims.index(dim) for dim in order if dim in dims])
    return array[tuple(slice(None) if dim in dims else None for dim in order)]


def _check_finite(layers, X):
    infinite = np.isinf(X)
    if infinite.any():
        channel = int(np.unravel_index(infinite.argmax(), X.shape)[-1])
        raise ValueError(
            f"cube has infinite values, or too large for float32, in {layers.names[channel - 1]!r}."
            " Use NaN where nothing is observed."
        )


def _check_complete(layers, X):
    for i, constant in enumerate(layers.constant, start=layers.n_bands):
        n_missing = np.count_nonzero(np.isnan(X[..., 0, 1 + i]))
        if n_missing and constant:
            raise ValueError(
                f"static layer {layers.names[i]!r} has NaN at {n_missing} pixels. Fill it, or "
                "leave these pixels out."
            )

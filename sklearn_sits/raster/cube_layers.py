"""The layers of an xarray cube, checked before their values are read."""

from typing import Any, NamedTuple

import numpy as np

from sklearn_sits._extras import import_extra
from sklearn_sits.raster.band_scale import read_scale
from sklearn_sits.series.packing import pack

__all__ = ["CubeLayers", "check_layer", "read_cube"]

# Pairs of dimensions that are (row, column) in any order of the dimensions of the cube.
_SPATIAL = [("y", "x"), ("latitude", "longitude"), ("lat", "lon")]


class CubeLayers(NamedTuple):
    """The xarray variables from which the channels of a packed array are made.

    Parameters
    ----------
    bands : list of xarray.Variable
        Bands in the order of the channels: one variable with the dimension "band", or one per
        band.
    scales : list of BandScale
        Scale of each variable in `bands`.
    extras : list of xarray.Variable
        Channels after the bands; those without time are constant.
    valid : xarray.Variable or None
        True where the bands are observed.
    names : list of str
        Names of the channels after the date.
    n_bands : int
        Number of bands among the channels.
    days : float32 ndarray of shape (n_dates,)
        Dates of the cube as channel 0 of a packed array.
    spatial : tuple of str
        Dimensions of the rows and of the columns.
    """

    bands: list
    scales: list
    extras: list
    valid: Any
    names: list
    n_bands: int
    days: np.ndarray
    spatial: tuple

    @property
    def variables(self):
        """All variables, `valid` last if there is one."""
        return [*self.bands, *self.extras, *([] if self.valid is None else [self.valid])]

    @property
    def constant(self):
        """For each of the extras, whether it has no dates."""
        return ["time" not in one.dims for one in self.extras]

    @property
    def chunk_sizes(self):
        """Sizes of the chunks along the rows and along the columns; one chunk without dask."""
        lazy = [one for one in self.bands if one.chunks is not None]
        if not lazy:
            return [(self.bands[0].sizes[dim],) for dim in self.spatial]
        return [lazy[0].chunksizes[dim] for dim in self.spatial]

    def map(self, function):
        """Apply a function to each variable.

        Parameters
        ----------
        function : callable
            From an xarray.Variable to another one.

        Returns
        -------
        layers : CubeLayers
        """
        valid = None if self.valid is None else function(self.valid)
        return self._replace(
            bands=[function(one) for one in self.bands],
            extras=[function(one) for one in self.extras],
            valid=valid,
        )


def read_cube(cube, *, valid=None, static=None, bands=None, origin=None, decode=False):
    """Check a cube and its layers, without reading their values.

    Parameters
    ----------
    cube, valid, static, bands, origin, decode
        See :func:`sklearn_sits.raster.pack_cube`.

    Returns
    -------
    layers : CubeLayers

    Raises
    ------
    ValueError, TypeError
        See :func:`sklearn_sits.raster.pack_cube`.
    """
    xr = import_extra("xarray")
    if not isinstance(cube, xr.DataArray | xr.Dataset):
        raise TypeError(f"cube must be an xarray DataArray or Dataset, got {type(cube).__name__}.")
    static = _list_static(static, xr)
    if isinstance(cube, xr.Dataset):
        names, variables = _bands_of_dataset(cube, bands, static)
    else:
        names, variables = _bands_of_array(cube, bands)
    spatial = _check_dims(names, variables)
    scales = _read_scales(names, variables, decode)
    extras = {}
    for item in static:
        for name, layer in _open_static(item, cube, xr):
            if name in extras or name in names:
                raise ValueError(f"static names the channel {name!r} twice, or it is a band.")
            check_layer(layer, f"static layer {name!r}", cube, spatial)
            _check_static_values(name, layer)
            extras[name] = layer.variable.to_base_variable()
    if valid is not None:
        _check_valid(valid, cube, spatial, xr)
        valid = valid.variable.to_base_variable()
    return CubeLayers(
        variables,
        scales,
        list(extras.values()),
        valid,
        [str(name) for name in [*names, *extras]],
        len(names),
        _days(cube, origin),
        spatial,
    )


def _list_static(static, xr):
    if static is None:
        return []
    items = [static] if isinstance(static, str | xr.DataArray | xr.Dataset) else list(static)
    for item in items:
        if not isinstance(item, str | xr.DataArray | xr.Dataset):
            raise TypeError(
                "static must hold names of coordinates, DataArrays or Datasets, got "
                f"{type(item).__name__}."
            )
    return items


def _check_names(bands):
    names = [bands] if isinstance(bands, str) else list(bands)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"bands must name one band or more, each once, got {names}.")
    return names


def _bands_of_dataset(cube, bands, static):
    if bands is None:
        extra = [item for item in static if isinstance(item, str)]
        bands = [name for name in cube.data_vars if name not in extra]
    names = _check_names(bands)
    missing = [name for name in names if name not in cube.data_vars]
    if missing:
        raise ValueError(
            f"bands: cube has no variable {missing}; its variables are {list(cube.data_vars)}."
        )
    return names, [cube[name].variable for name in names]


def _bands_of_array(cube, bands):
    if "band" not in cube.dims:
        raise ValueError(
            f"cube must have the dimensions band, time and two of space, got {cube.dims}. Rename "
            'with cube.rename(..., ...="band"); a single band is cube.expand_dims("band").'
        )
    if not cube.sizes["band"]:
        raise ValueError("cube has no band.")
    if bands is None:
        names = cube["band"].values if "band" in cube.coords else np.arange(cube.sizes["band"]) + 1
        return _check_names(names.tolist()), [cube.variable]
    names = _check_names(bands)
    if "band" not in cube.coords:
        raise ValueError(f"bands={names}, but cube has no coordinate band that names its bands.")
    found = cube["band"].values.tolist()
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"bands: cube has no band {missing}; its bands are {found}.")
    positions = [found.index(name) for name in names]
    if positions == list(range(len(found))):
        return names, [cube.variable]
    return names, [cube.variable.isel(band=positions)]


def _check_dims(names, variables):
    """Return the dimensions of the rows and of the columns."""
    dims = [dim for dim in variables[0].dims if dim != "band"]
    for name, variable in zip(names, variables, strict=False):
        if set(variable.dims) - {"band"} != set(dims):
            raise ValueError(
                f"The bands of cube differ in dimensions: {names[0]!r} has {variables[0].dims}, "
                f"{name!r} has {variable.dims}. Name the bands in bands, other layers in static."
            )
    if "time" not in dims:
        raise ValueError(
            f"cube must have the dimension time, got {tuple(dims)}. "
            + (
                "Give a single image its date: "
                'cube.expand_dims(time=[numpy.datetime64("2024-06-01", "ns")]).'
                if len(dims) == 2
                else 'Rename with cube.rename(...="time").'
            )
        )
    dims.remove("time")
    if len(dims) != 2:
        raise ValueError(f"cube must have two dimensions besides band and time, got {tuple(dims)}.")
    if 0 in variables[0].shape:
        raise ValueError(f"cube is empty: {dict(variables[0].sizes)}.")
    for pair in _SPATIAL:
        if set(dims) == set(pair):
            return pair
    return tuple(dims)


def _read_scales(names, variables, decode):
    return [
        read_scale(one, "cube" if "band" in one.dims else f"band {name!r} of cube", decode)
        for name, one in zip(names, variables, strict=False)
    ]


def _open_static(item, cube, xr):
    """Return pairs of name and DataArray."""
    if isinstance(item, xr.Dataset):
        return list(item.data_vars.items())
    if isinstance(item, xr.DataArray):
        if item.name is None:
            raise ValueError('static: a DataArray must have a name, layer.rename("elevation").')
        return [(item.name, item)]
    if item in cube.coords or (isinstance(cube, xr.Dataset) and item in cube.data_vars):
        return [(item, cube[item])]
    raise ValueError(
        f"static: cube has no coordinate {item!r}; its coordinates are {list(cube.coords)}."
    )


def check_layer(layer, what, cube, spatial):
    """Check that a layer lies on the grid of the cube.

    Parameters
    ----------
    layer : xarray.DataArray
        Layer.
    what : str
        Name of the layer in messages.
    cube : xarray.DataArray or xarray.Dataset
        Cube.
    spatial : tuple of str
        Dimensions of the rows and of the columns of the cube.

    Raises
    ------
    ValueError
        If it has other dimensions than time and these, or other coordinates.
    """
    unknown = [dim for dim in layer.dims if dim not in ("time", *spatial)]
    if unknown:
        raise ValueError(
            f"{what} has the dimensions {layer.dims}, expected some of {('time', *spatial)}."
        )
    for dim in layer.dims:
        if layer.sizes[dim] != cube.sizes[dim]:
            raise ValueError(
                f"{what} has {layer.sizes[dim]} entries along {dim}, cube has {cube.sizes[dim]}. "
                "Load both with one resolution, or bring it to the grid of cube: "
                'layer.reindex_like(cube, method="nearest").'
            )
        if dim in layer.coords and dim in cube.coords:
            theirs, ours = layer[dim].values, cube[dim].values
            if not np.array_equal(theirs, ours):
                i = int((theirs != ours).argmax())
                raise ValueError(
                    f"{what} has other coordinates {dim} than cube: {theirs[i]} instead of "
                    f"{ours[i]} at position {i}. Bring it to the grid of cube first."
                )


def _check_static_values(name, layer):
    if layer.dtype.kind not in "fiu":
        raise TypeError(f"static layer {name!r} must be numeric, got dtype {layer.dtype}.")
    stored = {"scale_factor", "add_offset", "_FillValue"} & set(layer.attrs)
    if layer.dtype.kind in "iu" and stored:
        raise ValueError(
            f"static layer {name!r} has the dtype {layer.dtype}, and its attributes {stored} "
            "were not applied. Open it with mask_and_scale=True."
        )


def _check_valid(valid, cube, spatial, xr):
    if not isinstance(valid, xr.DataArray):
        raise TypeError(f"valid must be an xarray DataArray, got {type(valid).__name__}.")
    if valid.dtype != bool:
        raise TypeError(
            f"valid must be boolean (True = observed), got dtype {valid.dtype}; for example "
            "scl.isin([4, 5, 6])."
        )
    if set(valid.dims) != {"time", *spatial}:
        raise ValueError(f"valid has the dimensions {valid.dims}, expected {('time', *spatial)}.")
    check_layer(valid, "valid", cube, spatial)


def _days(cube, origin):
    if "time" not in cube.coords:
        raise ValueError("cube must have a coordinate time that holds its dates.")
    time = cube["time"].values
    if time.dtype.kind != "M":
        raise TypeError(
            f"cube.time must be datetime64, got dtype {time.dtype}. Decode it with "
            "xarray.decode_cf, or convert with pandas.to_datetime."
        )
    if np.isnat(time).any():
        raise ValueError(f"cube.time has {np.isnat(time).sum()} missing dates.")
    # The conversion of the training data, so that days agree to the last bit.
    return pack(np.zeros((1, len(time))), time, origin=origin)[0, :, 0]

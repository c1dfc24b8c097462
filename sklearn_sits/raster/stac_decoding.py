"""Reflectance from the stored integers of a STAC catalogue, by the metadata of each scene."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_sits._extras import import_extra
from sklearn_sits._module_names import set_module
from sklearn_sits.raster.stac_catalogue import find_asset, match_items, read_items

if TYPE_CHECKING:
    import xarray as xr

    from sklearn_sits._typing import CubeT

__all__ = ["decode_stac", "read_stac_scale"]

# Sentinel-2 L2A stores 10,000 times the reflectance, plus 1,000 since baseline 04.00.
_SCALE, _OFFSET, _FIRST_BASELINE = 1e-4, -0.1, 4.0
_BASELINES = ("s2:processing_baseline", "sentinel:processing_baseline", "processing:version")
_FLAGS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
_NOT_REFLECTANCE = {"scl", "aot", "wvp", "tci", "visual", "cld", "snw"}


@set_module("sklearn_sits.raster")
def read_stac_scale(items: Iterable[Any], bands: Sequence[str]) -> xr.Dataset:
    """Read the scale and the offset of bands from the metadata of each scene.

    Parameters
    ----------
    items : iterable of pystac.Item or dict
        STAC items.
    bands : list of str
        Keys of assets, or common names of bands.

    Returns
    -------
    scales : xarray.Dataset
        Variables scale and offset with the dimensions item and band: reflectance is scale times
        the stored value, plus offset. The coordinate item has the names of the items.

    Raises
    ------
    ImportError
        If xarray is not installed.
    TypeError
        If an entry of `items` is no STAC item.
    ValueError
        If an item lacks a band, has no scale or contradicts itself; the message names it.

    See Also
    --------
    decode_stac : Apply them to a cube.

    Notes
    -----
    The sources are, in this order:

    1. ``earthsearch:boa_offset_applied``: if it is true, the offset has been removed from the
       stored values, whatever ``raster:bands`` says.
    2. ``raster:bands`` of the asset, or ``raster:scale`` and ``raster:offset`` of its bands.
    3. The processing baseline of Sentinel-2 L2A (``s2:processing_baseline`` or
       ``processing:version``): the offset is −0.1 since 04.00, and 0 before.

    If the second and the third differ, the item contradicts itself, which is an error.

    Examples
    --------
    >>> from sklearn_sits.raster import read_stac_scale
    >>> items = [
    ...     {
    ...         "id": f"scene-{baseline}",
    ...         "properties": {"s2:processing_baseline": baseline},
    ...         "assets": {"B04": {"href": "B04.tif"}},
    ...     }
    ...     for baseline in ("03.01", "04.00")
    ... ]
    >>> read_stac_scale(items, ["B04"])["offset"].values
    array([[ 0. ],
           [-0.1]])
    """
    xr = import_extra("xarray")
    items, bands = read_items(items), _check_bands(bands)
    numbers = np.array([[_find_scale(item, band) for band in bands] for item in items])
    return xr.Dataset(
        {name: (("item", "band"), numbers[..., i]) for i, name in enumerate(("scale", "offset"))},
        {"item": [item["id"] for item in items], "band": bands},
    )


@set_module("sklearn_sits.raster")
def decode_stac(
    cube: CubeT,
    items: Iterable[Any],
    bands: Sequence[str],
    *,
    scale: float | None = None,
    offset: float | None = None,
    nodata: int = 0,
) -> CubeT:
    """Turn the stored integers of a STAC cube into reflectance, date by date.

    Parameters
    ----------
    cube : xarray.Dataset or xarray.DataArray
        Stored integers: a Dataset as loaded by ``odc.stac.load``, or a DataArray with the
        dimension band as from ``stackstac.stack(..., rescale=False)``.
    items : iterable of pystac.Item or dict
        STAC items from which `cube` was loaded; others do no harm.
    bands : list of str
        Bands to decode.
    scale, offset : float, default=None
        Numbers for all bands and dates: reflectance is scale times the stored value, plus offset.
        None: from the metadata of each item, see :func:`read_stac_scale`.
    nodata : int, default=0
        Stored value that becomes NaN.

    Returns
    -------
    reflectance : xarray.Dataset or xarray.DataArray
        The bands as float32, NaN where there is no data. Lazy if `cube` is.

    Raises
    ------
    ImportError
        If xarray is not installed.
    TypeError
        If `cube` is no xarray object or does not hold integers, an entry of `items` is no STAC
        item, or `scale` or `offset` is not a number.
    ValueError
        If `cube` lacks a band, a date has no item, the scenes of a date have different scales,
        the coordinates are corners of pixels, or the metadata do not tell the scale; see
        :func:`read_stac_scale`.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from sklearn_sits.raster import decode_stac
    >>> items = [
    ...     {
    ...         "id": day,
    ...         "properties": {"datetime": f"{day}T10:30:00Z", "s2:processing_baseline": baseline},
    ...         "assets": {"B04": {"href": "B04.tif"}},
    ...     }
    ...     for day, baseline in {"2021-06-01": "03.00", "2022-06-01": "04.00"}.items()
    ... ]
    >>> time = np.array(["2021-06-01T10:30", "2022-06-01T10:30"], dtype="datetime64[ns]")
    >>> stored = np.array([[[400, 0]], [[1400, 1500]]], dtype=np.uint16)
    >>> cube = xr.Dataset({"B04": (("time", "y", "x"), stored)}, {"time": time})
    >>> decode_stac(cube, items, ["B04"])["B04"].values.round(4)
    array([[[0.04,  nan]],
    <BLANKLINE>
           [[0.04, 0.05]]], dtype=float32)
    """
    xr = import_extra("xarray")
    if not isinstance(cube, xr.DataArray | xr.Dataset):
        raise TypeError(f"cube must be an xarray DataArray or Dataset, got {type(cube).__name__}.")
    bands, items = _check_bands(bands), read_items(items)
    for name, number in {"scale": scale, "offset": offset}.items():
        if number is not None and (isinstance(number, bool) or not isinstance(number, Real)):
            raise TypeError(f"{name} must be a number or None, got {number!r}.")
    _check_centres(cube)
    is_dataset = isinstance(cube, xr.Dataset)
    known = list(cube.data_vars) if is_dataset else np.ravel(cube["band"].values).tolist()
    missing = [band for band in bands if band not in known]
    if missing:
        raise ValueError(f"bands: cube has no band {missing}; its bands are {known}.")
    matches = match_items(items, cube)
    scales = _scale_dates(items, matches, bands, scale, offset, cube)
    if is_dataset:
        return cube[bands].map(
            lambda one: _decode(one, scales.sel(band=one.name, drop=True), nodata)
        )
    return _decode(cube.sel(band=bands), scales, nodata)


def _check_bands(bands):
    names = [bands] if isinstance(bands, str) else list(bands)
    others = [name for name in names if str(name).lower().split("_")[0] in _NOT_REFLECTANCE]
    if not names or others:
        raise ValueError(f"bands must name bands of reflectance, got {others or names}.")
    return names


def _check_centres(cube):
    """Refuse coordinates of corners, which would shift a map by half a pixel."""
    transform = cube.attrs.get("transform")
    if not hasattr(transform, "xoff") or "x" not in cube.coords:
        return
    position = (float(cube["x"].values[0]) - transform.xoff) / transform.a
    if abs(position - round(position)) < 0.25:
        raise ValueError(
            "The coordinates x of cube are those of the corners of its pixels, but maps and "
            'points need the centres: stackstac.stack(..., xy_coords="center").'
        )


def _scale_dates(items, matches, bands, scale, offset, cube):
    """Return scale and offset by date and band."""
    numbers = np.full((len(matches), len(bands), 2), np.nan)
    given = np.array([np.nan if one is None else float(one) for one in (scale, offset)])
    for date, found in enumerate(matches):
        for column, band in enumerate(bands):
            if np.isfinite(given).all():
                numbers[date, column] = given
                continue
            pairs = [_find_scale(items[i], band, offset) for i in found]
            if len(set(pairs)) > 1:
                names = ", ".join(items[i]["id"] for i in found)
                raise ValueError(
                    f"The scenes of one date have different offsets in {band!r}: {names}. Load "
                    'each scene on its own, with groupby="id", or scenes of one processing.'
                )
            numbers[date, column] = np.where(np.isnan(given), pairs[0], given)
    xr = import_extra("xarray")
    variables = {
        name: (("time", "band"), numbers[..., i].astype(np.float32))
        for i, name in enumerate(("scale", "offset"))
    }
    # Without the dates: they may occur twice, and then cannot be aligned.
    scales = xr.Dataset(variables, {"band": bands})
    return scales if "time" in cube.dims else scales.isel(time=0)


def _decode(stored, scales, nodata):
    if stored.dtype.kind not in "iu":
        raise TypeError(
            f"cube must hold the stored integers, got dtype {stored.dtype}. Load it with "
            'odc.stac.load(..., dtype="uint16", nodata=0) or stackstac.stack(..., rescale=False, '
            'dtype="uint16", fill_value=numpy.uint16(0)).'
        )
    values = stored.astype(np.float32) * scales["scale"] + scales["offset"]
    values = values.where(stored != nodata).transpose(*stored.dims)
    kept = {
        name: value
        for name, value in stored.attrs.items()
        if name not in ("nodata", "_FillValue", "scale_factor", "add_offset")
    }
    return values.assign_attrs(kept)


def _find_scale(item, band, given_offset=None):
    """Return scale and offset of a band of an item."""
    asset, properties = find_asset(item, band), item["properties"]
    entry = (asset.get("raster:bands") or asset.get("bands") or [{}])[0]
    scale, offset = (
        entry.get(name, entry.get(f"raster:{name}", asset.get(f"raster:{name}")))
        for name in ("scale", "offset")
    )
    if scale is not None and offset is None:
        offset = 0.0
    expected = _expect_offset(properties)
    if given_offset is not None:
        scale, offset = scale or (_SCALE if expected is not None else None), given_offset
    elif any(properties.get(name) is True for name in _FLAGS):
        scale, offset = scale or _SCALE, 0.0
    elif scale is None and expected is not None:
        scale, offset = _SCALE, expected
    elif scale is not None and expected is not None and not np.isclose(offset, expected):
        raise ValueError(
            f"The item {item['id']} contradicts itself: the metadata of {band!r} say "
            f"offset={offset:g}, its processing baseline {expected:g}. Look at dark pixels, and "
            "give offset."
        )
    if scale is None:
        raise ValueError(
            f"The item {item['id']} does not tell the scale of {band!r}: it has neither "
            "raster:bands nor a processing baseline of Sentinel-2. Give scale and offset."
        )
    return float(scale), float(offset)


def _expect_offset(properties):
    """Return the offset of Sentinel-2 L2A by its processing baseline, None if it is not known."""
    platform = f"{properties.get('platform', '')} {properties.get('constellation', '')}".lower()
    for name in _BASELINES:
        # The last name is that of any sensor.
        if name == "processing:version" and "sentinel-2" not in platform:
            continue
        try:
            baseline = float(properties[name])
        except (KeyError, TypeError, ValueError):
            continue
        return _OFFSET if baseline >= _FIRST_BASELINE else 0.0
    return None

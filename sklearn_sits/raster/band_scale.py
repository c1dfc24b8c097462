"""The scale of stored integers: check that it was applied, or apply it."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

__all__ = ["BandScale", "check_scale", "decode", "read_scale"]

# Values that are whole numbers by chance are few or small.
_MIN_LARGE_VALUES, _LARGEST_SMALL_VALUE = 64, 10


class BandScale(NamedTuple):
    """Attributes that turn stored integers into values.

    Parameters
    ----------
    factor, offset : float
        The value is factor * stored + offset.
    nodata : int or None
        Integer that is stored where there is no value.
    pending : bool
        Whether the array holds the stored integers.
    """

    factor: float
    offset: float
    nodata: int | None
    pending: bool


def read_scale(variable, what, pending):
    """Read the scale from the attributes of a band, and check that it fits its type.

    Parameters
    ----------
    variable : xarray.Variable
        A band, or all of them.
    what : str
        Name of the band in messages.
    pending : bool
        Whether the scale has to be applied.

    Returns
    -------
    scale : BandScale

    Raises
    ------
    ValueError
        If the band has integers and `pending` is False, or `pending` is True and it has no
        integers or no scale.
    TypeError
        If it does not hold real numbers.
    """
    attrs = variable.attrs
    if variable.dtype.kind not in "fiu":
        raise TypeError(f"{what} must hold real numbers, got dtype {variable.dtype}.")
    if not pending and variable.dtype.kind != "f":
        raise ValueError(
            f"{what} holds integers ({variable.dtype}), but NaN must mark what is not observed, "
            "and a scale may not have been applied. If it is a mask or a map of classes, such as "
            "SCL, name the other bands in bands. If its attributes name scale_factor, add_offset "
            "and _FillValue, give decode=True; else convert it: "
            "cube.where(cube != nodata) * numpy.float32(scale)."
        )
    if pending and variable.dtype.kind == "f":
        raise ValueError(f"decode=True is for integers, but {what} has the dtype {variable.dtype}.")
    if pending and not {"scale_factor", "add_offset"} & set(attrs):
        raise ValueError(
            f"decode=True, but {what} has no attribute scale_factor or add_offset. Open it with "
            f"mask_and_scale=False, or set them; its attributes are {list(attrs)}."
        )
    nodata = attrs.get("_FillValue", attrs.get("missing_value", attrs.get("nodata")))
    numbers = [attrs.get("scale_factor", 1), attrs.get("add_offset", 0)]
    try:
        factor, offset = (float(np.asarray(number).item()) for number in numbers)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{what} has scale_factor={numbers[0]!r} and add_offset={numbers[1]!r}, expected one "
            "number each."
        ) from error
    return BandScale(factor, offset, None if nodata is None else np.asarray(nodata).item(), pending)


def check_scale(array, scale):
    """Check that the scale in the attributes has been applied to the values.

    Parameters
    ----------
    array : ndarray of 4 dimensions
        Rows and columns first.
    scale : BandScale
        As returned by :func:`read_scale`.

    Raises
    ------
    ValueError
        If the scale is not pending, and all values are whole numbers, not all of them small.
    """
    if scale.pending or (scale.factor, scale.offset) == (1, 0):
        return
    for part in (array[::16, ::16], array):
        observed = part[np.isfinite(part)]
        if (observed != np.floor(observed)).any():
            return
    # A few values may be whole by chance, and saturated ones may be 1.
    if np.count_nonzero(np.abs(observed) > _LARGEST_SMALL_VALUE) >= _MIN_LARGE_VALUES:
        raise ValueError(
            f"cube has the attributes scale_factor={scale.factor:g}, add_offset={scale.offset:g}, "
            f"but its values are whole numbers up to {observed.max():g}: the scale was not "
            "applied. Open it with mask_and_scale=True, or multiply it and remove the attributes."
        )


def decode(values, scale, buffer=None):
    """Apply a pending scale.

    Parameters
    ----------
    values : ndarray
        As stored.
    scale : BandScale
        Scale.
    buffer : float32 ndarray of one dimension, default=None
        Memory for the result, at least as large as `values`.

    Returns
    -------
    values : ndarray
        float32 or float64, NaN where there is no value, if the scale is pending; otherwise
        `values`.
    """
    if not scale.pending:
        return values
    if values.dtype.itemsize > 2 or not values.dtype.isnative:
        return _decode(values, scale)
    # A table is twice as fast as arithmetic, above all for small clouds.
    index = values.view(f"u{values.dtype.itemsize}")
    if buffer is not None:
        buffer = buffer[: values.size].reshape(values.shape)
    # Every index is in the table; clipping only avoids the check.
    return _table(values.dtype, scale).take(index, out=buffer, mode="clip")


@lru_cache(maxsize=32)
def _table(dtype, scale):
    """Return the value of each integer, by its bits."""
    unsigned = np.dtype(f"u{dtype.itemsize}")
    stored = np.arange(np.iinfo(unsigned).max + 1).astype(unsigned).view(dtype)
    return _decode(stored, scale).astype(np.float32)


def _decode(values, scale):
    decoded = values * scale.factor
    if scale.offset:
        decoded += scale.offset
    missing = None if scale.nodata is None else values == scale.nodata
    # Most tiles have none, and to check is much faster than to write.
    if missing is not None and missing.any():
        decoded[missing] = np.nan
    return decoded

"""The most probable class of each pixel, and how certain it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import entr

from sklearn_sits._extras import import_extra
from sklearn_sits._module_names import set_module
from sklearn_sits.raster.output import encode_labels

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["map_uncertainty"]

# Rounding in float32.
_TOLERANCE = 1e-3


@set_module("sklearn_sits.raster")
def map_uncertainty(probabilities: xr.DataArray) -> xr.Dataset:
    """Map the most probable class and the uncertainty of a map of probabilities.

    Parameters
    ----------
    probabilities : xarray.DataArray
        Map of probabilities with the dimension "class", as returned by
        :func:`~sklearn_sits.raster.predict_raster` with ``method="predict_proba"`` or opened by
        :func:`~sklearn_sits.raster.open_map`.

    Returns
    -------
    maps : xarray.Dataset
        Lazy if `probabilities` is. Its variables are

        - label: the class with the largest probability, the first of several; coded and with the
          attributes as from :func:`~sklearn_sits.raster.predict_raster`;
        - margin: its probability minus the second largest one, from 0 (uncertain) to 1;
        - entropy: minus the sum of p log p, in nats, from 0 (certain) to log(n_classes).

    Raises
    ------
    ImportError
        If xarray is not installed.
    TypeError
        If `probabilities` is not a DataArray of floating point.
    ValueError
        If it has no dimension "class" or fewer than two classes; when pixels are computed, also
        if a value is not between 0 and 1.

    Notes
    -----
    Each variable is a map for :func:`~sklearn_sits.raster.write_map` and
    :func:`~sklearn_sits.raster.export_geotiff`. To write several of them without predicting
    again, write the probabilities first and open them.

    Examples
    --------
    >>> import xarray as xr
    >>> from sklearn_sits.raster import map_uncertainty
    >>> probabilities = xr.DataArray(
    ...     [[[0.5, 0.9]], [[0.25, 0.1]], [[0.25, 0.0]]],
    ...     dims=("class", "y", "x"),
    ...     coords={"class": ["maize", "meadow", "wheat"]},
    ... )
    >>> maps = map_uncertainty(probabilities)
    >>> maps["margin"].values
    array([[0.25, 0.8 ]], dtype=float32)
    >>> maps["entropy"].values.round(2)
    array([[1.04, 0.33]], dtype=float32)
    """
    xr = import_extra("xarray")
    _check(probabilities, xr)
    classes = probabilities["class"].values
    if classes.dtype.kind not in "iu":
        classes = classes.astype(str)
    dtype, nodata, codes, legend = encode_labels(classes)
    values = np.arange(len(classes)) if codes is not None else classes
    if probabilities.chunks is not None:
        probabilities = probabilities.chunk({"class": -1})
    maps = xr.apply_ufunc(
        _summarise,
        # Without their coordinates, which differ between the classes.
        probabilities.drop_vars(
            [name for name in ("class", "units") if name in probabilities.coords]
        ),
        kwargs={"values": values.astype(dtype), "nodata": nodata},
        input_core_dims=[["class"]],
        output_core_dims=[[], [], []],
        dask="parallelized",
        output_dtypes=[dtype, np.float32, np.float32],
    )
    shared = {
        name: value
        for name, value in probabilities.attrs.items()
        if name not in ("_FillValue", "units", "long_name")
    }
    attrs = {"label": legend, "margin": {"units": "1"}, "entropy": {"units": "nat"}}
    return xr.Dataset(
        {
            name: one.assign_attrs(shared | attrs[name])
            for name, one in zip(attrs, maps, strict=True)
        }
    )


def _check(probabilities, xr):
    if not isinstance(probabilities, xr.DataArray):
        raise TypeError(
            f"probabilities must be an xarray DataArray, got {type(probabilities).__name__}."
        )
    if "class" not in probabilities.dims:
        raise ValueError(
            f"probabilities has the dimensions {probabilities.dims}, expected class among them: "
            'predict_raster(..., method="predict_proba").'
        )
    if probabilities.dtype.kind != "f":
        raise TypeError(f"probabilities must be floating point, got dtype {probabilities.dtype}.")
    if probabilities.sizes["class"] < 2:
        raise ValueError("probabilities must have two classes or more, got one.")


def _summarise(p, values, nodata):
    """Return label, margin and entropy of probabilities along the last axis."""
    if p.size and (
        np.nanmin(p, initial=0) < -_TOLERANCE or np.nanmax(p, initial=0) > 1 + _TOLERANCE
    ):
        raise ValueError(
            f"probabilities must be between 0 and 1, got {np.nanmin(p):g} to {np.nanmax(p):g}."
        )
    missing = np.isnan(p).any(axis=-1)
    label = np.where(missing, nodata, values[p.argmax(axis=-1)])
    second, first = np.moveaxis(np.partition(p, -2, axis=-1)[..., -2:], -1, 0)
    margin = np.where(missing, np.nan, first - second)
    entropy = entr(np.maximum(p, 0)).sum(axis=-1)
    return label.astype(values.dtype), margin.astype(np.float32), entropy.astype(np.float32)

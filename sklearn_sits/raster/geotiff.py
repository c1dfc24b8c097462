"""Export a finished map as GeoTIFF."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_sits._extras import import_extra
from sklearn_sits._module_names import set_module
from sklearn_sits.raster.map_legend import read_legend
from sklearn_sits.raster.map_writer import open_map
from sklearn_sits.raster.raster_attributes import write_raster_attributes
from sklearn_sits.raster.stac_item import find_period, make_stac_item

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["check_geotiff", "export_geotiff"]

# Attributes that a GeoTIFF holds elsewhere than in its tags.
_NOT_TAGS = ("_FillValue", "crs", "grid_mapping", "units")
# A colour table has an entry for each value, and viewers list all of them: those of uint16 are
# too many.
_LARGEST_COLOR = 255


@set_module("sklearn_sits.raster")
def export_geotiff(
    source: str | os.PathLike[str] | xr.DataArray,
    path: str | os.PathLike[str],
    *,
    crs: Any = None,
    colors: Mapping[Any, str] | None = None,
    stac: bool = False,
    overwrite: bool = False,
) -> None:
    """Write a map as a cloud-optimised GeoTIFF.

    Parameters
    ----------
    source : str, path-like or xarray.DataArray
        Store of a finished map, or a map, with at most one dimension besides those of space,
        whose entries become the bands of the file.
    path : str or path-like
        File to create, ending in .tif or .tiff.
    crs : str, int or CRS, default=None
        Coordinate reference system, for a map that has none.
    colors : mapping of label to str, default=None
        Colours of classes, such as ``{"wheat": "#e6c229"}``. The other classes get the colours of
        the attribute flag_colors, or else default colours that people with colour-vision
        deficiency can tell apart. They repeat after 20 classes.
    stac : bool, default=False
        Also write a STAC item beside the file, with the ending .json: place, dates, bands,
        classes and colours of the map.
    overwrite : bool, default=False
        Replace the file if it exists, with the files that belong to it.

    Raises
    ------
    ImportError
        If rioxarray is not installed.
    TypeError
        If `colors` is not a mapping.
    ValueError
        If `path` does not end in .tif or .tiff, the map has more dimensions, or no coordinate
        reference system, or another one than `crs`; `colors` names a class that the map does not
        have, or a colour is not #rrggbb; or `stac` is True and the map has no dates.
    FileNotFoundError
        If there is no finished map.
    FileExistsError
        If the file exists and `overwrite` is False.

    Notes
    -----
    GDAL holds the whole map in memory while it computes the overviews. Pixels without a
    prediction are nodata, which is never the value of a class. A map of classes from 0 to 255 is
    written as uint8, the type of files with a colour table. The names and colours of classes are
    also in a second file, `path` + ".aux.xml", where GDAL and QGIS find them.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, xarray as xr
    >>> from sklearn_sits.raster import export_geotiff
    >>> coords = {"y": [30.0, 20.0, 10.0], "x": [10.0, 20.0, 30.0]}
    >>> raster = xr.DataArray(np.eye(3, dtype=np.uint8), coords, ("y", "x"))
    >>> raster.attrs = {"flag_values": [0, 1], "class_names": ["winter wheat", "maize"]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "map.tif")
    ...     export_geotiff(raster, path, crs="EPSG:32631", colors={"winter wheat": "#e6c229"})
    ...     sorted(os.listdir(folder))
    ['map.tif', 'map.tif.aux.xml']
    """
    raster = open_map(source) if isinstance(source, str | os.PathLike) else source
    options = {"crs": crs, "colors": colors, "stac": stac, "overwrite": overwrite}
    raster, path = check_geotiff(raster, path, **options), Path(path)
    legend = read_legend(raster, colors)
    # A reader never finds an incomplete file.
    unfinished = path.with_name(f".{path.name}.partial.tif")
    names, item = _name_attributes(path), None
    try:
        _write(raster, unfinished, legend)
        if stac:
            with import_extra("rasterio").open(unfinished) as file:
                item = make_stac_item(file, path, find_period(raster), legend)
        # Statistics that a viewer has computed belong to the file that is replaced.
        names.unlink(missing_ok=True)
        if legend:
            write_raster_attributes(names, legend)
        if item:
            path.with_suffix(".json").write_text(json.dumps(item, indent=2), encoding="utf-8")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def check_geotiff(raster, path, *, crs=None, colors=None, stac=False, overwrite=False):
    """Check that a map can be written as GeoTIFF, before it is computed.

    Parameters
    ----------
    raster : xarray.DataArray
        Map.
    path, crs, colors, stac, overwrite
        See :func:`export_geotiff`.

    Returns
    -------
    raster : xarray.DataArray
        The map with its coordinate reference system.

    Raises
    ------
    ImportError, TypeError, ValueError, FileExistsError
        See :func:`export_geotiff`.
    """
    import_extra("rioxarray")
    path = Path(path)
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise ValueError(f"path must end in .tif or .tiff, got {path.name!r}.")
    for file in (path, path.with_suffix(".json")) if stac else (path,):
        if file.exists() and not overwrite:
            raise FileExistsError(f"{file} exists. overwrite=True replaces it.")
    fill = raster.attrs.get("_FillValue")
    for entry in read_legend(raster, colors):
        if entry.value == fill:
            raise ValueError(
                f"The map has _FillValue={fill}, which is the value of the class {entry.name!r}, "
                "too. Choose another one."
            )
    if stac:
        find_period(raster)
    if raster.ndim > 3:
        raise ValueError(
            f"The map has the dimensions {raster.dims}, a GeoTIFF has one besides those of space. "
            f"Choose one entry, for example raster.isel({raster.dims[0]}=0)."
        )
    rows, columns = raster.dims[-2:]
    raster = raster.rio.set_spatial_dims(x_dim=columns, y_dim=rows)
    known = raster.rio.crs
    if known is None and crs is None:
        raise ValueError("The map has no coordinate reference system. Give crs.")
    if crs is not None:
        try:
            raster = raster.rio.write_crs(crs)
        except RuntimeError as error:
            raise ValueError(f"crs={crs!r} is not known: {error}") from error
        if known is not None and raster.rio.crs != known:
            raise ValueError(f"crs={crs!r}, but the map is in {known}.")
    return raster


def _name_attributes(path):
    return path.with_name(f"{path.name}.aux.xml")


def _write(raster, path, legend):
    """Write a map with its colours, names and units."""
    rasterio = import_extra("rasterio")
    dtype, nodata = _choose_type(raster, legend)
    # At once: a chunk holds all bands.
    raster = raster.compute()
    rows, columns = raster.dims[-2:]
    bands = raster if raster.ndim == 3 else raster.expand_dims("band")
    profile = {
        "driver": "COG",
        "compress": "deflate",
        "width": raster.sizes[columns],
        "height": raster.sizes[rows],
        "count": len(bands),
        "dtype": dtype,
        "nodata": nodata,
        "crs": raster.rio.crs,
        # A transform that the map has kept may be that of a larger cube.
        "transform": raster.rio.transform(recalc=True),
        "overview_resampling": _choose_resampling(raster, legend),
    }
    with rasterio.open(path, "w", **profile) as file:
        for i, band in enumerate(bands, start=1):
            file.write(_convert(band.values, dtype, _find_fill(raster), nodata), i)
            file.set_band_description(i, _describe(raster, band))
        file.units = [_find_unit(raster, band) for band in bands]
        file.update_tags(
            **{
                name: value if isinstance(value, str) else json.dumps(np.asarray(value).tolist())
                for name, value in raster.attrs.items()
                if name not in _NOT_TAGS
            }
        )
        if legend and dtype == "uint8":
            file.write_colormap(1, {entry.value: entry.rgb for entry in legend})


def _find_fill(raster):
    """Return the value of pixels without a prediction, None if there is none."""
    fill = raster.attrs.get("_FillValue", np.nan if raster.dtype.kind == "f" else None)
    return None if fill is None else np.asarray(fill).item()


def _choose_type(raster, legend):
    """Return the type and nodata of the file: those of the map, unless colours need another."""
    nodata = _find_fill(raster)
    values = [entry.value for entry in legend]
    if not values or min(values) < 0 or max(values) > _LARGEST_COLOR:
        return str(raster.dtype), nodata
    if nodata is None or (0 <= nodata <= _LARGEST_COLOR):
        return "uint8", nodata
    if _LARGEST_COLOR not in values:
        return "uint8", _LARGEST_COLOR
    return str(raster.dtype), nodata


def _convert(values, dtype, fill, nodata):
    if values.dtype == dtype:
        return values
    missing = np.isnan(values) if fill != fill else values == fill
    return np.where(missing, 0 if nodata is None else nodata, values).astype(dtype)


def _choose_resampling(raster, legend):
    """Return how overviews are made: never with values that a map cannot hold."""
    if legend:
        return "mode"
    return "average" if raster.dtype.kind == "f" else "nearest"


def _describe(raster, band):
    """Return the description of a band: its name, or its date."""
    if raster.ndim == 2:
        return str(raster.name or "map")
    name = band.coords[raster.dims[0]].values if raster.dims[0] in band.coords else None
    if name is None:
        return str(raster.name or "map")
    if name.dtype.kind == "M":
        return np.datetime_as_string(name, unit="D")
    return str(name)


def _find_unit(raster, band):
    return str(band.coords["units"].values) if "units" in band.coords else raster.attrs.get("units")

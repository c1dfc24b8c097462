"""A virtual mosaic of GeoTIFF tiles."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from sklearn_sits._extras import import_extra
from sklearn_sits._module_names import set_module

__all__ = ["write_vrt"]

_TYPES = {
    "uint8": "Byte",
    "int8": "Int8",
    "uint16": "UInt16",
    "int16": "Int16",
    "uint32": "UInt32",
    "int32": "Int32",
    "uint64": "UInt64",
    "int64": "Int64",
    "float32": "Float32",
    "float64": "Float64",
}
# Part of a pixel by which tiles may miss the common grid.
_TOLERANCE = 0.01


@set_module("sklearn_sits.raster")
def write_vrt(
    tiles: Sequence[str | os.PathLike[str]],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> None:
    """Write a virtual raster (VRT) that GDAL and QGIS open as one map of all tiles.

    Parameters
    ----------
    tiles : sequence of str or path-like
        GeoTIFF files on one grid, with the same bands. Where they overlap, the last one counts.
    path : str or path-like
        File to write, ending in .vrt. It refers to the tiles by paths relative to its folder.
    overwrite : bool, default=False
        Replace the file if it exists.

    Raises
    ------
    ImportError
        If rasterio is not installed.
    ValueError
        If there are no tiles, `path` does not end in .vrt, or the tiles differ in their coordinate
        reference system, pixel size, grid, type, nodata, bands or classes.
    FileExistsError
        If the file exists and `overwrite` is False.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, xarray as xr
    >>> from sklearn_sits.raster import export_geotiff, write_vrt
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tiles = [os.path.join(folder, name) for name in ("west.tif", "east.tif")]
    ...     for tile, west in zip(tiles, (0.0, 20.0)):
    ...         coords = {"y": [30.0, 20.0], "x": [west, west + 10]}
    ...         raster = xr.DataArray(np.ones((2, 2), np.float32), coords, ("y", "x"))
    ...         export_geotiff(raster, tile, crs="EPSG:32631")
    ...     write_vrt(tiles, os.path.join(folder, "map.vrt"))
    ...     xr.open_dataarray(os.path.join(folder, "map.vrt"), engine="rasterio").shape
    (1, 2, 4)
    """
    rasterio = import_extra("rasterio")
    path = Path(path)
    if path.suffix.lower() != ".vrt":
        raise ValueError(f"path must end in .vrt, got {path.name!r}.")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists. overwrite=True replaces it.")
    tiles = [Path(tile) for tile in tiles]
    if not tiles:
        raise ValueError("tiles must name at least one file, got none.")
    opened = [rasterio.open(tile) for tile in tiles]
    try:
        for tile in opened[1:]:
            _check_alike(opened[0], tile)
        tree = ElementTree.ElementTree(_describe(opened, path.parent, rasterio))
    finally:
        for tile in opened:
            tile.close()
    ElementTree.indent(tree)
    tree.write(path, encoding="utf-8")


def _check_alike(first, tile):
    """Check that two tiles are parts of one map."""
    properties = {
        "coordinate reference system": lambda one: one.crs,
        "pixel size": lambda one: one.res,
        "type": lambda one: one.dtypes,
        "nodata": lambda one: str(one.nodata),
        "bands": lambda one: one.descriptions,
        "classes": lambda one: (one.tags().get("flag_values"), one.tags().get("class_names")),
    }
    for name, find in properties.items():
        if find(first) != find(tile):
            raise ValueError(
                f"All tiles must have the same {name}: {Path(first.name).name} has {find(first)}, "
                f"{Path(tile.name).name} has {find(tile)}."
            )
    column, row = _find_offset(first, tile)
    if max(abs(column - round(column)), abs(row - round(row))) > _TOLERANCE:
        raise ValueError(
            f"All tiles must lie on one grid: {Path(tile.name).name} is {column:g} columns and "
            f"{row:g} rows from {Path(first.name).name}."
        )


def _describe(tiles, folder, rasterio):
    """Return the root of the file."""
    first = tiles[0]
    starts = np.rint([_find_offset(first, tile) for tile in tiles]).astype(int)
    ends = starts + [(tile.width, tile.height) for tile in tiles]
    origin = starts.min(axis=0)
    width, height = ends.max(axis=0) - origin
    x, x_column, x_row, y, y_column, y_row = first.transform.to_gdal()
    column, row = origin.tolist()
    x, y = x + column * x_column + row * x_row, y + column * y_column + row * y_row
    transform = (x, x_column, x_row, y, y_column, y_row)
    root = ElementTree.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    _add(root, "SRS", first.crs.to_wkt())
    _add(root, "GeoTransform", ", ".join(map(str, transform)))
    metadata = ElementTree.SubElement(root, "Metadata")
    for name, value in sorted(_find_tags(tiles).items()):
        _add(metadata, "MDI", value, key=name)
    for i, dtype in enumerate(first.dtypes, start=1):
        band = ElementTree.SubElement(root, "VRTRasterBand", dataType=_TYPES[dtype], band=str(i))
        if first.descriptions[i - 1]:
            _add(band, "Description", first.descriptions[i - 1])
        if first.units[i - 1]:
            _add(band, "UnitType", first.units[i - 1])
        if first.nodata is not None:
            _add(band, "NoDataValue", _write_nodata(first, i))
        _add_legend(band, first, i, rasterio)
        for tile, start in zip(tiles, starts - origin, strict=True):
            _add_source(band, tile, i, start, folder)
    return root


def _find_tags(tiles):
    """Return the tags that all tiles share."""
    first, *others = (set(tile.tags().items()) for tile in tiles)
    return {k: v for k, v in first.intersection(*others) if not k.startswith(("AREA_", "TIFFTAG_"))}


def _add_legend(band, tile, i, rasterio):
    """Add the colours and the names of the classes."""
    if tile.colorinterp[i - 1] is not rasterio.enums.ColorInterp.palette:
        return
    _add(band, "ColorInterp", "Palette")
    table = ElementTree.SubElement(band, "ColorTable")
    for _, color in sorted(tile.colormap(i).items()):
        channels = {f"c{k}": str(value) for k, value in enumerate(color, start=1)}
        ElementTree.SubElement(table, "Entry", channels)
    tags = tile.tags()
    if "flag_values" not in tags or "class_names" not in tags:
        return
    names = dict(zip(json.loads(tags["flag_values"]), json.loads(tags["class_names"]), strict=True))
    categories = ElementTree.SubElement(band, "CategoryNames")
    for value in range(max(names) + 1):
        _add(categories, "Category", names.get(value, ""))


def _add_source(band, tile, i, start, folder):
    """Add a tile, without its pixels that are nodata."""
    source = ElementTree.SubElement(
        band, "SimpleSource" if tile.nodata is None else "ComplexSource"
    )
    name = os.path.relpath(tile.name, folder)
    _add(source, "SourceFilename", Path(name).as_posix(), relativeToVRT="1")
    _add(source, "SourceBand", str(i))
    size = {"xSize": str(tile.width), "ySize": str(tile.height)}
    ElementTree.SubElement(source, "SrcRect", {"xOff": "0", "yOff": "0"} | size)
    column, row = (str(offset) for offset in start)
    ElementTree.SubElement(source, "DstRect", {"xOff": column, "yOff": row} | size)
    if tile.nodata is not None:
        _add(source, "NODATA", _write_nodata(tile, i))


def _find_offset(first, tile):
    """Return how many columns and rows of the first tile lie before the corner of another one."""
    inverse, x, y = ~first.transform, tile.transform.c, tile.transform.f
    return (
        inverse.a * x + inverse.b * y + inverse.c,
        inverse.d * x + inverse.e * y + inverse.f,
    )


def _write_nodata(tile, i):
    """Return the value of pixels without data, exactly: rasterio has it as floating point."""
    is_integer = np.issubdtype(tile.dtypes[i - 1], np.integer)
    return str(int(tile.nodata) if is_integer else tile.nodata)


def _add(parent, tag, text, **attributes):
    ElementTree.SubElement(parent, tag, attributes).text = text

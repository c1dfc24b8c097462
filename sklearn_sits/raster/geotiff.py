"""Export a finished map as GeoTIFF."""

import os
from pathlib import Path

import numpy as np

from sklearn_sits._extras import import_extra
from sklearn_sits._module_names import set_module
from sklearn_sits.raster.map_writer import open_map

__all__ = ["check_geotiff", "export_geotiff"]


@set_module("sklearn_sits.raster")
def export_geotiff(source, path, *, crs=None, overwrite=False):
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
    overwrite : bool, default=False
        Replace the file if it exists.

    Raises
    ------
    ImportError
        If rioxarray is not installed.
    ValueError
        If `path` does not end in .tif or .tiff, the map has more dimensions, or no coordinate
        reference system, or another one than `crs`.
    FileNotFoundError
        If there is no finished map.
    FileExistsError
        If the file exists and `overwrite` is False.

    Notes
    -----
    GDAL holds the whole map in memory while it computes the overviews. Pixels without a
    prediction are nodata. The tags flag_values and flag_meanings hold the classes.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, xarray as xr
    >>> from sklearn_sits.raster import export_geotiff
    >>> coords = {"y": [30.0, 20.0, 10.0], "x": [10.0, 20.0, 30.0]}
    >>> raster = xr.DataArray(np.ones((3, 3), dtype=np.float32), coords, ("y", "x"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "map.tif")
    ...     export_geotiff(raster, path, crs="EPSG:32631")
    ...     os.listdir(folder)
    ['map.tif']
    """
    raster = open_map(source) if isinstance(source, str | os.PathLike) else source
    raster, path = check_geotiff(raster, path, crs=crs, overwrite=overwrite), Path(path)
    nodata = raster.attrs.get("_FillValue", np.nan if raster.dtype.kind == "f" else None)
    if raster.ndim == 3:
        names = raster[raster.dims[0]].values
        raster.attrs["long_name"] = tuple(str(name) for name in names)
    raster = raster.rio.write_nodata(nodata, encoded=False)
    # A reader never finds an incomplete file.
    unfinished = path.with_name(f".{path.name}.partial.tif")
    try:
        raster.rio.to_raster(unfinished, driver="COG", compress="deflate")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def check_geotiff(raster, path, *, crs=None, overwrite=False):
    """Check that a map can be written as GeoTIFF, before it is computed.

    Parameters
    ----------
    raster : xarray.DataArray
        Map.
    path, crs, overwrite
        See :func:`export_geotiff`.

    Returns
    -------
    raster : xarray.DataArray
        The map with its coordinate reference system.

    Raises
    ------
    ImportError, ValueError, FileExistsError
        See :func:`export_geotiff`.
    """
    import_extra("rioxarray")
    path = Path(path)
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise ValueError(f"path must end in .tif or .tiff, got {path.name!r}.")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists. overwrite=True replaces it.")
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

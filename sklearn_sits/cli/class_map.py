"""Classes and areas of a class map in a GeoTIFF or a virtual mosaic."""

import json

import numpy as np

from sklearn_sits._extras import import_extra
from sklearn_sits._warnings import warn_counted
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.raster.points import find_pixels, read_points

__all__ = ["count_pixels", "read_classes"]

_SQUARE_METRES_PER_HECTARE = 1e4
_BLOCK = {"x": 512, "y": 512}
# Error of areas; a zone of UTM has 0.2 %.
_LARGEST_DISTORTION = 0.01


def read_classes(path, points, x="x", y="y", crs=None):
    """Read the classes of a map at points.

    Parameters
    ----------
    path : str
        GeoTIFF or VRT.
    points : pandas.DataFrame
        Points.
    x, y : str, default="x", "y"
        Columns of their positions.
    crs : str or None, default=None
        Their coordinate reference system, None for that of the map.

    Returns
    -------
    classes : str ndarray of shape (n_inside,)
        Names of the classes.
    inside : bool ndarray of shape (n_points,)
        Points that have one.

    Raises
    ------
    ValueError
        If the file is no class map, or points lie outside of it.

    Warns
    -----
    DataQualityWarning
        If points lie on pixels without a class.
    """
    with import_extra("rasterio").open(path) as file:
        names = _read_names(file)
    with import_extra("rioxarray").open_rasterio(path, chunks=_BLOCK) as raster:
        raster = raster.squeeze("band", drop=True)
        rows, columns = find_pixels(raster, raster.dims, read_points(points, x, y, crs, raster))
        # Only the blocks with points are read.
        values = raster.data.vindex[rows, columns].compute()
    inside = np.isin(values, list(names))
    if not inside.all():
        warn_counted(
            "{without} of {n} points lie on pixels without a class: left out.",
            DataQualityWarning,
            without=int((~inside).sum()),
            n=len(points),
        )
    return np.array([names[value] for value in values[inside].tolist()], dtype=str), inside


def count_pixels(path):
    """Compute the area of each class of a map.

    Parameters
    ----------
    path : str
        GeoTIFF or VRT.

    Returns
    -------
    areas : dict of str to float
        In hectares, of classes that are on the map.

    Raises
    ------
    ValueError
        If the file is no class map, or its projection distorts areas by more than 1 %.
    """
    with import_extra("rasterio").open(path) as file:
        names = _read_names(file)
        if file.crs is None or not file.crs.is_projected:
            raise ValueError(
                f"The map must be in a projection that preserves areas, got {file.crs}. In "
                "degrees, pixels have different areas."
            )
        _check_areas(file)
        _, metres = file.crs.linear_units_factor
        area = abs(file.transform.determinant) * metres**2 / _SQUARE_METRES_PER_HECTARE
        counts = dict.fromkeys(names, 0)
        for _, window in file.block_windows(1):
            found, n = np.unique(file.read(1, window=window), return_counts=True)
            for value, one in zip(found.tolist(), n.tolist(), strict=True):
                if value in counts:
                    counts[value] += one
    return {names[value]: n * area for value, n in counts.items() if n}


def _check_areas(file):
    """Check that pixels have the size that their coordinates say, at the corners of the map."""
    pyproj = import_extra("pyproj")
    crs = pyproj.CRS.from_user_input(file.crs.to_wkt())
    left, bottom, right, top = file.bounds
    corners = np.array([[left, bottom], [left, top], [right, bottom], [right, top]])
    to_degrees = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    factors = pyproj.Proj(crs).get_factors(*to_degrees.transform(*corners.T))
    scale = np.asarray(factors.areal_scale)
    if not (np.abs(scale - 1) <= _LARGEST_DISTORTION).all():
        raise ValueError(
            f"The map must be in a projection that preserves areas. In {file.crs}, an area on the "
            f"map is {scale.min():.3g} to {scale.max():.3g} times the one on the ground."
        )


def _read_names(file):
    """Return the names of the classes by their values."""
    tags = file.tags()
    if "flag_values" not in tags or "class_names" not in tags:
        raise ValueError(f"{file.name} is no class map of the command map.")
    values, names = (json.loads(tags[name]) for name in ("flag_values", "class_names"))
    return dict(zip(values, names, strict=True))

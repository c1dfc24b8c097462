"""Points in a table, and the pixels of a cube that hold them."""

import numpy as np

from sklearn_sits._extras import import_extra

__all__ = ["find_pixels", "read_points"]


def read_points(points, x, y, crs, cube):
    """Read points in the coordinate reference system of a cube.

    Parameters
    ----------
    points, x, y, crs, cube
        See :func:`sklearn_sits.raster.sample_cube`.

    Returns
    -------
    xy : float64 ndarray of shape (n_points, 2)

    Raises
    ------
    TypeError
        If `points` are no numbers.
    ValueError
        If a column is missing, the shape is wrong, a position is not finite, a geometry is no
        point, `crs` is not known or another one than that of the GeoDataFrame, or the cube has no
        coordinate reference system and `crs` is given.
    """
    own = None
    if hasattr(points, "geometry") and hasattr(points, "to_crs"):
        points, own = _read_geometry(points.geometry), points.crs
    elif hasattr(points, "columns"):
        missing = [name for name in (x, y) if name not in points.columns]
        if missing:
            raise ValueError(
                f"points has no column {missing}; its columns are {list(points.columns)}."
            )
        points = points[[x, y]]
    xy = np.asarray(points)
    if xy.dtype.kind not in "fiu":
        raise TypeError(f"points must be numbers, got dtype {xy.dtype}.")
    if xy.ndim != 2 or xy.shape[1] != 2 or not len(xy):
        raise ValueError(f"points must have the shape (n_points, 2), got {xy.shape}.")
    xy = xy.astype(np.float64)
    if not np.isfinite(xy).all():
        raise ValueError(f"{(~np.isfinite(xy).all(axis=1)).sum()} points are not finite.")
    return _transform(xy, crs, own, cube)


def _read_geometry(geometry):
    kinds = sorted(set(geometry.geom_type) - {"Point"}, key=str)
    if kinds:
        raise ValueError(
            f"points must have geometries of the type Point, got {kinds}. The centre of a polygon "
            "is points.representative_point()."
        )
    return np.column_stack([geometry.x, geometry.y])


def _transform(xy, crs, own, cube):
    """Transform positions into the system of the cube, if theirs is known."""
    if crs is None and own is None:
        return xy
    pyproj = import_extra("pyproj")
    try:
        source = pyproj.CRS.from_user_input(own if crs is None else crs)
    except pyproj.exceptions.CRSError as error:
        raise ValueError(f"crs={crs!r} is not known: {error}") from error
    if own is not None and source != own:
        raise ValueError(f"crs={crs!r}, but points is in {own.to_string()}.")
    import_extra("rioxarray")
    known = cube.rio.crs
    if known is None:
        raise ValueError(
            "points has a coordinate reference system, but cube has none. Give it one: "
            'cube.rio.write_crs("EPSG:32631").'
        )
    target = pyproj.CRS.from_user_input(known.to_wkt())
    if source == target:
        return xy
    transformer = pyproj.Transformer.from_crs(source, target, always_xy=True)
    moved = np.column_stack(transformer.transform(xy[:, 0], xy[:, 1]))
    if not np.isfinite(moved).all():
        n_lost = np.count_nonzero(~np.isfinite(moved).all(axis=1))
        raise ValueError(
            f"{n_lost} of {len(xy)} points have no position in {known}. Are they in "
            f"{source.to_string()}, x (or longitude) first?"
        )
    return moved


def find_pixels(cube, spatial, xy):
    """Return the rows and columns of the pixels at positions.

    Parameters
    ----------
    cube : xarray.DataArray or xarray.Dataset
        Cube.
    spatial : tuple of str
        Dimensions of its rows and columns.
    xy : ndarray of shape (n_points, 2)
        Positions in its coordinate reference system.

    Returns
    -------
    row, column : int ndarray of shape (n_points,)

    Raises
    ------
    ValueError
        If a coordinate is missing or not monotonic, or points lie outside.
    """
    rows, columns = spatial
    row, outside_rows = _nearest(cube, rows, columns, xy[:, 1])
    column, outside_columns = _nearest(cube, columns, rows, xy[:, 0])
    outside = outside_rows | outside_columns
    if outside.any():
        raise ValueError(
            f"{outside.sum()} of {len(xy)} points lie outside of cube, the first at "
            f"{tuple(xy[outside.argmax()].tolist())}. They must be in its coordinate reference "
            f"system, {columns} first: {_extent(cube, columns)}, {_extent(cube, rows)}."
            + (
                " They look like longitude and latitude: give crs=4326."
                if outside.all() and (np.abs(xy) <= [180, 90]).all()
                else ""
            )
        )
    return row, column


def _nearest(cube, dim, other, values):
    """Return the nearest pixel of each value along an axis, and whether the value lies outside."""
    for name in (dim, other):
        if name not in cube.coords:
            raise ValueError(f"cube has no coordinate {name}, needed to place the points.")
    centres = cube[dim].values.astype(np.float64)
    steps = np.diff(centres)
    if steps.size and not ((steps > 0).all() or (steps < 0).all()):
        raise ValueError(f"The coordinate {dim} of cube must be strictly monotonic.")
    descending = steps.size and steps[0] < 0
    if descending:
        centres = centres[::-1]
    # The height of a single row is the width of the columns.
    widths = np.abs(steps if steps.size else np.diff(cube[other].values.astype(np.float64)))
    widths = widths if widths.size else np.zeros(1)
    first, last = (widths[-1], widths[0]) if descending else (widths[0], widths[-1])
    outside = (values < centres[0] - first / 2) | (values > centres[-1] + last / 2)
    position = np.searchsorted((centres[1:] + centres[:-1]) / 2, values)
    return (len(centres) - 1 - position if descending else position), outside


def _extent(cube, dim):
    values = cube[dim].values
    return f"{dim} {values.min():g} to {values.max():g}"

"""Angles of the sun and of the sensor from the metadata of the scenes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_sits._extras import import_extra
from sklearn_sits._module_names import set_module
from sklearn_sits.raster.stac_catalogue import match_items, read_items

if TYPE_CHECKING:
    import xarray as xr

    from sklearn_sits._typing import Cube

__all__ = ["read_stac_angles"]


@set_module("sklearn_sits.raster")
def read_stac_angles(
    items: Iterable[Any],
    cube: Cube,
    *,
    view_zenith: float | None = None,
    relative_azimuth: float = 90.0,
) -> xr.Dataset:
    """Read the angles of each date of a cube from the metadata of its scenes.

    Parameters
    ----------
    items : iterable of pystac.Item or dict
        STAC items from which `cube` was loaded; others do no harm.
    cube : xarray.DataArray or xarray.Dataset
        Cube, which gives the dates.
    view_zenith : float, default=None
        Zenith of the sensor in degrees for all dates. None: from the items.
    relative_azimuth : float, default=90.0
        Azimuth of the sun minus that of the sensor in degrees, for all dates. It has no effect
        below the satellite. Catalogues do not agree on the direction of the azimuth of the
        sensor, so it is not read.

    Returns
    -------
    angles : xarray.Dataset
        Variables sun_zenith, view_zenith and relative_azimuth in degrees with the dimension time,
        for the argument `static` of :func:`~sklearn_sits.raster.predict_raster`. Where several
        scenes have one date, the mean of them.

    Raises
    ------
    ImportError
        If xarray is not installed.
    TypeError
        If an entry of `items` is no STAC item.
    ValueError
        If a date has no item, or an item lacks an angle.

    See Also
    --------
    sklearn_sits.physics.sun_angles : The sun from place and time.

    Notes
    -----
    The properties are ``s2:mean_solar_zenith`` or ``view:sun_elevation`` for the sun, and
    ``view:incidence_angle`` or ``view:off_nadir`` for the sensor. They are means of a scene: in
    one of Sentinel-2, the zenith of the sun varies by about 1 degree.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from sklearn_sits.raster import read_stac_angles
    >>> properties = {"datetime": "2022-06-01T10:30:00Z", "view:sun_elevation": 55.0}
    >>> items = [{"id": "scene", "properties": properties, "assets": {}}]
    >>> time = np.array(["2022-06-01T10:30"], dtype="datetime64[ns]")
    >>> cube = xr.DataArray(np.zeros((1, 2, 2)), {"time": time}, ("time", "y", "x"))
    >>> angles = read_stac_angles(items, cube, view_zenith=5.0)
    >>> {name: one.values.tolist() for name, one in angles.items()}
    {'sun_zenith': [35.0], 'view_zenith': [5.0], 'relative_azimuth': [90.0]}
    """
    xr = import_extra("xarray")
    items = read_items(items)
    given = {"view_zenith": view_zenith, "relative_azimuth": relative_azimuth}
    matches = match_items(items, cube)
    readers = {"sun_zenith": _read_sun, "view_zenith": _read_view}
    values = {}
    for name in ("sun_zenith", *given):
        if given.get(name) is not None:
            values[name] = np.full(len(matches), float(given[name]))
        else:
            read = readers[name]
            values[name] = np.array([np.mean([read(items[i]) for i in found]) for found in matches])
    return xr.Dataset(
        {name: ("time", one, {"units": "degree"}) for name, one in values.items()},
        {"time": np.atleast_1d(cube["time"].values)},
    )


def _read_sun(item):
    properties = item["properties"]
    if "s2:mean_solar_zenith" in properties:
        return properties["s2:mean_solar_zenith"]
    if "view:sun_elevation" in properties:
        return 90 - properties["view:sun_elevation"]
    raise ValueError(
        f"The item {item['id']} has neither s2:mean_solar_zenith nor view:sun_elevation. Compute "
        "the angle with sklearn_sits.physics.sun_angles."
    )


def _read_view(item):
    for name in ("view:incidence_angle", "view:off_nadir"):
        if name in item["properties"]:
            return item["properties"][name]
    raise ValueError(
        f"The item {item['id']} has neither view:incidence_angle nor view:off_nadir. Give "
        "view_zenith; that of Sentinel-2 is 0 to 12 degrees."
    )

"""Items of a STAC catalogue, and the dates of a cube that was loaded from them."""

from datetime import UTC, datetime

import numpy as np

__all__ = ["find_asset", "match_items", "read_items"]

# Scenes of one orbit pass within minutes, those of another day after a day.
_SAME_PASS = np.timedelta64(12, "h")


def read_items(items):
    """Return STAC items as dictionaries.

    Parameters
    ----------
    items : iterable of pystac.Item or dict, or pystac.ItemCollection or dict
        Items, or a collection of them.

    Returns
    -------
    items : list of dict

    Raises
    ------
    TypeError
        If an entry is no STAC item.
    ValueError
        If there is none.
    """
    if isinstance(items, dict) and "features" in items:
        items = items["features"]
    elif isinstance(items, dict) or hasattr(items, "properties"):
        items = [items]
    found = [
        item.to_dict(include_self_link=False, transform_hrefs=False)
        if hasattr(item, "to_dict")
        else item
        for item in items
    ]
    for item in found:
        if not isinstance(item, dict) or not {"id", "properties", "assets"} <= set(item):
            raise TypeError(
                "items must be STAC items, of pystac or as dictionaries, got "
                f"{type(item).__name__}."
            )
    if not found:
        raise ValueError("items must have one STAC item or more, got none.")
    return found


def find_asset(item, band):
    """Find the asset of a band.

    Parameters
    ----------
    item : dict
        Item.
    band : str
        Key of the asset, or name or common name of its band.

    Returns
    -------
    asset : dict

    Raises
    ------
    ValueError
        If there is none.
    """
    assets = item["assets"]
    if band in assets:
        return assets[band]
    for asset in assets.values():
        for entry in [*asset.get("eo:bands", []), *asset.get("bands", [])]:
            names = [entry.get(key) for key in ("name", "common_name", "eo:common_name")]
            if band in names:
                return asset
    raise ValueError(f"The item {item['id']} has no asset {band!r}; its assets are {[*assets]}.")


def match_items(items, cube):
    """Find the items from which each date of a cube was loaded.

    Parameters
    ----------
    items : list of dict
        Items.
    cube : xarray.DataArray or xarray.Dataset
        Cube, as loaded by odc.stac, which may have joined the scenes of a day, or by stackstac,
        whose coordinate id names the item of each date.

    Returns
    -------
    matches : list of list of int
        Positions among the items, for each date. Items that the cube does not hold are left out.

    Raises
    ------
    ValueError
        If a date has no item.
    """
    if "time" not in cube.coords:
        raise ValueError("cube must have a coordinate time that holds its dates.")
    time = np.atleast_1d(cube["time"].values).astype("datetime64[us]")
    if "id" in cube.coords and cube["id"].dims == ("time",):
        ids = [item["id"] for item in items]
        matches = [[ids.index(name)] if name in ids else [] for name in cube["id"].values.tolist()]
    else:
        dates, inverse = np.unique(time, return_inverse=True)
        moments = np.array([_read_time(item) for item in items], dtype="datetime64[us]")
        distance = np.abs(moments[:, None] - dates)
        nearest = np.where(distance.min(axis=1) <= _SAME_PASS, distance.argmin(axis=1), -1)
        matches = [np.flatnonzero(nearest == date).tolist() for date in inverse]
    for date, found in zip(time, matches, strict=True):
        if not found:
            raise ValueError(
                f"items has no item for the date {np.datetime_as_string(date, 's')} of cube. Give "
                "all items from which it was loaded."
            )
    return matches


def _read_time(item):
    properties = item["properties"]
    text = properties.get("datetime") or properties.get("start_datetime")
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)

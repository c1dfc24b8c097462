"""The STAC item of a map, as plain JSON."""

import re
from pathlib import Path

import numpy as np

__all__ = ["find_period", "make_stac_item"]

_EXTENSION = "https://stac-extensions.github.io/{}/schema.json"
_GEOTIFF = "image/tiff; application=geotiff; profile=cloud-optimized"
_COORDINATES = "EPSG:4326"


def find_period(raster):
    """Find the first and the last date of a map.

    Parameters
    ----------
    raster : xarray.DataArray
        Map with the attributes time_coverage_start and time_coverage_end, or a coordinate time.

    Returns
    -------
    first, last : str
        Dates in the format of RFC 3339.

    Raises
    ------
    ValueError
        If it has neither.
    """
    names = ("time_coverage_start", "time_coverage_end")
    if all(name in raster.attrs for name in names):
        return tuple(str(raster.attrs[name]) for name in names)
    if "time" in raster.coords:
        time = raster["time"].values
        return tuple(f"{np.datetime_as_string(day, 's')}Z" for day in (time.min(), time.max()))
    raise ValueError(
        "stac=True needs the dates of the map. Set them: "
        'raster.attrs.update(time_coverage_start="2023-01-01T00:00:00Z", '
        'time_coverage_end="2023-12-31T00:00:00Z").'
    )


def make_stac_item(file, path, period, legend):
    """Describe a GeoTIFF as a STAC item.

    Parameters
    ----------
    file : rasterio.DatasetReader
        The GeoTIFF.
    path : path-like
        Its path, which gives the item its name.
    period : pair of str
        First and last date.
    legend : list of LegendEntry
        Classes of its first band, if any.

    Returns
    -------
    item : dict
        STAC 1.1 with the extensions projection and classification. It has no links: a catalogue
        adds them.
    """
    from rasterio.warp import transform_geom

    path = Path(path)
    left, bottom, right, top = file.bounds
    # More points than the corners: straight edges are curves in other coordinates.
    geometry = transform_geom(file.crs, _COORDINATES, _outline(left, bottom, right, top))
    x, y = np.array(geometry["coordinates"][0]).T
    epsg = file.crs.to_epsg()
    extensions = ["projection/v2.0.0"]
    asset = {
        "href": f"./{path.name}",
        "type": _GEOTIFF,
        "roles": ["data"],
        "bands": [_describe_band(file, i) for i in range(file.count)],
    }
    if legend:
        extensions.append("classification/v2.0.0")
        asset["bands"][0]["classification:classes"] = [_describe_class(one) for one in legend]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [_EXTENSION.format(name) for name in extensions],
        "id": path.stem,
        "geometry": geometry,
        "bbox": [float(one) for one in (x.min(), y.min(), x.max(), y.max())],
        "properties": {
            "datetime": None,
            "start_datetime": period[0],
            "end_datetime": period[1],
            "proj:code": None if epsg is None else f"EPSG:{epsg}",
            **({} if epsg is not None else {"proj:wkt2": file.crs.to_wkt()}),
            "proj:bbox": [left, bottom, right, top],
            "proj:shape": [file.height, file.width],
            "proj:transform": list(file.transform)[:6],
        },
        "links": [],
        "assets": {"map": asset},
    }


def _outline(left, bottom, right, top, n_steps=20):
    """Return a rectangle as a polygon with points along its edges."""
    corners = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
    ring = [
        np.linspace(start, end, n_steps, endpoint=False)
        for start, end in zip(corners[:-1], corners[1:], strict=True)
    ]
    points = [*np.concatenate(ring).tolist(), list(corners[0])]
    return {"type": "Polygon", "coordinates": [points]}


def _describe_band(file, i):
    nodata, unit = file.nodata, file.units[i]
    band = {"name": file.descriptions[i] or str(i + 1), "data_type": file.dtypes[i]}
    if nodata is not None:
        band["nodata"] = "nan" if np.isnan(nodata) else nodata
    if unit:
        band["unit"] = unit
    return band


def _describe_class(entry):
    # The name is for machines: letters, digits, "-" and "_".
    name = re.sub(r"[^0-9A-Za-z_-]+", "_", entry.name).strip("_") or f"class_{entry.value}"
    return {
        "value": entry.value,
        "name": name,
        "title": entry.name,
        "color_hint": entry.color[1:].upper(),
    }

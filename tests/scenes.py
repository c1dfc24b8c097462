"""Sentinel-2 scenes on disk and their STAC items, as a catalogue delivers them."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pystac
import rasterio
from affine import Affine
from rasterio.warp import transform_geom

TOP, SIDE = 5_000_000, 240
BANDS = ["B02", "B03", "B04", "B08"]


def compute_reflectance(band, x, y):
    """Compute a reflectance from 0.01 to 0.4 that varies along x and y."""
    return 0.05 * (1 + BANDS.index(band)) + 1e-4 * (x % 300) + 2e-4 * (y % 300)


def make_item(folder, name, moment, baseline, *, epsg=32635, left=300_000, reflectance=None):
    """Write a scene of 240 m by 240 m, and return its item.

    The bands have 10 m and the scene classes 20 m. The corner above has no data.
    """
    edges = [(left, TOP), (left + SIDE, TOP), (left + SIDE, TOP - SIDE), (left, TOP - SIDE)]
    polygon = {"type": "Polygon", "coordinates": [[*edges, edges[0]]]}
    geometry = transform_geom(epsg, 4326, polygon)
    longitude, latitude = np.array(geometry["coordinates"][0]).T
    item = pystac.Item(
        name,
        geometry,
        [longitude.min(), latitude.min(), longitude.max(), latitude.max()],
        datetime.fromisoformat(moment),
        {
            "platform": "sentinel-2a",
            # The names of version 2 of the extension, and of version 1, which stackstac reads.
            "proj:code": f"EPSG:{epsg}",
            "proj:epsg": epsg,
            "s2:processing_baseline": baseline,
            "s2:mean_solar_zenith": 35.0,
            "s2:mean_solar_azimuth": 150.0,
        },
        stac_extensions=["https://stac-extensions.github.io/projection/v2.0.0/schema.json"],
    )
    for band in [*BANDS, "SCL"]:
        step = 20 if band == "SCL" else 10
        n = SIDE // step
        transform = Affine(step, 0, left, 0, -step, TOP)
        if band == "SCL":
            values = np.full((n, n), 4, dtype=np.uint8)
            values[-1] = 9
        else:
            x, y = left + step * (np.arange(n) + 0.5), TOP - step * (np.arange(n) + 0.5)
            values = reflectance
            if values is None:
                values = compute_reflectance(band, x, y[:, None])
            stored = 10_000 * np.broadcast_to(values, (n, n)) + 1000 * (float(baseline) >= 4)
            values = stored.round().astype(np.uint16)
            values[0, 0] = 0
        path = Path(folder) / f"{name}_{band}.tif"
        profile = {"driver": "COG", "width": n, "height": n, "count": 1, "dtype": values.dtype}
        with rasterio.open(path, "w", crs=epsg, transform=transform, nodata=0, **profile) as file:
            file.write(values, 1)
        grid = {"proj:shape": [n, n], "proj:transform": list(transform)[:6]}
        asset = pystac.Asset(str(path), media_type=pystac.MediaType.COG, extra_fields=grid)
        item.add_asset(band, asset)
    return item

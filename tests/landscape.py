"""Files that a person without Python has: tables of fields, points, and cubes of two tiles."""

import numpy as np
import pandas as pd
import xarray as xr

BANDS = ["B04", "B08"]
CLASSES = np.array(["bare soil", "maize"])
ORIGIN = "2023-01-01"
N_DATES, N_ROWS, N_COLUMNS = 10, 12, 16
WEST, NORTH, PIXEL = 4e5, 5e6, 10.0


def make_spectra(is_maize, days, rng):
    """Reflectances of shape (2, ...): maize is green in summer."""
    green = is_maize * np.exp(-(((days - 180) / 60) ** 2))
    spectra = np.stack([0.2 - 0.15 * green, 0.25 + 0.25 * green])
    return spectra + 0.01 * rng.standard_normal(spectra.shape)


def make_tile(column, seed):
    """A cube whose southern half is maize, with a mask, `column` tiles to the east."""
    rng = np.random.default_rng(seed)
    time = pd.date_range(ORIGIN, periods=N_DATES, freq="30D")
    days = np.arange(N_DATES)[:, None, None] * 30.0
    is_maize = np.broadcast_to((np.arange(N_ROWS) >= N_ROWS // 2)[:, None], (N_ROWS, N_COLUMNS))
    spectra = make_spectra(is_maize, days, rng)
    spectra = np.broadcast_to(spectra, (2, N_DATES, N_ROWS, N_COLUMNS))
    coords = {
        "time": time,
        "y": NORTH - PIXEL * (0.5 + np.arange(N_ROWS)),
        "x": WEST + PIXEL * (0.5 + np.arange(N_COLUMNS) + N_COLUMNS * column),
        "spatial_ref": ((), 0, {"crs_wkt": "EPSG:32631"}),
    }
    dims = ("time", "y", "x")
    scl = np.where(rng.random((N_DATES, N_ROWS, N_COLUMNS)) < 0.7, 4, 9).astype("uint8")
    scl[:, 0, 0] = 9  # never seen
    layers = {
        band: (dims, values.astype("float32"), {"grid_mapping": "spatial_ref"})
        for band, values in zip(BANDS, spectra, strict=True)
    }
    return xr.Dataset(layers | {"SCL": (dims, scl)}, coords)


def make_tables(n_fields=40, seed=2):
    """Observations and fields, a region for every four fields."""
    rng = np.random.default_rng(seed)
    is_maize = np.arange(n_fields) % 2 == 1
    days = np.arange(N_DATES) * 30
    spectra = make_spectra(is_maize[:, None], days, rng).reshape(2, -1)
    observations = pd.DataFrame(
        {
            "id": np.repeat(np.arange(n_fields), N_DATES),
            "date": np.tile(pd.date_range(ORIGIN, periods=N_DATES, freq="30D"), n_fields),
            "clear": (rng.random(n_fields * N_DATES) < 0.8).astype(int),
            **dict(zip(BANDS, spectra, strict=True)),
        }
    )
    fields = pd.DataFrame(
        {
            "id": np.arange(n_fields),
            "crop": CLASSES[is_maize.astype(int)],
            "region": np.arange(n_fields) // 4,
        }
    )
    return observations, fields


def make_points(n=60, seed=3):
    """Points in the western tile with labels, one in ten of them wrong."""
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, N_ROWS, n), rng.integers(0, N_COLUMNS, n)
    is_maize = (rows >= N_ROWS // 2) ^ (rng.random(n) < 0.1)
    return pd.DataFrame(
        {
            "x": WEST + PIXEL * (0.5 + columns),
            "y": NORTH - PIXEL * (0.5 + rows),
            "crop": CLASSES[is_maize.astype(int)],
        }
    )


def write_landscape(folder):
    """Write all files into a folder."""
    for name, column in {"cube": 0, "east": 1}.items():
        make_tile(column, column).to_zarr(folder / f"{name}.zarr", zarr_format=2, consolidated=True)
    observations, fields = make_tables()
    observations.to_csv(folder / "observations.csv", index=False)
    fields.to_csv(folder / "fields.csv", index=False)
    make_points().to_csv(folder / "points.csv", index=False)

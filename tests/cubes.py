"""A small cube, its mask and models of it, for the tests of maps."""

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.base import BaseEstimator

ORIGIN = "2023-01-01"
BANDS = ["B8", "B2", "B4"]
N_ROWS, N_COLUMNS, N_DATES = 9, 11, 8


def make_cube():
    """Make a cube of three bands; one pixel is never seen, and one has no B4."""
    values = np.random.default_rng(0).random((3, N_DATES, N_ROWS, N_COLUMNS), dtype=np.float32)
    values[1, :, 2, 3] = np.nan
    coords = {
        "band": ["B2", "B4", "B8"],
        "time": pd.date_range(ORIGIN, periods=N_DATES, freq="30D"),
        "y": 5e6 - 10.0 * np.arange(N_ROWS),
        "x": 4e5 + 10.0 * np.arange(N_COLUMNS),
        "spatial_ref": 0,
    }
    return xr.DataArray(values, coords, ("band", "time", "y", "x"), attrs={"crs": "EPSG:32631"})


def make_valid(cube):
    """Make a mask that hides four dates in ten, and all of one pixel."""
    clear = cube.isel(band=0, drop=True)
    clear = clear.copy(data=np.random.default_rng(1).random(clear.shape) > 0.4)
    clear[:, 4, 5] = False
    return clear


def make_options(cube):
    """Return what goes with the cube."""
    return {"valid": make_valid(cube), "static": ["x", "y"], "bands": BANDS, "origin": ORIGIN}


class PerDate(BaseEstimator):
    """Regressor of a value per date: the sum of the channels, NaN where one is missing."""

    units_ = {"LAI": "m²/m²", "CCC": "µg/cm²"}
    date_range_ = None

    def __init__(self, targets="LAI"):
        self.targets = targets

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[2]
        return self

    def predict(self, X, return_std=False):
        if X.shape[2] != self.n_features_in_:
            raise ValueError(f"X has {X.shape[2]} channels, expected {self.n_features_in_}.")
        mean = X[..., 1:].sum(axis=2, dtype=np.float64)
        if not isinstance(self.targets, str):
            mean = np.stack([mean, 2 * mean], axis=-1)
        return (mean, mean / 10) if return_std else mean

    def predict_interval(self, X):
        mean = self.predict(X)
        return mean - 1, mean + 1

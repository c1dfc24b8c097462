"""Observation of a scene from a satellite: orbits, clouds and noise."""

import numpy as np
from scipy.signal import lfilter
from scipy.special import ndtri

from sklearn_sits.datasets._scene import EXTENT

_YEAR_DAYS = 365.0
_CLOUD_MEMORY = 10.0  # decay time of the autocorrelation of cloudiness, in days


def orbit_tables(position, n_dates, n_orbits, aligned):
    """Return the row of each series (n,) in tables of slots, days and looks, (rows, W)."""
    strip = n_orbits * (position[:, 0] + 0.15 * position[:, 1]) / (1.15 * EXTENT)
    main = strip.astype(int)
    # Neighbouring swaths overlap near their edges, where both observe a series.
    side = (strip - main > 0.85).astype(int) - (strip - main < 0.15)
    used, row = np.unique(3 * main + side + 1, return_inverse=True)
    main, other = used // 3, np.clip(used // 3 + used % 3 - 1, 0, n_orbits - 1)
    orbit = np.arange(n_dates) % n_orbits
    looks = (orbit == main[:, None]) | (orbit == other[:, None])
    day = np.arange(n_dates) * (_YEAR_DAYS / n_dates)
    day = (np.floor(day) if n_dates <= _YEAR_DAYS else day).astype(np.float32)
    slots = np.broadcast_to(np.arange(n_dates), looks.shape)
    days = np.broadcast_to(day, looks.shape)
    if not aligned:
        slots = np.argsort(~looks, axis=1, kind="stable")[:, : looks.sum(axis=1).max()]
        looks = np.take_along_axis(looks, slots, axis=1)
        days = np.where(looks, day[slots], np.float32(np.nan))
    return row, slots, days, looks


def geometry(day, slot, n_orbits):
    """Return sun zenith, view zenith and relative azimuth in degrees, (m, 3), at 45° north.

    Neighbouring orbits observe a place from opposite sides.
    """
    sun_zenith = 46.0 - 22.0 * np.cos(2.0 * np.pi * (day - 172.0) / _YEAR_DAYS)
    orbit = slot % n_orbits
    view_zenith = 3.0 + 6.0 * orbit / n_orbits
    relative_azimuth = np.where(orbit % 2, 45.0, 135.0)
    return np.stack([sun_zenith, view_zenith, relative_azimuth], axis=1).astype(np.float32)


def draw_clear(cover, slots, looks, n_dates, rng):
    """Draw the looks without clouds, (n, W), from a thresholded AR(1) process per series."""
    memory = np.float32(np.exp(-_YEAR_DAYS / n_dates / _CLOUD_MEMORY))
    scale = np.sqrt(1.0 - memory**2)
    shock = rng.standard_normal((len(cover), n_dates), dtype=np.float32)
    shock[:, 0] /= scale  # the process starts in its stationary distribution
    cloudiness = lfilter(np.array([scale]), np.array([1.0, -memory], np.float32), shock, axis=1)
    cloudiness = np.where(looks, np.take_along_axis(cloudiness, slots, axis=1), np.inf)
    clear = cloudiness <= ndtri(1.0 - cover)[:, None]
    # The least cloudy look is always kept, because no series may be empty.
    np.put_along_axis(clear, cloudiness.argmin(axis=1)[:, None], True, axis=1)
    return clear & looks


def add_noise(bands, noise, rng):
    """Add sensor noise per value and haze per date to `bands` (n, W, C), in place."""
    # One draw for both, in row order, so that the result does not depend on the blocks of rows.
    shape = (*bands.shape[:2], bands.shape[2] + 1)
    errors = rng.standard_normal(shape, dtype=np.float32)
    errors *= np.float32(noise)
    bands += errors[..., :-1]
    bands += errors[..., -1:]
    np.maximum(bands, 0.0, out=bands)

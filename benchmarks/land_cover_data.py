"""The land cover data sets of the benchmarks, as packed arrays."""

import numpy as np

from sklearn_sits import pack

CALIFORNIA_BLOCK, FRANCE_BLOCK = 0.25, 0.1  # degrees
ATLANTIC = ["NB", "NS", "PE", "NL"]


def add_indices(reflectance, bands):
    """Append NDVI, NDWI and brightness to the ten bands."""
    red, nir, swir = (reflectance[..., list(bands).index(b)] for b in ("B04", "B08", "B11"))

    def difference(a, b):
        return np.divide(a - b, a + b, out=np.zeros_like(a), where=a + b > 0)

    brightness = np.sqrt((reflectance**2).sum(-1))
    indices = [difference(nir, red), difference(nir, swir), brightness]
    return np.concatenate([reflectance, np.stack(indices, axis=-1)], axis=-1)


def load_california(data, variant):
    """Return X, y and the block of each series; the variant is "real" or "cloudy"."""
    file = np.load(data / "s2_california_2021.npz", allow_pickle=False)
    valid = file["valid"]
    if variant == "cloudy":
        # Real cloud masks of another place, on the same 36 ten-day steps.
        masks = np.load(data / "s2_t20lkp_3classes_2018.npz", allow_pickle=False)["valid"]
        drawn = masks[np.random.default_rng(0).integers(0, len(masks), len(valid))]
        cloudy = valid & drawn
        valid = np.where(cloudy.sum(1, keepdims=True) < 3, valid, cloudy)
    values = add_indices(file["X"].astype(np.float32) / 10_000, file["bands"])
    X = pack(values, file["days"], mask=valid)
    return X, file["y"].astype(int), find_blocks(file, CALIFORNIA_BLOCK)


def load_france(data):
    """Return X, y and the block of each field."""
    file = np.load(data / "s1s2_france_2023.npz", allow_pickle=False)
    return pack_optical_and_radar(file), file["y"].astype(int), find_blocks(file, FRANCE_BLOCK)


def load_canada(data):
    """Return X, y and the region of each point: BC, Atlantic, and Ontario's SW, E and NW."""
    file = np.load(data / "s1s2_canada_2017.npz", allow_pickle=False)
    region = np.where(np.isin(file["subregion"], ATLANTIC), "Atlantic", file["subregion"])
    return pack_optical_and_radar(file), file["y"].astype(int), region


def pack_optical_and_radar(file):
    """Pack reflectances and backscatter in dB, each band with its own mask."""
    values = np.concatenate([file["X"] / 10_000, np.nan_to_num(file["S1"])], axis=-1)
    mask = np.concatenate([file["valid"], file["S1_valid"]], axis=-1)
    return pack(values, file["days"] - file["days"].min(), mask=mask)


def find_blocks(file, size):
    """Return the index of the square of `size` degrees that holds each series."""
    blocks = np.floor(np.stack([file["lon"], file["lat"]], axis=1) / size)
    return np.unique(blocks, axis=0, return_inverse=True)[1].ravel()

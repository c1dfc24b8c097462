"""Reflectances of land covers over a year: phenology, then cover fractions, then spectra."""

import numpy as np

# Sentinel-2 bands B2 B3 B4 B5 B6 B7 B8 B8A B11 B12 of green leaves, dry matter, soil and water.
_END_MEMBERS = np.array(
    [
        [0.03, 0.06, 0.03, 0.09, 0.30, 0.40, 0.43, 0.45, 0.20, 0.09],
        [0.09, 0.13, 0.18, 0.21, 0.24, 0.27, 0.30, 0.32, 0.38, 0.28],
        [0.08, 0.11, 0.15, 0.17, 0.19, 0.21, 0.23, 0.24, 0.32, 0.27],
        [0.05, 0.045, 0.03, 0.02, 0.015, 0.012, 0.01, 0.01, 0.005, 0.003],
    ]
)
_NIR_BANDS = np.array([0, 0, 0, 0.2, 1, 1, 1, 1, 0, 0])
_SWIR_BANDS = np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 1])

# Columns: green-up and senescence dates (day of year), their durations (days), green cover out of
# season and added in season, share left as dry matter, leaf NIR and SWIR gains, water cover, and
# soil brightness. Order: crops first, so that few classes already need the time dimension.
_ARCHETYPES = np.array(
    [
        [85, 182, 14, 9, 0.12, 0.72, 0.6, 1.00, 1.00, 0.0, 1.0],  # winter cereal
        [160, 258, 10, 12, 0.04, 0.82, 0.4, 1.06, 0.90, 0.0, 1.0],  # maize
        [72, 172, 13, 10, 0.20, 0.68, 0.5, 1.04, 0.95, 0.0, 1.0],  # rapeseed
        [148, 240, 9, 12, 0.05, 0.74, 0.5, 0.98, 1.03, 0.0, 1.0],  # sunflower
        [78, 300, 18, 20, 0.35, 0.42, 0.2, 0.95, 1.05, 0.0, 1.0],  # grassland
        [112, 296, 8, 13, 0.22, 0.62, 0.3, 1.00, 0.85, 0.0, 0.9],  # deciduous forest
        [138, 285, 12, 14, 0.06, 0.80, 0.2, 1.05, 0.95, 0.0, 1.0],  # sugar beet
        [105, 300, 20, 25, 0.62, 0.18, 0.1, 0.70, 0.70, 0.0, 0.8],  # conifers
        [95, 290, 20, 22, 0.12, 0.10, 0.2, 0.95, 1.05, 0.0, 1.2],  # built-up and bare soil
        [120, 280, 15, 18, 0.05, 0.30, 0.2, 0.95, 0.90, 0.7, 0.9],  # water and wetland
    ]
)
# Standard deviations, in the same columns, between sibling classes and between fields of a class.
_CLASS_SPREAD = np.array([6, 6, 1, 1, 0.02, 0.04, 0.05, 0.03, 0.03, 0.0, 0.0])
_FIELD_SPREAD = np.array([9, 10, 2, 2, 0.05, 0.09, 0.12, 0.06, 0.06, 0.05, 0.15])
_PIXEL_TO_FIELD = 0.4


def draw_phenology(label, field, shift, class_separation, rng):
    """Draw the phenology of every series, (n, 11) in the columns of `_ARCHETYPES`."""
    n_classes, n_fields = label.max() + 1, field.max() + 1
    mean = _ARCHETYPES[np.arange(n_classes) % len(_ARCHETYPES)]
    mean = mean + _CLASS_SPREAD * rng.standard_normal(mean.shape)
    mean = mean.mean(axis=0) + class_separation * (mean - mean.mean(axis=0))
    of_field = rng.standard_normal((n_fields, mean.shape[1]))
    of_pixel = rng.standard_normal((len(label), mean.shape[1]))
    params = mean[label] + _FIELD_SPREAD * (of_field[field] + _PIXEL_TO_FIELD * of_pixel)
    params[:, :2] += shift[:, None]
    params[:, 2:4] = np.maximum(params[:, 2:4], 3.0)
    params[:, [4, 5, 6, 9]] = np.clip(params[:, [4, 5, 6, 9]], 0.0, 0.95)
    params[:, 5] = np.minimum(params[:, 5], 0.98 - params[:, 4])
    params[:, [7, 8, 10]] = np.clip(params[:, [7, 8, 10]], 0.4, 1.6)
    return params.astype(np.float32)


def cover_fractions(day, params):
    """Turn phenology into green, dry, soil and water cover, (n, T, 4) with a sum of one."""
    start, end, up, down, base, added, residue, _, _, water, _ = params.T[:, :, None]
    # tanh is the logistic function without its overflow.
    rise = 0.5 + 0.5 * np.tanh((day - start) / (2.0 * up))
    fall = 0.5 - 0.5 * np.tanh((day - end) / (2.0 * down))
    land = 1.0 - water
    cover = np.empty((*rise.shape, 4), dtype=np.float32)
    cover[..., 0] = land * (base + added * rise * fall)
    cover[..., 1] = land * residue * added * rise * (1.0 - fall)
    cover[..., 2] = land - cover[..., 0] - cover[..., 1]
    cover[..., 3] = water
    return cover


def member_spectra(params, n_channels):
    """Return the end-member reflectances of every series, (n, 4, n_channels)."""
    bands = np.arange(_END_MEMBERS.shape[1])
    # The middles of n_channels equal parts of the band axis: ten channels are the ten bands.
    at = (np.arange(n_channels) + 0.5) * len(bands) / n_channels - 0.5
    curves = np.vstack([_END_MEMBERS, _NIR_BANDS, _SWIR_BANDS])
    *members, nir, swir = np.stack([np.interp(at, bands, c) for c in curves]).astype(np.float32)
    spectra = np.repeat(np.stack(members)[None], len(params), axis=0)
    spectra[:, 0] *= 1.0 + (params[:, 7, None] - 1.0) * nir + (params[:, 8, None] - 1.0) * swir
    spectra[:, 2] *= params[:, 10, None]
    return spectra

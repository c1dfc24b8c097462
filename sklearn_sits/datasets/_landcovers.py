"""Land covers over a year: their phenology, leaves, canopies and soils."""

import numpy as np

# Columns: dates of green-up and senescence (day of year), their durations (days), LAI out of
# season, LAI added in season, share of it that remains as dry leaves, Cab (µg/cm²), Cw (cm), Cm
# (g/cm²), mean leaf angle (degrees), share of dry soil, soil brightness, share of open water, share
# of sunlit crowns. Crops come first, so that even a few classes differ mainly in time.
_ARCHETYPES = np.array(
    [
        [85, 182, 14, 9, 0.3, 4.2, 0.6, 50, 0.016, 0.0050, 62, 0.6, 0.9, 0.0, 1.0],  # winter cereal
        [160, 258, 10, 12, 0.1, 4.4, 0.4, 52, 0.018, 0.0045, 55, 0.6, 0.9, 0.0, 1.0],  # maize
        [72, 172, 13, 10, 0.6, 4.0, 0.5, 46, 0.020, 0.0045, 50, 0.6, 0.9, 0.0, 1.0],  # rapeseed
        [148, 240, 9, 12, 0.1, 3.4, 0.5, 42, 0.021, 0.0050, 45, 0.6, 0.9, 0.0, 1.0],  # sunflower
        [78, 300, 18, 20, 1.0, 2.2, 0.2, 42, 0.014, 0.0060, 60, 0.5, 0.8, 0.0, 1.0],  # grassland
        [112, 296, 8, 13, 0.5, 3.8, 0.3, 50, 0.011, 0.0080, 48, 0.4, 0.6, 0.0, 0.8],  # deciduous
        [138, 285, 12, 14, 0.1, 4.4, 0.2, 46, 0.028, 0.0045, 48, 0.6, 0.9, 0.0, 1.0],  # sugar beet
        [105, 300, 20, 25, 2.6, 0.9, 0.1, 50, 0.024, 0.0110, 58, 0.4, 0.6, 0.0, 0.6],  # conifers
        [95, 290, 20, 22, 0.2, 0.3, 0.2, 38, 0.012, 0.0070, 55, 0.8, 1.3, 0.0, 1.0],  # built-up
        [120, 280, 15, 18, 0.1, 0.9, 0.2, 42, 0.016, 0.0050, 60, 0.3, 0.8, 0.7, 1.0],  # wetland
    ]
)
# Standard deviations between variants of a class, and between fields of a class, by column.
_CLASS_SPREAD = np.array([6, 6, 1, 1, 0.1, 0.4, 0.05, 3, 0.001, 0.0004, 3, 0.0, 0.0, 0.0, 0.02])
_FIELD_SPREAD = np.array([9, 10, 2, 2, 0.15, 0.9, 0.12, 7, 0.004, 0.0012, 6, 0.2, 0.15, 0.05, 0.05])
_LOWEST = np.array([-60, 0, 3, 3, 0.05, 0.05, 0.0, 15, 0.005, 0.0025, 30, 0.0, 0.4, 0.0, 0.4])
_HIGHEST = np.array([365, 425, 60, 60, 3.5, 7.0, 0.95, 90, 0.05, 0.018, 75, 1.0, 1.8, 0.95, 1.0])
_PIXEL_TO_FIELD = 0.4

# Reflectance of open water in the Sentinel-2 bands B2 B3 B4 B5 B6 B7 B8 B8A B11 B12.
_WATER = np.array([0.05, 0.045, 0.03, 0.02, 0.015, 0.012, 0.01, 0.01, 0.005, 0.003], np.float32)
# Shares of LAI, chlorophyll and water that dry leaves keep, and their brown pigments.
_DRY_LAI, _DRY_CAB, _DRY_CW, _DRY_CBROWN = 0.4, 0.05, 0.15, 1.5
_STRUCTURE, _HSPOT = 1.5, 0.15


def draw_phenology(label, field, shift, class_separation, rng):
    """Draw the phenology of every series, (n, 15), with the columns of `_ARCHETYPES`."""
    n_classes, n_fields = label.max() + 1, field.max() + 1
    mean = _ARCHETYPES[np.arange(n_classes) % len(_ARCHETYPES)]
    mean = mean + _CLASS_SPREAD * rng.standard_normal(mean.shape)
    mean = mean.mean(axis=0) + class_separation * (mean - mean.mean(axis=0))
    of_field = rng.standard_normal((n_fields, mean.shape[1]))
    of_pixel = rng.standard_normal((len(label), mean.shape[1]))
    params = mean[label] + _FIELD_SPREAD * (of_field[field] + _PIXEL_TO_FIELD * of_pixel)
    params[:, :2] += shift[:, None]
    return np.clip(params, _LOWEST, _HIGHEST).astype(np.float32)


def canopies(day, params):
    """Compute the variables of PROSAIL, (m, 11), from days (m,) and phenologies (m, 15)."""
    start, end, up, down, base, added, residue, cab, cw, cm, ala, psoil, rsoil = params.T[:13]
    # tanh is the logistic function without its overflow.
    rise = 0.5 + 0.5 * np.tanh((day - start) / (2.0 * up))
    fall = 0.5 - 0.5 * np.tanh((day - end) / (2.0 * down))
    green = base + added * rise * fall
    dry = _DRY_LAI * residue * added * rise * (1.0 - fall)
    lai = green + dry
    dry = dry / lai
    cab = cab * (1.0 - (1.0 - _DRY_CAB) * dry)
    cw = cw * (1.0 - (1.0 - _DRY_CW) * dry)
    constant = np.ones_like(lai)
    columns = [_STRUCTURE * constant, cab, 2.0 + cab / 5.0, _DRY_CBROWN * dry, cw, cm]
    columns += [lai, ala, _HSPOT * constant, psoil, rsoil]
    return np.stack(columns, axis=1)


def mix(bands, params):
    """Shade the crowns of canopies (m, 10) and mix them with open water."""
    water, sunlit = params[:, 13:14], params[:, 14:15]
    return (1.0 - water) * sunlit * bands + water * _WATER

"""Map of a scene: fields of one class each, the pixels in them, and smooth spatial trends."""

import numpy as np

EXTENT = 100_000.0  # side of the scene in metres, about one Sentinel-2 tile
_SERIES_PER_FIELD = 15


def draw_scene(n_series, n_classes, rng):
    """Place the series in fields; return labels (n,), fields (n,) and positions (n, 2)."""
    n_fields = n_classes * max(1, round(n_series / (_SERIES_PER_FIELD * n_classes)))
    field_class = rng.permutation(np.arange(n_fields) % n_classes)
    field = rng.permutation(np.arange(n_series) % n_fields)
    side = int(np.ceil(np.sqrt(n_fields)))
    cell = rng.permutation(side**2)[:n_fields]
    corner = np.stack([cell % side, cell // side], axis=1)
    centre = (corner + rng.uniform(0.2, 0.8, size=(n_fields, 2))) * EXTENT / side
    position = centre[field] + rng.normal(0.0, 100.0, size=(n_series, 2))
    position = np.clip(10.0 * np.round(position / 10.0), 0.0, EXTENT - 10.0)
    return field_class[field], field, position


def draw_trend(position, rng):
    """Evaluate a random smooth function of the positions; values (n,) lie in [-1, 1]."""
    u, v = 2.0 * position.T / EXTENT - 1.0
    angle, phase = rng.uniform(0.0, 2.0 * np.pi, size=2)
    along = (np.cos(angle) * u + np.sin(angle) * v) / np.sqrt(2.0)
    across = (np.cos(angle) * v - np.sin(angle) * u) / np.sqrt(2.0)
    return 0.7 * along + 0.3 * np.sin(np.pi * across + phase)

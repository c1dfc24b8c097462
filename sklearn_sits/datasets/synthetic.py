"""Synthetic satellite image time series of one year over a scene of fields."""

import functools
from numbers import Integral, Real

import numpy as np
import torch
from numpy.typing import DTypeLike
from sklearn.utils._param_validation import Interval, Options, StrOptions

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import RandomState, validate_params
from sklearn_sits.datasets._landcovers import canopies, draw_phenology, mix
from sklearn_sits.datasets._observation import add_noise, draw_clear, geometry, orbit_tables
from sklearn_sits.datasets._random import generators
from sklearn_sits.datasets._scene import draw_scene, draw_trend
from sklearn_sits.physics import Prosail

_YEAR_START = 17532.0  # 2018-01-01, in days since 1970-01-01
_BLOCK_VALUES = 2**22  # band values computed at once, which limits the memory in addition to X


@validate_params(
    {
        "n_series": [Interval(Integral, 1, None, closed="left")],
        "n_dates": [Interval(Integral, 1, None, closed="left")],
        "n_channels": [Interval(Integral, 1, None, closed="left")],
        "n_classes": [Interval(Integral, 1, None, closed="left")],
        "n_orbits": [Interval(Integral, 1, None, closed="left")],
        "cloud_cover": [Interval(Real, 0, 1, closed="both")],
        "aligned": ["boolean"],
        "positions": ["boolean"],
        "spatial_drift": [Interval(Real, 0, None, closed="left")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "class_separation": [Interval(Real, 0, None, closed="left")],
        "dtype": [
            Options(type, {np.float32, np.float64}),
            Options(np.dtype, {np.dtype(np.float32), np.dtype(np.float64)}),
            StrOptions({"float32", "float64"}),
        ],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
@set_module("sklearn_sits.datasets")
def make_sits(
    n_series: int = 1000,
    n_dates: int = 60,
    n_channels: int = 10,
    n_classes: int = 5,
    *,
    n_orbits: int = 3,
    cloud_cover: float = 0.5,
    aligned: bool = False,
    positions: bool = True,
    spatial_drift: float = 10.0,
    noise: float = 0.01,
    class_separation: float = 1.0,
    dtype: DTypeLike = np.float32,
    random_state: RandomState = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate labelled Sentinel-2 time series of one year over a scene of 100 km by 100 km.

    Every series is a pixel in a field of one class. The class, the field, the position and the
    pixel itself determine the dates and amplitudes of a double-logistic phenology [1]_ of leaf
    area and chlorophyll, as well as the leaves, the leaf angles and the soil. PROSAIL
    (:class:`~sklearn_sits.physics.Prosail`) turns them into the bands of Sentinel-2 at the sun
    and view angles of each date. One orbit observes a series, or two where swaths overlap. Clouds
    hide some dates and persist over the next ones; the reflectances have sensor noise and haze.

    Parameters
    ----------
    n_series : int, default=1000
        Number of series, at least `n_classes`.
    n_dates : int, default=60
        Number of dates of all orbits together, at least `n_orbits`. They are spread evenly over
        2018, on whole days if there are at most 365.
    n_channels : int, default=10
        Number of bands. The ten bands are B2, B3, B4, B5, B6, B7, B8, B8A, B11 and B12 of
        Sentinel-2. Another number of bands is interpolated between them, in this order.
    n_classes : int, default=5
        Number of classes. The first ten are land covers, beginning with crops; further classes
        are variants of these.
    n_orbits : int, default=3
        Number of orbits. Each observes a strip of the scene, and they take turns in the dates.
    cloud_cover : float in [0, 1], default=0.5
        Mean share of cloudy acquisitions. It varies smoothly in space, by up to half of itself or
        of its complement, whichever is smaller. Every series keeps at least one clear
        acquisition.
    aligned : bool, default=False
        If True, every series has the same `n_dates` dates, and its bands are NaN on the dates of
        other orbits. If False, a series has only the dates of its own orbits, in ascending order,
        and NaN dates fill it up to the length of the longest series.
    positions : bool, default=True
        Whether to append the easting and the northing, in metres, as two constant channels.
    spatial_drift : float, default=10.0
        Largest shift of the phenology over the scene, in days.
    noise : float, default=0.01
        Standard deviation of the sensor noise in reflectance, and also of the haze.
    class_separation : float, default=1.0
        Factor on the differences between classes. With 0 all classes are alike.
    dtype : {np.float32, np.float64}, default=np.float32
        Type of `X`. The values are computed in single precision in either case.
    random_state : int, RandomState instance or None, default=None
        Seed of the data. With None the data differ from call to call. The global generators are
        never used.

    Returns
    -------
    X : ndarray of shape (n_series, width, 1 + n_channels + 2 * positions)
        Packed series: the date in days since 1970-01-01, reflectances from 0 to about 0.7, and
        positions in [0, 100000). Bands are NaN where not observed; all channels are NaN in
        padding. `width` is `n_dates` if `aligned`, otherwise the length of the longest series.
    y : ndarray of shape (n_series,), int64
        Labels from 0 to `n_classes - 1`. Every class occurs, in fields of about 15 series each.

    Raises
    ------
    InvalidParameterError
        If an argument has the wrong type or is out of range. It is a ValueError and a TypeError.
    ValueError
        If `n_classes` exceeds `n_series`, or `n_orbits` exceeds `n_dates`.

    References
    ----------
    .. [1] Beck, P. S. A. et al. (2006). Improved monitoring of vegetation dynamics at very high
       latitudes: A new method using MODIS NDVI. Remote Sensing of Environment, 100(3), 321-334.

    Examples
    --------
    Series of the same field are alike, so cross-validate over spatial blocks, here of 20 km:

    >>> from sklearn_sits.datasets import make_sits
    >>> X, y = make_sits(n_series=200, random_state=0)
    >>> block = (X[:, 0, -2:] // 20_000).astype(int)
    >>> groups = 5 * block[:, 0] + block[:, 1]
    >>> from sklearn.model_selection import GroupKFold
    >>> folds = list(GroupKFold(n_splits=5).split(X, y, groups))
    """
    if n_classes > n_series:
        raise ValueError(f"n_classes={n_classes} must be at most n_series={n_series}.")
    if n_orbits > n_dates:
        raise ValueError(f"n_orbits={n_orbits} must be at most n_dates={n_dates}.")
    scene_rng, class_rng, cloud_rng, noise_rng = generators(random_state, 4)

    y, field, position = draw_scene(n_series, n_classes, scene_rng)
    shift = spatial_drift * draw_trend(position, scene_rng)
    cover = draw_trend(position, scene_rng)
    cover = cloud_cover + 0.5 * min(cloud_cover, 1.0 - cloud_cover) * (cover - cover.mean())
    params = draw_phenology(y, field, shift, class_separation, class_rng)
    row, slots, days, looks = orbit_tables(position, n_dates, n_orbits, aligned)

    # The middles of n_channels equal parts of the band axis: ten channels are the ten bands.
    at = (np.arange(n_channels) + 0.5) * 10 / n_channels - 0.5
    to_channels = np.stack([np.interp(at, np.arange(10), unit) for unit in np.eye(10)])
    to_channels = to_channels.astype(np.float32)
    width = slots.shape[1]
    X = np.empty((n_series, width, 1 + n_channels + 2 * positions), dtype=dtype)
    step = max(1, _BLOCK_VALUES // (n_dates * (n_channels + 1)))
    for first in range(0, n_series, step):
        block = slice(first, first + step)
        day, look, out = days[row[block]], looks[row[block]], X[block]
        slot = slots[row[block]]
        clear = draw_clear(cover[block], slot, look, n_dates, cloud_rng)
        bands = np.zeros((*day.shape, n_channels), dtype=np.float32)
        series = np.nonzero(clear)[0] + first
        bands[clear] = _decode(params[series], day[clear], slot[clear], n_orbits) @ to_channels
        add_noise(bands, noise, noise_rng)
        bands[~clear] = np.nan
        out[..., 0] = _YEAR_START + day
        out[..., 1 : 1 + n_channels] = bands
        if positions:
            out[..., -2:] = position[block, None]
            out[np.isnan(day), -2:] = np.nan
    return X, y


@functools.cache
def _prosail():
    return Prosail("Sentinel-2A")


def _decode(params, day, slot, n_orbits):
    """Return the reflectances (m, 10) of pixels on single days."""
    with torch.no_grad():
        bands = _prosail()(
            torch.from_numpy(canopies(day, params)),
            torch.from_numpy(geometry(day, slot, n_orbits)),
            check=False,
        )
    return mix(bands.numpy(), params)

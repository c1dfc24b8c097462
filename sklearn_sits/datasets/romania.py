"""A real Sentinel-2 time series of a forest in Romania, with its tree cover density."""

from numbers import Integral

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils._param_validation import validate_params

from sklearn_sits._module_names import set_module
from sklearn_sits.series.packing import pack

_BANDS = ["B3", "B4", "B8A", "B11"]
_DESCR = """Sentinel-2 and tree cover density of a forest in Romania

Pixels     2500 (50 rows and 50 columns of 20 m, 1 km by 1 km), EPSG:3035
Dates      140 from 2015-08-01 to 2021-01-01, 32 to 34 a year from 2018 to 2020
Bands      B3 (560 nm), B4 (665 nm), B8A (865 nm), B11 (1610 nm); surface reflectance, stored as
           integers and divided by 10000 here
Clouds     the scene classification (SCL) of Sentinel-2. Only vegetation (4) and bare soil (5)
           count as clear, 56 % of the acquisitions. "Unclassified" (7) is left out, as its NDVI
           in summer lies 0.4 below that of the clear dates of the same pixel, and "water" (6),
           as it only occurs from November to March and here means shadow. Undetected haze and
           snow remain: a clear reflectance may exceed 0.5.
Target     tree cover density of 2018 in percent, at 20 m

The data come with the Python package nrt 0.2.1, (C) 2022 European Union (Joint Research Centre),
under the EUPL 1.2. Contains modified Copernicus Sentinel data 2015-2021, which are free, full and
open under the legal notice on the use of Copernicus Sentinel data and service information. The
tree cover density is a High Resolution Layer of the Copernicus Land Monitoring Service,
(C) European Union, European Environment Agency, under the same full, free and open policy with
the obligation to name the source.

References
----------
Dutrieux, L. and Viehweger, J. (2024). nrt: Operational monitoring of satellite image time-series
in Python. https://github.com/ec-jrc/nrt
"""
_CLEAR_CLASSES = [4, 5]
_LARGEST_COVER = 100  # above are the codes of "unclassifiable" and "outside"


def _import_data():
    try:
        from nrt import data
    except ImportError as error:
        raise ImportError(
            'load_romania needs the package nrt: pip install "sklearn-sits[examples]"'
        ) from error
    return data


def _select(dates, years):
    """Return which dates fall in the years, (n_dates,) bool."""
    if years is None:
        return np.ones(len(dates), dtype=bool)
    pair = (years, years) if isinstance(years, Integral) else tuple(years)
    if len(pair) != 2 or not all(isinstance(year, Integral) for year in pair):
        raise ValueError(f"years must be None, a year or a pair of years, got {years!r}.")
    year = dates.astype("datetime64[Y]").astype(int) + 1970
    kept = (year >= pair[0]) & (year <= pair[1])
    if not kept.any():
        raise ValueError(
            f"years={years!r} must hold one of the years {year.min()} to {year.max()}, the first "
            "year before the last."
        )
    return kept


def _by_pixel(layer, kept):
    """Turn a (time, rows, columns) layer into (n_pixels, n_dates)."""
    return layer.to_numpy()[kept].reshape(kept.sum(), -1).T


@validate_params(
    {"years": [None, Integral, tuple, list], "return_X_y": ["boolean"]},
    prefer_skip_nested_validation=True,
)
@set_module("sklearn_sits.datasets")
def load_romania(*, years=None, return_X_y=False):
    """Load a Sentinel-2 time series of a forest in Romania and its tree cover density.

    Nothing is downloaded: the data come with the optional package nrt [1]_. Each of the 2500
    pixels of a map of 1 km by 1 km is a series of 4 bands at 20 m and up to 140 dates from
    August 2015 to January 2021, of which 56 % are clear.

    Parameters
    ----------
    years : int, pair of int or None, default=None
        Year, or first and last year, both included, of the dates to load. None: all. Outside of
        2016 to 2020 there are few dates, and in 2021 pixels without a clear one.
    return_X_y : bool, default=False
        If True, return `data` and `target` only.

    Returns
    -------
    dataset : :class:`~sklearn.utils.Bunch`
        data : ndarray of shape (2500, n_dates, 7), float32
            Packed series in the order of the rows of the map: date in days since 1970-01-01,
            reflectances (mostly 0 to 0.6, NaN where not clear), easting and northing in metres
            of EPSG:3035. As float32, positions are rounded to 0.5 m.
        target : ndarray of shape (2500,), float32
            Tree cover density in percent, 0 to 100; NaN where not mapped (nowhere at present).
        dates : ndarray of shape (n_dates,), datetime64[D]
            Acquisition dates, ascending.
        feature_names : list of str
            Names of the channels of `data` after the date: four bands, "x" and "y".
        scl : ndarray of shape (2500, n_dates), uint8
            Scene classification, before anything is left out.
        shape : tuple of int
            Rows and columns: ``target.reshape(shape)`` is a map with north on top.
        x, y : ndarray of shape (50,), float64
            Eastings of the columns and northings of the rows, in metres.
        crs : str
            Coordinate reference system of `x` and `y`.
        DESCR : str
            Description, source and licence.
    (data, target) : tuple if `return_X_y` is True

    Raises
    ------
    ImportError
        If nrt is not installed.
    InvalidParameterError
        A ValueError and TypeError: an argument is of the wrong type.
    ValueError
        If `years` is not a year or a pair, or holds no date.

    References
    ----------
    .. [1] Dutrieux, L. and Viehweger, J. (2024). nrt: Operational monitoring of satellite image
       time-series in Python. https://github.com/ec-jrc/nrt

    Examples
    --------
    >>> from sklearn_sits.datasets import load_romania
    >>> romania = load_romania(years=(2018, 2019))
    >>> romania.data.shape
    (2500, 66, 7)
    >>> tree_cover = romania.target.reshape(romania.shape)
    """
    source = _import_data()
    with source.romania_20m() as cube:
        cube.load()
    dates = cube["time"].to_numpy().astype("datetime64[D]")
    kept = _select(dates, years)
    dates = dates[kept]

    scl = _by_pixel(cube["SCL"], kept).astype(np.uint8)
    # NaN is what nodata is read as.
    values = np.stack([_by_pixel(cube[band], kept) for band in _BANDS], axis=-1) / np.float32(1e4)
    mask = np.isin(scl, _CLEAR_CLASSES)[..., None] & ~np.isnan(values)
    x, y = cube["x"].to_numpy(), cube["y"].to_numpy()
    position = np.stack([np.tile(x, len(y)), np.repeat(y, len(x))], axis=1)
    data = pack(values, dates, mask=mask, static=position)

    cover = source.romania_forest_cover_percentage().astype(np.float32).ravel()
    target = np.where(cover > _LARGEST_COVER, np.float32(np.nan), cover)
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        dates=dates,
        feature_names=[*_BANDS, "x", "y"],
        scl=scl,
        shape=(len(y), len(x)),
        x=x,
        y=y,
        crs="EPSG:3035",
        DESCR=_DESCR,
    )

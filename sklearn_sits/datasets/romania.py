"""Sentinel-2 time series of a forest in Romania, with its tree cover density."""

from numbers import Integral
from typing import Literal, overload

import numpy as np
from sklearn.utils import Bunch

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import validate_params
from sklearn_sits.series.packing import pack

_BANDS = ["B3", "B4", "B8A", "B11"]
_DESCR = """Sentinel-2 and tree cover density of a forest in Romania

Pixels     2500 (50 rows and 50 columns of 20 m, 1 km by 1 km), EPSG:3035
Dates      140 from 2015-08-01 to 2021-01-01, 32 to 34 a year from 2018 to 2020
Bands      B3 (560 nm), B4 (665 nm), B8A (865 nm), B11 (1610 nm); surface reflectance, stored as
           integers and divided by 10000 here
Clouds     from the scene classification (SCL) of Sentinel-2. Only vegetation (4) and bare soil
           (5) count as clear, which is 56 % of the acquisitions. "Unclassified" (7) is excluded
           because its NDVI in summer is 0.4 lower than on the clear dates of the same pixel.
           "Water" (6) is excluded because it occurs only from November to March and means shadow
           here. Undetected haze and snow remain, so clear reflectances may exceed 0.5.
Target     tree cover density of 2018 in percent, at 20 m

The data come with the Python package nrt 0.2.1, (C) 2022 European Union (Joint Research Centre),
under the EUPL 1.2. They contain modified Copernicus Sentinel data 2015-2021, which are free, full
and open under the legal notice on the use of Copernicus Sentinel data and service information. The
tree cover density is a High Resolution Layer of the Copernicus Land Monitoring Service,
(C) European Union, European Environment Agency, under the same full, free and open policy, which
requires users to name the source.

References
----------
Dutrieux, L. and Viehweger, J. (2024). nrt: Operational monitoring of satellite image time-series
in Python. https://github.com/ec-jrc/nrt
"""
_CLEAR_CLASSES = [4, 5]
_LARGEST_COVER = 100  # larger values are the codes for "unclassifiable" and "outside"


def _import_data():
    try:
        from nrt import data
    except ImportError as error:
        raise ImportError(
            'load_romania needs the package nrt: pip install "sklearn-sits[examples]"'
        ) from error
    return data


def _select(dates, years):
    """Return whether each date falls in the years, (n_dates,)."""
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


@overload
def load_romania(
    *, years: int | tuple[int, int] | None = None, return_X_y: Literal[False] = False
) -> Bunch: ...


@overload
def load_romania(
    *, years: int | tuple[int, int] | None = None, return_X_y: Literal[True]
) -> tuple[np.ndarray, np.ndarray]: ...


@validate_params(
    {"years": [None, Integral, tuple, list], "return_X_y": ["boolean"]},
    prefer_skip_nested_validation=True,
)
@set_module("sklearn_sits.datasets")
def load_romania(
    *, years: int | tuple[int, int] | None = None, return_X_y: bool = False
) -> Bunch | tuple[np.ndarray, np.ndarray]:
    """Load Sentinel-2 time series of a forest in Romania and its tree cover density.

    The data come with the optional package nrt [1]_, so nothing is downloaded. They are a map of
    1 km by 1 km with 2500 pixels of 20 m. Each pixel is a series of 4 bands at up to 140 dates
    from August 2015 to January 2021, of which 56 % are clear.

    Parameters
    ----------
    years : int, pair of int or None, default=None
        Year of the dates to load, or the first and the last year, both included. None loads all
        dates. There are few before 2016 and after 2020, and some pixels have no clear date in
        2021.
    return_X_y : bool, default=False
        If True, return `data` and `target` only.

    Returns
    -------
    dataset : :class:`~sklearn.utils.Bunch`
        data : ndarray of shape (2500, n_dates, 7), float32
            Packed series, row by row of the map: date in days since 1970-01-01, reflectances
            (mostly 0 to 0.6, NaN where not clear), easting and northing in metres in EPSG:3035.
            float32 rounds the positions to 0.5 m.
        target : ndarray of shape (2500,), float32
            Tree cover density in percent, 0 to 100. It would be NaN for pixels that are not
            mapped, of which there are none.
        dates : ndarray of shape (n_dates,), datetime64[D]
            Acquisition dates, ascending.
        feature_names : list of str
            Names of the channels of `data` after the date: four bands, "x" and "y".
        scl : ndarray of shape (2500, n_dates), uint8
            Scene classification of all dates, clear or not.
        shape : tuple of int
            Numbers of rows and columns. ``target.reshape(shape)`` is a map with north at the top.
        x, y : ndarray of shape (50,), float64
            Eastings of the columns and northings of the rows, in metres.
        crs : str
            Coordinate reference system of `x` and `y`.
        DESCR : str
            Description, source and licence.
    (data, target) : tuple if `return_X_y` is True
        The first two entries of the dataset.

    Raises
    ------
    ImportError
        If nrt is not installed.
    InvalidParameterError
        If an argument has the wrong type. It is a ValueError and a TypeError.
    ValueError
        If `years` is neither a year nor a pair of years, or no date lies in these years.

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
    # Nodata is read as NaN.
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

"""Checks of reflectances and angles, single spectra or packed series."""

import warnings

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils.validation import validate_data

from sklearn_sits.physics import GEOMETRY, Sensor
from sklearn_sits.physics.prosail import check_degrees, check_values
from sklearn_sits.series.checks import check_sits

__all__ = ["check_reflectances", "evenly_spaced_sensor"]

_LOWEST, _HIGHEST = -0.05, 1.5
_RANGE = (400.0, 2500.0)  # nm


def check_reflectances(estimator, X, *, sensor, reset):
    """Validate spectra with their angles, or series of them.

    Parameters
    ----------
    estimator : estimator instance
        Receives `n_features_in_` (and `feature_names_in_` for tables) when `reset` is True.
    X : array-like of shape (n_samples, n_bands + 3) or (n_series, n_dates, 1 + n_bands + 3)
        Reflectances and sun zenith, view zenith and relative azimuth in degrees; series have the
        date in front.
    sensor : Sensor or None
        Sensor with the bands of X. None takes any number of columns, all of them bands, with any
        values.
    reset : bool
        True in `fit`, False in the other methods, which compare X with what `fit` saw.

    Returns
    -------
    spectra : ndarray of shape (n, n_bands)
        All spectra of all series.
    angles : ndarray of shape (n, 3) or (n, 0)
        Their angles.
    seen : bool ndarray of shape (n,)
        Spectra without NaN.
    dates : ndarray of shape (n_series, n_dates) or None
        Of series, NaN in padding.

    Raises
    ------
    ValueError
        If the number of columns is not that of the bands and angles, names are in another order,
        a value is infinite, out of range or of another unit.

    Warns
    -----
    UserWarning
        If some spectra have NaN and X has no dates.
    """
    series = not issparse(X) and not hasattr(X, "columns") and np.asarray(X).ndim == 3
    if series:
        # Without what fit saw: the date is no column, and pixels and series are alike.
        X = check_sits(type(estimator)(), X, reset=True)
        dates, X = X[..., 0], X[..., 1:]
        if reset:
            estimator.n_features_in_ = X.shape[-1]
    else:
        dates = None
        X = validate_data(
            estimator,
            X,
            reset=reset,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
        )
    if sensor is not None:
        _check_columns(estimator, X.shape[-1], sensor.bands)
    X = X.reshape(-1, X.shape[-1])
    seen = ~np.isnan(X).any(axis=1)
    if not series and not seen.all():
        warnings.warn(
            f"{len(seen) - seen.sum()} of {len(seen)} spectra have NaN and are not used.",
            UserWarning,
            stacklevel=3,
        )
    n_bands = X.shape[1] if sensor is None else len(sensor.bands)
    spectra, angles = X[:, :n_bands], X[:, n_bands:]
    if sensor is not None and seen.any():
        _check_range(spectra[seen])
        # As tensors, for the canopy model has the same limits.
        geometry = torch.from_numpy(np.ascontiguousarray(angles[seen]))
        check_values(geometry, "X", GEOMETRY)
        check_degrees(geometry)
    return spectra, angles, seen, dates


def evenly_spaced_sensor(n_bands):
    """Make a sensor whose bands fill 400-2500 nm.

    Parameters
    ----------
    n_bands : int
        Number of bands.

    Returns
    -------
    sensor : Sensor
        With bands "1", "2", ... of normal responses as wide as their distance.
    """
    wavelengths = np.arange(_RANGE[0], _RANGE[1] + 1)
    width = (_RANGE[1] - _RANGE[0]) / n_bands
    centres = _RANGE[0] + width * (np.arange(n_bands) + 0.5)
    # The full width at half maximum is the distance.
    responses = np.exp(-4 * np.log(2) * ((wavelengths - centres[:, None]) / width) ** 2)
    names = [str(i + 1) for i in range(n_bands)]
    return Sensor.from_responses(wavelengths, responses, names, name="evenly spaced")


def _check_columns(estimator, n_columns, bands):
    expected = len(bands) + 3
    if n_columns != expected:
        raise ValueError(
            f"X has {n_columns} columns of reflectances and angles, expected {expected}: the bands "
            f"{', '.join(bands)}, sun zenith, view zenith and relative azimuth."
        )
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        return
    found = [name for name in names if name in bands]
    if set(found) == set(bands) and found != list(bands):
        raise ValueError(
            f"X has the bands in the order {', '.join(found)}, expected {', '.join(bands)}."
        )


def _check_range(spectra):
    low, high = spectra.min(), spectra.max()
    if high > 50:
        raise ValueError(
            f"X must hold reflectances in 0-1, found {high:g}: divide integers by their scale, "
            "10000 for Sentinel-2 products (after their offset)."
        )
    if low < _LOWEST or high > _HIGHEST:
        raise ValueError(
            f"X must hold reflectances within {_LOWEST} and {_HIGHEST}, found {low:.4g} to "
            f"{high:.4g}."
        )

"""Checks of reflectances and angles, single spectra or packed series."""

from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils.validation import _check_n_features, check_array, validate_data

from sklearn_sits._warnings import warn_counted
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.physics import Sensor
from sklearn_sits.physics.checks import check_degrees, check_values
from sklearn_sits.series.channel_names import match_names
from sklearn_sits.series.checks import check_numeric
from sklearn_sits.series.content import check_content, first_index

__all__ = [
    "Spectra",
    "check_reflectances",
    "evenly_spaced_sensor",
    "is_reflectance",
    "list_channels",
    "note_channels",
    "without_spectra",
]

_LOWEST, _HIGHEST = -0.05, 1.5
# No reflectance is larger, whatever the noise: a median above it is in another unit.
_OTHER_UNIT = 50.0
_SAMPLED = 4096  # spectra that show the unit of all
_RANGE = (400.0, 2500.0)  # nm


class Spectra(NamedTuple):
    """Spectra of samples, or of all dates of series.

    Parameters
    ----------
    reflectances : ndarray of shape (n, n_bands)
        Reflectances in 0-1.
    angles : ndarray of shape (n, n_angles)
        Their angles in degrees.
    is_complete : bool ndarray of shape (n,)
        Spectra that can be used.
    dates : ndarray of shape (n_series, n_dates) or None
        Of series, NaN in padding.
    """

    reflectances: np.ndarray
    angles: np.ndarray
    is_complete: np.ndarray
    dates: np.ndarray | None

    @property
    def shape(self):
        """Shape of a prediction: (n_samples,) or (n_series, n_dates)."""
        return self.is_complete.shape if self.dates is None else self.dates.shape

    def list_contents(self, rows, known):
        """List for dates of series an array that tells each of them from all others.

        Parameters
        ----------
        rows : slice
            Series.
        known : bool ndarray of shape (n_series, n_dates)
            Dates of these series to list.

        Returns
        -------
        contents : list of ndarray
            The spectra of the series, and then the date.
        """
        spectra = np.concatenate([self.reflectances, self.angles], axis=1)
        spectra = spectra.reshape(*self.shape, -1)[rows]
        complete = self.is_complete.reshape(self.shape)[rows]
        contents = []
        for series, days, seen, listed in zip(
            spectra, self.dates[rows], complete, known, strict=True
        ):
            # By date, because the order of the slots means nothing.
            order = np.flatnonzero(seen)[np.argsort(days[seen], kind="stable")]
            content = np.concatenate([days[order], series[order].ravel()])
            contents += [np.append(content, day) for day in days[listed]]
        return contents


def check_reflectances(estimator, X, *, decoder, reset):
    """Validate spectra with their angles, or series of them.

    Parameters
    ----------
    estimator : estimator instance
        Receives `n_features_in_` and, for tables and models with bands, `feature_names_in_` when
        `reset` is True.
    X : array-like of shape (n_samples, n_bands + n_angles) or (n_series, n_dates, 1 + n_bands + \
n_angles)
        Reflectances and angles in degrees; series have the date in front. The columns of a table
        with the names of bands and angles may have any order.
    decoder : RadiativeTransferModel or None
        Model with the bands and angles of X. None takes any number of columns, all of them bands,
        with any values.
    reset : bool
        True in `fit`, which refuses values out of range. False in the other methods, which compare
        X with the data of `fit`, and where spectra out of range count as not observed.

    Returns
    -------
    spectra : Spectra

    Raises
    ------
    ValueError
        If the number of columns is not that of the bands and angles, names are those of other
        bands, or values are in another unit; in `fit` also if a value is infinite or out of range.

    Warns
    -----
    DataQualityWarning
        If some spectra have NaN and X has no dates, or are out of range.
    """
    if reset and hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_
    X, dates = _read_series(estimator, X, reset) if _n_dims(X) == 3 else (X, None)
    if dates is None:
        X = _read_table(estimator, X, decoder, reset)
    elif reset:
        estimator.n_features_in_ = X.shape[-1]
    if reset and decoder is not None and not hasattr(estimator, "feature_names_in_"):
        estimator.feature_names_in_ = np.array(sum(list_channels(decoder), []), dtype=object)
    if decoder is not None:
        _check_columns(X.shape[-1], decoder)
    X = X.reshape(-1, X.shape[-1])
    is_missing = np.isnan(X).any(axis=1)
    if dates is None and is_missing.any():
        warn_counted(
            "{missing} of {total} spectra have NaN and are not used.",
            DataQualityWarning,
            missing=np.count_nonzero(is_missing),
            total=len(X),
        )
    if dates is not None:
        is_missing |= np.isnan(dates).ravel()
    n_bands = X.shape[1] if decoder is None else len(decoder.bands)
    reflectances, angles = X[:, :n_bands], X[:, n_bands:]
    is_complete = ~is_missing
    if decoder is None:
        is_complete &= np.isfinite(X).all(axis=1)
    elif is_complete.any():
        _check_units(reflectances[is_complete], angles[is_complete], decoder)
        if reset:
            _check_range(reflectances[is_complete], angles[is_complete], decoder)
        else:
            is_complete &= _find_usable(reflectances, angles, decoder)
    n_bad = len(X) - np.count_nonzero(is_missing) - np.count_nonzero(is_complete)
    if n_bad:
        _warn_of_spectra(reflectances, angles, ~is_missing & ~is_complete, decoder)
    return Spectra(reflectances, angles, is_complete, dates)


def _n_dims(X):
    """Count the axes of X without reading an array on disk."""
    if issparse(X) or hasattr(X, "columns"):
        return 2
    return X.ndim if hasattr(X, "ndim") else np.ndim(check_numeric(X, "X"))


def _read_series(estimator, X, reset):
    """Return the values and the dates of packed series."""
    array = check_array(
        check_numeric(X, "X"),
        dtype=[np.float64, np.float32],
        allow_nd=True,
        ensure_all_finite=False,
        input_name="X",
        estimator=estimator,
    )
    if array.shape[1] == 0 or array.shape[2] < 2:
        raise ValueError(
            f"X has shape {array.shape}, expected (n_series, n_dates, 1 + n_channels) with at "
            "least one date, and one channel after the date."
        )
    if reset:
        # Empty series are no error: they have no spectrum.
        check_content(array, [], "X")
        return array[..., 1:], array[..., 0]
    dates = array[..., 0]
    return array[..., 1:], np.where(np.isfinite(dates), dates, np.nan)


def _read_table(estimator, X, decoder, reset):
    """Return the values of spectra, columns with known names in the order of the model."""
    if not issparse(X) and not hasattr(X, "columns"):
        X = check_numeric(X, "X")
    options = {
        "dtype": [np.float64, np.float32],
        "ensure_all_finite": "allow-nan" if reset else False,
    }
    if decoder is not None:
        X, is_ordered = _order_columns(X, decoder)
        if not (reset or is_ordered) and list(estimator.feature_names_in_) != list(X.columns):
            raise ValueError(
                f"X has the columns {', '.join(map(str, X.columns))}, expected "
                f"{', '.join(estimator.feature_names_in_)}. Rename them, or pass X.to_numpy() if "
                "this is their order."
            )
    if decoder is None or not is_ordered:
        return validate_data(estimator, X, reset=reset, **options)
    # An array has the order of the model: no reason to warn that it has no names.
    X = check_array(X, input_name="X", estimator=estimator, **options)
    _check_n_features(estimator, X, reset=reset)
    return X


def _order_columns(X, decoder):
    """Return a table in the order of the model, and False if it has other names."""
    names = list(getattr(X, "columns", ()))
    if not any(isinstance(name, str) for name in names):
        return X, True
    sensor = getattr(getattr(decoder, "sensor", None), "name", None)
    groups = list_channels(decoder)
    found = [match_names(group, names, what="X", sensor=sensor) for group in groups if group]
    if not any(found):
        return X, False
    named = {i for positions in found for i in positions or ()}
    rest = [i for i in range(len(names)) if i not in named]
    unnamed = sum(len(group) for group, one in zip(groups, found, strict=False) if one is None)
    if len(rest) != unnamed:
        listed = [names[i] for positions in found for i in positions or ()]
        others = ", ".join(names[i] for i in rest) or "nothing"
        raise ValueError(
            f"X has {others} besides {', '.join(listed)}"
            + (
                f", expected {unnamed} columns of other bands or angles."
                if unnamed
                else ". Leave it out: X[model.feature_names_in_]."
            )
        )
    order = [i for positions in found for i in (rest if positions is None else positions)]
    return X[[names[i] for i in order]], True


def list_channels(decoder):
    """List the names of the channels of a model.

    Parameters
    ----------
    decoder : RadiativeTransferModel
        Model.

    Returns
    -------
    bands, angles : list of str
    """
    return list(decoder.bands), [angle.name.replace(" ", "_") for angle in decoder.geometry]


def note_channels(estimator, decoder):
    """Set the number and the names of the channels of an estimator that has seen none.

    Parameters
    ----------
    estimator : estimator instance
        Receives `n_features_in_` and `feature_names_in_`.
    decoder : RadiativeTransferModel
        Model with the bands and angles.
    """
    names = sum(list_channels(decoder), [])
    estimator.n_features_in_ = len(names)
    estimator.feature_names_in_ = np.array(names, dtype=object)


def without_spectra(estimator, decoder):
    """Check that an estimator can be fitted to simulations alone.

    Parameters
    ----------
    estimator : estimator instance
        See `note_channels`.
    decoder : RadiativeTransferModel or None
        Model with the bands and angles, None if X would tell their number.

    Returns
    -------
    spectra : Spectra
        Without any.

    Raises
    ------
    ValueError
        If a parameter of the estimator needs spectra.
    """
    needs = {
        "objective": estimator.objective != "simulations",
        "geometry": isinstance(estimator.geometry, str) and estimator.geometry == "X",
        "time_scale": isinstance(estimator.time_scale, str),
        "sensor": decoder is None,
    }
    for name, is_needed in needs.items():
        if is_needed:
            raise ValueError(
                f"X is None, but {name}={getattr(estimator, name)!r} needs spectra. Simulations of "
                "a sensor alone, with objective='simulations', do not."
            )
    note_channels(estimator, decoder)
    n_bands, n_angles = len(decoder.bands), len(decoder.geometry)
    reflectances = np.empty((0, n_bands), dtype=np.float32)
    angles = np.empty((0, n_angles), dtype=np.float32)
    return Spectra(reflectances, angles, np.zeros(0, dtype=bool), None)


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


def _check_columns(n_columns, decoder):
    bands, angles = decoder.bands, [angle.name for angle in decoder.geometry]
    if n_columns != len(bands) + len(angles):
        raise ValueError(
            f"X has {n_columns} columns of reflectances and angles, expected "
            f"{len(bands) + len(angles)}: the bands {', '.join(bands)}"
            + (f", then {', '.join(angles)}." if angles else ".")
        )


def _check_units(reflectances, angles, decoder):
    """Refuse reflectances and angles that are in another unit as a whole."""
    median = np.median(reflectances[:: 1 + len(reflectances) // _SAMPLED])
    # A block of a map that holds one fill value is no evidence of a unit.
    if median > _OTHER_UNIT and reflectances.min() < reflectances.max():
        raise ValueError(
            f"X must hold reflectances in 0-1, but their median is {median:g}. Divide integers by "
            "their scale, which is 10000 for Sentinel-2 products, after subtracting their offset."
        )
    if len(decoder.geometry) == 3:
        check_degrees(torch.from_numpy(np.nan_to_num(angles)), "X", advice="")


def _check_range(reflectances, angles, decoder):
    low, high = reflectances.min(), reflectances.max()
    if high > _OTHER_UNIT:
        raise ValueError(
            f"X must hold reflectances in 0-1, found {high:g}. Divide integers by their scale, "
            "which is 10000 for Sentinel-2 products, after subtracting their offset."
        )
    if low < _LOWEST or high > _HIGHEST:
        raise ValueError(
            f"X must hold reflectances within {_LOWEST} and {_HIGHEST}, found {low:.4g} to "
            f"{high:.4g}."
        )
    # As a tensor, because the model has the same limits.
    check_values(torch.from_numpy(np.ascontiguousarray(angles)), "X", decoder.geometry, advice="")


def is_reflectance(values):
    """Tell which values can be reflectances.

    Parameters
    ----------
    values : ndarray
        Numbers.

    Returns
    -------
    is_reflectance : bool ndarray of the same shape
    """
    return (values >= _LOWEST) & (values <= _HIGHEST)


def _find_usable(reflectances, angles, decoder):
    """Return where reflectances and angles are within their limits."""
    usable = is_reflectance(reflectances).all(axis=1)
    for angle, values in zip(decoder.geometry, angles.T, strict=True):
        usable &= (values >= angle.low) & (values <= angle.high)
    return usable


def _warn_of_spectra(reflectances, angles, is_bad, decoder):
    first = int(is_bad.argmax())
    limits = "finite"
    values = np.concatenate([reflectances[first], angles[first]])
    names = [f"column {i}" for i in range(len(values))]
    is_out = ~np.isfinite(values)
    if decoder is not None:
        limits = f"reflectances within {_LOWEST} and {_HIGHEST}, and angles within their bounds"
        names = [*decoder.bands, *(angle.name for angle in decoder.geometry)]
        low = np.array([_LOWEST] * len(decoder.bands) + [a.low for a in decoder.geometry])
        high = np.array([_HIGHEST] * len(decoder.bands) + [a.high for a in decoder.geometry])
        is_out = ~((values >= low) & (values <= high))
    (column,) = first_index(is_out)
    warn_counted(
        "{unusable} of {total} spectra count as not observed, because values must be "
        f"{limits}.",
        DataQualityWarning,
        detail=f"The first one is spectrum {first}, with {names[column]} = {values[column]:.4g}.",
        unusable=np.count_nonzero(is_bad),
        total=len(is_bad),
    )

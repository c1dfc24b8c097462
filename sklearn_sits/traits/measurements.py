"""What a few measurements tell about the errors of predictions."""

import copy
from typing import NamedTuple

import numpy as np
import torch
from sklearn.utils import _safe_indexing, check_array, check_consistent_length, column_or_1d

__all__ = [
    "Correction",
    "check_measurements",
    "correct_groups",
    "fit_correction",
    "learn_correction",
    "remove_correction",
]

# Measurements without an error that bias and slope count besides the real ones, and those that the
# width counts. A slope takes more evidence: it also acts where nothing was measured.
_PRIOR_BIAS, _PRIOR_SLOPE, _PRIOR_WIDTH = 10, 60, 10
# Largest measurement in units of the upper bound of a trait: beyond, it is in another unit.
_LARGEST_MEASUREMENT = 1000
_BUFFERS = ("measurement_offset", "measurement_slope", "measurement_factor")


def check_measurements(y, mean, highest):
    """Check measurements.

    Parameters
    ----------
    y : array-like of shape (..., n_targets)
        Measurements, NaN where there are none.
    mean : ndarray of the same shape
        Predictions, NaN where nothing was observed.
    highest : ndarray of shape (n_targets,)
        Upper bounds of the targets.

    Returns
    -------
    y : float64 ndarray of the same shape

    Raises
    ------
    ValueError
        If the shape is another one, nothing was measured, or in other units.
    """
    if y is None or np.isscalar(y):
        raise ValueError(f"y must have shape {mean.shape}, that of predict, got {y!r}.")
    y = check_array(
        y,
        dtype=np.float64,
        ensure_2d=False,
        allow_nd=True,
        ensure_all_finite="allow-nan",
        input_name="y",
    )
    if y.shape != mean.shape:
        raise ValueError(f"y must have shape {mean.shape}, that of predict, got {y.shape}.")
    if np.isnan(y + mean).all():
        raise ValueError("y has no measurement where X has a spectrum.")
    largest = np.nanmax(np.abs(y).reshape(-1, len(highest)), axis=0, initial=0.0)
    if (largest > _LARGEST_MEASUREMENT * highest).any():
        raise ValueError(
            f"y must be in the units of the targets, whose bounds are {highest}, found up to "
            f"{largest}."
        )
    return y


def remove_correction(estimator):
    """Remove the correction of a fitted estimator.

    Parameters
    ----------
    estimator : ProsailVAERegressor
        Changed in place.
    """
    like = estimator.state_["measurement_factor"]
    neutral = (np.zeros_like(like), np.zeros_like(like), np.ones_like(like))
    _set_correction(estimator, dict(zip(_BUFFERS, neutral, strict=True)))


def learn_correction(estimator, X, y):
    """Add what measurements tell to the correction of the targets of a fitted estimator.

    Parameters
    ----------
    estimator : ProsailVAERegressor
        Changed in place.
    X : array-like
        As in `predict`.
    y : ndarray of the shape of its predictions
        Measurements, NaN where there are none.
    """
    columns, n_variables = estimator._find_targets(), len(estimator._decoder.variables)
    y = y.reshape(-1, len(columns))
    # Traits that follow from others move with them first.
    for is_derived in (False, True):
        chosen = [i for i, one in enumerate(columns) if (one >= n_variables) == is_derived]
        if not chosen:
            continue
        mean, std = (part.reshape(y.shape) for part in estimator.predict(X, return_std=True))
        buffers = {name: estimator.state_[name].copy() for name in _BUFFERS}
        offset, slope, factor = buffers.values()
        for i in chosen:
            known = ~np.isnan(y[:, i] + mean[:, i])
            if not known.any():
                continue
            bias, gain, width = fit_correction(mean[known, i], std[known, i], y[known, i])
            column = columns[i]
            # One linear function after the other.
            offset[column] = bias + (1 + gain) * offset[column]
            slope[column] = (1 + gain) * (1 + slope[column]) - 1
            factor[column] *= width
        _set_correction(estimator, buffers)


def correct_groups(estimator, X, y, groups):
    """Correct copies of an estimator by the measurements of groups.

    Parameters
    ----------
    estimator : ProsailVAERegressor
        With the correction by all measurements.
    X : array-like
        As in `predict`.
    y : ndarray of the shape of its predictions
        Measurements, NaN where there are none.
    groups : array-like of shape (n_samples,) or (n_series,)
        Groups.

    Returns
    -------
    estimators : dict
        A corrected copy for each group.

    Raises
    ------
    ValueError
        If there is not one group for each sample or series.
    """
    groups = column_or_1d(groups)
    check_consistent_length(y, groups)
    estimators = {}
    for group in np.unique(groups).tolist():
        rows = np.flatnonzero(groups == group)
        estimators[group] = copy.copy(estimator)
        learn_correction(estimators[group], _safe_indexing(X, rows), y[rows])
    return estimators


def _set_correction(estimator, buffers):
    estimator.state_ = estimator.state_ | buffers
    estimator._restore()


def fit_correction(mean, std, y):
    """Fit how predictions differ from measurements.

    Parameters
    ----------
    mean, std : ndarray of shape (n,)
        Predictions.
    y : ndarray of shape (n,)
        Measurements.

    Returns
    -------
    bias, slope : float
        Of the correction bias + slope mean.
    factor : float
        On the standard deviations of corrected predictions.
    """
    mean, std, y = (np.asarray(values, dtype=np.float64) for values in (mean, std, y))
    n, centre, error, variance = len(y), mean.mean(), y - mean, np.mean(std**2)
    x = mean - centre
    bias = error.sum() / (n + _PRIOR_BIAS)
    # Plots that hardly differ tell nothing about a slope.
    precision = _PRIOR_SLOPE * max(np.mean(x**2), variance)
    slope = (x @ error) / (x @ x + precision)
    square = np.sum(((error - bias - slope * x) / std) ** 2)
    square += (_PRIOR_BIAS * bias**2 + precision * slope**2) / variance
    factor = np.sqrt((_PRIOR_WIDTH + square) / (_PRIOR_WIDTH + n))
    return bias - slope * centre, slope, factor


class Correction(NamedTuple):
    """A correction by measurements, for the traits of some spectra.

    Parameters
    ----------
    shift : tensor of shape (n, n_traits)
        By how much the distributions move, in the units of the traits.
    low, high : tensor of shape (n_traits,)
        Bounds of the traits.
    centre : tensor of shape (n, n_derived)
        Means of derived traits as they follow from the corrected variables.
    own : tensor of shape (n, n_derived)
        By how much derived traits move besides.
    scale : tensor of shape (n_derived,)
        Factor on the deviations of draws from that centre.
    """

    shift: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    centre: torch.Tensor
    own: torch.Tensor
    scale: torch.Tensor

    @classmethod
    def find(cls, module, decoder, mean, geometry, low, high):
        """Find the correction of traits.

        Parameters
        ----------
        module : CalibratedEncoder
            Encoder with the correction.
        decoder : RadiativeTransferModel
            Canopy model.
        mean : tensor of shape (n, n_traits)
            Means without the correction.
        geometry : tensor of shape (n, n_geometry)
            Angles.
        low, high : tensor of shape (n_traits,)
            Bounds of the traits.

        Returns
        -------
        correction : Correction
        """
        k = len(decoder.variables)
        offset, slope, factor = (getattr(module, name).to(mean) for name in _BUFFERS)
        before = mean[:, :k]
        after = _clamp(before + offset[:k] + slope[:k] * before, low[:k], high[:k])
        caused = decoder.append_derived(after, geometry) - decoder.append_derived(before, geometry)
        centre = mean[:, k:] + caused[:, k:]
        own = offset[k:] + slope[k:] * centre
        shift = torch.cat([after - before, caused[:, k:] + own], dim=1)
        # The variables have made the draws wider already.
        is_measured = (offset != 0) | (factor != 1)
        scale = torch.where(is_measured[k:], factor[k:] / factor[:k].max(), 1.0)
        return cls(shift, low, high, centre, own, scale)

    def move(self, values, columns):
        """Move values of some traits, within their bounds.

        Parameters
        ----------
        values : tensor of shape (..., n, n_columns)
            In the units of the traits.
        columns : list of int
            Positions of the traits.

        Returns
        -------
        values : tensor of the same shape
        """
        return _clamp(values + self.shift[:, columns], self.low[columns], self.high[columns])

    def move_derived(self, draws):
        """Correct derived traits that were measured; the others follow from the variables.

        Parameters
        ----------
        draws : tensor of shape (n, n_draws, n_traits)
            Draws, with corrected variables.

        Returns
        -------
        draws : tensor of the same shape
        """
        k = draws.shape[-1] - len(self.scale)
        centre, own = self.centre.unsqueeze(1), self.own.unsqueeze(1)
        derived = centre + own + self.scale * (draws[..., k:] - centre)
        # Those that were not measured stay exact.
        derived = torch.where((self.scale == 1) & (own == 0), draws[..., k:], derived)
        derived = _clamp(derived, self.low[k:], self.high[k:])
        return torch.cat([draws[..., :k], derived], dim=-1)


def _clamp(values, low, high):
    return torch.minimum(torch.maximum(values, low), high)

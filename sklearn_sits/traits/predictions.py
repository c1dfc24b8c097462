"""Traits of spectra and series from a fitted encoder."""

from numbers import Integral, Real

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_sits.physics import VARIABLES
from sklearn_sits.runtime.batches import predict_in_batches, to_tensor
from sklearn_sits.runtime.state import check_device
from sklearn_sits.traits.posterior import TraitPosterior
from sklearn_sits.traits.reflectances import check_reflectances
from sklearn_sits.traits.time_series import SeriesPosterior

__all__ = ["TRAITS", "UNITS", "TraitPredictionsMixin", "check_targets"]

UNITS = {variable.name: variable.unit for variable in VARIABLES}
UNITS |= {"CCC": "µg/cm²", "CWC": "g/cm²", "CDMC": "g/cm²"}
TRAITS = tuple(UNITS)
# Spectra at a time: what a CPU holds near it, and what keeps a GPU busy.
_PREDICTED_AT_ONCE = {"cpu": 2**12, "cuda": 2**17}
# Measurements that the uncertainty without any is worth.
_PRIOR_MEASUREMENTS = 10


class TraitPredictionsMixin:
    """Means, uncertainties and reconstructions of a fitted encoder, in the units of the traits."""

    def _check_X(self, X):
        sensor = self.sensor_ if self._has_angles else None
        return check_reflectances(self, X, sensor=sensor, reset=False)

    def _posterior(self, device, spectra, angles):
        """Return the posterior of complete spectra, tensors on the device."""
        model = self._copy_for(device, spectra.dtype)
        bounds = (torch.tensor(bound).to(spectra) for bound in (self._lowest, self._highest))
        return TraitPosterior(model["encoder"], model["decoder"], spectra, angles, *bounds)

    def _encode(self, spectra, angles):
        """Return the posterior of complete spectra, in their precision."""
        device = check_device(self.device)
        with torch.no_grad():
            return self._posterior(device, to_tensor(spectra, device), to_tensor(angles, device))

    def _apply(self, spectra, angles, function):
        """Apply a function of the posterior to complete spectra."""
        device = check_device(self.device)
        return predict_in_batches(
            lambda batch: function(self._posterior(device, *batch)),
            lambda rows: [to_tensor(part[rows], device) for part in (spectra, angles)],
            len(spectra),
            device,
            _PREDICTED_AT_ONCE[device.type],
        )

    def _apply_in_time(self, spectra, angles, seen, dates, function, result):
        """Apply a function of the joint posterior of the dates of series; fill the result."""
        spectra, angles = (v.reshape(*dates.shape, -1) for v in (spectra, angles))
        at_once = _PREDICTED_AT_ONCE[check_device(self.device).type]
        n_series = max(1, at_once // dates.shape[1])
        for start in range(0, len(dates), n_series):
            part = slice(start, start + n_series)
            chosen = seen[part]
            if not chosen.any():
                continue
            with torch.no_grad():
                single = self._encode(spectra[part][chosen], angles[part][chosen])
                device = single.low.device
                scales = np.broadcast_to(np.float64(self.time_scale_), len(TRAITS))
                arrays = (dates[part].astype(np.float64), chosen, scales.copy())
                posterior = SeriesPosterior(
                    single, *(torch.from_numpy(array).to(device) for array in arrays)
                )
                result[part][posterior.known.cpu().numpy()] = function(posterior).cpu().numpy()

    def _columns(self):
        return [TRAITS.index(name) for name in check_targets(self.targets)]

    def _predict(self, X, function, n_columns, in_time=True):
        """Apply a function of the posterior to X; NaN where there is none."""
        spectra, angles, seen, dates = self._check_X(X)
        shape = (len(spectra),) if dates is None else dates.shape
        result = np.full((*shape, n_columns), np.nan, dtype=spectra.dtype)
        seen = seen.reshape(shape)
        if in_time and dates is not None and self.time_scale_ is not None:
            self._apply_in_time(spectra, angles, seen, dates, function, result)
        elif seen.any():
            rows = seen.ravel()
            result[seen] = self._apply(spectra[rows], angles[rows], function)
        return result

    def _squeeze(self, values):
        return values[..., 0] if isinstance(self.targets, str) else values

    def predict(self, X, return_std=False):
        """Predict the mean of the targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_bands + 3) or (n_series, n_dates, 1 + n_bands + 3)
            Reflectances and angles as in `fit`.
        return_std : bool, default=False
            Also return the standard deviation, widened by the misfit of each spectrum.

        Returns
        -------
        mean : ndarray of shape (n_samples,) or (n_series, n_dates)
            In the precision of X. With several targets, one more dimension for them. NaN where
            there is no spectrum.
        std : ndarray of the same shape
            Only with `return_std=True`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented.
        """
        check_is_fitted(self)
        columns = self._columns()
        k = len(columns)
        if not return_std:
            return self._squeeze(self._predict(X, lambda p: p.mean(columns), k))

        def mean_and_std(posterior):
            return torch.cat([posterior.mean(columns), posterior.std(columns)], dim=1)

        both = self._predict(X, mean_and_std, 2 * k)
        return self._squeeze(both[..., :k]), self._squeeze(both[..., k:])

    def predict_interval(self, X, coverage=0.95):
        """Predict central intervals of the targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_bands + 3) or (n_series, n_dates, 1 + n_bands + 3)
            Reflectances and angles as in `fit`.
        coverage : float, default=0.95
            Probability of the interval, in (0, 1).

        Returns
        -------
        lower, upper : ndarray of shape (n_samples,) or (n_series, n_dates)
            In the precision of X. Quantiles, moved away from the median by the misfit of each
            spectrum, within the bounds of the target.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X or coverage is not as documented.
        """
        if not isinstance(coverage, Real) or not 0 < coverage < 1:
            raise ValueError(f"coverage must be between 0 and 1, got {coverage!r}.")
        check_is_fitted(self)
        columns = self._columns()
        k = len(columns)

        tail = (1 - coverage) / 2

        def quantiles(posterior):
            levels = torch.tensor([tail, 1 - tail]).to(posterior.low)[:, None, None]
            return torch.cat(list(posterior.quantiles(levels, columns)), dim=1)

        both = self._predict(X, quantiles, 2 * k)
        return self._squeeze(both[..., :k]), self._squeeze(both[..., k:])

    def sample(self, X, n_samples=1, random_state=0):
        """Draw the targets of each spectrum.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_bands + 3) or (n_series, n_dates, 1 + n_bands + 3)
            Reflectances and angles as in `fit`.
        n_samples : int, default=1
            Number of draws.
        random_state : int, RandomState instance or None, default=0
            Seed of the draws.

        Returns
        -------
        draws : ndarray of shape (n_draws, n_samples) or (n_draws, n_series, n_dates)
            In the precision of X. With several targets, one more dimension for them. Each from the
            distribution whose quantiles are those of `predict_interval`, independent of the others.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X or n_samples is not as documented.
        """
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be a positive integer, got {n_samples!r}.")
        check_is_fitted(self)
        columns = self._columns()
        rng = check_random_state(random_state)

        def draws(posterior):
            levels = rng.uniform(size=(n_samples, len(posterior), len(columns)))
            levels = torch.from_numpy(levels).to(posterior.low)
            return posterior.quantiles(levels, columns).transpose(0, 1).flatten(1)

        values = self._predict(X, draws, n_samples * len(columns))
        values = values.reshape(*values.shape[:-1], n_samples, len(columns))
        return self._squeeze(np.moveaxis(values, -2, 0))

    def calibrate(self, X, y):
        """Scale the uncertainty of the targets to measurements, if only a few.

        The squared factor on standard deviations is the mean squared error in their units, with
        ten more measurements that ask for none. Means do not change. A second call replaces the
        first.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_bands + 3) or (n_series, n_dates, 1 + n_bands + 3)
            Reflectances and angles as in `fit`.
        y : array-like of the shape of `predict(X)`
            Measured targets; NaN at dates of series without a measurement.

        Returns
        -------
        self : object
            Estimator with wider or narrower distributions.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X or y is not as documented.
        """
        check_is_fitted(self)
        columns = self._columns()
        with self._all_or_nothing():
            self.state_ = self.state_ | {"labelled": np.ones_like(self.state_["labelled"])}
            self._restore()
            mean, std = self.predict(X, return_std=True)
            y = np.asarray(y, dtype=np.float64)
            if y.shape != mean.shape:
                raise ValueError(f"y must have shape {mean.shape}, that of predict, got {y.shape}.")
            if np.isinf(y).any() or (np.ndim(X) == 2 and np.isnan(y).any()):
                raise ValueError("y must be finite, or NaN at dates of series.")
            square = np.square((y - mean) / std).reshape(-1, len(columns))
            count = np.sum(~np.isnan(square), axis=0)
            if not count.all():
                raise ValueError("y has no measurement where X has a spectrum.")
            total = _PRIOR_MEASUREMENTS + np.nansum(square, axis=0)
            self.state_["labelled"][columns] = np.sqrt(total / (_PRIOR_MEASUREMENTS + count))
            self._restore()
        return self

    def reconstruct(self, X):
        """Compute the reflectances of the mean traits.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_bands + 3) or (n_series, n_dates, 1 + n_bands + 3)
            Reflectances and angles as in `fit`.

        Returns
        -------
        reflectances : ndarray of shape (n_samples, n_bands) or (n_series, n_dates, n_bands)
            In the precision of X.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented.
        """
        check_is_fitted(self)
        n_bands = len(self.sensor_.bands)
        return self._predict(X, lambda p: p.reconstruct(), n_bands, in_time=False)


def check_targets(targets):
    """Return the names of targets as a list.

    Parameters
    ----------
    targets : str or sequence of str
        Names among `TRAITS`.

    Returns
    -------
    names : list of str

    Raises
    ------
    ValueError
        If there is none, or one is unknown.
    """
    names = [targets] if isinstance(targets, str) else list(targets)
    unknown = [name for name in names if name not in TRAITS]
    if unknown or not names:
        raise ValueError(f"targets must be among {list(TRAITS)}, got {unknown or 'none'}.")
    return names

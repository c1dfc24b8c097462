"""Vegetation traits from reflectances by a physics-constrained auto-encoder."""

from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, _fit_context
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_feature_names_in,
    _check_y,
    check_is_fitted,
)

from sklearn_sits.nn.encoder import ResidualEncoder
from sklearn_sits.physics import VARIABLES, Prosail, Sensor
from sklearn_sits.physics.variables import SIMULATION_PRIORS, Prior
from sklearn_sits.reflectances import check_reflectances, evenly_spaced_sensor
from sklearn_sits.torch_state import TorchStateMixin, check_device
from sklearn_sits.trait_posterior import TraitPosterior
from sklearn_sits.vae_training import Simulator, VAEModule, train_vae

__all__ = ["ProsailVAERegressor", "reconstruction_score"]

_VARIABLES = tuple(variable.name for variable in VARIABLES)
_TRAITS = (*_VARIABLES, "CCC", "CWC", "CDMC")
_PREDICTED_AT_ONCE = 16_384
_BLUE = 500.0  # nm; shorter waves are scattered by what is left of the atmosphere


class ProsailVAERegressor(TorchStateMixin, TransformerMixin, RegressorMixin, BaseEstimator):
    """Retrieval of vegetation traits by an auto-encoder whose decoder is PROSAIL [1]_.

    An encoder turns reflectances and angles into truncated normal distributions of the traits;
    :class:`~sklearn_sits.physics.Prosail` turns draws of them back into reflectances. No
    measurement of a trait is needed: the encoder learns from simulations, and from the spectra
    passed to `fit`, which it has to reconstruct.

    Parameters
    ----------
    targets : str or sequence of str, default="LAI"
        What `predict` returns: N, Cab, Car, Cbrown, Cw, Cm, LAI, ALA, hspot, psoil, rsoil in the
        units of `sklearn_sits.physics.VARIABLES`, or per ground area chlorophyll CCC = LAI Cab
        (µg/cm²), water CWC = LAI Cw and dry matter CDMC = LAI Cm (g/cm²).
    sensor : str, Sensor or None, default="Sentinel-2A"
        Sensor of the reflectances. None takes any number of bands, evenly spaced over 400-2500 nm,
        without angles: for trials only.
    bands : sequence of str or None, default=None
        Bands of the sensor, in the order of X. None stands for those that look at the land
        surface; for Sentinel-2 B2, B3, B4, B5, B6, B7, B8, B8A, B11, B12.
    objective : {"hybrid", "self-supervised", "simulations"}, default="hybrid"
        "simulations" maximises the likelihood of simulated traits and does not look at X: the
        MLP-Reg of [1]_. "self-supervised" starts from that and then maximises the likelihood of
        the spectra in X under the spread of the reconstructions, with `kl_weight` times the
        divergence of LAI from its bounds: the objective of [1]_. "hybrid" keeps both.
    priors : "paper" or mapping of str to Prior, default="paper"
        Distributions of the simulations, whose bounds are those of the traits. A mapping replaces
        the variables that it names.
    n_simulations : int, default=50000
        Number of simulations.
    noise : float, default=0.01
        Largest standard deviation of the noise in simulated reflectances.
    n_hidden : int, default=32
        Units of the layers of the encoder.
    n_blocks : int, default=3
        Number of its residual blocks.
    pretrain_iter : int, default=3000
        Training steps on simulations.
    max_iter : int, default=400
        Training steps on X, unless `objective="simulations"`.
    batch_size : int, default=256
        Spectra per step on X; four times as many simulations.
    learning_rate : float, default=1e-3
        Start of the learning rate, half of it on X; it falls as a cosine.
    n_mc_samples : int, default=16
        Draws of the traits per spectrum.
    kl_weight : float, default=2.0
        Weight of the divergence of LAI.
    excluded_bands : "auto" or sequence of str, default="auto"
        Bands that need not be reconstructed, as they keep traces of the atmosphere. "auto" are
        those whose centre is below 500 nm, B2 of Sentinel-2.
    quadrature : int or "exact", default=3
        See :class:`~sklearn_sits.physics.Prosail`.
    random_state : int, RandomState instance or None, default=None
        Seed of simulations, weights, batches and draws.
    device : str or torch.device, default="auto"
        "cpu", "cuda" or "cuda:N"; "auto" is CUDA where available, else the CPU.
    verbose : int, default=0
        If positive, show a progress bar.

    Attributes
    ----------
    n_features_in_ : int
        Number of bands and angles, without the date.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X had names.
    sensor_ : Sensor
        Sensor with its bands.
    n_iter_ : int
        Training steps run.
    history_ : list of dict
        Per 100 steps: step, phase, and the mean of each part of the loss.
    misfit_ : float
        Root mean square, over the spectra in X, of what the model cannot reproduce, in units of
        what it cannot in simulations. Above one the model is not the whole truth.
    state_ : dict of str to ndarray
        Parameters of the encoder, and the scale of the residuals of simulations.

    Notes
    -----
    PROSAIL is not the truth, and the distributions of the encoder do not know. The standard
    deviations and intervals are therefore widened by the misfit of each spectrum: its residual r
    at the mean traits, whitened by the residuals of simulations. With c² the mean square of the
    whitened residual and m² its median in simulations the factor is sqrt((1 + c²) / (1 + m²)):
    about one for spectra that PROSAIL can produce. It needs no label, and follows the practice of
    scaling errors by the misfit [2]_.

    Predictions do not depend on `y`, which `fit` accepts and checks only.

    References
    ----------
    .. [1] Zérah, Valero and Inglada, "Physics-constrained deep learning for biophysical parameter
       retrieval from Sentinel-2 images", Remote Sensing of Environment 312, 2024.
    .. [2] Birge, "The calculation of errors by the method of least squares", Physical Review 40,
       1932.

    Examples
    --------
    >>> from sklearn_sits import ProsailVAERegressor
    >>> from sklearn_sits.datasets import make_prosail
    >>> X, y = make_prosail(2000, targets=["LAI"], random_state=0)
    >>> model = ProsailVAERegressor(objective="simulations", pretrain_iter=500, random_state=0)
    >>> lai, std = model.fit(X).predict(X, return_std=True)
    >>> bool(model.score(X, y[:, 0]) > 0.6)
    True
    """

    _parameter_constraints = {
        "targets": [str, "array-like"],
        "sensor": [str, Sensor, None],
        "bands": ["array-like", None],
        "objective": [StrOptions({"hybrid", "self-supervised", "simulations"})],
        "priors": [StrOptions({"paper"}), Mapping],
        "n_simulations": [Interval(Integral, 100, None, closed="left")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "n_hidden": [Interval(Integral, 1, None, closed="left")],
        "n_blocks": [Interval(Integral, 0, None, closed="left")],
        "pretrain_iter": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "n_mc_samples": [Interval(Integral, 2, None, closed="left")],
        "kl_weight": [Interval(Real, 0, None, closed="left")],
        "excluded_bands": [StrOptions({"auto"}), "array-like"],
        "quadrature": [Interval(Integral, 1, None, closed="left"), StrOptions({"exact"})],
        "random_state": ["random_state"],
        "device": [str, torch.device],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        targets="LAI",
        *,
        sensor="Sentinel-2A",
        bands=None,
        objective="hybrid",
        priors="paper",
        n_simulations=50_000,
        noise=0.01,
        n_hidden=32,
        n_blocks=3,
        pretrain_iter=3000,
        max_iter=400,
        batch_size=256,
        learning_rate=1e-3,
        n_mc_samples=16,
        kl_weight=2.0,
        excluded_bands="auto",
        quadrature=3,
        random_state=None,
        device="auto",
        verbose=0,
    ):
        self.targets = targets
        self.sensor = sensor
        self.bands = bands
        self.objective = objective
        self.priors = priors
        self.n_simulations = n_simulations
        self.noise = noise
        self.n_hidden = n_hidden
        self.n_blocks = n_blocks
        self.pretrain_iter = pretrain_iter
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.n_mc_samples = n_mc_samples
        self.kl_weight = kl_weight
        self.excluded_bands = excluded_bands
        self.quadrature = quadrature
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = False
        tags.target_tags.multi_output = not isinstance(self.targets, str)
        # Trained without y, it cannot predict an arbitrary one.
        tags.regressor_tags.poor_score = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Fit the encoder.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_bands + 3) or (n_series, n_dates, 1 + n_bands + 3)
            Reflectances in 0-1 in the order of the bands, then sun zenith, view zenith and
            relative azimuth in degrees; series have the date in front. Spectra with NaN are left
            out.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Not used, but checked.

        Returns
        -------
        self : object
            Fitted estimator.

        Raises
        ------
        ValueError
            If X, y or a parameter is not as documented.
        FloatingPointError
            If the training diverges.
        """
        with self._all_or_nothing():
            return self._fit(X, y)

    def _fit(self, X, y):
        device = check_device(self.device)
        _check_targets(self.targets)
        sensor = self._make_sensor()
        spectra, angles, seen, _ = check_reflectances(self, X, sensor=sensor, reset=True)
        self._has_angles = sensor is not None
        self.sensor_ = sensor if self._has_angles else evenly_spaced_sensor(spectra.shape[1])
        if y is not None:
            check_consistent_length(X, y)
            _check_y(y, multi_output=not isinstance(self.targets, str), y_numeric=True)
        kept = self._check_excluded_bands()
        if not seen.any():
            raise ValueError("X has no spectrum without NaN.")
        random_state = check_random_state(self.random_state)
        generator = torch.Generator().manual_seed(random_state.randint(2**31 - 1))
        priors = _check_priors(self.priors)
        self._module_params = {"n_hidden": self.n_hidden, "n_blocks": self.n_blocks}
        self._quadrature = self.quadrature
        self._decoder = Prosail(self.sensor_, quadrature=self.quadrature)
        simulator = Simulator(self._decoder, priors, self.noise, self._has_angles)
        self._lowest, self._highest = simulator.bounds()
        module = self._build_module()
        self.history_ = train_vae(
            module,
            simulator,
            torch.from_numpy(spectra[seen]).float(),
            torch.from_numpy(angles[seen]).float(),
            kept=kept,
            objective=self.objective,
            n_simulations=self.n_simulations,
            pretrain_iter=self.pretrain_iter,
            max_iter=self.max_iter,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            n_mc_samples=self.n_mc_samples,
            kl_weight=self.kl_weight,
            verbose=self.verbose,
            generator=generator,
            device=device,
        )
        self.n_iter_ = self.pretrain_iter + self.max_iter * (self.objective != "simulations")
        self.state_ = {k: v.cpu().numpy() for k, v in module.state_dict().items()}
        self._restore()
        misfit = self._apply(spectra[seen], angles[seen], lambda posterior: posterior.misfit())
        self.misfit_ = float(np.sqrt(np.mean(np.square(misfit))))
        return self

    def _check_X(self, X):
        sensor = self.sensor_ if self._has_angles else None
        return check_reflectances(self, X, sensor=sensor, reset=False)

    def _make_sensor(self):
        if self.sensor is None:
            return None
        if isinstance(self.sensor, str):
            return Sensor.load(self.sensor, self.bands)
        return self.sensor if self.bands is None else self.sensor.select(self.bands)

    def _check_excluded_bands(self):
        """Return which bands have to be reconstructed."""
        bands, centres = self.sensor_.bands, self.sensor_.centre
        if isinstance(self.excluded_bands, str):
            # With blue bands only, there is nothing else to reconstruct.
            kept = centres >= _BLUE
            return kept if kept.any() else ~kept
        unknown = [band for band in self.excluded_bands if band not in bands]
        if unknown:
            raise ValueError(f"excluded_bands must be among {list(bands)}, got {unknown}.")
        kept = np.array([band not in self.excluded_bands for band in bands])
        if not kept.any():
            raise ValueError("excluded_bands leaves no band to reconstruct.")
        return kept

    def _build_module(self):
        n_bands = len(self.sensor_.bands)
        n_inputs = n_bands + 3 * self._has_angles
        encoder = ResidualEncoder(n_inputs, len(_TRAITS), **self._module_params)
        return VAEModule(encoder, n_bands)

    def _restore(self):
        super()._restore()
        if not hasattr(self, "_decoder"):
            self._decoder = Prosail(self.sensor_, quadrature=self._quadrature)

    def __getstate__(self):
        state = super().__getstate__()
        state.pop("_decoder", None)
        return state

    def _apply(self, spectra, angles, function):
        """Apply a function of the posterior to complete spectra."""
        device = check_device(self.device)
        module, decoder = self._module.to(device), self._decoder.to(device)
        bounds = [torch.tensor(bound, device=device) for bound in (self._lowest, self._highest)]
        parts = []
        with torch.no_grad():
            for start in range(0, len(spectra), _PREDICTED_AT_ONCE):
                part = slice(start, start + _PREDICTED_AT_ONCE)
                x, a = (
                    torch.from_numpy(array[part].astype(np.float64)).to(device)
                    for array in (spectra, angles)
                )
                posterior = TraitPosterior(module, decoder, x, a, *bounds)
                parts.append(function(posterior).cpu().numpy())
        return np.concatenate(parts)

    def _columns(self):
        return [_TRAITS.index(name) for name in _check_targets(self.targets)]

    def _predict(self, X, function, n_columns):
        """Apply a function of the posterior to X; NaN where there is no spectrum."""
        spectra, angles, seen, shape = self._check_X(X)
        result = np.full((len(spectra), n_columns), np.nan)
        if seen.any():
            result[seen] = self._apply(spectra[seen], angles[seen], function)
        return result.reshape(*shape, n_columns)

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
        mean : float64 ndarray of shape (n_samples,) or (n_series, n_dates)
            With several targets, one more dimension for them. NaN where there is no spectrum.
        std : float64 ndarray of the same shape
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
            return self._squeeze(self._predict(X, lambda p: p.of(columns).mean, k))

        def mean_and_std(posterior):
            distribution = posterior.of(columns)
            std = distribution.stddev * posterior.misfit()[:, None]
            # No distribution between the bounds has a larger one.
            std = torch.minimum(std, (distribution.high - distribution.low) / 2)
            return torch.cat([distribution.mean, std], dim=1)

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
        lower, upper : float64 ndarray of shape (n_samples,) or (n_series, n_dates)
            Quantiles, moved away from the median by the misfit of each spectrum, within the
            bounds of the target.

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

        def quantiles(posterior):
            distribution = posterior.of(columns)
            tail = (1 - coverage) / 2
            levels = torch.tensor([tail, 0.5, 1 - tail]).to(distribution.loc)
            lower, median, upper = distribution.icdf(levels[:, None, None])
            factor = posterior.misfit()[:, None]
            lower = torch.maximum(median + factor * (lower - median), distribution.low)
            upper = torch.minimum(median + factor * (upper - median), distribution.high)
            return torch.cat([lower, upper], dim=1)

        both = self._predict(X, quantiles, 2 * k)
        return self._squeeze(both[..., :k]), self._squeeze(both[..., k:])

    def transform(self, X):
        """Compute the mean of every trait.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_bands + 3) or (n_series, n_dates, 1 + n_bands + 3)
            Reflectances and angles as in `fit`.

        Returns
        -------
        traits : float64 ndarray of shape (n_samples, 14) or (n_series, n_dates, 14)
            In the order of `get_feature_names_out`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented.
        """
        check_is_fitted(self)
        columns = list(range(len(_TRAITS)))
        return self._predict(X, lambda posterior: posterior.of(columns).mean, len(columns))

    def get_feature_names_out(self, input_features=None):
        """Return the names of the traits that `transform` computes.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of X, checked only.

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features, generate_names=False)
        return np.array(_TRAITS, dtype=object)

    def reconstruct(self, X):
        """Compute the reflectances of the mean traits.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_bands + 3) or (n_series, n_dates, 1 + n_bands + 3)
            Reflectances and angles as in `fit`.

        Returns
        -------
        reflectances : float64 ndarray of shape (n_samples, n_bands) or (n_series, n_dates, n_bands)

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented.
        """
        check_is_fitted(self)
        n_bands = len(self.sensor_.bands)
        return self._predict(X, lambda posterior: posterior.reconstruct(), n_bands)


def reconstruction_score(estimator, X, y=None):
    """Score a fitted :class:`ProsailVAERegressor` without labels.

    A `scoring` of searches and cross-validation: minus half of the mean, over held-out spectra, of
    the squared errors of reconstruction summed over the bands, in units of 0.01 of reflectance.
    It is the log-likelihood under noise of that size, up to a constant.

    Parameters
    ----------
    estimator : ProsailVAERegressor
        Fitted estimator.
    X : array-like
        Held-out spectra, as in `fit`.
    y : array-like, default=None
        Not used.

    Returns
    -------
    score : float
        The higher the better.
    """
    check_is_fitted(estimator)
    spectra, _, seen, _ = estimator._check_X(X)
    bands = estimator.reconstruct(X).reshape(-1, spectra.shape[1])[seen]
    error = (spectra[seen] - bands) / 0.01
    return -0.5 * float(np.mean(np.sum(error**2, axis=1)))


def _check_targets(targets):
    names = [targets] if isinstance(targets, str) else list(targets)
    unknown = [name for name in names if name not in _TRAITS]
    if unknown or not names:
        raise ValueError(f"targets must be among {list(_TRAITS)}, got {unknown or 'none'}.")
    return names


def _check_priors(priors):
    if isinstance(priors, str):
        return dict(SIMULATION_PRIORS)
    unknown = [name for name in priors if name not in _VARIABLES]
    if unknown:
        raise ValueError(f"priors must name some of {list(_VARIABLES)}, got {unknown}.")
    for variable in VARIABLES:
        prior = priors.get(variable.name, SIMULATION_PRIORS[variable.name])
        if not isinstance(prior, Prior):
            raise TypeError(f"priors must hold objects of Prior, got {prior!r}.")
        bounds = [(prior.low, prior.high), (prior.dense_low, prior.dense_high)]
        if not all(variable.low <= low < high <= variable.high for low, high in bounds):
            raise ValueError(
                f"priors must have ascending bounds of {variable.name} within {variable.low:g} and "
                f"{variable.high:g}, got {prior}."
            )
        if not (np.isfinite(prior.mean) and prior.std > 0):
            raise ValueError(
                f"priors must have finite means and positive standard deviations, got {prior} for "
                f"{variable.name}."
            )
    return SIMULATION_PRIORS | dict(priors)

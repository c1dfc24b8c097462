"""Vegetation traits from reflectances by a physics-constrained auto-encoder."""

import copy
from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, _fit_context
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in, _check_y, check_is_fitted
from torch.nn import ModuleDict

from sklearn_sits._module_names import set_module
from sklearn_sits.nn.calibrated_encoder import CalibratedEncoder
from sklearn_sits.nn.encoder import ResidualEncoder
from sklearn_sits.physics import Prosail, Sensor
from sklearn_sits.runtime.state import TorchStateMixin, check_device
from sklearn_sits.traits.calibration import calibrate_encoder
from sklearn_sits.traits.predictions import TRAITS, UNITS, TraitPredictionsMixin, check_targets
from sklearn_sits.traits.priors import check_priors
from sklearn_sits.traits.reflectances import check_reflectances, evenly_spaced_sensor
from sklearn_sits.traits.simulator import Simulator
from sklearn_sits.traits.time_series import most_likely_time_scale
from sklearn_sits.traits.training import train_vae

__all__ = ["ProsailVAERegressor"]

_SERIES_FOR_TIME_SCALE = 500
_BLUE = 500.0  # nm; shorter waves are scattered by what is left of the atmosphere


@set_module("sklearn_sits")
class ProsailVAERegressor(
    TraitPredictionsMixin, TorchStateMixin, TransformerMixin, RegressorMixin, BaseEstimator
):
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
    n_simulations : int, default=100000
        Number of simulations.
    noise : float, default=0.01
        Largest standard deviation of the noise in simulated reflectances.
    n_hidden : int, default=64
        Units of the layers of the encoder.
    n_blocks : int, default=3
        Number of its residual blocks.
    pretrain_iter : int, default=6000
        Training steps on simulations.
    max_iter : int, default=400
        Training steps on X, unless `objective="simulations"`.
    batch_size : int, default=256
        Spectra per step on X; four times as many simulations.
    learning_rate : float, default=3e-3
        Start of the learning rate, a sixth of it on X; it falls as a cosine.
    n_mc_samples : int, default=16
        Draws of the traits per spectrum.
    kl_weight : float, default=2.0
        Weight of the divergence of LAI.
    excluded_bands : "auto" or sequence of str, default="auto"
        Bands that need not be reconstructed, as they keep traces of the atmosphere. "auto" are
        those whose centre is below 500 nm, B2 of Sentinel-2.
    quadrature : int or "exact", default=3
        See :class:`~sklearn_sits.physics.Prosail`.
    time_scale : float, "auto" or None, default=None
        Days in which a trait changes by about what it varies between canopies: the prior of series
        is then auto-regressive, a random walk of the logarithm of each trait whose variance grows
        in this time to twice that of simulations. Every date, cloudy or not, gets what the dates
        around it tell. "auto" takes the likeliest of 5, 10, 20, ..., 320 days for each trait. None
        treats every date by itself.
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
    time_scale_ : float, ndarray of shape (14,) or None
        Days in which traits change.
    units_ : dict of str to str
        Unit of each trait, empty where it has none.
    date_range_ : None
        Only the distances between dates matter, not their time of year.
    state_ : dict of str to ndarray
        Parameters of the encoder, and what simulations showed about its errors.

    Notes
    -----
    Distributions of the encoder are widened thrice, and never by a label. To the width that they
    had before the encoder saw X, if it was larger: to reconstruct a spectrum narrows them, but is
    no evidence on traits. By a factor per trait that makes the 95 % intervals of held-out
    simulations right. And by the misfit of each spectrum, as PROSAIL is not the truth: its residual
    r at the mean traits, whitened by the residuals of simulations. With c² the mean square of the
    whitened residual and m² its median in simulations the factor is sqrt((1 + c²) / (1 + m²)):
    about one for spectra that PROSAIL can produce. This follows the practice of scaling errors by
    the misfit [2]_.

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
        "time_scale": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"}), None],
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
        n_simulations=100_000,
        noise=0.01,
        n_hidden=64,
        n_blocks=3,
        pretrain_iter=6000,
        max_iter=400,
        batch_size=256,
        learning_rate=3e-3,
        n_mc_samples=16,
        kl_weight=2.0,
        excluded_bands="auto",
        quadrature=3,
        time_scale=None,
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
        self.time_scale = time_scale
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
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
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
        check_targets(self.targets)
        sensor = self._make_sensor()
        spectra, angles, seen, dates = check_reflectances(self, X, sensor=sensor, reset=True)
        if self.time_scale == "auto" and dates is None:
            raise ValueError("time_scale='auto' needs packed series, got X with two dimensions.")
        if y is not None:
            check_consistent_length(X, y)
            _check_y(y, multi_output=not isinstance(self.targets, str), y_numeric=True)
        simulator = self._prepare(sensor or evenly_spaced_sensor(spectra.shape[1]))
        kept = self._check_excluded_bands()
        if not seen.any():
            raise ValueError("X has no spectrum without NaN.")
        random_state = check_random_state(self.random_state)
        generator = torch.Generator().manual_seed(random_state.randint(2**31 - 1))
        module = self._build_module()
        observed = [torch.from_numpy(values[seen]).float() for values in (spectra, angles)]
        self.history_ = train_vae(
            module,
            simulator,
            *observed,
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
        self.n_iter_ = self.history_[-1]["step"]
        known = observed[1] if self._has_angles and self._observed else None
        calibrate_encoder(module, simulator, known, generator)
        self.state_ = {k: v.cpu().numpy() for k, v in module.state_dict().items()}
        self._restore()
        misfit = self._apply(spectra[seen], angles[seen], lambda posterior: posterior.misfit())
        self.misfit_ = float(np.sqrt(np.mean(np.square(misfit))))
        self.time_scale_ = self.time_scale
        if self.time_scale == "auto":
            chosen = random_state.permutation(len(dates))[:_SERIES_FOR_TIME_SCALE]
            seen = seen.reshape(dates.shape)
            spectra, angles = (v.reshape(*seen.shape, -1)[chosen] for v in (spectra, angles))
            single = self._encode(spectra[seen[chosen]], angles[seen[chosen]])
            # Variances of a diffuse start and of a date differ by more than float32 holds.
            arrays = (dates[chosen].astype(np.float64), seen[chosen])
            times = (torch.from_numpy(array).to(single.low.device) for array in arrays)
            self.time_scale_ = most_likely_time_scale(single, *times).numpy()
        return self

    def _prepare(self, sensor):
        """Set all of a fitted estimator that does not depend on data."""
        self.sensor_, self._has_angles = sensor, self.sensor is not None
        self._observed = self.objective != "simulations"
        self._module_params = {"n_hidden": self.n_hidden, "n_blocks": self.n_blocks}
        self._quadrature = self.quadrature
        self._decoder = Prosail(sensor, quadrature=self.quadrature)
        priors = check_priors(self.priors)
        simulator = Simulator(self._decoder, priors, self.noise, self._has_angles)
        self._lowest, self._highest = simulator.bounds()
        self.units_, self.date_range_ = dict(UNITS), None
        return simulator

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
        encoder, before = (
            ResidualEncoder(n_inputs, len(TRAITS), **self._module_params) for _ in range(2)
        )
        return CalibratedEncoder(
            encoder, n_bands, len(TRAITS), before=before if self._observed else None
        )

    def _load_state(self, state):
        """Become fitted by the state of another estimator with the same parameters."""
        self._prepare(self._make_sensor())
        self.n_features_in_ = len(self.sensor_.bands) + 3
        self.history_, self.n_iter_ = [], self.pretrain_iter
        # In units of what simulations leave, and no more was seen.
        self.misfit_, self.time_scale_ = 1.0, self.time_scale
        self.state_ = state
        self._restore()
        return self

    def _restore(self):
        super()._restore()
        if not hasattr(self, "_decoder"):
            self._decoder = Prosail(self.sensor_, quadrature=self._quadrature)

    def _make_copy(self):
        return copy.deepcopy(ModuleDict({"encoder": self._module, "decoder": self._decoder}))

    def __getstate__(self):
        state = super().__getstate__()
        state.pop("_decoder", None)
        return state

    def transform(self, X):
        """Compute the mean of every trait.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_bands + 3) or (n_series, n_dates, 1 + n_bands + 3)
            Reflectances and angles as in `fit`.

        Returns
        -------
        traits : ndarray of shape (n_samples, 14) or (n_series, n_dates, 14)
            In the order of `get_feature_names_out` and the precision of X.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented.
        """
        check_is_fitted(self)
        columns = list(range(len(TRAITS)))
        return self._predict(X, lambda posterior: posterior.mean(columns), len(columns))

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
        return np.array(TRAITS, dtype=object)

"""Vegetation traits from reflectances by a physics-constrained auto-encoder."""

import copy
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted
from torch.nn import ModuleDict

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import RandomState
from sklearn_sits.nn.calibrated_encoder import CalibratedEncoder
from sklearn_sits.nn.encoder import ResidualEncoder
from sklearn_sits.physics import Prior, Prosail, RadiativeTransferModel, Sensor
from sklearn_sits.runtime.batches import ROW_BLOCK, predict_in_batches, to_tensor
from sklearn_sits.runtime.parameters import NumberInterval, read_parameters
from sklearn_sits.runtime.state import check_device
from sklearn_sits.traits.calibration import calibrate_encoder
from sklearn_sits.traits.decoders import (
    find_reconstructed_bands,
    make_decoder,
    make_training_decoder,
)
from sklearn_sits.traits.measurements import (
    check_measurements,
    correct_groups,
    learn_correction,
    remove_correction,
)
from sklearn_sits.traits.posterior import TraitPosterior
from sklearn_sits.traits.priors import check_geometry, list_priors
from sklearn_sits.traits.quality import (
    flag_spectra,
    flag_unusable,
    list_flags,
    may_have_offset,
    warn_of_domain,
)
from sklearn_sits.traits.reflectances import (
    check_reflectances,
    evenly_spaced_sensor,
    note_channels,
    without_spectra,
)
from sklearn_sits.traits.shipped import read_encoder
from sklearn_sits.traits.simulator import Simulator
from sklearn_sits.traits.time_series import SeriesPosterior, find_time_scale
from sklearn_sits.traits.training import TraitTraining
from sklearn_sits.vae.base import BaseVAERegressor
from sklearn_sits.vae.draws import draw_normal

__all__ = ["ProsailVAERegressor"]

_SERIES_FOR_TIME_SCALE = 500
# Spectra at a time: few enough for the cache of a CPU, and enough to keep a GPU busy.
_PREDICTED_AT_ONCE = {"cpu": 2**12, "cuda": 2**17}


@set_module("sklearn_sits")
class ProsailVAERegressor(BaseVAERegressor):
    """Retrieval of vegetation traits by an auto-encoder whose decoder is PROSAIL.

    An encoder turns reflectances and angles into truncated normal distributions of the traits,
    and :class:`~sklearn_sits.physics.Prosail` turns draws of them back into reflectances [1]_.
    No measurement of a trait is needed: the encoder learns from simulations, and from the
    spectra passed to `fit`, which it has to reconstruct.

    Parameters
    ----------
    targets : str or sequence of str, default="LAI"
        Traits that `predict` returns, or "all" of them: the variables N, Cab, Car, Cbrown, Cw, Cm,
        LAI, ALA, hspot, psoil and rsoil in the units of `sklearn_sits.physics.VARIABLES`; per
        ground area chlorophyll CCC = LAI Cab (µg/cm², 100 of which are 1 g/m²), water
        CWC = LAI Cw and dry matter CDMC = LAI Cm (g/cm²); and the fractions fAPAR and fCover. See
        the notes for their definitions.
    sensor : str, Sensor or None, default="Sentinel-2A"
        Sensor of the reflectances. None takes any number of bands, evenly spaced over 400-2500 nm,
        without angles: for trials only.
    bands : sequence of str or None, default=None
        Bands of the sensor, in the order of X. None stands for those that look at the land
        surface; for Sentinel-2 B2, B3, B4, B5, B6, B7, B8, B8A, B11, B12.
    decoder : RadiativeTransferModel or None, default=None
        Model that turns traits into reflectances. None is :class:`~sklearn_sits.physics.Prosail`
        with the bands of `sensor`. Another model has bands, angles and traits of its own, and
        `sensor`, `bands` and `quadrature` are then not used.
    objective : {"hybrid", "self-supervised", "simulations"}, default="hybrid"
        "simulations" maximises the likelihood of simulated traits and does not look at X, so that
        `fit` also takes None: the MLP-Reg of [1]_. "self-supervised" starts from that and then
        maximises the likelihood of the spectra in X under the spread of the reconstructions, with
        `kl_weight` times the divergence of LAI from its bounds: the objective of [1]_. "hybrid"
        adds the likelihood of simulations to that.
    priors : str, sequence of str or mapping of str to Prior or (float, float), default="mixed"
        Distributions of the simulations, whose bounds are those of the traits. A name stands for a
        type of canopy in `sklearn_sits.physics.CANOPY_TYPES`: "crops", "cereals", "broad-leaved",
        "forest", "dry" or "wide". Of several names each gets an equal share of the simulations.
        "mixed" is a mixture for places of which nothing is known: crops and forest (2/7 each),
        broad-leaved, wide and dry canopies (1/7 each). "paper" are the priors of [1]_. A mapping
        replaces the variables that it names in those; two bounds are a uniform distribution.
    geometry : "sensor", "X" or mapping of str to (float, float), default="sensor"
        Angles of the simulations. "sensor" draws them from the range of the sensor, see
        :meth:`~sklearn_sits.physics.Prosail.sample_geometry`. A mapping gives the bounds of
        "sun zenith", "view zenith" or "relative azimuth" in degrees, in place of that range. With
        "X", half of the simulations take angles of X; without it they do so if the objective uses
        X.
    init : {"random", "shipped"}, default="random"
        Weights from which training starts. "shipped" are those of :func:`load_prosail_vae`, which
        replace the training on simulations and about half of the time. They exist for
        `priors="mixed"`, `geometry="sensor"` and the default size of the encoder.
    n_simulations : int, default=100000
        Number of simulations.
    noise : float, default=0.01
        Largest standard deviation of the noise in simulations.
    n_hidden : int, default=64
        Units of the layers of the encoder.
    n_blocks : int, default=3
        Number of its residual blocks.
    pretrain_iter : int, default=3000
        Training steps on simulations.
    max_iter : int, default=400
        Training steps on X, unless `objective="simulations"`.
    batch_size : int, default=256
        Observations per training step; four times as many simulations.
    learning_rate : float, default=3e-3
        Start of the learning rate, a sixth of it on X; it falls as a cosine.
    n_mc_samples : int, default=16
        Draws of the latents per observation in a training step.
    kl_weight : float or "auto", default="auto"
        Weight of the divergence of LAI. "auto" is 1 for "self-supervised", and 0 for "hybrid",
        whose simulations hold the prior already.
    excluded_bands : "auto" or sequence of str, default="auto"
        Bands that need not be reconstructed, because they keep traces of the atmosphere. "auto"
        are those with a centre below 500 nm, which is B2 of Sentinel-2.
    quadrature : int or "exact", default=3
        See :class:`~sklearn_sits.physics.Prosail`.
    time_scale : float, "auto" or None, default=None
        Days in which a trait changes by about its standard deviation between canopies. The prior
        of series is then auto-regressive: a random walk of the logarithm of each trait, with a
        variance that grows in this time to twice that of simulations. Every date, cloudy or not,
        borrows information from its neighbours. "auto" takes the likeliest of 5, 10, 20, ..., 320
        days for each trait. None treats every date by itself.
    random_state : int, RandomState instance or None, default=None
        Seed of all random numbers. The same seed gives the same result on the same device; the
        global generators are not touched.
    device : str or torch.device, default="auto"
        "cpu", "cuda" or "cuda:N"; "auto" is CUDA where available, else the CPU.
    verbose : int, default=0
        If positive, show a progress bar.

    Attributes
    ----------
    n_features_in_ : int
        Number of bands and angles, without the date.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the bands and angles, in the order of X; those of the columns of X, if they are
        others. Without a sensor, only if X had names.
    sensor_ : Sensor or None
        Sensor with its bands, if the decoder has one.
    n_iter_ : int
        Training steps run.
    history_ : list of dict
        Per 100 steps: step, phase, and the mean of each part of the loss.
    misfit_ : float
        Root mean square reconstruction residual over X, relative to that of simulated spectra.
        Values above one mean that PROSAIL does not fully explain the data.
    time_scale_ : float, ndarray of shape (n_traits,) or None
        Days in which traits change.
    units_ : dict of str to str
        Unit of each trait, empty where it has none.
    date_range_ : None
        Only the distances between dates matter, not their time of year.
    state_ : dict of str to ndarray
        Parameters of the encoder, and the statistics of its errors on simulations.
    group_estimators_ : dict
        Corrected copies of the estimator, after `calibrate` with groups.
    quality_flags_ : dict of str to int
        Meanings and bits of the flags that `quality` returns.

    Notes
    -----
    X has shape (n_samples, n_bands + 3) or (n_series, n_dates, 1 + n_bands + 3): reflectances in
    0-1 in the order of the bands, then sun zenith, view zenith and relative azimuth in degrees.
    Series have the date in front. Predictions have the precision of X. The columns of a table may
    have any order if they have the names of bands (B2, B02 or blue) and angles (sun_zenith,
    view_zenith, relative_azimuth).

    LAI is the one-sided area of all leaves, green and brown, per area of ground. PROSAIL places
    the leaves at random, so that it is the effective LAI: that of the random leaves through which
    as much light would pass. Where leaves are clumped in rows or crowns, the true LAI is larger.
    Stems and ears count as leaves. Cbrown tells how brown the leaves are, on a scale without unit:
    zero for green leaves, and about one for withered ones. fAPAR is the share of the
    photosynthetically active sunlight (400-700 nm) that chlorophyll and carotenoids absorb, out of
    a direct beam at the sun zenith of the spectrum (black sky, at the time of the image). It
    includes light that the soil sends back, and leaves out what brown pigments and dry matter
    absorb. fCover is the share of the ground that leaves hide from a view straight down, times the
    share of chlorophyll and carotenoids in their absorption. Both are near zero for withered
    canopies, whatever their LAI. A date of a series without a spectrum takes the sun of the
    nearest date that has one.

    The predicted distributions are widened in three steps, none of which uses labels. First, to
    their width before the encoder saw X, if that was larger: fitting the spectra makes the
    distributions narrower without adding evidence about the traits. Second, by a factor per trait
    that gives the 95 % intervals of held-out simulations their coverage. Third, by the misfit of
    each spectrum, because PROSAIL is not the truth. The misfit is the residual r at the mean
    traits, whitened by the residuals of simulations. With c² the mean square of the whitened
    residual and m² its median in simulations, the factor is sqrt((1 + c²) / (1 + m²)), which is
    about one for spectra that PROSAIL can produce. This follows the practice of scaling errors by
    the misfit [2]_.

    The draws of `sample` are canopies: the variables depend on one another by a normal copula
    with the correlations of the errors in simulations, and derived traits are computed from them.

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
    >>> X, y = make_prosail(500, targets=["LAI"], random_state=0)
    >>> few = {"n_simulations": 10_000, "pretrain_iter": 200}  # a quick trial
    >>> model = ProsailVAERegressor(objective="simulations", random_state=0, **few).fit(X)
    >>> lai, std = model.predict(X, return_std=True)
    >>> bool(model.score(X, y[:, 0]) > 0.5)
    True
    """

    _parameter_constraints = {
        **BaseVAERegressor._parameter_constraints,
        "sensor": [str, Sensor, None],
        "bands": ["array-like", None],
        "decoder": [RadiativeTransferModel, None],
        "priors": [str, "array-like", Mapping],
        "geometry": [StrOptions({"sensor", "X"}), Mapping],
        "init": [StrOptions({"random", "shipped"})],
        "kl_weight": [NumberInterval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "n_simulations": [NumberInterval(Integral, 100, None, closed="left")],
        "noise": [NumberInterval(Real, 0, None, closed="left")],
        "excluded_bands": [StrOptions({"auto"}), "array-like"],
        "quadrature": [NumberInterval(Integral, 1, None, closed="left"), StrOptions({"exact"})],
        "time_scale": [NumberInterval(Real, 0, None, closed="neither"), StrOptions({"auto"}), None],
    }

    def __init__(
        self,
        targets: str | Sequence[str] = "LAI",
        *,
        sensor: str | Sensor | None = "Sentinel-2A",
        bands: Sequence[str] | None = None,
        decoder: RadiativeTransferModel | None = None,
        objective: Literal["hybrid", "self-supervised", "simulations"] = "hybrid",
        priors: str | Sequence[str] | Mapping[str, Prior | tuple[float, float]] = "mixed",
        geometry: str | Mapping[str, tuple[float, float]] = "sensor",
        init: Literal["random", "shipped"] = "random",
        n_simulations: int = 100_000,
        noise: float = 0.01,
        n_hidden: int = 64,
        n_blocks: int = 3,
        pretrain_iter: int = 3000,
        max_iter: int = 400,
        batch_size: int = 256,
        learning_rate: float = 3e-3,
        n_mc_samples: int = 16,
        kl_weight: float | Literal["auto"] = "auto",
        excluded_bands: Literal["auto"] | Sequence[str] = "auto",
        quadrature: int | Literal["exact"] = 3,
        time_scale: float | Literal["auto"] | None = None,
        random_state: RandomState = None,
        device: str | torch.device = "auto",
        verbose: int = 0,
    ) -> None:
        self.targets = targets
        self.sensor = sensor
        self.bands = bands
        self.decoder = decoder
        self.objective = objective
        self.priors = priors
        self.geometry = geometry
        self.init = init
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
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _fit(self, X, y, device):
        decoder = make_decoder(self)
        self._set_outputs(_list_traits(decoder or Prosail))
        X_checked = self._check_training_data(X, y, decoder)
        if decoder is None:
            n_bands = X_checked.reflectances.shape[1]
            decoder = Prosail(evenly_spaced_sensor(n_bands), quadrature=self.quadrature)
        simulator = self._prepare(decoder)
        is_reconstructed = find_reconstructed_bands(decoder, self.excluded_bands)
        initial_state = read_encoder(self) if self.init == "shipped" else None
        complete = X_checked.is_complete
        if X is not None and not complete.any():
            raise ValueError("X has no spectrum without NaN.")
        random_state = check_random_state(self.random_state)
        training_seed, calibration_seed = random_state.randint(2**31 - 1, size=2)
        generator = torch.Generator().manual_seed(int(training_seed))
        module = self._build_module()
        observed = [
            torch.from_numpy(values[complete]).float()
            for values in (X_checked.reflectances, X_checked.angles)
        ]
        training = TraitTraining(
            module,
            simulator,
            make_training_decoder(self, decoder),
            *observed,
            is_reconstructed=is_reconstructed,
            n_simulations=int(self.n_simulations),
            uses_angles=self._has_angles and (self._uses_observations or self.geometry == "X"),
            initial_state=initial_state,
            settings=self._list_settings(),
            generator=generator,
            device=device,
        )
        self.history_ = training.fit()
        self.n_iter_ = self.history_[-1]["step"]
        # Numbers of its own, so that it does not depend on the length of the training.
        generator = torch.Generator().manual_seed(int(calibration_seed))
        calibrate_encoder(module, simulator, training.known_angles, generator)
        self.state_ = {k: v.cpu().numpy() for k, v in module.state_dict().items()}
        self._restore()
        # In units of the residuals of simulations.
        self.misfit_ = 1.0
        if X is not None:
            misfit = self._apply(
                [X_checked.reflectances[complete], X_checked.angles[complete]],
                lambda posterior, _: posterior.misfit,
            )
            self.misfit_ = float(np.sqrt(np.mean(np.square(misfit))))
        self.time_scale_ = self.time_scale
        if self.time_scale == "auto":
            n_series = len(X_checked.dates)
            chosen = random_state.permutation(n_series)[:_SERIES_FOR_TIME_SCALE]
            self.time_scale_ = find_time_scale(*self._encode_series(X_checked, chosen)).numpy()

    def _check_training_data(self, X, y, decoder):
        if X is None and y is None:
            return without_spectra(self, decoder)
        X_checked = check_reflectances(self, X, decoder=decoder, reset=True)
        if self.time_scale == "auto" and X_checked.dates is None:
            raise ValueError("time_scale='auto' needs packed series, got X with two dimensions.")
        self._check_y(X, y)
        return X_checked

    def _prepare(self, decoder):
        """Set all of a fitted estimator that does not depend on data."""
        self._decoder, self._custom_decoder = decoder, copy.deepcopy(self.decoder)
        self.sensor_ = getattr(decoder, "sensor", None)
        self._has_angles = self.sensor is not None or self.decoder is not None
        self._uses_observations = self.objective != "simulations"
        parameters = read_parameters(self)
        self._module_params = {"n_hidden": parameters.n_hidden, "n_blocks": parameters.n_blocks}
        self._quadrature = self.quadrature
        simulator = Simulator(
            decoder,
            list_priors(self.priors, decoder),
            self.noise,
            self._has_angles,
            check_geometry(self.geometry, decoder),
        )
        vars(self).pop("group_estimators_", None)
        self._lowest, self._highest = (bound.numpy() for bound in simulator.bounds())
        self.units_, self.date_range_ = decoder.units, None
        return simulator

    def _list_settings(self):
        settings = super()._list_settings()
        if self.kl_weight == "auto":
            weight = float(self.objective == "self-supervised")
            settings = settings._replace(kl_weight=weight)
        return settings

    def _build_module(self):
        model = self._decoder
        n_bands, n_variables = len(model.bands), len(model.variables)
        n_latents = n_variables + len(model.derived)
        n_angles = len(model.geometry) * self._has_angles
        n_inputs = n_bands + n_angles
        encoder, pretrained = (
            ResidualEncoder(n_inputs, n_latents, **self._module_params) for _ in range(2)
        )
        if not self._uses_observations:
            pretrained = None
        return CalibratedEncoder(encoder, n_bands, n_latents, n_variables, pretrained, n_angles)

    def _load_state(self, state):
        """Become fitted by the state of another estimator with the same parameters."""
        self._prepare(make_decoder(self))
        self._set_outputs(_list_traits(self._decoder))
        note_channels(self, self._decoder)
        self.history_, self.n_iter_ = [], self.pretrain_iter
        # In units of the residuals of simulations, and the model has seen nothing else.
        self.misfit_, self.time_scale_ = 1.0, self.time_scale
        self.state_ = state
        self._restore()
        return self

    def _restore(self):
        if not hasattr(self, "_decoder"):
            self._decoder = copy.deepcopy(self._custom_decoder)
            if self._decoder is None:
                self._decoder = Prosail(self.sensor_, quadrature=self._quadrature)
        super()._restore()

    def _make_copy(self):
        model = copy.deepcopy(ModuleDict({"encoder": self._module, "decoder": self._decoder}))
        # Beside the modules: a copy for each batch would wait for the work of a GPU.
        for name, bound in (("low", self._lowest), ("high", self._highest)):
            model.register_buffer(name, torch.tensor(bound))
        return model

    def __getstate__(self):
        state = super().__getstate__()
        state.pop("_decoder", None)
        return state

    def _check_X(self, X):
        decoder = self._decoder if self._has_angles else None
        return check_reflectances(self, X, decoder=decoder, reset=False)

    def _make_posterior(self, device, spectra, angles):
        """Return the posterior of complete spectra, tensors on the device."""
        model = self._copy_for(device, spectra.dtype)
        return TraitPosterior(*model.values(), spectra, angles, model.low, model.high)

    def _apply(self, parts, function, n_draws=0, seed=None):
        """Apply a function to the posterior of complete spectra, and normal numbers for draws."""
        device = check_device(self.device)
        n_variables = len(self._decoder.variables)

        def load(rows):
            arrays = [part[rows] for part in parts]
            tensors = [to_tensor(array, device) for array in arrays]
            if not n_draws:
                return *tensors, None
            normal = draw_normal(np.concatenate(arrays, axis=1), n_draws, n_variables, seed)
            return *tensors, to_tensor(normal, device)

        return predict_in_batches(
            lambda batch: function(self._make_posterior(device, *batch[:2]), batch[2]),
            load,
            len(parts[0]),
            device,
            _PREDICTED_AT_ONCE[device.type],
        )

    def _encode_series(self, X, rows):
        """Return the posterior of the spectra of some series, all dates, and where spectra are."""
        device = check_device(self.device)
        complete = X.is_complete.reshape(X.shape)[rows]
        n = np.count_nonzero(complete)
        padded = np.resize(np.arange(n), n + -n % ROW_BLOCK)
        arrays = (values.reshape(*X.shape, -1)[rows][complete][padded] for values in X[:2])
        # Variances of a diffuse start and of a date differ by more than float32 holds.
        dates = torch.from_numpy(X.dates[rows].astype(np.float64)).to(device)
        with torch.no_grad():
            single = self._make_posterior(device, *(to_tensor(one, device) for one in arrays))
            single.trim(n)
        return single, dates, torch.from_numpy(complete).to(device)

    def _apply_in_time(self, X, function, result, n_draws, seed):
        """Apply a function to the joint posterior of the dates of series; fill the result."""
        at_once = _PREDICTED_AT_ONCE[check_device(self.device).type]
        n_series = max(1, at_once // X.shape[1])
        scales = np.broadcast_to(np.float64(self.time_scale_), len(self._lowest)).copy()
        for start in range(0, X.shape[0], n_series):
            rows = slice(start, start + n_series)
            single, dates, seen = self._encode_series(X, rows)
            if not len(single):
                continue
            with torch.no_grad():
                posterior = SeriesPosterior(single, dates, seen, torch.from_numpy(scales).to(dates))
                normal = None
                if n_draws:
                    contents = X.list_contents(rows, posterior.known.cpu().numpy())
                    n_variables = len(self._decoder.variables)
                    normal = to_tensor(
                        draw_normal(contents, n_draws, n_variables, seed), dates.device
                    )
                values = function(posterior, normal)
            result[rows][posterior.known.cpu().numpy()] = values.cpu().numpy()

    def _map_posterior(self, X, function, n_columns, *, n_draws=0, seed=None, in_time=True):
        X = self._check_X(X)
        warn_of_domain(X, self._module.domain, may_have_offset(self.sensor_))
        result = np.full((*X.shape, n_columns), np.nan, dtype=X.reflectances.dtype)
        if in_time and X.dates is not None and self.time_scale_ is not None:
            self._apply_in_time(X, function, result, n_draws, seed)
        elif X.is_complete.any():
            complete = X.is_complete
            # Without a copy where there are no gaps.
            rows = slice(None) if complete.all() else complete
            parts = [X.reflectances[rows], X.angles[rows]]
            result[complete.reshape(X.shape)] = self._apply(parts, function, n_draws, seed)
        return result

    def reconstruct(self, X: ArrayLike) -> np.ndarray:
        """Compute the reflectances of the mean traits.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_bands + 3) or (n_series, n_dates, 1 + n_bands + 3)
            Reflectances and angles as in `fit`.

        Returns
        -------
        reflectances : ndarray of shape (n_samples, n_bands) or (n_series, n_dates, n_bands)
            In the precision of X. NaN where there is no spectrum.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented.
        """
        check_is_fitted(self)
        n_bands = len(self._decoder.bands)
        return self._map_posterior(
            X, lambda posterior, _: posterior.reconstruction, n_bands, in_time=False
        )

    @property
    def quality_flags_(self) -> dict[str, int]:
        """Bits of `quality` and what they mean: a dict of str to int."""
        check_is_fitted(self)
        return list_flags([self._outputs[column] for column in self._find_targets()])

    def quality(self, X: ArrayLike) -> np.ndarray:
        """Tell what is wrong with spectra, and with the targets predicted from them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_bands + 3) or (n_series, n_dates, 1 + n_bands + 3)
            Reflectances and angles as in `fit`.

        Returns
        -------
        flags : int32 ndarray of shape (n_samples,) or (n_series, n_dates)
            0 where all is well, else the sum of the bits of `quality_flags_`:

            ======================== ==========================================================
            not_observed             a value is missing, or is no reflectance or angle
            band_out_of_domain       a reflectance is outside the range of simulations
            spectrum_out_of_domain   hardly any simulation has such a combination of bands
            large_misfit             the canopy model does not reproduce the spectrum
            offset_not_subtracted    without the offset of 0.1 of Sentinel-2 products since 2022
                                     the spectrum would be likelier
            angle_out_of_domain      an angle is outside the range of simulations
            LAI_at_bound             the mean of the target is as good as its bound: within 0.5
                                     % of its range; one bit for each target
            ======================== ==========================================================

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented.

        Warns
        -----
        DataQualityWarning
            If some spectra are not usable or have angles out of the domain, or an offset seems to
            be left in many of them.

        Examples
        --------
        >>> from sklearn_sits import load_prosail_vae
        >>> from sklearn_sits.datasets import make_prosail
        >>> X, _ = make_prosail(100, random_state=0)
        >>> X[0, :10] = 0.8  # a cloud
        >>> model = load_prosail_vae()
        >>> flags = model.quality(X)
        >>> bool(flags[0] & model.quality_flags_["large_misfit"])
        True
        >>> bool((flags[1:] == 0).mean() > 0.9)
        True
        """
        check_is_fitted(self)
        columns, has_offset = self._find_targets(), may_have_offset(self.sensor_)
        X = self._check_X(X)
        warn_of_domain(X, self._module.domain, has_offset)
        flags = flag_unusable(X, self._decoder if self._has_angles else None)
        if X.is_complete.any():
            complete = X.is_complete
            flags[complete] = self._apply(
                [X.reflectances[complete], X.angles[complete]],
                lambda posterior, _: flag_spectra(posterior, columns, has_offset),
            )
        return flags.reshape(X.shape)

    def calibrate(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Correct bias, slope and uncertainty of the targets with a few measurements.

        The correction of a target is a linear function of its predicted mean, by which its whole
        distribution moves; the distribution also becomes wider or narrower. Everything is shrunk
        towards no correction: a bias counts ten measurements without an error besides the real
        ones, a slope sixty, and a width ten of the predicted size. Ten plots therefore correct
        half of a bias. A second call replaces the first.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_bands + 3) or (n_series, n_dates, 1 + n_bands + 3)
            Reflectances and angles as in `fit`.
        y : array-like of the shape of `predict(X)`
            Measured targets, NaN where one was not measured.
        groups : array-like of shape (n_samples,) or (n_series,), default=None
            Groups with corrections of their own, such as crops. Each starts from the correction by
            all measurements, towards which it is shrunk as that towards none.

        Returns
        -------
        self : object
            Estimator with the correction by all measurements. With `groups`, its attribute
            `group_estimators_` has a corrected copy for each of them.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X, y or groups is not as documented.

        Notes
        -----
        Traits that follow from others move with them: if LAI is corrected, so is CCC = LAI Cab,
        before its own measurements correct what is left. Within a draw of `sample`, CCC equals
        LAI Cab, unless CCC itself was measured. `reconstruct` uses the traits without the
        correction, and so does the misfit.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_sits import load_prosail_vae
        >>> from sklearn_sits.datasets import make_prosail
        >>> X, y = make_prosail(40, targets=["LAI"], random_state=0)
        >>> lai = y[:, 0] + 1  # plots of another kind of LAI
        >>> model = load_prosail_vae()
        >>> before = np.mean(model.predict(X) - lai)
        >>> after = np.mean(model.calibrate(X, lai).predict(X) - lai)
        >>> bool(abs(after) < 0.3 * abs(before))
        True
        """
        check_is_fitted(self)
        with self._all_or_nothing():
            vars(self).pop("group_estimators_", None)
            remove_correction(self)
            y = check_measurements(y, self.predict(X), self._highest[self._find_targets()])
            learn_correction(self, X, y)
            if groups is not None:
                self.group_estimators_ = correct_groups(self, X, y, groups)
        return self


def _list_traits(model):
    return [trait.name for trait in (*model.variables, *model.derived)]

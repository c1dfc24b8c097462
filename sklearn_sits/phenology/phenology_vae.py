"""Dates of the season from vegetation index series by a physics-constrained auto-encoder."""

import warnings
from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, _fit_context
from sklearn.utils import check_consistent_length, check_random_state, gen_batches
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in, _check_y, check_is_fitted

from sklearn_sits._module_names import set_module
from sklearn_sits.nn.gridding import drop_gaps
from sklearn_sits.nn.ordered import dependence, sample_dependent
from sklearn_sits.nn.refinement import latent_moments
from sklearn_sits.phenology.model import SeasonModel, parameter_bounds
from sklearn_sits.phenology.seasons import (
    check_channel,
    check_priors,
    check_start,
    season_slots,
    usable_series,
)
from sklearn_sits.phenology.training import train_seasons
from sklearn_sits.physics import TruncatedNormal
from sklearn_sits.physics.double_logistic import PHENOLOGY
from sklearn_sits.runtime.state import TorchStateMixin, check_device
from sklearn_sits.series.checks import check_sits
from sklearn_sits.series.date_range import find_date_range

__all__ = ["PhenologyVAERegressor"]

_NAMES = tuple(variable.name for variable in PHENOLOGY)
_UNITS = {variable.name: variable.unit for variable in PHENOLOGY}
_PREDICTED_AT_ONCE = 1024
_MAX_PATTERNS = 4096
_YEAR = 365
# Columns of the dates among the parameters.
_DATES = slice(2, None)


@set_module("sklearn_sits")
class PhenologyVAERegressor(TorchStateMixin, TransformerMixin, RegressorMixin, BaseEstimator):
    """Retrieval of the dates of the season by an auto-encoder that decodes a double logistic.

    An encoder turns the series of a vegetation index, with any dates and gaps, into truncated
    normal distributions of the six parameters of a double logistic [1]_. No date of a season has
    to be known: the encoder learns from simulations that have the dates and gaps of the series
    passed to `fit` and, if asked to, from these series, which it has to reconstruct.

    Parameters
    ----------
    targets : "all", str or sequence of str, default="all"
        What `predict` returns: minimum and maximum of the index, start_of_season, maturity,
        senescence, end_of_season in the time scale of X, or some of them.
    channel : int, default=1
        Position of the vegetation index on the last axis of X; channel 0 is the date.
    season_start : float or None, default=None
        Date of day 0 of the season, in the time scale of X. Observations from 45 days before to
        410 days after it are used, and others not. None is the first date observed in `fit`.
    objective : {"simulations", "self-supervised", "hybrid"}, default="simulations"
        "simulations" maximises the likelihood of the parameters of simulations, and takes from X
        its dates and gaps only. "self-supervised" starts from that and then maximises the
        likelihood of the series in X under the spread of the reconstructions, with `kl_weight`
        times the divergence of the parameters from uniform distributions. "hybrid" keeps both.
    priors : mapping of str to (float, float) or None, default=None
        Bounds of the uniform distributions of the simulations, which replace those in
        `sklearn_sits.physics.double_logistic.PHENOLOGY_PRIORS`: minimum, amplitude,
        start_of_season (day of the season), growth, plateau, decline (days).
    noise : float, default=0.05
        Largest standard deviation of the noise in simulated series.
    n_hidden : int, default=64
        Units of the layers of the encoder.
    n_blocks : int, default=2
        Number of residual blocks of each of its two networks.
    pretrain_iter : int, default=4000
        Training steps on simulations.
    max_iter : int, default=400
        Training steps on X, unless `objective="simulations"`.
    batch_size : int, default=128
        Series per step on X; four times as many simulations.
    learning_rate : float, default=4e-3
        Start of the learning rate, a quarter of it on X; it falls as a cosine.
    n_mc_samples : int, default=16
        Draws of the parameters per series in X.
    kl_weight : float, default=1.0
        Weight of the divergence.
    random_state : int, RandomState instance or None, default=None
        Seed of simulations, weights, batches and draws.
    device : str or torch.device, default="auto"
        "cpu", "cuda" or "cuda:N"; "auto" is CUDA where available, else the CPU.
    verbose : int, default=0
        If positive, show a progress bar.

    Attributes
    ----------
    n_features_in_ : int
        Number of channels seen in `fit`, date included; number of dates for 2-D input.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X was a table with names.
    season_start_ : float
        Date of day 0 of the season.
    date_range_ : float64 ndarray of shape (2,)
        First and last date with an observation, in days as in X.
    units_ : dict of str to str
        Unit of each target, empty where it has none.
    n_iter_ : int
        Training steps run.
    history_ : list of dict
        Per 100 steps: step, phase, and the mean of each part of the loss.
    state_ : dict of str to ndarray
        Parameters of the encoder, and the bounds of the parameters of the season.

    Notes
    -----
    The encoder has two networks. Between them, the double logistic at the means of the first one
    is compared with the observations, and linearised: the second network sees what a step of
    Gauss-Newton would change.

    A 2-D array stands for series on a regular grid over a year, day 0 to 365.

    Distributions are right if the index follows a double logistic with independent normal noise of
    at most `noise`, with parameters drawn from `priors`. Predictions do not depend on `y`, which
    `fit` accepts and checks only.

    References
    ----------
    .. [1] Beck, P. S. A. et al. (2006). Improved monitoring of vegetation dynamics at very high
       latitudes: A new method using MODIS NDVI. Remote Sensing of Environment, 100(3), 321-334.

    Examples
    --------
    >>> from sklearn_sits import PhenologyVAERegressor
    >>> from sklearn_sits.datasets import make_phenology
    >>> X, y = make_phenology(500, random_state=0)
    >>> model = PhenologyVAERegressor("maturity", pretrain_iter=300, random_state=0).fit(X)
    >>> day, std = model.predict(X, return_std=True)
    >>> bool(model.score(X, y[:, 3]) > 0.8)
    True
    """

    _parameter_constraints = {
        "targets": [str, "array-like"],
        "channel": [Integral],
        "season_start": [Interval(Real, None, None, closed="neither"), None],
        "objective": [StrOptions({"hybrid", "self-supervised", "simulations"})],
        "priors": [Mapping, None],
        "noise": [Interval(Real, 0, 1, closed="both")],
        "n_hidden": [Interval(Integral, 1, None, closed="left")],
        "n_blocks": [Interval(Integral, 0, None, closed="left")],
        "pretrain_iter": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "n_mc_samples": [Interval(Integral, 2, None, closed="left")],
        "kl_weight": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "device": [str, torch.device],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        targets="all",
        *,
        channel=1,
        season_start=None,
        objective="simulations",
        priors=None,
        noise=0.05,
        n_hidden=64,
        n_blocks=2,
        pretrain_iter=4000,
        max_iter=400,
        batch_size=128,
        learning_rate=4e-3,
        n_mc_samples=16,
        kl_weight=1.0,
        random_state=None,
        device="auto",
        verbose=0,
    ):
        self.targets = targets
        self.channel = channel
        self.season_start = season_start
        self.objective = objective
        self.priors = priors
        self.noise = noise
        self.n_hidden = n_hidden
        self.n_blocks = n_blocks
        self.pretrain_iter = pretrain_iter
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.n_mc_samples = n_mc_samples
        self.kl_weight = kl_weight
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = False
        one = isinstance(self.targets, str) and self.targets != "all"
        tags.target_tags.multi_output = not one
        tags.target_tags.single_output = one
        # Trained without y, it cannot predict an arbitrary one.
        tags.regressor_tags.poor_score = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Fit the encoder.

        Parameters
        ----------
        X : array-like of shape (n_series, n_dates, 1 + n_channels) or (n_series, n_dates)
            Packed array with dates in days, or series on a regular grid over a year. Series
            without an observation in the season are left out.
        y : array-like of shape (n_series,) or (n_series, n_targets), default=None
            Not used, but checked.

        Returns
        -------
        self : object
            Fitted estimator.

        Raises
        ------
        ValueError
            If X, y or a parameter is not as documented, or nothing was observed.
        FloatingPointError
            If the training diverges.
        """
        with self._all_or_nothing():
            return self._fit(X, y)

    def _fit(self, X, y):
        device = check_device(self.device)
        _, single = _check_targets(self.targets)
        priors = check_priors(self.priors)
        packed = check_sits(self, X, reset=True)
        self._channel = check_channel(self.channel, packed.shape[2])
        if y is not None:
            check_consistent_length(X, y)
            _check_y(y, multi_output=not single, y_numeric=True)
        regular = self._n_dims_in == 2
        start = check_start(self.season_start, packed, self._channel, regular)
        self.season_start_ = start
        usable = np.flatnonzero(usable_series(packed, self._channel, start, regular))
        if not len(usable):
            raise ValueError(
                f"X has no observation of channel {self._channel} within the season, "
                f"{self._season()}."
            )
        random_state = check_random_state(self.random_state)
        if len(usable) > _MAX_PATTERNS:
            usable = np.sort(random_state.choice(usable, _MAX_PATTERNS, replace=False))
        generator = torch.Generator().manual_seed(random_state.randint(2**31 - 1))
        slots = season_slots(packed[usable], self._channel, start, regular)
        days, values, seen = map(torch.from_numpy, slots)
        self._module_params = {"n_hidden": self.n_hidden, "n_blocks": self.n_blocks}
        module = self._build_module()
        module.low, module.high = parameter_bounds(priors)
        self.history_ = train_seasons(
            module,
            drop_gaps(days.float(), values.float(), seen),
            priors=priors,
            noise=self.noise,
            objective=self.objective,
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
        self.units_, self.date_range_ = dict(_UNITS), find_date_range(packed)
        self.n_iter_ = self.pretrain_iter + self.max_iter * (self.objective != "simulations")
        self.state_ = {k: v.cpu().numpy() for k, v in module.state_dict().items()}
        self._restore()
        return self

    def _build_module(self):
        return SeasonModel(**self._module_params)

    def _season(self):
        low, high = PHENOLOGY[2].low, PHENOLOGY[2].high
        return f"days {self.season_start_ + low:g} to {self.season_start_ + high:g}"

    def _apply(self, X, function, shape):
        """Apply a function of model, distributions and rows of X; NaN where nothing is observed."""
        packed = check_sits(self, X, reset=False)
        device = check_device(self.device)
        module = self._copy_for(device, torch.float64)
        result = np.full((len(packed), *shape), np.nan)
        n_empty = 0
        for rows in gen_batches(len(packed), _PREDICTED_AT_ONCE):
            block = packed[rows]
            slots = season_slots(block, self._channel, self.season_start_, self._n_dims_in == 2)
            seen = slots[2].any(axis=1)
            if not seen.all():
                # Series of which nothing at all is observed have been counted before.
                n_empty += np.count_nonzero(~np.isnan(block[~seen, :, 1:]).all(axis=(1, 2)))
                slots = [part[seen] for part in slots]
            if not seen.any():
                continue
            series = drop_gaps(*(torch.from_numpy(part).to(device) for part in slots))
            chosen = rows.start + np.flatnonzero(seen)
            with torch.inference_mode():
                result[chosen] = function(module, module(*series), chosen).cpu().numpy()
        if n_empty:
            warnings.warn(
                f"{n_empty} of {len(packed)} series have no observation of channel "
                f"{self._channel} within the season, {self._season()}.",
                UserWarning,
                stacklevel=3,
            )
        return result

    def _moments(self, X):
        """Return means and standard deviations of all parameters."""

        def moments(module, found, chosen):
            mean, std = latent_moments(found.loc, found.scale)
            return torch.cat([module.to_parameters(mean), (module.high - module.low) * std], dim=1)

        both = self._apply(X, moments, (2 * len(_NAMES),))
        mean, std = both[:, : len(_NAMES)], both[:, len(_NAMES) :]
        mean[:, _DATES] += self.season_start_
        return mean, std

    def _select(self, values):
        columns, single = _check_targets(self.targets)
        return values[:, columns[0]] if single else values[:, columns]

    def predict(self, X, return_std=False):
        """Predict the mean of the targets.

        Parameters
        ----------
        X : array-like of shape (n_series, n_dates, 1 + n_channels) or (n_series, n_dates)
            Series as in `fit`; `n_dates` of a packed array may differ.
        return_std : bool, default=False
            Also return the standard deviation.

        Returns
        -------
        mean : float64 ndarray of shape (n_series, n_targets), or (n_series,) for one name
            Dates in the time scale of X, in their order. NaN for series without an observation in
            the season.
        std : float64 ndarray of the same shape
            Only with `return_std=True`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented.

        Warns
        -----
        UserWarning
            If some series have no observation in the season.
        """
        check_is_fitted(self)
        _check_targets(self.targets)
        mean, std = self._moments(X)
        return (self._select(mean), self._select(std)) if return_std else self._select(mean)

    def predict_interval(self, X, coverage=0.95):
        """Predict central intervals of the targets.

        Parameters
        ----------
        X : array-like of shape (n_series, n_dates, 1 + n_channels) or (n_series, n_dates)
            Series as in `fit`.
        coverage : float, default=0.95
            Probability of the interval of each target, in (0, 1).

        Returns
        -------
        lower, upper : float64 ndarray of shape (n_series, n_targets), or (n_series,) for one name

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X or coverage is not as documented.

        Warns
        -----
        UserWarning
            If some series have no observation in the season.
        """
        if not isinstance(coverage, Real) or not 0 < coverage < 1:
            raise ValueError(f"coverage must be between 0 and 1, got {coverage!r}.")
        check_is_fitted(self)
        _check_targets(self.targets)
        tail = (1 - coverage) / 2

        def quantiles(module, found, chosen):
            distribution = TruncatedNormal(found.loc, found.scale, 0.0, 1.0, validate_args=False)
            levels = torch.tensor([tail, 1 - tail], dtype=torch.float64, device=found.loc.device)
            bounds = module.to_parameters(distribution.icdf(levels[:, None, None]))
            return bounds.transpose(0, 1)

        bounds = self._apply(X, quantiles, (2, len(_NAMES)))
        bounds[..., _DATES] += self.season_start_
        return self._select(bounds[:, 0]), self._select(bounds[:, 1])

    def transform(self, X):
        """Compute the mean of every parameter.

        Parameters
        ----------
        X : array-like of shape (n_series, n_dates, 1 + n_channels) or (n_series, n_dates)
            Series as in `fit`.

        Returns
        -------
        parameters : float64 ndarray of shape (n_series, 6)
            In the order of `get_feature_names_out`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented.
        """
        check_is_fitted(self)
        return self._moments(X)[0]

    def get_feature_names_out(self, input_features=None):
        """Return the names of the parameters that `transform` computes.

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
        return np.array(_NAMES, dtype=object)

    def reconstruct(self, X, dates=None):
        """Compute the vegetation index of the mean parameters.

        Parameters
        ----------
        X : array-like of shape (n_series, n_dates, 1 + n_channels) or (n_series, n_dates)
            Series as in `fit`.
        dates : array-like of shape (m,), default=None
            Dates in the time scale of X; for 2-D X, in days. None is every day of a year from
            `season_start_`.

        Returns
        -------
        index : float64 ndarray of shape (n_series, m)

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X or dates are not as documented.
        """
        check_is_fitted(self)
        if dates is None:
            days = np.arange(_YEAR, dtype=np.float64)
        else:
            days = np.asarray(dates, dtype=np.float64) - self.season_start_
            if days.ndim != 1 or not np.isfinite(days).all():
                raise ValueError(
                    f"dates must be finite, of shape (m,), got shape {days.shape} with "
                    f"{np.count_nonzero(~np.isfinite(days))} values that are not."
                )

        def index(module, found, chosen):
            mean, _ = latent_moments(found.loc, found.scale)
            return module.decode(mean, torch.from_numpy(days).to(mean))

        return self._apply(X, index, (len(days),))

    def sample(self, X, n_samples=100, random_state=None):
        """Draw parameters given the series.

        The draws of a series have the distributions that `predict_interval` describes, and depend
        on each other as they do in a normal approximation of the posterior distribution.

        Parameters
        ----------
        X : array-like of shape (n_series, n_dates, 1 + n_channels) or (n_series, n_dates)
            Series as in `fit`.
        n_samples : int, default=100
            Number of draws.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        draws : float64 ndarray of shape (n_samples, n_series, 6)
            Minimum not above maximum, and the dates in ascending order.

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
        random_state = check_random_state(random_state)
        seeds = random_state.randint(2**31 - 1, size=len(X))

        def draw(module, found, chosen):
            # A seed per series: its draws do not depend on those of others.
            noise = np.stack(
                [
                    np.random.default_rng(seeds[i]).standard_normal((n_samples, len(_NAMES)))
                    for i in chosen
                ],
                axis=1,
            )
            noise = torch.from_numpy(noise).to(found.loc.device)
            factor = dependence(found.covariance)
            draws = sample_dependent(found.loc, found.scale, factor, noise)
            return module.to_parameters(draws).transpose(0, 1)

        draws = self._apply(X, draw, (n_samples, len(_NAMES))).transpose(1, 0, 2)
        draws[..., _DATES] += self.season_start_
        return draws


def _check_targets(targets):
    """Return the columns of the targets, and whether there is but one."""
    if isinstance(targets, str) and targets == "all":
        return list(range(len(_NAMES))), False
    names = [targets] if isinstance(targets, str) else list(targets)
    unknown = [name for name in names if name not in _NAMES]
    if unknown or not names:
        raise ValueError(f"targets must be 'all' or among {list(_NAMES)}, got {unknown or 'none'}.")
    return [_NAMES.index(name) for name in names], isinstance(targets, str)

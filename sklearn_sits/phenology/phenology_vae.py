"""Dates of the season from vegetation index series by a physics-constrained auto-encoder."""

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import RandomState
from sklearn_sits._warnings import warn_counted
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.nn.gridding import drop_gaps
from sklearn_sits.phenology.model import SeasonModel, parameter_bounds
from sklearn_sits.phenology.posterior import SeasonPosterior
from sklearn_sits.phenology.quality import QUALITY_FLAGS
from sklearn_sits.phenology.seasons import (
    check_channel,
    check_index,
    check_priors,
    check_start,
    list_starts,
    season_slots,
    usable_series,
)
from sklearn_sits.phenology.training import SeasonTraining
from sklearn_sits.physics import Prior
from sklearn_sits.physics.double_logistic import PHENOLOGY
from sklearn_sits.runtime.batches import predict_in_batches, to_tensor
from sklearn_sits.runtime.parameters import NumberInterval, read_parameters
from sklearn_sits.runtime.state import check_device
from sklearn_sits.series.checks import check_sits
from sklearn_sits.series.coverage import note_coverage
from sklearn_sits.vae.base import BaseVAERegressor
from sklearn_sits.vae.draws import draw_normal

__all__ = ["PhenologyVAERegressor"]

_MAX_PATTERNS = 4096
_YEAR = 365


@set_module("sklearn_sits")
class PhenologyVAERegressor(BaseVAERegressor):
    """Retrieval of the dates of the season by an auto-encoder that decodes a double logistic.

    An encoder turns the series of a vegetation index, with any dates and gaps, into truncated
    normal distributions of the six parameters of a double logistic [1]_. No date of a season has
    to be known: the encoder learns from simulations that have the dates and gaps of the series
    passed to `fit` and, if asked to, from these series, which it has to reconstruct. A year may
    have two seasons, and a series several years.

    Parameters
    ----------
    targets : "all", str or sequence of str, default="all"
        Parameters that `predict` returns: minimum and maximum of the index, start_of_season,
        maturity, senescence, end_of_season in the time scale of X, or some of them. Those of the
        second season of a year are named minimum_2 and so on. With several years, all names end
        with the number of the year, such as maturity_year1 and maturity_2_year3.
    channel : int, default=1
        Position of the vegetation index on the last axis of X; channel 0 is the date.
    season_start : float or None, default=None
        Date of day 0 of the (first) year, in the time scale of X, best in the dormant season: 244,
        for example, where the season starts in spring of the southern hemisphere and X counts
        days from January 1. Observations from 45 days before to 410 days after it are used, and
        others not. None is the first date observed in `fit`.
    n_years : int, default=1
        Number of consecutive years from `season_start` to predict, each with its own parameters.
        Years without observation have none.
    n_seasons : {1, 2}, default=1
        Most seasons of a year. With 2, a year is cut at its deepest valley if two seasons explain
        it better than one; years with one season have NaN for the second. Prediction then takes
        three times as long.
    objective : {"simulations", "self-supervised", "hybrid"}, default="simulations"
        "simulations" maximises the likelihood of the parameters of simulations, and takes from X
        its dates and gaps only. "self-supervised" starts from that and then maximises the
        likelihood of the series in X under the spread of the reconstructions, with `kl_weight`
        times the divergence of the parameters from uniform distributions. "hybrid" keeps both.
    priors : "wide" or mapping of str to Prior or (float, float), default="wide"
        Uniform distributions of the simulations, or their bounds. A mapping replaces some of those
        in `sklearn_sits.physics.double_logistic.PHENOLOGY_PRIORS`: minimum, amplitude,
        start_of_season (day of the season), growth, plateau, decline (days).
    noise : float, default=0.05
        Largest standard deviation of the noise in simulations.
    n_hidden : int, default=64
        Units of the layers of the encoder.
    n_blocks : int, default=2
        Number of residual blocks of each of its two networks.
    pretrain_iter : int, default=4000
        Training steps on simulations.
    max_iter : int, default=400
        Training steps on X, unless `objective="simulations"`.
    batch_size : int, default=128
        Observations per training step; four times as many simulations.
    learning_rate : float, default=4e-3
        Start of the learning rate, a quarter of it on X; it falls as a cosine.
    n_mc_samples : int, default=16
        Draws of the latents per observation in a training step.
    kl_weight : float, default=0.5
        Weight of the divergence.
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
        Number of channels seen in `fit`, date included; number of dates for 2-D input.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X was a table with names.
    season_start_ : float
        Date of day 0 of the (first) year.
    date_range_ : float64 ndarray of shape (2,)
        First and last date with an observation, in days as in X.
    value_range_ : float64 ndarray of shape (n_channels, 2)
        Smallest and largest value of each channel, the date included.
    units_ : dict of str to str
        Unit of each target, empty where it has none.
    quality_flags_ : dict of str to int
        Meanings and bits of the flags that `quality` returns.
    n_iter_ : int
        Training steps run.
    history_ : list of dict
        Per 100 steps: step, phase, and the mean of each part of the loss.
    state_ : dict of str to ndarray
        Parameters of the encoder, and the bounds of the parameters of the season.

    Notes
    -----
    The encoder has two networks. Between them, the double logistic at the means of the first one
    is compared with the observations, and linearised: the second network sees the change
    that a step of Gauss-Newton makes.

    X has shape (n_series, n_dates, 1 + n_channels), a packed array with dates in days. A 2-D array
    (n_series, n_dates) stands for series on a regular grid over a year, day 0 to 365. Series
    without an observation in the season have no prediction.

    The simulations take the dates and gaps of at most 4,096 series, drawn at random.

    Distributions are right if the index follows a double logistic with independent normal noise of
    at most `noise`, with parameters drawn from `priors`. If the residuals are larger than such
    noise allows, at three standard deviations of their sum of squares, standard deviations are
    multiplied by the square root of the excess: this noise would explain them. `quality` flags
    series that are no season, or not one.

    With `n_seasons=2`, valleys are found in medians of three observations, so that a single low
    value is no valley. Seasons before and after the year are left out. There are two seasons if
    the index falls between them, and rises in each, by at least the smallest amplitude of
    `priors`, and if an F-test at 1 % prefers two double logistics to one and to a constant.

    Predictions do not depend on `y`, which
    `fit` accepts and checks only.

    References
    ----------
    .. [1] Beck, P. S. A. et al. (2006). Improved monitoring of vegetation dynamics at very high
       latitudes: A new method using MODIS NDVI. Remote Sensing of Environment, 100(3), 321-334.

    Examples
    --------
    >>> from sklearn_sits import PhenologyVAERegressor
    >>> from sklearn_sits.datasets import make_phenology
    >>> X, y = make_phenology(200, random_state=0)
    >>> model = PhenologyVAERegressor("maturity", pretrain_iter=150, random_state=0).fit(X)
    >>> day, std = model.predict(X, return_std=True)
    >>> bool(model.score(X, y[:, 3]) > 0.8)
    True
    """

    _parameter_constraints = {
        **BaseVAERegressor._parameter_constraints,
        "channel": [NumberInterval(Integral, None, None, closed="neither")],
        "season_start": [NumberInterval(Real, None, None, closed="neither"), None],
        "priors": [StrOptions({"wide"}), Mapping],
        "noise": [NumberInterval(Real, 0, 1, closed="both")],
        "n_seasons": [Options(Integral, {1, 2})],
        "n_years": [NumberInterval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        targets: str | Sequence[str] = "all",
        *,
        channel: int = 1,
        season_start: float | None = None,
        n_years: int = 1,
        n_seasons: int = 1,
        objective: Literal["simulations", "self-supervised", "hybrid"] = "simulations",
        priors: Literal["wide"] | Mapping[str, Prior | tuple[float, float]] = "wide",
        noise: float = 0.05,
        n_hidden: int = 64,
        n_blocks: int = 2,
        pretrain_iter: int = 4000,
        max_iter: int = 400,
        batch_size: int = 128,
        learning_rate: float = 4e-3,
        n_mc_samples: int = 16,
        kl_weight: float = 0.5,
        random_state: RandomState = None,
        device: str | torch.device = "auto",
        verbose: int = 0,
    ) -> None:
        self.targets = targets
        self.channel = channel
        self.season_start = season_start
        self.n_years = n_years
        self.n_seasons = n_seasons
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
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _fit(self, X, y, device):
        parameters = read_parameters(self)
        self._set_outputs(_name_outputs(parameters.n_years, parameters.n_seasons))
        priors = check_priors(self.priors)
        packed = check_sits(self, X, reset=True)
        self._channel = check_channel(self.channel, packed.shape[2])
        self._check_y(X, y)
        self._is_regular = self._n_dims_in == 2
        self.season_start_ = check_start(
            self.season_start, parameters.n_years, packed, self._channel, self._is_regular
        )
        self._starts = list_starts(self.season_start_, parameters.n_years)
        self._n_seasons = parameters.n_seasons
        check_index(packed, self._channel, self._is_regular, strict=True)
        usable = np.flatnonzero(usable_series(packed, *self._season_cut))
        if not len(usable):
            raise ValueError(
                f"X has no observation of channel {self._channel} within the season, "
                f"{self._describe_season()}."
            )
        random_state = check_random_state(self.random_state)
        if len(usable) > _MAX_PATTERNS and self.objective == "simulations":
            usable = np.sort(random_state.choice(usable, _MAX_PATTERNS, replace=False))
        generator = torch.Generator().manual_seed(random_state.randint(2**31 - 1))
        self._module_params = {
            "n_hidden": parameters.n_hidden,
            "n_blocks": parameters.n_blocks,
            "noise": parameters.noise,
            "smallest_amplitude": priors["amplitude"][0],
        }
        module = self._build_module()
        module.low, module.high = parameter_bounds(priors)
        training = SeasonTraining(
            module,
            self._observed_seasons(packed[usable]),
            priors=priors,
            noise=self.noise,
            n_seasons=self._n_seasons,
            settings=self._list_settings(),
            generator=generator,
            device=device,
        )
        self.history_ = training.fit()
        self.n_iter_ = self.history_[-1]["step"]
        units = [variable.unit for variable in PHENOLOGY] * len(self._starts) * self._n_seasons
        self.units_ = dict(zip(self._outputs, units, strict=True))
        note_coverage(self, packed)
        self.state_ = {k: v.cpu().numpy() for k, v in module.state_dict().items()}
        self._restore()

    def _build_module(self):
        return SeasonModel(**self._module_params)

    def _observed_seasons(self, packed):
        """Return the days, values and slots of the years with an observation."""
        parts = season_slots(packed, *self._season_cut)
        days, values, seen = (torch.from_numpy(part[parts[2].any(axis=1)]) for part in parts)
        return drop_gaps(days.float(), values.float(), seen)

    @property
    def _season_cut(self):
        """Arguments of `season_slots` besides X."""
        return self._channel, self._starts, self._is_regular

    def _describe_season(self):
        low, high = PHENOLOGY[2].low, PHENOLOGY[2].high
        return f"days {self._starts[0] + low:g} to {self._starts[-1] + high:g}"

    def _map_posterior(self, X, function, n_columns, *, n_draws=0, seed=None):
        packed = check_sits(self, X, reset=False)
        check_index(packed, self._channel, self._is_regular, strict=False)
        device = check_device(self.device)
        module = self._copy_for(device, torch.float64)
        starts = to_tensor(self._starts, device)
        usable = np.flatnonzero(usable_series(packed, *self._season_cut))
        self._warn_of_empty_series(packed, usable)
        result = np.full((len(packed), n_columns), np.nan)

        def load(rows):
            slots = season_slots(packed[usable[rows]], *self._season_cut)
            series = drop_gaps(*map(torch.from_numpy, slots))
            normal = None
            if n_draws:
                normal = draw_normal(self._list_contents(series), n_draws, len(self._outputs), seed)
                normal = to_tensor(normal, device)
            return [part.to(device) for part in series], normal

        def apply(batch):
            series, normal = batch
            return function(SeasonPosterior(module, series, starts, self._n_seasons), normal)

        if len(usable):
            result[usable] = predict_in_batches(apply, load, len(usable), device)
        return result

    def _list_contents(self, series):
        """Return what is observed of each series, by date: the order of slots means nothing."""
        shape = (-1, len(self._starts) * series[0].shape[1])
        parts = (part.reshape(shape).numpy() for part in series)
        return [
            np.stack([day[seen], value[seen]])[:, np.argsort(day[seen], kind="stable")]
            for day, value, seen in zip(*parts, strict=True)
        ]

    def _warn_of_empty_series(self, packed, usable):
        empty = np.setdiff1d(np.arange(len(packed)), usable)
        # Series without any observation have been counted before.
        n_empty = sum(
            np.count_nonzero(~np.isnan(packed[rows, :, 1:]).all(axis=(1, 2)))
            for rows in np.array_split(empty, -(-len(empty) // _MAX_PATTERNS) or 1)
        )
        if n_empty:
            warn_counted(
                "{empty} of {total} series have no observation of channel "
                f"{self._channel} within the season, {self._describe_season()}.",
                DataQualityWarning,
                empty=n_empty,
                total=len(packed),
            )

    def reconstruct(self, X: ArrayLike, dates: ArrayLike | None = None) -> np.ndarray:
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
            dates = self._starts[0] + np.arange(len(self._starts) * _YEAR, dtype=np.float64)
        else:
            dates = np.asarray(dates, dtype=np.float64)
            if dates.ndim != 1 or not np.isfinite(dates).all():
                raise ValueError(
                    f"dates must be finite, of shape (m,), got shape {dates.shape} with "
                    f"{np.count_nonzero(~np.isfinite(dates))} values that are not."
                )
        at = torch.from_numpy(dates)
        return self._map_posterior(
            X, lambda posterior, _: posterior.decode(at.to(posterior.starts)), len(dates)
        )

    @property
    def quality_flags_(self) -> dict[str, int]:
        """Bits of `quality` and what they mean: a dict of str to int."""
        check_is_fitted(self)
        return dict(QUALITY_FLAGS)

    def quality(self, X: ArrayLike) -> np.ndarray:
        """Find seasons whose predictions are not to be trusted.

        Parameters
        ----------
        X : array-like of shape (n_series, n_dates, 1 + n_channels) or (n_series, n_dates)
            Series as in `fit`.

        Returns
        -------
        flags : int32 ndarray of shape (n_series,), or (n_series, n_years * n_seasons)
            0 where all is well, else the sum of the bits of `quality_flags_`:

            ==================  =====  ===========================================================
            flag                value  meaning
            ==================  =====  ===========================================================
            not_observed            1  no observation in the year, and no prediction
            no_season               2  a season explains the series no better than a constant, or
                                       its amplitude is below the smallest one of `priors`; also
                                       the second season of a year that has none
            several_seasons         4  the year has more than one season, with `n_seasons=1`
            badly_seen              8  fewer than two observations from 15 days before to 15 days
                                       after growth or decline
            extrapolated_start     16  the season starts before the first observation
            extrapolated_end       32  the season ends after the last observation
            misfit                 64  the residuals are more than twice `noise`
            ==================  =====  ===========================================================

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented.

        Warns
        -----
        DataQualityWarning
            If some observations are not usable. They count as not observed.

        Examples
        --------
        >>> from sklearn_sits import PhenologyVAERegressor
        >>> from sklearn_sits.datasets import make_phenology
        >>> X, _ = make_phenology(200, random_state=0)
        >>> model = PhenologyVAERegressor(pretrain_iter=150, random_state=0).fit(X)
        >>> flags = model.quality(X)
        >>> bool(((flags & model.quality_flags_["several_seasons"]) > 0).mean() < 0.05)
        True
        """
        check_is_fitted(self)
        n_columns = len(self._starts) * self._n_seasons
        flags = self._map_posterior(X, lambda posterior, _: posterior.flags(), n_columns)
        flags = np.where(np.isnan(flags), QUALITY_FLAGS["not_observed"], flags).astype(np.int32)
        return flags[:, 0] if n_columns == 1 else flags


def _name_outputs(n_years, n_seasons):
    """Return the names of all parameters of all seasons."""
    seasons = ["", "_2"][:n_seasons]
    years = [""] if n_years == 1 else [f"_year{year}" for year in range(1, n_years + 1)]
    return [
        f"{variable.name}{season}{year}"
        for year in years
        for season in seasons
        for variable in PHENOLOGY
    ]

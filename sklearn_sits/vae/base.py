"""Base class of the regressors whose decoder is a physical model."""

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Literal, Self, overload

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import _check_feature_names_in, _check_y, check_is_fitted

from sklearn_sits._typing import RandomState, fit_context
from sklearn_sits.runtime.parameters import NumberInterval, read_parameters
from sklearn_sits.runtime.state import TorchStateMixin, check_device
from sklearn_sits.series.channel_names import suggest
from sklearn_sits.vae.training import TrainingSettings

__all__ = ["BaseVAERegressor"]


class BaseVAERegressor(
    TorchStateMixin, TransformerMixin, RegressorMixin, BaseEstimator, metaclass=ABCMeta
):
    """Regressor that learns from simulations of a physical model (abstract).

    A subclass checks its input, builds and trains its module, and hands batches of posterior
    distributions to the functions of this class, which turn them into means, intervals and draws
    of the targets.

    A posterior has the methods `mean(columns)`, (n, n_columns); `moments(columns)`, mean and
    standard deviation; `quantiles(levels, columns)`, from levels (n_levels, 1, 1) to values
    (n_levels, n, n_columns); and `draw(normal, columns)`, from standard normal numbers
    (n, n_draws, n_random) to values (n, n_draws, n_columns). Columns are positions among the
    outputs.
    """

    _parameter_constraints: dict = {
        "targets": [str, "array-like"],
        "objective": [StrOptions({"hybrid", "self-supervised", "simulations"})],
        "n_hidden": [NumberInterval(Integral, 1, None, closed="left")],
        "n_blocks": [NumberInterval(Integral, 0, None, closed="left")],
        "pretrain_iter": [NumberInterval(Integral, 1, None, closed="left")],
        "max_iter": [NumberInterval(Integral, 1, None, closed="left")],
        "batch_size": [NumberInterval(Integral, 1, None, closed="left")],
        "learning_rate": [NumberInterval(Real, 0, None, closed="neither")],
        "n_mc_samples": [NumberInterval(Integral, 2, None, closed="left")],
        "kl_weight": [NumberInterval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "device": [str, torch.device],
        "verbose": ["verbose"],
    }

    @abstractmethod
    def _fit(self, X, y, device):
        """Check X and y, train, and set all fitted attributes."""

    @abstractmethod
    def _map_posterior(self, X, function, n_columns, *, n_draws=0, seed=None):
        """Apply a function of a posterior and normal numbers, None without draws, to X.

        Returns an ndarray of shape (..., n_columns), NaN where nothing is observed.
        """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = False
        tags.target_tags.multi_output = not self._has_one_target()
        tags.target_tags.single_output = self._has_one_target()
        # Trained without y, it cannot predict an arbitrary one.
        tags.regressor_tags.poor_score = True
        return tags

    def _has_one_target(self):
        return isinstance(self.targets, str) and self.targets != "all"

    def _set_outputs(self, names):
        """Set the names of all that the estimator can predict, and check the targets."""
        self._outputs = list(names)
        self._find_targets()

    def _find_targets(self):
        """Return the positions of the targets among the outputs."""
        names = self._outputs
        if isinstance(self.targets, str):
            targets = names if self.targets == "all" else [self.targets]
        else:
            targets = list(self.targets)
        unknown = [name for name in targets if name not in names]
        if unknown or not targets:
            raise ValueError(
                f"targets must be 'all' or among {names}, got {unknown or 'an empty sequence'}."
                + "".join(suggest(name, names) for name in unknown[:1])
            )
        return [names.index(name) for name in targets]

    def _select(self, values):
        return values[..., 0] if self._has_one_target() else values

    def _check_y(self, X, y):
        if y is not None:
            check_consistent_length(X, y)
            _check_y(y, multi_output=not self._has_one_target(), y_numeric=True)

    def _list_settings(self):
        parameters = vars(read_parameters(self))
        return TrainingSettings(**{name: parameters[name] for name in TrainingSettings._fields})

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike | None, y: ArrayLike | None = None) -> Self:
        """Fit the encoder.

        Parameters
        ----------
        X : array-like
            Training data, in one of the formats that the class documents. Observations that are
            not complete are left out.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Not used, but checked.

        Returns
        -------
        self : object
            The regressor.

        Raises
        ------
        ValueError
            If nothing was observed, or X, y or a parameter is not as documented.
        FloatingPointError
            If the training diverges.
        """
        with self._all_or_nothing():
            self._fit(X, y, check_device(self.device))
        return self

    @overload
    def predict(self, X: ArrayLike, return_std: Literal[False] = False) -> np.ndarray: ...

    @overload
    def predict(self, X: ArrayLike, return_std: Literal[True]) -> tuple[np.ndarray, np.ndarray]: ...

    def predict(
        self, X: ArrayLike, return_std: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Predict the mean of the targets.

        Parameters
        ----------
        X : array-like
            Data in a format of `fit`; the number of dates of series may differ.
        return_std : bool, default=False
            Also return the standard deviation.

        Returns
        -------
        mean : ndarray of shape (n_samples,), or (n_series, n_dates) for a value per date
            With several targets, one more dimension for them. NaN where nothing is observed.
        std : ndarray of the same shape
            Only with `return_std=True`.

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
        """
        check_is_fitted(self)
        columns = self._find_targets()
        k = len(columns)
        if not return_std:
            mean = self._map_posterior(X, lambda posterior, _: posterior.mean(columns), k)
            return self._select(mean)

        def compute_moments(posterior, _):
            return torch.cat(posterior.moments(columns), dim=1)

        moments = self._map_posterior(X, compute_moments, 2 * k)
        return self._select(moments[..., :k]), self._select(moments[..., k:])

    def predict_interval(
        self, X: ArrayLike, coverage: float = 0.95
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predict central intervals of the targets.

        Parameters
        ----------
        X : array-like
            Data in a format of `fit`.
        coverage : float, default=0.95
            Probability that the interval of a target holds it, in (0, 1).

        Returns
        -------
        lower, upper : ndarray
            Of the shape of `predict`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X or coverage is not as documented.

        Warns
        -----
        DataQualityWarning
            If some observations are not usable. They count as not observed.
        """
        if isinstance(coverage, bool) or not isinstance(coverage, Real) or not 0 < coverage < 1:
            raise ValueError(f"coverage must be between 0 and 1, got {coverage!r}.")
        check_is_fitted(self)
        columns = self._find_targets()
        k = len(columns)
        tail = (1 - coverage) / 2

        def compute_quantiles(posterior, _):
            levels = torch.tensor([tail, 1 - tail], dtype=torch.float64)[:, None, None]
            return torch.cat(list(posterior.quantiles(levels, columns)), dim=1)

        bounds = self._map_posterior(X, compute_quantiles, 2 * k)
        return self._select(bounds[..., :k]), self._select(bounds[..., k:])

    def sample(
        self, X: ArrayLike, n_draws: int = 100, random_state: RandomState = None
    ) -> np.ndarray:
        """Draw the targets of each observation.

        Parameters
        ----------
        X : array-like
            Data in a format of `fit`.
        n_draws : int, default=100
            Number of draws.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        draws : ndarray of shape (n_draws, ...)
            Followed by the shape of `predict`. The targets of a draw belong together: they follow
            from one set of variables of the model. For a given seed, the draws of an observation
            do not depend on the others.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X or n_draws is not as documented.

        Warns
        -----
        DataQualityWarning
            If some observations are not usable. They count as not observed.
        """
        if isinstance(n_draws, bool) or not isinstance(n_draws, Integral) or n_draws < 1:
            raise ValueError(f"n_draws must be a positive integer, got {n_draws!r}.")
        check_is_fitted(self)
        columns, n_draws = self._find_targets(), int(n_draws)
        seed = check_random_state(random_state).randint(2**31 - 1)

        def draw(posterior, normal):
            return posterior.draw(normal, columns).flatten(1)

        shape = (n_draws, len(columns))
        draws = self._map_posterior(X, draw, np.prod(shape), n_draws=n_draws, seed=seed)
        return self._select(np.moveaxis(draws.reshape(*draws.shape[:-1], *shape), -2, 0))

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Compute the means of all traits or parameters, whatever `targets` is.

        Parameters
        ----------
        X : array-like
            Data in a format of `fit`.

        Returns
        -------
        outputs : ndarray of shape (n_samples, n_outputs), or (n_series, n_dates, n_outputs)
            In the order of `get_feature_names_out`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented.
        """
        check_is_fitted(self)
        columns = list(range(len(self._outputs)))
        return self._map_posterior(X, lambda posterior, _: posterior.mean(columns), len(columns))

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> np.ndarray:
        """Return the names of the columns that `transform` computes.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of X, checked only.

        Returns
        -------
        names : ndarray of str

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If `input_features` are not those of `fit`.
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features, generate_names=False)
        return np.array(self._outputs, dtype=object)

"""Sparse variational Gaussian process classification of ordinary features."""

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.cluster import MiniBatchKMeans
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import RandomState
from sklearn_sits._warnings import warn_counted
from sklearn_sits.classifiers.base import TorchClassifier
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.nn.heads import SVGPHead
from sklearn_sits.nn.standardisation import FAR, Standardisation
from sklearn_sits.runtime.batches import to_tensor
from sklearn_sits.runtime.parameters import NumberInterval
from sklearn_sits.series.checks import check_numeric

__all__ = ["SVGPClassifier", "SVGPHeadMixin"]

# Series whose pairwise distances give the first length-scale.
_N_DISTANCES = 500


class SVGPHeadMixin:
    """Head of Gaussian processes: its parameters, its start and its latent functions."""

    _parameter_constraints: dict = {
        "n_inducing": [NumberInterval(Integral, 1, None, closed="left")],
        "n_mc_samples": [NumberInterval(Integral, 2, None, closed="left")],
    }

    # Features with a length-scale of their own to start from.
    _position_features = ()

    def _note_sample(self, n):
        super()._note_sample(n)
        self.n_inducing_ = min(int(self.n_inducing), n)

    def _make_head(self, params, n_features, n_classes):
        n_draws = params.n_mc_samples
        if n_draws % 2:
            raise ValueError(f"n_mc_samples must be even, got {n_draws}: draws come in pairs.")
        return SVGPHead(n_features, n_classes, self.n_inducing_, n_draws)

    def _reset_head(self, head, z, labels, weight, random_state, generator):
        # Random inducing points or a length-scale of the wrong size leave every series far from
        # all of them, and the training at chance.
        clusters = MiniBatchKMeans(
            self.n_inducing_, n_init=1, max_iter=10, random_state=random_state.randint(2**31 - 1)
        ).fit(z.numpy(), sample_weight=weight.numpy())
        inducing_points = torch.from_numpy(clusters.cluster_centers_).to(z.dtype)
        chosen = z[torch.randperm(len(z), generator=generator)[:_N_DISTANCES]]
        is_position = torch.zeros(z.shape[1], dtype=torch.bool)
        is_position[list(self._position_features)] = True
        lengthscale = torch.empty(z.shape[1], dtype=z.dtype)
        for part in (is_position, ~is_position):
            lengthscale[part] = _median_distance(chosen[:, part])
        head.reset(z, labels, weight, generator, inducing_points, lengthscale)

    @overload
    def predict_latent(self, X: ArrayLike, return_std: Literal[False] = False) -> np.ndarray: ...

    @overload
    def predict_latent(
        self, X: ArrayLike, return_std: Literal[True]
    ) -> tuple[np.ndarray, np.ndarray]: ...

    def predict_latent(
        self, X: ArrayLike, return_std: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Predict the latent function of every class.

        Parameters
        ----------
        X : array-like
            Data in the format of the training data.
        return_std : bool, default=False
            Also return the standard deviation, which grows with the distance from the training
            data.

        Returns
        -------
        mean : ndarray of shape (n_series, n_classes)
            Mean, before the softmax, in the precision of X.
        std : ndarray of shape (n_series, n_classes)
            Only with `return_std=True`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented, or its channels differ from those of the training data.
        """
        check_is_fitted(self)
        mean, std = self._apply(self._check_X(X, reset=False), lambda head, z: head.latent(z))
        return (mean, std) if return_std else mean


@set_module("sklearn_sits")
class SVGPClassifier(SVGPHeadMixin, TorchClassifier):
    """Sparse variational Gaussian process classifier of 2-D features.

    One latent process per class with a squared exponential kernel and a length-scale per
    feature, linear mixing and a softmax, trained on minibatches. Features are standardised
    inside. Behind :class:`LinearInterpolator` it is the classifier of gap-filled series of
    Bellet et al. [1]_.

    Parameters
    ----------
    position_features : sequence of int, default=()
        Columns of X that hold the position. The kernel is the product of one on the other
        features and one on the position, each with a length-scale of its own to start from:
        the spatio-spectro-temporal kernel.
    n_inducing : int, default=50
        Number of inducing points per latent process, at most the number of series.
    n_mc_samples : int, default=4
        Draws of the latent functions per training step, an even number.
    max_iter : int or "auto", default="auto"
        Number of epochs. "auto" makes 30, or more if these are fewer than 200 training steps.
    batch_size : int or "auto", default="auto"
        Series per training step. "auto" makes about 30 steps per epoch of 32 to 2048 series.
    learning_rate : float, default=3e-2
        Peak of the learning rate, which rises and falls once over the epochs.
    early_stopping : bool, default=False
        Hold out a part of the training data, stop when its log-loss has not improved by `tol`
        for `n_iter_no_change` epochs, and keep the best state.
    validation_fraction : float, default=0.1
        Part held out by early stopping, stratified by class.
    validation_split : callable or None, default=None
        Replaces the random part: called with X and y, it returns the rows for training and
        those for validation. Neighbouring pixels are alike, so hold out whole blocks where
        the model is to be used elsewhere.
    n_iter_no_change : int, default=10
        See `early_stopping`.
    tol : float, default=1e-4
        See `early_stopping`.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied with `sample_weight`.
    warm_start : bool, default=False
        Continue from the previous fit, for `max_iter` more epochs.
    random_state : int, RandomState instance or None, default=None
        Seed of all random numbers. The same seed gives the same result on the same device; the
        global generators are not touched.
    device : str or torch.device, default="auto"
        "cpu", "cuda" or "cuda:N"; "auto" is CUDA where available, else the CPU.
    verbose : int, default=0
        If positive, show a progress bar.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X had names.
    n_inducing_ : int
        Number of inducing points.
    n_iter_ : int
        Number of epochs run.
    history_ : list of dict
        Per epoch: epoch, train_loss (per unit of weight), seconds and, with early stopping,
        valid_log_loss.
    state_ : dict of str to ndarray
        Parameters of the module.

    See Also
    --------
    MTANSVGPClassifier : Learns the interpolation together with the Gaussian processes.

    Notes
    -----
    Training and predictions have the precision of X: float32 is twice as fast as float64. As the
    draws are fixed at fit, predictions depend on neither the other series, their order nor the
    size of batches, up to rounding.

    The standardisation and the inducing points are computed from the training samples, or from
    4096 of them drawn at random if there are more. A sample more than 10^6 standard deviations
    away from the training data is predicted as one at that distance: its latent functions are
    those of the prior.

    A `sample_weight` of two equals repeating the sample exactly if all samples fit in one batch,
    and in expectation otherwise.

    References
    ----------
    .. [1] Hensman, Matthews and Ghahramani, "Scalable Variational Gaussian Process
       Classification", AISTATS 2015.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_sits import LinearInterpolator, SVGPClassifier
    >>> from sklearn_sits.datasets import make_sits
    >>> X, y = make_sits(600, 40, 4, 3, positions=False, random_state=0)
    >>> clf = make_pipeline(LinearInterpolator(), SVGPClassifier(random_state=0))
    >>> bool(clf.fit(X[:400], y[:400]).score(X[400:], y[400:]) > 0.7)
    True
    """

    _parameter_constraints = {
        **TorchClassifier._parameter_constraints,
        **SVGPHeadMixin._parameter_constraints,
        "position_features": ["array-like"],
    }
    _min_epochs = 30

    def __init__(
        self,
        *,
        position_features: Sequence[int] = (),
        n_inducing: int = 50,
        n_mc_samples: int = 4,
        max_iter: int | Literal["auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: float = 3e-2,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        validation_split: Callable[..., Any] | None = None,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        warm_start: bool = False,
        random_state: RandomState = None,
        device: str | torch.device = "auto",
        verbose: int = 0,
    ) -> None:
        self.position_features = position_features
        self.n_inducing = n_inducing
        self.n_mc_samples = n_mc_samples
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.validation_split = validation_split
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def _check_X(self, X, reset, strict=None):
        if not issparse(X) and not hasattr(X, "columns"):
            X = check_numeric(X, "X")
        X = validate_data(self, X, reset=reset, dtype=[np.float64, np.float32])
        for feature in self.position_features:
            if not isinstance(feature, Integral) or isinstance(feature, bool):
                raise TypeError(f"position_features must hold integers, got {feature!r}.")
            if not -X.shape[1] <= feature < X.shape[1]:
                raise ValueError(
                    f"position_features contains {feature}, but X has {X.shape[1]} features."
                )
        if not reset:
            self._warn_of_distance(X)
        return X

    def _warn_of_distance(self, X):
        mean, scale = (self.state_[f"representation.{name}"] for name in ("mean", "scale"))
        # In float64, in which the limits are finite; first the extremes, which cost one pass.
        low, high = mean - FAR * scale.astype(float), mean + FAR * scale.astype(float)
        if (X.min(axis=0) >= low).all() and (X.max(axis=0) <= high).all():
            return
        n_far = np.count_nonzero(((X < low) | (X > high)).any(axis=1))
        warn_counted(
            "{rows} of {total} samples lie more than 10^6 standard deviations away from the "
            "training data. Their predictions are those of the prior.",
            DataQualityWarning,
            rows=n_far,
            total=len(X),
        )

    @property
    def _position_features(self):
        features = self._module_params["position_features"]
        return [feature % self.n_features_in_ for feature in features]

    def _to_batch(self, rows, device):
        return {"x": to_tensor(rows, device)}

    def _make_representation(self, params):
        return Standardisation(self.n_features_in_)

    def _reset_representation(self, representation, batch, weight, generator):
        representation.reset(batch["x"], weight)


def _median_distance(x):
    """Return the median distance of different rows, 1 if there are none."""
    distances = torch.pdist(x) if x.shape[1] else x.new_empty(0)
    # A feature that does not vary must not have a length-scale of zero.
    distances = distances[distances > 0]
    return distances.median() if len(distances) else 1.0

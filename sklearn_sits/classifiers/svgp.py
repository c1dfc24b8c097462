"""Sparse variational Gaussian process classification of ordinary features."""

from numbers import Integral

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_sits._module_names import set_module
from sklearn_sits.classifiers.base import TorchClassifier
from sklearn_sits.classifiers.training import ClassifierModule
from sklearn_sits.nn.heads import SVGPHead
from sklearn_sits.runtime.batches import to_tensor

__all__ = ["SVGPClassifier", "SVGPMixin", "check_draws", "reset_svgp_head"]

# Series whose pairwise distances give the first length-scale.
_N_DISTANCES = 500


class SVGPMixin:
    """Parameters of the Gaussian processes and prediction of their latent functions."""

    _parameter_constraints = {
        "n_inducing": [Interval(Integral, 1, None, closed="left")],
        "n_mc_samples": [Interval(Integral, 2, None, closed="left")],
    }

    def predict_latent(self, X, return_std=False):
        """Predict the latent function of every class.

        Parameters
        ----------
        X : array-like
            Data in the format of the training data.
        return_std : bool, default=False
            Also return the standard deviation: how far the series are from what was seen.

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
class SVGPClassifier(SVGPMixin, TorchClassifier):
    """Sparse variational Gaussian process classifier of 2-D features [1]_.

    One latent process per class with a squared exponential kernel and a length-scale per
    feature, linear mixing and a softmax, trained on minibatches. Behind
    :class:`LinearInterpolator` and a :class:`~sklearn.preprocessing.StandardScaler` it is the
    classifier of gap-filled series of the paper.

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
    max_iter : int, default=30
        Number of epochs.
    batch_size : int or "auto", default="auto"
        Series per training step. "auto" makes about 30 steps per epoch of 32 to 2048 series.
    learning_rate : float, default=3e-3
        A tenth of the peak of the learning rate, which rises and falls once over the epochs.
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
        Seed of the initialisation, the order of the series and the draws. The same seed gives
        the same result on the same device; the global generators are not touched.
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
    feature_names_in_ : ndarray of shape (n_features_in_,)
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

    A `sample_weight` of two equals repeating the sample exactly if all samples fit in one batch,
    and in expectation otherwise.

    References
    ----------
    .. [1] Hensman, Matthews and Ghahramani, "Scalable Variational Gaussian Process
       Classification", AISTATS 2015.

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_sits import LinearInterpolator, SVGPClassifier
    >>> from sklearn_sits.datasets import make_sits
    >>> X, y = make_sits(600, 40, 4, 3, positions=False, random_state=0)
    >>> clf = make_pipeline(LinearInterpolator(), StandardScaler(), SVGPClassifier(random_state=0))
    >>> bool(clf.fit(X[:400], y[:400]).score(X[400:], y[400:]) > 0.7)
    True
    """

    _parameter_constraints = {
        **TorchClassifier._parameter_constraints,
        **SVGPMixin._parameter_constraints,
        "position_features": ["array-like"],
    }
    _module_param_names = ("n_mc_samples",)

    def __init__(
        self,
        *,
        position_features=(),
        n_inducing=50,
        n_mc_samples=4,
        max_iter=30,
        batch_size="auto",
        learning_rate=3e-3,
        early_stopping=False,
        validation_fraction=0.1,
        validation_split=None,
        n_iter_no_change=10,
        tol=1e-4,
        class_weight=None,
        warm_start=False,
        random_state=None,
        device="auto",
        verbose=0,
    ):
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
        X = validate_data(self, X, reset=reset, dtype=[np.float64, np.float32])
        for feature in self.position_features:
            if not isinstance(feature, Integral) or isinstance(feature, bool):
                raise TypeError(f"position_features must hold integers, got {feature!r}.")
            if not -X.shape[1] <= feature < X.shape[1]:
                raise ValueError(
                    f"position_features contains {feature}, but X has {X.shape[1]} features."
                )
        return X

    def _load(self, X, rows, device):
        return {"x": to_tensor(X[rows], device)}

    def _make_module(self, n_classes, n_inducing):
        n_draws = check_draws(self._module_params["n_mc_samples"])
        head = SVGPHead(self.n_features_in_, n_classes, n_inducing, n_draws)
        return ClassifierModule(_Features(), head)

    def _reset(self, module, batch, labels, weight, random_state, generator):
        positions = [feature % self.n_features_in_ for feature in self.position_features]
        reset_svgp_head(module, batch, labels, weight, random_state, generator, positions)


class _Features(torch.nn.Module):
    """The features themselves, as a representation."""

    def forward(self, x):
        return x


def check_draws(n_mc_samples):
    """Check that the draws of a training step can be paired.

    Parameters
    ----------
    n_mc_samples : int
        Number of draws.

    Returns
    -------
    n_mc_samples : int

    Raises
    ------
    ValueError
        If the number is odd.
    """
    if n_mc_samples % 2:
        raise ValueError(f"n_mc_samples must be even, got {n_mc_samples}: draws come in pairs.")
    return n_mc_samples


def reset_svgp_head(module, batch, labels, weight, random_state, generator, positions=()):
    """Start the Gaussian processes from clusters and distances of the representation.

    Random inducing points or a length-scale of the wrong size leave every series far from all
    of them, and the training at chance.

    Parameters
    ----------
    module : ClassifierModule
        Its head is changed in place.
    batch : dict of tensors
        Sample of the training series.
    labels : int64 tensor of shape (n,)
        Their classes.
    weight : tensor of shape (n,)
        Their weights.
    random_state : RandomState instance
        Seed of the clusters.
    generator : torch.Generator
        Source of the other random numbers.
    positions : list of int, default=()
        Features with a length-scale of their own.
    """
    with torch.no_grad():
        z = module(**batch)
    n_inducing = module.head.gp.inducing_points.shape[1]
    clusters = MiniBatchKMeans(
        n_inducing, n_init=1, max_iter=10, random_state=random_state.randint(2**31 - 1)
    ).fit(z.numpy(), sample_weight=weight.numpy())
    inducing_points = torch.from_numpy(clusters.cluster_centers_).to(z.dtype)
    chosen = torch.randperm(len(z), generator=generator)[:_N_DISTANCES]
    lengthscale = torch.empty(z.shape[1], dtype=z.dtype)
    own = torch.zeros(z.shape[1], dtype=torch.bool)
    own[list(positions)] = True
    for part in (own, ~own):
        if part.any():
            distances = torch.pdist(z[chosen][:, part])
            # A feature that does not vary must not have a length-scale of zero.
            distances = distances[distances > 0]
            lengthscale[part] = distances.median() if len(distances) else 1.0
    module.head.reset(inducing_points, lengthscale, z, labels, weight, generator)

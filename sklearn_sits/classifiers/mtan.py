"""Classifiers with an attention interpolator, trained end to end."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from sklearn.frozen import FrozenEstimator

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import RandomState
from sklearn_sits.classifiers.mtan_base import BaseMTANClassifier
from sklearn_sits.classifiers.svgp import SVGPHeadMixin
from sklearn_sits.encoders.mtan_encoder import MTANEncoder
from sklearn_sits.nn.heads import MLPHead

__all__ = ["MTANMLPClassifier", "MTANSVGPClassifier"]


@set_module("sklearn_sits")
class MTANMLPClassifier(BaseMTANClassifier):
    """Classifier of irregular series by attention interpolation and a perceptron.

    The baseline of :class:`MTANSVGPClassifier`: the same interpolator, spatial encoding and
    embedding, with a softmax layer in place of the Gaussian processes, trained on the
    cross-entropy [1]_.

    X is a packed array of shape (n_series, n_dates, 1 + n_channels), see
    :func:`sklearn_sits.pack`: channel 0 is the date in days, NaN in a band means not observed,
    NaN in the date means padding. A 2-D array holds univariate series on a regular grid.

    Parameters
    ----------
    n_reference_dates : int, default=25
        Number of reference dates, evenly spaced between the first and the last date on which any
        training series was observed.
    n_heads : int, default=1
        Number of attention heads.
    time_embedding_dim : int, default=128
        Size of the time embedding, a multiple of `n_heads`.
    embedding : {"deep", "linear"}, default="deep"
        Embedding B of the interpolated series. "linear" is that of the paper: a linear map of
        the channels, the same at every reference date. "deep" takes principal components of
        the series, then a hidden layer; it trains in far fewer epochs to a better optimum.
    n_components : int, default=128
        Number of principal components, at most, with `embedding="deep"`.
    n_hidden : int, default=256
        Units of the hidden layer, with `embedding="deep"`.
    embedding_dim : int or None, default=None
        Size of the embedding, per reference date if linear. None stands for 256 if deep and
        for the number of bands if linear.
    dropout : float, default=0.5
        Probability to drop a hidden unit in training, in [0, 1), with `embedding="deep"`.
    date_dropout : float, default=0.6
        In training, hide at each step a share of the dates of each series that is drawn from
        U(0, date_dropout), in [0, 1). It makes the model robust to the dates that clouds leave.
    position_channels : sequence of int, default=()
        Channels of X that hold the position of the series, such as easting and northing,
        constant in time: `(-2, -1)` for the last two. They are encoded by sines and cosines of
        wavelengths down to an eighth of the extent and added to every observation.
    encoder : MTANEncoder, FrozenEstimator or None, default=None
        Representation to start from, learned without labels. An :class:`MTANEncoder` that is not
        fitted is cloned and fitted on the series of `fit`. To use the series without labels as
        well, fit it on all of them and pass ``FrozenEstimator(encoder)``: it is used as it is,
        by :func:`sklearn.base.clone` and cross-validation too. `embedding`, `embedding_dim` and
        the parameters that give the interpolator and the layers their sizes are then those of
        the encoder. The members are trained from it at a third of the learning rate. Two Gaussian
        processes on what stays as it is, the representation and the interpolated series, are
        averaged with them. Predictions of held-out labels decide how much the second counts;
        both count less beyond 1500 series.
    n_members : int or "auto", default="auto"
        Number of models that are trained side by side on the same batches, and whose
        probabilities are averaged. "auto" is 3 up to 1500 series and 1 with more. Up to 1500
        series, "auto" also averages the members of an :class:`MTANSVGPClassifier` with a
        Gaussian process on the interpolated series. It has half of the votes up to 300 series,
        and fewer with more.
    max_iter : int or "auto", default="auto"
        Number of epochs. "auto" makes 15, or more if these are fewer than 200 training steps,
        150 with `encoder`.
    batch_size : int or "auto", default="auto"
        Series per training step. "auto" makes about 30 steps per epoch of 32 to 2048 series.
    learning_rate : float, default=3e-3
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
        Number of channels of X, the date included (number of dates if X is 2-D).
    date_range_ : float64 ndarray of shape (2,)
        First and last date with an observation, in days as in X; NaN if there is none.
    value_range_ : ndarray of shape (n_channels, 2)
        Lowest and highest value of each channel after the date in training.
    reference_dates_ : ndarray of shape (n_reference_dates,)
        Reference dates, in days as in X.
    n_members_ : int
        Number of models that are trained side by side.
    encoder_ : MTANEncoder
        Fitted encoder, only with `encoder`.
    n_iter_ : int
        Number of epochs run.
    history_ : list of dict
        Per epoch: epoch, train_loss (per unit of weight), seconds and, with early stopping,
        valid_log_loss.
    state_ : dict of str to ndarray
        Parameters of the module.

    See Also
    --------
    MTANSVGPClassifier : The same representation with Gaussian processes.

    Notes
    -----
    Training and predictions have the precision of X: float32 is twice as fast as float64.
    Predictions depend on neither the other series, their order nor the size of batches, up to
    rounding.

    A `sample_weight` of two equals repeating the series exactly if neither dropout is used and all
    series fit in one batch, and in expectation otherwise.

    The standardisation of the bands and the principal components are computed from the training
    series, or from 4096 of them drawn at random if there are more.

    References
    ----------
    .. [1] Bellet, Fauvel, Inglada and Michel, "End-to-end Learning for Land Cover
       Classification using Irregular and Unaligned SITS by Combining Attention-Based
       Interpolation with Sparse Variational Gaussian Processes", IEEE JSTARS, 2024.

    Examples
    --------
    >>> from sklearn_sits import MTANMLPClassifier
    >>> from sklearn_sits.datasets import make_sits
    >>> X, y = make_sits(600, 40, 4, 3, random_state=0)
    >>> clf = MTANMLPClassifier(position_channels=(-2, -1), random_state=0).fit(X[:400], y[:400])
    >>> bool(clf.score(X[400:], y[400:]) > 0.7)
    True
    """

    def _make_head(self, params, n_features, n_classes):
        return MLPHead(n_features, n_classes, params.dropout)


@set_module("sklearn_sits")
class MTANSVGPClassifier(SVGPHeadMixin, BaseMTANClassifier):
    """Classifier of irregular series by attention interpolation and Gaussian processes.

    Each series is interpolated at reference dates by attention over its observed dates, encoded
    in space, embedded (Z = B[X* + P]Γ) and classified by a sparse variational Gaussian process
    with one latent process per class, linear mixing and a softmax. All parameters maximise the
    evidence lower bound together [1]_.

    X is a packed array of shape (n_series, n_dates, 1 + n_channels), see
    :func:`sklearn_sits.pack`: channel 0 is the date in days, NaN in a band means not observed,
    NaN in the date means padding. A 2-D array holds univariate series on a regular grid.

    Parameters
    ----------
    n_reference_dates : int, default=25
        Number of reference dates, evenly spaced between the first and the last date on which any
        training series was observed.
    n_heads : int, default=1
        Number of attention heads.
    time_embedding_dim : int, default=128
        Size of the time embedding, a multiple of `n_heads`.
    embedding : {"deep", "linear"}, default="deep"
        Embedding B of the interpolated series. "linear" is that of the paper: a linear map of
        the channels, the same at every reference date. "deep" takes principal components of
        the series, then a hidden layer; it trains in far fewer epochs to a better optimum.
    n_components : int, default=128
        Number of principal components, at most, with `embedding="deep"`.
    n_hidden : int, default=256
        Units of the hidden layer, with `embedding="deep"`.
    embedding_dim : int or None, default=None
        Size of the embedding, per reference date if linear. None stands for 32 if deep and
        for the number of bands if linear.
    dropout : float, default=0.5
        Probability to drop a hidden unit in training, in [0, 1), with `embedding="deep"`.
    date_dropout : float, default=0.6
        In training, hide at each step a share of the dates of each series that is drawn from
        U(0, date_dropout), in [0, 1). It makes the model robust to the dates that clouds leave.
    position_channels : sequence of int, default=()
        Channels of X that hold the position of the series, such as easting and northing,
        constant in time: `(-2, -1)` for the last two. They are encoded by sines and cosines of
        wavelengths down to an eighth of the extent and added to every observation.
    encoder : MTANEncoder, FrozenEstimator or None, default=None
        Representation to start from, learned without labels. An :class:`MTANEncoder` that is not
        fitted is cloned and fitted on the series of `fit`. To use the series without labels as
        well, fit it on all of them and pass ``FrozenEstimator(encoder)``: it is used as it is,
        by :func:`sklearn.base.clone` and cross-validation too. `embedding`, `embedding_dim` and
        the parameters that give the interpolator and the layers their sizes are then those of
        the encoder. The members are trained from it at a third of the learning rate. Two Gaussian
        processes on what stays as it is, the representation and the interpolated series, are
        averaged with them. Predictions of held-out labels decide how much the second counts;
        both count less beyond 1500 series.
    n_members : int or "auto", default="auto"
        Number of models that are trained side by side on the same batches, and whose
        probabilities are averaged. "auto" is 3 up to 1500 series and 1 with more. Up to 1500
        series, "auto" also averages the members of an :class:`MTANSVGPClassifier` with a
        Gaussian process on the interpolated series. It has half of the votes up to 300 series,
        and fewer with more.
    n_inducing : int, default=50
        Number of inducing points per latent process, at most the number of series.
    n_mc_samples : int, default=4
        Draws of the latent functions per training step, an even number.
    max_iter : int or "auto", default="auto"
        Number of epochs. "auto" makes 15, or more if these are fewer than 200 training steps,
        150 with `encoder`.
    batch_size : int or "auto", default="auto"
        Series per training step. "auto" makes about 30 steps per epoch of 32 to 2048 series.
    learning_rate : float, default=3e-3
        Peak of the learning rate of the interpolator and the embedding, which rises and falls
        once over the epochs. That of the Gaussian processes is ten times as high.
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
        Number of channels of X, the date included (number of dates if X is 2-D).
    n_inducing_ : int
        Number of inducing points.
    date_range_ : float64 ndarray of shape (2,)
        First and last date with an observation, in days as in X; NaN if there is none.
    value_range_ : ndarray of shape (n_channels, 2)
        Lowest and highest value of each channel after the date in training.
    reference_dates_ : ndarray of shape (n_reference_dates,)
        Reference dates, in days as in X.
    n_members_ : int
        Number of models that are trained side by side.
    encoder_ : MTANEncoder
        Fitted encoder, only with `encoder`.
    n_iter_ : int
        Number of epochs run.
    history_ : list of dict
        Per epoch: epoch, train_loss (per unit of weight), seconds and, with early stopping,
        valid_log_loss.
    state_ : dict of str to ndarray
        Parameters of the module.

    See Also
    --------
    MTANMLPClassifier : The same representation with a softmax layer.
    SVGPClassifier : The same head on ordinary features.

    Notes
    -----
    Training and predictions have the precision of X: float32 is twice as fast as float64. As the
    draws are fixed at fit, predictions depend on neither the other series, their order nor the
    size of batches, up to rounding.

    A `sample_weight` of two equals repeating the series exactly if neither dropout is used and all
    series fit in one batch, and in expectation otherwise.

    A series without any valid observation is classified from its position alone, or as the mean
    series if there is none; a warning counts such series.

    The standardisation of the bands, the principal components and the inducing points are
    computed from the training series, or from 4096 of them drawn at random if there are more.

    References
    ----------
    .. [1] Bellet, Fauvel, Inglada and Michel, "End-to-end Learning for Land Cover
       Classification using Irregular and Unaligned SITS by Combining Attention-Based
       Interpolation with Sparse Variational Gaussian Processes", IEEE JSTARS, 2024.

    Examples
    --------
    >>> from sklearn_sits import MTANSVGPClassifier
    >>> from sklearn_sits.datasets import make_sits
    >>> X, y = make_sits(600, 40, 4, 3, random_state=0)
    >>> clf = MTANSVGPClassifier(position_channels=(-2, -1), random_state=0).fit(X[:400], y[:400])
    >>> bool(clf.score(X[400:], y[400:]) > 0.7)
    True
    """

    _parameter_constraints = {
        **BaseMTANClassifier._parameter_constraints,
        **SVGPHeadMixin._parameter_constraints,
    }
    # Variational parameters need larger steps than the layers before them.
    _head_rate = 10.0
    # More features only slow the Gaussian processes down.
    _deep_embedding_dim = 32
    _adds_series_process = True

    def __init__(
        self,
        *,
        n_reference_dates: int = 25,
        n_heads: int = 1,
        time_embedding_dim: int = 128,
        embedding: Literal["deep", "linear"] = "deep",
        n_components: int = 128,
        n_hidden: int = 256,
        embedding_dim: int | None = None,
        dropout: float = 0.5,
        date_dropout: float = 0.6,
        position_channels: Sequence[int] = (),
        encoder: MTANEncoder | FrozenEstimator | None = None,
        n_members: int | Literal["auto"] = "auto",
        n_inducing: int = 50,
        n_mc_samples: int = 4,
        max_iter: int | Literal["auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: float = 3e-3,
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
        super().__init__(
            n_reference_dates=n_reference_dates,
            n_heads=n_heads,
            time_embedding_dim=time_embedding_dim,
            embedding=embedding,
            n_components=n_components,
            n_hidden=n_hidden,
            embedding_dim=embedding_dim,
            dropout=dropout,
            date_dropout=date_dropout,
            position_channels=position_channels,
            encoder=encoder,
            n_members=n_members,
            max_iter=max_iter,
            batch_size=batch_size,
            learning_rate=learning_rate,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            validation_split=validation_split,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            class_weight=class_weight,
            warm_start=warm_start,
            random_state=random_state,
            device=device,
            verbose=verbose,
        )
        self.n_inducing = n_inducing
        self.n_mc_samples = n_mc_samples

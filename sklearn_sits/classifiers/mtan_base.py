"""Classification of irregular series by attention interpolation and any head."""

import copy
from collections.abc import Callable, Sequence
from numbers import Integral
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import RandomState
from sklearn_sits.classifiers.base import TorchClassifier
from sklearn_sits.encoders.mtan_encoder import MTANEncoder
from sklearn_sits.encoders.packed_series import PackedSeriesMixin
from sklearn_sits.nn.ensemble import EnsembleHead, RepresentationEnsemble
from sklearn_sits.nn.kernel_head import KernelHead
from sklearn_sits.nn.kernels import RepresentationKernel, SeriesKernel
from sklearn_sits.nn.stacking import draw_folds, find_share
from sklearn_sits.runtime.parameters import NumberInterval
from sklearn_sits.series.coverage import warn_outside_coverage

__all__ = ["BaseMTANClassifier"]

# Members of an ensemble with `n_members="auto"`, up to this number of series.
_FEW_SERIES, _MEMBERS_OF_FEW = 1500, 3
# Series up to which the processes on fixed features keep their votes, and the inducing points that
# they have at most.
_KERNEL_SERIES, _KERNEL_INDUCING = 1500, 512
# Series up to which the process on the series has half of the votes without an encoder.
_HALF_SERIES = 300
# Series whose held-out predictions decide on the votes.
_STACKED_SERIES = 500
# Series that are compared with those of the encoder.
_COMPARED_SERIES = 500
# What has been learned without labels is trained further in smaller steps.
_FINE_TUNING = 1 / 3


@set_module("sklearn_sits.classifiers")
class BaseMTANClassifier(PackedSeriesMixin, TorchClassifier):
    """Classifier of irregular series by attention interpolation and any head (abstract).

    A subclass defines ``_make_head(params, n_features, n_classes)``, which returns a
    :class:`sklearn_sits.nn.heads.Head` for a representation of `n_features` numbers per series.
    `params` has the parameters of the estimator as attributes.

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

    Examples
    --------
    >>> from sklearn_sits.classifiers import BaseMTANClassifier
    >>> from sklearn_sits.datasets import make_sits
    >>> from sklearn_sits.nn.heads import MLPHead
    >>> class MyClassifier(BaseMTANClassifier):
    ...     def _make_head(self, params, n_features, n_classes):
    ...         return MLPHead(n_features, n_classes, params.dropout)
    >>> X, y = make_sits(600, 40, 4, 3, random_state=0)
    >>> clf = MyClassifier(position_channels=(-2, -1), random_state=0).fit(X[:400], y[:400])
    >>> bool(clf.score(X[400:], y[400:]) > 0.7)
    True
    """

    _parameter_constraints: dict = {
        **TorchClassifier._parameter_constraints,
        **PackedSeriesMixin._parameter_constraints,
        "embedding": [StrOptions({"deep", "linear"})],
        "embedding_dim": [NumberInterval(Integral, 1, None, closed="left"), None],
        "encoder": [MTANEncoder, FrozenEstimator, None],
        "n_members": [NumberInterval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    }

    # Size of the deep embedding with `embedding_dim=None`.
    _deep_embedding_dim = 256
    # Whether a Gaussian process on the interpolated series joins the members without an encoder.
    _adds_series_process = False

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
        self.n_reference_dates = n_reference_dates
        self.n_heads = n_heads
        self.time_embedding_dim = time_embedding_dim
        self.embedding = embedding
        self.n_components = n_components
        self.n_hidden = n_hidden
        self.embedding_dim = embedding_dim
        self.dropout = dropout
        self.date_dropout = date_dropout
        self.position_channels = position_channels
        self.encoder = encoder
        self.n_members = n_members
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
        X = super()._check_X(X, reset, strict)
        encoder = self._module_params["encoder"]
        if reset and encoder is not None:
            _check_encoder(self, encoder, X)
        if strict and not reset:
            self._check_warm_start(encoder)
        return X

    def _check_warm_start(self, encoder):
        if (encoder is None) == hasattr(self, "encoder_"):
            raise ValueError(
                "warm_start=True continues the model of the previous fit, which started "
                f"{'without' if encoder is not None else 'from'} an encoder, but encoder={encoder}."
            )
        n_members = self._module_params["n_members"]
        if n_members not in ("auto", self.n_members_):
            raise ValueError(
                "warm_start=True continues the model of the previous fit, which has "
                f"{self.n_members_} members, but n_members={n_members}."
            )

    def _prepare(self, X, rows, weight, random_state):
        self._training_weight = float(weight.sum())
        encoder = self._module_params["encoder"]
        if isinstance(encoder, MTANEncoder):
            encoder = clone(encoder)
            if encoder.random_state is None:
                encoder.set_params(random_state=random_state.randint(2**31 - 1))
            self.encoder_ = encoder._fit_as_part(self, X, rows)
        elif encoder is not None:
            # The module is rebuilt with the sizes of the encoder, which may be fitted anew.
            self.encoder_ = copy.copy(encoder.estimator)
        elif hasattr(self, "encoder_"):
            del self.encoder_

    def _note_sample(self, n):
        n_members = self._module_params["n_members"]
        # Processes on fixed features help where labels are few.
        self._has_series_process = self._has_encoder or (
            self._adds_series_process and n_members == "auto" and n <= _FEW_SERIES
        )
        if n_members == "auto":
            n_members = _MEMBERS_OF_FEW if n <= _FEW_SERIES else 1
        self.n_members_ = int(n_members)
        self._n_kernel_inducing = min(_KERNEL_INDUCING, n)

    @property
    def _min_steps(self):
        return 150 if self._has_encoder else super()._min_steps

    def _representation_rate(self, learning_rate):
        return learning_rate * (_FINE_TUNING if self._has_encoder else 1.0)

    @property
    def _has_encoder(self):
        return self._module_params["encoder"] is not None

    def _make_representation(self, params):
        members = [self._make_member(params) for _ in range(self.n_members_)]
        fixed = self._make_fixed_member(params) if self._has_series_process else None
        if len(members) == 1 and fixed is None:
            return members[0]
        return RepresentationEnsemble(members, fixed)

    def _make_member(self, params):
        if not self._has_encoder:
            dim = params.embedding_dim
            if params.embedding == "deep":
                dim = dim or self._deep_embedding_dim
            return self._make_series_representation(params, params.embedding, dim)
        encoder = SimpleNamespace(**self.encoder_._module_params)
        encoder.dropout, encoder.date_dropout = params.dropout, params.date_dropout
        return self._make_series_representation(encoder, "deep", encoder.embedding_dim)

    def _make_fixed_member(self, params):
        """Make the interpolated series, after the representation that the encoder has left."""
        if not self._has_encoder:
            member = self._make_series_representation(params, "identity", None)
            member.date_dropout = 0.0
            return member.requires_grad_(False)
        encoder = SimpleNamespace(**self.encoder_._module_params)
        encoder.dropout = encoder.date_dropout = 0.0
        member = self._make_series_representation(encoder, "deep", encoder.embedding_dim, True)
        return member.requires_grad_(False)

    def _make_heads(self, params, representation, n_classes):
        if not isinstance(representation, RepresentationEnsemble):
            return super()._make_heads(params, representation, n_classes)
        heads, columns = [], []
        start = 0
        for member in representation.members:
            columns.append(slice(start, start + member.n_features))
            heads.append(self._make_head(params, member.n_features, n_classes))
            start += member.n_features
        fixed, end = representation.fixed, representation.n_features
        if self._has_encoder:
            columns.append(slice(start, end))
            heads.append(self._make_process(RepresentationKernel, end - start, n_classes))
            start += fixed.embedding.n_features
        if fixed is not None:
            columns.append(slice(start, end))
            heads.append(self._make_process(SeriesKernel, end - start, n_classes))
        return EnsembleHead(heads, columns)

    def _make_process(self, kernel, n_features, n_classes):
        return KernelHead(kernel(n_features), n_features, n_classes, self._n_kernel_inducing)

    def _reset_representation(self, representation, batch, weight, generator):
        members = getattr(representation, "members", [representation])
        fixed = getattr(representation, "fixed", None)
        for member in [*members, *([] if fixed is None else [fixed])]:
            if self._has_encoder:
                member.load_state_dict(self.encoder_._state_tensors())
            else:
                member.reset(batch, self.date_range_, weight, generator)

    def _reset_heads(self, head, z, labels, weight, random_state, generator):
        if not isinstance(head, EnsembleHead):
            super()._reset_heads(head, z, labels, weight, random_state, generator)
            return
        parts = head.split(z)
        for member, part in zip(head.members, parts, strict=True):
            if isinstance(member, KernelHead):
                member.reset(part, labels, weight, generator)
            else:
                self._reset_head(member, part, labels, weight, random_state, generator)
        if self._has_series_process:
            self._share_votes(head, parts, labels, weight, generator)

    def _share_votes(self, head, parts, labels, weight, generator):
        """Set the votes of the processes on fixed features, those of members are equal."""
        shares = [0.5 * min(1.0, _HALF_SERIES / self._training_weight)]
        if self._has_encoder:
            few = min(1.0, _KERNEL_SERIES / self._training_weight)
            chosen = torch.randperm(len(labels), generator=generator)[:_STACKED_SERIES]
            labels, weight = labels[chosen], weight[chosen]
            fold = draw_folds(labels, generator)
            of_encoder, of_series = (
                member.held_out_log_likelihood(part[chosen], labels, weight, fold)
                for member, part in list(zip(head.members, parts, strict=True))[-2:]
            )
            series = few * find_share(of_encoder, of_series, weight)
            shares = [0.5 * few * (1 - series), series]
        head.share.fill_((1 - sum(shares)) / self.n_members_)
        head.share[-len(shares) :] = torch.tensor(shares, dtype=head.share.dtype)

    @property
    def _n_features_out(self):
        representation = self._module.representation
        if self._has_encoder:
            return representation.n_features
        return getattr(representation, "n_trained", representation.n_features)

    def _list_representations(self, module):
        """List the representations of a module and their votes, which sum to one."""
        representation = module.representation
        if not isinstance(representation, RepresentationEnsemble):
            return [(representation, 1.0)]
        n_members = len(representation.members)
        share = module.head.share.tolist()
        votes = list(zip(representation.members, share[:n_members], strict=True))
        if representation.fixed is not None:
            votes.append((representation.fixed, sum(share[n_members:])))
        return votes

    @property
    def _representation(self):
        representation = self._module.representation
        return getattr(representation, "members", [representation])[0]

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Compute the learned representation Z.

        Parameters
        ----------
        X : array-like of shape (n_series, n_dates, 1 + n_channels)
            Packed series.

        Returns
        -------
        Z : ndarray of shape (n_series, n_members * embedding_dim)
            In the precision of X, one member after the other. With `embedding="linear"`, a member
            has n_reference_dates * embedding_dim columns, by date. With `encoder`, the last
            columns are the representation that the encoder learned without labels.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented, or its channels differ from those of the training data.
        """
        check_is_fitted(self)
        n = self._n_features_out
        return self._apply(self._check_X(X, reset=False), lambda head, z: z[:, :n])


def _check_encoder(estimator, encoder, X):
    """Check that an encoder can represent the training data of a classifier."""
    frozen = isinstance(encoder, FrozenEstimator)
    if frozen:
        encoder = encoder.estimator
        if not isinstance(encoder, MTANEncoder):
            raise TypeError(
                f"encoder must hold an MTANEncoder, got FrozenEstimator of "
                f"{type(encoder).__name__}."
            )
        check_is_fitted(encoder)
    elif encoder.__sklearn_is_fitted__():
        raise ValueError(
            "encoder is fitted, and would be fitted anew to the series with labels. To use it as "
            "it is, pass FrozenEstimator(encoder) from sklearn.frozen; to fit it anew, pass "
            "clone(encoder)."
        )
    else:
        encoder._validate_params()
        encoder._check_heads()
    positions = (encoder._module_params if frozen else vars(encoder))["position_channels"]
    own, other = (
        _count_from_start(channels, X.shape[2])
        for channels in (estimator.position_channels, positions)
    )
    if own != other:
        raise ValueError(
            f"encoder has position_channels={positions!r}, but "
            f"{type(estimator).__name__} has {estimator.position_channels!r}: they must name the "
            "same channels."
        )
    if not frozen:
        return
    if encoder.n_features_in_ != estimator.n_features_in_ or (
        encoder._n_dims_in != estimator._n_dims_in
    ):
        raise ValueError(
            f"encoder was fitted on {encoder._n_dims_in}-D series with {encoder.n_features_in_} "
            f"channels (date included), but X is {estimator._n_dims_in}-D with "
            f"{estimator.n_features_in_}."
        )
    # Other units, bands in another order or other dates would only be seen in the accuracy.
    rows = np.arange(0, len(X), -(-len(X) // _COMPARED_SERIES))
    warn_outside_coverage(encoder, X[rows], positions)


def _count_from_start(channels, n_channels):
    return [
        channel % n_channels if isinstance(channel, Integral) else channel for channel in channels
    ]

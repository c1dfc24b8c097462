"""Weights with which attention interpolates a series at the reference dates."""

from numbers import Integral

import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from sklearn_sits._module_names import set_module
from sklearn_sits.encoders.packed_series import PackedSeriesMixin
from sklearn_sits.runtime.batches import predict_in_batches
from sklearn_sits.runtime.state import check_device
from sklearn_sits.series.checks import split_channels

__all__ = ["attention_weights"]


@set_module("sklearn_sits.inspection")
def attention_weights(
    estimator: BaseEstimator, X: ArrayLike, *, channel: int | None = None, average: bool = True
) -> Bunch:
    """Compute the weights of the observations of each series at the reference dates.

    The classifiers with attention and :class:`~sklearn_sits.MTANEncoder` interpolate a series at
    their reference dates by weighted means of its observations. This function returns these
    weights: they tell which dates a reference date is made of, and how far the model looks to
    bridge a gap.

    Parameters
    ----------
    estimator : MTANSVGPClassifier, MTANMLPClassifier, MTANEncoder or BaseMTANClassifier
        Fitted estimator.
    X : array-like of shape (n_series, n_dates, 1 + n_channels)
        Packed series.
    channel : int, default=None
        Band, a position on the last axis of X, whose gaps count. None is the mean over the bands
        that have an observation in the series; bands with the same gaps have the same weights.
    average : bool, default=True
        Average over the members of the estimator, each with its share of the votes, and over its
        heads, which count equally. False returns them all.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        weights : ndarray of shape (n_series, n_reference_dates, n_dates)
            They are zero where nothing is observed, and sum to one over the dates of a series
            that has an observation. With ``average=False`` the shape is (n_series, n_members,
            n_heads, n_reference_dates, n_dates).
        votes : ndarray of shape (n_members,)
            Shares of the members in the prediction, which sum to one. The last member may be the
            interpolated series that a Gaussian process uses, which is not trained further.
        reference_dates : ndarray of shape (n_reference_dates,)
            In days as in X.

    Raises
    ------
    TypeError
        If the estimator has no attention, or `channel` is not an integer.
    ValueError
        If X is not as documented or `channel` is no band.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.

    Examples
    --------
    >>> from sklearn_sits import MTANMLPClassifier
    >>> from sklearn_sits.datasets import make_sits
    >>> from sklearn_sits.inspection import attention_weights
    >>> X, y = make_sits(100, 40, 4, 3, positions=False, random_state=0)
    >>> clf = MTANMLPClassifier(max_iter=5, random_state=0).fit(X, y)
    >>> result = attention_weights(clf, X[:2])
    >>> result.weights.shape == (2, 25, X.shape[1])
    True
    """
    if not isinstance(estimator, PackedSeriesMixin):
        raise TypeError(
            "estimator must be a classifier with attention or an MTANEncoder, got "
            f"{type(estimator).__name__}. Of a pipeline or a search, pass the fitted step."
        )
    check_is_fitted(estimator)
    X = estimator._check_X(X, reset=False)
    band = None if channel is None else _find_band(estimator, channel, X.shape[2])
    device = check_device(estimator.device)
    dtype = torch.float64 if X.dtype == "float64" else torch.float32
    module = estimator._copy_for(device, dtype)
    representations, votes = zip(*estimator._list_representations(module), strict=True)
    votes = torch.tensor(votes, dtype=dtype, device=device)

    def weigh(batch):
        weights = torch.stack(
            [_weigh_heads(representation, batch, band) for representation in representations],
            dim=1,
        )
        return torch.einsum("m,nmhrt->nrt", votes, weights) if average else weights

    n_heads = representations[0].attention.n_heads
    weights = predict_in_batches(
        weigh, lambda rows: estimator._to_batch(X[rows], device), len(X), device
    )
    return Bunch(
        # The sum over the heads becomes their mean.
        weights=weights / n_heads if average else weights,
        votes=votes.cpu().numpy(),
        reference_dates=estimator.reference_dates_,
    )


def _weigh_heads(representation, batch, band):
    """Return the weights of one member, of shape (n, H, R, t)."""
    mask = batch["mask"]
    if band is not None and mask.shape[1] > 1:
        mask = mask[:, band : band + 1]
    weights = representation.attention_weights(**{**batch, "mask": mask})
    observed = (mask.sum(-1) > 0).sum(1).clamp_min(1)
    mean = weights.sum(1) / observed[:, None, None]
    return mean.unflatten(1, (representation.attention.n_heads, -1))


def _find_band(estimator, channel, n_channels):
    """Return the position of a channel among the bands."""
    if not isinstance(channel, Integral) or isinstance(channel, bool):
        raise TypeError(f"channel must be an integer or None, got {channel!r}.")
    bands, _ = split_channels(n_channels, estimator._module_params["position_channels"])
    bands = list(range(n_channels))[bands] if isinstance(bands, slice) else bands
    if channel % n_channels not in bands or not -n_channels <= channel < n_channels:
        raise ValueError(f"channel={channel} is no band of X, expected one of {bands}.")
    return bands.index(channel % n_channels)

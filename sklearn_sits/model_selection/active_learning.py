"""Active learning: the series whose labels would tell a classifier most."""

from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import entropy
from sklearn.cluster import KMeans
from sklearn.utils.validation import check_array

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import RandomState

__all__ = ["select_to_label"]


@set_module("sklearn_sits.model_selection")
def select_to_label(
    proba: ArrayLike,
    n_series: int,
    *,
    features: ArrayLike | None = None,
    random_state: RandomState = None,
) -> np.ndarray:
    """Select the next series to label: uncertain ones that differ from each other.

    The most uncertain series are often alike, and one label would settle all of them. Therefore
    the candidates are clustered by their features, with their entropy as weights, and the series
    nearest to the centre of each cluster is selected. This is the method of [1]_ without its
    first step, which leaves out all but the most uncertain series.

    Parameters
    ----------
    proba : array-like of shape (n_candidates, n_classes)
        Probabilities of the series without labels, from `predict_proba`.
    n_series : int
        Number of series to select.
    features : array-like of shape (n_candidates, n_features), default=None
        Representation in which series are compared, such as `transform` of the classifier. None:
        `proba`.
    random_state : int, RandomState instance or None, default=None
        Seed of the clustering.

    Returns
    -------
    selected : ndarray of shape (n_series,)
        Rows of `proba`, the largest entropy first.

    Raises
    ------
    ValueError
        If `n_series` is not positive or exceeds the number of candidates, or `proba` or `features`
        is not a finite matrix with a row per candidate.

    References
    ----------
    .. [1] Zhdanov, F. (2019). Diverse mini-batch active learning. arXiv:1901.05954.

    Examples
    --------
    >>> from sklearn_sits import MTANMLPClassifier
    >>> from sklearn_sits.datasets import make_sits
    >>> from sklearn_sits.model_selection import select_to_label
    >>> X, y = make_sits(n_series=300, positions=False, random_state=0)
    >>> model = MTANMLPClassifier(max_iter=2, random_state=0).fit(X[:50], y[:50])
    >>> candidates = X[50:]
    >>> selected = select_to_label(
    ...     model.predict_proba(candidates),
    ...     10,
    ...     features=model.transform(candidates),
    ...     random_state=0,
    ... )
    >>> candidates[selected].shape[0]
    10
    """
    proba = check_array(proba, input_name="proba")
    if proba.min() < 0 or (proba.sum(axis=1) <= 0).any():
        raise ValueError("proba must hold probabilities: no value below 0, and no row of zeros.")
    features = proba if features is None else check_array(features, input_name="features")
    if len(features) != len(proba):
        raise ValueError(
            f"features must have a row per candidate, got {len(features)} rows for {len(proba)}."
        )
    if not isinstance(n_series, Integral) or isinstance(n_series, bool):
        raise ValueError(f"n_series must be an int, got {n_series!r}.")
    if not 1 <= n_series <= len(proba):
        raise ValueError(f"n_series={n_series} must be 1 to {len(proba)}, the candidates.")

    uncertainty = entropy(proba, axis=1)
    selected = _nearest_to_centres(features, uncertainty, n_series, random_state)
    return selected[np.argsort(-uncertainty[selected], kind="stable")]


def _nearest_to_centres(features, weights, n_clusters, random_state):
    """Return a different row for each cluster."""
    # A certain series has the weight zero, which all series of a cluster must not have.
    weights = weights + 1e-9
    clusters = KMeans(n_clusters, n_init=1, random_state=random_state)
    distances = clusters.fit(features, sample_weight=weights).transform(features)
    chosen = []
    for column in distances.T:
        column[chosen] = np.inf
        chosen.append(int(column.argmin()))
    return np.array(chosen)

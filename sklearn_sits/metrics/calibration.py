"""Calibration of the probabilities of many classes."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_array

from sklearn_sits._module_names import set_module
from sklearn_sits.metrics.labels import check_labels, check_same_length, unite_labels

__all__ = ["expected_calibration_error", "reliability_curve"]


@set_module("sklearn_sits.metrics")
def expected_calibration_error(
    y: ArrayLike,
    proba: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    n_bins: int = 15,
    strategy: Literal["uniform", "quantile"] = "uniform",
    class_wise: bool = False,
) -> float:
    """Average the difference between confidence and accuracy over bins of confidence.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        True labels.
    proba : array-like of shape (n_samples, n_classes)
        Probabilities.
    labels : array-like of shape (n_classes,), default=None
        Classes of the columns of `proba`, such as `classes_` of the classifier. None: the sorted
        labels of `y`.
    n_bins : int, default=15
        Number of bins.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equal numbers of samples.
    class_wise : bool, default=False
        False: the largest probability of each sample and whether this class is right [1]_. True:
        the mean over all classes of the error of the probability of each one [2]_.

    Returns
    -------
    error : float
        From 0 (calibrated) to 1.

    Raises
    ------
    ValueError
        If `y` has classes that are not in `labels`, `proba` does not hold one probability per
        sample and class, or `n_bins` or `strategy` is unknown.

    References
    ----------
    .. [1] Guo, C. et al. (2017). On calibration of modern neural networks. ICML.
    .. [2] Kull, M. et al. (2019). Beyond temperature scaling: obtaining well-calibrated
       multi-class probabilities with Dirichlet calibration. NeurIPS.

    Examples
    --------
    >>> from sklearn_sits.metrics import expected_calibration_error
    >>> proba = [[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.2, 0.8]]
    >>> round(expected_calibration_error([0, 1, 1, 1], proba), 2)
    0.3

    As a scorer:

    >>> from sklearn.metrics import make_scorer
    >>> scorer = make_scorer(
    ...     expected_calibration_error, response_method="predict_proba", greater_is_better=False
    ... )
    """
    true, proba = _check_proba(y, proba, labels)
    if not class_wise:
        return _binned_error(*_top_label(true, proba), n_bins, strategy)
    errors = [
        _binned_error(column, true == position, n_bins, strategy)
        for position, column in enumerate(proba.T)
    ]
    return float(np.mean(errors))


@set_module("sklearn_sits.metrics")
def reliability_curve(
    y: ArrayLike,
    proba: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    pos_label: Any = None,
    n_bins: int = 10,
    strategy: Literal["uniform", "quantile"] = "uniform",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compare the confidence of a classifier of many classes with its accuracy, in bins.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        True labels.
    proba : array-like of shape (n_samples, n_classes)
        Probabilities.
    labels : array-like of shape (n_classes,), default=None
        Classes of the columns of `proba`, such as `classes_` of the classifier. None: the sorted
        labels of `y`.
    pos_label : label, default=None
        Class whose probability to compare with its frequency. None: the largest probability of
        each sample, which is compared with the accuracy.
    n_bins : int, default=10
        Number of bins.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equal numbers of samples.

    Returns
    -------
    prob_true : ndarray of shape (n_bins,)
        Share of samples in each bin that are right, or that belong to `pos_label`. Bins without
        samples are left out.
    prob_pred : ndarray of shape (n_bins,)
        Mean probability in each bin.
    counts : ndarray of shape (n_bins,)
        Number of samples in each bin.

    Raises
    ------
    ValueError
        See :func:`expected_calibration_error`; also if `pos_label` is none of the labels.

    See Also
    --------
    sklearn.calibration.calibration_curve : The curve of two classes.

    Examples
    --------
    >>> from sklearn_sits.metrics import reliability_curve
    >>> proba = [[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.2, 0.8]]
    >>> prob_true, prob_pred, counts = reliability_curve([0, 1, 1, 1], proba, n_bins=5)
    >>> prob_true, prob_pred, counts
    (array([0.75]), array([0.85]), array([4]))
    """
    true, proba = _check_proba(y, proba, labels)
    if pos_label is None:
        confidence, correct = _top_label(true, proba)
    else:
        classes = np.unique(check_labels(y, "y")) if labels is None else np.asarray(labels)
        position = np.flatnonzero(classes == pos_label)
        if not position.size:
            raise ValueError(f"pos_label={pos_label!r} must be one of {classes.tolist()}.")
        confidence, correct = proba[:, position[0]], true == position[0]
    bins = _find_bins(confidence, n_bins, strategy)
    counts = np.bincount(bins)
    filled = counts > 0
    sums = (np.bincount(bins, values)[filled] for values in (correct, confidence))
    prob_true, prob_pred = (total / counts[filled] for total in sums)
    return prob_true, prob_pred, counts[filled]


def _check_proba(y, proba, labels):
    """Return the positions of the labels in the columns, and the probabilities."""
    y = check_labels(y, "y")
    proba = check_array(proba, dtype=[np.float64, np.float32], input_name="proba")
    check_same_length(y=y, proba=proba)
    classes = unite_labels(y=y) if labels is None else check_labels(labels, "labels").tolist()
    if len(set(classes)) != proba.shape[1] or len(classes) != proba.shape[1]:
        source = "y has" if labels is None else "labels has"
        raise ValueError(
            f"proba has {proba.shape[1]} columns, but {source} {len(set(classes))} different "
            "classes. Give labels=classifier.classes_."
        )
    if proba.min() < 0 or abs(proba.sum(axis=1) - 1).max() > 1e-3:
        raise ValueError("proba must hold probabilities: rows of values of at least 0, sum 1.")
    position = {label: column for column, label in enumerate(classes)}
    if unknown := sorted({str(label) for label in y.tolist() if label not in position}):
        raise ValueError(f"y has {unknown}, which are not in labels {classes}.")
    return np.array([position[label] for label in y.tolist()]), proba


def _top_label(true, proba):
    return proba.max(axis=1), proba.argmax(axis=1) == true


def _binned_error(confidence, correct, n_bins, strategy):
    bins = _find_bins(confidence, n_bins, strategy)
    gaps = np.bincount(bins, confidence.astype(np.float64) - correct)
    return float(np.abs(gaps).sum() / len(bins))


def _find_bins(confidence, n_bins, strategy):
    if not isinstance(n_bins, int | np.integer) or isinstance(n_bins, bool) or n_bins < 1:
        raise ValueError(f"n_bins must be a positive int, got {n_bins!r}.")
    if strategy == "uniform":
        return np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    if strategy == "quantile":
        edges = np.quantile(confidence, np.linspace(0, 1, n_bins + 1)[1:-1])
        return np.searchsorted(edges, confidence, side="right")
    raise ValueError(f'strategy must be "uniform" or "quantile", got {strategy!r}.')

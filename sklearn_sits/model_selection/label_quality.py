"""Labels that a cross-validated classifier doubts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, is_classifier
from sklearn.model_selection import BaseCrossValidator, check_cv, cross_val_predict

from sklearn_sits._module_names import set_module
from sklearn_sits.metrics.labels import check_labels
from sklearn_sits.model_selection.duplicates import number_series

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["suspicious_labels"]


@set_module("sklearn_sits.model_selection")
def suspicious_labels(
    estimator: BaseEstimator,
    X: ArrayLike,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    cv: int | BaseCrossValidator | Iterable[Any] | None = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Report labels that may be wrong, from cross-validated probabilities.

    A model that has not seen a series predicts it. Each class has a threshold: the mean
    probability of the class over the series that are labelled so. A label is suspicious if another
    class reaches its threshold and is more probable than the label. This is confident learning
    [1]_. A class that is always uncertain has a low threshold, so it is not suspected as a whole.

    Parameters
    ----------
    estimator : classifier
        Unfitted classifier or pipeline with `predict_proba`.
    X : array-like of shape (n_series, n_dates, 1 + n_channels)
        Packed series.
    y : array-like of shape (n_series,)
        Labels to check.
    groups : array-like of shape (n_series, ...), default=None
        Groups for `cv`: blocks for :class:`~sklearn.model_selection.StratifiedGroupKFold`,
        positions for :class:`BlockKFold`.
    cv : int, splitter or iterable, default=None
        Cross-validation, as in :func:`~sklearn.model_selection.cross_val_predict`. Hold out whole
        blocks: otherwise neighbours with the same wrong label confirm each other.
    n_jobs : int, default=None
        Number of folds to fit at the same time.

    Returns
    -------
    report : pandas.DataFrame
        One row per series, the most doubtful label first. The index is the row of X; the columns

        - label, suggested: the given label, and the most probable class;
        - probability: of the given label;
        - margin: `probability` minus the largest probability of another class, -1 to 1;
        - suspicious: whether another class reaches its threshold and the label does not, or is
          less probable;
        - fold: the fold in which the series was tested;
        - n_duplicates: number of equal series in other folds, positions included if X has them.
          They make these probabilities and the scores of this cross-validation too good.

    Raises
    ------
    TypeError
        If `estimator` is not a classifier with `predict_proba`.
    ValueError
        If a class has fewer series than there are folds, some series are not tested exactly once,
        or X and y do not fit the estimator.

    See Also
    --------
    find_duplicates : All sets of equal series.

    References
    ----------
    .. [1] Northcutt, C., Jiang, L. and Chuang, I. (2021). Confident learning: estimating
       uncertainty in dataset labels. Journal of Artificial Intelligence Research, 70, 1373-1411.

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_sits import LinearInterpolator
    >>> from sklearn_sits.datasets import make_sits
    >>> from sklearn_sits.model_selection import BlockKFold, suspicious_labels
    >>> X, y = make_sits(n_series=200, n_classes=2, random_state=0)
    >>> y[[3, 80]] = 1 - y[[3, 80]]
    >>> forest = RandomForestClassifier(50, random_state=0)
    >>> model = make_pipeline(LinearInterpolator(step=20), forest)
    >>> positions, cv = X[:, 0, -2:], BlockKFold(20_000)
    >>> report = suspicious_labels(model, X[..., :-2], y, groups=positions, cv=cv)
    >>> report[["label", "suggested", "margin", "suspicious"]].head(3)
        label  suggested  margin  suspicious
    80      1          0   -1.00        True
    3       1          0   -0.96        True
    5       0          1   -0.80       False

    By class:

    >>> by_class = report.groupby("label")["suspicious"].agg(["sum", "mean"])
    """
    import pandas as pd

    if not is_classifier(estimator) or not hasattr(estimator, "predict_proba"):
        raise TypeError(
            f"estimator must be a classifier with predict_proba, got {type(estimator).__name__}."
        )
    y = check_labels(y, "y")
    folds = list(check_cv(cv, y, classifier=True).split(X, y, groups))
    fold = _number_folds(folds, len(y))
    proba = cross_val_predict(estimator, X, y, cv=folds, method="predict_proba", n_jobs=n_jobs)
    classes, given = np.unique(y, return_inverse=True)
    report = pd.DataFrame(_doubt(proba, given) | {"fold": fold})
    report.insert(0, "label", classes[given])
    report["suggested"] = classes[report["suggested"]]
    report["n_duplicates"] = _count_in_other_folds(number_series(X), fold)
    return report.sort_values("margin", kind="stable")


def _doubt(proba, given):
    """Return the columns of the report that follow from probabilities and positions of labels."""
    rows = np.arange(len(given))
    own = proba[rows, given]
    others = proba.copy()
    others[rows, given] = -1.0
    # The mean probability of a class over the series that have its label.
    typical = np.bincount(given, own) / np.bincount(given)
    # If several classes reach their thresholds, the most probable one counts, as in the reference.
    confident = np.where(proba >= typical, proba, 0.0)
    suspicious = (confident.max(axis=1) > 0) & (confident.argmax(axis=1) != given)
    return {
        "suggested": proba.argmax(axis=1),
        "probability": own,
        "margin": own - others.max(axis=1),
        "suspicious": suspicious,
    }


def _number_folds(folds, n_series):
    """Return the fold in which each series is tested."""
    tested = np.concatenate([test for _, test in folds])
    if not np.array_equal(np.sort(tested), np.arange(n_series)):
        raise ValueError(
            f"cv must test each of the {n_series} series once, but it tests "
            f"{len(np.unique(tested))} of them, {len(tested)} times in total."
        )
    fold = np.empty(n_series, dtype=int)
    for number, (_, test) in enumerate(folds):
        fold[test] = number
    return fold


def _count_in_other_folds(numbers, fold):
    """Return how many equal series of other folds each series has."""
    known = numbers >= 0
    counts = np.zeros((numbers.max() + 1, fold.max() + 1), dtype=int)
    np.add.at(counts, (numbers[known], fold[known]), 1)
    found = np.zeros(len(numbers), dtype=int)
    found[known] = counts.sum(axis=1)[numbers[known]] - counts[numbers[known], fold[known]]
    return found

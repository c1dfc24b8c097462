"""Accuracy of a classification by class, region and fold, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from sklearn_sits._module_names import set_module
from sklearn_sits.metrics.intervals import normal_quantile, t_quantile, wilson_interval
from sklearn_sits.metrics.labels import (
    check_confidence_level,
    check_labels,
    check_same_length,
    unite_labels,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["accuracy_report", "confusion_table"]

_ALL = "all"
_METRICS = ["users_accuracy", "producers_accuracy", "f1"]


@set_module("sklearn_sits.metrics")
def accuracy_report(
    y: ArrayLike,
    predictions: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    """Report the accuracy of a classification by class, group and fold.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        True labels.
    predictions : array-like of shape (n_samples,)
        Predicted labels, such as those of
        :func:`~sklearn.model_selection.cross_val_predict`.
    groups : array-like of shape (n_samples,), default=None
        Region or spatial block of each sample, to report each of them as well.
    folds : array-like of shape (n_samples,), default=None
        Fold in which each sample was tested, to report each of them as well.
    confidence_level : float, default=0.95
        Confidence level of the intervals.

    Returns
    -------
    report : pandas.DataFrame
        One row per group, fold, class and metric, with the columns

        - group, fold: "all" in the rows of all samples;
        - class: label, or "all" for the overall accuracy;
        - metric: "overall_accuracy", "users_accuracy" (precision), "producers_accuracy" (recall)
          or "f1";
        - estimate, lower, upper: NaN where no sample counts;
        - n_samples: number of samples that count: all for the overall accuracy, those predicted
          as the class for the user's accuracy, those of the class (the support) for the
          producer's, and those of either for F1.

    Raises
    ------
    ValueError
        If lengths differ, labels are missing or of different types, or a group or fold is called
        "all".

    See Also
    --------
    confusion_table : The counts behind the report.
    area_estimates : Accuracy of a map, which weights the classes by their area.

    Notes
    -----
    Intervals are Wilson's. Samples of a group are alike, so with `groups` the rows of all groups
    take the variance between groups, with as many degrees of freedom. The rows of a single group,
    and all rows without `groups`, treat samples as independent: their intervals are too narrow if
    samples are neighbours. The interval of F1 is that of the Jaccard index J, a proportion, since
    F1 = 2 J / (1 + J).

    Examples
    --------
    >>> from sklearn_sits.metrics import accuracy_report
    >>> y = ["crop", "crop", "tree", "tree", "crop", "tree"]
    >>> predictions = ["crop", "tree", "tree", "tree", "crop", "tree"]
    >>> report = accuracy_report(y, predictions)
    >>> report.drop(columns=["group", "fold"]).round(2)
      class              metric  estimate  lower  upper  n_samples
    0   all    overall_accuracy      0.83   0.44   0.97          6
    1  crop      users_accuracy      1.00   0.34   1.00          2
    2  crop  producers_accuracy      0.67   0.21   0.94          3
    3  crop                  f1      0.80   0.34   0.97          3
    4  tree      users_accuracy      0.75   0.30   0.95          4
    5  tree  producers_accuracy      1.00   0.44   1.00          3
    6  tree                  f1      0.86   0.46   0.98          4
    """
    import pandas as pd

    samples = _Samples(y, predictions, groups, folds)
    check_confidence_level(confidence_level)
    tables = [
        _report_part(samples, rows, group, fold, confidence_level)
        for group, fold, rows in samples.parts()
    ]
    return pd.concat(tables, ignore_index=True)


@set_module("sklearn_sits.metrics")
def confusion_table(
    y: ArrayLike, predictions: ArrayLike, *, groups: ArrayLike | None = None
) -> pd.DataFrame:
    """Count the samples by true and predicted class, for all of them and for each group.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        True labels.
    predictions : array-like of shape (n_samples,)
        Predicted labels.
    groups : array-like of shape (n_samples,), default=None
        Region, spatial block or fold of each sample, to count each of them as well.

    Returns
    -------
    counts : pandas.DataFrame
        True classes in the rows, predicted ones in the columns, as in
        :func:`~sklearn.metrics.confusion_matrix`. With `groups`, the rows have the levels group
        and reference: ``counts.loc["all"]`` is the matrix of all samples, ``counts.loc["north"]``
        that of a group.

    Raises
    ------
    ValueError
        See :func:`accuracy_report`.

    Examples
    --------
    >>> from sklearn_sits.metrics import confusion_table
    >>> y = ["crop", "crop", "tree", "tree"]
    >>> predictions = ["crop", "tree", "tree", "tree"]
    >>> counts = confusion_table(y, predictions, groups=["north", "south", "north", "south"])
    >>> counts.loc["south"]
    predicted  crop  tree
    reference
    crop          0     1
    tree          0     1
    """
    import pandas as pd

    samples = _Samples(y, predictions, groups, None)
    classes = pd.Index(samples.classes, name="reference")
    tables = {
        group: pd.DataFrame(samples.count(rows)[0], classes, classes.rename("predicted"), dtype=int)
        for group, _, rows in samples.parts()
    }
    return tables[_ALL] if groups is None else pd.concat(tables, names=["group"])


class _Samples:
    """Checked labels, groups and folds."""

    def __init__(self, y, predictions, groups, folds):
        self.y = check_labels(y, "y")
        self.predictions = check_labels(predictions, "predictions")
        optional = {"groups": groups, "folds": folds}
        optional = {
            name: check_labels(labels, name)
            for name, labels in optional.items()
            if labels is not None
        }
        check_same_length(y=self.y, predictions=self.predictions, **optional)
        self.groups, self.folds = optional.get("groups"), optional.get("folds")
        self.classes = unite_labels(y=self.y, predictions=self.predictions)
        for name, labels in optional.items():
            if _ALL in labels.tolist():
                raise ValueError(f'{name} has the label "{_ALL}", which means all of them here.')

    def parts(self):
        """Yield the group, the fold and the rows of all samples, of each group and of each fold."""
        every = np.ones(len(self.y), dtype=bool)
        yield _ALL, _ALL, every
        if self.groups is not None:
            for group in unite_labels(groups=self.groups):
                yield group, _ALL, self.groups == group
        if self.folds is not None:
            for fold in unite_labels(folds=self.folds):
                yield _ALL, fold, self.folds == fold

    def count(self, rows, clusters=None):
        """Return the confusion matrices (n_clusters, n_classes, n_classes) of some rows."""
        n = len(self.classes)
        true, predicted = (
            np.equal.outer(labels[rows], self.classes).argmax(axis=1)
            for labels in (self.y, self.predictions)
        )
        cluster = np.zeros(len(true), dtype=int)
        if clusters is not None:
            cluster = np.unique(clusters[rows], return_inverse=True)[1].ravel()
        counts = np.zeros((cluster.max() + 1, n, n))
        np.add.at(counts, (cluster, true, predicted), 1)
        return counts


def _report_part(samples, rows, group, fold, confidence_level):
    """Return the rows of the report of a group or a fold."""
    import pandas as pd

    clusters = samples.groups if group == _ALL else None
    counts = samples.count(rows, clusters)
    hits = counts.diagonal(axis1=1, axis2=2)
    predicted, true = counts.sum(axis=1), counts.sum(axis=2)
    # By metric within class: user's and producer's accuracy, and the Jaccard index.
    successes = np.repeat(hits, 3, axis=1)
    trials = np.stack([predicted, true, predicted + true - hits], axis=2)
    trials = trials.reshape(len(counts), -1)
    successes = np.column_stack([hits.sum(axis=1), successes])
    trials = np.column_stack([true.sum(axis=1), trials])
    values = np.stack(_estimate(successes, trials, clusters is not None, confidence_level))
    values[:, 3::3] = 2 * values[:, 3::3] / (1 + values[:, 3::3])
    table = {
        "group": group,
        "fold": fold,
        "class": [_ALL, *np.repeat(np.array(samples.classes, dtype=object), 3)],
        "metric": ["overall_accuracy", *_METRICS * len(samples.classes)],
    }
    table |= dict(zip(["estimate", "lower", "upper"], values, strict=True))
    return pd.DataFrame(table | {"n_samples": trials.sum(axis=0).astype(int)})


def _estimate(successes, trials, clustered, confidence_level):
    """Return proportions and their intervals from counts (n_clusters, n_proportions)."""
    n = trials.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        proportion = successes.sum(axis=0) / n
        if not clustered:
            return proportion, *wilson_interval(proportion, n, normal_quantile(confidence_level))
        n_clusters = (trials > 0).sum(axis=0)
        residual = successes - proportion * trials
        variance = n_clusters / (n_clusters - 1) * (residual**2).sum(axis=0) / n**2
        # Clusters that agree by chance do not make samples better than independent.
        independent = np.where(variance > 0, proportion * (1 - proportion) / variance, n)
        quantile = t_quantile(confidence_level, n_clusters - 1)
    return proportion, *wilson_interval(proportion, np.minimum(independent, n), quantile)

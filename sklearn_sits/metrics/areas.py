"""Areas and accuracies of a map from a probability sample, with their standard errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import UndefinedMetricWarning

from sklearn_sits._module_names import set_module
from sklearn_sits._warnings import warn_user
from sklearn_sits.metrics.intervals import normal_quantile, wilson_interval
from sklearn_sits.metrics.labels import (
    check_confidence_level,
    check_labels,
    check_same_length,
    unite_labels,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AreaEstimates", "area_estimates"]

_COLUMNS = ["estimate", "std_error", "lower", "upper"]


@set_module("sklearn_sits.metrics")
@dataclass(frozen=True, eq=False, repr=False)
class AreaEstimates:
    """Areas and accuracies of the classes of a map.

    The tables have a row per class and the columns estimate, std_error, lower and upper.

    Parameters
    ----------
    area : pandas.DataFrame
        Area of each class according to the reference, in the unit of `map_areas`.
    users_accuracy : pandas.DataFrame
        Share of the area mapped as a class that is this class (precision).
    producers_accuracy : pandas.DataFrame
        Share of the area of a class that is mapped as this class (recall).
    overall_accuracy : pandas.Series
        Share of the area that is mapped correctly: estimate, std_error, lower and upper.
    confusion_matrix : pandas.DataFrame
        Estimated areas by class: the reference in the rows, the map in the columns, as in
        scikit-learn.

    Examples
    --------
    >>> from sklearn_sits.metrics import area_estimates
    >>> estimates = area_estimates(
    ...     ["crop", "crop", "tree", "tree", "tree", "crop"],
    ...     ["crop", "crop", "crop", "tree", "tree", "tree"],
    ...     {"crop": 60.0, "tree": 30.0},
    ... )
    >>> estimates.confusion_matrix
    map        crop  tree
    reference
    crop       40.0  10.0
    tree       20.0  20.0
    """

    area: pd.DataFrame
    users_accuracy: pd.DataFrame
    producers_accuracy: pd.DataFrame
    overall_accuracy: pd.Series
    confusion_matrix: pd.DataFrame

    def __repr__(self) -> str:
        parts = [f"{name}\n{getattr(self, name)}" for name in self.__dataclass_fields__]
        return "\n\n".join(parts)


@set_module("sklearn_sits.metrics")
def area_estimates(
    y_reference: ArrayLike,
    y_map: ArrayLike,
    map_areas: Mapping[Any, float] | pd.Series,
    *,
    strata: ArrayLike | None = None,
    pixel_area: float | None = None,
    confidence_level: float = 0.95,
) -> AreaEstimates:
    """Estimate the areas of classes and the accuracy of their map from a probability sample.

    Counting the pixels of a map gives biased areas, because errors of the map do not cancel. A
    probability sample with reference labels corrects this bias: it may be random within the
    strata, or random or systematic over the whole map. If the strata are the classes of the map,
    the estimators are those of Olofsson et al. [1]_, otherwise those of Stehman [2]_, of which the
    former are a special case.

    Parameters
    ----------
    y_reference : array-like of shape (n_samples,)
        True class of each sample.
    y_map : array-like of shape (n_samples,)
        Class of each sample in the map.
    map_areas : dict or pandas.Series
        Area of each stratum in the map, by its label and in any unit: those of the classes of the
        map, or of `strata` if given.
    strata : array-like of shape (n_samples,), default=None
        Stratum of each sample, if the sample was drawn from other strata than the classes of the
        map: those of an older map, or regions. None: `y_map`.
    pixel_area : float, default=None
        Area of a pixel, in the unit of `map_areas`; 1 if these are numbers of pixels. The standard
        errors then take into account which part of each stratum was sampled, and more samples
        than pixels are an error. None: the sample is a negligible part of the map.
    confidence_level : float, default=0.95
        Confidence level of the intervals.

    Returns
    -------
    estimates : AreaEstimates
        Areas, user's, producer's and overall accuracy, each with its standard error and interval,
        and the confusion matrix in units of area.

    Raises
    ------
    TypeError
        If `map_areas` is neither a dict nor a Series, or an area is not a number.
    ValueError
        If the sample cannot be a probability sample of the strata: samples outside of the strata,
        a stratum without samples or with a single one, more samples than pixels. Also if an area
        is not positive, labels are missing or of different types, or lengths differ.

    Warns
    -----
    UndefinedMetricWarning
        If no sample has a class in the reference, or in the map. Its producer's or user's accuracy
        is NaN.

    Notes
    -----
    The intervals of areas are the estimate plus and minus 1.96 standard errors (at 95 %), as in
    both papers, within zero and the total area. Those of accuracies are Wilson's, with the number
    of independent samples that has the same standard error; they stay within [0, 1] and keep
    a width when all samples are correct. For the interval of the papers, use `std_error`.

    Standard errors are themselves uncertain if a stratum has few samples: take at least 50 in
    each. An error found in a single sample of a large stratum stands for a large area, so the
    interval of a small class depends on few samples. If no sample of a class is wrong, the
    standard error of its area is 0: the sample was too small to find the errors of the map.

    References
    ----------
    .. [1] Olofsson, P. et al. (2014). Good practices for estimating area and assessing accuracy of
       land change. Remote Sensing of Environment, 148, 42-57.
    .. [2] Stehman, S. V. (2014). Estimating area and map accuracy for stratified random sampling
       when the strata are different from the map classes. International Journal of Remote Sensing,
       35(13), 4923-4939.

    Examples
    --------
    The map has 60 km² of crops, but some of them are trees:

    >>> import numpy as np
    >>> from sklearn_sits.metrics import area_estimates
    >>> y_map = np.repeat(["crop", "tree"], 50)
    >>> y_reference = np.repeat(["crop", "tree", "crop", "tree"], [40, 10, 1, 49])
    >>> estimates = area_estimates(y_reference, y_map, {"crop": 60.0, "tree": 40.0})
    >>> estimates.area.round(1)
          estimate  std_error  lower  upper
    crop      48.8        3.5   41.9   55.7
    tree      51.2        3.5   44.3   58.1
    """
    y_reference = check_labels(y_reference, "y_reference")
    y_map = check_labels(y_map, "y_map")
    name = "y_map" if strata is None else "strata"
    strata = y_map if strata is None else check_labels(strata, "strata")
    check_same_length(y_reference=y_reference, y_map=y_map, strata=strata)
    check_confidence_level(confidence_level)
    classes = unite_labels(y_reference=y_reference, y_map=y_map)
    design = _read_design(strata, _read_areas(map_areas), pixel_area, name)
    _warn_about_absent_classes(classes, y_reference, y_map)

    true = np.equal.outer(y_reference, classes).astype(float)
    mapped = np.equal.outer(y_map, classes).astype(float)
    correct = true * mapped
    right = correct.sum(axis=1, keepdims=True)
    return _tabulate(
        classes,
        design,
        normal_quantile(confidence_level),
        area=(design.total * true, np.ones_like(true)),
        users=(correct, mapped),
        producers=(correct, true),
        overall=(right, np.ones_like(right)),
        confusion=np.einsum("i,ij,ik->jk", design.weights, true, mapped),
    )


class _Design:
    """Strata of the samples: `weights` are the areas that they stand for."""

    def __init__(self, member, areas, pixel_area):
        n = member.sum(axis=1)
        self.weights = (areas / n) @ member
        self.total = areas.sum()
        self._member = member
        sampled = 0.0 if pixel_area is None else n * pixel_area / areas
        self._variance_weights = areas**2 * np.maximum(1 - sampled, 0) / (n * (n - 1))
        self._n = n

    def ratio(self, y, x):
        """Return the ratios of totals and their standard errors, NaN where the total is zero."""
        with np.errstate(invalid="ignore"):
            denominator = self.weights @ x
            ratio = (self.weights @ y) / denominator
            residual = y - ratio * x
            mean = (self._member @ residual) / self._n[:, None]
            squares = self._member @ (residual - self._member.T @ mean) ** 2
            return ratio, np.sqrt(self._variance_weights @ squares) / denominator


def _tabulate(classes, design, quantile, *, area, users, producers, overall, confusion):
    import pandas as pd

    area, std_error = design.ratio(*area)
    half = quantile * std_error
    values = [area, std_error, np.maximum(area - half, 0), np.minimum(area + half, design.total)]
    index = pd.Index(classes)
    return AreaEstimates(
        area=pd.DataFrame(np.transpose(values), index, _COLUMNS),
        users_accuracy=pd.DataFrame(_accuracies(design, quantile, *users), index, _COLUMNS),
        producers_accuracy=pd.DataFrame(_accuracies(design, quantile, *producers), index, _COLUMNS),
        overall_accuracy=pd.Series(_accuracies(design, quantile, *overall)[0], _COLUMNS),
        confusion_matrix=pd.DataFrame(
            confusion, index.rename("reference"), index.rename("map"), copy=False
        ),
    )


def _accuracies(design, quantile, y, x):
    ratio, std_error = design.ratio(y, x)
    ratio = np.clip(ratio, 0, 1)  # a sum of weights may exceed another by rounding
    # If all samples agree, the plain number of samples limits the knowledge.
    spread = ratio * (1 - ratio)
    with np.errstate(divide="ignore", invalid="ignore"):
        n = np.where(spread > 1e-12, spread / std_error**2, x.sum(axis=0))
    return np.transpose([ratio, std_error, *wilson_interval(ratio, n, quantile)])


def _read_areas(map_areas):
    """Return the areas by label, checked."""
    if hasattr(map_areas, "to_dict") and getattr(map_areas, "ndim", 0) == 1:
        if not map_areas.index.is_unique:
            raise ValueError("map_areas has a label twice in its index.")
        map_areas = map_areas.to_dict()
    if not isinstance(map_areas, Mapping):
        raise TypeError(
            "map_areas must be a dict or a Series with the area of each stratum, got "
            f"{type(map_areas).__name__}."
        )
    for label, area in map_areas.items():
        if not isinstance(area, Real) or isinstance(area, bool):
            raise TypeError(f"map_areas must hold numbers, got {area!r} for {label!r}.")
        if not (np.isfinite(area) and area > 0):
            raise ValueError(
                f"map_areas must be positive and finite, got {area} for {label!r}. Leave out "
                "classes that the map does not have."
            )
    return {_plain(label): float(area) for label, area in map_areas.items()}


def _plain(label):
    """Turn numpy's scalars and whole floats into the labels of checked arrays."""
    label = label.item() if isinstance(label, np.generic) else label
    return int(label) if isinstance(label, float) and label.is_integer() else label


def _read_design(strata, areas, pixel_area, name):
    """Return the sampling design; `name` is the argument with the strata."""
    found = dict(zip(*np.unique(strata, return_counts=True), strict=True))
    found = {_plain(label): int(count) for label, count in found.items()}
    if outside := [label for label in found if label not in areas]:
        n = sum(found[label] for label in outside)
        raise ValueError(
            f"{name} has {n} samples of {outside}, for which map_areas has no area. Samples "
            "outside of the map say nothing about it: remove them, or add the missing areas. "
            f"The labels of map_areas are {list(areas)}."
        )
    if empty := [label for label in areas if label not in found]:
        raise ValueError(
            f"map_areas has {empty}, of which {name} has no sample, so nothing is known about "
            "this part of the map. Draw samples there, or leave it out of map_areas and report "
            "on the rest of the map alone."
        )
    if single := [label for label, count in found.items() if count == 1]:
        raise ValueError(
            f"{name} has a single sample of {single}, but a standard error needs two in each "
            "stratum. Draw more samples there, or join the stratum with a similar one: with "
            "strata= for the samples, and the sum of the areas in map_areas."
        )
    if pixel_area is not None:
        _check_pixels(found, areas, pixel_area, name)
    member = np.stack([strata == label for label in areas]).astype(float)
    return _Design(member, np.array(list(areas.values())), pixel_area)


def _check_pixels(found, areas, pixel_area, name):
    if not isinstance(pixel_area, Real) or not (np.isfinite(pixel_area) and pixel_area > 0):
        raise ValueError(f"pixel_area must be a positive number or None, got {pixel_area!r}.")
    for label, area in areas.items():
        n_pixels = area / pixel_area
        if found[label] > n_pixels * (1 + 1e-9):
            raise ValueError(
                f"{name} has {found[label]} samples of {label!r}, which has only {n_pixels:g} "
                "pixels of pixel_area. Each pixel can be in the sample once."
            )


def _warn_about_absent_classes(classes, y_reference, y_map):
    if absent := [label for label in classes if label not in y_reference]:
        warn_user(
            f"No sample has {absent} in y_reference: the estimate of the area is 0, its interval "
            "has no meaning, and the producer's accuracy is NaN.",
            UndefinedMetricWarning,
        )
    if absent := [label for label in classes if label not in y_map]:
        warn_user(
            f"No sample has {absent} in y_map. The area is estimated from the errors of the "
            "other classes, and the user's accuracy is NaN. Check the spelling of the labels.",
            UndefinedMetricWarning,
        )

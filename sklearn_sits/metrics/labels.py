"""Checks of labels: one per sample, none missing, of one type."""

from numbers import Real

import numpy as np
from sklearn.utils.validation import column_or_1d

__all__ = ["check_confidence_level", "check_labels", "check_same_length", "unite_labels"]


def check_labels(labels, name):
    """Check labels of samples.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
        Class, stratum, group or fold of each sample.
    name : str
        Their name in messages.

    Returns
    -------
    labels : ndarray of shape (n_samples,)
        Whole floats, which pandas makes of integers where some were missing, are integers again.

    Raises
    ------
    ValueError
        If there is none, some are missing, or they are not one-dimensional or not whole numbers.
    """
    shape = np.shape(labels)
    if len(shape) != 1 and not (len(shape) == 2 and shape[1] == 1):
        raise ValueError(f"{name} must have the shape (n_samples,), got {shape}.")
    labels = column_or_1d(np.asarray(labels))
    if not len(labels):
        raise ValueError(f"{name} is empty.")
    missing = np.zeros(len(labels), dtype=bool)
    if labels.dtype.kind not in "biuUS":
        missing = np.array([_is_missing(label) for label in labels])
    if missing.any():
        raise ValueError(
            f"{name} has {missing.sum()} missing values, the first at position "
            f"{missing.argmax()}. Remove these samples from all arguments."
        )
    if labels.dtype.kind == "f":
        if (labels != np.round(labels)).any():
            raise ValueError(f"{name} must hold labels, got the number {_first_fraction(labels)}.")
        labels = labels.astype(np.int64)
    if labels.dtype == object and len({isinstance(label, str) for label in labels}) > 1:
        raise ValueError(f"{name} mixes text and other labels: {_show(set(labels))}.")
    return labels


def unite_labels(**labels):
    """List the labels that occur in any of several arrays.

    Parameters
    ----------
    **labels : ndarray
        Checked labels by their names in messages.

    Returns
    -------
    classes : list
        Sorted labels, as Python objects.

    Raises
    ------
    ValueError
        If some are text and others are not.
    """
    kinds = {name: isinstance(array.flat[0], str) for name, array in labels.items()}
    if len(set(kinds.values())) > 1:
        firsts = {name: array.tolist()[0] for name, array in labels.items()}
        examples = ", ".join(f"{name} holds {label!r}" for name, label in firsts.items())
        raise ValueError(f"Labels must be all text or all numbers, but {examples}.")
    return sorted({label for array in labels.values() for label in array.tolist()})


def check_same_length(**arrays):
    """Check that there is one value per sample in each array.

    Parameters
    ----------
    **arrays : ndarray
        Arrays by their names in messages.

    Raises
    ------
    ValueError
        If their lengths differ.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"There must be one value per sample in each argument, but {found}.")


def check_confidence_level(level):
    """Check the confidence level of intervals.

    Parameters
    ----------
    level : float
        Argument of the user.

    Raises
    ------
    ValueError
        If it does not lie between 0 and 1.
    """
    if not isinstance(level, Real) or not 0 < level < 1:
        raise ValueError(f"confidence_level must be a number between 0 and 1, got {level!r}.")


def _is_missing(label):
    # NaN and NaT differ from themselves, and pandas.NA has no truth value.
    try:
        return label is None or bool(label != label)
    except TypeError:
        return True


def _first_fraction(labels):
    return labels[labels != np.round(labels)][0]


def _show(labels):
    return sorted(map(str, labels))[:5]

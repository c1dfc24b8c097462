"""Warnings of the package, by which users can filter them."""

from sklearn_sits._module_names import set_module

__all__ = ["DataQualityWarning"]


@set_module("sklearn_sits.exceptions")
class DataQualityWarning(UserWarning):
    """Some of the data are not usable, or differ from the training data.

    Values that are infinite or out of range count as not observed; dates and values that lie
    outside those of the training data are used as they are.

    Examples
    --------
    >>> import warnings
    >>> from sklearn_sits.exceptions import DataQualityWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", DataQualityWarning)  # stop at the first one
    """

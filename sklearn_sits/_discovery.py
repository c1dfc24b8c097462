"""List the public estimators."""

import importlib
import inspect

from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin

_KINDS = {
    "classifier": ClassifierMixin,
    "regressor": RegressorMixin,
    "transformer": TransformerMixin,
}


def all_estimators(type_filter=None):
    """List the public estimators of the package.

    Parameters
    ----------
    type_filter : {"classifier", "regressor", "transformer"} or None, default=None
        Keep only the estimators of this kind.

    Returns
    -------
    estimators : list of (str, type)
        Names and classes, sorted by name.
    """
    if type_filter is not None and type_filter not in _KINDS:
        raise ValueError(
            f"type_filter must be None or one of {sorted(_KINDS)}, got {type_filter!r}"
        )
    kind = BaseEstimator if type_filter is None else _KINDS[type_filter]
    # Looked up at the call: the package may import this module while it is itself being imported.
    package = importlib.import_module(__package__)
    public = ((name, getattr(package, name)) for name in package.__all__)
    return sorted(
        (name, obj)
        for name, obj in public
        if inspect.isclass(obj) and issubclass(obj, BaseEstimator) and issubclass(obj, kind)
    )

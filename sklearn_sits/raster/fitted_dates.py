"""Compare the dates of a cube with those of the training data."""

import numpy as np

from sklearn_sits._warnings import warn_user
from sklearn_sits.exceptions import DataQualityWarning

__all__ = ["check_dates", "fitted_dates"]

# Days that a cube may lie outside: half a day of time zones and acquisition hours.
_MARGIN = 1.0


def fitted_dates(estimator):
    """Return the first and the last day that an estimator was fitted on.

    Parameters
    ----------
    estimator : object
        Fitted estimator, pipeline, search or ensemble.

    Returns
    -------
    days : tuple of float, or None
        From its attribute `date_range_` or that of an estimator inside; infinite if the attribute
        is None, which means that dates do not matter. None if there is no such attribute.
    """
    if hasattr(estimator, "date_range_"):
        if estimator.date_range_ is None:
            return -np.inf, np.inf
        first, last = estimator.date_range_
        return float(first), float(last)
    inner = [getattr(estimator, name, None) for name in ("best_estimator_", "estimator_")]
    inner += [step for _, step in getattr(estimator, "steps", [])]
    inner += [one for _, one, *_ in getattr(estimator, "transformer_list", [])]
    inner += list(getattr(estimator, "estimators_", []))
    inner += [one.estimator for one in getattr(estimator, "calibrated_classifiers_", [])]
    for one in inner:
        found = None if one is None or isinstance(one, str) else fitted_dates(one)
        if found is not None:
            return found
    return None


def check_dates(estimator, days, origin):
    """Check that the days of a cube have the same origin as those of the training data.

    Parameters
    ----------
    estimator : object
        Fitted estimator.
    days : ndarray of shape (n_dates,)
        Days of the cube since `origin`.
    origin : object
        Origin from the user; None for the default.

    Raises
    ------
    ValueError
        If no day lies within those that the estimator was fitted on, or if these are not known
        and `origin` is None.

    Warns
    -----
    DataQualityWarning
        If most days lie outside.
    """
    name = type(estimator).__name__
    fitted = fitted_dates(estimator)
    if fitted is None:
        if origin is None:
            raise ValueError(
                f"origin must be given: {name} does not know the dates that it was fitted on, so "
                "that a wrong origin would not be noticed. It is that of the training data; "
                'pack and pack_frame use "1970-01-01" if they are given none.'
            )
        return
    inside = (days >= fitted[0] - _MARGIN) & (days <= fitted[1] + _MARGIN)
    if inside.mean() > 0.5:
        return
    message = (
        f"{len(days) - inside.sum()} of {len(days)} dates of cube lie outside of those that {name} "
        f"was fitted on: days {days.min():g} to {days.max():g} since "
        f"{'1970-01-01' if origin is None else origin}, fitted on days {fitted[0]:g} to "
        f"{fitted[1]:g}. Give the origin of the training data; for a model of another year, move "
        "it by the difference of the years."
    )
    if not inside.any():
        raise ValueError(message)
    warn_user(message, DataQualityWarning)

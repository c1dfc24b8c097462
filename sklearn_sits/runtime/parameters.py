"""Parameters of estimators: constraints that refuse booleans, and their plain values."""

from types import SimpleNamespace

import numpy as np
from sklearn.utils._param_validation import Interval

__all__ = ["NumberInterval", "read_parameters"]


class NumberInterval(Interval):
    """Interval of numbers that does not take True for 1 and False for 0.

    Parameters
    ----------
    type : {numbers.Integral, numbers.Real}
        Set of numbers.
    left, right : int, float or None
        Bounds, None if there is none.
    closed : {"left", "right", "both", "neither"}
        Bounds that belong to the interval.
    """

    def is_satisfied_by(self, val):
        """Check a value.

        Parameters
        ----------
        val : object
            Value of a parameter.

        Returns
        -------
        is_satisfied : bool
        """
        return not isinstance(val, bool) and super().is_satisfied_by(val)


def read_parameters(estimator):
    """Read the parameters of an estimator as Python numbers.

    PyTorch refuses some scalars of NumPy, such as those that ``np.arange`` puts into a grid.

    Parameters
    ----------
    estimator : estimator instance
        Estimator.

    Returns
    -------
    parameters : types.SimpleNamespace
        An attribute for each parameter.
    """
    values = estimator.get_params(deep=False)
    return SimpleNamespace(
        **{
            name: value.item() if isinstance(value, np.number) else value
            for name, value in values.items()
        }
    )

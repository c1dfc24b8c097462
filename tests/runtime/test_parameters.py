from numbers import Integral, Real

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from sklearn_sits.runtime.parameters import NumberInterval, read_parameters


class Estimator(BaseEstimator):
    def __init__(self, number=1, other=None):
        self.number = number
        self.other = other


@pytest.mark.parametrize("type_", [Integral, Real])
def test_booleans_are_not_numbers(type_):
    interval = NumberInterval(type_, 0, None, closed="left")
    assert not interval.is_satisfied_by(True)
    assert not interval.is_satisfied_by(False)
    assert not interval.is_satisfied_by(np.bool_(True))
    assert interval.is_satisfied_by(0)
    assert interval.is_satisfied_by(np.int64(3))
    assert interval.is_satisfied_by(np.float32(0.5)) == (type_ is Real)
    assert not interval.is_satisfied_by(-1)


@pytest.mark.parametrize("value", [np.int64(3), np.uint8(3), np.float32(3), 3])
def test_numbers_of_numpy_become_those_of_python(value):
    other = np.arange(3)
    params = read_parameters(Estimator(value, other))
    assert params.number == 3
    assert type(params.number) in (int, float)
    assert params.other is other

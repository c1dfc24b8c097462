import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator

from sklearn_sits.physics import Sensor
from sklearn_sits.traits.reflectances import check_reflectances, evenly_spaced_sensor

SENSOR = Sensor.load("Sentinel-2A", ["B4", "B8"])
ROW = [0.05, 0.4, 35.0, 5.0, 100.0]
COLUMNS = ["B4", "B8", "sun", "view", "azimuth"]


def check(X, sensor=SENSOR, estimator=None, reset=True):
    estimator = BaseEstimator() if estimator is None else estimator
    return check_reflectances(estimator, X, sensor=sensor, reset=reset)


def table(n=4):
    return np.tile(ROW, (n, 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_single_spectra(dtype):
    X = table().astype(dtype)
    spectra, angles, seen, dates = check(X)
    assert_array_equal(spectra, X[:, :2])
    assert_array_equal(angles, X[:, 2:])
    assert spectra.dtype == dtype
    assert seen.all()
    assert dates is None


def test_series():
    X = np.concatenate([np.zeros((6, 1)), table(6)], axis=1).reshape(2, 3, 6)
    X[1, 2] = np.nan
    X[0, 0, 2] = np.nan
    estimator = BaseEstimator()
    spectra, angles, seen, dates = check(X, estimator=estimator)
    assert_array_equal(spectra, X[..., 1:3].reshape(6, 2))
    assert_array_equal(angles, X[..., 3:].reshape(6, 3))
    assert_array_equal(seen, [False, True, True, True, True, False])
    assert_array_equal(dates, X[..., 0])
    assert estimator.n_features_in_ == 5


def test_without_sensor_every_column_is_a_band():
    X = np.array([[-7.0, 1e5, 3.0]])
    spectra, angles, seen, _ = check(X, sensor=None)
    assert_array_equal(spectra, X)
    assert angles.shape == (1, 0)
    assert seen.all()


def test_spectra_with_nan():
    X = table()
    X[1, 0] = X[2, 4] = np.nan
    with pytest.warns(UserWarning, match="2 of 4 spectra have NaN") as caught:
        assert_array_equal(check(X)[2], [True, False, False, True])
    assert len(caught) == 1


def change(column, value):
    X = table()
    X[:, column] = value
    return X


@pytest.mark.parametrize(
    ("X", "match"),
    [
        (change(slice(2), [400, 4000]), "X must hold reflectances in 0-1, found 4000: divide"),
        (change(1, 1.7), "X must hold reflectances within -0.05 and 1.5, found 0.05 to 1.7"),
        (change(0, -0.2), "X must hold reflectances within .* found -0.2 to 0.4"),
        (change(slice(2, 5), [0.6, 0.1, 2.0]), "must have angles in degrees"),
        (change(2, 95), "X contains sun zenith = 95"),
        (change(3, -1), "X contains view zenith = -1"),
        (change(4, 400), "X contains relative azimuth = 400"),
        (change(0, np.inf), "infinity"),
        (table()[:, :2], "X has 2 columns .* expected 5: the bands B4, B8, sun zenith"),
        (table()[0], "1D array"),
        (table()[None, None], "dim"),
        (table().astype(str) + "a", "could not convert|numeric"),
        (csr_array(table()), "[Ss]parse"),
        ([[1.0], [2.0, 3.0]], "inhomogeneous|sequence"),
        (np.ones((2, 3, 5)), "X has 4 columns"),
        (pd.DataFrame(table(), columns=COLUMNS)[["B8", "B4", *COLUMNS[2:]]], "in the order B8, B4"),
    ],
    ids=range(16),
)
def test_bad_input(X, match):
    with pytest.raises((ValueError, TypeError), match=match):
        check(X)


@pytest.mark.parametrize("value", [-0.05, 0.0, 1.5])
def test_extreme_reflectances(value):
    assert_array_equal(check(change(0, value))[0][:, 0], value)


@pytest.mark.parametrize("angles", [(0, 0, 0), (85, 85, 360), (85, 85, -360)])
def test_extreme_angles(angles):
    assert_array_equal(check(change(slice(2, 5), angles))[1], np.tile(angles, (4, 1)))


def test_names_that_are_not_those_of_all_bands_are_taken_in_order():
    X = pd.DataFrame(table(), columns=["red", "B8", *COLUMNS[2:]])
    assert_array_equal(check(X)[0], table()[:, :2])


@pytest.mark.parametrize("n", [1, 2, 10])
def test_evenly_spaced_sensor(n):
    sensor = evenly_spaced_sensor(n)
    assert sensor.bands == tuple(str(i + 1) for i in range(n))
    width = 2100 / n
    middle = 400 + width * (np.arange(n) + 0.5)
    assert_array_equal(sensor.wavelengths[sensor.responses.argmax(1)], np.floor(middle))
    if n > 2:
        # Truncated, the outer ones have their centre further in.
        assert_allclose(sensor.centre[1:-1], middle[1:-1], atol=0.1 * width)

import re

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator

from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.physics import Prosail
from sklearn_sits.traits.reflectances import check_reflectances, evenly_spaced_sensor

DECODER = Prosail("Sentinel-2A", ["B4", "B8"], quadrature=1)
ROW = [0.05, 0.4, 35.0, 5.0, 100.0]
COLUMNS = ["B4", "B8", "sun_zenith", "view_zenith", "relative_azimuth"]


def check(X, decoder=DECODER, estimator=None, reset=True):
    estimator = BaseEstimator() if estimator is None else estimator
    return check_reflectances(estimator, X, decoder=decoder, reset=reset)


def table(n=4):
    return np.tile(ROW, (n, 1))


def named(**changes):
    return pd.DataFrame(table(), columns=COLUMNS).rename(columns=changes)


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


def test_without_decoder_every_column_is_a_band():
    X = np.array([[-7.0, 1e5, 3.0]])
    spectra, angles, seen, _ = check(X, decoder=None)
    assert_array_equal(spectra, X)
    assert angles.shape == (1, 0)
    assert seen.all()


def test_spectra_with_nan():
    X = table()
    X[1, 0] = X[2, 4] = np.nan
    with pytest.warns(DataQualityWarning, match="2 of 4 spectra have NaN") as caught:
        assert_array_equal(check(X)[2], [True, False, False, True])
    assert len(caught) == 1
    assert caught[0].filename == __file__


def change(column, value):
    X = table()
    X[:, column] = value
    return X


@pytest.mark.parametrize(
    ("X", "match"),
    [
        (
            change(slice(2), [400, 4000]),
            "X must hold reflectances in 0-1, found 4000. Divide|their median is",
        ),
        (change(1, 1.7), "X must hold reflectances within -0.05 and 1.5, found 0.05 to 1.7"),
        (change(0, -0.2), "X must hold reflectances within .* found -0.2 to 0.4"),
        (change(slice(2, 5), [0.6, 0.1, 2.0]), "must have angles in degrees"),
        (change(2, 95), "X contains sun zenith = 95"),
        (change(3, -1), "X contains view zenith = -1"),
        (change(4, 400), "X contains relative azimuth = 400"),
        (change(0, np.inf), "infinity"),
        (table()[:, :2], "X has 2 columns .* expected 5: the bands B4, B8, then sun zenith"),
        (table()[0], "1D array"),
        (table()[None, None], "dim"),
        (np.full((4, 5), "a"), "could not convert|numeric"),
        (csr_array(table()), "[Ss]parse"),
        ([[1.0], [2.0, 3.0]], "inhomogeneous|sequence"),
        (np.ones((2, 3, 5)), "X has 4 columns"),
        (named(B8="B5"), "X lacks B8 of the model; it has B4, B5, sun_zenith, .* for Sentinel-2A"),
        (named(sun_zenith="sun"), "X lacks sun_zenith of the model"),
        (named().assign(plot=1), "X has plot besides B4, B8, .* Leave it out"),
        (named()[["B4", "B8"]], "X has nothing besides B4, B8, expected 3 columns"),
    ],
    ids=range(19),
)
def test_bad_input(X, match):
    with pytest.raises((ValueError, TypeError), match=match):
        check(X)


@pytest.mark.parametrize(
    ("column", "value", "found"),
    [
        (0, -0.06, "B4 = -0.06"),
        (1, 1.6, "B8 = 1.6"),
        (1, np.inf, "B8 = inf"),
        (0, 400.0, "B4 = 400"),
        (2, 95.0, "sun zenith = 95"),
        (3, -1.0, "view zenith = -1"),
        (4, 400.0, "relative azimuth = 400"),
    ],
)
@pytest.mark.parametrize("in_series", [False, True])
def test_outliers_in_predict(column, value, found, in_series):
    """One spectrum with a value out of range, and one with NaN, which counts on its own."""
    X = table(6)
    X[2, column] = value
    X[4, column] = np.nan
    if in_series:
        X = np.concatenate([np.zeros((6, 1)), X], axis=1).reshape(2, 3, 6)
    match = f"1 of 6 spectra count as not observed, .* The first one is spectrum 2, with {found}"
    with pytest.warns(DataQualityWarning) as caught:
        spectra = check(X, estimator=fitted_on(5), reset=False)
    assert re.search(match, str(caught[-1].message))
    assert len(caught) == 1 + (not in_series)
    assert {warning.filename for warning in caught} == {__file__}
    assert_array_equal(spectra.is_complete, [True, True, False, True, False, True])


def fitted_on(n_features):
    estimator = BaseEstimator()
    estimator.n_features_in_ = n_features
    return estimator


@pytest.mark.parametrize(
    ("X", "match"),
    [
        (np.tile([400, 4000, 35.0, 5.0, 100.0], (4, 1)), "their median is 2200. Divide"),
        (np.tile([0.05, 0.4, 0.6, 0.1, 2.0], (4, 1)), "X must have angles in degrees"),
    ],
)
def test_other_units_in_predict(X, match):
    with pytest.raises(ValueError, match=match):
        check(X, estimator=fitted_on(5), reset=False)


def test_block_of_one_fill_value_is_not_observed():
    X = np.tile([-9999.0, -9999, 35, 5, 100], (4, 1))
    for value in (-9999.0, 65535.0):
        X[:, :2] = value
        with pytest.warns(DataQualityWarning, match="4 of 4 spectra count as not observed"):
            assert not check(X, estimator=fitted_on(5), reset=False).is_complete.any()


@pytest.mark.parametrize("value", [-0.05, 0.0, 1.5])
def test_extreme_reflectances(value):
    assert_array_equal(check(change(0, value))[0][:, 0], value)


@pytest.mark.parametrize("angles", [(0, 0, 0), (85, 85, 360), (85, 85, -360)])
def test_extreme_angles(angles):
    assert_array_equal(check(change(slice(2, 5), angles))[1], np.tile(angles, (4, 1)))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "X",
    [
        named(),
        named()[COLUMNS[::-1]],
        named(B4="B04", B8="nir", sun_zenith="sza")[
            ["view_zenith", "nir", "relative_azimuth", "B04", "sza"]
        ],
        # Angles of other names are taken in order.
        named(sun_zenith="a", view_zenith="b", relative_azimuth="c")[["B8", "a", "B4", "b", "c"]],
        named(**{name: f"column {name}" for name in COLUMNS}),
        table(),
        pd.DataFrame(table()),
    ],
    ids=range(7),
)
def test_names(X):
    """Names tell the order of the columns; without known names they are taken in order."""
    estimator = BaseEstimator()
    for reset in (True, False):
        spectra = check(X, estimator=estimator, reset=reset)
        assert_array_equal(spectra.reflectances, table()[:, :2])
        assert_array_equal(spectra.angles, table()[:, 2:])
    own = [f"column {name}" for name in COLUMNS]
    is_own = isinstance(X, pd.DataFrame) and list(X.columns) == own
    assert list(estimator.feature_names_in_) == (own if is_own else COLUMNS)
    check(np.ones((2, 3, 6)) * 0.1 * np.array([1, 1, 1, 300, 50, 50]), estimator=estimator)
    assert list(estimator.feature_names_in_) == COLUMNS


def test_unknown_names_after_fit():
    estimator = BaseEstimator()
    check(table(), estimator=estimator)
    other = named(**{name: f"column {name}" for name in COLUMNS})
    with pytest.raises(ValueError, match=r"X has the columns column B4, .* pass X.to_numpy\(\)"):
        check(other, estimator=estimator, reset=False)


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

import warnings

import dask.array as da
import numpy as np
import pytest
import zarr
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator

from sklearn_sits import LinearInterpolator, MTANMLPClassifier
from sklearn_sits.datasets import make_sits
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.series.checks import check_sits
from sklearn_sits.series.coverage import note_coverage
from sklearn_sits.series.packing import pack
from sklearn_sits.series.stored_array import StoredArray, open_stored

NAN, INF = np.nan, np.inf


class Toy(BaseEstimator):
    def __init__(self, static_channels=()):
        self.static_channels = static_channels

    def fit(self, X, y=None):
        X = check_sits(self, X, reset=True, static_channels=self.static_channels)
        note_coverage(self, X, self.static_channels)
        return self

    def predict(self, X):
        return check_sits(self, X, reset=False, static_channels=self.static_channels)


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    values = rng.uniform(0.1, 0.9, size=(40, 5, 2))
    return pack(values, np.arange(5) * 10.0, static=rng.uniform(4e5, 5e5, size=(40, 1)))


@pytest.fixture
def toy(X):
    return Toy((-1,)).fit(X)


def spoil(X):
    """Return an array with wrong values, and what is left of it."""
    wrong, left = X.copy(), X.copy()
    wrong[3, 1, 1], wrong[3, 2, 2], wrong[7, 0, 1] = INF, -INF, 1e30
    wrong[9, 2, 0], wrong[11, 3, 0], wrong[12, 4, 3] = NAN, INF, 1e20
    left[3, 1, 1] = left[3, 2, 2] = left[7, 0, 1] = NAN
    left[9, 2, :3] = left[11, 3, :3] = left[12, 4, 3] = NAN
    return wrong, left


# Infinities, one of them a date, and the bands of the two slots that have lost their date.
MESSAGE = (
    "9 values in 5 of 40 series count as not observed: 3 are infinite, 2 are more than a million "
    "times as large as in the training data, 4 have no date. The first is in series 3, slot 1, "
    "channel 1 (0 is the date)."
)


def caught(function, *args):
    with pytest.warns(DataQualityWarning) as record:
        result = function(*args)
    assert len(record) == 1, [str(one.message) for one in record]
    assert record[0].filename == __file__
    return result, str(record[0].message)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("block_bytes", [1, 1000, 2**21])
def test_wrong_values_in_predict(X, dtype, block_bytes, monkeypatch):
    monkeypatch.setattr("sklearn_sits.series.content._BLOCK_BYTES", block_bytes)
    X = X.astype(dtype)
    toy = Toy((-1,)).fit(X)
    wrong, left = spoil(X)
    copy = wrong.copy()
    wrong.setflags(write=False)
    found, message = caught(toy.predict, wrong)
    assert_array_equal(found, left)
    assert found.dtype == dtype
    assert message == MESSAGE
    assert_array_equal(wrong, copy)


@pytest.mark.parametrize(
    "store",
    [
        lambda X, path: zarr.create_array(path / "X.zarr", data=X, chunks=(7, 5, 4)),
        lambda X, path: da.from_array(X, chunks=(9, 2, 4)),
    ],
    ids=["zarr", "dask"],
)
def test_wrong_values_of_stored_arrays_are_masked_on_read(X, toy, store, tmp_path):
    wrong, left = spoil(X)
    stored = open_stored(store(wrong, tmp_path))
    found, message = caught(toy.predict, stored)
    assert isinstance(found, StoredArray)
    assert message == MESSAGE
    assert_array_equal(found[:], left)
    assert_array_equal(found[5:13], left[5:13])
    assert_array_equal(found[np.array([12, 3, 3])], left[[12, 3, 3]])
    # What is stored is not changed.
    assert_array_equal(wrong, spoil(X)[0])
    right = open_stored(store(X, tmp_path / "right"))
    assert toy.predict(right) is right


def test_wrong_values_in_fit_are_errors(X):
    for slot, value, match in [
        ((3, 1, 1), INF, "contains infinity"),
        ((3, 1, 0), INF, "contains infinity"),
        ((3, 1, 0), NAN, "observation without a date"),
    ]:
        wrong = X.copy()
        wrong[slot] = value
        with pytest.raises(ValueError, match=match):
            Toy((-1,)).fit(wrong)
        with pytest.raises(ValueError, match=match):
            check_sits(Toy((-1,)).fit(X), wrong, reset=False, strict=True)


def test_problems_of_shape_stay_errors_in_predict(X, toy):
    wrong, _ = spoil(X)
    with pytest.raises(ValueError, match="X has 3 channels"):
        toy.predict(wrong[..., :3])
    wrong = X.copy()
    wrong[4, 0, 3] += 10
    with pytest.raises(ValueError, match="static_channels: channel 3 of X must be constant"):
        toy.predict(wrong)


def test_series_that_lose_all_values_count_as_empty(X, toy):
    wrong = X.copy()
    wrong[:2, :, 1:3] = INF
    with (
        pytest.warns(UserWarning, match="^2 of 40 series have no valid observation"),
        pytest.warns(DataQualityWarning, match="^20 values in 2 of 40 series"),
    ):
        toy.predict(wrong)


def test_plain_table():
    X = np.random.default_rng(0).random((20, 6))
    toy = Toy().fit(X)
    wrong = X.copy()
    wrong[2, 3], wrong[4, 1] = -INF, 1e12
    found, message = caught(toy.predict, wrong)
    assert message.startswith("2 values in 2 of 20 series count as not observed: 1 are infinite")
    assert np.isnan(found[[2, 4], [3, 1], 1]).all()
    assert np.isnan(found).sum() == 2


def test_right_values_are_not_copied(X, toy):
    assert np.shares_memory(toy.predict(X), X)


def test_channel_of_zeros_and_channel_without_values(X):
    """Neither makes every value too large."""
    X[..., 1], X[..., 2] = 0, NAN
    toy = Toy((-1,)).fit(X)
    assert_array_equal(toy.value_range_[:2], [[0, 0], [NAN, NAN]])
    X[:3, 0, 1], X[:3, 0, 2] = 5.0, 5.0
    assert_array_equal(toy.predict(X), X)


@pytest.mark.parametrize(
    "model",
    [
        LinearInterpolator(static_channels=(-2, -1)),
        MTANMLPClassifier(
            max_iter=1,
            n_reference_dates=4,
            n_hidden=8,
            position_channels=(-2, -1),
            random_state=0,
            device="cpu",
        ),
    ],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.parametrize("value", [INF, -INF, 1e30, NAN])
def test_estimators(model, value):
    """The result is that of data with NaN where the value is wrong."""
    X, y = make_sits(90, 12, 3, 3, random_state=0)
    model.fit(X, y)
    wrong, left = X.copy(), X.copy()
    wrong[np.arange(5), 0, 0 if np.isnan(value) else 1] = value
    left[np.arange(5), 0, 0] = X[np.arange(5), 0, 0]
    left[np.arange(5), 0, 1 : 4 if np.isnan(value) else 2] = NAN
    methods = ["transform"] + ["predict_proba"] * hasattr(model, "predict_proba")
    for name in methods:
        method = getattr(model, name)
        expected = method(left)
        found, _ = caught(method, wrong)
        assert np.isfinite(found).all()
        assert_array_equal(found, expected)


def test_warm_start_is_strict():
    X, y = make_sits(60, 12, 3, 3, positions=False, random_state=0)
    model = MTANMLPClassifier(max_iter=1, n_hidden=8, random_state=0, warm_start=True).fit(X, y)
    X[2, 0, 1] = INF
    with pytest.raises(ValueError, match="contains infinity"):
        model.fit(X, y)


def test_estimator_that_does_not_know_its_training_data(X):
    class Plain(Toy):
        def fit(self, X, y=None):
            check_sits(self, X, reset=True, static_channels=self.static_channels)
            return self

    plain = Plain((-1,)).fit(X)
    wrong = X.copy()
    wrong[3, 1, 1], wrong[4, 1, 1] = INF, 1e30
    found, message = caught(plain.predict, wrong)
    assert message.startswith("1 values in 1 of 40 series")
    assert found[4, 1, 1] == np.float32(1e30)


def test_no_warning_without_reason(X, toy):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        toy.predict(X[:1])
        toy.predict(X[::-1])


@pytest.mark.parametrize("scale", [1e-300, 1e200, 1e303])
def test_values_near_the_limits_of_the_type(scale):
    """Without an overflow, in training or in prediction."""
    X = pack(np.random.default_rng(0).random((30, 5)), np.arange(5.0), dtype=np.float64)
    X[..., 1] *= scale
    interpolator = LinearInterpolator([0.0, 2.5]).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(interpolator.transform(X)).all()
    X[..., 1] *= -1e4
    _, message = caught(interpolator.transform, X)
    assert "channel 1 has the median" in message

import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline

from sklearn_sits import LinearInterpolator, MTANMLPClassifier, MTANSVGPClassifier
from sklearn_sits._warnings import collect_warnings
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.series import coverage
from sklearn_sits.series.coverage import note_coverage
from sklearn_sits.series.packing import pack

NAN = np.nan
# Ranges of reflectance of blue, red and near infrared.
LOW, HIGH = np.array([0.01, 0.02, 0.2]), np.array([0.06, 0.15, 0.5])
DAYS = 10.0 * np.arange(20)
SMALL = {"n_reference_dates": 4, "n_hidden": 8, "max_iter": 1, "random_state": 0, "device": "cpu"}


def series(seed=0, n=200, days=DAYS):
    rng = np.random.default_rng(seed)
    values = rng.uniform(LOW, HIGH, size=(n, len(days), 3))
    position = rng.uniform(0, 1000, size=(n, 1))
    return pack(values, days, mask=rng.random((n, len(days))) < 0.6, static=position)


@pytest.fixture(
    scope="module",
    params=[
        LinearInterpolator(static_channels=(-1,)),
        make_pipeline(LinearInterpolator(static_channels=(-1,)), RandomForestClassifier(2)),
        MTANMLPClassifier(position_channels=(-1,), **SMALL),
        MTANSVGPClassifier(position_channels=(-1,), n_inducing=5, **SMALL),
    ],
    ids=lambda model: type(model).__name__,
)
def predict(request):
    model = request.param.fit(series(), np.arange(200) % 2)
    return model.predict if hasattr(model, "predict") else model.transform


def message(function, X):
    with pytest.warns(DataQualityWarning) as record:
        function(X)
    assert len(record) == 1, [str(one.message) for one in record]
    assert record[0].filename == __file__
    return str(record[0].message)


@pytest.mark.parametrize("n_values", [1, 5000, 10**6])
def test_note_coverage(n_values, monkeypatch):
    monkeypatch.setattr(coverage, "_BLOCK_VALUES", n_values)
    X, toy = series(), RandomForestClassifier()
    note_coverage(toy, X, (-1,))
    seen = X[..., 0][~np.isnan(X[..., 1])]
    assert_array_equal(toy.date_range_, [seen.min(), seen.max()])
    flat = X.reshape(-1, 5)[:, 1:]
    expected = np.stack([np.nanmin(flat, axis=0), np.nanmax(flat, axis=0)], axis=1)
    assert_array_equal(toy.value_range_, expected)
    assert toy.value_range_.dtype == np.float64
    # A warm start extends them.
    other = X.copy()
    other[..., 0] += 100
    other[..., 2] *= 2
    note_coverage(toy, other, (-1,), extend=True)
    assert_array_equal(toy.date_range_, [X[..., 0].min(), 290])
    assert_array_equal(toy.value_range_[1], [expected[1, 0], np.float32(2) * expected[1, 1]])
    empty = np.full_like(X, NAN)
    note_coverage(toy, empty, (-1,), extend=True)
    assert_array_equal(toy.date_range_, [X[..., 0].min(), 290])
    note_coverage(toy, empty, (-1,))
    assert np.isnan(toy.date_range_).all()
    assert np.isnan(toy.value_range_).all()


def test_data_like_those_of_the_training(predict):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predict(series(1))
        predict(series(2, n=3, days=DAYS[5:9] + 4))
        # Half a day of acquisition hours, and a few dates outside.
        predict(series(3, days=DAYS + 80))


def test_dates_of_another_year(predict):
    X = series()
    X[..., 0] += 365
    found = message(predict, X)
    assert "100% of the dates in X lie outside" in found
    assert "days 365 to 555, fitted on days 0 to 190" in found
    assert "move the origin by the difference" in found


def test_most_dates_outside(predict):
    X = series()
    X[..., 0] += 120
    assert "of the dates in X lie outside" in message(predict, X)


def test_dates_without_observation_do_not_matter(predict):
    X = series()
    far = np.full_like(X, NAN)
    far[..., 0], far[..., -1] = 5000, X[..., -1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predict(np.concatenate([X, far, far], axis=1))


def bands(change):
    X = series()
    X[..., 1:4] = change(X[..., 1:4])
    return X


@pytest.mark.parametrize(
    ("change", "cause", "channels"),
    [
        (lambda v: 10_000 * v, "Were integers not multiplied by their scale", [1, 2, 3]),
        (lambda v: v / 10_000, "Was a scale applied that was not applied", [1, 2, 3]),
        (lambda v: v[..., ::-1], "Are the bands in another order", [1, 3]),
        (lambda v: v + 0.5, "Was an offset forgotten", [1, 2, 3]),
    ],
    ids=["integers", "scale", "order", "offset"],
)
def test_values_of_another_kind(predict, change, cause, channels):
    found = message(predict, bands(change))
    assert cause in found
    for channel in (1, 2, 3):
        assert (f"channel {channel} has the median" in found) == (channel in channels)


def test_medians_and_ranges_are_named(predict):
    found = message(predict, bands(lambda v: v + np.array([0, 0, 1])))
    assert "channel 3 has the median 1.3" in found
    assert "in training 0.2001 to 0.4997. Was an offset" in found


def test_many_channels_are_counted():
    X = pack(np.random.default_rng(0).random((50, 5, 9)), DAYS[:5])
    interpolator = LinearInterpolator().fit(X)
    X[..., 1:] += 5
    assert "(and 6 more)" in message(interpolator.transform, X)


def test_static_channels_may_lie_elsewhere(predict):
    X = series()
    X[..., -1] += 1e5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predict(X)


def test_plain_table():
    X = np.random.default_rng(0).random((50, 6))
    interpolator = LinearInterpolator().fit(X)
    assert_array_equal(interpolator.value_range_, [[X.min(), X.max()]])
    assert "channel 1 has the median" in message(interpolator.transform, X + 3)


def test_dates_are_left_to_a_map():
    """Which has compared those of the cube before."""
    interpolator = LinearInterpolator(static_channels=(-1,)).fit(series())
    X = series()
    X[..., 0] += 365
    with collect_warnings() as collected:
        interpolator.transform(X)
    assert collected == []


def test_time_and_memory_do_not_grow_with_the_data(monkeypatch):
    """Medians are those of some thousand series, spread over all of them."""
    seen = []
    original = coverage._warn_about_medians
    monkeypatch.setattr(
        coverage,
        "_warn_about_medians",
        lambda name, slots, *rest: (seen.append(slots[:, 1]), original(name, slots, *rest)),
    )
    X = np.zeros((200_000, 2, 2), dtype=np.float32)
    X[:, 1, 0] = 1
    X[..., 1] = np.linspace(0, 1, len(X))[:, None]
    LinearInterpolator([0.0]).fit(X).transform(X)
    assert 1000 < len(seen[0]) < 5000
    assert seen[0].min() == 0
    assert seen[0].max() > 0.99
    assert abs(np.median(seen[0]) - 0.5) < 0.01

import pickle

import numpy as np
import pytest
import skops.io

from sklearn_sits import LinearInterpolator, MTANMLPClassifier
from sklearn_sits.datasets import make_sits
from sklearn_sits.series import coverage
from sklearn_sits.series.coverage import note_coverage


def find_date_range(X, static_channels=()):
    toy = LinearInterpolator()
    note_coverage(toy, X, static_channels)
    return toy.date_range_


def reference(X, bands):
    days = X[..., 0][~np.isnan(X[..., bands]).all(axis=2)]
    return [days.min(), days.max()]


@pytest.mark.parametrize("n_values", [1, 200, 10**6])
def test_find_date_range(n_values, monkeypatch):
    monkeypatch.setattr(coverage, "_BLOCK_VALUES", n_values)
    rng = np.random.default_rng(0)
    for _ in range(20):
        X = rng.normal(scale=100, size=(30, 6, 4))
        # Clouds in both bands, clouds in one, padding; the position is always known.
        X[rng.random((30, 6)) < 0.8, 1:3] = np.nan
        X[rng.random((30, 6)) < 0.3, 1] = np.nan
        X[rng.random((30, 6)) < 0.2, :3] = np.nan
        found = find_date_range(X, static_channels=(-1,))
        np.testing.assert_array_equal(found, reference(X, [1, 2]))
        found = find_date_range(X[..., :3])
        np.testing.assert_array_equal(found, reference(X, [1, 2]))


def test_nothing_observed():
    X = np.full((3, 4, 2), np.nan)
    X[0, :, 0] = 7
    assert np.isnan(find_date_range(X)).all()


def test_estimators_keep_it(tmp_path):
    X, y = make_sits(60, 12, 3, 3, positions=False, random_state=0)
    days = find_date_range(X)
    interpolator = LinearInterpolator(dates=[0.0, 1.0]).fit(X)
    np.testing.assert_array_equal(interpolator.date_range_, days)
    model = MTANMLPClassifier(max_iter=1, random_state=0, warm_start=True).fit(X, y)
    skops.io.dump(model, tmp_path / "model.skops")
    trusted = ["sklearn_sits.MTANMLPClassifier"]
    for same in (
        model,
        pickle.loads(pickle.dumps(model)),
        skops.io.load(tmp_path / "model.skops", trusted=trusted),
    ):
        np.testing.assert_array_equal(same.date_range_, days)
    # A warm start adds dates.
    X = X.copy()
    X[..., 0] += 100
    np.testing.assert_array_equal(model.fit(X, y).date_range_, [days[0], days[1] + 100])
    X[..., 1:] = np.nan
    with pytest.warns(UserWarning, match="60 of 60 series have no valid observation"):
        model.fit(X, y)
    np.testing.assert_array_equal(model.date_range_, [days[0], days[1] + 100])

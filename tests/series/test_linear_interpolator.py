import pickle
from operator import methodcaller

import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.inspection import permutation_importance
from sklearn.model_selection import cross_val_score
from sklearn.multiclass import OneVsOneClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_sits.series.linear_interpolator import LinearInterpolator
from sklearn_sits.series.packing import pack

NAN = np.nan
INSTANCES = [LinearInterpolator(), LinearInterpolator(dates=[0.0, 0.3, 2.0])]
# Not run by check_estimator, but by scikit-learn on its own transformers.
EXTRA_CHECKS = [
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_output_transform_pandas",
    "check_dataframe_column_names_consistency",
    "check_param_validation",
    "check_inplace_ensure_writeable",
]


@parametrize_with_checks(INSTANCES)
def test_common(estimator, check):
    check(estimator)


# Some of these checks fit on a table and transform an array on purpose.
@pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names:UserWarning")
@pytest.mark.parametrize("check", EXTRA_CHECKS)
@pytest.mark.parametrize("estimator", INSTANCES)
def test_extra(estimator, check):
    getattr(estimator_checks, check)("LinearInterpolator", estimator)


def random_series(seed=0, *, n=20, n_dates=12, n_bands=3, per_band=False, dtype=np.float64):
    """Irregular series in any order, with clouds, repeated dates and padding."""
    rng = np.random.default_rng(seed)
    dates = rng.integers(0, 60, size=(n, n_dates)).astype(float)
    values = rng.normal(size=(n, n_dates, n_bands))
    mask = rng.random((n, n_dates, n_bands if per_band else 1)) < 0.6
    mask[:, 0] = True
    mask = np.broadcast_to(mask, values.shape).copy()
    mask[:, -2:] = False
    dates[:, -1] = NAN
    return pack(values, dates, mask=mask, dtype=dtype)


def reference(X, grid):
    """np.interp for each series and band, repeated dates averaged."""
    out = np.empty((len(X), len(grid), X.shape[2] - 1))
    for i, series in enumerate(X.astype(float)):
        for band in range(1, X.shape[2]):
            seen = ~np.isnan(series[:, band])
            mean = pd.Series(series[seen, band]).groupby(series[seen, 0]).mean()
            out[i, :, band - 1] = np.interp(grid, mean.index, mean)
    return out.reshape(len(X), -1)


grids = st.lists(st.integers(-10, 70), min_size=1, max_size=6, unique=True).map(sorted)


@given(st.integers(0, 2**32 - 1), st.booleans(), grids)
def test_agrees_with_numpy(seed, per_band, grid):
    X = random_series(seed, per_band=per_band)
    out = LinearInterpolator(dates=grid).fit_transform(X)
    assert_allclose(out, reference(X, grid), rtol=1e-12, atol=1e-12)


def test_two_sensors_on_the_union_of_dates():
    X = random_series(1, n_bands=5)
    X[:, ::2, 1:3] = NAN
    X[:, 1::2, 3:] = NAN
    X[:, :2, 1:] = 1.0
    grid = np.arange(0, 60, 7)
    assert_allclose(LinearInterpolator(grid).fit_transform(X), reference(X, grid), atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_order_and_padding_do_not_matter(seed, per_band):
    X = random_series(seed, per_band=per_band)
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(X.shape[1]), (len(X), 1)), axis=1)
    shuffled = np.take_along_axis(X, order[..., None], axis=1)
    padded = np.concatenate([np.full_like(X[:, :3], NAN), shuffled], axis=1)
    interpolator = LinearInterpolator(step=7)
    expected = interpolator.fit_transform(X)
    assert_allclose(interpolator.transform(padded), expected, rtol=1e-12, atol=1e-12)
    refitted = clone(interpolator).fit(padded)
    assert_array_equal(refitted.dates_, interpolator.dates_)
    assert_allclose(refitted.fill_values_, interpolator.fill_values_, rtol=1e-12, atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(-20_000, 20_000))
def test_shift_of_all_dates(seed, shift):
    X = random_series(seed)
    moved = X.copy()
    moved[..., 0] += shift
    one, other = LinearInterpolator(step=7).fit(X), LinearInterpolator(step=7).fit(moved)
    assert_array_equal(other.dates_, one.dates_ + shift)
    assert_allclose(other.transform(moved), one.transform(X), rtol=1e-12, atol=1e-12)


def test_date_of_a_cloudy_slot_does_not_matter():
    X = random_series()
    moved = X.copy()
    moved[np.isnan(X[..., 1:]).all(axis=2), 0] = 1000
    one, other = LinearInterpolator().fit(X), LinearInterpolator().fit(moved)
    assert_array_equal(one.dates_, other.dates_)
    assert_array_equal(one.transform(X), other.transform(moved))


def test_blocks_do_not_matter(monkeypatch):
    X = random_series(per_band=True)
    X[0, :, 1] = X[-1, :, 2] = NAN
    expected = LinearInterpolator().fit(X)
    monkeypatch.setattr("sklearn_sits.series.linear_interpolator._BLOCK_VALUES", 1)
    other = LinearInterpolator().fit(X)
    assert_allclose(other.fill_values_, expected.fill_values_, rtol=1e-12)
    assert_allclose(other.transform(X), expected.transform(X), rtol=1e-12)


def test_dtype_and_float32_accuracy():
    X = random_series()
    X32 = X.astype(np.float32)
    X32[..., 0] += 18_262  # days of 2020 since 1970
    grid = np.arange(0, 60, 7)
    out = LinearInterpolator(grid + 18_262).fit_transform(X32)
    assert out.dtype == np.float32
    assert_allclose(out, LinearInterpolator(grid).fit_transform(X), rtol=1e-5, atol=1e-5)


def test_regular_dates():
    X = pack([[NAN, 1, 2, NAN], [1, NAN, NAN, NAN]], [[0, 10, 35, 90], [12, 80, NAN, NAN]])
    assert_array_equal(LinearInterpolator().fit(X).dates_, [10, 20, 30])
    assert_array_equal(LinearInterpolator(step=12.5).fit(X).dates_, [10, 22.5, 35])
    X[..., 0] /= 50
    assert len(LinearInterpolator(step=0.1).fit(X).dates_) == 6


def test_absurd_grid_is_refused_before_it_is_allocated():
    """Milliseconds that did not pass through `pack`."""
    X = random_series()
    X[..., 0] = 1.5e12 + 86_400_000 * X[..., 0]
    with pytest.raises(ValueError, match="Are the dates days"):
        LinearInterpolator().fit(X)


def test_steps_of_numpy():
    X = random_series()
    expected = LinearInterpolator(step=7).fit(X).dates_
    for step in (np.int64(7), np.float32(7)):
        assert_array_equal(LinearInterpolator(step=step).fit(X).dates_, expected)


def test_complete_2d_series_are_unchanged():
    X = np.random.default_rng(0).normal(size=(5, 13))
    assert_array_equal(LinearInterpolator().fit_transform(X), X)
    assert_array_equal(LinearInterpolator().fit_transform(X[:, :1]), X[:, :1])
    X[0, 3] = NAN
    out = LinearInterpolator().fit_transform(X)
    assert_allclose(out[0, 3], (X[0, 2] + X[0, 4]) / 2)


def test_series_without_observation():
    train = pack([[[1, 5], [3, NAN]], [[NAN, NAN], [8, NAN]]], [0, 1])
    train = np.concatenate([train, np.full((2, 2, 1), NAN, np.float32)], axis=2)
    interpolator = LinearInterpolator(dates=[0, 1]).fit(train)
    assert_array_equal(interpolator.fill_values_, [4, 5, 0])
    assert_array_equal(interpolator.transform(train), [[1, 5, 0, 3, 5, 0], [8, 5, 0, 8, 5, 0]])
    for empty in (
        np.full((1, 3, 4), NAN),
        np.append(np.zeros((1, 3, 1)), np.full((1, 3, 3), NAN), 2),
    ):
        with pytest.warns(UserWarning, match="1 of 1 series have no valid"):
            assert_array_equal(interpolator.transform(empty), [[4, 5, 0] * 2])
        both = np.concatenate([empty, train[:1, [0, 1, 1]], empty])
        with pytest.warns(UserWarning, match="2 of 3 series"):
            assert_array_equal(interpolator.transform(both)[[0, 2]], [[4, 5, 0] * 2] * 2)


def test_all_empty_in_fit():
    X = np.full((2, 3, 2), NAN)
    with (
        pytest.warns(UserWarning, match="no valid observation"),
        pytest.raises(ValueError, match="X has no valid observation in fit"),
    ):
        LinearInterpolator().fit(X)
    with pytest.warns(UserWarning, match="no valid observation"):
        assert_array_equal(LinearInterpolator([0, 1]).fit_transform(X), 0)


def test_static_channels_are_appended_once():
    rng = np.random.default_rng(0)
    position = rng.normal(size=(4, 2))
    bands = rng.normal(size=(4, 3, 2))
    dates = [[0, 10, 20], [0, 10, 20], [0, 10, NAN], [0, 10, 20]]
    bands[2, 2] = NAN
    X = pack(bands, np.array(dates), static=position, dtype=np.float64)
    interpolator = LinearInterpolator(dates=[0, 10], static_channels=(-2, 4))
    out = interpolator.fit_transform(X)
    assert_array_equal(out[:, -2:], position)
    assert_array_equal(out[:, :4], bands[:, :2].reshape(4, 4))
    names = ["b1_t0", "b2_t0", "b1_t10", "b2_t10", "b3", "b4"]
    assert interpolator.get_feature_names_out().tolist() == names
    names = interpolator.get_feature_names_out(["red", "nir", "lon", "lat"])
    assert names.tolist() == ["red_t0", "nir_t0", "red_t10", "nir_t10", "lon", "lat"]

    X[1, :, 3:] = NAN
    assert_allclose(interpolator.transform(X)[1, -2:], position.mean(axis=0))
    swapped = LinearInterpolator(dates=[0], static_channels=(-1, 3)).fit(X)
    assert_array_equal(swapped.transform(X)[0, -2:], position[0, ::-1])
    assert swapped.get_feature_names_out()[-2:].tolist() == ["b4", "b3"]
    assert_allclose(swapped.fill_values_[-2:], position[[0, 2, 3], ::-1].mean(axis=0))


def test_names_of_2d_input():
    table = pd.DataFrame({"jan": [1.0, 2.0], "feb": [3.0, 4.0]})
    assert LinearInterpolator().fit(table).get_feature_names_out().tolist() == ["jan", "feb"]
    names = LinearInterpolator(dates=[0, 0.25]).fit(table).get_feature_names_out()
    assert names.tolist() == ["b1_t0", "b1_t0.25"]


@pytest.mark.parametrize(("output", "frame"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
def test_set_output_of_packed_input(output, frame):
    X = random_series()
    interpolator = LinearInterpolator(dates=[0, 40.5]).set_output(transform=output)
    out = interpolator.fit_transform(X)
    assert isinstance(out, frame)
    assert list(out.columns) == [f"b{i}_t{day}" for day in ("0", "40.5") for i in (1, 2, 3)]


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"dates": [1, 1]}, ValueError, "dates must be strictly increasing"),
        ({"dates": [2, 1]}, ValueError, "dates must be strictly increasing"),
        ({"dates": [0, NAN]}, ValueError, "dates must be finite"),
        ({"dates": []}, ValueError, "dates must be finite, of shape"),
        ({"dates": [[0, 1]]}, ValueError, "dates must be finite, of shape"),
        ({"dates": ["2020-01-01"]}, TypeError, "dates must be numbers"),
        ({"step": 0}, ValueError, "'step' parameter"),
        ({"step": True}, TypeError, "step must be a number of days, got True"),
        ({"step": 1e-4}, ValueError, r"make 5\d\d,\d{3} dates, expected at most 10,000"),
        ({"dates": [True]}, TypeError, "dates must be numbers"),
        ({"static_channels": (0,)}, ValueError, "static_channels contains 0"),
        ({"static_channels": (1,)}, ValueError, "static_channels: channel 1 of X must be const"),
        ({"static_channels": 1}, ValueError, "'static_channels' parameter"),
    ],
)
def test_bad_parameters(kwargs, error, match):
    with pytest.raises(error, match=match):
        LinearInterpolator(**kwargs).fit(random_series())


def test_bad_names():
    interpolator = LinearInterpolator().fit(random_series())
    with pytest.raises(ValueError, match=r"number of channels without the date \(3\), got 4"):
        interpolator.get_feature_names_out(["day", "b", "g", "r"])


def test_other_number_of_dates_and_channels():
    X = random_series()
    interpolator = LinearInterpolator().fit(X)
    assert interpolator.transform(X[:, :5]).shape == (20, 3 * len(interpolator.dates_))
    with pytest.raises(ValueError, match="X has 3 channels .* expecting 4 channels"):
        interpolator.transform(X[..., :3])


def test_persistence(tmp_path):
    X = random_series()
    interpolator = LinearInterpolator(dates=[0, 20, 40], static_channels=()).fit(X)
    expected = interpolator.transform(X)
    assert_array_equal(pickle.loads(pickle.dumps(interpolator)).transform(X), expected)
    skops.io.dump(interpolator, tmp_path / "model.skops")
    trusted = skops.io.get_untrusted_types(file=tmp_path / "model.skops")
    assert trusted == ["sklearn_sits.LinearInterpolator"]
    loaded = skops.io.load(tmp_path / "model.skops", trusted=trusted)
    assert_array_equal(loaded.transform(X), expected)


def test_tags():
    tags = LinearInterpolator().__sklearn_tags__()
    assert tags.input_tags.two_d_array
    assert tags.input_tags.three_d_array
    assert tags.input_tags.allow_nan
    assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]
    assert not any([tags.non_deterministic, tags.no_validation, tags._skip_test])


def test_random_forest_pipeline():
    X = random_series(n=60)
    y = np.arange(60) % 2
    X[y == 1, :, 1] += 3
    forest = RandomForestClassifier(n_estimators=10, random_state=0)
    model = make_pipeline(LinearInterpolator(), forest)
    assert cross_val_score(model, X, y, cv=3).mean() > 0.9


@pytest.mark.parametrize("meta", [BaggingClassifier, OneVsOneClassifier, SelfTrainingClassifier])
def test_flat_input_for_2d_meta_estimators(meta):
    X = random_series(n=30)[:, :-1]
    y = np.arange(30) % 2
    if meta is SelfTrainingClassifier:
        y[:5] = -1
    flat = X.reshape(30, -1)
    model = make_pipeline(
        FunctionTransformer(methodcaller("reshape", -1, *X.shape[1:])),
        LinearInterpolator(dates=[0, 30]),
        RandomForestClassifier(n_estimators=3, random_state=0),
    )
    fitted = meta(model).fit(flat, y)
    assert fitted.predict(flat).shape == (30,)
    importances = permutation_importance(fitted, flat, y, n_repeats=1, random_state=0)
    assert importances.importances_mean.shape == (flat.shape[1],)

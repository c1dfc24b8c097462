import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GroupKFold, cross_val_score

from sklearn_sits.datasets import make_sits, synthetic


def _observed(X, n_channels=10):
    return ~np.isnan(X[..., 1 : 1 + n_channels])


def _blocks(X):
    cell = (X[:, 0, -2:] // 20_000).astype(int)
    return 5 * cell[:, 0] + cell[:, 1]


def _interpolated(X, n_channels):
    grid = np.linspace(17532, 17896, 25)
    bands = range(1, 1 + n_channels)
    return np.array(
        [
            np.concatenate([np.interp(grid, *x[~np.isnan(x[:, c])][:, [0, c]].T) for c in bands])
            for x in X
        ]
    )


def _accuracy(features, X, y):
    forest = RandomForestClassifier(50, random_state=0)
    return cross_val_score(forest, features, y, groups=_blocks(X), cv=GroupKFold(3)).mean()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, "float32", np.dtype("float64")])
@pytest.mark.parametrize("positions", [True, False])
def test_shapes_and_types(dtype, positions):
    X, y = make_sits(50, 20, 4, 3, aligned=True, positions=positions, dtype=dtype, random_state=0)
    assert X.shape == (50, 20, 1 + 4 + 2 * positions)
    assert X.dtype == np.dtype(dtype)
    assert y.shape == (50,)
    assert y.dtype == np.int64


@pytest.mark.parametrize("n_channels", [1, 2, 10, 13, 30])
def test_bands_are_reflectances(n_channels):
    X, _ = make_sits(300, 40, n_channels, random_state=1)
    bands = X[..., 1 : 1 + n_channels]
    assert np.nanmin(bands) >= 0
    assert 0.3 < np.nanmax(bands) < 0.75


def test_padding_is_nan_in_every_channel():
    X, _ = make_sits(300, 60, n_orbits=3, random_state=0)
    padding = np.isnan(X[..., 0])
    assert padding.any()
    assert np.isnan(X[padding]).all()
    assert not np.isnan(X[~padding][:, -2:]).any()
    assert not padding[:, 0].any()
    assert (np.diff(padding.astype(int), axis=1) >= 0).all()
    assert not padding[:, -1].all()


def test_dates_ascend_over_one_year():
    for aligned in (True, False):
        X, _ = make_sits(100, 60, aligned=aligned, random_state=0)
        gaps = np.diff(X[..., 0], axis=1)
        assert (gaps[~np.isnan(gaps)] >= 1).all()
        assert np.nanmin(X[..., 0]) >= 17532
        assert np.nanmax(X[..., 0]) < 17532 + 365


def test_aligned_series_share_their_dates():
    X, _ = make_sits(100, 60, aligned=True, random_state=0)
    assert X.shape[1] == 60
    assert (X[..., 0] == X[0, :, 0]).all()


def test_aligned_series_are_observed_by_their_own_orbits_only():
    X, _ = make_sits(300, 60, n_orbits=3, cloud_cover=0.0, aligned=True, random_state=0)
    assert set(_observed(X).all(axis=2).sum(axis=1)) == {20, 40}
    assert set(_observed(X).any(axis=2).sum(axis=1)) == {20, 40}


def test_series_of_different_orbits_have_different_dates():
    X, _ = make_sits(300, 60, n_orbits=3, random_state=0)
    calendars = {tuple(row[~np.isnan(row)]) for row in X[..., 0]}
    # Three orbits, and two overlaps between neighbours that see the dates of both.
    assert sorted(map(len, calendars)) == [20, 20, 20, 40, 40]
    single = [set(calendar) for calendar in calendars if len(calendar) == 20]
    assert len(set.union(*single)) == 60


def test_both_layouts_show_the_same_scene():
    packed, y_packed = make_sits(200, 60, random_state=3)
    grid, y_grid = make_sits(200, 60, aligned=True, random_state=3)
    np.testing.assert_array_equal(y_packed, y_grid)
    np.testing.assert_array_equal(packed[:, 0, -2:], grid[:, 0, -2:])
    observed = [
        [set(x[seen, 0]) for x, seen in zip(X, _observed(X)[..., 0], strict=True)]
        for X in (packed, grid)
    ]
    assert observed[0] == observed[1]


@pytest.mark.parametrize("n_classes", [1, 5, 23])
def test_all_classes_are_present_and_balanced(n_classes):
    _, y = make_sits(1000, 10, 2, n_classes, random_state=0)
    counts = np.bincount(y, minlength=n_classes)
    assert len(counts) == n_classes
    assert counts.min() >= 0.7 * counts.max()


def test_as_many_series_as_classes():
    _, y = make_sits(7, 10, 2, 7, random_state=0)
    assert sorted(y) == list(range(7))


def test_labels_are_clustered_in_space():
    X, y = make_sits(1000, 10, 2, 5, random_state=0)
    distance = np.linalg.norm(X[:, None, 0, -2:] - X[None, :, 0, -2:], axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert (y == y[distance.argmin(axis=1)]).mean() > 0.9
    assert len(np.unique(_blocks(X))) > 15


def test_positions_are_constant_and_in_the_scene():
    X, _ = make_sits(100, 20, aligned=True, random_state=0)
    position = X[..., -2:]
    assert (position == position[:, :1]).all()
    assert position.min() >= 0
    assert position.max() < 100_000


@pytest.mark.parametrize("cloud_cover", [0, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("aligned", [True, False])
def test_cloud_cover_is_the_requested_one(cloud_cover, aligned):
    X, _ = make_sits(
        2000, 60, 1, n_orbits=1, cloud_cover=cloud_cover, aligned=aligned, random_state=0
    )
    assert 1 - _observed(X, 1).mean() == pytest.approx(cloud_cover, abs=0.02)


def test_every_series_is_observed_even_under_full_cover():
    for aligned in (True, False):
        X, _ = make_sits(200, 12, 3, cloud_cover=1.0, aligned=aligned, random_state=0)
        np.testing.assert_array_equal(_observed(X, 3).any(axis=2).sum(axis=1), 1)


def test_clouds_come_in_runs_and_vary_in_space():
    X, _ = make_sits(2000, 120, 1, n_orbits=1, aligned=True, positions=False, random_state=0)
    cloudy = ~_observed(X, 1)[..., 0]
    again = cloudy[:, 1:][cloudy[:, :-1]].mean()
    assert again > cloudy.mean() + 0.15
    shuffled = np.random.default_rng(0).permuted(cloudy.ravel()).reshape(cloudy.shape)
    assert cloudy.mean(axis=1).std() > 1.5 * shuffled.mean(axis=1).std()


def test_noise_has_the_requested_size():
    options = {"cloud_cover": 0.0, "random_state": 0}
    clean, _ = make_sits(300, 30, 8, noise=0.0, **options)
    noisy, _ = make_sits(300, 30, 8, noise=0.01, **options)
    error = (noisy - clean)[..., 1:9]
    # Above the floor at zero; sensor noise and haze add up.
    assert np.nanstd(error[clean[..., 1:9] > 0.1]) == pytest.approx(0.01 * 2**0.5, rel=0.05)


def _share_explained_by_position(drift):
    options = {"n_classes": 1, "n_orbits": 1, "cloud_cover": 0.0, "noise": 0.0}
    X, _ = make_sits(1000, 180, **options, spatial_drift=drift, random_state=0)
    ndvi = (X[..., 8] - X[..., 3]) / (X[..., 8] + X[..., 3])
    half = (ndvi.min(axis=1) + ndvi.max(axis=1)) / 2
    green_up = (ndvi > half[:, None]).argmax(axis=1)
    position = X[:, 0, -2:]
    return LinearRegression().fit(position, green_up).score(position, green_up)


def test_spatial_drift_makes_the_phenology_depend_on_position():
    assert _share_explained_by_position(0.0) < 0.1
    assert _share_explained_by_position(40.0) > 0.3


@pytest.mark.parametrize("aligned", [True, False])
def test_same_seed_gives_same_data(aligned):
    first = make_sits(100, 30, aligned=aligned, random_state=7)
    again = make_sits(100, 30, aligned=aligned, random_state=7)
    other = make_sits(100, 30, aligned=aligned, random_state=8)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[1], other[1])


def test_random_state_instance_advances():
    state = np.random.RandomState(0)
    first, second = (make_sits(50, 10, random_state=state)[1] for _ in range(2))
    again = make_sits(50, 10, random_state=np.random.RandomState(0))[1]
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("block_values", [1, 5000])
def test_data_do_not_depend_on_the_blocks(monkeypatch, aligned, block_values):
    options = {"n_dates": 31, "n_channels": 3, "aligned": aligned, "random_state": 0}
    X, _ = make_sits(101, **options)
    monkeypatch.setattr(synthetic, "_BLOCK_VALUES", block_values)
    # Up to rounding: products of matrices of another size sum in another order.
    np.testing.assert_allclose(make_sits(101, **options)[0], X, rtol=0, atol=1e-5)


@pytest.mark.parametrize("random_state", [None, 0])
def test_global_generator_is_left_alone(random_state):
    before = np.random.get_state()
    make_sits(50, 10, random_state=random_state)
    after = np.random.get_state()
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]


def test_classes_are_learnable_but_only_with_time():
    X, y = make_sits(1000, 60, 4, 5, random_state=1)
    over_time = _accuracy(_interpolated(X, 4), X, y)
    mean = _accuracy(np.nanmean(X[..., 1:5], axis=1), X, y)
    assert 0.7 < over_time < 0.95
    assert over_time > mean + 0.15


def test_classes_without_separation_are_not_learnable():
    X, y = make_sits(1000, 60, 4, 5, class_separation=0.0, random_state=0)
    assert _accuracy(_interpolated(X, 4), X, y) < 0.3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_series", 0),
        ("n_series", 10.0),
        ("n_dates", 0),
        ("n_channels", 0),
        ("n_classes", 0),
        ("n_orbits", 0),
        ("cloud_cover", 1.1),
        ("cloud_cover", "half"),
        ("aligned", "yes"),
        ("positions", None),
        ("spatial_drift", -1.0),
        ("noise", -0.1),
        ("noise", np.nan),
        ("class_separation", -1.0),
        ("dtype", np.int64),
        ("dtype", "float16"),
        ("random_state", "seed"),
    ],
)
def test_invalid_arguments_are_named(name, value):
    with pytest.raises((ValueError, TypeError), match=f"'{name}' parameter of make_sits"):
        make_sits(**{name: value})


def test_more_classes_than_series_are_refused():
    with pytest.raises(ValueError, match="n_classes=5 must be at most n_series=4"):
        make_sits(4)


def test_more_orbits_than_dates_are_refused():
    with pytest.raises(ValueError, match="n_orbits=3 must be at most n_dates=2"):
        make_sits(10, 2)

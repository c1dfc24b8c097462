from collections import Counter

import numpy as np
import pytest

from sklearn_sits.inspection.exchange import SeriesExchange, SeriesGroup

GROUPS = {
    "band": SeriesGroup((2,), (), None),
    "two bands": SeriesGroup((1, 3), (), None),
    "all bands": SeriesGroup((1, 2, 3), (), None),
    "window": SeriesGroup((1, 2, 3), (), (10.0, 20.0)),
    "band in a window": SeriesGroup((3,), (), (10.0, 20.0)),
    "static": SeriesGroup((), (0,), None),
    "band and static": SeriesGroup((1,), (0,), None),
}


def make_series(seed, *, aligned=False, n=12, n_slots=9):
    """Three bands with gaps and a static channel; dates that repeat, padding, an empty series."""
    rng = np.random.default_rng(seed)
    X = rng.random((n, n_slots, 5)).astype(np.float32)
    X[..., 0] = rng.integers(0, 30, n_slots) if aligned else rng.integers(0, 30, (n, n_slots))
    X[..., 1:4][rng.random((n, n_slots, 3)) < 0.4] = np.nan
    X[:3, :, 1:4][rng.random((3, n_slots)) < 0.5] = np.nan
    X[0, :, 1:4] = np.nan
    X[..., 4] = rng.random(n)[:, None]
    if not aligned:
        padding = rng.random((n, n_slots)) < 0.3
        padding[0, 0] = False
        X[padding] = np.nan
    return X


def observations(series, bands=(1, 2, 3), window=None):
    """Return a multiset of date, band and value."""
    first, last = (-np.inf, np.inf) if window is None else window
    return Counter(
        (slot[0].item(), band, slot[band].item())
        for slot in series
        for band in bands
        if first <= slot[0] < last and not np.isnan(slot[band])
    )


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_observations_of_the_group_move_with_their_dates(seed, aligned, group):
    X = make_series(seed, aligned=aligned)
    donors = np.random.default_rng(seed).permutation(len(X))
    moved = SeriesExchange(X, [4]).move(group, donors)
    assert moved.dtype == X.dtype
    for i, j in enumerate(donors):
        kept = observations(X[i]) - observations(X[i], group.bands, group.window)
        assert observations(moved[i]) == kept + observations(X[j], group.bands, group.window)
        static = X[j if group.static else i, :, 4]
        assert np.unique(moved[i, :, 4][~np.isnan(moved[i, :, 4])]) == np.nanmax(static)


def test_acquisitions_of_the_same_date_are_one_slot():
    X = np.array([[[5, 0.1, 0.2], [9, 0.3, 0.4]], [[9, 0.5, 0.6], [12, 0.7, 0.8]]])
    moved = SeriesExchange(X, []).move(SeriesGroup((1,), (), None), np.array([1, 0]))
    nan = np.nan
    expected = [
        [[5, nan, 0.2], [9, 0.5, 0.4], [12, 0.7, nan]],
        [[5, 0.1, nan], [9, 0.3, 0.6], [12, nan, 0.8]],
    ]
    np.testing.assert_array_equal(moved, expected)


def test_series_of_the_same_dates_keep_their_slots():
    """A model of a fixed number of slots, in any order, can be scored too."""
    X = make_series(0, aligned=True)
    padded = np.concatenate([np.full_like(X[:, :2], np.nan), X], axis=1)
    exchange = SeriesExchange(padded, [4])
    np.testing.assert_array_equal(exchange.series, X)
    donors = np.roll(np.arange(len(X)), 1)
    moved = exchange.move(GROUPS["band in a window"], donors)
    inside = (X[0, :, 0] >= 10) & (X[0, :, 0] < 20)
    expected = X.copy()
    expected[:, inside, 3] = X[donors][:, inside, 3]
    np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_padding_and_order_of_slots_change_nothing(group):
    X = make_series(1)
    # In order of date, the slots of equal dates have no other order.
    X = np.take_along_axis(X, np.argsort(X[..., :1], axis=1, kind="stable"), axis=1)
    rng = np.random.default_rng(0)
    padded = np.concatenate([np.full_like(X[:, :4], np.nan), X], axis=1)
    order = np.sort(rng.permuted(np.tile(np.arange(13), (len(X), 1)), axis=1)[:, :4], axis=1)
    for row, slots in zip(padded, order, strict=True):
        rest = np.setdiff1d(np.arange(13), slots)
        row[rest], row[slots] = row[4:].copy(), np.nan
    donors = rng.permutation(len(X))
    plain, other = SeriesExchange(X, [4]), SeriesExchange(padded, [4])
    np.testing.assert_array_equal(plain.series, other.series)
    np.testing.assert_array_equal(plain.move(group, donors), other.move(group, donors))


def test_input_stays_as_it_is():
    for aligned in (False, True):
        X = make_series(2, aligned=aligned)
        X.setflags(write=False)
        exchange = SeriesExchange(X, [4])
        before = exchange.series.copy()
        for group in GROUPS.values():
            exchange.move(group, np.arange(len(X))[::-1])
        np.testing.assert_array_equal(exchange.series, before)


def test_series_that_loses_all_dates_keeps_its_position():
    X = np.array([[[15, 0.1, 7.0]], [[25, 0.2, 8.0]]])
    moved = SeriesExchange(X, [2]).move(SeriesGroup((1,), (), (10, 20)), np.array([1, 0]))
    assert np.isnan(moved[0, :, :2]).all()
    assert moved[0, 0, 2] == 7.0
    assert observations(moved[1], (1,)) == Counter({(15.0, 1, 0.1): 1, (25.0, 1, 0.2): 1})

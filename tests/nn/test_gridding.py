import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from sklearn_sits.nn.gridding import drop_gaps, grid_series

NODES = torch.arange(0.0, 101.0, 10.0, dtype=torch.float64)


def series(n=20, t=30, seed=0, share=0.3):
    rng = np.random.default_rng(seed)
    seen = rng.random((n, t)) < share
    seen[:, 0] = True
    days = np.where(seen, np.sort(rng.uniform(-20, 120, (n, t)), axis=1), 0)
    values = np.where(seen, rng.normal(size=(n, t)), 0)
    return tuple(map(torch.from_numpy, (days, values, seen)))


def reference(days, values, seen):
    """The same, one series at a time."""
    days, values = days[seen].numpy(), values[seen].numpy()
    nearest = np.clip(np.round(days / 10), 0, 10).astype(int)
    used = np.unique(nearest)
    dates = [days[nearest == node].mean() for node in used]
    means = [values[nearest == node].mean() for node in used]
    return np.interp(NODES, dates, means), np.bincount(nearest, minlength=11)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_interpolation(share):
    batch = series(share=share)
    found, count = grid_series(*batch, NODES)
    assert found.shape == count.shape == (20, 11)
    for i, one in enumerate(zip(*batch, strict=True)):
        expected, number = reference(*one)
        assert_close(found[i], torch.from_numpy(expected), rtol=1e-9, atol=1e-9)
        assert count[i].tolist() == number.tolist()


def test_straight_lines_stay_straight():
    days, _, seen = series(share=0.6)
    days[:, 0], days[:, -1] = -1.0, 101.0
    seen[:, [0, -1]] = True
    found, _ = grid_series(days, 3 + 2 * days, seen, NODES)
    assert_close(found[:, 1:-1], (3 + 2 * NODES)[1:-1].expand(20, -1))


def test_order_of_slots_and_gaps_do_not_matter():
    batch = series()
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    for one, other in zip(
        grid_series(*batch, NODES),
        grid_series(*(part[:, order] for part in batch), NODES),
        strict=True,
    ):
        assert_close(one, other)
    days, values, seen = batch
    found = grid_series(*drop_gaps(*batch), NODES)
    for one, other in zip(found, grid_series(days, values, seen, NODES), strict=True):
        assert torch.equal(one, other)


def test_nothing_observed():
    days, values, seen = series()
    found, count = grid_series(days, values, torch.zeros_like(seen), NODES)
    assert (found == 0).all()
    assert (count == 0).all()


@given(seed=st.integers(0, 2**32), share=st.floats(0, 1))
def test_drop_gaps(seed, share):
    days, values, seen = series(5, 12, seed, share)
    short = drop_gaps(days, values, seen)
    assert {part.shape for part in short} == {(5, int(seen.sum(1).max()))}
    for before, after in zip((days, values), short[:2], strict=True):
        for i in range(5):
            assert torch.equal(before[i][seen[i]], after[i][short[2][i]])
        assert (after[~short[2]] == 0).all()
    assert torch.equal(short[2].sum(1), seen.sum(1))

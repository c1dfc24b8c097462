import numpy as np
import pytest
import torch

from sklearn_sits.phenology.valleys import find_windows, split_at_valleys

DAYS = torch.arange(-40.0, 410.0, 10.0, dtype=torch.float64)
# Peaks of the year, then of the seasons before and after it.
FIRST, SECOND, BEFORE, AFTER = 90.0, 240.0, -45.0, 420.0


def curve(*peaks, base=0.2):
    return base + 0.6 * sum(torch.exp(-(((DAYS - peak) / 25) ** 2)) for peak in peaks)


def windows(values, smallest=0.1):
    """Find the windows of one series, in a shuffled order with gaps between."""
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(DAYS)))
    days, values = (torch.cat([x[order], torch.zeros(3)])[None] for x in (DAYS, values))
    seen = (torch.arange(days.shape[1]) < len(DAYS))[None]
    found = find_windows(days, values, seen, smallest)
    assert torch.equal(found.days[0, : len(DAYS)], DAYS)
    return found


def dates(found, name):
    return found.days[getattr(found, name)]


def test_a_valley_between_two_seasons():
    found = windows(curve(FIRST, SECOND))
    assert found.whole.sum() == len(DAYS)
    assert found.depth > 0.5
    assert dates(found, "first").min() == DAYS.min()
    valley = dates(found, "first").max()
    assert FIRST + 40 < valley < SECOND - 40
    assert dates(found, "second").min() == valley
    assert dates(found, "second").max() == DAYS.max()


def test_a_single_season_has_no_valley():
    assert windows(curve(FIRST)).depth < 1e-3


@pytest.mark.parametrize(("at", "change"), [(13, -0.3), (30, 0.3)])
def test_a_single_observation_is_no_valley(at, change):
    """Neither a low one in the season nor a high one out of it."""
    values = torch.where((DAYS >= 40) & (DAYS <= 150), 0.8, 0.2).double()
    values[at] += change
    assert windows(values).depth < 0.1
    values[at + 1] += change
    assert windows(values).depth > 0.1


@pytest.mark.parametrize("peaks", [(FIRST, SECOND), (SECOND,)])
def test_seasons_of_other_years_are_left_out(peaks):
    """Also if that of the year which is the lower one stands beside them."""
    values = curve(*peaks, BEFORE, AFTER)
    found = windows(values)
    used = dates(found, "whole")
    assert BEFORE + 20 < used.min() < min(peaks) - 30
    assert SECOND + 60 < used.max() < AFTER - 40
    assert (found.depth > 0.5) == (len(peaks) == 2)
    # A rise below the threshold is no season.
    assert windows(values, smallest=0.7).whole.sum() == len(DAYS)


def test_few_observations():
    days, values = torch.tensor([[400.0, 0, 0]]), torch.tensor([[0.5, 0, 0]])
    seen = torch.tensor([[True, False, False]])
    found = find_windows(days, values, seen, 0.1)
    assert found.whole.sum() == found.first.sum() == found.second.sum() == 1
    assert found.depth == 0
    two = find_windows(days, values, torch.tensor([[True, True, False]]), 0.1)
    assert two.whole.sum() == 2


def test_split():
    values = torch.stack([curve(FIRST), curve(FIRST, SECOND)])
    days = DAYS.expand(2, -1)
    days, values, seen = split_at_valleys(days, values, torch.ones_like(days) > 0, 0.1)
    assert seen.sum(1).tolist()[0] == len(DAYS)
    assert len(seen) == 3
    assert seen[1:].sum() == len(DAYS) + 1
    last, first = days[1][seen[1]].max(), days[2][seen[2]].min()
    assert last == first

import math

import pytest
import torch
from torch.testing import assert_close

from sklearn_sits.nn.contrast import contrastive_loss, halve_dates


def make_mask(n_channels, n=200, t=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.rand(n, n_channels, t, generator=generator) < 0.4).double()
    mask[0], mask[1], mask[2] = 0, 1, 0
    mask[2, -1, 3] = 1
    return mask


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_halves_are_a_division_of_the_observed_dates(n_channels):
    mask = make_mask(n_channels)
    first, second = halve_dates(mask, generator())
    assert first.shape == second.shape == (200, 1, 9)
    assert first.dtype == second.dtype == mask.dtype
    assert_close(first + second, mask.amax(1, keepdim=True), rtol=0, atol=0)
    assert_close(first * second, torch.zeros_like(first), rtol=0, atol=0)
    difference = (first - second).sum((1, 2))
    assert difference.abs().max() == 1
    odd = mask.amax(1).sum(1) % 2 == 1
    assert_close(difference.abs(), odd.double(), rtol=0, atol=0)
    # Either half may be the larger one.
    assert 0.3 < (difference[odd] > 0).double().mean() < 0.7


def test_every_date_is_as_likely_in_either_half():
    first, _ = halve_dates(torch.ones(4000, 1, 5), generator())
    assert_close(first.mean(0)[0], torch.full((5,), 0.5), rtol=0, atol=0.04)
    # Pairs of dates part more often than not: two of five in one half.
    together = (first[:, 0, 0] == first[:, 0, 1]).double().mean().item()
    assert abs(together - 0.4) < 0.04


def test_halves_are_drawn_from_the_generator():
    mask = make_mask(2)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one, other, third = (halve_dates(mask, generator(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)
    assert torch.equal(torch.get_rng_state(), before)


def make_views(n=7, d=5):
    views = torch.randn(2, n, d, generator=generator(), dtype=torch.float64)
    return views[0], views[0] + views[1]


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_loss_is_that_of_the_formula(temperature):
    first, second = make_views()

    def similarity(a, b):
        return math.exp(float(a @ b / (a.norm() * b.norm())) / temperature)

    total = 0.0
    for i in range(7):
        own = similarity(first[i], second[i])
        total -= math.log(own / sum(similarity(first[i], other) for other in second))
        total -= math.log(own / sum(similarity(other, second[i]) for other in first))
    assert_close(contrastive_loss(first, second, temperature).item(), total / 14)


def test_loss_does_not_depend_on_order_size_or_direction():
    first, second = make_views()
    expected = contrastive_loss(first, second, 0.1)
    order = torch.randperm(7, generator=generator())
    assert_close(contrastive_loss(first[order], second[order], 0.1), expected)
    assert_close(contrastive_loss(second, first, 0.1), expected)
    assert_close(contrastive_loss(3 * first, 0.1 * second, 0.1), expected)
    assert not torch.isclose(contrastive_loss(first[order], second, 0.1), expected)


def test_loss_of_equal_and_of_distinct_series():
    equal = torch.ones(8, 3)
    assert_close(contrastive_loss(equal, equal, 0.1).item(), math.log(8))
    assert contrastive_loss(torch.eye(8), torch.eye(8), 0.05) < 1e-6
    assert contrastive_loss(torch.zeros(8, 3), equal, 0.1).isfinite()

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import expit
from scipy.stats import kstest
from torch.func import jacrev, vmap

from sklearn_sits.physics.double_logistic import (
    LAST_DAY,
    PHENOLOGY,
    PHENOLOGY_PRIORS,
    double_logistic,
    linearise,
    sample_phenology,
)

NAMES = ["minimum", "maximum", "start_of_season", "maturity", "senescence", "end_of_season"]
SEASON = [0.2, 0.8, 60.0, 120.0, 200.0, 280.0]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def tensor(values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype)


def test_names_and_units():
    assert [variable.name for variable in PHENOLOGY] == NAMES
    assert [variable.unit for variable in PHENOLOGY] == ["", ""] + ["day"] * 4
    for variable in PHENOLOGY:
        assert variable.low < variable.high
        assert variable.description
    for low, high in PHENOLOGY_PRIORS.values():
        assert low < high


def test_formula():
    low, high, start, maturity, senescence, end = SEASON
    days = np.linspace(-45, 410, 50)
    growth = expit((2 * days - start - maturity) * 2 / (maturity - start))
    decline = expit((2 * days - senescence - end) * 2 / (end - senescence))
    expected = low + (high - low) * (growth - decline)
    assert_allclose(double_logistic(tensor(SEASON), tensor(days)), expected, rtol=1e-12)


def test_meaning_of_the_dates():
    """At its dates, 12 and 88 % of the growth and of the decline are done."""
    low, high = 0.1, 0.9
    season = tensor([low, high, 0.0, 20.0, 300.0, 320.0])
    share = (double_logistic(season, season[2:]) - low) / (high - low)
    edge = expit(-2)
    assert_allclose(share, [edge, 1 - edge, 1 - edge, edge], rtol=1e-9)
    assert edge == pytest.approx(0.119, abs=1e-3)
    far = double_logistic(season, tensor([-1e4, 160.0, 1e4]))
    assert_allclose(far, [low, high, low], atol=1e-6)


def test_broadcasting():
    seasons, days = sample_phenology(5, generator=generator()), torch.arange(365).double()
    found = double_logistic(seasons, days)
    assert found.shape == (5, 365)
    again = double_logistic(seasons[:, None].expand(5, 3, 6), days[:, None].T)
    assert torch.equal(again, found[:, None].expand(5, 3, 365))
    for one, season in zip(found, seasons, strict=True):
        assert torch.equal(double_logistic(season, days), one)
    assert torch.equal(found, double_logistic(seasons, days.expand(5, 365)))


def test_values_lie_between_minimum_and_maximum():
    seasons = sample_phenology(1000, generator=generator())
    values = double_logistic(seasons, torch.arange(-45.0, 411.0).double())
    # The decline has a tail before its start.
    assert (values >= seasons[:, :1] - 0.1 * (seasons[:, 1:2] - seasons[:, :1])).all()
    assert (values <= seasons[:, 1:2] + 1e-12).all()


@pytest.mark.parametrize("dates", [(60, 60, 60, 60), (60, 60.5, 60.5, 61), (-45, -45, 410, 410)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_are_finite(dates, dtype):
    season = tensor([0.2, 0.8, *dates], dtype).requires_grad_()
    days = torch.arange(-45, 411, dtype=dtype)
    values = double_logistic(season, days)
    assert values.dtype == dtype
    # Growth and decline are equally fast: no tail lies outside.
    assert values.min() >= 0.2 - 1e-6
    assert values.max() <= 0.8 + 1e-6
    values.square().sum().backward()
    assert season.grad.isfinite().all()
    for part in linearise(season.detach(), days):
        assert part.isfinite().all()


def test_float32_is_enough():
    seasons, days = sample_phenology(500, generator=generator()), torch.arange(-45.0, 411.0)
    exact, slope = linearise(seasons, days.double())
    found, found_slope = linearise(seasons.float(), days)
    assert (found - exact).abs().max() < 2e-6
    assert (found_slope - slope).abs().max() < 5e-6


def test_derivatives():
    seasons, days = sample_phenology(50, generator=generator()), torch.linspace(-45, 410, 60)
    days = days.double()
    values, jacobian = linearise(seasons, days)
    assert torch.equal(values, double_logistic(seasons, days))
    assert jacobian.shape == (50, 6, 60)
    expected = vmap(jacrev(lambda season: double_logistic(season, days)))(seasons)
    assert_allclose(jacobian, expected.mT, atol=1e-12)


def test_gradient():
    seasons = sample_phenology(5, generator=generator()).requires_grad_()
    days = torch.linspace(0, 365, 20, dtype=torch.float64)
    assert torch.autograd.gradcheck(double_logistic, (seasons, days), eps=1e-5)


@given(seed=st.integers(0, 2**63 - 1))
def test_draws_are_ordered_and_within_bounds(seed):
    seasons = sample_phenology(300, generator=generator(seed))
    assert seasons.dtype == torch.float64
    assert (seasons[:, 1] > seasons[:, 0]).all()
    assert (seasons[:, 2:].diff(dim=1) >= 0).all()
    for column, variable in zip(seasons.T, PHENOLOGY, strict=True):
        assert column.min() >= variable.low
        assert column.max() <= variable.high
    steps = torch.stack([*seasons[:, :3].T, *seasons[:, 2:].diff(dim=1).T])
    steps[1] -= steps[0]
    for values, (low, high) in zip(steps, PHENOLOGY_PRIORS.values(), strict=True):
        assert values.min() >= low - 1e-9
        assert values.max() <= high + 1e-9


def test_draws_are_uniform():
    priors = PHENOLOGY_PRIORS | {"amplitude": (0.1, 0.3), "start_of_season": (0.0, 20.0)}
    seasons = sample_phenology(4000, priors, generator())
    for values, name in (
        (seasons[:, 0], "minimum"),
        (seasons[:, 2], "start_of_season"),
        (seasons[:, 4] - seasons[:, 3], "plateau"),
    ):
        low, high = priors[name]
        assert kstest(values.numpy(), "uniform", args=(low, high - low)).pvalue > 1e-3


def test_seeds():
    before = torch.get_rng_state()
    one, two, three = (sample_phenology(50, generator=generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("priors", "match"),
    [
        ({"minimum": (0, 1)}, r"priors must name \['minimum', 'amplitude'.* got \['minimum'\]"),
        (PHENOLOGY_PRIORS | {"peak": (0, 1)}, "priors must name .*'peak'"),
        (PHENOLOGY_PRIORS | {"minimum": (0.99, 1.0)}, "priors allow next to no season"),
        (PHENOLOGY_PRIORS | {"start_of_season": (LAST_DAY, 500.0)}, "ends by day 410"),
    ],
)
def test_bad_priors(priors, match):
    with pytest.raises(ValueError, match=match):
        sample_phenology(50, priors, generator())

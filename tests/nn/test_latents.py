import math

import pytest
import torch
from torch.distributions import Uniform, kl_divergence
from torch.testing import assert_close

from sklearn_sits.nn.latents import (
    kl_to_uniform,
    latent_moments,
    latent_nll,
    latent_quantiles,
    sample_latents,
)
from sklearn_sits.physics import TruncatedNormal

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
# All that the encoder can return.
LOC = (0.0, 1e-6, 0.003, 0.2, 0.5, 0.77, 0.9999, 1.0)
SCALE = (5e-4, 2e-3, 0.02, 0.3, 1.4)


def grid(dtype, requires_grad=False):
    loc, scale = torch.cartesian_prod(
        torch.tensor(LOC, dtype=dtype), torch.tensor(SCALE, dtype=dtype)
    ).unbind(1)
    loc, scale = loc[None].clone(), scale[None].clone()
    return loc.requires_grad_(requires_grad), scale.requires_grad_(requires_grad)


def reference(loc, scale):
    return TruncatedNormal(loc.double(), scale.double(), 0.0, 1.0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_latent_moments(dtype):
    loc, scale = grid(dtype)
    moments = reference(loc, scale).mean, reference(loc, scale).stddev
    for found, expected in zip(latent_moments(loc, scale), moments, strict=True):
        assert found.dtype == dtype
        assert_close(found.double(), expected, rtol=10 * TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_latent_quantiles(dtype):
    loc, scale = grid(dtype)
    for level in (1e-6, 0.025, 0.5, 0.8, 1 - 1e-6):
        levels = torch.full_like(loc, level)
        found = latent_quantiles(loc, scale, levels)
        assert found.dtype == dtype
        expected = reference(loc, scale).icdf(levels.double())
        assert_close(found.double(), expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_latent_nll(dtype):
    loc, scale = grid(dtype)
    for value in (0.0, 0.3, 1.0):
        values = torch.full_like(loc, value)
        found = latent_nll(loc, scale, values)
        assert found.dtype == dtype
        expected = -reference(loc, scale).log_prob(values.double())
        assert_close(found.double(), expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_kl_to_uniform(dtype):
    loc, scale = grid(dtype)
    found = kl_to_uniform(loc, scale)
    assert found.dtype == dtype
    expected = kl_divergence(reference(loc, scale), Uniform(0.0, 1.0, validate_args=False))
    assert_close(found.double(), expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("function", ["nll", "kl"])
def test_gradients_are_those_of_the_distribution(function):
    def gradients(use_reference):
        loc, scale = grid(torch.float64, requires_grad=True)
        if function == "nll":
            value = torch.full_like(loc, 0.4)
            total = (
                -reference(loc, scale).log_prob(value)
                if use_reference
                else latent_nll(loc, scale, value)
            )
        else:
            total = (
                kl_divergence(reference(loc, scale), Uniform(0.0, 1.0, validate_args=False))
                if use_reference
                else kl_to_uniform(loc, scale)
            )
        return torch.autograd.grad(total.sum(), (loc, scale))

    for found, expected in zip(gradients(False), gradients(True), strict=True):
        assert_close(found, expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_draws_have_the_moments_of_the_distribution(dtype):
    loc, scale = grid(dtype)
    n = 100_000
    draws = sample_latents(loc, scale, n, generator())
    assert draws.shape == (n, *loc.shape)
    assert draws.dtype == dtype
    assert draws.min() >= 0
    assert draws.max() <= 1
    expected = reference(loc, scale)
    error = (draws.double().mean(0) - expected.mean) / (expected.stddev / math.sqrt(n))
    assert error.abs().max() < 5
    assert_close(draws.double().std(0), expected.stddev, rtol=0.02, atol=0)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_gradient_of_draws(dtype):
    """Of the mean of many draws, against finite differences of the mean of the distribution."""
    loc, scale = grid(dtype, requires_grad=True)
    draws = sample_latents(loc, scale, 20_000, generator())
    found = torch.autograd.grad(draws.mean(0).sum(), (loc, scale))
    loc, scale = (x.detach().double() for x in (loc, scale))
    step = 1e-4 * scale
    by_loc = reference(loc + step, scale).mean - reference(loc - step, scale).mean
    by_scale = reference(loc, scale + step).mean - reference(loc, scale - step).mean
    for one, other in zip(found, (by_loc, by_scale), strict=True):
        assert_close(one.double(), other / (2 * step), rtol=0, atol=0.03)


def test_same_draws_in_a_graph_and_without():
    loc, scale = grid(torch.float32, requires_grad=True)
    one = sample_latents(loc, scale, 10, generator(1))
    other = sample_latents(loc.detach(), scale.detach(), 10, generator(1))
    assert torch.equal(one, other)
    assert not torch.equal(one, sample_latents(loc, scale, 10, generator(2)))


def test_draws_leave_the_global_generator():
    before = torch.get_rng_state()
    sample_latents(*grid(torch.float32), 3, generator())
    assert torch.equal(torch.get_rng_state(), before)

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest
from torch.testing import assert_close

from sklearn_sits.nn.ordered import dependence, in_order, sample_dependent
from sklearn_sits.physics import TruncatedNormal


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def covariance(n=4, k=3, seed=0):
    root = torch.randn(n, k, k, generator=generator(seed), dtype=torch.float64)
    return root @ root.mT + 0.1 * torch.eye(k, dtype=torch.float64)


@given(seed=st.integers(0, 2**63 - 1))
def test_in_order(seed):
    values = torch.rand(7, 5, 6, generator=generator(seed))
    found = in_order(values, (2, 4))
    assert (found[..., 1] >= found[..., 0]).all()
    assert (found[..., 2:].diff(dim=-1) >= 0).all()
    assert (found >= values).all()
    assert torch.equal(in_order(found, (2, 4)), found)
    ascending = torch.cat([values[..., :2].sort(-1).values, values[..., 2:].sort(-1).values], -1)
    assert torch.equal(in_order(ascending, (2, 4)), ascending)


def test_dependence_is_that_of_the_covariance():
    matrix = covariance()
    factor = dependence(matrix)
    assert torch.equal(factor, factor.tril())
    std = matrix.diagonal(dim1=1, dim2=2).sqrt()
    expected = matrix / std[:, None] / std[:, :, None]
    assert_close(factor @ factor.mT, expected, atol=2e-5, rtol=0)
    scaled = matrix * torch.tensor([1.0, 1e-3, 1e3], dtype=torch.float64)
    scaled = scaled * torch.tensor([1.0, 1e-3, 1e3], dtype=torch.float64)[:, None]
    assert_close(dependence(scaled), factor)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_parallel_latents_have_a_factor(dtype):
    direction = torch.tensor([[1.0, -2.0, 0.5]], dtype=dtype)
    matrix = direction.mT @ direction + 1e-9 * torch.eye(3, dtype=dtype)
    assert dependence(matrix[None]).isfinite().all()


def test_draws_keep_their_distributions_and_depend_on_each_other():
    loc = torch.tensor([[0.0, 0.3, 0.98]], dtype=torch.float64)
    scale = torch.tensor([[0.1, 0.02, 1.4]], dtype=torch.float64)
    matrix = torch.tensor([[[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    noise = torch.randn(20_000, 1, 3, generator=generator(), dtype=torch.float64)
    draws = sample_dependent(loc, scale, dependence(matrix.double()), noise)
    assert draws.shape == (20_000, 1, 3)
    marginal = TruncatedNormal(loc, scale, 0.0, 1.0)
    for j in range(3):
        share = marginal.cdf(draws)[:, 0, j]
        assert kstest(share.numpy(), "uniform").pvalue > 1e-3
    ranks = draws[:, 0].argsort(0).argsort(0).double().T.corrcoef()
    assert ranks[0, 1] == pytest.approx(0.89, abs=0.02)
    assert abs(ranks[0, 2]) < 0.03


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_draws_are_within_bounds(dtype):
    grid = torch.cartesian_prod(
        torch.tensor([0.0, 1e-6, 0.5, 1.0]), torch.tensor([5e-4, 0.1, 1.4])
    ).to(dtype)
    loc, scale = grid[:, :1].clone().requires_grad_(), grid[:, 1:].clone().requires_grad_()
    noise = torch.tensor([-40.0, -8, 0, 8, 40], dtype=dtype)[:, None, None].expand(5, 12, 1)
    draws = sample_dependent(loc, scale, torch.ones(12, 1, 1, dtype=dtype), noise)
    assert draws.dtype == dtype
    assert ((draws >= 0) & (draws <= 1)).all()
    assert (draws.diff(dim=0) >= 0).all()
    draws.sum().backward()
    assert loc.grad.isfinite().all()
    assert scale.grad.isfinite().all()

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.special import expn
from torch.autograd import gradgradcheck

from sklearn_sits.physics.special import exp1, exp3

# Dense around the point where two approximations meet, for x and for what rounds to it.
GRID = np.concatenate([np.geomspace(1e-30, 80, 20_000), np.linspace(1.9, 2.1, 2001)])


def points(dtype, stop):
    return torch.tensor(GRID[GRID < stop], dtype=dtype, requires_grad=True)


# In float32, log(x) and Euler's constant cancel just below the split.
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 5e-6), (torch.float64, 1e-12)])
def test_exp1(dtype, rtol):
    x = points(dtype, 20)
    value = exp1(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    at = x.detach().double().numpy()
    assert value.dtype == dtype
    assert_allclose(value.detach(), expn(1, at), rtol=rtol)
    assert_allclose(slope, -np.exp(-at) / at, rtol=4 * torch.finfo(dtype).eps)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-6), (torch.float64, 5e-14)])
def test_exp3(dtype, atol):
    x = points(dtype, np.inf)
    value = exp3(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    at = x.detach().double().numpy()
    assert value.dtype == dtype
    assert_allclose(value.detach(), expn(3, at), rtol=0, atol=atol)
    assert_allclose(slope, -expn(2, at), rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_limits(dtype):
    x = torch.tensor([0.0, 600.0, 1e30], dtype=dtype, requires_grad=True)
    value = exp3(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert_allclose(value.detach(), [0.5, 0, 0], rtol=1e-6, atol=1e-30)
    assert_allclose(slope, [-1, 0, 0], rtol=1e-6, atol=1e-30)
    assert_allclose(exp1(x).detach(), [np.inf, 0, 0], atol=1e-30)


@pytest.mark.parametrize("function", [exp1, exp3])
def test_undefined_below_zero(function):
    value = function(torch.tensor([-1e-3, -1.0, -50.0, 1.0]))
    assert value.isnan().tolist() == [True, True, True, False]


@pytest.mark.parametrize("function", [exp1, exp3])
def test_nan(function):
    assert function(torch.tensor([float("nan"), 1.0])).isnan().tolist() == [True, False]


def test_second_derivative():
    assert gradgradcheck(exp1, torch.tensor([0.3, 1.7, 4.0]).double().requires_grad_())

import pytest
import torch
from torch.testing import assert_close

from sklearn_sits.nn.standardisation import FAR, Standardisation


def make_fitted(x, weight=None):
    module = Standardisation(x.shape[1]).to(x.dtype)
    module.reset(x, torch.ones(len(x)) if weight is None else weight)
    return module


def make_features(n=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return x * torch.tensor([1e-3, 1.0, 1e5]) + torch.tensor([17_500.0, 0.0, -3.0])


def test_mean_zero_and_variance_one():
    x = make_features()
    z = make_fitted(x)(x)
    assert_close(z.mean(0), torch.zeros(3).double(), rtol=0, atol=1e-8)
    assert_close(z.std(0, correction=0), torch.ones(3).double(), rtol=1e-8, atol=0)


def test_weight_of_two_is_a_repetition():
    x, weight = make_features(), torch.ones(200)
    weight[:50] = 2
    one, other = make_fitted(x, weight), make_fitted(torch.cat([x, x[:50]]))
    assert_close(one.mean, other.mean)
    assert_close(one.scale, other.scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, 1234.567, 1e30])
def test_constant_feature(dtype, value):
    x = torch.full((33, 1), value, dtype=dtype)
    module = make_fitted(x)
    assert module.scale >= 1
    assert (module.scale == 1) == (value < 1e6)
    assert_close(module(x), torch.zeros_like(x), rtol=0, atol=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_huge_numbers(dtype):
    largest = torch.finfo(dtype).max
    x = torch.tensor([[-0.9 * largest], [0.9 * largest]], dtype=dtype)
    module = make_fitted(x)
    assert_close(module(x), torch.tensor([[-1.0], [1.0]], dtype=dtype))
    assert make_fitted(x / largest)(x).tolist() == [[-FAR], [FAR]]

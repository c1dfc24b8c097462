import math

import pytest
import torch
from torch.testing import assert_close

from sklearn_sits.nn.reconstruction import reconstruction_nll


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reconstruction_nll(dtype):
    samples = torch.rand(6, 5, 3, generator=generator(), dtype=dtype)
    target = torch.rand(5, 3, generator=generator(1), dtype=dtype)
    found = reconstruction_nll(samples, target)
    for i in range(5):
        for j in range(3):
            draws = samples[:, i, j].double()
            mean = draws.sum() / 6
            variance = ((draws - mean) ** 2).sum() / 5 + 1e-6
            square = (target[i, j].double() - mean) ** 2
            expected = 0.5 * (square / variance + torch.log(variance))
            assert_close(found[i, j].double(), expected, rtol=1e-4, atol=1e-4)


def test_reconstruction_nll_of_equal_samples_is_finite():
    samples = torch.full((4, 2, 3), 0.2, requires_grad=True)
    nll = reconstruction_nll(samples, torch.full((2, 3), 0.3))
    assert_close(nll, torch.full((2, 3), 0.5 * (1e-2 / 1e-6 + math.log(1e-6))))
    nll.sum().backward()
    assert samples.grad.isfinite().all()


def test_missing_targets():
    samples = torch.rand(6, 5, 3, generator=generator()).requires_grad_()
    target = torch.rand(5, 3, generator=generator(1))
    expected = reconstruction_nll(samples, target)
    target[1] = torch.nan
    target[3, 2] = torch.nan
    seen = ~target.isnan()
    nll = reconstruction_nll(samples, target)
    assert (nll[~seen] == 0).all()
    assert_close(nll[seen], expected[seen])
    nll.sum().backward()
    assert (samples.grad[:, ~seen] == 0).all()
    assert (samples.grad[:, seen] != 0).all()
    assert samples.grad.isfinite().all()

import numpy as np
import pytest
import torch
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct
from torch.testing import assert_close

from sklearn_sits.nn.kernels import RepresentationKernel, SeriesKernel

KERNELS = [RepresentationKernel, SeriesKernel]


def make_features(n=50, d=6, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fit(cls, z):
    kernel = cls(z.shape[1]).double()
    kernel.reset(z)
    return kernel


def median_distance(z):
    distances = torch.cdist(z, z)
    return float(distances[np.triu_indices(len(z), 1)].median())


def test_kernel_of_representations_is_that_of_scikit_learn():
    z = make_features()
    length = median_distance(z)
    expected = (
        ConstantKernel(10.0) * RBF(length)
        + ConstantKernel(10.0) * RBF(length / 2)
        + ConstantKernel(5.0 / float(z.square().sum(1).mean())) * DotProduct(0.0)
    )
    found = fit(RepresentationKernel, z)(z, z[:7])
    assert_close(found, torch.from_numpy(expected(z.numpy(), z[:7].numpy())), rtol=1e-9, atol=1e-9)


def test_kernel_of_series_is_that_of_scikit_learn_on_soft_steps():
    z = 3.0 + 2.0 * make_features()
    white = (z - z.mean(0)) / z.std(0, correction=0)
    steps = torch.cat([torch.tanh(2 * (white + 0.6)), torch.tanh(2 * (white - 0.6))], dim=1)
    expected = ConstantKernel(20.0) * RBF(median_distance(steps) / np.sqrt(2))
    found = fit(SeriesKernel, z)(z, z[:7])
    expected = expected(steps.numpy(), steps[:7].numpy())
    assert_close(found, torch.from_numpy(expected), rtol=1e-9, atol=1e-9)


def test_extreme_values_of_series_count_once():
    z = make_features()
    kernel = fit(SeriesKernel, z)
    far, farther = z[:1].clone(), z[:1].clone()
    far[0, 0], farther[0, 0] = 100.0, 1e6
    assert_close(kernel(far, z), kernel(farther, z))
    assert kernel(far, z[:1]) > 0.5 * kernel(z[:1], z[:1])


@pytest.mark.parametrize("cls", KERNELS)
def test_covariance(cls):
    z = make_features()
    covariance = fit(cls, z)(z, z)
    assert_close(covariance, covariance.T)
    assert torch.linalg.eigvalsh(covariance).min() > -1e-9
    assert covariance.std() > 0.1


@pytest.mark.parametrize("cls", KERNELS)
@pytest.mark.parametrize("n", [1, 5])
def test_equal_rows(cls, n):
    z = torch.full((n, 4), 0.1, dtype=torch.float64)
    covariance = fit(cls, z)(z, z)
    assert_close(covariance, covariance[:1, :1].expand(n, n))
    assert covariance.isfinite().all()


def test_constant_values_of_series_are_not_magnified():
    z = make_features()
    with_constant = torch.cat([z, torch.full((50, 1), 7.0).double()], dim=1)
    with_constant[::2, -1] += 1e-12
    found = fit(SeriesKernel, with_constant)(with_constant, with_constant)
    assert_close(found, fit(SeriesKernel, z)(z, z))

import pytest
import torch
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct
from torch.testing import assert_close

from sklearn_sits.nn.kernel_head import KernelHead


def make_data(n=60, d=5, n_classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % n_classes
    centres = 1.5 * torch.randn(n_classes, d, generator=generator)
    z = centres[labels] + torch.randn(n, d, generator=generator)
    return z.double(), labels, torch.ones(n, dtype=torch.float64)


def fit(z, labels, weight, n_inducing=None, seed=0):
    n_classes = int(labels.max()) + 1
    head = KernelHead(z.shape[1], n_classes, n_inducing or len(z)).double()
    head.reset(z, labels, weight, torch.Generator().manual_seed(seed))
    return head


def test_kernel_is_that_of_scikit_learn():
    z, *rest = make_data()
    head = fit(z, *rest)
    length = float(head.lengthscale)
    kernel = (
        ConstantKernel(10.0) * RBF(length)
        + ConstantKernel(10.0) * RBF(length / 2)
        + ConstantKernel(5.0 / float(z.square().sum(1).mean())) * DotProduct(0.0)
    )
    expected = torch.from_numpy(kernel(z.numpy(), z[:7].numpy()))
    assert_close(head._kernel(z, z[:7]), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_mode_with_all_series_as_inducing_points(weighted):
    """At the mode, the coefficients are the weighted residuals of the labels."""
    z, labels, weight = make_data()
    if weighted:
        weight = torch.linspace(0.5, 2, len(z), dtype=torch.float64)
    head = fit(z, labels, weight)
    points = head.inducing_points
    order = torch.cdist(points, z).argmin(1)
    target = torch.nn.functional.one_hot(labels, 3)[order].double()
    residual = weight[order, None] * (target - head.predict_proba(points))
    assert_close(head.coefficients.T, residual, rtol=0, atol=2e-3)
    assert residual.abs().max() > 0.05


def test_subset_of_inducing_points_approximates_the_full_process():
    z, labels, weight = make_data(n=300)
    full, sparse = fit(z, labels, weight), fit(z, labels, weight, n_inducing=100)
    assert (full.predict_proba(z) - sparse.predict_proba(z)).abs().mean() < 0.05


def test_weight_of_two_is_a_repetition():
    z, labels, weight = make_data()
    weight[::2] = 2.0
    one = fit(z, labels, weight)
    head = KernelHead(z.shape[1], 3, len(z)).double()
    head.load_state_dict(one.state_dict())
    twice = torch.cat([z, z[::2]]), torch.cat([labels, labels[::2]])
    loss = (weight * one.nll(z, labels)).sum()
    assert_close(loss, head.nll(*twice).sum())


def test_predictions():
    z, labels, weight = make_data()
    head = fit(z, labels, weight)
    proba = head.predict_proba(z)
    assert_close(proba.sum(1), torch.ones(len(z)).double())
    assert (proba.argmax(1) == labels).double().mean() > 0.9
    mean, std = head.latent(z)
    assert_close(mean.softmax(1), proba)
    assert not std.any()
    assert_close(head.nll(z, labels), -head.predict_log_proba(z)[torch.arange(len(z)), labels])
    assert not list(head.parameters())


def test_far_series_have_the_linear_part_only():
    z, labels, weight = make_data()
    head = fit(z, labels, weight)
    far = 1e3 * torch.ones(1, z.shape[1], dtype=torch.float64)
    slope = 5.0 / head.square_norm * head.coefficients @ head.inducing_points
    assert_close(head.latent(far)[0], far @ slope.T + head.intercept)


@pytest.mark.parametrize("n", [1, 3])
def test_equal_series(n):
    z = torch.ones(n, 4, dtype=torch.float64)
    labels = torch.arange(n)
    head = fit(z, labels, torch.ones(n, dtype=torch.float64))
    assert_close(head.predict_proba(z), torch.full((n, n), 1 / n).double(), rtol=0, atol=1e-6)

import pytest
import torch
from torch.testing import assert_close

from sklearn_sits.nn.kernel_head import KernelHead
from sklearn_sits.nn.kernels import RepresentationKernel, SeriesKernel


def make_data(n=60, d=5, n_classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % n_classes
    centres = 1.5 * torch.randn(n_classes, d, generator=generator)
    z = centres[labels] + torch.randn(n, d, generator=generator)
    return z.double(), labels, torch.ones(n, dtype=torch.float64)


def fit(z, labels, weight, n_inducing=None, seed=0):
    n_classes = int(labels.max()) + 1
    kernel = RepresentationKernel(z.shape[1])
    head = KernelHead(kernel, z.shape[1], n_classes, n_inducing or len(z)).double()
    head.reset(z, labels, weight, torch.Generator().manual_seed(seed))
    return head


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
    head = KernelHead(RepresentationKernel(5), z.shape[1], 3, len(z)).double()
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
    slope = 5.0 / head.kernel.square_norm * head.coefficients @ head.inducing_points
    assert_close(head.latent(far)[0], far @ slope.T + head.intercept)


@pytest.mark.parametrize("n", [1, 3])
def test_equal_series(n):
    z = torch.ones(n, 4, dtype=torch.float64)
    labels = torch.arange(n)
    head = fit(z, labels, torch.ones(n, dtype=torch.float64))
    assert_close(head.predict_proba(z), torch.full((n, n), 1 / n).double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kernel", [RepresentationKernel, SeriesKernel])
def test_held_out_likelihood_is_that_of_a_fit_to_the_other_folds(kernel):
    z, labels, weight = make_data()
    weight[::3] = 2.0
    fold = torch.arange(60) % 5
    head = KernelHead(kernel(5), 5, 3, 60).double()
    head.reset(z, labels, weight, torch.Generator().manual_seed(0))
    found = head.held_out_log_likelihood(z, labels, weight, fold)
    # A weight of zero takes a series out, with the same kernel and inducing points.
    held_out = fold == 2
    head.reset(z, labels, torch.where(held_out, 0.0, weight), torch.Generator().manual_seed(0))
    assert_close(found[held_out], -head.nll(z, labels)[held_out], rtol=0, atol=2e-3)
    assert (found < 0).all()
    assert found.std() > 0.1

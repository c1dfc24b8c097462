import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch.testing import assert_close

from sklearn_sits.nn.probabilities import sum_to_one


def make_probabilities(n_classes, n=2000):
    """Float32 probabilities from uniform to certain ones."""
    generator = torch.Generator().manual_seed(n_classes)
    size = torch.logspace(-2, 1.5, n)[:, None]
    probabilities = (size * torch.randn(n, n_classes, generator=generator)).softmax(1)
    # What is left to one lies around the spacing of float32.
    rest = 2e-7 * torch.rand(n, 1, generator=generator)
    others = torch.rand(n, n_classes - 1, generator=generator)
    certain = torch.cat([1 - rest, others / others.sum(1, keepdim=True) * rest], dim=1)
    return torch.cat([probabilities, certain])


@pytest.mark.parametrize("n_classes", [2, 3, 4, 5, 7, 10, 30, 200])
def test_metrics_take_the_sum_for_one(n_classes):
    probabilities = make_probabilities(n_classes)
    found = sum_to_one(probabilities)
    assert found.dtype == torch.float32
    double = found.double().numpy()
    assert np.abs(double.sum(axis=1) - 1).max() < 1.5e-8
    labels = np.arange(len(double)) % n_classes
    # The rounding of float32 is refused.
    with pytest.warns(UserWarning, match="do not sum to one"):
        log_loss(labels, probabilities.double().numpy())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log_loss(labels, double)


@pytest.mark.parametrize("n_classes", [2, 3, 10, 200])
def test_changes_are_those_of_rounding(n_classes):
    probabilities = make_probabilities(n_classes)
    found = sum_to_one(probabilities)
    assert_close(found, probabilities, rtol=0, atol=5e-7)
    assert (found[probabilities > 1e-37] > 0).all()
    common = probabilities > 1e-3
    assert_close(found[common], probabilities[common], rtol=1e-4, atol=0)


def test_double_precision_and_certainty():
    probabilities = make_probabilities(5).double()
    assert_close(sum_to_one(probabilities).sum(1), torch.ones(4000).double(), rtol=0, atol=1e-15)
    certain = torch.tensor([[0.0, 1.0], [1.0, 1e-30]])
    assert_close(sum_to_one(certain), certain, rtol=0, atol=1e-29)

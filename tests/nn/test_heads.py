import numpy as np
import pytest
import torch
from torch.testing import assert_close

from sklearn_sits.nn import heads
from sklearn_sits.nn.heads import MLPHead, SVGPHead
from sklearn_sits.nn.layers import set_generator


def make_data(n=80, d=4, n_classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % n_classes
    centres = 1.5 * torch.randn(n_classes, d, generator=generator)
    z = centres[labels] + torch.randn(n, d, generator=generator)
    return z.double(), labels


def make_head(z, labels, *, n_inducing=10, n_classes=3, seed=0, mixed=True, **kwargs):
    generator = torch.Generator().manual_seed(seed)
    head = SVGPHead(z.shape[1], n_classes, n_inducing, **kwargs).double()
    weight = torch.ones(len(z), dtype=torch.float64)
    scale = torch.full((z.shape[1],), 2.0, dtype=torch.float64)
    head.reset(z, labels, weight, generator, z[:n_inducing], scale)
    if mixed:
        with torch.no_grad():
            noise = torch.randn(head.mixing.shape, generator=generator)
            head.mixing.add_(0.3 * noise)
    return head


def sampled_probabilities(head, z, n_draws, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mean, variance = head.gp(z)
    total = torch.zeros(len(z), len(head.mixing), dtype=torch.float64)
    for _ in range(n_draws // 1000):
        draws = torch.randn((1000, *mean.shape), generator=generator, dtype=torch.float64)
        f = torch.matmul(head.mixing, mean + variance.sqrt() * draws)
        total += f.softmax(1).sum(0).T
    return total / n_draws


@pytest.mark.parametrize("n_classes", [2, 3, 8])
def test_probabilities_are_those_of_many_draws(n_classes):
    z, labels = make_data(n_classes=n_classes)
    head = make_head(z, labels, n_classes=n_classes)
    with torch.no_grad():
        found = head.predict_proba(z[:20])
        expected = sampled_probabilities(head, z[:20], 100_000)
    assert_close(found.sum(1), torch.ones(20).double())
    assert_close(found, expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("n_values", [1, 500, 2**17])
@pytest.mark.parametrize("size", [1.0, 100.0])
def test_probabilities_of_parts_of_the_draws(n_values, size, monkeypatch):
    """Small and large latent values."""
    monkeypatch.setattr(heads, "_DRAWN_VALUES", n_values)
    z, labels = make_data()
    head = make_head(z, labels)
    with torch.no_grad():
        head.mixing.mul_(size)
        mean, variance = head.gp(z)
        latent = mean + variance.sqrt() * head.base_draws[..., None]
        expected = (head.mixing @ latent).softmax(1).mean(0).T
        assert_close(head.predict_proba(z), expected, rtol=1e-12, atol=1e-14)


def test_probabilities_do_not_depend_on_the_batch():
    z, labels = make_data()
    head = make_head(z, labels)
    with torch.no_grad():
        together = head.predict_proba(z)
        # As many series as classes or draws must not be taken for these.
        for n in (1, 2, 3, 4, 10):
            assert_close(head.predict_proba(z[:n]), together[:n], rtol=1e-12, atol=1e-12)
            for one, all_ in zip(head.latent(z[:n]), head.latent(z), strict=True):
                assert_close(one, all_[:n], rtol=1e-12, atol=1e-12)


def test_latent_functions_are_the_mixed_processes():
    z, labels = make_data()
    head = make_head(z, labels)
    with torch.no_grad():
        mean, std = head.latent(z[:5])
        own_mean, own_variance = head.gp(z[:5])
        draws = torch.randn(200_000, 3, 5, generator=torch.Generator().manual_seed(0)).double()
        f = torch.matmul(head.mixing, own_mean + own_variance.sqrt() * draws)
    assert_close(mean, f.mean(0).T, rtol=0, atol=0.02)
    assert_close(std, f.std(0).T, rtol=0.01, atol=0)


def test_expected_log_likelihood_converges():
    z, labels = make_data(n=12)
    head = make_head(z, labels, n_draws=200_000)
    head.generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        found = head.nll(z, labels)
        mean, variance = head.gp(z)
        # Three-dimensional Gauss-Hermite quadrature.
        nodes, weights = np.polynomial.hermite_e.hermegauss(20)
        grid = torch.from_numpy(np.stack(np.meshgrid(nodes, nodes, nodes), -1).reshape(-1, 3))
        weight = torch.from_numpy(
            (weights[:, None, None] * weights[:, None] * weights).ravel() / weights.sum() ** 3
        )
        f = torch.matmul(head.mixing, mean + variance.sqrt() * grid[..., None])
        own = f.log_softmax(1)[:, labels, torch.arange(12)]
    assert_close(found, -(weight @ own), rtol=0, atol=0.01)


def test_draws_of_a_step_are_unbiased_and_shared():
    z, labels = make_data(n=12)
    head = make_head(z, labels, n_draws=4)
    head.generator = torch.Generator().manual_seed(0)
    twice, twice_labels = torch.cat([z, z]), torch.cat([labels, labels])
    with torch.no_grad():
        few = torch.stack([head.nll(z, labels) for _ in range(2000)]).mean(0)
        head.n_draws = 100_000
        assert_close(few, head.nll(z, labels), rtol=0.02, atol=0.02)
        head.n_draws = 4
        both = head.nll(twice, twice_labels)
    assert_close(both[:12], both[12:], rtol=1e-12, atol=1e-12)


def test_evidence_lower_bound_rises():
    z, labels = make_data()
    head = make_head(z, labels, mixed=False)
    head.generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    bounds = []
    for _ in range(100):
        loss = head.nll(z, labels).sum() + head.kl()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bounds.append(-loss.item())
    assert np.mean(bounds[-10:]) > np.mean(bounds[:10]) + 1
    with torch.no_grad():
        assert (head.predict_proba(z).argmax(1) == labels).double().mean() > 0.8


def test_class_of_weight_zero_and_one_draw_of_many():
    z, labels = make_data()
    labels = labels.clamp_max(1)
    head = make_head(z, labels, n_predictive=1)
    assert head.predict_proba(z).isfinite().all()


def test_base_draws_are_normal():
    z, labels = make_data()
    draws = make_head(z, labels).base_draws
    assert draws.isfinite().all()
    assert_close(draws.mean(0), torch.zeros(3).double(), rtol=0, atol=0.05)
    assert_close(draws.std(0), torch.ones(3).double(), rtol=0, atol=0.1)


def test_perceptron():
    z, labels = make_data()
    head = MLPHead(4, 3, dropout=0.5).double()
    head.reset(z, labels, torch.ones(len(z)), torch.Generator().manual_seed(0))
    assert head.kl() == 0.0
    head.eval()
    logits = head.linear(z * torch.sigmoid(z))
    assert_close(head.predict_proba(z), logits.softmax(1))
    own = -logits.log_softmax(1)[torch.arange(len(z)), labels]
    assert_close(head.nll(z, labels), own)
    head.train()
    set_generator(head, torch.Generator().manual_seed(0))
    assert not torch.equal(head.nll(z, labels), own)

import math

import pytest
import torch
from torch.testing import assert_close

from sklearn_sits.nn.latents import latent_moments, latent_nll
from sklearn_sits.nn.refinement import RefinedEncoder


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Curve:
    """Two latents seen through a sine of known amplitude, at dates of its own per series."""

    def __init__(self, n, seed=0, noise=0.02):
        g = generator(seed)
        self.latents = 0.1 + 0.8 * torch.rand(n, 2, generator=g)
        self.days = torch.rand(n, 15, generator=g)
        clean, _ = self.linearised(self.latents)
        self.values = clean + noise * torch.randn(clean.shape, generator=g)
        self.inputs = torch.stack(
            [
                (self.values * weight).mean(1)
                for weight in (1, self.days, torch.sin(6 * self.days), torch.cos(6 * self.days))
            ],
            dim=1,
        )

    def linearised(self, latents):
        phase, level = latents[:, :1], latents[:, 1:]
        angle = 2 * math.pi * (self.days - phase / 2)
        derivatives = [-math.pi * torch.cos(angle), torch.ones_like(angle)]
        return level + torch.sin(angle), torch.stack(derivatives, dim=1)

    def normal_equations(self, latents):
        found, jacobian = self.linearised(latents)
        residual = self.values - found
        return (
            latents,
            residual.square().sum(1, keepdim=True),
            (jacobian @ residual.unsqueeze(-1)).squeeze(-1),
            jacobian @ jacobian.mT,
            torch.full((len(latents), 1), 15.0),
        )


def train(n_steps=300):
    encoder = RefinedEncoder(4, 2, n_hidden=16, n_blocks=1)
    encoder.reset(Curve(500).inputs, generator())
    optimiser = torch.optim.Adam(encoder.parameters(), 5e-3)
    for step in range(n_steps):
        batch = Curve(200, seed=step + 1)
        found = encoder(batch.inputs, batch.normal_equations)
        loss = latent_nll(found.loc, found.scale, batch.latents).sum(1).mean()
        loss = loss + latent_nll(found.first_loc, found.first_scale, batch.latents).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return encoder.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def trained():
    return train()


def test_the_model_corrects_the_first_network(trained):
    test = Curve(1000, seed=10_000)
    found = trained(test.inputs, test.normal_equations)
    error = [
        (latent_moments(*pair)[0] - test.latents).square().mean(0).sqrt()
        for pair in ((found.first_loc, found.first_scale), (found.loc, found.scale))
    ]
    assert (error[1] < 0.5 * error[0]).all()
    mean, std = latent_moments(found.loc, found.scale)
    inside = ((mean - test.latents).abs() < 1.96 * std).double().mean(0)
    assert (inside > 0.9).all()
    assert (inside < 0.99).all()


def test_rows_do_not_depend_on_one_another(trained):
    test = Curve(50, seed=3)
    whole = trained(test.inputs, test.normal_equations)
    alone = Curve(50, seed=3)
    for name in ("latents", "days", "values", "inputs"):
        setattr(alone, name, getattr(alone, name)[7:8])
    found = trained(alone.inputs, alone.normal_equations)
    for one, other in zip(found, whole, strict=True):
        assert_close(one, other[7:8], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_bounds_of_any_input(trained, scale):
    test = Curve(50, seed=4)
    test.values = scale * test.values
    found = trained(scale * test.inputs, test.normal_equations)
    for part in found:
        assert part.isfinite().all()
    assert ((found.loc >= 0) & (found.loc <= 1)).all()
    assert ((found.scale >= 5e-4 * 0.999) & (found.scale <= 1.4 * 1.001)).all()
    assert (torch.linalg.eigvalsh(found.covariance) > 0).all()


def test_gradients_reach_both_networks_but_not_through_the_model():
    encoder = RefinedEncoder(4, 2, n_hidden=8, n_blocks=1)
    batch = Curve(20)
    encoder.reset(batch.inputs, generator())
    found = encoder(batch.inputs, batch.normal_equations)
    found.loc.sum().backward(retain_graph=True)
    assert all(p.grad is None for p in encoder.first.parameters())
    assert all(p.grad.isfinite().all() for p in encoder.second.parameters())
    found.first_loc.sum().backward()
    assert any((p.grad != 0).any() for p in encoder.first.parameters())


def test_reset_needs_no_global_generator():
    before = torch.get_rng_state()
    inputs = Curve(50).inputs
    one, two = RefinedEncoder(4, 2), RefinedEncoder(4, 2)
    for encoder in (one, two):
        encoder.reset(inputs, generator(1))
    for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(torch.get_rng_state(), before)

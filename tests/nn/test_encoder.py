import pytest
import torch
from torch.testing import assert_close

from sklearn_sits.nn.encoder import ResidualEncoder


def make_encoder(inputs, seed=0, **kwargs):
    encoder = ResidualEncoder(inputs.shape[1], 4, **kwargs)
    encoder.reset(inputs, torch.Generator().manual_seed(seed))
    return encoder


def make_inputs(n=500, seed=0):
    noise = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed))
    return noise * torch.tensor([1.0, 10.0, 0.01]) + torch.tensor([0.0, 100.0, -1.0])


@pytest.mark.parametrize("factor", [1.0, 1e3, 1e30])
def test_latents_are_within_their_bounds(factor):
    inputs = make_inputs()
    encoder = make_encoder(inputs)
    for dtype in (torch.float32, torch.float64):
        loc, scale = encoder.to(dtype)(factor * inputs.to(dtype))
        assert loc.shape == scale.shape == (500, 4)
        assert loc.dtype == scale.dtype == dtype
        assert loc.min() >= 0
        assert loc.max() <= 1
        assert scale.min() >= 5e-4 * (1 - 1e-6)
        assert scale.max() <= 1.4 * (1 + 1e-6)
    if factor == 1:
        assert (loc.std(0) > 0).all()
        assert (scale.std(0) > 0).all()


def test_reset_standardises_by_median_and_quantiles():
    inputs = make_inputs()
    encoder = make_encoder(inputs)
    assert_close(encoder.centre, inputs.quantile(0.5, dim=0))
    assert_close(encoder.input_range, inputs.quantile(0.95, dim=0) - inputs.quantile(0.05, dim=0))
    # So that the unit of an input does not matter.
    factor, offset = torch.tensor([2.0, 0.5, 128.0]), torch.tensor([0.0, 7.0, 1.0])
    other = make_encoder(inputs * factor + offset)
    for one, two in zip(encoder(inputs), other(inputs * factor + offset), strict=True):
        assert_close(one, two, rtol=1e-3, atol=1e-3)


def test_outliers_do_not_matter():
    inputs = make_inputs(1000)
    wild = inputs.clone()
    wild[:5] = 1e6
    assert_close(
        make_encoder(wild).input_range, make_encoder(inputs).input_range, rtol=0.05, atol=0
    )


@pytest.mark.parametrize("n", [1, 20])
def test_constant_inputs(n):
    inputs = torch.tensor([[0.3, -2.0, 0.0]]).repeat(n, 1)
    encoder = make_encoder(inputs)
    assert_close(encoder.input_range, torch.ones(3))
    out = torch.cat(encoder(inputs))
    assert out.isfinite().all()
    out.sum().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters())


@pytest.mark.parametrize(("n_hidden", "n_blocks"), [(1, 0), (7, 1), (32, 3)])
def test_equals_the_formula(n_hidden, n_blocks):
    inputs = make_inputs().double()
    encoder = make_encoder(inputs, n_hidden=n_hidden, n_blocks=n_blocks).double()
    state = encoder.state_dict()

    def layer(name, x):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    hidden = layer("first", (inputs - state["centre"]) / state["input_range"]).clamp(min=0)
    for i in range(n_blocks):
        inner = layer(f"blocks.{i}.0", hidden).clamp(min=0)
        hidden = (hidden + layer(f"blocks.{i}.1", inner)).clamp(min=0)
    out = layer("last", hidden)
    loc, scale = encoder(inputs)
    assert_close(loc, 1 / (1 + torch.exp(-out[:, :4])))
    share = 1 / (1 + torch.exp(-out[:, 4:]))
    assert_close(scale, 5e-4 ** (1 - share) * 1.4**share)


def test_leading_dimensions():
    inputs = make_inputs(12)
    encoder = make_encoder(inputs)
    for one, other in zip(encoder(inputs.reshape(3, 4, 3)), encoder(inputs), strict=True):
        assert_close(one.reshape(12, 4), other)


def test_weights_come_from_the_generator_only():
    inputs = make_inputs()
    before = torch.get_rng_state()
    one, same, other = (make_encoder(inputs, seed)(inputs)[0] for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)
    assert torch.equal(torch.get_rng_state(), before)

import math

import pytest
import torch
from torch.testing import assert_close

from sklearn_sits.nn.layers import Dropout, linear, reset_linear, set_generator


def test_layers_draw_from_their_generator_only():
    before = torch.get_rng_state()
    layer = linear(9, 5)
    reset_linear(layer, torch.Generator().manual_seed(0))
    twin = linear(9, 5)
    reset_linear(twin, torch.Generator().manual_seed(0))
    assert_close(layer.weight, twin.weight)
    bound = 1 / math.sqrt(9)
    assert layer.weight.abs().max() <= bound
    assert layer.weight.std() > 0.4 * bound
    assert layer.bias.abs().max() <= bound
    dropout = Dropout(0.5)
    set_generator(dropout, torch.Generator().manual_seed(0))
    dropout(torch.ones(10))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("p", [0.0, 0.2, 0.7])
def test_dropout(p):
    dropout = Dropout(p)
    set_generator(dropout, torch.Generator().manual_seed(0))
    x = torch.ones(100_000, dtype=torch.float64, requires_grad=True)
    out = dropout(x)
    kept = out != 0
    assert abs(float(kept.double().mean()) - (1 - p)) < 0.01
    assert_close(out[kept], torch.full_like(out[kept], 1 / (1 - p)))
    assert_close(torch.autograd.grad(out.sum(), x)[0], out.detach())
    dropout.eval()
    assert dropout(x) is x


def test_generator_reaches_every_layer():
    inner, outer = Dropout(0.1), Dropout(0.1)
    net = torch.nn.Sequential(torch.nn.Sequential(inner), torch.nn.ReLU(), outer)
    generator = torch.Generator()
    set_generator(net, generator)
    assert inner.generator is generator
    assert outer.generator is generator
    set_generator(net, None)
    assert inner.generator is None

import math

import torch
from torch.testing import assert_close

from sklearn_sits.nn.spatial_encoding import SpatialEncoding


def make_encoding(positions):
    encoding = SpatialEncoding(positions.shape[1], 3).double()
    encoding.reset(positions)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        encoding.linear.weight.copy_(torch.randn(3, 32, generator=generator))
        encoding.linear.bias.fill_(0.5)
    return encoding


def scene(n=30):
    positions = torch.rand(n, 2, generator=torch.Generator().manual_seed(1)).double()
    return positions * torch.tensor([2e4, 1e4]) + torch.tensor([5e5, 4.9e6])


def test_starts_at_zero():
    positions = scene()
    encoding = SpatialEncoding(2, 3).double()
    encoding.reset(positions)
    assert (encoding(positions) == 0).all()


def test_equals_the_formula():
    positions = scene()
    encoding = make_encoding(positions)
    scaled = (positions - positions.amin(0)) / (positions.amax(0) - positions.amin(0)).max()
    # Wavelengths from four times the extent to an eighth of it, in equal ratios.
    frequencies = [2 * math.pi / (4 * (1 / 32) ** (k / 7)) for k in range(8)]
    columns = [
        f(scaled[:, i] * w) for f in (torch.sin, torch.cos) for i in (0, 1) for w in frequencies
    ]
    expected = torch.stack(columns, 1) @ encoding.linear.weight.T + 0.5
    # The frequencies are computed in single precision.
    assert_close(encoding(positions), expected, rtol=1e-4, atol=1e-4)


def test_unknown_position_is_not_encoded():
    positions = scene()
    encoding = make_encoding(positions)
    expected = encoding(positions)
    positions[3, 0] = torch.nan
    out = encoding(positions)
    assert (out[3] == 0).all()
    keep = torch.arange(len(positions)) != 3
    assert_close(out[keep], expected[keep])
    out.sum().backward()
    assert encoding.linear.weight.grad.isfinite().all()


def test_units_and_origin_do_not_matter():
    positions = scene()
    one, other = make_encoding(positions), make_encoding((positions - 7e4) / 1000)
    assert_close(one(positions), other((positions - 7e4) / 1000), rtol=1e-8, atol=1e-8)


def test_degenerate_positions():
    for positions in (scene(1), scene()[:1].repeat(4, 1), torch.full((4, 2), torch.nan).double()):
        assert make_encoding(positions)(positions).isfinite().all()

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.autograd import gradcheck

from sklearn_sits.physics.quadrature import interpolation
from sklearn_sits.physics.soil import Soil
from sklearn_sits.physics.tables import load_tables

W = load_tables().wavelengths
AT = np.array([400, 655.5, 1610, 2500])
SAMPLING = interpolation(W, AT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mixture_of_a_dry_and_a_wet_soil(dtype):
    tables = load_tables()
    dryness, brightness = torch.tensor([[0.0, 1, 0.25], [1.2, 1, 0.5]], dtype=dtype)
    found = Soil(SAMPLING)(dryness, brightness)
    dry, wet = (np.interp(AT, W, soil) for soil in (tables.dry_soil, tables.wet_soil))
    assert found.dtype == dtype
    expected = [1.2 * wet, dry, 0.5 * (0.25 * dry + 0.75 * wet)]
    assert_allclose(found, expected, rtol=4 * torch.finfo(dtype).eps)
    assert (dry > wet).all()


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor, list, lambda x: x.astype(np.float32)])
def test_measured_spectrum(kind):
    spectrum = 0.1 + W / 1e4
    soil = Soil(SAMPLING, kind(spectrum))
    found = soil(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0]))
    assert found.dtype == torch.float32
    assert_allclose(found, [0.1 + AT / 1e4, 0.2 + AT / 5e3], rtol=1e-6)


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(1e-4))

    def forward(self, dryness, brightness, wavelengths):
        assert dryness.shape == brightness.shape == (5, 2, 1)
        assert wavelengths.shape == (4,)
        assert dryness.dtype == brightness.dtype == wavelengths.dtype
        return brightness * (dryness + self.slope * wavelengths)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_callable(dtype):
    soil = Soil(SAMPLING, line := Line().to(dtype))
    dryness, brightness = torch.rand(2, 5, 2, dtype=dtype)
    found = soil(dryness, brightness)
    expected = brightness[..., None] * (dryness[..., None] + 1e-4 * torch.tensor(AT))
    assert found.dtype == dtype
    assert_allclose(found.detach(), expected, rtol=1e-6)
    # A soil that is learned.
    assert list(soil.parameters()) == [line.slope]
    found.sum().backward()
    assert_allclose(line.slope.grad, brightness.sum() * AT.sum(), rtol=1e-5)


@pytest.mark.parametrize("spectrum", [None, np.full(2101, 0.3)])
def test_gradient(spectrum):
    soil = Soil(SAMPLING, spectrum)
    inputs = torch.rand(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    inputs.requires_grad_()
    assert gradcheck(lambda x: soil(*x), inputs)
    found = torch.autograd.grad(soil(*inputs).sum(), inputs)[0]
    # A spectrum of its own has no wetness.
    assert found[0].any() == (spectrum is None)


@pytest.mark.parametrize(
    ("spectrum", "message"),
    [
        (np.full(2100, 0.3), r"soil must have 2101 values.*400, 401, \.\.\., 2500.*\(2100,\)"),
        (np.full((2, 2101), 0.3), r"soil must have 2101 values.*\(2, 2101\)"),
        (0.3, r"soil must have 2101 values.*\(\)"),
        (np.where(W == 700, -0.01, 0.3), "soil must be finite and not negative"),
        (np.where(W == 700, np.nan, 0.3), "soil must be finite and not negative"),
        (np.where(W == 700, np.inf, 0.3), "soil must be finite and not negative"),
    ],
)
def test_bad_spectrum(spectrum, message):
    with pytest.raises(ValueError, match=message):
        Soil(SAMPLING, spectrum)

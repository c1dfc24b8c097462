import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from prosail import FourSAIL
from scipy.optimize import brentq
from torch.autograd import gradcheck
from torch.testing import assert_close

from sklearn_sits.physics.leaf_angles import CLASS_CENTRES, campbell, verhoef

TYPES = {
    "planophile": (1.0, 0.0),
    "erectophile": (-1.0, 0.0),
    "plagiophile": (0.0, -1.0),
    "extremophile": (0.0, 1.0),
    "spherical": (-0.35, -0.15),
    "uniform": (0.0, 0.0),
}
# Angle at which the ellipsoid is a sphere, 58.4351 degrees.
SPHERE = brentq(lambda a: np.polyval([-1.6184e-5, 2.1145e-3, -1.2390e-1, 3.2491], a), 50, 65)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 5e-6), (torch.float64, 1e-12)])
def test_campbell_equals_the_reference(dtype, atol):
    angles = np.concatenate([np.linspace(1, 89, 353), SPHERE + np.array([0.4, 1e-3, 0, -1e-2])])
    found = campbell(torch.tensor(angles, dtype=dtype))
    expected = np.array([FourSAIL.campbell(angle, 18) for angle in angles])
    assert found.dtype == dtype
    assert_allclose(found, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(st.floats(0, 90))
def test_campbell_is_a_distribution(dtype, angle):
    angle = torch.tensor(angle, dtype=dtype, requires_grad=True)
    shares = campbell(angle)
    weights = torch.arange(18.0).to(dtype)
    (gradient,) = torch.autograd.grad(shares @ weights, angle)
    assert shares.shape == (18,)
    assert shares.min() >= 0
    assert_close(shares.sum(), torch.ones((), dtype=dtype))
    # Steeper on average.
    assert gradient > 0


def test_campbell_mean_angle():
    angle = torch.arange(10.0, 81)
    mean = campbell(angle) @ torch.tensor(CLASS_CENTRES)
    assert_close(mean, angle, rtol=0, atol=1.5)


@pytest.mark.parametrize("angle", [0, 1e-3, 20, 58.4, SPHERE - 1e-4, SPHERE, 58.44, 58.6, 75, 90])
def test_campbell_gradient(angle):
    assert gradcheck(campbell, torch.tensor([angle, angle + 0.01]).double().requires_grad_())


def test_campbell_sphere():
    edges = np.cos(np.radians(np.arange(0, 95, 5)))
    for dtype, atol in [(torch.float32, 1e-6), (torch.float64, 1e-14)]:
        found = campbell(torch.tensor(SPHERE, dtype=dtype))
        assert_allclose(found, -np.diff(edges), rtol=0, atol=atol)


@pytest.mark.parametrize("name", TYPES)
def test_verhoef_equals_the_reference(name):
    a, b = TYPES[name]
    expected = FourSAIL.verhoef_bimodal(a, b, 18)
    # The reference stops at steps of 1e-8. The root of the plagiophile at 45 degrees is a triple
    # one: errors are the cube root of those of rounding.
    triple = name == "plagiophile"
    found = verhoef(torch.tensor(a).double(), torch.tensor(b).double())
    assert_allclose(found, expected, rtol=0, atol=1e-5 if triple else 1e-7)
    found = verhoef(torch.tensor(a), torch.tensor(b))
    assert found.dtype == torch.float32
    assert_allclose(found, expected, rtol=0, atol=1e-2 if triple else 2e-6)


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_verhoef_anywhere(a, b):
    a, b = (a + b) / 2, (a - b) / 2
    shares = verhoef(torch.tensor(a).double(), torch.tensor(b).double())
    assert shares.min() >= 0
    assert_allclose(shares.sum(), 1, rtol=1e-12)
    # A root that is nearly a triple one is found to 5e-6 only.
    assert_allclose(shares, FourSAIL.verhoef_bimodal(a, b, 18), rtol=0, atol=1e-5)


@given(st.floats(-0.95, 0.95), st.floats(-0.95, 0.95))
def test_verhoef_gradient(a, b):
    # Apart from the bounds, where slopes grow without limit.
    inputs = [torch.tensor(x).double().requires_grad_() for x in ((a + b) / 2, (a - b) / 2)]
    assert gradcheck(verhoef, inputs, atol=1e-4, rtol=1e-3)


def test_verhoef_shapes():
    a, b = torch.tensor([[0.1], [0.2]]), torch.tensor([0.0, -0.5, 0.3])
    assert verhoef(a, b).shape == (2, 3, 18)
    assert_close(verhoef(a, b)[1, 2], verhoef(a[1, 0], b[2]))


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.1), (-0.6, -0.6), (0.0, 1.01)])
def test_verhoef_refuses(a, b):
    with pytest.raises(ValueError, match=r"abs\(a\) \+ abs\(b\) <= 1"):
        verhoef(torch.tensor([0.0, a]), torch.tensor([0.0, b]))

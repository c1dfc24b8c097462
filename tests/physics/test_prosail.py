import copy
import itertools
import pickle
import shutil

import numpy as np
import prosail
import pytest
import torch
from canopies import CANOPY, DTYPES, HIGH, LOW, anywhere, canopy, directions, simulations
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch.autograd import gradcheck
from torch.func import jacrev, vmap
from torch.testing import assert_close

from sklearn_sits.physics import GEOMETRY, VARIABLES, Prosail
from sklearn_sits.physics.tables import load_tables

TABLES = load_tables()


# --- what must be so ------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_reciprocity(model, seed):
    variables, geometry = anywhere(20, seed=seed)
    swapped = model(variables, geometry[:, [1, 0, 2]])
    assert_allclose(swapped, model(variables, geometry), rtol=1e-10)


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_leaves_show_the_soil(model, dtype):
    found = model.spectrum(canopy(LAI=0, psoil=0.3, rsoil=2, dtype=dtype), directions())
    soil = 2 * (0.3 * TABLES.dry_soil + 0.7 * TABLES.wet_soil)
    assert_allclose(found[0], soil, rtol=8 * torch.finfo(dtype).eps)
    few = model.spectrum(canopy(LAI=1e-9, psoil=0.3, rsoil=2), directions())
    assert_allclose(few[0], soil, rtol=0, atol=1e-8)
    assert model.fapar(canopy(LAI=0, dtype=dtype), directions()).abs() < 1e-6
    assert model.fcover(canopy(LAI=0, dtype=dtype)) == 0


def test_dense_leaves_hide_the_soil(model):
    found = model.spectrum(canopy(2, LAI=15, rsoil=[0.0, 3.0]), directions())
    assert (found[0] - found[1])[:301].abs().max() < 1e-6
    sparse = model.spectrum(canopy(2, LAI=1, rsoil=[0.0, 3.0]), directions())
    assert (sparse[1] - sparse[0])[:301].min() > 0.05


@given(
    zenith=st.floats(0, 70),
    angle=st.floats(20, 80),
    structure=st.floats(1.2, 2.5),
    azimuth=st.floats(0, 360),
)
@settings(max_examples=20)
def test_monotone(model, zenith, angle, structure, azimuth):
    bands = model.sensor.bands
    geometry = directions(zenith, 5, azimuth)
    fixed = dict(N=structure, ALA=angle)

    def reflectance(band, **changed):
        return model(canopy(40, **(fixed | changed)), geometry)[:, bands.index(band)]

    red = reflectance("B4", Cab=torch.linspace(0, 120, 40))
    assert (red.diff() < 0).all()
    near_infrared = reflectance("B8", LAI=torch.linspace(0, 8, 40), psoil=0, rsoil=0.2)
    assert (near_infrared.diff() > 0).all()
    for band in ("B11", "B12"):
        assert (reflectance(band, Cw=torch.linspace(0, 0.1, 40)).diff() < 0).all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_fcover(model, seed):
    angle = np.random.default_rng(seed).uniform(0, 85)
    fcover = model.fcover(canopy(40, LAI=torch.linspace(0, 15, 40), ALA=angle))
    assert fcover[0] == 0
    assert (fcover.diff() > 0).all()
    assert fcover[-1] < 1 + 1e-12


@pytest.mark.parametrize("dtype", DTYPES)
def test_fcover_and_fapar_equal_the_reference(model, dtype):
    variables, geometry = simulations(100)
    geometry[:, 1] = 0
    expected = []
    for (*leaf_and_canopy, psoil, rsoil), angles in zip(
        variables.tolist(), geometry.tolist(), strict=True
    ):
        soil = rsoil * (psoil * TABLES.dry_soil + (1 - psoil) * TABLES.wet_soil)
        terms = prosail.run_prosail(
            *leaf_and_canopy, *angles, rsoil0=soil, prospect_version="D", factor="ALLALL"
        )
        tss, too, rdd, tsd, upwards = (terms[i] for i in (0, 1, 3, 6, 13))
        absorbed = 1 - upwards - (1 - soil) * (tss + tsd) / (1 - soil * rdd)
        expected.append((1 - too, absorbed[:301].mean()))
    fcover, fapar = np.transpose(expected)
    inputs = variables.to(dtype), geometry.to(dtype)
    assert_allclose(model.fcover(inputs[0]), fcover, rtol=0, atol=1e-6)
    # By twelve wavelengths.
    error = np.abs(model.fapar(*inputs).numpy() - fapar)
    assert error.mean() < 3e-4
    assert error.max() < 2e-3


@pytest.mark.parametrize("dtype", DTYPES)
def test_fapar_is_a_fraction(model, dtype):
    variables, geometry = anywhere(2000)
    # Soils that absorb.
    variables[:, -1] *= 0.8
    fapar = model.fapar(variables.to(dtype), geometry.to(dtype))
    assert fapar.shape == (2000,)
    assert fapar.min() >= -1e-6
    assert fapar.max() <= 1 + 1e-6
    lai = torch.linspace(0, 10, 30)
    assert (model.fapar(canopy(30, LAI=lai), directions()).diff() > 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_green_fractions(model, dtype):
    variables, geometry = (values.to(dtype) for values in anywhere(500))
    variables[:, -1] *= 0.8
    pairs = [
        (model.fapar(variables, geometry, green=True), model.fapar(variables, geometry)),
        (model.fcover(variables, green=True), model.fcover(variables)),
    ]
    for green, all_leaves in pairs:
        assert green.min() >= -1e-6
        assert (green <= all_leaves + 1e-6).all()
    # Withered leaves do not count, nor do those without any content.
    for contents in ({"Cab": 0, "Car": 0, "Cbrown": 1}, {"Cab": 0, "Car": 0, "Cbrown": 0, "Cm": 0}):
        withered = canopy(LAI=3, dtype=dtype, **contents)
        assert model.fapar(withered, directions(), green=True) == 0
        assert model.fcover(withered, green=True) == 0
    fresh = canopy(LAI=3, Cab=60, Cbrown=0, dtype=dtype)
    for function, inputs in ((model.fapar, (fresh, directions())), (model.fcover, (fresh,))):
        assert function(*inputs, green=True) > 0.9 * function(*inputs)


def test_hot_spot(model):
    steps = torch.linspace(-180, 180, 361)
    found = model(canopy(361), directions(30, 30, steps))
    assert (found.argmax(0) == 180).all()
    assert_close(found, found.flip(0))
    views = torch.linspace(0, 80, 161)
    found = model(canopy(161), directions(30, views, 0))
    assert (found.argmax(0) == 60).all()
    # The smaller the leaves, the narrower it is.
    found = model(canopy(4, hspot=[1e-3, 0.01, 0.1, 1]), directions(30, 25, 0))
    assert (found.diff(dim=0) > 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("quantity", ["bands", "fapar", "fcover"])
def test_every_corner_is_finite(quantity, dtype):
    # Nadir, no leaves, leaves without absorption over soils brighter than one: all of it.
    corners = itertools.product(*((v.low, v.high) for v in (*VARIABLES, *GEOMETRY)))
    corners = torch.tensor(list(corners), dtype=dtype)
    assert len(corners) == 2**14
    variables, geometry = (x.requires_grad_() for x in corners.split([11, 3], dim=1))
    variables, geometry = (x.detach().requires_grad_() for x in (variables, geometry))
    model = Prosail(quadrature=1)
    if quantity == "bands":
        result = model(variables, geometry)
    elif quantity == "fapar":
        result = model.fapar(variables, geometry)
    else:
        result = model.fcover(variables)
    result.sum().backward()
    assert result.isfinite().all()
    assert result.min() > -1e-6
    assert variables.grad.isfinite().all()
    assert quantity == "fcover" or geometry.grad.isfinite().all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("changed", "angles"),
    [
        ({"hspot": 0}, (35, 5, 100)),
        ({"hspot": 0}, (0, 0, 0)),
        ({"ALA": 58.4}, (35, 5, 100)),
        # Where the ellipsoid is a sphere.
        ({"ALA": 58.435103410015536}, (35, 5, 100)),
        ({}, (0, 0, 0)),
        ({}, (30, 30, 0)),
        ({}, (30, 30, -360)),
        ({}, (30, 20, 180)),
        ({"rsoil": 3.5, "psoil": 1}, (35, 5, 100)),
        ({"N": 1, "LAI": 0}, (35, 5, 100)),
        (dict.fromkeys(["Cab", "Car", "Cbrown", "Cw", "Cm"], 0.0), (35, 5, 100)),
        (dict.fromkeys(["Cab", "Car", "Cbrown", "Cw", "Cm"], 0.0) | {"N": 1}, (0, 0, 0)),
    ],
)
def test_special_cases_are_finite(model, changed, angles, dtype):
    variables = canopy(dtype=dtype, **changed).requires_grad_()
    geometry = directions(*angles).requires_grad_()
    found = model.spectrum(variables, geometry)
    found.sum().backward()
    for values in (found, variables.grad, geometry.grad):
        assert values.isfinite().all()
    # No jump: a little to the side it is the same, but for the hot spot.
    near = canopy(**(changed | {"hspot": CANOPY["hspot"]}), dtype=dtype)
    here = model.spectrum(near, directions(*angles))
    there = torch.where(near > 0.5 * HIGH, near * (1 - 1e-4), near * (1 + 1e-4) + 1e-9)
    assert_allclose(model.spectrum(there.to(dtype), directions(*angles)), here, rtol=0, atol=2e-3)


# --- gradients ------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_gradient(seed):
    model = Prosail(bands=["B4", "B8", "B11"], quadrature=1)
    variables, geometry = anywhere(1, seed=seed, margin=0.03)
    scales = HIGH - LOW, torch.tensor([80.0, 80.0, 360.0]).double()
    inputs = [
        (x / scale).requires_grad_() for x, scale in zip((variables, geometry), scales, strict=True)
    ]

    def bands(*units):
        return model(*(x * scale for x, scale in zip(units, scales, strict=True)), check=False)

    def fractions(*units):
        variables, geometry = (x * scale for x, scale in zip(units, scales, strict=True))
        return model.fapar(variables, geometry, check=False), model.fcover(variables, check=False)

    assert gradcheck(bands, inputs, eps=1e-7, atol=1e-4, rtol=1e-4)
    assert gradcheck(fractions, inputs, eps=1e-7, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("draw", [anywhere, simulations])
def test_float32_gradients(model, draw):
    inputs = [x.float() for x in draw(10_000)]
    weights = torch.randn(10, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    scale = torch.cat([HIGH - LOW, torch.tensor([80.0, 80.0, 360.0])])
    gradients = []
    for dtype in (torch.float64, torch.float32):
        variables, geometry = (x.detach().to(dtype).requires_grad_() for x in inputs)
        (model(variables, geometry) @ weights.to(dtype)).sum().backward()
        gradients.append(torch.cat([variables.grad, geometry.grad], dim=1).double() * scale)
    exact, single = gradients
    for part in (slice(None), slice(0, 11), slice(11, 14)):
        error = (single - exact)[:, part].norm(dim=1) / exact[:, part].norm(dim=1)
        assert error.quantile(0.99) < 1e-4
        assert error.max() < 1e-2


def test_second_derivatives():
    model = Prosail(bands=["B4"], quadrature=1)
    variables, geometry = canopy()[0], directions()
    slope = jacrev(lambda x: model(x, geometry, check=False)[0])
    width = HIGH - LOW
    # In units of the bounds of the variables.
    found = jacrev(slope)(variables) * width[:, None] * width
    steps = torch.diag(1e-4 * width)
    expected = [(slope(variables + d) - slope(variables - d)) / 2e-4 * width for d in steps]
    assert found.abs().max() > 1
    assert_allclose(found, torch.stack(expected), rtol=0, atol=1e-5)
    assert_close(found, found.mT)


def test_torch_func():
    model = Prosail(bands=["B4", "B8"])
    variables, geometry = anywhere(4)

    def bands(x, y):
        return model(x, y, check=False)

    assert_close(vmap(bands)(variables, geometry), model(variables, geometry))
    found = vmap(jacrev(bands, argnums=(0, 1)))(variables, geometry)
    inputs = variables.requires_grad_(), geometry.requires_grad_()
    for band in (0, 1):
        expected = torch.autograd.grad(model(*inputs)[:, band].sum(), inputs)
        assert_close([x[:, band] for x in found], list(expected))


# --- module ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_clones(clone):
    model = Prosail("Landsat-9", ["B5", "B2"], soil=TABLES.dry_soil, quadrature=2, chunk_size=7)
    twin = clone(model)
    inputs = simulations(10)
    assert torch.equal(twin(*inputs), model(*inputs))
    assert twin.sensor.bands == ("B5", "B2")
    assert twin.chunk_size == 7


def test_buffers(model):
    assert not list(model.parameters())
    assert {buffer.dtype for buffer in model.buffers()} == {torch.float64}
    inputs = simulations(50)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    rng = torch.get_rng_state()
    before = [x.clone() for x in inputs]
    checked, unchecked = (model(*inputs, check=check) for check in (True, False))
    assert torch.equal(checked, unchecked)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(map(torch.equal, inputs, before))
    assert torch.equal(torch.get_rng_state(), rng)
    # As part of a network in single precision.
    twin = copy.deepcopy(model).float()
    assert_close(twin(*(x.float() for x in inputs)).double(), checked, rtol=0, atol=2e-5)
    other = Prosail(bands=["B4"], soil=np.full(2101, 0.3))
    twin = Prosail(bands=["B4"], soil=np.full(2101, 0.1))
    twin.load_state_dict(other.state_dict())
    assert torch.equal(twin(*inputs), other(*inputs))


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="no compiler")
@pytest.mark.filterwarnings("ignore")
def test_compiled():
    torch._dynamo.reset()
    model = Prosail(quadrature=1)
    compiled = torch.compile(model, fullgraph=True, dynamic=False)
    found = []
    for function in (model, compiled):
        variables, geometry = (x.float().requires_grad_() for x in simulations(64))
        result = function(variables, geometry, check=False)
        result.sum().backward()
        found.append((result.detach(), variables.grad, geometry.grad))
    (expected, *gradients), (result, *others) = found
    assert_close(result, expected, rtol=0, atol=1e-5)
    for one, other in zip(gradients, others, strict=True):
        assert ((other - one).abs() <= 1e-3 * one.abs().amax(0)).all()
        assert one.abs().amax(0).min() > 0
    torch._dynamo.reset()

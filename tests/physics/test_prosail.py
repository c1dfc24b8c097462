import copy
import itertools
import math
import pickle
import re
import shutil
import weakref

import numpy as np
import prosail
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch.autograd import gradcheck
from torch.func import jacrev, vmap
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sklearn_sits.physics import (
    GEOMETRY,
    SENSORS,
    VARIABLES,
    Prosail,
    Sensor,
    sample_geometry,
    sample_variables,
)
from sklearn_sits.physics.tables import load_tables

NAMES = [variable.name for variable in VARIABLES]
LOW, HIGH = (torch.tensor([v[i] for v in VARIABLES], dtype=torch.float64) for i in (2, 3))
DTYPES = [torch.float32, torch.float64]
TABLES = load_tables()
# Largest differences allowed from the reference, where reflectances go up to two.
BARS = [(torch.float32, 2e-4), (torch.float64, 1e-11)]
CANOPY = dict(zip(NAMES, (1.5, 45, 9, 0.1, 0.015, 0.008, 3, 55, 0.1, 0.5, 0.8), strict=True))


def canopy(n=1, dtype=torch.float64, **changed):
    """Variables of shape (n, 11): those of a green canopy but for some."""
    columns = [torch.as_tensor(x, dtype=dtype).expand(n) for x in (CANOPY | changed).values()]
    return torch.stack(columns, dim=-1)


def directions(sun=35.0, view=5.0, azimuth=100.0):
    columns = (torch.as_tensor(x, dtype=torch.float64) for x in (sun, view, azimuth))
    return torch.stack(torch.broadcast_tensors(*columns), dim=-1)


def anywhere(n, seed=0, margin=0.0):
    """Variables within all of their bounds but for leaf angles of 1 to 89 degrees, and zeniths."""
    generator = torch.Generator().manual_seed(seed)
    unit = margin + (1 - 2 * margin) * torch.rand(n, 14, generator=generator, dtype=torch.float64)
    low, high = LOW.clone(), HIGH.clone()
    low[7], high[7] = 1, 89
    return low + (high - low) * unit[:, :11], torch.tensor([80.0, 80.0, 360.0]) * unit[:, 11:]


def simulations(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return sample_variables(n, generator=generator), sample_geometry(n, generator)


def reference(variables, geometry, version="D"):
    """Run the package prosail; return spectra and the light that each soil gets back at most."""
    spectra, rebounds = [], []
    for row, (sun, view, azimuth) in zip(variables.tolist(), geometry.tolist(), strict=True):
        *leaf_and_canopy, psoil, rsoil = row
        soil = rsoil * (psoil * TABLES.dry_soil + (1 - psoil) * TABLES.wet_soil)
        # It is right up to an azimuth of 180 degrees only.
        azimuth = min(azimuth % 360, 360 - azimuth % 360)
        terms = prosail.run_prosail(
            *leaf_and_canopy,
            *(sun, view, azimuth),
            rsoil0=soil,
            prospect_version=version,
            factor="ALLALL",
        )
        spectra.append(terms[17])
        rebounds.append((soil * terms[3]).max())
    return np.array(spectra), np.array(rebounds)


def every_band():
    """One sensor with all bands of all sensors."""
    responses = {
        f"{sensor} {band}": response
        for sensor, bands in TABLES.responses.items()
        for band, response in bands.items()
    }
    return Sensor.from_responses(TABLES.wavelengths, list(responses.values()), list(responses))


@pytest.fixture(scope="module")
def cases():
    """300 sets, their reference, and where it is one.

    Where a soil gets back more than it sends out the reference divides by 1e-36, which is limited
    here. What the soil gets back up to nine tenths is compared.
    """
    variables, geometry = anywhere(300)
    spectra, rebounds = reference(variables, geometry)
    return variables, geometry, spectra, rebounds <= 0.9


@pytest.fixture(scope="module")
def model():
    return Prosail()


@pytest.mark.parametrize(("dtype", "atol"), BARS)
def test_spectrum_equals_the_reference(cases, model, dtype, atol):
    variables, geometry, expected, usable = cases
    found = model.spectrum(variables.to(dtype), geometry.to(dtype))
    assert found.dtype == dtype
    assert found.isfinite().all()
    assert found.min() >= 0
    assert usable.mean() > 0.98
    assert_allclose(found[usable], expected[usable], rtol=0, atol=atol)
    assert found[usable].max() < 2.1


@pytest.mark.parametrize(("dtype", "atol"), BARS)
@pytest.mark.parametrize("name", SENSORS)
def test_bands_equal_the_reference(cases, name, dtype, atol):
    variables, geometry, expected, usable = cases
    found = Prosail(name, quadrature="exact")(variables.to(dtype), geometry.to(dtype))
    sensor = Sensor.load(name)
    assert found.shape == (300, len(sensor.bands))
    assert_allclose(found[usable], sensor.average(expected[usable]), rtol=0, atol=atol)


@pytest.mark.slow
def test_ten_thousand_sets_equal_the_reference():
    sensor = every_band()
    model = Prosail(sensor, quadrature="exact")
    compared, most = 0, 0
    for seed in range(10):
        variables, geometry = anywhere(1000, seed=seed + 1)
        expected, rebounds = reference(variables, geometry)
        usable = rebounds <= 0.9
        compared += usable.sum()
        most = max(most, expected[usable].max())
        for dtype, atol in BARS:
            inputs = variables.to(dtype), geometry.to(dtype)
            found = model.spectrum(*inputs)
            assert found.isfinite().all()
            assert found.min() >= 0
            assert_allclose(found[usable], expected[usable], rtol=0, atol=atol)
            average = sensor.average(expected[usable])
            assert_allclose(model(*inputs)[usable], average, rtol=0, atol=atol)
    assert compared > 9950
    assert 1.5 < most < 2.5


@pytest.mark.parametrize(("dtype", "atol"), BARS)
def test_prospect5_equals_the_reference(dtype, atol):
    variables, geometry = anywhere(50)
    expected, rebounds = reference(variables, geometry, version="5")
    found = Prosail(leaf="5").spectrum(variables.to(dtype), geometry.to(dtype))[rebounds <= 0.9]
    assert_allclose(found, expected[rebounds <= 0.9], rtol=0, atol=atol)
    other = Prosail(leaf="D").spectrum(variables, geometry)[rebounds <= 0.9]
    assert (other - found).abs().max() > 0.01


def test_azimuth_is_folded(model):
    angles = directions(60, 50, torch.tensor([60.0, 300, -60, -300, 60.0 - 360]))
    found = model.spectrum(canopy(5), angles)
    assert_allclose(found, reference(canopy(), angles[:1])[0].repeat(5, 0), rtol=0, atol=1e-12)
    # The reference without the folding.
    as_it_is = prosail.run_prosail(
        *canopy()[0, :9].tolist(),
        *angles[1].tolist(),
        psoil=CANOPY["psoil"],
        rsoil=CANOPY["rsoil"],
        prospect_version="D",
    )
    assert np.abs(as_it_is - found[1].numpy()).max() > 1e-3


@pytest.mark.parametrize("dtype", DTYPES)
def test_soil_that_makes_light_stays_finite(model, dtype):
    variables = canopy(N=3, Cab=0, Car=0, Cbrown=0, Cw=0, Cm=1e-4, LAI=12, psoil=1, rsoil=3.5)
    expected, rebounds = reference(variables, directions()[None])
    assert rebounds[0] > 1
    assert expected.max() > 1e30
    variables = variables.to(dtype).requires_grad_()
    found = model.spectrum(variables, directions())
    found.sum().backward()
    assert found.isfinite().all()
    assert found.max() < 1e4
    assert variables.grad.isfinite().all()
    # Elsewhere in the spectrum they agree.
    assert_allclose(found[0, :50].detach(), expected[0, :50], rtol=0, atol=1e-5)


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


def test_second_derivatives_are_right_or_refused():
    model = Prosail(bands=["B4"], quadrature=1)
    variables, geometry = canopy()[0], directions()
    slope = jacrev(lambda x: model(x, geometry, check=False)[0])
    try:
        found = jacrev(slope)(variables)
    except (NotImplementedError, RuntimeError):
        return
    step = 1e-4 * (HIGH - LOW)
    expected = [
        (slope(variables + d)[i] - slope(variables - d)[i]) / (2 * d[i])
        for i, d in enumerate(torch.diag(step))
    ]
    assert_allclose(found.diagonal(), expected, rtol=1e-2, atol=1e-9)


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


# --- quadrature -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spectra(model):
    variables, geometry = simulations(1000)
    return variables, geometry, model.spectrum(variables, geometry)


@pytest.mark.parametrize("name", SENSORS)
def test_quadrature(spectra, name):
    variables, geometry, spectrum = spectra
    exact = Sensor.load(name).average(spectrum)
    few = variables[:50], geometry[:50]
    assert_allclose(Prosail(name, quadrature="exact")(*few), exact[:50], rtol=0, atol=1e-12)
    # Mean error of a sensor, and of its worst band.
    for n, mean, worst in [(3, 1e-4, 2e-4), (5, 2e-5, 5e-5)]:
        error = (Prosail(name, quadrature=n)(variables, geometry) - exact).abs().mean(0)
        assert error.mean() < mean
        assert error.max() < worst


def test_default_quadrature(spectra):
    variables, geometry, _ = spectra
    assert torch.equal(
        Prosail()(variables, geometry), Prosail("Sentinel-2A", quadrature=3)(variables, geometry)
    )


# --- shapes, chunks, memory -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["forward", "spectrum", "fapar"])
@pytest.mark.parametrize("grad", ["both", "geometry", "none"])
def test_chunks_change_nothing(name, grad):
    variables, geometry = anywhere(20)
    variables.requires_grad_(grad == "both")
    geometry.requires_grad_(grad != "none")
    inputs = [x for x in (variables, geometry) if x.requires_grad]
    found = []
    for chunk_size in (1000, 1, 7, 20):
        result = getattr(Prosail(chunk_size=chunk_size), name)(variables, geometry)
        assert result.requires_grad == (grad != "none")
        weights = torch.linspace(0, 1, result.numel(), dtype=torch.float64)
        gradients = torch.autograd.grad(result.flatten() @ weights, inputs) if inputs else ()
        found.append([result.detach(), *gradients])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            assert_close(two, one, rtol=1e-12, atol=1e-12 * float(one.abs().max()))


def test_many_spectra_without_gradients():
    inputs = anywhere(5000)
    expected = Prosail(quadrature=1)(inputs[0].requires_grad_(), inputs[1])
    found = Prosail(quadrature=1)(*(x.detach() for x in inputs))
    assert not found.requires_grad
    assert_close(found, expected.detach(), rtol=1e-12, atol=1e-12)


class Peak(TorchDispatchMode):
    """Largest memory of the tensors that are alive at a time, in bytes."""

    def __init__(self):
        super().__init__()
        self.now, self.most, self.alive = 0, 0, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.add(tensor.untyped_storage())
        return result

    def add(self, storage):
        key, size = storage.data_ptr(), storage.nbytes()
        if key in self.alive:
            return
        self.alive.add(key)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self.remove, key, size)

    def remove(self, key, size):
        self.alive.discard(key)
        self.now -= size


def peak(n, chunk_size):
    model = Prosail(quadrature=1, chunk_size=chunk_size)
    variables, geometry = simulations(n)
    with Peak() as mode:
        inputs = variables.requires_grad_(), geometry.requires_grad_()
        torch.autograd.grad(model(*inputs).sum(), inputs)
    return mode.most


def test_memory_does_not_grow_with_the_number_of_spectra():
    chunk, many, whole = peak(16, 16), peak(512, 16), peak(512, 512)
    # All that grows is of the size of inputs, results and their gradients.
    assert many - chunk < 512 * 8 * 4 * (11 + 3 + 10)
    assert whole > 20 * chunk
    assert whole > 5 * many


@pytest.mark.parametrize("dtype", DTYPES)
def test_shapes(model, dtype):
    variables, geometry = anywhere(20)
    variables, geometry = variables.reshape(5, 4, 11).to(dtype), geometry[:4].to(dtype)
    expected = model(variables.reshape(20, 11), geometry.repeat(5, 1)).reshape(5, 4, 10)
    eps = 64 * torch.finfo(dtype).eps
    assert expected.dtype == dtype
    assert_close(model(variables, geometry), expected, rtol=eps, atol=eps)
    one = model(variables[:, :1], geometry[0])
    assert_close(one[:, 0], expected[:, 0], rtol=eps, atol=eps)
    assert_close(model(variables[2, 3], geometry[3]), expected[2, 3], rtol=eps, atol=eps)
    views = model(variables[0, 0], geometry.expand(2, 4, 3))
    assert views.shape == (2, 4, 10)
    assert_close(views[1, 0], expected[0, 0], rtol=eps, atol=eps)
    assert model.spectrum(variables, geometry[:1]).shape == (5, 4, 2101)
    assert model.fapar(variables, geometry).shape == (5, 4)
    assert model.fcover(variables).shape == (5, 4)
    assert model.fcover(variables[0, 0]).shape == ()
    assert model.fapar(variables, geometry).dtype == model.fcover(variables).dtype == dtype


def test_fapar_of_one_canopy(model):
    found = model.fapar(canopy()[0], directions())
    assert found.shape == ()
    assert_close(found, model.fapar(canopy(), directions())[0])


def test_the_type_is_that_of_the_variables(model):
    assert model(canopy(dtype=torch.float32), directions()).dtype == torch.float32
    assert model(canopy(), directions().float()).dtype == torch.float64


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 4)])
def test_empty(model, shape):
    variables, geometry = torch.empty(*shape, 11, requires_grad=True), torch.empty(*shape, 3)
    result = model(variables, geometry)
    assert result.shape == (*shape, 10)
    result.sum().backward()
    assert variables.grad.shape == variables.shape
    assert model(variables, directions()).shape == (*shape, 10)
    assert model.spectrum(variables, geometry).shape == (*shape, 2101)
    assert model.fapar(variables, geometry).shape == model.fcover(variables).shape == shape


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


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize("quadrature", [1, 3, "exact"])
def test_order_of_bands(spectra, quadrature):
    variables, geometry, _ = (x[:20] for x in spectra)
    everything = Prosail("Landsat-8", quadrature=quadrature)
    some = Prosail("Landsat-8", ["B7", "B2", "B5"], quadrature=quadrature)
    assert some.sensor.bands == ("B7", "B2", "B5")
    assert_close(some(variables, geometry), everything(variables, geometry)[:, [6, 1, 4]])
    chosen = Prosail(Sensor.load("Landsat-8"), ["B7", "B2", "B5"], quadrature=quadrature)
    assert torch.equal(chosen(variables, geometry), some(variables, geometry))


@pytest.mark.parametrize("quadrature", [5, "exact"])
def test_custom_sensor(spectra, quadrature):
    variables, geometry, spectrum = (x[:20] for x in spectra)
    wavelengths = np.linspace(600.25, 1300.75, 150)
    responses = [np.exp(-0.5 * ((wavelengths - at) / w) ** 2) for at, w in [(665, 6), (865, 10)]]
    sensor = Sensor.from_responses(wavelengths, responses, ["red", "nir"])
    found = Prosail(sensor, quadrature=quadrature)(variables, geometry)
    resampled = [np.interp(wavelengths, TABLES.wavelengths, row) for row in spectrum.numpy()]
    # The model of interpolated tables is not quite the interpolated result of the model.
    atol = 1e-5 if quadrature == "exact" else 5e-5
    assert_allclose(found, sensor.average(np.array(resampled)), rtol=0, atol=atol)


def test_one_wavelength(spectra):
    variables, geometry, spectrum = (x[:20] for x in spectra)
    sensor = Sensor.from_responses([664, 665, 666], [[0, 1, 0]], ["line"])
    for quadrature in (1, 5, "exact"):
        found = Prosail(sensor, quadrature=quadrature)(variables, geometry)
        assert_close(found[:, 0], spectrum[:, 265], rtol=0, atol=1e-12)


def test_measured_soil(model):
    variables, geometry = canopy(3, psoil=[0.0, 0.4, 1.0]), directions()
    found = Prosail(soil=TABLES.dry_soil)(variables, geometry)
    assert_close(found, model(canopy(3, psoil=1.0), geometry), rtol=0, atol=1e-14)
    grey = Prosail(soil=[0.25] * 2101)(canopy(LAI=0, rsoil=1.2), geometry)
    assert_allclose(grey, 0.3, rtol=1e-12)


@pytest.mark.parametrize("quadrature", [2, "exact"])
def test_soil_of_a_function(quadrature):
    def soil(dryness, brightness, wavelengths):
        return brightness * (0.1 + dryness * wavelengths / 1e4)

    model = Prosail("MODIS-Terra", soil=soil, quadrature=quadrature)
    variables = canopy(2, LAI=0, psoil=[0.5, 1.0], rsoil=[1.0, 2.0]).requires_grad_()
    found = model(variables, directions())
    centre = torch.tensor(model.sensor.centre)
    expected = torch.stack([0.1 + 0.5 * centre / 1e4, 0.2 + 2 * centre / 1e4])
    assert_close(found, expected, rtol=1e-10, atol=0)
    found.sum().backward()
    assert_close(variables.grad[:, 9], torch.stack([centre, 2 * centre]).sum(1) / 1e4)
    assert model.spectrum(variables, directions()).shape == (2, 2101)
    assert model.fapar(canopy(LAI=5), directions()) > 0.8


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sensor": "Sentinel-9"}, ValueError, "must be one of Sentinel-2A.*found 'Sentinel-9'"),
        ({"sensor": None}, TypeError, "sensor must be a name or a Sensor, got NoneType"),
        ({"bands": ["B4", "B99"]}, ValueError, "bands must be of.*'B1'.*B99"),
        ({"bands": "B4"}, ValueError, "bands must be of"),
        ({"bands": ["B4", "B4"]}, ValueError, "bands must have names, all different"),
        ({"bands": []}, ValueError, "bands must have names"),
        ({"leaf": "4"}, ValueError, "leaf must be 'D' or '5', got '4'"),
        ({"soil": np.ones(2100)}, ValueError, r"soil must have 2101 values.*\(2100,\)"),
        ({"soil": np.ones((1, 2101))}, ValueError, r"soil must have 2101.*\(1, 2101\)"),
        ({"soil": np.full(2101, -0.1)}, ValueError, "soil must be finite and not negative"),
        ({"soil": np.full(2101, np.nan)}, ValueError, "soil must be finite and not negative"),
        *(
            ({"quadrature": value}, ValueError, "quadrature must be a positive integer or 'exact'")
            for value in (0, -1, 2.0, "3", "full", None, True)
        ),
        *(
            ({"chunk_size": value}, ValueError, "chunk_size must be a positive integer, got")
            for value in (0, -5, 1e3, "10", None, False)
        ),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        Prosail(**options)


@pytest.mark.parametrize("method", ["forward", "spectrum", "fapar", "fcover"])
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (torch.ones(3, 10), ValueError, r"variables must have 11 values.*N, Cab.*shape \(3, 10"),
        (torch.tensor(1.0), ValueError, r"variables must have 11 values.*got shape \(\)"),
        (canopy().long(), TypeError, "variables must be a tensor of float32 or float64.*int64"),
        (canopy().half(), TypeError, "variables must be a tensor of float32.*float16"),
        (canopy().numpy(), TypeError, "variables must be a tensor of float32.*got ndarray"),
        (canopy().tolist(), TypeError, "variables must be a tensor of float32.*got list"),
        (canopy(3, LAI=[1, float("nan"), 2]), ValueError, "variables contains NaN in LAI"),
        (canopy(3, Cm=[0, float("inf"), 0]), ValueError, "Cm = inf g/cm², expected 0 to 0.05"),
    ],
)
def test_bad_variables(model, method, bad, error, message):
    inputs = (bad,) if method == "fcover" else (bad, directions())
    with pytest.raises(error, match=message):
        getattr(model, method)(*inputs)


@pytest.mark.parametrize("method", ["forward", "spectrum", "fapar"])
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (directions()[:2], ValueError, r"geometry must have 3 values.*sun zenith.*\(2,\)"),
        (directions().int(), TypeError, "geometry must be a tensor of float32.*int32"),
        (directions().numpy(), TypeError, "geometry must be a tensor of float32.*ndarray"),
        (directions(view=float("nan")), ValueError, "geometry contains NaN in view zenith"),
        (directions() * math.pi / 180, ValueError, "geometry must be in degrees.*radians"),
        (directions(0.6, 0, -3), ValueError, "in degrees.*above 0.6.*above 3.*radians"),
    ],
)
def test_bad_geometry(model, method, bad, error, message):
    with pytest.raises(error, match=message):
        getattr(model, method)(canopy(), bad)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("side", ["low", "high"])
@pytest.mark.parametrize("column", range(14))
def test_bounds(model, column, side, dtype):
    variable = (*VARIABLES, *GEOMETRY)[column]
    values = torch.cat([canopy(2), directions().expand(2, 3)], dim=1).to(dtype)
    values[1, column] = getattr(variable, side)
    # The bound itself, which float32 may round outwards.
    assert model(values[:, :11], values[:, 11:]).isfinite().all()
    beyond = (variable.high - variable.low) * (-1e-3 if side == "low" else 1e-3)
    values[1, column] += beyond
    found = f"{values[1, column]:.6g} {variable.unit}".rstrip()
    message = f"{variable.name} = {found}, expected {variable.low:g} to {variable.high:g}; check"
    with pytest.raises(ValueError, match=re.escape(message)):
        model(values[:, :11], values[:, 11:])
    assert model(values[:, :11], values[:, 11:], check=False).shape == (2, 10)
    if column < 11:
        with pytest.raises(ValueError, match=re.escape(message)):
            model.fcover(values[:, :11])
        assert model.fcover(values[:, :11], check=False).shape == (2,)


def test_angles_that_look_like_radians_are_right_without_the_check(model):
    # A small sun zenith, and all the others in degrees.
    assert model(canopy(2), directions(torch.tensor([0.5, 30]), 0, 1)).isfinite().all()
    assert model(canopy(), directions(0, 0, 0)).isfinite().all()
    assert model(canopy(), directions(0.5, 0, 1), check=False).isfinite().all()
    with pytest.raises(ValueError, match="check=False accepts any"):
        model(canopy(), directions(0.5, 0, 1))


def test_leading_dimensions_that_do_not_broadcast(model):
    with pytest.raises(RuntimeError, match="broadcast"):
        model(canopy(4), directions(torch.tensor([20.0, 30, 40])))

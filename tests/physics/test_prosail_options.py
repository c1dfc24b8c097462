import math
import re
import weakref

import numpy as np
import pytest
import torch
from canopies import DTYPES, anywhere, canopy, directions, simulations
from numpy.testing import assert_allclose
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sklearn_sits.physics import GEOMETRY, SENSORS, VARIABLES, Prosail, Sensor
from sklearn_sits.physics.tables import load_tables

TABLES = load_tables()


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
        (directions() * math.pi / 180, ValueError, "geometry must have angles in degrees.*radians"),
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

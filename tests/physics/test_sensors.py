import copy
import pickle
import re

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import trapezoid

from sklearn_sits.physics.sensors import SENSORS, Sensor
from sklearn_sits.physics.tables import load_tables

LAND = {
    "Sentinel-2A": ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"),
    "Sentinel-2B": ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"),
    "Sentinel-2C": ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"),
    "Landsat-8": ("B1", "B2", "B3", "B4", "B5", "B6", "B7"),
    "Landsat-9": ("B1", "B2", "B3", "B4", "B5", "B6", "B7"),
    "MODIS-Terra": ("B1", "B2", "B3", "B4", "B5", "B6", "B7"),
    "MODIS-Aqua": ("B1", "B2", "B3", "B4", "B5", "B6", "B7"),
}
# Central wavelengths that ESA, USGS and NASA publish, in nm.
CENTRES = {
    "Sentinel-2A": {
        **{"B1": 442.7, "B2": 492.7, "B3": 559.8, "B4": 664.6, "B5": 704.1, "B6": 740.5},
        **{"B7": 782.8, "B8": 832.8, "B8A": 864.7, "B9": 945.1, "B10": 1373.5, "B11": 1613.7},
        **{"B12": 2202.4},
    },
    "Sentinel-2B": {
        **{"B1": 442.3, "B2": 492.3, "B3": 558.9, "B4": 664.9, "B5": 703.8, "B6": 739.1},
        **{"B7": 779.7, "B8": 832.9, "B8A": 864.0, "B9": 943.2, "B10": 1376.9, "B11": 1610.4},
        **{"B12": 2185.7},
    },
    "Sentinel-2C": {
        **{"B2": 489.0, "B3": 560.6, "B4": 666.5, "B5": 707.1, "B6": 741.1, "B7": 784.7},
        **{"B8": 834.6, "B8A": 865.6, "B11": 1612.0, "B12": 2191.3},
    },
    "Landsat-8": {
        **{"B1": 442.96, "B2": 482.04, "B3": 561.41, "B4": 654.59, "B5": 864.67, "B6": 1608.86},
        **{"B7": 2200.73, "B8": 589.5, "B9": 1373.43},
    },
    "MODIS-Terra": {
        **{"B1": 645, "B2": 858.5, "B3": 469, "B4": 555, "B5": 1240, "B6": 1640, "B7": 2130},
        **{"B8": 412.5, "B9": 443, "B10": 488, "B11": 531, "B12": 551, "B13": 667, "B14": 678},
        **{"B15": 748, "B16": 869.5},
    },
}
# MODIS: nominal ones, from which the measured ones differ.
TOLERANCE = {
    **{"Sentinel-2A": 0.5, "Sentinel-2B": 0.5, "Sentinel-2C": 0.05},
    **{"Landsat-8": 3, "MODIS-Terra": 17},
}


@pytest.mark.parametrize("name", SENSORS)
def test_load(name):
    sensor = Sensor.load(name)
    assert sensor.name == name
    assert sensor.bands == LAND[name]
    assert_array_equal(sensor.wavelengths, np.arange(400, 2501))
    assert sensor.responses.shape == (len(sensor.bands), 2101)
    everything = Sensor.load(name, list(load_tables().responses[name]))
    for array in (everything.wavelengths, everything.responses):
        assert array.dtype == np.float64
        assert not array.flags.writeable
    assert (everything.responses >= 0).all()
    assert_allclose(everything.responses.sum(1), 1, rtol=1e-12)
    # In proportion to the tables but for the half steps at the ends.
    for band, weights in zip(everything.bands, everything.responses, strict=True):
        response = load_tables().responses[name][band][1:-1]
        assert_allclose(weights[1:-1], response * weights.max() / response.max(), rtol=1e-12)
    assert np.array_equal(everything.select(sensor.bands).responses, sensor.responses)


def test_names():
    assert SENSORS == tuple(LAND)
    assert repr(Sensor.load("Landsat-8", ["B4"])) == "Sensor(name='Landsat-8', bands=('B4',))"


@pytest.mark.parametrize("name", CENTRES)
def test_centres_are_the_published_ones(name):
    sensor = Sensor.load(name, list(CENTRES[name]))
    assert_allclose(sensor.centre, list(CENTRES[name].values()), rtol=0, atol=TOLERANCE[name])


def test_sensors_that_differ_and_those_that_do_not():
    terra, aqua = (Sensor.load(f"MODIS-{name}") for name in ("Terra", "Aqua"))
    assert_array_equal(terra.responses, aqua.responses)
    for one, other in [
        ("Sentinel-2A", "Sentinel-2B"),
        ("Sentinel-2A", "Sentinel-2C"),
        ("Sentinel-2B", "Sentinel-2C"),
        ("Landsat-8", "Landsat-9"),
    ]:
        difference = np.abs(Sensor.load(one).centre - Sensor.load(other).centre)
        assert (0.01 < difference).all()
        assert (difference < 20).all()


def test_load_in_another_order():
    sensor = Sensor.load("Sentinel-2A", ["B12", "B1", "B8A"])
    assert sensor.bands == ("B12", "B1", "B8A")
    assert (sensor.centre[[1, 2, 0]].round() == [443, 865, 2202]).all()


def test_select():
    sensor = Sensor.load("Landsat-9")
    some = sensor.select(["B5", "B2"])
    assert some.bands == ("B5", "B2")
    assert_array_equal(some.responses, sensor.responses[[4, 1]])
    assert_array_equal(some.select(("B2",)).responses, sensor.responses[[1]])
    assert some.name == sensor.name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_average_of_tensors(dtype):
    sensor = Sensor.load("Sentinel-2B")
    spectrum = torch.rand(3, 2, 2101, dtype=dtype, generator=torch.Generator().manual_seed(0))
    average = sensor.average(spectrum.requires_grad_())
    assert average.dtype == dtype
    assert average.shape == (3, 2, 10)
    reference = sensor.average(spectrum.detach().double().numpy())
    eps = torch.finfo(dtype).eps
    assert_allclose(average.detach(), reference, rtol=8 * eps)
    average.sum().backward()
    expected = np.broadcast_to(sensor.responses.sum(0), spectrum.shape)
    assert_allclose(spectrum.grad, expected, rtol=8 * eps)
    assert sensor.average(spectrum[0, 0]).shape == (10,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_average_of_arrays(dtype):
    sensor = Sensor.load("MODIS-Aqua", ["B1", "B8"])
    spectrum = np.random.default_rng(0).random((4, 2101)).astype(dtype)
    average = sensor.average(spectrum)
    assert average.dtype == dtype
    assert_allclose(average, spectrum @ sensor.responses.T, rtol=1e-5)
    assert sensor.average(spectrum[0]).shape == (2,)
    assert sensor.average(spectrum[:0]).shape == (0, 2)


@pytest.mark.parametrize("name", SENSORS)
@given(value=st.floats(-1e3, 1e3))
def test_average_of_a_constant(name, value):
    spectrum = np.full(2101, value)
    assert_allclose(Sensor.load(name).average(spectrum), value, rtol=1e-12, atol=1e-300)


@st.composite
def grids(draw):
    n = draw(st.integers(2, 40))
    steps = draw(arrays(np.float64, n - 1, elements=st.floats(0.5, 50)))
    wavelengths = draw(st.floats(400, 500)) + np.concatenate([[0], np.cumsum(steps)])
    n_bands = draw(st.integers(1, 4))
    responses = draw(arrays(np.float64, (n_bands, n), elements=st.floats(0, 10)))
    assume(responses.any(1).all())
    return wavelengths, responses


@given(grids(), st.floats(-5, 5), st.floats(-5, 5))
def test_custom_sensor_integrates(grid, slope, intercept):
    wavelengths, responses = grid
    sensor = Sensor.from_responses(wavelengths, responses, [f"b{i}" for i in range(len(responses))])
    assert_allclose(sensor.responses.sum(1), 1, rtol=1e-12)
    scale = trapezoid(responses / responses.max(1, keepdims=True), wavelengths)
    moment = trapezoid(responses / responses.max(1, keepdims=True) * wavelengths, wavelengths)
    assert_allclose(sensor.centre, moment / scale, rtol=1e-9)
    average = sensor.average(intercept + slope * wavelengths)
    assert_allclose(average, intercept + slope * sensor.centre, rtol=1e-9, atol=1e-8)
    assert (sensor.centre >= wavelengths[0] * (1 - 1e-12)).all()
    assert (sensor.centre <= wavelengths[-1] * (1 + 1e-12)).all()


@given(st.floats(500, 2000), st.floats(5, 20), st.integers(0, 2**32 - 1))
def test_narrow_band_on_an_irregular_grid(centre, width, seed):
    spacing = np.random.default_rng(seed).uniform(0.5, 2, 2000)
    wavelengths = 400 + np.cumsum(spacing) * 2090 / spacing.sum()
    response = np.exp(-0.5 * ((wavelengths - centre) / width) ** 2)
    sensor = Sensor.from_responses(wavelengths, [response], ["narrow"])
    average = sensor.average(0.1 + 2e-4 * wavelengths)
    assert_allclose(average, 0.1 + 2e-4 * centre, rtol=0, atol=2e-4 * 0.1)


@pytest.mark.parametrize("scale", [1e-320, 1e-3, 1e308])
def test_only_ratios_matter(scale):
    wavelengths, response = np.array([500.0, 510, 530, 540]), np.array([[0.25, 1, 0.5, 0]])
    one, other = (Sensor.from_responses(wavelengths, response * s, ["a"]) for s in (1, scale))
    assert_allclose(one.responses, [[2.5 / 47.5, 30 / 47.5, 15 / 47.5, 0]])
    assert_allclose(other.responses, one.responses, rtol=1e-2 if scale < 1e-300 else 1e-12)


def test_a_sensor_keeps_its_own_copy():
    wavelengths, responses = np.array([500.0, 510, 520]), np.ones((1, 3))
    sensor = Sensor.from_responses(wavelengths, responses, np.array(["a"]), "mine")
    wavelengths[0], responses[0, 0] = 400, 0
    assert sensor.name == "mine"
    assert sensor.wavelengths[0] == 500
    assert_array_equal(sensor.responses, [[0.25, 0.5, 0.25]])
    with pytest.raises(AttributeError):
        sensor.name = "other"
    for twin in (copy.deepcopy(sensor), pickle.loads(pickle.dumps(sensor))):
        assert (twin.name, twin.bands) == (sensor.name, sensor.bands)
        assert_array_equal(twin.wavelengths, sensor.wavelengths)
        assert_array_equal(twin.responses, sensor.responses)


W = (500.0, 510.0, 530.0)
R = ((0.0, 1.0, 0.5), (1.0, 1.0, 0.0))
NAN = float("nan")


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"wavelengths": (0.5, 0.51, 0.53)}, ValueError, "in nm, not in micrometres.*0.5 to 0.53"),
        ({"wavelengths": (500, 530, 510)}, ValueError, "wavelengths must ascend.*-20 nm"),
        ({"wavelengths": (500, 510, 510)}, ValueError, "wavelengths must ascend.*0 nm"),
        ({"wavelengths": (399, 510, 530)}, ValueError, "400 to 2500 nm, found 399 to 530"),
        ({"wavelengths": (500, 510, 2501)}, ValueError, "400 to 2500 nm, found 500 to 2501"),
        ({"wavelengths": (500, NAN, 530)}, ValueError, "wavelengths must be finite"),
        ({"wavelengths": (500, 510, np.inf)}, ValueError, "wavelengths must be finite"),
        ({"wavelengths": [W]}, ValueError, r"wavelengths must have shape \(w,\).*\(1, 3\)"),
        ({"wavelengths": (500,)}, ValueError, r"wavelengths must have shape \(w,\).*\(1,\)"),
        ({"wavelengths": ()}, ValueError, r"wavelengths must have shape \(w,\).*\(0,\)"),
        ({"wavelengths": "blue"}, TypeError, "wavelengths must be an array of numbers"),
        ({"wavelengths": None}, (TypeError, ValueError), "wavelengths must be"),
        ({"wavelengths": W[:2]}, ValueError, r"responses must have shape \(2, 2\).*\(2, 3\)"),
        ({"responses": R[:1]}, ValueError, r"responses must have shape \(2, 3\).*\(1, 3\)"),
        ({"responses": R[0]}, ValueError, r"responses must have shape \(2, 3\).*\(3,\)"),
        ({"responses": [(1,), (1, 2)]}, TypeError, "responses must be an array of numbers"),
        ({"responses": [R[0], (1, NAN, 0)]}, ValueError, "responses must be finite"),
        ({"responses": [R[0], (1, -0.1, 0)]}, ValueError, "not be negative, found -0.1 to 1 in b"),
        ({"responses": [R[0], (0, 0, 0)]}, ValueError, "not be zero everywhere, found.*in b"),
        ({"names": ("a",)}, ValueError, r"responses must have shape \(1, 3\).*\(2, 3\)"),
        ({"names": ("a", "a")}, ValueError, r"names, all different, found \('a', 'a'\)"),
        ({"names": ()}, ValueError, "names, all different"),
        ({"names": "ab"}, TypeError, "sequence of strings, found 'ab'"),
        ({"names": (1, 2)}, TypeError, r"sequence of strings, found \(1, 2\)"),
        ({"names": 2}, TypeError, "sequence of strings, found 2"),
    ],
)
def test_bad_responses(changed, error, message):
    arguments = {"wavelengths": W, "responses": R, "names": ("a", "b")}
    Sensor.from_responses(**arguments)
    with pytest.raises(error, match=message):
        Sensor.from_responses(**arguments | changed)


def test_constructor_takes_weights():
    with pytest.raises(ValueError, match="responses must sum to one, found"):
        Sensor("mine", ("a", "b"), W, R)
    assert Sensor("mine", ["a"], W, [(0.25, 0.5, 0.25)]).bands == ("a",)


@pytest.mark.parametrize("name", ["Sentinel-2", "sentinel-2a", "", None])
def test_unknown_sensor(name):
    with pytest.raises(ValueError, match=f"one of {', '.join(SENSORS)}, found {name!r}"):
        Sensor.load(name)


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        (["B2", "B99"], r"bands must be of \('B1', 'B2',.*found \['B2', 'B99'\]"),
        (["B02"], r"bands must be of"),
        ("B2", r"bands must be of"),
        ([2], r"bands must be of"),
        (["B2", "B3", "B2"], r"all different, found \('B2', 'B3', 'B2'\)"),
        ([], "names, all different"),
    ],
)
def test_bad_bands(bands, message):
    with pytest.raises(ValueError, match=message):
        Sensor.load("Sentinel-2A", bands)
    with pytest.raises(ValueError, match=message.replace("'B1', ", "")):
        Sensor.load("Sentinel-2A").select(bands)


@pytest.mark.parametrize("make", [np.zeros, torch.zeros], ids=["array", "tensor"])
@pytest.mark.parametrize("shape", [(2101, 3), (2100,), (1,), ()])
def test_bad_shape_of_spectrum(make, shape):
    message = re.escape(f"spectrum must have shape (..., 2101), found {shape}")
    with pytest.raises(ValueError, match=message):
        Sensor.load("Landsat-8").average(make(shape))


@pytest.mark.parametrize(
    "spectrum", [np.ones(2101, int), torch.ones(2101, dtype=int), [1.0] * 2101, None]
)
def test_bad_type_of_spectrum(spectrum):
    with pytest.raises(TypeError, match="floating point array"):
        Sensor.load("Landsat-8").average(spectrum)

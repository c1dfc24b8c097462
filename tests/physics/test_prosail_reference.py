import numpy as np
import prosail
import pytest
import torch
from canopies import CANOPY, DTYPES, anywhere, canopy, directions
from numpy.testing import assert_allclose

from sklearn_sits.physics import SENSORS, Prosail, Sensor
from sklearn_sits.physics.tables import load_tables

TABLES = load_tables()
# Largest differences allowed from the reference, where reflectances go up to two.
BARS = [(torch.float32, 2e-4), (torch.float64, 1e-11)]


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

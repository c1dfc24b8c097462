import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import kstest, truncnorm, uniform

from sklearn_sits.physics.tables import load_tables
from sklearn_sits.physics.variables import (
    GEOMETRY,
    RETRIEVAL_BOUNDS,
    SIMULATION_PRIORS,
    VARIABLES,
    Prior,
    sample_geometry,
    sample_variables,
)

NAMES = ["N", "Cab", "Car", "Cbrown", "Cw", "Cm", "LAI", "ALA", "hspot", "psoil", "rsoil"]
LAI = NAMES.index("LAI")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def bounds():
    table = np.array([SIMULATION_PRIORS[name] for name in NAMES]).T
    return dict(zip(Prior._fields, table, strict=True))


def test_names_and_bounds():
    assert [variable.name for variable in VARIABLES] == NAMES
    assert list(SIMULATION_PRIORS) == list(RETRIEVAL_BOUNDS) == NAMES
    for variable in (*VARIABLES, *GEOMETRY):
        assert variable.low < variable.high
        assert variable.description
    for variable in VARIABLES:
        low, high = RETRIEVAL_BOUNDS[variable.name]
        assert variable.low <= low < high <= variable.high
        prior = SIMULATION_PRIORS[variable.name]
        assert variable.low <= prior.low <= prior.dense_low < prior.dense_high <= prior.high
        assert prior.high <= variable.high
        assert prior.low <= prior.mean <= prior.high
        assert prior.std > 0


@pytest.mark.parametrize("codistribution", [True, False])
@given(seed=st.integers(0, 2**63 - 1))
def test_draws_are_within_bounds(codistribution, seed):
    values = sample_variables(200, codistribution=codistribution, generator=generator(seed))
    limits = bounds()
    assert values.dtype == torch.float64
    assert values.shape == (200, 11)
    assert (values.numpy() >= limits["low"] - 1e-12).all()
    assert (values.numpy() <= limits["high"] + 1e-12).all()
    # Each within bounds that narrow with its own LAI.
    if codistribution:
        density = values[:, [LAI]].numpy() / limits["high"][LAI]
        low = limits["low"] + density * (limits["dense_low"] - limits["low"])
        high = limits["high"] + density * (limits["dense_high"] - limits["high"])
        assert (values.numpy() >= low - 1e-12).all()
        assert (values.numpy() <= high + 1e-12).all()


@pytest.fixture(scope="module")
def independent():
    return sample_variables(100_000, codistribution=False, generator=generator())


@pytest.mark.parametrize("name", NAMES)
def test_marginal_distributions(independent, name):
    mean, std, low, high, *_ = SIMULATION_PRIORS[name]
    expected = uniform(low, high - low)
    if np.isfinite(std):
        expected = truncnorm((low - mean) / std, (high - mean) / std, mean, std)
    values = independent[:, NAMES.index(name)].numpy()
    assert kstest(values, expected.cdf).pvalue > 1e-3
    assert abs(values.mean() - expected.mean()) < 4 * expected.std() / np.sqrt(len(values))


def test_variables_are_independent_without_codistribution(independent):
    correlation = independent.T.corrcoef() - torch.eye(11)
    assert correlation.abs().max() < 0.015
    values = sample_variables(20_000, generator=generator())
    assert values.T.corrcoef()[LAI, NAMES.index("rsoil")] < -0.1


def test_codistribution_keeps_the_relative_place():
    apart = sample_variables(1000, codistribution=False, generator=generator()).numpy()
    values = sample_variables(1000, generator=generator()).numpy()
    limits = bounds()
    assert_allclose(values[:, LAI], apart[:, LAI], rtol=1e-12)
    density = values[:, [LAI]] / limits["high"][LAI]
    low = limits["low"] + density * (limits["dense_low"] - limits["low"])
    high = limits["high"] + density * (limits["dense_high"] - limits["high"])
    place = (apart - limits["low"]) / (limits["high"] - limits["low"])
    assert_allclose((values - low) / (high - low), place, rtol=0, atol=1e-9)


def test_codistribution_narrows_at_high_lai():
    values = sample_variables(50_000, generator=generator())
    sparse, dense = values[values[:, LAI] < 1], values[values[:, LAI] > 9]
    ratio = dense.std(0) / sparse.std(0)
    limits = bounds()
    narrowing = (limits["dense_high"] - limits["dense_low"]) / (limits["high"] - limits["low"])
    for name, found, final in zip(NAMES, ratio.tolist(), narrowing, strict=True):
        if name != "LAI":
            # At an LAI of about 10 of 15 two thirds of the way are gone.
            assert_allclose(found, 1 + 2 / 3 * (final - 1), rtol=0.15, err_msg=name)


def test_own_priors():
    priors = {name: Prior(0.5, 1.0, 0.2, 0.8, 0.4, 0.6) for name in NAMES}
    values = sample_variables(100, priors, codistribution=False, generator=generator())
    assert values.min() >= 0.2
    assert values.max() <= 0.8


@pytest.mark.parametrize("sample", [sample_variables, sample_geometry])
def test_generator(sample):
    before = torch.get_rng_state()
    one, same, other = (sample(10, generator=generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not (one == other).any()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(3)
    assert torch.equal(sample(10), one)
    assert sample(0).shape == (0, one.shape[1])


def test_geometry():
    values = sample_geometry(5000, generator()).numpy()
    assert values.dtype == np.float64
    cosine = np.cos(np.radians(values[:, :2]))
    for column, low, high in [(0, 0.3421, 0.9275), (1, 0.9796, 1)]:
        assert kstest(cosine[:, column], uniform(low, high - low).cdf).pvalue > 1e-3
    assert kstest(values[:, 2] / 360, "uniform").pvalue > 1e-3
    for column, variable in zip(values.T, GEOMETRY, strict=True):
        assert column.min() >= variable.low
        assert column.max() <= variable.high


@pytest.mark.parametrize(
    ("sensor", "sun", "view"),
    [
        ("Sentinel-2B", (22.0, 70.0), (0.0, 11.6)),
        ("Sentinel-2C", (22.0, 70.0), (0.0, 11.6)),
        ("Landsat-9", (15.0, 75.0), (0.0, 7.5)),
        ("MODIS-Aqua", (15.0, 75.0), (0.0, 65.0)),
        ("drone", (0.0, 75.0), (0.0, 60.0)),
    ],
)
def test_geometry_of_sensors(sensor, sun, view):
    values = sample_geometry(5000, generator(), sensor).numpy()
    for column, (low, high) in zip(values.T, (sun, view), strict=False):
        assert_allclose([column.min(), column.max()], [low, high], rtol=0, atol=2.0)


@pytest.mark.parametrize("codistribution", [True, False])
def test_soils_that_are_not_too_bright(codistribution):
    tables = load_tables()

    def soil(values):
        dryness, brightness = values[:, -2:].numpy().T[..., None]
        return (brightness * (dryness * tables.dry_soil + (1 - dryness) * tables.wet_soil)).max(1)

    options = dict(codistribution=codistribution)
    free = sample_variables(2000, generator=generator(), **options)
    found = sample_variables(2000, generator=generator(), max_soil=0.7, **options)
    assert soil(free).max() > 1.3
    assert 0.65 < soil(found).max() <= 0.7
    # Others are as they were.
    dark = soil(free) <= 0.69
    assert 0.3 < dark.mean() < 0.95
    assert torch.equal(found[dark], free[dark])
    with pytest.raises(ValueError, match=r"max_soil=0\.01 is below the darkest soil"):
        sample_variables(10, max_soil=0.01)


@pytest.mark.parametrize("change", [{"Cant": SIMULATION_PRIORS["Car"]}, {"LAI": None}])
def test_priors_of_other_variables(change):
    priors = {k: v for k, v in (SIMULATION_PRIORS | change).items() if v}
    with pytest.raises(ValueError, match=r"priors must name \['N', 'Cab'.*'rsoil'\], got \['N'"):
        sample_variables(3, priors)

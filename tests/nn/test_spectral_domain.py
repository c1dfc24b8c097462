import pytest
import torch

from sklearn_sits.nn.spectral_domain import SpectralDomain


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def curve(n, seed=0):
    """Spectra along a curve in three bands, under a sun of 20 to 60 degrees."""
    x = torch.rand(n, 1, generator=generator(seed), dtype=torch.float64)
    spectra = torch.cat([0.05 + 0.2 * x, 0.5 - 0.6 * x * (1 - x), 0.1 + 0.3 * x**2], dim=1)
    noise = 0.005 * torch.randn(n, 3, generator=generator(seed + 1), dtype=torch.float64)
    angles = torch.cat([20 + 40 * x, 360 * x], dim=1)
    return spectra + noise, angles


def is_outside(domain, spectra):
    return domain.log_density(spectra) < domain.lowest_density


def has_offset(domain, spectra):
    return domain.has_offset(spectra, domain.log_density(spectra))


@pytest.fixture(scope="module")
def domain():
    domain = SpectralDomain(3, 2)
    domain.learn(*curve(4000), generator())
    return domain.double()


def test_simulations_are_inside(domain):
    spectra, angles = curve(4000, seed=5)
    for outside in (
        is_outside(domain, spectra),
        domain.band_is_outside(spectra),
        domain.angle_is_outside(angles),
    ):
        assert outside.double().mean() < 0.006
    assert has_offset(domain, spectra).double().mean() < 0.03


def test_combinations_of_no_simulation_are_outside(domain):
    """Each band within its range, but not together."""
    spectra = torch.tensor([[0.15, 0.49, 0.1], [0.05, 0.36, 0.11], [0.24, 0.49, 0.11]]).double()
    assert not domain.band_is_outside(spectra).any()
    assert is_outside(domain, spectra).all()
    beyond = torch.tensor([[0.3, 0.35, 0.17], [0.15, 0.2, 0.17]]).double()
    assert domain.band_is_outside(beyond).all()


def test_offset(domain):
    spectra, _ = curve(1000, seed=5)
    assert has_offset(domain, spectra + 0.1).double().mean() > 0.95
    # Without the offset they would still be far outside.
    assert not has_offset(domain, spectra + 0.4).any()


def test_angles(domain):
    angles = [[19.5, 0], [60.5, 180], [18, 90], [62, 90], [40, -90], [40, 350], [40, -350]]
    found = domain.angle_is_outside(torch.tensor(angles).double())
    assert found.tolist() == [False, False, True, True, False, False, False]
    assert not SpectralDomain(3, 0).angle_is_outside(torch.ones(2, 0)).any()


def test_density_is_that_of_a_normal_distribution():
    """One bulk: the mixture has its density, but for the tolerance of reflectances."""
    factor = torch.tensor([[0.1, 0.0], [0.05, 0.08]], dtype=torch.float64)
    domain = SpectralDomain(2, 0)
    normal = torch.randn(20_000, 2, generator=generator(), dtype=torch.float64)
    domain.learn(normal @ factor.T, torch.ones(20_000, 0), generator())
    covariance = factor @ factor.T + 1e-4 * torch.eye(2, dtype=torch.float64)
    other = torch.randn(500, 2, generator=generator(9), dtype=torch.float64) @ factor.T
    exact = torch.distributions.MultivariateNormal(torch.zeros(2).double(), covariance)
    found = domain.double().log_density(other)
    expected = exact.log_prob(other)
    difference = (found - found.mean()) - (expected - expected.mean())
    assert difference.abs().quantile(0.9) < 0.15
    assert domain.means.dtype == torch.float64


def test_depends_on_the_seed_alone():
    found = []
    for seed in (0, 0, 1):
        domain = SpectralDomain(3, 2)
        domain.learn(*curve(500), generator(seed))
        found.append(domain.log_density(curve(100, seed=5)[0].float()))
        assert domain.means.dtype == torch.float32
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize("n_bands", [1, 30])
def test_any_number_of_bands(n_bands):
    spectra = 0.3 + 0.05 * torch.randn(300, n_bands, generator=generator())
    domain = SpectralDomain(n_bands, 1)
    domain.learn(spectra, torch.full((300, 1), 30.0), generator())
    assert domain.projection.shape == (n_bands, min(n_bands, 10))
    assert is_outside(domain, spectra).double().mean() < 0.02
    assert domain.band_is_outside(spectra + 0.5).all()


def test_few_and_constant_spectra():
    domain = SpectralDomain(2, 0)
    domain.learn(torch.full((5, 2), 0.2), torch.ones(5, 0), generator())
    assert not is_outside(domain, torch.full((1, 2), 0.2)).any()
    assert is_outside(domain, torch.full((1, 2), 0.4)).all()


def test_nothing_is_outside_before_learning():
    domain = SpectralDomain(2, 1)
    spectra, angles = torch.tensor([[5.0, -1.0]]), torch.tensor([[85.0]])
    assert not is_outside(domain, spectra).any()
    assert not domain.band_is_outside(spectra).any()
    assert not domain.angle_is_outside(angles).any()

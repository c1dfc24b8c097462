import pytest
import torch

from sklearn_sits.physics import Prior, Prosail
from sklearn_sits.traits.simulator import Simulator

BANDS = ["B4", "B8", "B11"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def decoder():
    return Prosail("Sentinel-2A", BANDS, quadrature=1)


@pytest.fixture
def simulator(decoder):
    return Simulator(decoder, [Prosail.priors], 0.01, has_angles=True)


def test_shapes_and_bounds(simulator):
    traits, geometry, spectra = simulator.draw(500, None, generator())
    assert traits.shape == (500, 16)
    assert geometry.shape == (500, 3)
    assert spectra.shape == (500, 3)
    assert {part.dtype for part in (traits, geometry, spectra)} == {torch.float32}
    low, high = simulator.bounds()
    slack = 1e-5 * high
    assert ((traits >= low - slack) & (traits <= high + slack)).all()
    assert ((spectra > 0) & (spectra < 1)).all()
    # Not all at one place.
    assert (traits.std(0) > 0.02 * (high - low)).all()


def test_bounds_follow_the_priors(decoder):
    priors = Prosail.priors | {"LAI": Prior.uniform(1.0, 2.0), "Cab": Prior.uniform(30.0, 40.0)}
    simulator = Simulator(decoder, [priors], 0.01, has_angles=True)
    traits, *_ = simulator.draw(500, None, generator())
    low, high = simulator.bounds()
    assert (low[6], high[6], low[11], high[11]) == (1.0, 2.0, 30.0, 80.0)
    assert 1 <= traits[:, 6].min() < 1.1
    assert 1.9 < traits[:, 6].max() <= 2


def test_spectra_are_those_of_the_traits(simulator, decoder):
    traits, geometry, spectra = simulator.draw(50, None, generator())
    torch.testing.assert_close(decoder(traits[:, :11], geometry), spectra)
    torch.testing.assert_close(traits[:, 11], traits[:, 6] * traits[:, 1])


def test_half_of_the_draws_take_known_angles(simulator):
    known = torch.tensor([[80.0, 60.0, -300.0], [81.0, 61.0, -310.0]])
    _, geometry, _ = simulator.draw(501, known, generator())
    is_known = (geometry[:, None] == known).all(-1)
    assert is_known.any(1).tolist() == [True] * 250 + [False] * 251
    # Both of them about as often.
    assert 90 < is_known[:, 0].sum() < 160


def test_nominal_angles(decoder):
    simulator = Simulator(decoder, [Prosail.priors], 0.01, has_angles=False)
    assert simulator.n_angles == 0
    _, geometry, _ = simulator.draw(20, None, generator())
    assert (geometry == torch.tensor([35.0, 5.0, 90.0])).all()


def test_later_canopies_differ_in_seasonal_variables_only(simulator, decoder):
    traits, geometry, _ = simulator.draw(500, None, generator())
    kept = traits.clone()
    later, other_geometry, _ = simulator.draw_later(traits, generator(1))
    torch.testing.assert_close(traits, kept, rtol=0, atol=0)
    names = [variable.name for variable in decoder.variables]
    for column, name in enumerate(names):
        if name in decoder.seasonal:
            assert (later[:, column] != traits[:, column]).float().mean() > 0.95, name
            table = torch.stack([later[:, column], traits[:, column]])
            assert torch.corrcoef(table)[0, 1] > 0.7, name
        else:
            assert (later[:, column] == traits[:, column]).all(), name
    torch.testing.assert_close(later[:, 11], later[:, 6] * later[:, 1])
    assert not torch.isclose(geometry, other_geometry).all(1).any()
    low, high = simulator.bounds()
    assert ((later >= low - 1e-5 * high) & (later <= high + 1e-5 * high)).all()


def test_noise(simulator):
    clean = torch.full((4000, 3), 0.3)
    noise = simulator.add_noise(clean, generator()) - clean
    assert abs(noise.mean()) < 3e-4
    # Standard deviations are uniform in 0-0.01, so that their mean square is a third of the last.
    assert noise.std().item() == pytest.approx(0.01 / 3**0.5, rel=0.05)
    # One size per spectrum.
    size = noise.abs().log()
    assert torch.corrcoef(size.T)[0, 1] > 0.2
    silent = Simulator(simulator.decoder, simulator.priors, 0.0, has_angles=True)
    torch.testing.assert_close(silent.add_noise(clean, generator()), clean)


def test_seed(simulator):
    one, two, three = (simulator.draw(20, None, generator(seed))[2] for seed in (0, 0, 1))
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert not torch.isclose(one, three).any(1).all()


def test_ranges_of_angles(decoder):
    ranges = {"sun zenith": (5.0, 6.0), "view zenith": (50.0, 50.0)}
    simulator = Simulator(decoder, [Prosail.priors], 0.01, has_angles=True, ranges=ranges)
    _, geometry, _ = simulator.draw(100, None, generator())
    assert ((geometry[:, 0] >= 5) & (geometry[:, 0] <= 6)).all()
    assert (geometry[:, 1] == 50).all()
    assert geometry[:, 2].std() > 50


def test_split(decoder):
    low = Prosail.priors | {"LAI": Prior.uniform(0.0, 1.0)}
    high = Prosail.priors | {"LAI": Prior.uniform(5.0, 6.0)}
    simulator = Simulator(decoder, [low, low, high], 0.0, has_angles=True)
    assert (simulator.bounds()[0][6], simulator.bounds()[1][6]) == (0, 6)
    lai = simulator.draw(300, None, generator())[0][:, 6]
    assert (lai <= 1).sum() == 200
    parts = simulator.split()
    assert len(parts) == 2
    assert parts[1].draw(10, None, generator())[0][:, 6].min() >= 5
    assert parts[0].split() == []

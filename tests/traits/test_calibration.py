"""What held-out simulations tell about the errors of an encoder."""

import numpy as np
import pytest
import torch
from spectra import TRAITS

from sklearn_sits.datasets import make_prosail
from sklearn_sits.traits.calibration import calibrate_encoder
from sklearn_sits.traits.posterior import TraitPosterior


@pytest.fixture(scope="module")
def simulations(trained):
    """Posterior and traits of simulations of other seeds than those of the fit."""
    simulator = trained._prepare(trained._decoder)
    generator = torch.Generator().manual_seed(123)
    traits, angles, clean = simulator.draw(3000, None, generator)
    noisy = simulator.add_noise(clean, generator)
    module = trained._copy_for(torch.device("cpu"), torch.float32)["encoder"]
    return TraitPosterior(module, simulator.decoder, noisy, angles, *simulator.bounds()), traits


def test_coverage_of_simulations(simulations):
    posterior, traits = simulations
    levels = torch.tensor([0.025, 0.975])[:, None, None]
    with torch.no_grad():
        lower, upper = posterior.quantiles(levels, list(range(16)))
    coverage = ((traits >= lower) & (traits <= upper)).float().mean(0)
    assert ((coverage > 0.93) & (coverage < 0.975)).all(), coverage


def test_factors_were_needed(simulations):
    """After a short training, distributions without them miss their coverage."""
    posterior, _ = simulations
    factor = posterior.module.simulation_factor
    assert (factor > 0.5).all()
    assert (factor < 3).all()
    assert ((factor - 1).abs() > 0.02).any()
    assert (posterior.module.measurement_factor == 1).all()


def test_copula_factor(simulations):
    factor = simulations[0].module.copula_factor
    assert factor.shape == (11, 11)
    torch.testing.assert_close(factor, factor.tril())
    torch.testing.assert_close(factor.square().sum(1), torch.ones(11))
    assert (factor.diagonal() > 0).all()
    correlation = factor @ factor.T
    # What makes a spectrum bright: dense leaves, or a soil that is.
    assert (correlation - torch.eye(11)).abs().max() > 0.2


def test_copula_has_the_correlations_of_errors(simulations):
    """Rank correlations of the errors of other simulations, as shares of the widths."""
    posterior, traits = simulations
    with torch.no_grad():
        mean, std = posterior.moments(list(range(11)))
    errors = ((traits[:, :11] - mean) / std).argsort(0).argsort(0).double()
    found = torch.corrcoef(errors.T)
    factor = posterior.module.copula_factor.double()
    # Spearman's correlation of a normal copula.
    expected = 6 / np.pi * torch.asin(factor @ factor.T / 2)
    assert (found - expected).abs().median() < 0.06
    assert torch.corrcoef(torch.stack([found[found < 0.99], expected[found < 0.99]]))[0, 1] > 0.8


def test_errors_of_dates_are_correlated(simulations):
    correlation = simulations[0].module.error_correlation
    assert ((correlation >= 0) & (correlation <= 0.95)).all()
    assert correlation.max() > 0.3


def test_calibration_depends_on_the_seed_alone(trained):
    module = trained._copy_for(torch.device("cpu"), torch.float32)["encoder"]
    before = {name: value.clone() for name, value in module.state_dict().items()}
    found = []
    for seed in (0, 0, 1):
        simulator = trained._prepare(trained._decoder.float())
        calibrate_encoder(module, simulator, None, torch.Generator().manual_seed(seed))
        found.append(module.simulation_factor.clone())
    module.load_state_dict(before)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    torch.testing.assert_close(found[0], found[2], rtol=0.2, atol=0)


def test_interval_of_the_estimator(trained):
    X, y = make_prosail(2000, targets=["LAI", "CCC"], random_state=9)
    lower, upper = trained.predict_interval(X)
    coverage = ((lower <= y) & (y <= upper)).mean(0)
    assert ((coverage > 0.92) & (coverage < 0.98)).all(), coverage
    assert TRAITS.index("CCC") == 11

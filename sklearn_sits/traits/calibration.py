"""The statistics of the errors of an encoder on held-out simulations."""

import torch

from sklearn_sits.traits.posterior import TraitPosterior
from sklearn_sits.traits.time_series import to_log

__all__ = ["calibrate_encoder"]

_HELD_OUT = 4096
_IN_DOMAIN = 8192  # simulations
_COVERAGE = 0.95
_MAX_CORRELATION = 0.95
# Normal scores of errors beyond this are as good as infinite.
_LARGEST_SCORE = 4.0
# A misfit this much above that of 99 % of simulations is none of theirs.
_LARGEST_MISFIT = 1.25
# Keeps the correlations of an encoder that has learned nothing positive definite.
_RIDGE = 1e-3


def calibrate_encoder(module, simulator, angles, generator):
    """Set the buffers of a trained encoder from simulations that it has not seen.

    The intervals then have their coverage where the canopy model is right. Objectives on spectra
    alone make them narrower with no regard to that.

    Parameters
    ----------
    module : CalibratedEncoder
        Trained encoder, on the CPU.
    simulator : Simulator
        Source of simulations, its decoder on the CPU.
    angles : tensor of shape (m, n_angles) or None
        Angles that half of the simulations take.
    generator : torch.Generator
        Source of randomness.
    """
    low, high = simulator.bounds()
    traits, *views = simulator.draw(_HELD_OUT, angles, generator)
    later, *later_views = simulator.draw_later(traits, generator)
    latents = ((traits - low) / (high - low)).clamp(0, 1)
    module.log_std.copy_(to_log(latents).std(0))
    module.simulation_factor.fill_(1.0)
    module.measurement_factor.fill_(1.0)
    with torch.no_grad():
        posterior = _encode(module, simulator, *views, low, high, generator)
        module.learn_residuals(posterior.spectra - posterior.reconstruction)
        misfit = module.misfit(posterior.spectra - posterior.reconstruction)
        position = _find_position(posterior, traits)
        factor = torch.quantile(position.abs(), _COVERAGE, dim=0)
        # Of several types of canopy, the one with the largest errors sets the widths: nobody knows
        # of which type a spectrum is.
        for part in simulator.split():
            traits_of_type, *views = part.draw(_HELD_OUT, angles, generator)
            of_type = _find_position(
                _encode(module, part, *views, low, high, generator), traits_of_type
            )
            factor = torch.maximum(factor, torch.quantile(of_type.abs(), _COVERAGE, dim=0))
        module.simulation_factor.copy_(factor)
        module.copula_factor.copy_(_correlate(position[:, : posterior.n_variables]))
        posterior = _encode(module, simulator, *later_views, low, high, generator)
        both = torch.stack([position, _find_position(posterior, later)])
        both = torch.nn.functional.normalize(both - both.mean(1, keepdim=True), dim=1)
        module.error_correlation.copy_(both.prod(0).sum(0).clamp(0, _MAX_CORRELATION))
        module.largest_misfit.copy_(_LARGEST_MISFIT * torch.quantile(misfit, 0.99))
        _, geometry, clean = simulator.draw(_IN_DOMAIN, angles, generator)
        noisy = simulator.add_noise(clean, generator)
        module.domain.learn(noisy, geometry[:, : simulator.n_angles], generator)


def _correlate(position):
    """Return the Cholesky factor of the rank correlations of errors."""
    ranks = position.argsort(0).argsort(0).double()
    scores = torch.special.ndtri((ranks + 0.5) / len(ranks)).clamp(-_LARGEST_SCORE, _LARGEST_SCORE)
    identity = torch.eye(position.shape[1], dtype=torch.float64)
    correlation = torch.corrcoef(scores.T).reshape(identity.shape)
    return torch.linalg.cholesky((1 - _RIDGE) * correlation + _RIDGE * identity)


def _find_position(posterior, traits):
    """Return where the traits are: 0 at the median, -1 and 1 at the ends of an interval."""
    tail = (1 - _COVERAGE) / 2
    levels = torch.tensor([tail, 0.5, 1 - tail])[:, None, None]
    lower, median, upper = posterior.quantiles(levels, list(range(traits.shape[1])))
    distance = traits - median
    # A median at a bound has nothing on its other side, nor has the trait.
    position = torch.maximum(distance / (upper - median), distance / (lower - median))
    return (position * torch.sign(distance)).nan_to_num(0.0)


def _encode(module, simulator, geometry, clean, low, high, generator):
    noisy = simulator.add_noise(clean, generator)
    angles = geometry[:, : simulator.n_angles]
    return TraitPosterior(module, simulator.decoder, noisy, angles, low, high)

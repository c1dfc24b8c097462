"""What held-out simulations show about the errors of an encoder."""

import torch

from sklearn_sits.traits.posterior import TraitPosterior
from sklearn_sits.traits.time_series import to_log

__all__ = ["calibrate_encoder"]

_HELD_OUT = 4096
_COVERAGE = 0.95
_MAX_SHARED = 0.95


def calibrate_encoder(module, simulator, angles, generator):
    """Set the buffers of a trained encoder from simulations that it has not seen.

    The intervals become right where the canopy model is: objectives on spectra alone narrow them
    with no regard to that.

    Parameters
    ----------
    module : CalibratedEncoder
        Trained encoder, on the CPU.
    simulator : Simulator
        Source of simulations, its decoder on the CPU.
    angles : tensor of shape (m, 3) or None
        Angles that half of the simulations take.
    generator : torch.Generator
        Source of randomness.
    """
    low, high = (torch.from_numpy(bound).float() for bound in simulator.bounds())
    traits, *views = simulator.draw(_HELD_OUT, angles, generator)
    later, *later_views = simulator.draw_later(traits, generator)
    latents = ((traits - low) / (high - low)).clamp(0, 1)
    module.spread.copy_(to_log(latents).std(0))
    module.widening.fill_(1.0)
    module.labelled.fill_(1.0)
    with torch.no_grad():
        posterior = _encode(module, simulator, *views, low, high, generator)
        module.learn_residuals(posterior.residuals)
        position = _position(posterior, traits)
        module.widening.copy_(torch.quantile(position.abs(), _COVERAGE, dim=0))
        posterior = _encode(module, simulator, *later_views, low, high, generator)
        both = torch.stack([position, _position(posterior, later)])
        both = torch.nn.functional.normalize(both - both.mean(1, keepdim=True), dim=1)
        module.shared.copy_(both.prod(0).sum(0).clamp(0, _MAX_SHARED))


def _position(posterior, traits):
    """Return where the traits are: 0 at the median, -1 and 1 at the ends of an interval."""
    tail = (1 - _COVERAGE) / 2
    levels = torch.tensor([tail, 0.5, 1 - tail])[:, None, None]
    lower, median, upper = posterior.quantiles(levels, list(range(traits.shape[1])))
    distance = traits - median
    # A median at a bound has nothing on its other side, nor has the trait.
    position = torch.maximum(distance / (upper - median), distance / (lower - median))
    return (position * torch.sign(distance)).nan_to_num(0.0)


def _encode(module, simulator, geometry, clean, low, high, generator):
    angles = geometry if simulator.has_angles else geometry[:, :0]
    noisy = simulator.add_noise(clean, generator)
    return TraitPosterior(module, simulator.decoder, noisy, angles, low, high)

"""Tests of the number of seasons of a year, and flags of seasons that are not to be trusted."""

import torch
from scipy.special import fdtri

from sklearn_sits.nn.latents import latent_moments

__all__ = ["QUALITY_FLAGS", "flag_seasons", "is_double"]

QUALITY_FLAGS = {
    "not_observed": 1,
    "no_season": 2,
    "several_seasons": 4,
    "badly_seen": 8,
    "extrapolated_start": 16,
    "extrapolated_end": 32,
    "misfit": 64,
}

# Parameters of a constant, a season, and two seasons.
_CONSTANT, _SEASON, _DOUBLE = 1, 6, 12
# Levels of the tests of a season against a constant, and of two seasons against one.
_LEVEL_SEASON, _LEVEL_DOUBLE = 0.05, 0.01
# A transition is badly seen with fewer observations from so many days before to after it.
_FEWEST, _AROUND = 2, 15.0
# Residuals so many times as large as the noise are a misfit.
_MISFIT = 2.0


def is_double(whole, first, second, constant, depth, module):
    """Test whether years have two seasons.

    The index falls between two seasons, and rises in both, by the smallest amplitude of the
    priors. The two explain the observations better than one season, or a constant, does in an
    F-test.

    Parameters
    ----------
    whole, first, second : SeasonFit
        Of the year, and of its parts.
    constant : tensor of shape (n,)
        Sum of the squared residuals of a constant over the year.
    depth : tensor of shape (n,)
        Of the valley between the parts.
    module : SeasonModel
        Trained model.

    Returns
    -------
    is_double : bool tensor of shape (n,)
    """
    both = first.square + second.square
    is_flat = constant < whole.square
    one = torch.where(is_flat, constant, whole.square)
    n_parameters = torch.where(is_flat, _CONSTANT, _SEASON)
    is_better = _is_better(one, n_parameters, both, _DOUBLE, whole.n_observed, _LEVEL_DOUBLE)
    fall = torch.stack([depth, _amplitude(first, module), _amplitude(second, module)])
    return is_better & (fall >= module.smallest_amplitude).all(0)


def flag_seasons(fit, constant, days, seen, is_several, module):
    """Find what is wrong with seasons.

    Parameters
    ----------
    fit : SeasonFit
        Seasons.
    constant : tensor of shape (n,)
        Sums of the squared residuals of a constant.
    days, seen : tensor of shape (n, t)
        Days of the season, and where there is an observation of the year.
    is_several : bool tensor of shape (n,)
        Whether the year has more than one season.
    module : SeasonModel
        Trained model.

    Returns
    -------
    flags : int64 tensor of shape (n,)
        Sums of values of `QUALITY_FLAGS`.
    """
    explains = _is_better(constant, _CONSTANT, fit.square, _SEASON, fit.n_observed, _LEVEL_SEASON)
    mean, _ = latent_moments(fit.loc, fit.scale)
    dates = module.to_parameters(mean)[:, 2:].unsqueeze(2)
    start, maturity, senescence, end = dates.unbind(1)
    never = torch.full_like(days, torch.inf)
    found = {
        "no_season": ~is_several
        & (~explains | (_amplitude(fit, module) < module.smallest_amplitude)),
        "several_seasons": is_several,
        "badly_seen": _is_badly_seen(start, maturity, days, seen)
        | _is_badly_seen(senescence, end, days, seen),
        "extrapolated_start": (start < torch.where(seen, days, never)).all(1),
        "extrapolated_end": (end > torch.where(seen, days, -never)).all(1),
        "misfit": fit.square > _MISFIT**2 * module.noise_variance * fit.n_observed,
    }
    return sum(QUALITY_FLAGS[name] * is_flagged for name, is_flagged in found.items())


def _amplitude(fit, module):
    minimum, maximum = module.to_parameters(fit.loc)[:, :2].unbind(1)
    return maximum - minimum


def _is_better(square, n_parameters, other_square, n_other, count, level):
    """Test whether a model explains more than one with fewer parameters, by an F-test."""
    more, left = n_other - torch.as_tensor(n_parameters), count - n_other
    known = left > 0
    left = left.clamp_min(1)
    threshold = fdtri(more.cpu().numpy(), left.cpu().numpy(), 1 - level)
    threshold = torch.as_tensor(threshold).to(square)
    ratio = (square - other_square) * left / more
    return known & (ratio > threshold * other_square)


def _is_badly_seen(first, last, days, seen):
    near = seen & (days >= first - _AROUND) & (days <= last + _AROUND)
    return near.sum(1) < _FEWEST

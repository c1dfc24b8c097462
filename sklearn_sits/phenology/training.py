"""Training of the encoder of seasons on simulations and on observed series."""

import torch

from sklearn_sits.nn.gridding import drop_gaps
from sklearn_sits.nn.latents import kl_to_uniform, latent_nll
from sklearn_sits.nn.ordered import dependence, sample_dependent
from sklearn_sits.nn.reconstruction import reconstruction_nll
from sklearn_sits.phenology.valleys import split_at_valleys
from sklearn_sits.physics.double_logistic import (
    LAST_DAY,
    PHENOLOGY,
    double_logistic,
    sample_phenology,
)
from sklearn_sits.runtime.batches import to_tensor
from sklearn_sits.vae.training import AutoEncoderTraining

__all__ = ["SeasonTraining", "cross_patterns", "cut_patterns"]

# Share of the patterns that are a part of the year, its length in days, and its observations.
_CUT_SHARE, _PARTS, _FEWEST = 0.25, (60.0, 300.0), 3
_PATTERNS = 4096  # of dates and gaps, at least
_STANDARDISED = 4096  # simulations by which the inputs are standardised


def cross_patterns(days, seen, n, generator):
    """Make more dates and gaps from those of few series.

    A new pattern is that of one series up to some day, and of another one from there on.

    Parameters
    ----------
    days : tensor of shape (m, t)
        Days of the season.
    seen : bool tensor of shape (m, t)
        Where there is an observation, one per series at least.
    n : int
        Number of patterns wanted.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    days : tensor of shape (max(m, n), u)
    seen : bool tensor of shape (max(m, n), u)
        At least one per row, the given ones first.
    """
    m = len(days)
    if m >= n:
        return days, seen
    low, high = days[seen].min(), days[seen].max()
    at = low + (high - low) * torch.rand(n - m, 1, generator=generator)
    one, other = torch.randint(m, (2, n - m), generator=generator)
    early, late = seen[one] & (days[one] < at), seen[other] & (days[other] >= at)
    empty = ~(early.any(1) | late.any(1))
    early[empty] = seen[one[empty]]
    joined = torch.cat([days, torch.zeros_like(days)], 1), torch.cat([days[one], days[other]], 1)
    masks = torch.cat([seen, torch.zeros_like(seen)], 1), torch.cat([early, late], 1)
    days, seen = torch.cat(joined), torch.cat(masks)
    days, _, seen = drop_gaps(days, days, seen)
    return days, seen


def cut_patterns(days, seen, generator):
    """Hide what lies beside a part of the year in some of the patterns.

    The encoder has to know them because years are cut into seasons.

    Parameters
    ----------
    days, seen
        See :func:`cross_patterns`.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    seen : bool tensor of shape (n, t)
        Rows that are cut keep three observations at least.
    """
    n = len(days)
    length = _PARTS[0] + (_PARTS[1] - _PARTS[0]) * torch.rand(n, 1, generator=generator)
    first = PHENOLOGY[2].low + (LAST_DAY - PHENOLOGY[2].low - length) * torch.rand(
        n, 1, generator=generator
    )
    part = seen & (days >= first) & (days <= first + length)
    is_cut = torch.rand(n, 1, generator=generator) < _CUT_SHARE
    return torch.where(is_cut & (part.sum(1, keepdim=True) >= _FEWEST), part, seen)


class SeasonTraining(AutoEncoderTraining):
    """Training of a :class:`~sklearn_sits.phenology.model.SeasonModel`.

    Parameters
    ----------
    module : SeasonModel
        With its bounds set; initialised and trained in place, left on the CPU.
    patterns : tuple of tensors
        As `drop_gaps` returns them: the series to reconstruct, whose dates and gaps are those of
        the simulations.
    priors : dict of str to (float, float)
        See :class:`PhenologyVAERegressor`.
    noise : float
        See :class:`PhenologyVAERegressor`.
    n_seasons : {1, 2}
        See :class:`PhenologyVAERegressor`. With 2, the series to reconstruct are cut at valleys.
    settings, generator, device
        See :class:`AutoEncoderTraining`.
    """

    observed_rate = 1 / 4

    def __init__(self, module, patterns, *, priors, noise, n_seasons, settings, generator, device):
        super().__init__(module, settings, generator, device)
        self._patterns, self._priors, self._noise = patterns, priors, noise
        self._days, self._seen = cross_patterns(patterns[0], patterns[2], _PATTERNS, generator)
        self._seen = cut_patterns(self._days, self._seen, generator)
        if n_seasons == 2:
            self._patterns = split_at_valleys(*patterns, module.smallest_amplitude)

    def fit(self):
        """See :meth:`AutoEncoderTraining.run`."""
        with self._make_bar() as bar:
            history = self.run(bar)
        self.module.cpu()
        return history

    def reset(self):
        """Standardise the inputs of the encoder by simulations, and draw its weights."""
        module = self.module.to(self.device)
        inputs = module.inputs(*self._simulate(_STANDARDISED)[1:])
        module.cpu().encoder.reset(inputs.cpu(), self.generator)

    def simulated_loss(self, n):
        """See :class:`AutoEncoderTraining`."""
        parameters, *series = self._simulate(n)
        latents, refined = self.module.to_latents(parameters), self.module(*series)
        nll = latent_nll(refined.loc, refined.scale, latents).sum(-1).mean()
        first = latent_nll(refined.first_loc, refined.first_scale, latents).sum(-1).mean()
        return nll + first, nll

    def observed_loss(self, n):
        """See :class:`AutoEncoderTraining`."""
        chosen = torch.randint(len(self._patterns[0]), (n,), generator=self.generator)
        days, target, seen = (self._move(part[chosen]) for part in self._patterns)
        refined = self.module(days, target, seen)
        shape = (self.settings.n_mc_samples, *refined.loc.shape)
        normal = self._move(torch.randn(shape, generator=self.generator))
        factor = dependence(refined.covariance)
        draws = sample_dependent(refined.loc, refined.scale, factor, normal)
        target = torch.where(seen, target, torch.nan)
        nll = reconstruction_nll(self.module.decode(draws, days), target).sum(-1).mean()
        kl = kl_to_uniform(refined.loc, refined.scale).sum(-1).mean()
        return nll, kl, torch.zeros_like(kl)

    def _simulate(self, n):
        """Return parameters, and the days, values and gaps of noisy observations of them."""
        generator = self.generator
        parameters = sample_phenology(n, self._priors, generator).float()
        chosen = torch.randint(len(self._days), (n,), generator=generator)
        days, seen = self._days[chosen], self._seen[chosen]
        size = self._noise * torch.rand(n, 1, generator=generator)
        noisy = double_logistic(parameters, days)
        noisy = noisy + size * torch.randn(noisy.shape, generator=generator)
        return [self._move(tensor) for tensor in (parameters, days, noisy, seen)]

    def _move(self, tensor):
        return to_tensor(tensor.numpy(), self.device)

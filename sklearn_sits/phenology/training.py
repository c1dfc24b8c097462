"""Training of the encoder of seasons on simulations and on observed series."""

import torch
from tqdm import tqdm

from sklearn_sits.nn.gridding import drop_gaps
from sklearn_sits.nn.ordered import dependence, sample_dependent
from sklearn_sits.nn.vae import kl_to_uniform, latent_nll, reconstruction_nll
from sklearn_sits.physics.double_logistic import double_logistic, sample_phenology
from sklearn_sits.vae.minimise import minimise

__all__ = ["cross_patterns", "train_seasons"]

_PATTERNS = 4096  # of dates and gaps, at least
# Simulations per step, as a multiple of the observed series.
_SIMULATED = 4
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


def train_seasons(
    module,
    patterns,
    *,
    priors,
    noise,
    objective,
    pretrain_iter,
    max_iter,
    batch_size,
    learning_rate,
    n_mc_samples,
    kl_weight,
    verbose,
    generator,
    device,
):
    """Train a module on simulations and then, unless told otherwise, on observed series.

    Parameters
    ----------
    module : SeasonModel
        With its bounds set; initialised and trained in place, left on the CPU.
    patterns : tuple of tensors
        As `drop_gaps` returns them: the series to reconstruct, whose dates and gaps
        are those of the simulations.
    priors, noise, objective
        See :class:`PhenologyVAERegressor`.
    pretrain_iter, max_iter, batch_size, n_mc_samples : int
        See :class:`PhenologyVAERegressor`.
    learning_rate, kl_weight : float
        See :class:`PhenologyVAERegressor`.
    verbose : int
        If positive, show a progress bar.
    generator : torch.Generator
        Source of randomness, on the CPU.
    device : torch.device
        Where to train.

    Returns
    -------
    history : list of dict
        Per 100 steps: step, phase, and the mean of each part of the loss.

    Raises
    ------
    FloatingPointError
        If the training diverges.
    """
    days, seen = cross_patterns(patterns[0], patterns[2], _PATTERNS, generator)

    def simulate(n):
        """Return parameters, and the days, values and gaps of what is observed of them."""
        parameters = sample_phenology(n, priors, generator).float()
        chosen = torch.randint(len(days), (n,), generator=generator)
        size = noise * torch.rand(n, 1, generator=generator)
        noisy = double_logistic(parameters, days[chosen])
        noisy = noisy + size * torch.randn(noisy.shape, generator=generator)
        return [tensor.to(device) for tensor in (parameters, days[chosen], noisy, seen[chosen])]

    module.to(device)
    inputs = module.inputs(*simulate(_STANDARDISED)[1:])
    module.cpu().encoder.reset(inputs.cpu(), generator)
    module.to(device)

    def supervised(n):
        parameters, *series = simulate(n)
        latents, found = module.to_latents(parameters), module(*series)
        nll = latent_nll(found.loc, found.scale, latents).sum(-1).mean()
        first = latent_nll(found.first_loc, found.first_scale, latents).sum(-1).mean()
        return nll, first

    def self_supervised(n):
        chosen = torch.randint(len(patterns[0]), (n,), generator=generator)
        at, target, observed = (part[chosen].to(device) for part in patterns)
        found = module(at, target, observed)
        normal = torch.randn(n_mc_samples, *found.loc.shape, generator=generator).to(device)
        draws = sample_dependent(found.loc, found.scale, dependence(found.covariance), normal)
        target = torch.where(observed, target, torch.nan)
        nll = reconstruction_nll(module.decode(draws, at), target).sum(-1).mean()
        return nll, kl_to_uniform(found.loc, found.scale).sum(-1).mean()

    def simulations_only(step):
        nll, first = supervised(_SIMULATED * batch_size)
        return nll + first, {"simulations": nll}

    def with_observations(step):
        nll, kl = self_supervised(batch_size)
        loss, parts = nll + kl_weight * kl, {"reconstruction": nll, "kl": kl}
        if objective == "hybrid":
            simulated, first = supervised(_SIMULATED * batch_size)
            loss, parts = loss + simulated + first, parts | {"simulations": simulated}
        return loss, parts

    observed = objective != "simulations"
    bar = tqdm(total=pretrain_iter + max_iter * observed, disable=not verbose, unit="step")
    with bar:
        history = minimise(module, simulations_only, pretrain_iter, learning_rate, "pretrain", bar)
        if observed:
            rate = learning_rate / 4
            records = minimise(module, with_observations, max_iter, rate, "observed", bar)
            history += [record | {"step": pretrain_iter + record["step"]} for record in records]
    module.cpu().eval()
    return history

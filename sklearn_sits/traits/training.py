"""Training of a physics-constrained auto-encoder on simulations and on observed spectra."""

import warnings

import numpy as np
import torch
from tqdm import tqdm

from sklearn_sits.nn.vae import kl_to_uniform, latent_nll, reconstruction_nll, sample_latents
from sklearn_sits.physics import VARIABLES, TruncatedNormal
from sklearn_sits.traits.simulator import NOMINAL_ANGLES, with_ground
from sklearn_sits.vae.minimise import minimise

__all__ = ["train_vae"]

_NAMES = [variable.name for variable in VARIABLES]
_LAI = _NAMES.index("LAI")
# Learning rate on observed spectra, as a share of that on simulations.
_OBSERVED_RATE = 1 / 6
# Correlation of the predicted and the true LAI below which nothing was learned, and share of the
# range above which its distribution is too wide to have been.
_CORRELATED, _WIDE = 0.2, 0.9
_CHECKED = 4096  # simulations
_ATTEMPTS = 3


def train_vae(
    module,
    simulator,
    spectra,
    angles,
    *,
    kept,
    objective,
    n_simulations,
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
    """Train a module on simulations and then, unless told otherwise, on observed spectra too.

    Parameters
    ----------
    module : CalibratedEncoder
        Initialised and trained in place; left on the CPU.
    simulator : Simulator
        Source of simulations, and of the decoder.
    spectra : float32 tensor of shape (n, n_bands)
        Observed reflectances.
    angles : float32 tensor of shape (n, 3)
        Their angles in degrees.
    kept : sequence of bool
        Bands that have to be reconstructed.
    objective : {"hybrid", "self-supervised", "simulations"}
        See :class:`ProsailVAERegressor`.
    n_simulations, pretrain_iter, max_iter, batch_size, n_mc_samples : int
        See :class:`ProsailVAERegressor`.
    learning_rate, kl_weight : float
        See :class:`ProsailVAERegressor`.
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

    Warns
    -----
    UserWarning
        If the encoder has learned nothing about LAI from the spectra; the training starts again
        with other weights, at most twice.
    """
    observed = objective != "simulations"
    traits, geometry, clean = simulator.draw(n_simulations, angles if observed else None, generator)
    n_angles = 3 if simulator.has_angles else 0
    cosines = torch.cos(torch.deg2rad(geometry[:, :n_angles]))
    inputs = torch.cat([clean, cosines], dim=1)
    module.encoder.reset(inputs, generator)

    decoder = simulator.decoder.to(device)
    low, high = (torch.from_numpy(b).float().to(device) for b in simulator.bounds())
    latents = ((traits.to(device) - low) / (high - low)).clamp(0, 1)
    geometry, clean = geometry.to(device), clean.to(device)
    module.to(device)
    drawn = torch.Generator(device).manual_seed(int(torch.randint(2**31, (), generator=generator)))

    def supervised(n):
        chosen = torch.randint(n_simulations, (n,), generator=generator).to(device)
        noisy = simulator.add_noise(clean[chosen], generator)
        loc, scale = module(noisy, geometry[chosen, :n_angles])
        return latent_nll(loc, scale, latents[chosen]).sum(-1).mean()

    spectra, angles = spectra.to(device), angles.to(device)
    nominal = torch.tensor(NOMINAL_ANGLES, device=device)
    spread = module.encoder.spread[: spectra.shape[1]]
    kept = torch.tensor(list(kept), device=device)
    n_variables = len(_NAMES)

    def self_supervised(n):
        chosen = torch.randint(len(spectra), (n,), generator=generator).to(device)
        x, a = spectra[chosen], angles[chosen]
        loc, scale = module(x, a[:, :n_angles])
        draws = sample_latents(loc, scale, n_mc_samples, drawn)
        values = low + (high - low) * draws
        decoded = decoder(values[..., :n_variables], a if n_angles else nominal, check=False)
        nll = reconstruction_nll(decoded / spread, x / spread)[:, kept].sum(-1).mean()
        kl = kl_to_uniform(loc[:, _LAI], scale[:, _LAI]).mean()
        # The traits per ground area have no part in the decoder: they follow the draws.
        ground = (with_ground(values[0, :, :n_variables]) - low) / (high - low)
        follow = latent_nll(loc, scale, ground.detach())[:, n_variables:].sum(-1).mean()
        return nll, kl, follow

    def simulations_only(step):
        loss = supervised(4 * batch_size)
        return loss, {"simulations": loss}

    def with_observations(step):
        nll, kl, follow = self_supervised(batch_size)
        # Full weight from the start collapses some trainings to the prior.
        weight = kl_weight * min(1.0, 2 * step / max_iter)
        loss = nll + weight * kl + follow
        parts = {"reconstruction": nll, "kl": kl}
        if objective == "hybrid":
            simulated = supervised(4 * batch_size)
            loss = loss + simulated
            parts["simulations"] = simulated
        return loss, parts

    def collapsed():
        """Whether the LAI of simulations is not followed, or not narrowed, by the encoder."""
        with torch.no_grad():
            loc, scale = module(clean[:_CHECKED], geometry[:_CHECKED, :n_angles])
        loc, scale, true = loc[:, _LAI], scale[:, _LAI], latents[:_CHECKED, _LAI]
        found = TruncatedNormal(loc, scale, 0.0, 1.0).mean
        both = torch.stack([found.to(true), true])
        correlation = torch.corrcoef(both)[0, 1] if len(true) > 1 else torch.ones(())
        # Against the divergence of a uniform distribution of this share of the range.
        wide = kl_to_uniform(loc, scale).mean() < -np.log(_WIDE)
        return bool(wide) or not correlation > _CORRELATED

    n_steps = pretrain_iter + max_iter * observed
    with tqdm(total=n_steps, disable=not verbose, unit="step") as bar:
        for attempt in range(1, _ATTEMPTS + 1):
            history = minimise(
                module, simulations_only, pretrain_iter, learning_rate, "pretrain", bar
            )
            if observed:
                module.before.load_state_dict(module.encoder.state_dict())
                rate = learning_rate * _OBSERVED_RATE
                records = minimise(module, with_observations, max_iter, rate, "observed", bar)
                history += [r | {"step": pretrain_iter + r["step"]} for r in records]
            module.eval()
            if not collapsed():
                break
            _warn_of_collapse(attempt)
            if attempt < _ATTEMPTS:
                module.encoder.cpu().reset(inputs, generator)
                module.to(device)
                bar.reset()
    module.cpu()
    decoder.cpu()
    return history


def _warn_of_collapse(attempt):
    advice = (
        "It starts again with other weights."
        if attempt < _ATTEMPTS
        else "Try another random_state, a lower learning_rate or a smaller kl_weight."
    )
    warnings.warn(
        f"Training {attempt} of at most {_ATTEMPTS} collapsed: the distribution of LAI does not "
        f"follow the spectra of simulations. {advice}",
        UserWarning,
        stacklevel=5,
    )

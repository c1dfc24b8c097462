"""Training of a physics-constrained auto-encoder on simulations and on observed spectra."""

import warnings

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from sklearn_sits.nn.vae import kl_to_uniform, latent_nll, reconstruction_nll, sample_latents
from sklearn_sits.physics import VARIABLES, TruncatedNormal, sample_geometry, sample_variables

__all__ = ["NOMINAL_ANGLES", "Simulator", "VAEModule", "train_vae"]

_NAMES = [variable.name for variable in VARIABLES]
_LAI = _NAMES.index("LAI")
_PER_GROUND = [_NAMES.index(name) for name in ("Cab", "Cw", "Cm")]
# Sun zenith, view zenith and relative azimuth where X has none, in degrees.
NOMINAL_ANGLES = (35.0, 5.0, 90.0)
_FINAL_RATE = 0.01
_GRADIENT_NORM = 10.0
_HELD_OUT = 4096  # simulations that give the scale of the residuals
_RECORD = 100
# Steps with a gradient that is not finite are skipped; more than this share is a divergence.
_MAX_SKIPPED = 0.05
# Correlation of the predicted and the true LAI below which nothing was learned, and share of the
# range above which its distribution is too wide to have been.
_CORRELATED, _WIDE = 0.2, 0.9


class VAEModule(nn.Module):
    """An encoder and the residuals that it leaves in simulations.

    Parameters
    ----------
    encoder : torch.nn.Module
        From standardised inputs to loc and scale of the latents.
    n_bands : int
        Number of bands.
    """

    def __init__(self, encoder, n_bands):
        super().__init__()
        self.encoder = encoder
        self.register_buffer("whitening", torch.eye(n_bands))
        self.register_buffer("typical", torch.ones(()))

    def forward(self, spectra, angles):
        """Encode spectra.

        Parameters
        ----------
        spectra : tensor of shape (n, n_bands)
            Reflectances.
        angles : tensor of shape (n, 3) or (n, 0)
            Angles in degrees, which the encoder sees as cosines.

        Returns
        -------
        loc, scale : tensor of shape (n, n_latents)
        """
        return self.encoder(torch.cat([spectra, torch.cos(torch.deg2rad(angles))], dim=1))

    def misfit(self, residuals):
        """Compute how much larger residuals are than those of simulations.

        Parameters
        ----------
        residuals : tensor of shape (n, n_bands)
            Observed minus reconstructed reflectances.

        Returns
        -------
        factor : tensor of shape (n,)
            About one for spectra that the model can produce.
        """
        square = (residuals @ self.whitening).square().mean(1)
        return torch.sqrt((1 + square) / (1 + self.typical.square()))

    def learn_residuals(self, residuals):
        """Set the scale of residuals.

        Parameters
        ----------
        residuals : tensor of shape (n, n_bands)
            Residuals of simulations.
        """
        residuals = residuals.double()
        covariance = residuals.T @ residuals / len(residuals)
        covariance += 1e-8 * torch.eye(len(covariance), dtype=covariance.dtype)
        inverse = torch.linalg.inv(torch.linalg.cholesky(covariance)).T
        self.whitening.copy_(inverse)
        self.typical.copy_((residuals @ inverse).square().mean(1).sqrt().median())


class Simulator:
    """Spectra of known traits.

    Parameters
    ----------
    decoder : Prosail
        Canopy model of the sensor.
    priors : dict of str to Prior
        Distributions of the variables.
    noise : float
        Largest standard deviation of the noise in reflectances.
    has_angles : bool
        Whether the geometry is known to the encoder; otherwise it is `NOMINAL_ANGLES`.
    """

    def __init__(self, decoder, priors, noise, has_angles):
        self.decoder, self.priors, self.noise, self.has_angles = decoder, priors, noise, has_angles

    def bounds(self):
        """Return the bounds of the traits.

        Returns
        -------
        low, high : float64 ndarray of shape (14,)
            Of the variables, then of CCC, CWC and CDMC.
        """
        priors = [self.priors[name] for name in _NAMES]
        low = np.array([min(prior.low, prior.dense_low) for prior in priors])
        high = np.array([max(prior.high, prior.dense_high) for prior in priors])
        low = np.concatenate([low, low[_LAI] * low[_PER_GROUND]])
        return low, np.concatenate([high, high[_LAI] * high[_PER_GROUND]])

    def draw(self, n, angles, generator):
        """Draw traits, angles and reflectances without noise.

        Parameters
        ----------
        n : int
            Number of draws.
        angles : tensor of shape (m, 3) or None
            Angles that half of the draws take.
        generator : torch.Generator
            Source of randomness.

        Returns
        -------
        traits : float32 tensor of shape (n, 14)
        angles : float32 tensor of shape (n, 3)
        spectra : float32 tensor of shape (n, n_bands)
        """
        variables = sample_variables(n, self.priors, max_soil=1.0, generator=generator).float()
        if self.has_angles:
            geometry = sample_geometry(n, generator).float()
            if angles is not None:
                chosen = torch.randint(len(angles), (n // 2,), generator=generator)
                geometry[: n // 2] = angles[chosen]
        else:
            geometry = torch.tensor(NOMINAL_ANGLES).expand(n, 3)
        with torch.no_grad():
            spectra = self.decoder(variables, geometry, check=False)
        return with_ground(variables), geometry, spectra

    def add_noise(self, spectra, generator):
        """Add noise of a random size per spectrum.

        Parameters
        ----------
        spectra : tensor of shape (n, n_bands)
            Reflectances.
        generator : torch.Generator
            Source of randomness, on the CPU.

        Returns
        -------
        tensor of shape (n, n_bands)
        """
        size = self.noise * torch.rand(len(spectra), 1, generator=generator)
        noise = size * torch.randn(spectra.shape, generator=generator)
        return spectra + noise.to(spectra.device)


def with_ground(variables):
    """Append chlorophyll, water and dry matter per ground area.

    Parameters
    ----------
    variables : tensor of shape (..., 11)
        Leaf, canopy and soil.

    Returns
    -------
    tensor of shape (..., 14)
    """
    per_ground = variables[..., _LAI, None] * variables[..., _PER_GROUND]
    return torch.cat([variables, per_ground], dim=-1)


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
    module : VAEModule
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
        If the encoder has learned nothing about LAI from the spectra.
    """
    observed = objective != "simulations"
    traits, geometry, clean = simulator.draw(
        n_simulations + _HELD_OUT, angles if observed else None, generator
    )
    n_angles = 3 if simulator.has_angles else 0
    cosines = torch.cos(torch.deg2rad(geometry[:, :n_angles]))
    module.encoder.reset(torch.cat([clean, cosines], dim=1), generator)

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

    bar = tqdm(total=pretrain_iter + max_iter * observed, disable=not verbose, unit="step")
    with bar:
        history = _optimise(module, simulations_only, pretrain_iter, learning_rate, "pretrain", bar)
        if observed:
            rate = learning_rate / 2
            records = _optimise(module, with_observations, max_iter, rate, "observed", bar)
            history += [record | {"step": pretrain_iter + record["step"]} for record in records]

    with torch.no_grad():
        module.eval()
        held_out = slice(n_simulations, None)
        noisy = simulator.add_noise(clean[held_out], generator)
        loc, scale = module(noisy, geometry[held_out, :n_angles])
        mean = TruncatedNormal(loc, scale, 0.0, 1.0).mean[:, :n_variables]
        values = low[:n_variables] + (high - low)[:n_variables] * mean
        residuals = noisy - decoder(values, geometry[held_out], check=False)
        module.learn_residuals(residuals)
        _warn_if_collapsed(loc[:, _LAI], scale[:, _LAI], latents[held_out, _LAI])
    module.cpu()
    decoder.cpu()
    return history


def _optimise(module, objective, n_steps, learning_rate, phase, bar):
    """Run Adam with a rate that falls as a cosine; return the mean parts of the loss."""
    optimiser = torch.optim.Adam(module.encoder.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimiser, n_steps, learning_rate * _FINAL_RATE
    )
    history, sums, n_skipped = [], {}, torch.zeros(())
    module.train()
    for step in range(1, n_steps + 1):
        optimiser.zero_grad()
        loss, parts = objective(step)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(module.encoder.parameters(), _GRADIENT_NORM)
        finite = torch.isfinite(norm)
        n_skipped = n_skipped + ~finite.cpu()
        if finite:
            optimiser.step()
        schedule.step()
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value.detach()
        bar.update()
        if step % _RECORD == 0 or step == n_steps:
            count = (step - 1) % _RECORD + 1
            record = {name: float(total) / count for name, total in sums.items()}
            history.append({"step": step, "phase": phase} | record)
            bar.set_postfix({name: f"{value:.2f}" for name, value in record.items()})
            sums = {}
    if n_skipped > _MAX_SKIPPED * n_steps or not all(
        np.isfinite(value) for value in record.values()
    ):
        raise FloatingPointError(
            f"The training diverged. Lower learning_rate={learning_rate}, or check X for extreme "
            "values."
        )
    return history


def _warn_if_collapsed(loc, scale, true):
    """Warn if the LAI of held-out simulations is not followed, or not narrowed, by its encoder."""
    found, true = TruncatedNormal(loc, scale, 0.0, 1.0).mean, true - true.mean()
    found = found - found.mean()
    correlation = (found @ true) / (found.norm() * true.norm()).clamp_min(1e-30)
    # Against the divergence of a uniform distribution of this share of the range.
    wide = kl_to_uniform(loc, scale).mean() < -np.log(_WIDE)
    if wide or not correlation > _CORRELATED:
        warnings.warn(
            "The training collapsed: the distribution of LAI does not follow the spectra of "
            f"simulations (correlation of the mean {float(correlation):.2f}). Try another "
            "random_state, a lower learning_rate or a smaller kl_weight.",
            UserWarning,
            stacklevel=5,
        )

"""Training of the encoder of traits on simulations and on observed spectra."""

import torch

from sklearn_sits._warnings import warn_user
from sklearn_sits.nn.latents import kl_to_uniform, latent_moments, latent_nll, sample_latents
from sklearn_sits.nn.reconstruction import reconstruction_nll
from sklearn_sits.vae.training import AutoEncoderTraining

__all__ = ["TraitTraining"]

# Correlation of the predicted and the true trait below which nothing was learned, and share of
# the range above which its distribution is too wide to have been.
_MIN_CORRELATION, _MAX_WIDTH = 0.2, 0.9
_CHECKED = 4096  # simulations
_MAX_ATTEMPTS = 3


class TraitTraining(AutoEncoderTraining):
    """Training of a :class:`~sklearn_sits.nn.calibrated_encoder.CalibratedEncoder`.

    Parameters
    ----------
    module : CalibratedEncoder
        Initialised and trained in place; left on the CPU.
    simulator : Simulator
        Source of simulations.
    decoder : RadiativeTransferModel
        Model through which spectra are reconstructed.
    spectra : float32 tensor of shape (n, n_bands)
        Observed reflectances.
    angles : float32 tensor of shape (n, n_angles)
        Their angles in degrees.
    is_reconstructed : bool ndarray of shape (n_bands,)
        Bands that have to be reconstructed.
    n_simulations : int
        Number of simulations.
    uses_angles : bool
        Whether half of the simulations take angles of the observed spectra.
    initial_state : dict of str to tensor or None
        State of a trained encoder to start from, in place of a training on simulations.
    settings, generator, device
        See :class:`AutoEncoderTraining`.

    Attributes
    ----------
    known_angles : tensor of shape (n, n_angles) or None
        Angles that half of the simulations take.
    """

    observed_rate = 1 / 6

    def __init__(
        self,
        module,
        simulator,
        decoder,
        spectra,
        angles,
        *,
        is_reconstructed,
        n_simulations,
        uses_angles,
        initial_state,
        settings,
        generator,
        device,
    ):
        super().__init__(module, settings, generator, device)
        self.initial_state = initial_state
        self.simulator, self.decoder = simulator, decoder
        self.known_angles = angles if uses_angles else None
        traits, geometry, clean = simulator.draw(n_simulations, self.known_angles, generator)
        n_angles = simulator.n_angles
        self._inputs = torch.cat([clean, torch.cos(torch.deg2rad(geometry[:, :n_angles]))], dim=1)
        self._low, self._high = (bound.to(device) for bound in simulator.bounds())
        self._latents = self._to_latents(traits.to(device))
        self._clean, self._known = clean.to(device), geometry[:, :n_angles].to(device)
        self._spectra, self._angles = spectra.to(device), angles.to(device)
        self._is_reconstructed = torch.tensor(is_reconstructed, device=device)
        self._nominal = torch.tensor(decoder.nominal_geometry, device=device)
        names = [variable.name for variable in decoder.variables]
        self._n_variables = len(names)
        self._regularised = [names.index(name) for name in decoder.regularised]

    def fit(self):
        """See :meth:`AutoEncoderTraining.run`. A collapsed training starts again, at most twice."""
        self.decoder.to(self.device)
        seed = int(torch.randint(2**31, (), generator=self.generator))
        self._draw_generator = torch.Generator(self.device).manual_seed(seed)
        with self._make_bar() as bar:
            for attempt in range(1, _MAX_ATTEMPTS + 1):
                history = self.run(bar)
                if not self._has_collapsed():
                    break
                self._warn_of_collapse(attempt)
                bar.reset()
        self.module.cpu()
        self.decoder.cpu()
        return history

    def reset(self):
        """Draw the weights of the encoder."""
        self.module.encoder.cpu().reset(self._inputs, self.generator)

    def simulated_loss(self, n):
        """See :class:`AutoEncoderTraining`."""
        chosen = self._choose(len(self._clean), n)
        noisy = self.simulator.add_noise(self._clean[chosen], self.generator)
        loc, scale = self.module(noisy, self._known[chosen])
        nll = latent_nll(loc, scale, self._latents[chosen]).sum(-1).mean()
        return nll, nll

    def observed_loss(self, n):
        """See :class:`AutoEncoderTraining`. Derived traits follow the draws of the variables."""
        chosen, k = self._choose(len(self._spectra), n), self._n_variables
        x, angles = self._spectra[chosen], self._angles[chosen]
        loc, scale = self.module(x, angles[:, : self.simulator.n_angles])
        geometry = angles if self.simulator.n_angles else self._nominal
        draws = sample_latents(
            loc[:, :k], scale[:, :k], self.settings.n_mc_samples, self._draw_generator
        )
        variables = torch.lerp(self._low[:k], self._high[:k], draws)
        decoded = self.decoder(variables, geometry, check=False)
        band_range = self.module.encoder.input_range[: x.shape[1]]
        nll = reconstruction_nll(decoded / band_range, x / band_range)
        nll = nll[:, self._is_reconstructed].sum(-1).mean()
        kl = kl_to_uniform(loc[:, self._regularised], scale[:, self._regularised]).sum(-1).mean()
        derived = self.decoder.append_derived(variables[0].detach(), geometry)
        followed = latent_nll(loc, scale, self._to_latents(derived))[:, k:].sum(-1).mean()
        return nll, kl, followed

    def _to_latents(self, traits):
        return ((traits - self._low) / (self._high - self._low)).clamp(0, 1)

    def _has_collapsed(self):
        """Whether the encoder ignores the spectra, or returns the prior."""
        with torch.no_grad():
            loc, scale = self.module(self._clean[:_CHECKED], self._known[:_CHECKED])
        column = self._regularised[0]
        loc, scale, true = loc[:, column], scale[:, column], self._latents[:_CHECKED, column]
        mean = latent_moments(loc, scale)[0]
        correlation = torch.corrcoef(torch.stack([mean.to(true), true]))[0, 1]
        # Against the divergence of a uniform distribution of this share of the range.
        is_wide = kl_to_uniform(loc, scale).mean() < -torch.tensor(_MAX_WIDTH).log()
        return bool(is_wide) or not correlation > _MIN_CORRELATION

    def _warn_of_collapse(self, attempt):
        advice = (
            "It starts again with other weights."
            if attempt < _MAX_ATTEMPTS
            else "Try another random_state, a lower learning_rate or a smaller kl_weight."
        )
        name = self.simulator.decoder.regularised[0]
        warn_user(
            f"Training {attempt} of at most {_MAX_ATTEMPTS} collapsed: the distribution of {name} "
            f"does not follow the spectra of simulations. {advice}",
            UserWarning,
        )

"""Training of an auto-encoder: on simulations, and then on observations too."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from tqdm import tqdm

from sklearn_sits.runtime.batches import to_tensor
from sklearn_sits.vae.minimise import minimise

__all__ = ["AutoEncoderTraining", "TrainingSettings"]

# Simulations per step, as a multiple of the observations.
_SIMULATED = 4


class TrainingSettings(NamedTuple):
    """Parameters of a training, as the regressors document them.

    Parameters
    ----------
    objective : {"hybrid", "self-supervised", "simulations"}
        Likelihoods to maximise.
    pretrain_iter, max_iter : int
        Steps on simulations, and on observations.
    batch_size : int
        Observations per step; four times as many simulations.
    learning_rate : float
        Start of the learning rate on simulations.
    n_mc_samples : int
        Draws of the latents per observation.
    kl_weight : float
        Weight of the divergence.
    verbose : int
        If positive, show a progress bar.
    """

    objective: str
    pretrain_iter: int
    max_iter: int
    batch_size: int
    learning_rate: float
    n_mc_samples: int
    kl_weight: float
    verbose: int

    @property
    def uses_observations(self):
        """Whether the objective has a term for observations."""
        return self.objective != "simulations"


class AutoEncoderTraining(ABC):
    """The two phases of a training (abstract).

    Parameters
    ----------
    module : torch.nn.Module
        With an `encoder`, which is trained in place, and optionally a `pretrained_encoder`, which
        becomes its copy before it sees observations.
    settings : TrainingSettings
        Parameters of the training.
    generator : torch.Generator
        Source of randomness, on the CPU.
    device : torch.device
        Where to train.
    """

    # Learning rate on observations, as a share of that on simulations.
    observed_rate = 1.0
    # State of an encoder that has been trained on simulations, to start from.
    initial_state = None

    def __init__(self, module, settings, generator, device):
        self.module, self.settings = module, settings
        self.generator, self.device = generator, device

    @abstractmethod
    def simulated_loss(self, n):
        """Compute the loss of simulations.

        Parameters
        ----------
        n : int
            Number of simulations.

        Returns
        -------
        loss, reported : tensor of shape ()
            Negative log-likelihood to minimise, and the part of it that the history reports.
        """

    @abstractmethod
    def observed_loss(self, n):
        """Compute the parts of the loss of observations.

        Parameters
        ----------
        n : int
            Number of observations.

        Returns
        -------
        nll, kl, rest : tensor of shape ()
            Negative log-likelihood of the reconstruction, divergence, and other terms.
        """

    @abstractmethod
    def reset(self):
        """Draw the weights of the encoder."""

    def run(self, bar):
        """Train once.

        Parameters
        ----------
        bar : tqdm.tqdm
            Progress bar.

        Returns
        -------
        history : list of dict
            Those of both phases, see :func:`minimise`.

        Raises
        ------
        FloatingPointError
            If the training diverges.
        """
        settings, module = self.settings, self.module
        history, first, rate = [], self._n_pretrain, settings.learning_rate
        if self.initial_state is None:
            self.reset()
        else:
            module.encoder.load_state_dict(self.initial_state)
        module.to(self.device)
        if first:
            history += minimise(module, self._simulations_only, first, rate, "pretrain", bar)
        if settings.uses_observations:
            pretrained = getattr(module, "pretrained_encoder", None)
            if pretrained is not None:
                pretrained.load_state_dict(module.encoder.state_dict())
            rate = rate * self.observed_rate
            steps = settings.max_iter
            records = minimise(module, self._with_observations, steps, rate, "observed", bar)
            history += [record | {"step": first + record["step"]} for record in records]
        module.eval()
        return history

    @property
    def _n_pretrain(self):
        return self.settings.pretrain_iter if self.initial_state is None else 0

    def _make_bar(self):
        """Return the progress bar of a training."""
        settings = self.settings
        total = self._n_pretrain + settings.max_iter * settings.uses_observations
        return tqdm(total=total, disable=not settings.verbose, unit="step")

    def _choose(self, n_rows, n):
        """Draw `n` row numbers below `n_rows`, a tensor on the device."""
        return to_tensor(torch.randint(n_rows, (n,), generator=self.generator).numpy(), self.device)

    def _simulations_only(self, step):
        loss, reported = self.simulated_loss(_SIMULATED * self.settings.batch_size)
        return loss, {"simulations": reported}

    def _with_observations(self, step):
        settings = self.settings
        nll, kl, rest = self.observed_loss(settings.batch_size)
        # Full weight from the start collapses some trainings to the prior.
        weight = settings.kl_weight * min(1.0, 2 * step / settings.max_iter)
        loss, parts = nll + weight * kl + rest, {"reconstruction": nll, "kl": kl}
        if settings.objective == "hybrid":
            simulated, reported = self.simulated_loss(_SIMULATED * settings.batch_size)
            loss, parts = loss + simulated, parts | {"simulations": reported}
        return loss, parts

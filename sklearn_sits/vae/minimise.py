"""Training loop of the auto-encoders."""

import numpy as np
import torch
from torch import nn

__all__ = ["minimise"]

_FINAL_RATE = 0.01
_GRADIENT_NORM = 10.0
_RECORD = 100
# Steps with a gradient that is not finite are skipped; more than this share is a divergence.
_MAX_SKIPPED = 0.05


def minimise(module, objective, n_steps, learning_rate, phase, bar):
    """Train an encoder by Adam with a rate that falls as a cosine.

    Parameters
    ----------
    module : torch.nn.Module
        With an `encoder`, which is trained in place.
    objective : callable
        From the number of the step to the loss and a dict of its parts.
    n_steps : int
        Number of steps.
    learning_rate : float
        Start of the rate.
    phase : str
        Name of the phase.
    bar : tqdm.tqdm
        Progress bar.

    Returns
    -------
    history : list of dict
        Per 100 steps: step, phase, and the mean of each part of the loss.

    Raises
    ------
    FloatingPointError
        If the training diverges.
    """
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

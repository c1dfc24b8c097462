"""Training of a representation by contrast."""

import time
from typing import NamedTuple

import numpy as np
import torch
from skorch.callbacks import LRScheduler
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm

from sklearn_sits.nn.contrast import contrastive_loss, halve_dates
from sklearn_sits.runtime.training import train_epochs

__all__ = ["ContrastSettings", "train_by_contrast"]

# Steps between two records, and two validations.
STEPS_PER_EPOCH = 25
_WARM_UP = 0.15
_BETAS = (0.9, 0.99)


class ContrastSettings(NamedTuple):
    """Settings of the training, named as the parameters of :class:`MTANEncoder`.

    Parameters
    ----------
    temperature, gain_noise, band_dropout, date_shift : float
        Contrast and what is done to the halves.
    max_iter, batch_size : int
        Steps and series per step.
    learning_rate : float
        Peak of the learning rate.
    n_iter_no_change : int
        Records without an improvement after which the training stops.
    tol : float
        Least improvement.
    verbose : int
        If positive, show a progress bar.
    """

    temperature: float
    gain_noise: float
    band_dropout: float
    date_shift: float
    max_iter: int
    batch_size: int
    learning_rate: float
    n_iter_no_change: int
    tol: float
    verbose: int


def train_by_contrast(module, load, rows, validation, settings, generator, noise, device):
    """Train a representation to tell series apart by halves of their dates.

    Parameters
    ----------
    module : SeriesRepresentation
        Trained in place, on `device`.
    load : callable
        From an array of row numbers to a batch, a dict of tensors on `device`.
    rows : int array of shape (n,)
        Training rows, at least two.
    validation : int array or None
        Rows on which the contrast is measured after each epoch, to stop early and to keep the
        best state.
    settings : ContrastSettings
        Settings.
    generator : torch.Generator
        Source of the order of the series, on the CPU.
    noise : torch.Generator
        Source of the views, on `device`.
    device : torch.device
        Where to train.

    Returns
    -------
    history : list of dict
        Per 25 steps: step, train_loss, seconds and, with validation, valid_loss.

    Raises
    ------
    FloatingPointError
        If the training diverges.
    """

    def objective(batch):
        loss = _contrast(module, batch, settings, noise)
        return loss, {"train_loss": loss}

    draw = _draw_rows(rows, settings.batch_size, generator)
    n_steps = settings.max_iter
    epochs = (
        (load(next(draw)) for _ in range(min(STEPS_PER_EPOCH, n_steps - start)))
        for start in range(0, n_steps, STEPS_PER_EPOCH)
    )
    records = train_epochs(
        module,
        objective,
        epochs,
        learning_rates={"*": settings.learning_rate},
        schedule=LRScheduler(
            OneCycleLR,
            step_every="batch",
            event_name=None,
            max_lr=settings.learning_rate,
            # The cycle ends one step after the training, at a rate that is not zero.
            total_steps=n_steps + 1,
            pct_start=_WARM_UP,
            cycle_momentum=False,
        ),
        n_steps=n_steps,
        betas=_BETAS,
        advice=f"Lower learning_rate={settings.learning_rate}, or check X for extreme values.",
    )
    history, best, best_state, best_epoch = [], np.inf, None, 0
    start = time.perf_counter()
    with tqdm(total=n_steps, disable=not settings.verbose, unit="step") as bar:
        for epoch, record in enumerate(records, start=1):
            step = min(epoch * STEPS_PER_EPOCH, n_steps)
            record = {"step": step} | record
            if validation is not None:
                loss = _validate(module, load, validation, settings, device)
                record["valid_loss"] = loss
                if loss < best - settings.tol:
                    best_epoch = epoch
                if loss < best:
                    best = loss
                    best_state = {k: v.detach().clone() for k, v in module.state_dict().items()}
            bar.set_postfix({k: f"{v:.3f}" for k, v in record.items() if k != "step"})
            bar.update(step - bar.n)
            end = time.perf_counter()
            history.append(record | {"seconds": end - start})
            start = end
            if validation is not None and epoch - best_epoch >= settings.n_iter_no_change:
                break
    if best_state is not None:
        module.load_state_dict(best_state)
    return history


def _draw_rows(rows, batch_size, generator):
    """Yield batches of different rows, in a new order every time all were seen."""
    batch_size = min(batch_size, len(rows))
    while True:
        order = torch.randperm(len(rows), generator=generator)
        for start in range(0, len(rows) - batch_size + 1, batch_size):
            # Sorted rows are read faster, above all from a memory map.
            yield rows[order[start : start + batch_size].sort().values.numpy()]


def _contrast(module, batch, settings, noise):
    values, mask = batch["values"], batch["mask"]
    views = []
    for half in halve_dates(mask, noise):
        seen = mask * half
        changed = values
        if settings.band_dropout:
            shape = (*values.shape[:2], 1)
            draws = torch.rand(shape, generator=noise, dtype=mask.dtype, device=mask.device)
            seen = seen * (draws >= settings.band_dropout)
        if settings.gain_noise:
            shape = (*values.shape[:2], 1)
            draws = torch.randn(shape, generator=noise, dtype=values.dtype, device=values.device)
            changed = values * (1 + settings.gain_noise * draws)
        dates = batch["dates"]
        if settings.date_shift:
            draw = torch.rand((), generator=noise, dtype=torch.float64, device=dates.device)
            dates = dates + settings.date_shift * (2 * draw - 1)
        views.append(module(**batch | {"dates": dates, "values": changed * seen, "mask": seen}))
    return contrastive_loss(*views, settings.temperature)


def _validate(module, load, rows, settings, device):
    """Return the contrast of held-out series, with the same halves every time."""
    module.eval()
    noise = torch.Generator(device).manual_seed(0)
    plain = settings._replace(gain_noise=0.0, band_dropout=0.0, date_shift=0.0)
    parts = np.array_split(rows, max(1, len(rows) // settings.batch_size))
    with torch.inference_mode():
        losses = [float(_contrast(module, load(part), plain, noise)) for part in parts]
    return float(np.average(losses, weights=[len(part) for part in parts]))

"""Training of a representation by contrast."""

import itertools
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from sklearn_sits.nn.contrast import contrastive_loss, halve_dates
from sklearn_sits.runtime.early_stopping import follow_training, one_cycle
from sklearn_sits.runtime.training import train_epochs

__all__ = ["ContrastSettings", "train_by_contrast"]

# Steps between two records, and two validations.
STEPS_PER_EPOCH = 25
# Bytes of the series of a stored array that are in memory at a time.
_POOL_BYTES = 2**26
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


def train_by_contrast(module, X, load, rows, validation, settings, generator, noise):
    """Train a representation to tell series apart by halves of their dates.

    Parameters
    ----------
    module : SeriesRepresentation
        Trained in place.
    X : ndarray or StoredArray of shape (n_series, n_dates, 1 + n_channels)
        Packed series.
    load : callable
        From rows of X to a batch, a dict of tensors on the device of the module.
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
        Source of the views, on the device of the module.

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

    series = _draw_series(X, rows, settings.batch_size, generator)
    n_steps = settings.max_iter
    epochs = (
        (load(next(series)) for _ in range(min(STEPS_PER_EPOCH, n_steps - start)))
        for start in range(0, n_steps, STEPS_PER_EPOCH)
    )
    records = train_epochs(
        module,
        objective,
        epochs,
        learning_rates={"*": settings.learning_rate},
        schedule=one_cycle([settings.learning_rate], n_steps),
        n_steps=n_steps,
        betas=_BETAS,
        advice=f"Lower learning_rate={settings.learning_rate}, or check X for extreme values.",
    )
    steps = (min(end, n_steps) for end in itertools.count(STEPS_PER_EPOCH, STEPS_PER_EPOCH))
    validate = None
    if validation is not None:
        validate = partial(_validate, module, lambda part: load(X[part]), validation, settings)
    return follow_training(
        module,
        ({"step": step} | record for step, record in zip(steps, records, strict=False)),
        unit="step",
        total=n_steps,
        validate=validate,
        loss_name="valid_loss",
        n_iter_no_change=settings.n_iter_no_change,
        tol=settings.tol,
        verbose=settings.verbose,
    )


def _draw_series(X, rows, batch_size, generator):
    """Yield batches of different series, in a new order every time all were seen."""
    batch_size = min(batch_size, len(rows))
    while True:
        for pool in _draw_pools(X, rows, batch_size, generator):
            # Rows of a stored array are read once for all batches of a pool.
            series = X if pool is rows else X[pool]
            numbers = rows if pool is rows else np.arange(len(pool))
            order = torch.randperm(len(numbers), generator=generator)
            for start in range(0, max(1, len(numbers) - batch_size + 1), batch_size):
                # Sorted rows are read faster, above all from a memory map.
                chosen = order[start : start + batch_size].sort().values.numpy()
                yield series[numbers[chosen]]


def _draw_pools(X, rows, batch_size, generator):
    """Yield the rows; those of a stored array in parts, each of some chunks at random."""
    chunk_rows = getattr(X, "chunk_rows", None)
    if chunk_rows is None:
        yield rows
        return
    n_bytes = len(rows) * X.shape[1] * X.shape[2] * X.dtype.itemsize
    n_pools = max(1, min(n_bytes // _POOL_BYTES, len(rows) // (2 * batch_size)))
    chunks = np.split(rows, np.flatnonzero(np.diff(rows // chunk_rows)) + 1)
    order = torch.randperm(len(chunks), generator=generator).numpy()
    for part in np.array_split(order, min(n_pools, len(chunks))):
        yield np.concatenate([chunks[chunk] for chunk in np.sort(part)])


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


def _validate(module, load, rows, settings):
    """Return the contrast of held-out series, with the same halves every time."""
    module.eval()
    noise = torch.Generator(module.mean.device).manual_seed(0)
    plain = settings._replace(gain_noise=0.0, band_dropout=0.0, date_shift=0.0)
    parts = np.array_split(rows, max(1, len(rows) // settings.batch_size))
    with torch.inference_mode():
        losses = [float(_contrast(module, load(part), plain, noise)) for part in parts]
    return float(np.average(losses, weights=[len(part) for part in parts]))

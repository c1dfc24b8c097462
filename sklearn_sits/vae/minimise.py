"""Training of the encoders of the auto-encoders."""

from skorch.callbacks import LRScheduler
from torch.optim.lr_scheduler import CosineAnnealingLR

from sklearn_sits.runtime.training import train_epochs

__all__ = ["minimise"]

_FINAL_RATE = 0.01
_RECORD = 100  # steps


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
    module.train()
    ends = [*range(_RECORD, n_steps, _RECORD), n_steps]
    starts = [1, *(end + 1 for end in ends)]

    def steps(first, last):
        for step in range(first, last + 1):
            yield step
            bar.update()

    records = train_epochs(
        module.encoder,
        objective,
        (steps(first, last) for first, last in zip(starts, ends, strict=False)),
        learning_rates={"*": learning_rate},
        schedule=LRScheduler(
            CosineAnnealingLR,
            step_every="batch",
            event_name=None,
            T_max=n_steps,
            eta_min=learning_rate * _FINAL_RATE,
        ),
        n_steps=n_steps,
        advice=f"Lower learning_rate={learning_rate}, or check X for extreme values.",
    )
    history = []
    for end, record in zip(ends, records, strict=True):
        history.append({"step": end, "phase": phase} | record)
        bar.set_postfix({name: f"{value:.2f}" for name, value in record.items()})
    return history

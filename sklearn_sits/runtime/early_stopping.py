"""Progress of a training in one cycle of the learning rate, and its early stopping."""

import time

import numpy as np
from skorch.callbacks import LRScheduler
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm

__all__ = ["follow_training", "one_cycle"]

# Share of the steps in which the learning rate rises; it falls to about zero in the rest.
_WARM_UP = 0.15


def one_cycle(max_rates, n_steps):
    """Make a schedule in which the learning rates rise and fall once.

    Parameters
    ----------
    max_rates : list of float
        Peak of each group of parameters.
    n_steps : int
        Number of training steps.

    Returns
    -------
    schedule : skorch.callbacks.LRScheduler
    """
    return LRScheduler(
        OneCycleLR,
        step_every="batch",
        event_name=None,
        max_lr=max_rates,
        # The cycle ends one step after the training, at a rate that is not zero.
        total_steps=n_steps + 1,
        pct_start=_WARM_UP,
        cycle_momentum=False,
    )


def follow_training(
    module, records, *, unit, total, validate, loss_name, n_iter_no_change, tol, verbose
):
    """Run a training to its end, or until the loss on held-out data no longer improves.

    Parameters
    ----------
    module : torch.nn.Module
        Trained by the iteration over `records`. It ends with its best state if there is a
        validation.
    records : iterable of dict
        Runs the training; each record has the number of units so far under `unit`.
    unit : str
        Unit of the progress bar, such as "epoch".
    total : int
        Number of units of a whole training.
    validate : callable or None
        Returns the loss on held-out data; None trains to the end.
    loss_name : str
        Name of this loss in the history.
    n_iter_no_change : int
        Records without an improvement after which the training stops.
    tol : float
        Least improvement.
    verbose : int
        If positive, show a progress bar.

    Returns
    -------
    history : list of dict
        The records, with the seconds of each and the held-out loss.
    """
    history, best, best_state, n_unchanged = [], np.inf, None, 0
    start = time.perf_counter()
    with tqdm(total=total, disable=not verbose, unit=unit) as bar:
        for record in records:
            if validate is not None:
                loss = validate()
                record = record | {loss_name: loss}
                n_unchanged = 0 if loss < best - tol else n_unchanged + 1
                if loss < best:
                    best = loss
                    best_state = {k: v.detach().clone() for k, v in module.state_dict().items()}
            bar.set_postfix({k: f"{v:.3f}" for k, v in record.items() if k != unit})
            bar.update(record[unit] - bar.n)
            end = time.perf_counter()
            history.append(record | {"seconds": end - start})
            start = end
            if n_unchanged >= n_iter_no_change:
                break
    if best_state is not None:
        module.load_state_dict(best_state)
    return history

"""Minibatch training of a representation and a head."""

import itertools
from functools import partial

import numpy as np
import torch

from sklearn_sits.runtime.batches import predict_in_batches, to_tensor
from sklearn_sits.runtime.early_stopping import follow_training, one_cycle
from sklearn_sits.runtime.training import train_epochs

__all__ = ["ClassifierModule", "train"]

# Share of the steps in which the weight of the divergence rises from 0 to 1. The bound that is
# maximised in the end is the same, but few labels no longer start under the prior.
_ANNEALING = 0.8
# With 0.9, the default of Adam, short trainings ended in clearly worse optima.
_BETAS = (0.8, 0.999)


class ClassifierModule(torch.nn.Module):
    """A representation and a head.

    Parameters
    ----------
    representation : torch.nn.Module
        Maps a batch, as keyword arguments, to (n, d).
    head : Head
        Maps the representation to class probabilities.
    """

    def __init__(self, representation, head):
        super().__init__()
        self.representation = representation
        self.head = head

    def forward(self, **batch):
        """Compute the representation.

        Parameters
        ----------
        **batch : tensors
            Arguments of the representation.

        Returns
        -------
        z : tensor of shape (n, d)
        """
        return self.representation(**batch)


class _Batches:
    """Batches of nearly equal size, in a new order every epoch."""

    def __init__(self, load, rows, labels, weight, batch_size, generator, device):
        self.load, self.rows, self.labels, self.weight = load, rows, labels, weight
        self.n_batches = -(-len(rows) // batch_size)
        self.generator, self.device = generator, device

    def __iter__(self):
        order = torch.randperm(len(self.rows), generator=self.generator)
        for chosen in order.tensor_split(self.n_batches):
            # Sorted rows are read faster, above all from a memory map.
            chosen = chosen.sort().values
            batch = self.load(self.rows[chosen.numpy()])
            # A copy from other memory than `to_tensor` takes would wait for the work of a GPU.
            targets = self.labels[chosen].numpy(), self.weight[chosen].numpy()
            yield batch, *(to_tensor(target, self.device) for target in targets)


def train(
    module,
    load,
    rows,
    labels,
    weight,
    *,
    validation=None,
    max_iter,
    batch_size,
    learning_rate,
    head_rate,
    n_iter_no_change,
    tol,
    verbose,
    generator,
    device,
    annealing=True,
):
    """Maximise the evidence lower bound by Adam, the learning rate in one cycle.

    Parameters
    ----------
    module : ClassifierModule
        Trained in place, on `device`.
    load : callable
        From an array of row numbers to a batch, a dict of tensors on `device`.
    rows : int array of shape (n,)
        Training rows.
    labels : int64 array of shape (n,)
        Classes of the training rows.
    weight : array of shape (n,)
        Positive weights of the training rows. A weight of two stands for two equal rows.
    validation : tuple of (rows, labels, weight) or None, default=None
        If given, training stops when the log-loss on it has not improved by `tol` for
        `n_iter_no_change` epochs, and the best state is restored.
    max_iter : int
        Number of epochs.
    batch_size : int
        Series per step, at most.
    learning_rate : float
        Peak of the learning rate of the representation.
    head_rate : float
        Learning rate of the head, as a multiple of `learning_rate`.
    n_iter_no_change : int
        See `validation`.
    tol : float
        See `validation`.
    verbose : int
        If positive, show a progress bar.
    generator : torch.Generator
        Source of the order of the series, on the CPU.
    device : torch.device
        Where to train.
    annealing : bool, default=True
        Let the weight of the divergence rise from 0 to 1 over the first 80 % of the steps.

    Returns
    -------
    history : list of dict
        Per epoch: epoch, train_loss, seconds and, with validation, valid_log_loss.

    Raises
    ------
    FloatingPointError
        If the training diverges.
    """
    dtype = next(module.parameters()).dtype
    labels, total_weight = torch.from_numpy(labels), float(weight.sum())
    weight = torch.from_numpy(weight).to(dtype)
    batches = _Batches(load, rows, labels, weight, batch_size, generator, device)

    n_steps = max_iter * batches.n_batches
    steps = itertools.count()

    def objective(batch):
        inputs, labels, weight = batch
        nll = module.head.nll(module(**inputs), labels)
        # The mean over the batches of an epoch is the loss of all rows.
        expected = (weight * nll).sum() * batches.n_batches
        share = min(1.0, next(steps) / (_ANNEALING * n_steps)) if annealing else 1.0
        divergence = module.head.kl()
        loss = (expected + share * divergence) / total_weight
        bound = loss if share == 1.0 else (expected + divergence) / total_weight
        return loss, {"train_loss": bound}

    # Features that are used as they are have nothing to train.
    rates = {
        f"{name}.*": rate
        for name, rate in (("head", head_rate * learning_rate), ("representation", learning_rate))
        if any(True for _ in getattr(module, name).parameters())
    }
    records = train_epochs(
        module,
        objective,
        (batches for _ in range(max_iter)),
        learning_rates=rates,
        schedule=one_cycle(list(rates.values()), n_steps),
        n_steps=n_steps,
        betas=_BETAS,
        advice=f"Lower learning_rate={learning_rate}, or check X for extreme values.",
    )
    validate = None
    if validation is not None:
        validate = partial(_log_loss, module, load, *validation, device)
    return follow_training(
        module,
        ({"epoch": epoch} | record for epoch, record in enumerate(records, start=1)),
        unit="epoch",
        total=max_iter,
        validate=validate,
        loss_name="valid_log_loss",
        n_iter_no_change=n_iter_no_change,
        tol=tol,
        verbose=verbose,
    )


def _log_loss(module, load, rows, labels, weight, device):
    module.eval()
    log_probabilities = predict_in_batches(
        lambda batch: module.head.predict_log_proba(module(**batch)),
        lambda part: load(rows[part]),
        len(rows),
        device,
    )
    return float(-np.average(log_probabilities[np.arange(len(rows)), labels], weights=weight))

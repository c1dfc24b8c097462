"""Minibatch training of a representation and a head, on skorch."""

import time

import numpy as np
import torch
from linear_operator.utils.errors import NanError, NotPSDError
from skorch import NeuralNet
from skorch.callbacks import GradientNormClipping, LRScheduler
from tqdm import tqdm

from sklearn_sits.runtime.batches import predict_in_batches

__all__ = ["ClassifierModule", "train"]

# Share of the steps in which the learning rate rises; it falls to about zero in the rest.
_WARM_UP = 0.15
# With 0.9, the default of Adam, short trainings ended in clearly worse optima.
_BETAS = (0.8, 0.999)
_GRADIENT_NORM = 10.0


class ClassifierModule(torch.nn.Module):
    """A representation and a head.

    Parameters
    ----------
    representation : torch.nn.Module
        Maps a batch, as keyword arguments, to (n, d).
    head : torch.nn.Module
        With methods `nll(z, labels)`, `kl()` and `predict_proba(z)`, and a `rate`: the ratio
        of its learning rate to that of the representation.
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

    def __init__(self, load, rows, labels, weight, n_batches, generator, device):
        self.load, self.rows, self.labels, self.weight = load, rows, labels, weight
        self.n_batches, self.generator, self.device = n_batches, generator, device

    def __len__(self):
        return len(self.rows)

    def __iter__(self):
        order = torch.randperm(len(self.rows), generator=self.generator)
        for chosen in order.tensor_split(self.n_batches):
            # Sorted rows are read faster, above all from a memory map.
            chosen = chosen.sort().values
            batch = self.load(self.rows[chosen.numpy()])
            target = (self.labels[chosen].to(self.device), self.weight[chosen].to(self.device))
            yield batch, target


class _Net(NeuralNet):
    """skorch net with the weighted evidence lower bound as its loss."""

    def get_default_callbacks(self):
        return []

    def get_iterator(self, dataset, training=False):
        return dataset

    def get_split_datasets(self, X, y=None, **fit_params):
        return X, None

    def check_data(self, X, y=None):
        """Accept batches that bring their targets along."""

    def get_loss(self, y_pred, y_true, X=None, training=False):
        labels, weight = y_true
        head = self.module_.head
        expected = (weight * head.nll(y_pred, labels)).sum() * self.per_batch / len(labels)
        return (expected + head.kl()) / self.total_weight

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        if iterator is None:
            return
        # One transfer from the device an epoch, where skorch makes one a batch.
        total = 0.0
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            total = total + step["loss"].detach() * len(batch[1][0])
            self.notify("on_batch_end", batch=batch, training=training, **step)
        self.history.record(prefix + "_loss", float(total) / len(iterator))


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
    n_iter_no_change,
    tol,
    verbose,
    generator,
    device,
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
        Peak learning rate.
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

    Returns
    -------
    history : list of dict
        Per epoch: epoch, train_loss, seconds and, with validation, valid_log_loss.

    Raises
    ------
    FloatingPointError
        If the loss is not finite.
    """
    dtype = next(module.parameters()).dtype
    n_batches = -(-len(rows) // batch_size)
    rates = [learning_rate * module.head.rate]
    # Features that are used as they are have nothing to train.
    if any(True for _ in module.representation.parameters()):
        rates.append(learning_rate)
    net = _Net(
        module,
        criterion=torch.nn.Module,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        optimizer__betas=_BETAS,
        optimizer__param_groups=[("head.*", {"lr": rates[0]})],
        lr=learning_rate,
        train_split=None,
        verbose=0,
        device=device,
        callbacks=[
            ("clip", GradientNormClipping(_GRADIENT_NORM)),
            (
                "rate",
                LRScheduler(
                    torch.optim.lr_scheduler.OneCycleLR,
                    step_every="batch",
                    max_lr=rates,
                    # The cycle ends one step after the training, at a rate that is not zero.
                    total_steps=max_iter * n_batches + 1,
                    pct_start=_WARM_UP,
                    cycle_momentum=False,
                ),
            ),
        ],
    )
    net.initialize()
    net.per_batch = len(rows)
    net.total_weight = float(weight.sum())
    batches = _Batches(
        load,
        rows,
        torch.from_numpy(labels),
        torch.from_numpy(weight).to(dtype),
        n_batches,
        generator,
        device,
    )
    net.notify("on_train_begin", X=batches, y=None)
    history, best, best_state, best_epoch = [], np.inf, None, 0
    epochs = tqdm(range(1, max_iter + 1), disable=not verbose, unit="epoch")
    for epoch in epochs:
        start = time.perf_counter()
        # Not partial_fit, which would end a training silently on a keyboard interrupt.
        try:
            net.fit_loop(batches, epochs=1)
            loss = net.history[-1, "train_loss"]
        except (NanError, NotPSDError):
            loss = np.nan
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"The training diverged in epoch {epoch}. Lower learning_rate={learning_rate}, "
                "or check X for extreme values."
            )
        record = {"epoch": epoch, "train_loss": loss}
        if validation is not None:
            record["valid_log_loss"] = loss = _log_loss(module, load, *validation, device)
            if loss < best - tol:
                best_epoch = epoch
            if loss < best:
                best = loss
                best_state = {k: v.detach().clone() for k, v in module.state_dict().items()}
        history.append(record | {"seconds": time.perf_counter() - start})
        epochs.set_postfix({k: f"{v:.3f}" for k, v in record.items() if k != "epoch"})
        if validation is not None and epoch - best_epoch >= n_iter_no_change:
            break
    if best_state is not None:
        module.load_state_dict(best_state)
    return history


def _log_loss(module, load, rows, labels, weight, device):
    module.eval()

    def own(batch):
        return module.head.predict_proba(module(**batch))

    probabilities = predict_in_batches(own, lambda part: load(rows[part]), len(rows), device)
    picked = probabilities[np.arange(len(rows)), labels]
    tiny = np.finfo(probabilities.dtype).tiny
    return float(-np.average(np.log(np.maximum(picked, tiny)), weights=weight))

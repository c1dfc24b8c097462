"""The training loop of every estimator, on skorch."""

import numpy as np
import torch
from linear_operator.utils.errors import NanError, NotPSDError
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader, IterableDataset

__all__ = ["train_epochs"]

_GRADIENT_NORM = 10.0
# A step whose gradient is not finite adds nothing to it; more than this share is a divergence.
_MAX_SKIPPED = 0.05


def train_epochs(
    module,
    objective,
    epochs,
    *,
    learning_rates,
    schedule,
    n_steps,
    betas=(0.9, 0.999),
    advice="",
):
    """Minimise an objective by Adam, one epoch after the other.

    The caller decides after each epoch whether to go on: it may validate, save the state or stop
    to iterate. An exception in a step, such as a keyboard interrupt, reaches the caller.

    Parameters
    ----------
    module : torch.nn.Module
        Trained in place, in training mode at each step.
    objective : callable
        From a batch to the loss and a dict of its parts, all of them scalar tensors.
    epochs : iterable
        For each epoch, an iterable of its batches.
    learning_rates : dict of str to float
        Peak of the learning rate by pattern of the parameters' names, such as ``"head.*"``.
    schedule : skorch.callbacks.LRScheduler
        Learning rate during the training.
    n_steps : int
        Steps of all epochs together. At most 5 % of them may be skipped because their gradient
        is not finite.
    betas : tuple of float, default=(0.9, 0.999)
        Coefficients of Adam.
    advice : str, default=""
        Advice in the message if the training diverges.

    Yields
    ------
    record : dict of str to float
        Mean of each part over the steps of the epoch that were not skipped.

    Raises
    ------
    FloatingPointError
        If the training diverges.
    """
    clipping = _GradientClipping()
    net = _Net(
        module,
        criterion=_Objective,
        criterion__function=objective,
        optimizer=torch.optim.Adam,
        optimizer__betas=betas,
        # One pass over all parameters, for each of which the default calls ten functions.
        optimizer__fused=True,
        optimizer__param_groups=[(name, {"lr": lr}) for name, lr in learning_rates.items()],
        train_split=None,
        # The batches are made by the caller, so that the loader hands them on one by one. Its
        # generator only keeps it from the global one.
        iterator_train=DataLoader,
        iterator_train__batch_size=None,
        iterator_train__generator=torch.Generator(),
        callbacks=[("clipping", clipping), ("schedule", schedule)],
        callbacks__epoch_timer=None,
        callbacks__train_loss=None,
        callbacks__valid_loss=None,
        callbacks__print_log=None,
        device=None,
    ).initialize()
    net.notify("on_train_begin", X=None, y=None)
    for batches in epochs:
        try:
            # Not partial_fit, which ends a training silently on a keyboard interrupt.
            net.fit_loop(_Batches(batches), epochs=1)
        except (NanError, NotPSDError) as error:
            raise _divergence(advice, clipping.n_steps, n_steps) from error
        record = net.history[-1, "parts"]
        too_many = float(clipping.n_skipped) > _MAX_SKIPPED * n_steps
        if too_many or not np.isfinite(list(record.values())).all():
            raise _divergence(advice, clipping.n_steps, n_steps)
        yield record
    net.notify("on_train_end", X=None, y=None)


def _divergence(advice, step, n_steps):
    where = f"It had come to step {step} of {n_steps}."
    return FloatingPointError(f"The training diverged. {advice} {where}")


class _Objective(torch.nn.Module):
    """The objective, where skorch expects a criterion."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, batch):
        return self.function(batch)


class _Batches(IterableDataset):
    """The batches of an epoch, where skorch expects a data set."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


class _GradientClipping(Callback):
    """Clips the norm of the gradient, and makes a gradient zero that is not finite."""

    def initialize(self):
        self.n_steps, self.n_skipped = 0, 0
        return self

    def on_grad_computed(self, net, named_parameters, **kwargs):
        parameters = [parameter for _, parameter in named_parameters]
        norm = clip_grad_norm_(parameters, _GRADIENT_NORM)
        # A decision in Python would make a GPU wait for the processor at every step.
        skipped = ~torch.isfinite(norm)
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.masked_fill_(skipped, 0.0)
        self.n_steps, self.n_skipped = self.n_steps + 1, self.n_skipped + skipped


class _Net(NeuralNet):
    """skorch net whose loss is an objective of a whole batch."""

    def train_step_single(self, batch, **fit_params):
        # skorch compares a prediction with a target. An evidence lower bound has weights and a
        # divergence as well, and that of an auto-encoder draws simulations.
        self._set_training(True)
        loss, parts = self.criterion_(batch)
        loss.backward()
        return {"loss": loss.detach(), "y_pred": None, "parts": parts}

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        # skorch reads the loss after each step, for which a GPU would have to wait.
        if iterator is None:
            return
        sums, n_finite = {}, 0.0
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            finite = torch.isfinite(step["loss"])
            n_finite = n_finite + finite
            for name, value in step["parts"].items():
                sums[name] = sums.get(name, 0.0) + value.detach().masked_fill(~finite, 0.0)
            self.notify("on_batch_end", batch=batch, training=training, **step)
        # Without any finite loss the means are NaN.
        self.history.record("parts", {name: float(sums[name] / n_finite) for name in sums})

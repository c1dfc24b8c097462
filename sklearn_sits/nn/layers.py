"""Layers that draw random numbers only from an explicit generator."""

import math

import torch
from torch import nn

__all__ = ["Dropout", "linear", "reset_linear", "set_generator"]


def linear(n_in, n_out):
    """Make a linear layer without drawing from the global random generator.

    Parameters
    ----------
    n_in, n_out : int
        Number of inputs and outputs.

    Returns
    -------
    layer : torch.nn.Linear
        Its parameters are not initialised, see `reset_linear`.
    """
    return nn.utils.skip_init(nn.Linear, n_in, n_out)


def reset_linear(layer, generator):
    """Draw the parameters of a linear layer from U(-1/sqrt(n_in), 1/sqrt(n_in)).

    Parameters
    ----------
    layer : torch.nn.Linear
        Changed in place.
    generator : torch.Generator
        Source of randomness, on the device of the layer.
    """
    bound = 1 / math.sqrt(layer.in_features)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)


class Dropout(nn.Module):
    """Dropout with its own generator.

    Parameters
    ----------
    p : float
        Probability to set an element to zero, in [0, 1).

    Attributes
    ----------
    generator : torch.Generator or None
        Source of randomness in training, the global one if None.
    """

    def __init__(self, p):
        super().__init__()
        self.p = p
        self.generator = None

    def forward(self, x):
        """Zero elements at random in training, do nothing otherwise.

        Parameters
        ----------
        x : tensor of any shape

        Returns
        -------
        x : tensor of the same shape
        """
        if not self.training or self.p == 0:
            return x
        # Uniform draws and a comparison are three times faster than bernoulli_ on a CPU.
        draws = torch.rand(x.shape, generator=self.generator, dtype=x.dtype, device=x.device)
        return x * (draws >= self.p).to(x.dtype).mul_(1 / (1 - self.p))


def set_generator(module, generator):
    """Make every random layer of a module draw from one generator.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place.
    generator : torch.Generator or None
        Source of randomness, on the device of the module.
    """
    for child in module.modules():
        if hasattr(child, "generator"):
            child.generator = generator

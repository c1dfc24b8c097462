"""Weights of two predictors by their predictions of held-out rows."""

import torch

__all__ = ["draw_folds", "find_share"]

_N_FOLDS = 5
_N_SHARES = 101
# Smallest likelihood: no single row decides.
_SMALLEST = 1e-4


def draw_folds(labels, generator):
    """Divide rows into five folds, each class as evenly as possible.

    Parameters
    ----------
    labels : int64 tensor of shape (n,)
        Classes.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    fold : int64 tensor of shape (n,)
        Numbers of the folds.
    """
    order = torch.randperm(len(labels), generator=generator)
    # By class, and at random within it.
    order = order[labels[order].argsort(stable=True)]
    fold = torch.empty_like(labels)
    fold[order] = torch.arange(len(labels)) % _N_FOLDS
    return fold


def find_share(first, second, weight):
    """Find the share of the second predictor in the mixture of two.

    It is the mean of the posterior distribution of the share under a uniform prior: with few rows
    it stays near one half, with many it becomes that of stacking [1]_.

    Parameters
    ----------
    first, second : tensor of shape (n,)
        Logarithms of the probabilities that both give to the class of held-out rows.
    weight : tensor of shape (n,)
        Weights of the rows.

    Returns
    -------
    share : float
        In (0, 1).

    References
    ----------
    .. [1] Wolpert, "Stacked generalization", Neural Networks 5, 1992.
    """
    first, second = (values.double().exp().clamp_min(_SMALLEST) for values in (first, second))
    shares = torch.linspace(0, 1, _N_SHARES, dtype=torch.float64)[:, None]
    log_likelihood = torch.log((1 - shares) * first + shares * second) @ weight.double()
    return float(log_likelihood.softmax(0) @ shares[:, 0])

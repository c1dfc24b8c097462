"""Contrast of two views of the same series."""

import torch
from torch import nn

__all__ = ["contrastive_loss", "halve_dates"]


def halve_dates(mask, generator):
    """Divide the observed dates of each series at random into two halves.

    Parameters
    ----------
    mask : tensor of shape (n, 1 or c, t)
        1 where observed, 0 elsewhere.
    generator : torch.Generator or None
        Source of randomness, on the device of the mask.

    Returns
    -------
    first, second : tensors of shape (n, 1, t), same dtype as `mask`
        1 at the dates of the half. The halves are disjoint and together hold every date on which
        any channel is observed; their sizes differ by one at most.
    """
    observed = mask.amax(1) > 0
    draws = torch.rand(observed.shape, generator=generator, dtype=torch.float64, device=mask.device)
    rank = draws.masked_fill_(~observed, 2.0).argsort(1).argsort(1)
    # Of an odd number of dates, either half receives the larger part.
    odd = torch.randint(2, (len(mask), 1), generator=generator, device=mask.device)
    size = (observed.sum(1, keepdim=True) + odd) // 2
    halves = observed & (rank < size), observed & (rank >= size)
    return tuple(half.to(mask.dtype)[:, None] for half in halves)


def contrastive_loss(first, second, temperature):
    """Compute how badly each view finds its other among those of all series [1]_.

    Parameters
    ----------
    first, second : tensors of shape (n, d)
        Representations of the two views of each series.
    temperature : float
        Divisor of the cosine similarities, positive.

    Returns
    -------
    loss : tensor of shape ()
        Mean cross-entropy of the softmax over the n candidates, in both directions.

    References
    ----------
    .. [1] van den Oord, Li and Vinyals, "Representation Learning with Contrastive Predictive
       Coding", 2018, equation 4.
    """
    first, second = (nn.functional.normalize(z, dim=1) for z in (first, second))
    similarity = first @ second.T / temperature
    own = torch.arange(len(similarity), device=similarity.device)
    entropy = nn.functional.cross_entropy
    return 0.5 * (entropy(similarity, own) + entropy(similarity.T, own))

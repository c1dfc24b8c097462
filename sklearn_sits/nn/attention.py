"""Attention interpolation of irregular series at reference dates."""

import math

import torch
from torch import nn

from sklearn_sits.nn.layers import linear, reset_linear

__all__ = ["MultiTimeAttention", "TimeEmbedding"]

# Weights are exponentials of logits relative to the largest of their reference date. Up to this
# range no weight is subnormal and gradients through the sum over any one date are safe.
_MAX_RANGE = {torch.float32: 60.0, torch.float64: 690.0}
# Bound of the (series, reference date, date) tensor of the exact path.
_CHUNK_ELEMENTS = 2**24


class TimeEmbedding(nn.Module):
    """Learned embedding of time: one linear and many sine components.

    e(t) = [w_0 t + a_0, sin(w_1 t + a_1), ..., sin(w_{E-1} t + a_{E-1})] [1]_.

    Parameters
    ----------
    n_features : int
        Size E of the embedding.

    References
    ----------
    .. [1] Shukla and Marlin, "Multi-Time Attention Networks for Irregularly Sampled Time
       Series", ICLR 2021.
    """

    def __init__(self, n_features):
        super().__init__()
        self.frequency = nn.Parameter(torch.empty(n_features))
        self.phase = nn.Parameter(torch.empty(n_features))

    def reset(self, generator):
        """Spread the frequencies from one to twelve cycles over the unit interval.

        Parameters
        ----------
        generator : torch.Generator
            Source of randomness.
        """
        n = self.frequency.numel()
        with torch.no_grad():
            cycles = torch.logspace(0, math.log10(12), n - 1)
            sign = torch.randint(0, 2, (n - 1,), generator=generator) * 2 - 1
            self.frequency[0] = 1.0
            self.frequency[1:] = 2 * math.pi * cycles * sign
            self.phase.uniform_(-math.pi, math.pi, generator=generator)
            self.phase[0] = 0.0

    def forward(self, times):
        """Embed times.

        Parameters
        ----------
        times : tensor of shape (t,)
            Times, about 0 to 1.

        Returns
        -------
        embedding : tensor of shape (t, E)
        """
        angles = torch.addcmul(self.phase, times[:, None], self.frequency)
        return torch.cat([angles[:, :1], torch.sin(angles[:, 1:])], dim=1)


class MultiTimeAttention(nn.Module):
    r"""Interpolate series at reference dates by attention over the observed dates.

    .. math:: \hat x(r) = \sum_j K(r, t_j) m_j x(t_j) / \sum_j K(r, t_j) m_j

    with K(r, t) = exp(<q(r), k(t)> / sqrt(d_k)) per head and learned linear maps q and k of a
    time embedding [1]_, [2]_. As the logits depend on r and t alone, they are computed once
    per distinct date, and dates shared by all series cost one matrix product.

    Parameters
    ----------
    n_reference_dates : int
        Number R of reference dates, evenly spaced over [0, 1].
    n_heads : int, default=1
        Number H of attention heads.
    embedding_dim : int, default=128
        Size of the time embedding, a multiple of `n_heads`.

    References
    ----------
    .. [1] Shukla and Marlin, "Multi-Time Attention Networks for Irregularly Sampled Time
       Series", ICLR 2021.
    .. [2] Bellet, Fauvel, Inglada and Michel, "End-to-end Learning for Land Cover
       Classification using Irregular and Unaligned SITS by Combining Attention-Based
       Interpolation with Sparse Variational Gaussian Processes", IEEE JSTARS, 2024.
    """

    def __init__(self, n_reference_dates, n_heads=1, embedding_dim=128):
        super().__init__()
        self.n_heads = n_heads
        self.embedding = TimeEmbedding(embedding_dim)
        self.query = linear(embedding_dim, embedding_dim)
        self.key = linear(embedding_dim, embedding_dim)
        self.register_buffer("reference_times", torch.linspace(0, 1, n_reference_dates))

    def reset(self, generator):
        """Start as a smoother that already prefers near dates.

        With both maps close to the identity, the logit is a sum of cosines of the time lag.
        The default of PyTorch makes all weights about equal, and the locality to be learned.

        Parameters
        ----------
        generator : torch.Generator
            Source of randomness.
        """
        self.embedding.reset(generator)
        for layer in (self.query, self.key):
            reset_linear(layer, generator)
            with torch.no_grad():
                layer.weight.mul_(0.1)
                # The linear component would prefer late dates whatever the lag.
                layer.weight[1:].diagonal(1).add_(1.0)
                layer.bias.zero_()

    def logits(self, times):
        """Compute the logits of every reference date and time.

        Parameters
        ----------
        times : tensor of shape (t,)

        Returns
        -------
        logits : tensor of shape (H * R, t)
        """
        q = self.query(self.embedding(self.reference_times))
        k = self.key(self.embedding(times))
        d_k = q.shape[1] // self.n_heads
        q = q.view(-1, self.n_heads, d_k).transpose(0, 1)
        k = k.view(-1, self.n_heads, d_k).transpose(0, 1)
        return torch.matmul(q, k.transpose(1, 2)).flatten(0, 1) / math.sqrt(d_k)

    def forward(self, times, values, mask, index=None):
        """Interpolate at the reference dates.

        Parameters
        ----------
        times : tensor of shape (t,) or (u,)
            Times shared by all series or, with `index`, the distinct times.
        values : tensor of shape (n, c, t)
            Values, finite, 0 where not observed.
        mask : tensor of shape (n, 1, t) or (n, c, t), same dtype as `values`
            1 where observed, 0 elsewhere; one for all channels or one each.
        index : int64 tensor of shape (n, t) or None, default=None
            Position in `times` of each date of each series.

        Returns
        -------
        interpolated : tensor of shape (n, c, H * R)
            Convex combinations of the observed values, 0 where there is none.
        observed : bool tensor of shape (n, 1 or c, 1)
            Whether there is any observation.
        """
        logits = self.logits(times)
        with torch.no_grad():
            top = logits.amax(1, keepdim=True)
            logit_range = (top - logits.amin(1, keepdim=True)).amax()
        observed = mask.sum(-1, keepdim=True) > 0
        if logit_range > _MAX_RANGE[logits.dtype]:
            return _masked_softmax(logits, values, mask, index), observed
        weights = torch.exp(logits - top)
        if index is None:
            total, sums = mask @ weights.T, values @ weights.T
        else:
            # The backward pass of an embedding adds in one sweep, that of indexing sorts.
            slot_weights = nn.functional.embedding(index, weights.T)
            sums = torch.bmm(torch.cat([mask, values], dim=1), slot_weights)
            total, sums = sums.split([mask.shape[1], values.shape[1]], dim=1)
        # A quotient, not a product with the reciprocal: the square of a tiny total, in the gradient
        # of the latter, underflows.
        return sums / torch.where(observed, total, 1.0), observed

    def weights(self, times, mask, index=None):
        """Compute the weights with which observations are interpolated.

        Parameters
        ----------
        times, mask, index
            As in `forward`.

        Returns
        -------
        weights : tensor of shape (n, k, H * R, t)
            One for each channel of the mask. They sum to one over the observed dates, and are
            zero elsewhere.
        """
        weights, total = _masked_weights(self.logits(times), mask, index)
        return weights / torch.where(total > 0, total, 1.0)[..., None]


def _masked_softmax(logits, values, mask, index):
    """Interpolate with weights normalised series by series, for logits of any range."""
    out = []
    rows = max(1, _CHUNK_ELEMENTS // (logits.shape[0] * values.shape[2] * mask.shape[1]))
    for start in range(0, len(values), rows):
        part = slice(start, start + rows)
        weights, total = _masked_weights(logits, mask[part], None if index is None else index[part])
        sums = torch.matmul(weights, values[part, :, :, None]).squeeze(-1)
        out.append(sums / torch.where(total > 0, total, 1.0))
    return torch.cat(out)


def _masked_weights(logits, mask, index):
    """Return weights relative to the largest of each reference date, and their sums."""
    slot_logits = logits[None] if index is None else logits.T[index].transpose(1, 2)
    seen = mask[:, :, None] > 0  # (n, 1 or c, 1, t)
    slot_logits = slot_logits[:, None].masked_fill(~seen, -torch.inf)
    top = slot_logits.amax(-1, keepdim=True)
    # A series without observation has no largest logit; its weights are all zero.
    relative = slot_logits - torch.where(top == -torch.inf, 0.0, top)
    weights = torch.exp(relative.clamp_min(-_MAX_RANGE[logits.dtype])) * seen
    return weights, weights.sum(-1)

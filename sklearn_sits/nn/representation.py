"""Fixed-size representation of irregular series: Z = B[X* + P]Γ."""

import math

import torch
from torch import nn

__all__ = ["SeriesRepresentation"]

# Standard deviations at which interpolated series are cut off where they are features.
_LARGEST_DEVIATION = 5.0


class SeriesRepresentation(nn.Module):
    """Attention interpolation, spatial encoding and embedding, in this order [1]_.

    Values are standardised after the interpolation: its weights sum to one, so that this is
    the same as standardising every observation, on far fewer numbers.

    Parameters
    ----------
    attention : MultiTimeAttention
        Interpolator Γ.
    embedding : torch.nn.Module
        Embedding B, from (n, c, H * R) to (n, d).
    n_channels : int
        Number of channels c.
    spatial : SpatialEncoding or None, default=None
        Encoding P of the positions.
    date_dropout : float, default=0.0
        In training, hide a share of the dates of each series, drawn from U(0, date_dropout).
    append_series : bool, default=False
        Append the interpolated series to the embedding, scaled to have the same norm.

    References
    ----------
    .. [1] Bellet, Fauvel, Inglada and Michel, "End-to-end Learning for Land Cover
       Classification using Irregular and Unaligned SITS by Combining Attention-Based
       Interpolation with Sparse Variational Gaussian Processes", IEEE JSTARS, 2024.
    """

    def __init__(
        self, attention, embedding, n_channels, spatial=None, date_dropout=0.0, append_series=False
    ):
        super().__init__()
        self.attention = attention
        self.embedding = embedding
        self.spatial = spatial
        self.date_dropout = date_dropout
        self.n_features = embedding.n_features
        self.append_series = append_series
        if append_series:
            n_values = n_channels * attention.n_heads * len(attention.reference_times)
            self.series_scale = math.sqrt(embedding.n_features / n_values)
            self.n_features += n_values
        self.generator = None
        self.register_buffer("start", torch.zeros(()))
        self.register_buffer("span", torch.ones(()))
        self.register_buffer("mean", torch.zeros(n_channels, 1))
        self.register_buffer("scale", torch.ones(n_channels, 1))

    def reset(self, batch, date_range, weight, generator):
        """Initialise every part on a sample of the training series.

        Parameters
        ----------
        batch : dict of tensors
            Arguments of `forward`.
        date_range : sequence of two floats
            First and last reference date, in days; NaN if nothing was observed.
        weight : tensor of shape (n,)
            Weights of the series.
        generator : torch.Generator
            Source of randomness.
        """
        values, mask = batch["values"], batch["mask"]
        first, last = date_range
        with torch.no_grad():
            # Without any observation, every date is as good as another.
            if first == first:
                self.start.fill_(first)
                self.span.fill_(last - first if last > first else 1.0)
            mean, scale = _weighted_moments(values, mask, weight.double())
            self.mean.copy_(mean[:, None])
            # Rounding alone gives a constant channel a deviation, not to be magnified.
            rounding = 10 * torch.finfo(values.dtype).eps * mean.abs()
            self.scale.copy_(torch.where(scale > rounding, scale, 1.0)[:, None])
            self.attention.reset(generator)
            if self.spatial is not None:
                self.spatial.reset(batch["positions"])
            self.embedding.reset(self._interpolate(**batch), weight, generator)

    def forward(self, dates, values, mask, index=None, positions=None):
        """Compute the representation.

        Parameters
        ----------
        dates : float64 tensor of shape (t,) or (u,)
            Dates in days, shared by all series, or the distinct dates.
        values : tensor of shape (n, c, t)
            Values, 0 where not observed.
        mask : tensor of shape (n, 1 or c, t), same dtype as `values`
            1 where observed.
        index : int64 tensor of shape (n, t) or None, default=None
            Position in `dates` of each date of each series.
        positions : tensor of shape (n, k) or None, default=None
            Positions, NaN where unknown.

        Returns
        -------
        z : tensor of shape (n, d)
        """
        if self.training and self.date_dropout:
            values, mask = self._hide_dates(values, mask)
        series = self._interpolate(dates, values, mask, index, positions)
        z = self.embedding(series)
        if not self.append_series:
            return z
        # One extreme value must not outweigh all others.
        series = series.flatten(1).clamp(-_LARGEST_DEVIATION, _LARGEST_DEVIATION)
        return torch.cat([z, self.series_scale * series], dim=1)

    def attention_weights(self, dates, values, mask, index=None, positions=None):
        """Compute the weights of the observations at each reference date.

        Parameters
        ----------
        dates, values, mask, index, positions
            As in `forward`.

        Returns
        -------
        weights : tensor of shape (n, 1 or c, H * R, t)
            See :meth:`MultiTimeAttention.weights`.
        """
        return self.attention.weights(self._to_times(dates, values.dtype), mask, index)

    def _to_times(self, dates, dtype):
        # In double precision until here: days since 1970 have five digits before the point.
        return ((dates - self.start) / self.span).to(dtype)

    def _interpolate(self, dates, values, mask, index=None, positions=None):
        times = self._to_times(dates, values.dtype)
        series, observed = self.attention(times, values, mask, index)
        # (x - mean) / scale, and 0 where there is no observation, in one sweep over the series.
        precision = self.scale.reciprocal()
        shift = torch.where(observed, -self.mean * precision, 0.0)
        series = torch.addcmul(shift, series, precision)
        if self.spatial is None:
            return series
        return series + self.spatial(positions)[..., None]

    def _hide_dates(self, values, mask):
        n, _, t = mask.shape
        draws = torch.rand(
            (n, t + 1), generator=self.generator, dtype=mask.dtype, device=mask.device
        )
        kept = (draws[:, 1:] >= draws[:, :1] * self.date_dropout).to(mask.dtype)[:, None]
        # A series of which a channel would lose its last observation keeps all its dates.
        lost = ((mask * kept).sum(-1) == 0) & (mask.sum(-1) > 0)
        lost = lost.any(1)[:, None, None]
        kept = torch.where(lost, 1.0, kept)
        return values * kept, mask * kept


def _weighted_moments(values, mask, weight):
    """Mean and standard deviation of each channel over its observations."""

    def total(x):
        return weight @ x.sum(-1).double()

    count = total(mask).clamp_min(torch.finfo(torch.float64).tiny)
    mean = total(values) / count
    # Centred first: squares of large values would lose the digits of a small deviation.
    centred = (values - mean.to(values.dtype)[:, None]) * mask
    return mean, (total(centred.square_()) / count).sqrt()

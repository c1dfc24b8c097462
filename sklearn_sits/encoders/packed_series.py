"""What estimators share that represent packed series by attention over the dates."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from sklearn_sits.encoders.series_batch import to_batch
from sklearn_sits.nn.attention import MultiTimeAttention
from sklearn_sits.nn.embedding import DeepEmbedding, IdentityEmbedding, SpectralEmbedding
from sklearn_sits.nn.representation import SeriesRepresentation
from sklearn_sits.nn.spatial_encoding import SpatialEncoding
from sklearn_sits.runtime.parameters import NumberInterval
from sklearn_sits.series.checks import check_sits
from sklearn_sits.series.coverage import note_coverage
from sklearn_sits.series.stored_array import open_stored

__all__ = ["PackedSeriesMixin"]


class PackedSeriesMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """Checks packed series, turns them into batches and makes their representation.

    A subclass keeps the parameters of the fitted representation in `_module_params` and defines
    `_representation`, the fitted module.
    """

    _parameter_constraints: dict = {
        "n_reference_dates": [NumberInterval(Integral, 2, None, closed="left")],
        "n_heads": [NumberInterval(Integral, 1, None, closed="left")],
        "time_embedding_dim": [NumberInterval(Integral, 2, None, closed="left")],
        "n_components": [NumberInterval(Integral, 1, None, closed="left")],
        "n_hidden": [NumberInterval(Integral, 1, None, closed="left")],
        "dropout": [NumberInterval(Real, 0, 1, closed="left")],
        "date_dropout": [NumberInterval(Real, 0, 1, closed="left")],
        "position_channels": ["array-like"],
    }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _check_heads(self):
        """Check that the time embedding can be divided among the heads."""
        if self.time_embedding_dim % self.n_heads:
            raise ValueError(
                f"time_embedding_dim={self.time_embedding_dim} must be a multiple of "
                f"n_heads={self.n_heads}."
            )

    def _check_X(self, X, reset, strict=None):
        if reset:
            self._check_heads()
        return check_sits(
            self,
            open_stored(X),
            reset=reset,
            strict=strict,
            static_channels=self._module_params["position_channels"],
            static_name="position_channels",
        )

    def _note_coverage(self, X, rows, warm):
        positions = self._module_params["position_channels"]
        note_coverage(self, X, positions, rows=rows, extend=warm)

    def _to_batch(self, rows, device):
        return to_batch(rows, self._module_params["position_channels"], device)

    def _make_series_representation(self, params, embedding, embedding_dim, append_series=False):
        # A plain 2-D array has one channel and no date.
        n_positions = len(params.position_channels)
        n_channels = 1 if self._n_dims_in == 2 else self.n_features_in_ - 1 - n_positions
        if embedding == "linear":
            layers = SpectralEmbedding(
                n_channels, params.n_reference_dates, params.n_heads, embedding_dim
            )
        elif embedding == "identity":
            layers = IdentityEmbedding(n_channels, params.n_reference_dates, params.n_heads)
        else:
            layers = DeepEmbedding(
                n_channels * params.n_reference_dates * params.n_heads,
                params.n_components,
                params.n_hidden,
                embedding_dim,
                params.dropout,
            )
        return SeriesRepresentation(
            MultiTimeAttention(params.n_reference_dates, params.n_heads, params.time_embedding_dim),
            layers,
            n_channels,
            SpatialEncoding(n_positions, n_channels) if n_positions else None,
            params.date_dropout,
            append_series,
        )

    @property
    def reference_dates_(self) -> np.ndarray:
        """Reference dates, an ndarray of shape (n_reference_dates,), in days as in X."""
        representation = self._representation
        times = representation.attention.reference_times
        return (representation.start + representation.span * times).cpu().numpy()

"""What the classifiers with an attention interpolator share."""

from numbers import Integral, Real
from types import SimpleNamespace

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_sits.nn.attention import MultiTimeAttention
from sklearn_sits.nn.embedding import DeepEmbedding, SpectralEmbedding
from sklearn_sits.nn.representation import SeriesRepresentation
from sklearn_sits.nn.spatial_encoding import SpatialEncoding
from sklearn_sits.runtime.batches import to_tensor
from sklearn_sits.series.checks import check_sits, split_channels
from sklearn_sits.series.coverage import note_coverage
from sklearn_sits.series.stored_array import open_stored

__all__ = ["MTANMixin"]


class MTANMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """Input checks, batches, representation and `transform` of the mTAN classifiers."""

    _parameter_constraints = {
        "n_reference_dates": [Interval(Integral, 2, None, closed="left")],
        "n_heads": [Interval(Integral, 1, None, closed="left")],
        "time_embedding_dim": [Interval(Integral, 2, None, closed="left")],
        "embedding": [StrOptions({"deep", "linear"})],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "n_hidden": [Interval(Integral, 1, None, closed="left")],
        "embedding_dim": [Interval(Integral, 1, None, closed="left"), None],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "date_dropout": [Interval(Real, 0, 1, closed="left")],
        "position_channels": ["array-like"],
    }

    _module_param_names = (*_parameter_constraints,)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _check_X(self, X, reset, strict=None):
        if reset and self.time_embedding_dim % self.n_heads:
            raise ValueError(
                f"time_embedding_dim={self.time_embedding_dim} must be a multiple of "
                f"n_heads={self.n_heads}."
            )
        return check_sits(
            self,
            open_stored(X),
            reset=reset,
            strict=strict,
            static_channels=self._module_params["position_channels"],
            static_name="position_channels",
        )

    def _note_coverage(self, X, warm):
        note_coverage(self, X, self._module_params["position_channels"], extend=warm)

    def _load(self, X, rows, device):
        return _to_batch(X[rows], self._module_params["position_channels"], device)

    def _make_representation(self, embedding_dim):
        p = SimpleNamespace(**self._module_params)
        # A plain 2-D array has one channel and no date.
        n_positions = len(p.position_channels)
        n_channels = 1 if self._n_dims_in == 2 else self.n_features_in_ - 1 - n_positions
        if p.embedding == "linear":
            embedding = SpectralEmbedding(
                n_channels, p.n_reference_dates, p.n_heads, p.embedding_dim
            )
        else:
            embedding = DeepEmbedding(
                n_channels * p.n_reference_dates * p.n_heads,
                p.n_components,
                p.n_hidden,
                p.embedding_dim or embedding_dim,
                p.dropout,
            )
        return SeriesRepresentation(
            MultiTimeAttention(p.n_reference_dates, p.n_heads, p.time_embedding_dim),
            embedding,
            n_channels,
            SpatialEncoding(n_positions, n_channels) if n_positions else None,
            p.date_dropout,
        )

    @property
    def _n_features_out(self):
        return self._module.representation.embedding.n_features

    @property
    def reference_dates_(self):
        """Reference dates, an ndarray of shape (n_reference_dates,), in days as in X."""
        representation = self._module.representation
        times = representation.attention.reference_times
        return (representation.start + representation.span * times).cpu().numpy()

    def transform(self, X):
        """Compute the learned representation Z.

        Parameters
        ----------
        X : array-like of shape (n_series, n_dates, 1 + n_channels)
            Packed series.

        Returns
        -------
        Z : ndarray of shape (n_series, embedding_dim)
            In the precision of X. With `embedding="linear"`,
            (n_series, n_reference_dates * embedding_dim), by date.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented, or its channels differ from those of the training data.
        """
        check_is_fitted(self)
        return self._apply(self._check_X(X, reset=False), lambda head, z: z)


def _to_batch(series, position_channels, device):
    """Turn packed series (n, t, 1 + c + k) into arguments of the module, on the device."""
    bands, static = split_channels(series.shape[2], position_channels)
    dates = np.array(series[..., 0], dtype=np.float64)
    padding = np.isnan(dates)
    if padding.any():
        # Any date will do where nothing is observed.
        dates[padding] = 0.0 if padding.all() else np.nanmin(dates)
    batch = {}
    if (dates == dates[0]).all():
        dates = dates[0]
    else:
        shape = dates.shape
        dates, index = np.unique(dates, return_inverse=True)
        batch["index"] = to_tensor(index.reshape(shape), device)
    batch["dates"] = to_tensor(dates, device)
    if static:
        batch["positions"] = to_tensor(np.fmin.reduce(series[..., static], axis=1), device)
    values = to_tensor(series, device)[..., bands].transpose(1, 2)
    values = values.clone(memory_format=torch.contiguous_format)
    # NaN is not equal to itself; in place, for the result to have the type of the values.
    mask = values.clone().eq_(values)
    n_channels = mask.shape[1]
    # Clouds hide all bands of a date: one mask then serves them all.
    if n_channels > 1 and bool((mask.sum(1) == n_channels * mask[:, 0]).all()):
        mask = mask[:, :1].contiguous()
    return batch | {"values": values.nan_to_num_(0.0), "mask": mask}

"""What the classifiers with an attention interpolator share."""

from numbers import Integral, Real
from types import SimpleNamespace

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_sits.date_range import find_date_range
from sklearn_sits.nn.attention import MultiTimeAttention
from sklearn_sits.nn.embedding import DeepEmbedding, SpectralEmbedding
from sklearn_sits.nn.representation import SeriesRepresentation
from sklearn_sits.nn.spatial_encoding import SpatialEncoding
from sklearn_sits.packing import check_sits, split_sits
from sklearn_sits.stored_array import open_stored

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

    def _check_X(self, X, reset):
        if reset and self.time_embedding_dim % self.n_heads:
            raise ValueError(
                f"time_embedding_dim={self.time_embedding_dim} must be a multiple of "
                f"n_heads={self.n_heads}."
            )
        return check_sits(
            self,
            open_stored(X),
            reset=reset,
            static_channels=self._module_params["position_channels"],
            static_name="position_channels",
        )

    def _note_coverage(self, X, warm):
        days = find_date_range(X, self._module_params["position_channels"])
        if warm:
            both = np.stack([days, self.date_range_])
            days = np.array([np.fmin.reduce(both[:, 0]), np.fmax.reduce(both[:, 1])])
        self.date_range_ = days

    def _load(self, X, rows, dtype):
        dates, bands, positions = split_sits(X[rows], self._module_params["position_channels"])
        return _to_batch(dates, bands, positions, dtype)

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


def _to_batch(dates, bands, positions, dtype):
    """Turn dates (n, t), bands (n, t, c) and positions (n, k) into arguments of the module."""
    dates = np.array(dates, dtype=np.float64)
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
        batch["index"] = torch.from_numpy(index.reshape(shape))
    # A copy, in the type of X: faster than to change the order and the type at once.
    values = np.array(bands.transpose(0, 2, 1), order="C")
    observed = ~np.isnan(values)
    # Clouds hide all bands of a date: one mask then serves them all.
    if observed.shape[1] > 1 and (observed == observed[:, :1]).all():
        observed = observed[:, :1]
    if positions.shape[1]:
        batch["positions"] = torch.from_numpy(np.array(positions)).to(dtype)
    return batch | {
        "dates": torch.from_numpy(dates),
        "values": torch.from_numpy(values).nan_to_num_(0.0).to(dtype),
        "mask": torch.from_numpy(observed).to(dtype),
    }

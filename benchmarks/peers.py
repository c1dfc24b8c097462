"""Deep classifiers of the literature, written from the equations of their papers.

Both take a packed array. A series has one date axis for all bands; each band has its own gaps.

- L-TAE: Garnot and Landrieu, "Lightweight Temporal Self-Attention for Classifying Satellite Image
  Time Series", 2020. The encoder of a pixel is an MLP of its bands.
- TempCNN: Pelletier, Webb and Petitjean, "Temporal Convolutional Neural Network for the
  Classification of Satellite Image Time Series", 2019.
"""

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from torch import nn

from sklearn_sits import LinearInterpolator

PREDICTION_BATCH = 1024


class LTAE(nn.Module):
    """Attention over dates with one learned query and one group of channels per head."""

    def __init__(self, n_bands, n_classes, n_heads=16, key_dim=8, width=256, dropout=0.2):
        super().__init__()
        self.n_heads, self.width = n_heads, width
        # A band and its mask: a gap is a zero that the encoder can tell from an observation.
        self.pixel = nn.Sequential(
            nn.Linear(2 * n_bands, 64), nn.ReLU(), nn.Linear(64, 128), nn.LayerNorm(128)
        )
        self.inflate = nn.Sequential(nn.Linear(128, width), nn.LayerNorm(width))
        self.query = nn.Parameter(torch.randn(n_heads, key_dim) * (2 / key_dim) ** 0.5)
        self.key = nn.Linear(width, n_heads * key_dim)
        nn.init.normal_(self.key.weight, std=(2 / key_dim) ** 0.5 / width**0.5)
        self.drop_attention = nn.Dropout(0.1)
        self.mix = nn.Sequential(
            nn.Linear(width, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Dropout(dropout)
        )
        self.normalise = nn.LayerNorm(128)
        self.decode = nn.Sequential(
            *(nn.Linear(128, 64), nn.BatchNorm1d(64), nn.ReLU()),
            *(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU()),
            nn.Linear(32, n_classes),
        )

    def encode_days(self, days):
        """Return sines and cosines of days, the same for every group of channels."""
        size = self.width // self.n_heads
        rate = 1000.0 ** (-2 * torch.div(torch.arange(size), 2, rounding_mode="floor") / size)
        angle = days[..., None] * rate
        wave = torch.where(torch.arange(size) % 2 == 0, angle.sin(), angle.cos())
        return wave.repeat(1, 1, self.n_heads)

    def forward(self, days, values, observed):
        """Return logits; `observed` is False where a date has no band at all."""
        n, n_dates = days.shape
        e = self.inflate(self.pixel(values)) + self.encode_days(days)
        keys = self.key(e).view(n, n_dates, self.n_heads, -1)
        score = torch.einsum("nthk,hk->nht", keys, self.query) / keys.shape[-1] ** 0.5
        weight = score.masked_fill(~observed[:, None], -1e9).softmax(-1)
        groups = e.view(n, n_dates, self.n_heads, -1)
        pooled = torch.einsum("nht,nthc->nhc", self.drop_attention(weight), groups)
        return self.decode(self.normalise(self.mix(pooled.reshape(n, -1))))


class TempCNN(nn.Sequential):
    """Three convolutions along the dates and a dense layer."""

    def __init__(self, n_bands, n_dates, n_classes, n_filters=64, width=256, dropout=0.5):
        layers = []
        for n_in in (n_bands, n_filters, n_filters):
            layers += [
                nn.Conv1d(n_in, n_filters, 5, padding="same"),
                *(nn.BatchNorm1d(n_filters), nn.ReLU(), nn.Dropout(dropout)),
            ]
        dense = nn.Linear(n_filters * n_dates, width)
        layers += [nn.Flatten(), dense, nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)]
        super().__init__(*layers, nn.Linear(width, n_classes))


class NetworkClassifier(ClassifierMixin, BaseEstimator):
    """Train a network with Adam for a fixed number of steps."""

    def __init__(
        self, n_epochs=10, min_steps=300, batch_size=32, learning_rate=1e-3, random_state=None
    ):
        self.n_epochs = n_epochs
        self.min_steps = min_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(self, X, y):
        """Fit the network."""
        self.classes_, label = np.unique(y, return_inverse=True)
        seed = check_random_state(self.random_state).randint(2**31)
        # Weights and dropout draw from torch's global generator.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            inputs, label = self._fit_inputs(X), torch.from_numpy(label)
            self.network_ = self._make_network(inputs)
            self._train(inputs, label)
        return self

    def _train(self, inputs, label):
        n = len(label)
        n_batches = max(n // self.batch_size, 1)
        n_epochs = max(self.n_epochs, -(-self.min_steps // n_batches))
        optimizer = torch.optim.Adam(
            self.network_.parameters(), lr=self.learning_rate, weight_decay=1e-6
        )
        # The rate falls to zero in a straight line: the last steps no longer jump.
        decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 1e-3, n_epochs * n_batches)
        self.network_.train()
        for _ in range(n_epochs):
            for rows in torch.randperm(n).tensor_split(n_batches):
                batch = self._augment([array[rows] for array in inputs])
                loss = nn.functional.cross_entropy(self.network_(*batch), label[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                decay.step()

    def _augment(self, batch):
        return batch

    @torch.no_grad()
    def predict_proba(self, X):
        """Return probabilities of shape (n_series, n_classes)."""
        self.network_.eval()
        inputs = self._make_inputs(X)
        batches = zip(*(array.split(PREDICTION_BATCH) for array in inputs), strict=True)
        return torch.cat([self.network_(*batch).softmax(-1) for batch in batches]).numpy()

    def predict(self, X):
        """Return the most probable class of each series."""
        return self.classes_[self.predict_proba(X).argmax(1)]


class LTAEClassifier(NetworkClassifier):
    """L-TAE on the observed dates.

    Parameters
    ----------
    date_dropout : float, default=0.3
        Share of the observed dates of a series hidden at random in each training step.
    n_epochs, min_steps, batch_size, learning_rate, random_state
        The number of steps is the larger of `min_steps` and that of `n_epochs`.
    """

    def __init__(
        self,
        date_dropout=0.3,
        n_epochs=10,
        min_steps=300,
        batch_size=32,
        learning_rate=1e-3,
        random_state=None,
    ):
        super().__init__(n_epochs, min_steps, batch_size, learning_rate, random_state)
        self.date_dropout = date_dropout

    def _fit_inputs(self, X):
        bands = X[..., 1:]
        self.first_day_ = np.nanmin(X[..., 0])
        self.mean_, self.scale_ = np.nanmean(bands, (0, 1)), np.nanstd(bands, (0, 1))
        return self._make_inputs(X)

    def _make_inputs(self, X):
        missing = np.isnan(X[..., 1:])
        bands = np.where(missing, 0, (X[..., 1:] - self.mean_) / self.scale_)
        values = np.concatenate([bands, ~missing], axis=-1, dtype=np.float32)
        days = np.nan_to_num(X[..., 0] - self.first_day_).astype(np.float32)
        return tuple(torch.from_numpy(array) for array in (days, values, ~missing.all(-1)))

    def _make_network(self, inputs):
        return LTAE(inputs[1].shape[-1] // 2, len(self.classes_))

    def _augment(self, batch):
        days, values, observed = batch
        kept = observed & (torch.rand(observed.shape) >= self.date_dropout)
        # A series that would lose all of its dates keeps them all.
        kept = torch.where(kept.any(1, keepdim=True), kept, observed)
        # Attention does not depend on the order of the dates. Hidden ones go last and are cut off.
        first = kept.int().argsort(1, descending=True)[:, : kept.sum(1).max()]
        values = values.gather(1, first[..., None].expand(-1, -1, values.shape[2]))
        return days.gather(1, first), values, kept.gather(1, first)


class TempCNNClassifier(NetworkClassifier):
    """TempCNN on series interpolated linearly on `dates`; other parameters as for L-TAE."""

    def __init__(
        self,
        dates=None,
        n_epochs=10,
        min_steps=300,
        batch_size=32,
        learning_rate=1e-3,
        random_state=None,
    ):
        super().__init__(n_epochs, min_steps, batch_size, learning_rate, random_state)
        self.dates = dates

    def _fit_inputs(self, X):
        self.interpolator_ = LinearInterpolator(self.dates).fit(X)
        values = self._interpolate(X)
        self.mean_, self.scale_ = values.mean((0, 1)), values.std((0, 1))
        return self._make_inputs(X)

    def _interpolate(self, X):
        table = self.interpolator_.transform(X)
        return table.reshape(len(X), -1, X.shape[2] - 1)

    def _make_inputs(self, X):
        values = (self._interpolate(X) - self.mean_) / self.scale_
        return (torch.from_numpy(np.ascontiguousarray(values.swapaxes(1, 2), np.float32)),)

    def _make_network(self, inputs):
        _, n_bands, n_dates = inputs[0].shape
        return TempCNN(n_bands, n_dates, len(self.classes_))

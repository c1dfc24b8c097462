"""Small trainings of trait retrieval, and what to compare of them."""

import numpy as np

from sklearn_sits import ProsailVAERegressor
from sklearn_sits.physics import VARIABLES

NAN = np.nan
BANDS = ["B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"]
TRAITS = [variable.name for variable in VARIABLES] + ["CCC", "CWC", "CDMC", "fAPAR", "fCover"]
OBJECTIVES = ["hybrid", "self-supervised", "simulations"]
TINY = {
    # What short trainings can learn, and what `make_prosail` draws from.
    "priors": "paper",
    "n_hidden": 32,
    "pretrain_iter": 30,
    "max_iter": 3,
    "n_simulations": 500,
    "batch_size": 64,
    "n_mc_samples": 4,
    "learning_rate": 1e-2,
    "random_state": 0,
    "device": "cpu",
}
TRAINED = {**TINY, "objective": "simulations", "pretrain_iter": 600, "n_simulations": 8000}
METHODS = ["predict", "predict_interval", "transform", "reconstruct", "sample"]


def make(**kwargs):
    return ProsailVAERegressor(**{**TINY, **kwargs})


def to_series(X, n_dates=4):
    """Series with a date in front, and one slot more, of which nothing was observed."""
    X = X.reshape(-1, n_dates, X.shape[1])
    days = np.tile(np.arange(n_dates, dtype=float)[:, None], (len(X), 1, 1))
    packed = np.concatenate([days, X], axis=2)
    return np.concatenate([packed, np.full_like(packed[:, :1], NAN)], axis=1)


def results(model, X):
    """All that a model returns, as one table."""
    mean, std = model.predict(X, return_std=True)
    parts = [mean, std, *model.predict_interval(X), model.transform(X), model.reconstruct(X)]
    parts += list(model.sample(X, 3, random_state=0))
    return np.concatenate([np.reshape(part, (*np.shape(X)[:-1], -1)) for part in parts], axis=-1)


def distort(X):
    """Vegetation upside down: what no canopy reflects."""
    X = X.copy()
    X[:, :10] = X[:, 9::-1]
    return X

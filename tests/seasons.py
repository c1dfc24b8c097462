"""Small trainings of the retrieval of seasons, and what to compare of them."""

import numpy as np

from sklearn_sits import PhenologyVAERegressor

NAN = np.nan
NAMES = ["minimum", "maximum", "start_of_season", "maturity", "senescence", "end_of_season"]
OBJECTIVES = ["simulations", "self-supervised", "hybrid"]
TINY = {
    "n_hidden": 8,
    "n_blocks": 1,
    "pretrain_iter": 20,
    "max_iter": 3,
    "batch_size": 16,
    "n_mc_samples": 4,
    "random_state": 0,
    "device": "cpu",
}
TRAINED = {**TINY, "n_hidden": 32, "pretrain_iter": 500, "batch_size": 64, "learning_rate": 8e-3}
METHODS = ["predict", "predict_interval", "transform", "reconstruct", "sample"]


def make(**kwargs):
    return PhenologyVAERegressor(**{**TINY, **kwargs})


def results(model, X):
    """All that a model returns, as one table."""
    mean, std = model.predict(X, return_std=True)
    parts = [mean, std, *model.predict_interval(X), model.transform(X), model.reconstruct(X)]
    draws = model.sample(X, 3, random_state=0)
    return np.concatenate([np.reshape(part, (len(X), -1)) for part in [*parts, *draws]], axis=1)

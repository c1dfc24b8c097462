"""Small trainings of the retrieval of seasons, and what to compare of them."""

import numpy as np

from sklearn_sits import PhenologyVAERegressor
from sklearn_sits.datasets import make_phenology

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
METHODS = ["predict", "predict_interval", "transform", "reconstruct", "sample", "quality"]


def make(**kwargs):
    return PhenologyVAERegressor(**{**TINY, **kwargs})


def results(model, X):
    """All that a model returns, as one table."""
    mean, std = model.predict(X, return_std=True)
    parts = [mean, std, *model.predict_interval(X), model.transform(X), model.reconstruct(X)]
    draws = model.sample(X, 3, random_state=0)
    parts += [*draws, model.quality(X)]
    return np.concatenate([np.reshape(part, (len(X), -1)) for part in parts], axis=1)


def make_doubles(n_series=300, **kwargs):
    """Return series of two seasons a year that stand out, and their parameters."""
    priors = {"amplitude": (0.4, 0.8), "start_of_season": (0.0, 60.0), "plateau": (0.0, 60.0)}
    return make_phenology(n_series, n_seasons=2, priors=priors, random_state=3, **kwargs)


def make_flat(n_series, noise=0.03, random_state=0):
    """Return series of evergreen pixels: noise around a constant, with the gaps of seasons."""
    X, _ = make_phenology(n_series, random_state=random_state)
    rng = np.random.default_rng(random_state)
    level = rng.uniform(0.2, 0.9, (n_series, 1)) + noise * rng.normal(size=X.shape[:2])
    X[..., 1] = np.where(np.isnan(X[..., 1]), NAN, level)
    return X

"""Every estimator in a size that trains in some ten milliseconds, and data for it."""

import warnings

import numpy as np

from sklearn_sits._discovery import all_estimators
from sklearn_sits.datasets import make_phenology, make_prosail, make_sits

CLASSIFIER = {"max_iter": 2, "batch_size": 64, "device": "cpu", "random_state": 0}
MTAN = {
    "n_reference_dates": 3,
    "time_embedding_dim": 8,
    "n_components": 6,
    "n_hidden": 6,
    "position_channels": (-2, -1),
    **CLASSIFIER,
}
ENCODER = {**MTAN, "embedding_dim": 4}
VAE = {
    "n_hidden": 6,
    "n_blocks": 1,
    "pretrain_iter": 2,
    "max_iter": 1,
    "batch_size": 8,
    "n_mc_samples": 2,
    "device": "cpu",
    "random_state": 0,
}
SETTINGS = {
    "LinearInterpolator": {"static_channels": (-2, -1)},
    "MTANEncoder": ENCODER,
    "MTANMLPClassifier": MTAN,
    "MTANSVGPClassifier": {"n_inducing": 5, **MTAN},
    "PhenologyVAERegressor": VAE,
    "ProsailVAERegressor": {"n_simulations": 100, "quadrature": 1, **VAE},
    "SVGPClassifier": {"n_inducing": 5, **CLASSIFIER},
}
ESTIMATORS = dict(all_estimators())


def make(name, **parameters):
    return ESTIMATORS[name](**{**SETTINGS[name], **parameters})


def fit(name, dtype=np.float64, **parameters):
    """Fit an estimator to its data."""
    X, y = DATA[name]
    # So short a training of the auto-encoder of traits collapses, and says so.
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        return make(name, **parameters).fit(X.astype(dtype), y)


def _make_data():
    X, y = make_sits(24, 12, 3, 3, random_state=0, dtype=np.float64)
    season, dates = make_phenology(24, n_dates=20, random_state=0)
    spectra, traits = make_prosail(24, targets=["LAI"], random_state=0)
    return {
        "LinearInterpolator": (X, y),
        "MTANEncoder": (X, y),
        "MTANMLPClassifier": (X, y),
        "MTANSVGPClassifier": (X, y),
        "PhenologyVAERegressor": (season, dates),
        "ProsailVAERegressor": (spectra, traits[:, 0]),
        "SVGPClassifier": (np.nan_to_num(X[:, :3]).reshape(24, -1), y),
    }


DATA = _make_data()

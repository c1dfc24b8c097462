"""The systems that the benchmarks compare, all on the same packed array."""

from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sits import (
    LinearInterpolator,
    MTANMLPClassifier,
    MTANSVGPClassifier,
    SVGPClassifier,
)

# The embedding of the paper, without the hidden layer of the default.
LINEAR_EMBEDDING = {
    "embedding": "linear",
    "max_iter": 40,
    "n_inducing": 100,
    "date_dropout": 0.2,
}

NAMES = ["mtan-svgp", "mtan-svgp-linear", "mtan-mlp", "lin-svgp", "lin-rf", "lin-hgb"]


def make_system(name, seed):
    """Return the unfitted system of that name."""
    if name == "mtan-svgp":
        return MTANSVGPClassifier(random_state=seed)
    if name == "mtan-svgp-linear":
        return MTANSVGPClassifier(**LINEAR_EMBEDDING, random_state=seed)
    if name == "mtan-mlp":
        return MTANMLPClassifier(random_state=seed)
    # Part of the pipeline, the interpolation counts in its times of fit and prediction.
    if name == "lin-svgp":
        steps = [StandardScaler(), SVGPClassifier(random_state=seed)]
    elif name == "lin-rf":
        steps = [RandomForestClassifier(100, n_jobs=2, random_state=seed)]
    elif name == "lin-hgb":
        steps = [HistGradientBoostingClassifier(random_state=seed)]
    else:
        raise ValueError(f"Unknown system {name!r}, expected one of {NAMES}.")
    return make_pipeline(LinearInterpolator(), *steps)

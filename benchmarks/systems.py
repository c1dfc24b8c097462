"""The systems that the benchmarks compare, all on the same packed array."""

import numpy as np
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


def print_table(header, rows):
    """Print a Markdown table."""
    table = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    table.insert(1, ["-" * width for width in widths])
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("| " + " | ".join(cells) + " |")


def spread(values, digits):
    """Format mean ± standard deviation."""
    return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}"

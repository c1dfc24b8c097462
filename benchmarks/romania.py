"""Tree cover classes of a cube in Romania, with all labels and with ten labels per class.

The data come with the package nrt-data. Blocks of 200 m are held out.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from landcover import DIGITS, SCORES, TITLES, evaluate
from report import Report, add_results_option, spread
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import StratifiedGroupKFold
from systems import NAMES, make_system

from sklearn_sits import MTANEncoder, MTANSVGPClassifier
from sklearn_sits.datasets import load_romania

BLOCK = 10  # pixels of 20 m
LIMITS = [60, 80]  # tree cover density in % that separates open, closed and dense
SYSTEMS = [name for name in NAMES if name not in ("mtan-svgp-linear", "lin-hgb")]
N_LABELS = 10


def load():
    """Return the series of 2018 without positions, their classes, and the folds."""
    romania = load_romania(years=2018)
    X, y = romania.data[..., :-2], np.digitize(romania.target, LIMITS)
    n_columns = romania.shape[1]
    row, column = np.divmod(np.arange(len(X)), n_columns)
    blocks = row // BLOCK * (n_columns // BLOCK) + column // BLOCK
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    return X, y, list(splitter.split(X, y, blocks))


def draw_labels(y, train, rng):
    """Return the rows of N_LABELS labels of each class."""
    rows = [rng.choice(train[y[train] == c], N_LABELS, replace=False) for c in np.unique(y)]
    return np.concatenate(rows)


def compare_few_labels(X, y, folds, draws):
    """Return the scores of each fold and draw, for each system."""
    scores = {name: [] for name in ("lin-rf", "mtan-svgp", "mtan-svgp with encoder")}
    for fold, (train, test) in enumerate(folds):
        encoder = FrozenEstimator(MTANEncoder(random_state=0).fit(X[train]))
        for draw in range(draws):
            rows = draw_labels(y, train, np.random.default_rng([draw, fold]))
            systems = {name: make_system(name, draw) for name in ("lin-rf", "mtan-svgp")}
            systems["mtan-svgp with encoder"] = MTANSVGPClassifier(
                encoder=encoder, random_state=draw
            )
            for name, model in systems.items():
                scores[name].append(evaluate(model, X, y, rows, test))
    return scores


def add_table(report, name, scores, title):
    """Add a table with a row for each system."""
    rows = [
        [
            system,
            *(
                spread([one[score] for one in found], digits)
                for score, digits in zip(SCORES, DIGITS, strict=True)
            ),
        ]
        for system, found in scores.items()
    ]
    report.add(name, ["system", *TITLES], rows, title)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="and draws of few labels")
    add_results_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    report = Report(args)
    X, y, folds = load()
    scores = {
        name: [
            evaluate(make_system(name, seed), X, y, train, test)
            for seed in range(args.seeds)
            for train, test in folds
        ]
        for name in SYSTEMS
    }
    add_table(report, "all labels", scores, f"Tree cover, {len(folds)} folds, {args.seeds} seeds")
    scores = compare_few_labels(X, y, folds, args.seeds)
    add_table(report, "ten labels per class", scores, f"{N_LABELS} labels per class")


if __name__ == "__main__":
    main()

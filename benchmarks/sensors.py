"""What optical and radar series contribute, each with its own dates and gaps, and one of them lost.

Sentinel-1 and Sentinel-2 are bands of one packed array of fields in France. Whole blocks are held
out.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import torch
from land_cover_data import load_france
from report import Report, add_results_option, spread
from sklearn.model_selection import StratifiedGroupKFold

from sklearn_sits import MTANSVGPClassifier

OPTICAL = slice(1, 10)  # nine bands of Sentinel-2; those of Sentinel-1 follow


def hide(X, bands, rows=slice(None)):
    """Return a copy of X in which some bands of some series are not observed."""
    X = X.copy()
    X[rows, :, bands] = np.nan
    return X


def cross_validate(X, y, folds, has_lost, bands, copies, seed):
    """Return the accuracy with all data, with bands lost by half the series, and of that half."""
    correct = np.zeros((2, len(X)), dtype=bool)
    lost = hide(X, bands, has_lost)
    for train, test in folds:
        series, labels = X[train], y[train]
        if copies:
            series = np.concatenate([series, hide(series, bands)])
            labels = np.concatenate([labels, labels])
        model = MTANSVGPClassifier(random_state=seed).fit(series, labels)
        for row, data in enumerate((X, lost)):
            correct[row, test] = model.predict(data[test]) == y[test]
    return 100 * correct[0].mean(), 100 * correct[1].mean(), 100 * correct[1][has_lost].mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of s1s2_france_2023.npz")
    parser.add_argument("--seeds", type=int, default=3)
    add_results_option(parser)
    args = parser.parse_args()
    # Batches of short series are too small to share among threads.
    torch.set_num_threads(1)
    if args.data is None or not (args.data / "s1s2_france_2023.npz").exists():
        print("Sensors benchmark skipped: --data names no folder with s1s2_france_2023.npz.")
        return
    X, y, blocks = load_france(args.data)
    # A band that is not observed is NaN. Systems of one sensor get the bands of this sensor.
    # "Copies" is also fitted on copies of its training series without optical data.
    systems = {
        "Sentinel-2 alone": (X[..., : OPTICAL.stop], OPTICAL, False),
        "Sentinel-1 alone": (np.delete(X, np.r_[OPTICAL], axis=2), slice(0, 0), False),
        "both": (X, OPTICAL, False),
        "both, copies without optical data": (X, OPTICAL, True),
    }
    # A classifier without any band knows nothing but the mean series, and says so.
    warnings.filterwarnings("ignore", ".* series have no valid observation")
    folds = list(StratifiedGroupKFold(3, shuffle=True, random_state=0).split(X, y, blocks))
    has_lost = np.random.default_rng(0).random(len(X)) < 0.5
    rows = []
    for name, (series, bands, copies) in systems.items():
        scores = [
            cross_validate(series, y, folds, has_lost, bands, copies, seed)
            for seed in range(args.seeds)
        ]
        rows.append([name, *(spread(of_seeds, 1) for of_seeds in np.transpose(scores))])
    columns = ["", "all data", "half without optical data", "fields without optical data"]
    title = f"OA % of {len(X)} fields in France, {args.seeds} seeds"
    Report(args).add("France", columns, rows, title)


if __name__ == "__main__":
    main()

"""Accuracy on crops of California, Sentinel-2, in spatially blocked cross-validation.

Every system sees the same folds with the same seeds, so that differences are paired.
"""

import argparse
import csv
import os
import time
from pathlib import Path

# Threads that spin while they wait take the cores from one another on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from land_cover_data import load_california
from report import RESULTS, Report, add_results_option, round_score, spread
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.model_selection import StratifiedGroupKFold
from systems import NAMES, make_system

from sklearn_sits.metrics import expected_calibration_error

# Below 10,000 series boosting draws nothing at random: one run stands for every seed.
DETERMINISTIC = {"lin-hgb"}
OUTPUT = RESULTS / "landcover.csv"
SMALLEST = 1e-4  # probability
SCORES = ["oa", "macro_f1", "log_loss", "ece", "fit_cpu_s", "predict_cpu_s"]
TITLES = ["OA %", "macro-F1 %", "log-loss", "ECE", "fit CPU s", "predict CPU s"]
DIGITS = [1, 1, 3, 3, 1, 2]


def evaluate(model, X, y, train, test):
    """Return the scores of one fold, as a dict."""
    start = time.process_time()
    model.fit(X[train], y[train])
    fitted = time.process_time()
    proba = model.predict_proba(X[test])
    end = time.process_time()
    label = model.classes_[proba.argmax(1)]
    # A forest may call a class impossible, and one such error would outweigh all other series.
    proba = np.maximum(proba, SMALLEST)
    proba /= proba.sum(1, keepdims=True)
    values = [
        100 * accuracy_score(y[test], label),
        100 * f1_score(y[test], label, average="macro"),
        log_loss(y[test], proba, labels=model.classes_),
        expected_calibration_error(y[test], proba, labels=model.classes_),
        fitted - start,
        end - fitted,
    ]
    return dict(zip(SCORES, values, strict=True))


def run(data, variant, systems, seeds, n_folds, step):
    """Yield one dict of scores per seed, fold and system."""
    X, y, groups = (array[::step] for array in load_california(data, variant))
    dates = (~np.isnan(X[..., 1])).sum(1)
    print(f"\n## {variant}: X {X.shape}, {dates.mean():.1f} clear dates per series\n")
    splitter = StratifiedGroupKFold(4, shuffle=True, random_state=0)
    folds = list(splitter.split(X, y, groups))[:n_folds]
    done = {}
    for seed in range(seeds):
        for fold, (train, test) in enumerate(folds):
            for system in systems:
                scores = done.get((system, fold)) if system in DETERMINISTIC else None
                if scores is None:
                    scores = evaluate(make_system(system, seed), X, y, train, test)
                    done[system, fold] = scores
                yield {"variant": variant, "seed": seed, "fold": fold, "system": system} | scores


def summarise(report, variant, rows, systems):
    """Report the table of scores and that of the paired differences."""
    scores = {
        system: {
            name: np.array([r[name] for r in rows if r["system"] == system]) for name in SCORES
        }
        for system in systems
    }
    report.add(
        variant,
        ["system", *TITLES],
        [
            [system, *(spread(of[name], d) for name, d in zip(SCORES, DIGITS, strict=True))]
            for system, of in scores.items()
        ],
    )
    pairs = [(system, "lin-rf") for system in systems if system != "lin-rf"]
    pairs.append(("mtan-svgp", "mtan-mlp"))
    report.add(
        f"{variant}, paired",
        ["system", "compared to", "OA, points", "log-loss, ratio"],
        [
            [
                system,
                other,
                spread(scores[system]["oa"] - scores[other]["oa"], 1),
                spread(scores[system]["log_loss"] / scores[other]["log_loss"], 2),
            ]
            for system, other in pairs
            if system in scores and other in scores
        ],
        f"{variant}, paired by seed and fold",
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of s2_california_2021.npz")
    parser.add_argument("--variants", nargs="+", default=["cloudy", "real"])
    parser.add_argument("--systems", nargs="+", default=NAMES, choices=NAMES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a sixth of the data, 1 seed, 2 folds")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch: batches are small")
    parser.add_argument("--output", type=Path, help="file of the scores of each fit (CSV)")
    add_results_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.data is None or not (args.data / "s2_california_2021.npz").exists():
        print("Land cover benchmark skipped: --data names no folder with s2_california_2021.npz.")
        return
    output = args.output or (Path(os.devnull) if args.quick else OUTPUT)
    output.parent.mkdir(parents=True, exist_ok=True)
    report = Report(args)
    seeds, n_folds, step = (1, 2, 6) if args.quick else (args.seeds, 4, 1)
    fields = ["variant", "seed", "fold", "system", *SCORES]
    # Rows are written one by one: an interrupted run leaves what it has done.
    with output.open("w", newline="", buffering=1) as file:
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        for variant in args.variants:
            rows = []
            for row in run(args.data, variant, args.systems, seeds, n_folds, step):
                writer.writerow({key: round_score(value) for key, value in row.items()})
                rows.append(row)
            summarise(report, variant, rows, args.systems)


if __name__ == "__main__":
    main()

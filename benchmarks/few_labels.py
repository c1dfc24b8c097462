"""Accuracy of land cover classifiers with few labels, on data of three countries.

From the training part of each fold k labels per class are drawn; all other series of it are
unlabelled. Every system sees the same draws, so that differences are paired. A row is written
after each fit: with --resume the benchmark goes on where it stopped, adds other systems, or, with
nothing left to do, only reports. Times are those of one thread.

aeon (QUANT, MiniRocket) restricts the versions of other packages: use an environment of its own
for `pip install -e .[benchmarks]`. Without it the two systems are left out.
"""

import argparse
import csv
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

# Before the libraries that read them are imported.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = "1"

import numpy as np
import torch
from few_labels_report import (
    AEON,
    COUNTS,
    ENCODER,
    EXTRA,
    FIELDS,
    KEY,
    LINEAR,
    PRESTO,
    SCORES,
    SETS,
    SYSTEMS,
    WITH_ENCODER,
    Results,
    draw_figure,
    read_rows,
    report_tables,
)
from land_cover_data import load_california, load_canada, load_france
from peers import LTAEClassifier, TempCNNClassifier
from report import RESULTS, Report, add_results_option, round_score
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from sklearn_sits import LinearInterpolator, MTANEncoder, MTANMLPClassifier, MTANSVGPClassifier
from sklearn_sits.metrics import expected_calibration_error

OUTPUT = RESULTS / "few_labels.csv"
SMALLEST = 1e-4  # probability, in the log-loss


@dataclass
class Data:
    """Series of one set, their embeddings by Presto, labels 0, 1, ... and folds."""

    X: np.ndarray
    Z: np.ndarray
    y: np.ndarray
    dates: np.ndarray
    folds: list


def load(folder, name, quick=False):
    """Return the set of that name; a sixth of the series of California if quick."""
    step = 6 if quick and name.startswith("california") else 1
    if name.startswith("california"):
        X, y, groups = load_california(folder, name.split("-")[1])
    else:
        X, y, groups = {"france": load_france, "canada": load_canada}[name](folder)
    Z = np.load(folder / f"{SETS[name][1]}.npz", allow_pickle=False)["Z"].astype(np.float32)
    # All series of a set share their dates.
    dates = X[0, :, 0]
    X, Z, y, groups = (array[::step] for array in (X, Z, y, groups))
    blocks = StratifiedGroupKFold(4, shuffle=True, random_state=0)
    splitter = LeaveOneGroupOut() if name == "canada" else blocks
    return Data(X, Z, y, dates, list(splitter.split(X, y, groups)))


def draw_labels(y, train, count, draw, fold):
    """Return the rows of `count` labels a class, all that there are if fewer."""
    if count == "all":
        return train
    order = np.random.default_rng(10 * draw + fold).permutation(train)
    return np.sort(np.concatenate([order[y[order] == c][: int(count)] for c in np.unique(y)]))


def make_system(name, seed, data, y, encoder):
    """Return the unfitted system of that name; y holds the labels of its fit."""
    if name in PRESTO:
        return make_table_classifier(name.removeprefix("presto-"), seed, y)
    # Part of the pipeline, the interpolation counts in the times.
    interpolator = LinearInterpolator(data.dates)
    if name in LINEAR:
        return make_pipeline(interpolator, make_table_classifier(name[4:], seed, y))
    if name in AEON:
        return make_pipeline(interpolator, *make_aeon_steps(name, seed, len(data.dates)))
    if name == "ltae":
        return LTAEClassifier(random_state=seed)
    if name == "tempcnn":
        return TempCNNClassifier(data.dates, random_state=seed)
    if name == "encoder-lr":
        # Not standardised: the features have one scale, and the noisy ones small variances.
        return make_pipeline(FrozenEstimator(encoder), LogisticRegression(C=0.1, max_iter=1000))
    classifier = MTANSVGPClassifier if name.startswith("mtan-svgp") else MTANMLPClassifier
    if name in WITH_ENCODER:
        return classifier(encoder=FrozenEstimator(encoder), random_state=seed)
    return classifier(random_state=seed)


def make_table_classifier(name, seed, y):
    """Return a classifier of tables, with its defaults but for the number of trees."""
    if name == "rf":
        return RandomForestClassifier(500, n_jobs=1, random_state=seed)
    if name == "extratrees":
        return ExtraTreesClassifier(500, n_jobs=1, random_state=seed)
    if name == "hgb":
        return HistGradientBoostingClassifier(random_state=seed)
    if name == "lr":
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    # One temperature fitted on held-out decisions keeps their order; sigmoids per class do not, and
    # lose accuracy with few labels. A class needs a label in every inner fold.
    smallest = np.bincount(y)[np.unique(y)].min()
    inner = StratifiedKFold(int(np.clip(smallest, 2, 5)), shuffle=True, random_state=seed)
    svc = CalibratedClassifierCV(SVC(), method="temperature", cv=inner, ensemble=False)
    return make_pipeline(StandardScaler(), svc)


def make_aeon_steps(name, seed, n_dates):
    """Return the steps from a table of interpolated series to a classifier of aeon."""
    from aeon.classification.convolution_based import MiniRocketClassifier
    from aeon.classification.interval_based import QUANTClassifier

    unpack = FunctionTransformer(unpack_table, kw_args={"n_dates": n_dates})
    if name == "quant":
        return [unpack, QUANTClassifier(random_state=seed)]
    # Its default, ridge regression, has no probabilities. The channels of a kernel are summed:
    # each is standardised, so that decibels do not hide reflectances.
    # 10,000 features need a strong penalty: with the default C=1 the log-loss is much higher.
    # The classifier's own scaler does not centre them, and convergence takes three times as long.
    head = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, tol=1e-3, max_iter=500))
    return [
        ChannelScaler(n_dates),
        unpack,
        MiniRocketClassifier(estimator=head, n_jobs=1, random_state=seed),
    ]


class ChannelScaler(StandardScaler):
    """Standardise each channel of a table over all dates."""

    def __init__(self, n_dates):
        super().__init__()
        self.n_dates = n_dates

    def fit(self, X, y=None):
        """Store the mean and the scale of each channel."""
        return super().fit(X.reshape(len(X) * self.n_dates, -1))

    def transform(self, X):
        """Return the table standardised."""
        return super().transform(X.reshape(len(X) * self.n_dates, -1)).reshape(len(X), -1)


def unpack_table(table, n_dates):
    """Return series of shape (n_series, n_channels, n_dates)."""
    return np.ascontiguousarray(table.reshape(len(table), n_dates, -1).swapaxes(1, 2))


def evaluate(model, X, y, train, test):
    """Fit on some rows and return the scores on others, as a dict."""
    cpu, start = time.process_time(), time.perf_counter()
    model.fit(X[train], y[train])
    cpu, fitted = time.process_time() - cpu, time.perf_counter()
    known = model.predict_proba(X[test])
    end = time.perf_counter()
    # Classes without labels in training have probability zero.
    proba = np.zeros((len(test), y.max() + 1))
    proba[:, model.classes_] = known
    truth, label = y[test], proba.argmax(1)
    clipped = np.maximum(proba, SMALLEST)
    clipped /= clipped.sum(1, keepdims=True)
    values = [
        100 * np.mean(label == truth),
        # Over the classes of the test fold, the same for all systems.
        100 * f1_score(truth, label, labels=np.unique(truth), average="macro", zero_division=0),
        -np.log(clipped[np.arange(len(test)), truth]).mean(),
        expected_calibration_error(truth, proba, labels=range(proba.shape[1])),
        cpu,
        fitted - start,
        end - fitted,
    ]
    return dict(zip(SCORES, values, strict=True))


def fit_encoder(X):
    """Return an encoder fitted without labels, and the times of its fit."""
    cpu, start = time.process_time(), time.perf_counter()
    encoder = MTANEncoder(random_state=0).fit(X)
    times = {"cpu_s": time.process_time() - cpu, "fit_s": time.perf_counter() - start}
    return encoder, times


def list_keys(data, name, fold, args):
    """Yield (key, rows of its labels) of all fits of a fold."""
    train = data.folds[fold][0]
    for count in args.counts:
        # With all labels of every class, a count repeats "all".
        if count != "all" and int(count) >= np.bincount(data.y[train]).max():
            continue
        for draw in range(args.draws if count != "all" else args.all_draws):
            rows = draw_labels(data.y, train, count, draw, fold)
            for system in args.systems:
                yield (name, str(fold), str(draw), count, system), rows


def run_fold(name, fold, done, args):
    """Fit and score all systems of one fold that are not done, and write their rows."""
    torch.set_num_threads(1)
    data = load(args.data, name, args.quick)
    train, test = data.folds[fold]
    todo = [(key, rows) for key, rows in list_keys(data, name, fold, args) if key not in done]
    with args.output.open("a", newline="", buffering=1) as file:
        writer = csv.DictWriter(file, FIELDS)
        encoder = None
        if any(key[-1] in WITH_ENCODER for key, _ in todo):
            encoder, times = fit_encoder(data.X[train])
            key = (name, str(fold), "0", "none", ENCODER)
            if key not in done:
                write_row(writer, key, {"n_labels": 0} | times)
        if any(key[-1] in AEON for key, _ in todo):
            compile_kernels(data, train)
        for key, rows in todo:
            system, seed = key[-1], int(key[2])
            model = make_system(system, seed, data, data.y[rows], encoder)
            X = data.Z if system in PRESTO else data.X
            scores = evaluate(model, X, data.y, rows, test)
            write_row(writer, key, {"n_labels": len(rows)} | scores)
    return name, fold, len(todo)


def write_row(writer, key, scores):
    """Write the key and the scores of a fit."""
    values = {name: round_score(value) for name, value in scores.items()}
    writer.writerow(dict(zip(KEY, key, strict=True)) | values)


def compile_kernels(data, train):
    """Have numba compile what aeon needs, so that no fit pays for it."""
    rows = draw_labels(data.y, train, "5", 0, 0)
    for system in AEON:
        model = make_system(system, 0, data, data.y[rows], None)
        model.fit(data.X[rows], data.y[rows]).predict(data.X[rows])


def run(args):
    """Run every fold of every set in one of the processes."""
    done = {tuple(row[name] for name in KEY) for row in read_rows(args.output)}
    n_folds = {name: 5 if args.full and name == "canada" else args.folds for name in args.sets}
    folds = [(name, fold) for name in args.sets for fold in range(n_folds[name])]
    if args.jobs == 1:
        finished = (run_fold(*fold, done, args) for fold in folds)
        for name, fold, n in finished:
            print(f"{name}, fold {fold}: {n} fits", flush=True)
        return
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(run_fold, *fold, done, args) for fold in folds]
        for future in as_completed(futures):
            name, fold, n = future.result()
            print(f"{name}, fold {fold}: {n} fits", flush=True)


def leave_out(systems):
    """Return the systems that can run here; say which ones cannot."""
    try:
        import aeon  # noqa: F401
    except ImportError:
        for name in AEON:
            if name in systems:
                print(f"{name} is left out: aeon is not installed.")
        return [name for name in systems if name not in AEON]
    return systems


def parse_arguments():
    """Return the options, completed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the data files")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--systems", nargs="*", choices=SYSTEMS)
    parser.add_argument("--counts", nargs="+", default=COUNTS, choices=COUNTS, help="per class")
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="all folds, 5 draws")
    parser.add_argument("--quick", action="store_true", help="1 fold, 1 draw, less data")
    parser.add_argument("--resume", action="store_true", help="keep and complete the output")
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with one thread")
    parser.add_argument("--output", type=Path, help="file of the scores of each fit (CSV)")
    add_results_option(parser)
    parser.add_argument("--figure", type=Path, help="file of the learning curves (PNG)")
    args = parser.parse_args()
    if args.systems is None:
        args.systems = [name for name in SYSTEMS if args.full or name not in EXTRA]
    args.all_draws = 1
    if args.quick:
        args.folds, args.draws, args.counts = 1, 1, ["5", "all"]
    elif args.full:
        args.folds, args.draws, args.all_draws = 4, 5, 3
    return args


def run_all(args):
    """Do the fits and report them."""
    args.output.parent.mkdir(exist_ok=True, parents=True)
    if not args.resume or not args.output.exists():
        args.output.write_text(",".join(FIELDS) + "\r\n")
    run(args)
    results = Results(read_rows(args.output))
    report_tables(results, Report(args))
    if args.figure:
        draw_figure(results, args.figure)


def main():
    args = parse_arguments()
    files = [f"{file}.npz" for name in args.sets for file in SETS[name]]
    absent = [file for file in files if args.data is None or not (args.data / file).exists()]
    if absent:
        print(f"Few labels benchmark skipped: --data names no folder with {absent[0]}.")
        return
    args.systems = leave_out(args.systems)
    with tempfile.TemporaryDirectory() as folder:
        if args.output is None:
            args.output = Path(folder) / "quick.csv" if args.quick else OUTPUT
        run_all(args)


if __name__ == "__main__":
    main()

"""Time, memory and accuracy at the size of a land cover production.

Every system runs in a process of its own, which reports its peak memory: the growth of the
resident set over that of the interpreter and its imports, the training data included. Threads
are as the environment has them (OMP_NUM_THREADS).
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Threads that spin while they wait take the cores from one another on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from report import Report, add_results_option
from systems import NAMES, make_system

from sklearn_sits.datasets import make_sits

SWEEP = [5_000, 10_000, 20_000, 46_000, 92_000]
DISTINCT = 20_000  # test series made; a larger test set repeats them
BLOCK = 10_000  # test series predicted at once
MIB = 2**20


def peak_memory():
    """Return the largest resident set of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def read(folder, part, rows, shape):
    """Read rows from a file. A memory map would count as memory, page by page."""
    size = int(np.prod(shape))
    values = np.fromfile(folder / part, np.float32, len(rows) * size, offset=4 * rows[0] * size)
    return values.reshape(-1, *shape)


def write_data(folder, n, n_test, n_dates, n_bands, n_classes):
    """Make training and test series of one scene, and write them to files."""
    X, y = make_sits(
        n + n_test, n_dates, n_bands, n_classes, aligned=True, positions=False, random_state=0
    )
    X[:n].tofile(folder / "train")
    X[n:].tofile(folder / "test")
    np.save(folder / "y.npy", y)


def measure(folder, system, n, n_test, shape):
    """Fit and predict with one system."""
    y = np.load(folder / "y.npy")
    y_test = y[-os.path.getsize(folder / "test") // (4 * int(np.prod(shape))) :]
    baseline = peak_memory()
    X = read(folder, "train", range(n), shape)
    model = make_system(system, seed=0)
    start = time.perf_counter()
    model.fit(X, y[:n])
    fit_s = time.perf_counter() - start
    fit_memory = peak_memory() - baseline
    predict_s, correct, done = 0.0, 0, 0
    while done < n_test:
        first = done % len(y_test)
        rows = range(first, min(first + BLOCK, len(y_test), first + n_test - done))
        block = read(folder, "test", rows, shape)
        start = time.perf_counter()
        label = model.predict(block)
        predict_s += time.perf_counter() - start
        correct += np.count_nonzero(label == y_test[rows.start : rows.stop])
        done += len(rows)
    return {
        "fit_s": fit_s,
        "predict_s": predict_s,
        "oa": 100 * correct / n_test,
        "memory": peak_memory() - baseline,
        "fit_memory": fit_memory,
        "X": X.nbytes,
    }


def call(**task):
    """Do a task in a process of its own and return its report."""
    command = [sys.executable, __file__, "--worker", json.dumps(task)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    # A system that fails, for want of memory say, is a line of the table.
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def worker(folder, system, n, n_test, n_dates, n_bands, n_classes):
    folder = Path(folder)
    if system == "data":
        write_data(folder, n, min(n_test, DISTINCT), n_dates, n_bands, n_classes)
        report = {}
    else:
        report = measure(folder, system, n, n_test, (n_dates, 1 + n_bands))
    print(json.dumps(report))


def describe(n, system, report):
    if report is None:
        return [n, system, *["failed"] * 7]
    fit_s, predict_s, size = report["fit_s"], report["predict_s"], report["X"]
    return [
        n,
        system,
        f"{fit_s:.1f}",
        f"{predict_s:.1f}",
        f"{report['oa']:.2f}",
        f"{size / MIB:.0f}",
        f"{report['fit_memory'] / MIB:.0f}",
        f"{report['memory'] / MIB:.0f}",
        f"{report['memory'] / size:.2f}",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=92_000, help="training series")
    parser.add_argument("--n-test", type=int, default=230_000, help="test series")
    parser.add_argument("--dates", type=int, default=303)
    parser.add_argument("--bands", type=int, default=13)
    parser.add_argument("--classes", type=int, default=23)
    # Boosting grows a tree per class and iteration: too slow for 23 classes unless asked for.
    default = [name for name in NAMES if name != "lin-hgb"]
    parser.add_argument("--systems", nargs="+", default=default, choices=NAMES)
    parser.add_argument("--sweep", action="store_true", help=f"run up to --n of {SWEEP}")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    add_results_option(parser)
    args = parser.parse_args()
    if args.worker:
        worker(**json.loads(args.worker))
        return
    sizes = [n for n in SWEEP if n < args.n] * args.sweep + [args.n]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        task = {"folder": folder, "n_test": args.n_test}
        task |= {"n_dates": args.dates, "n_bands": args.bands, "n_classes": args.classes}
        # Even this is done elsewhere: a process starts with the peak memory of its parent.
        if call(system="data", n=args.n, **task) is None:
            sys.exit("The data could not be made.")
        for n in sizes:
            for system in args.systems:
                rows.append(describe(n, system, call(system=system, n=n, **task)))
                print(*rows[-1], file=sys.stderr)
    columns = ["n", "system", "fit s", "predict s", "OA %"]
    columns += ["X MiB", "peak in fit MiB", "peak MiB", "peak / X"]
    title = f"{args.dates} dates, {args.bands} bands, {args.n_test:,} test series"
    Report(args).add("sweep" if args.sweep else f"{args.n} series", columns, rows, title)


if __name__ == "__main__":
    main()

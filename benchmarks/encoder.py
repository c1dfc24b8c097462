"""Time and memory of the encoder: 10,000 series in memory, and up to millions in a Zarr array."""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

# Before the libraries that read them are imported.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import torch
import zarr
from report import Report, add_results_option

from sklearn_sits import MTANEncoder

N_DATES, N_BANDS, CHUNK = 36, 13, 1000
CLOUDY = 0.5  # share of the dates


def make_series(n, rng):
    """Return seasons of random phase and amplitude, half of their dates cloudy."""
    X = np.empty((n, N_DATES, 1 + N_BANDS), dtype=np.float32)
    X[..., 0] = 10 * np.arange(N_DATES)
    phase = rng.uniform(0, 2 * np.pi, size=(n, 1, 1))
    season = np.cos(2 * np.pi * X[..., :1] / 365 - phase)
    X[..., 1:] = 0.2 + 0.1 * season * rng.normal(size=(n, 1, N_BANDS))
    X[..., 1:] += 0.01 * rng.normal(size=(n, N_DATES, N_BANDS))
    X[..., 1:][rng.random((n, N_DATES)) < CLOUDY] = np.nan
    return X


def measure(X, n_transformed):
    """Return times of fit and transform and the growth of memory in the fit."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    encoder = MTANEncoder(random_state=0, device="cpu").fit(X)
    fit, fit_cpu = time.perf_counter() - start, time.process_time() - cpu
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    part = np.asarray(X[:n_transformed])
    start = time.perf_counter()
    encoder.transform(part)
    per_million = 1e6 / len(part) * (time.perf_counter() - start)
    return [f"{fit:.1f}", f"{fit_cpu:.1f}", f"{growth:.0f}", f"{per_million:.1f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1_000_000, help="series of the Zarr array")
    add_results_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    rows = [["10,000 in memory", *measure(make_series(10_000, rng), 10_000)]]
    with tempfile.TemporaryDirectory() as folder:
        shape, chunks = (args.n, N_DATES, 1 + N_BANDS), (CHUNK, N_DATES, 1 + N_BANDS)
        array = zarr.create_array(
            Path(folder) / "X.zarr", shape=shape, chunks=chunks, dtype="float32"
        )
        for first in range(0, args.n, CHUNK):
            array[first : first + CHUNK] = make_series(min(CHUNK, args.n - first), rng)
        rows.append([f"{args.n:,} in Zarr", *measure(array, 100_000)])
    header = ["series", "fit s", "fit CPU s", "growth MiB", "transform s per million"]
    Report(args).add("times", header, rows, "One thread, 36 dates and 13 bands")


if __name__ == "__main__":
    main()

"""Maps of a large cube: pixels per second, memory, and what is spent outside of the model.

A Zarr store of int16 is written chunk by chunk. Every system maps it in a process of its own, which
reports its peak memory: the growth of the resident set over that of the interpreter and imports.
The floor is the time of the bytes read and written at the memory's bandwidth (with a GPU, that of
the bytes that travel to it, at the rate of copies), and of the model's floating point operations at
the rate of matrix products, both measured in the same run.
"""

import argparse
import functools
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import dask
import dask.array as da
import distributed  # noqa: F401  dask imports it at the first write
import joblib
import numpy as np
import pandas as pd
import torch
import xarray as xr
import zarr
from report import Report, add_results_option
from scale import MIB, peak_memory
from sklearn.base import BaseEstimator
from systems import make_system
from torch.utils.flop_counter import FlopCounterMode

from sklearn_sits import load_prosail_vae
from sklearn_sits.raster import map_writer, predict_raster, prediction, sample_cube, write_map

BANDS = ["B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"]
ANGLES = {"sun_zenith": 35.0, "view_zenith": 5.0, "relative_azimuth": 100.0}
PROBABILITIES = ["mtan-svgp", "lin-rf"]
# Mean, and mean and standard deviation.
TRAITS = ["lai", "lai-std"]
# glibc then keeps the memory of blocks for the next ones; dask makes its workers return it at once.
MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(2**30), "MALLOC_MMAP_THRESHOLD_": str(2**30)}
N_CLASSES, N_TRAINING, STORED, NODATA, CLOUDS = 10, 3_000, 256, -10_000, 0.3
CALIBRATION = 2048  # pixels whose operations are counted


def truth(rows, columns):
    """Return the class of pixels: fields of 20 by 20 pixels."""
    return (7 * (rows // 20)[:, None] + 3 * (columns // 20)) % N_CLASSES


def make_block(rows, columns, n_dates, n_bands):
    """Return int16 values (band, date, row, column) of a season per class, below clouds."""
    rng = np.random.default_rng([rows[0], columns[0]])
    classes = truth(rows, columns)
    day = np.linspace(0, 1, n_dates)[:, None]
    peak = 0.3 + 0.4 * np.arange(N_CLASSES) / N_CLASSES
    season = np.exp(-((day - peak) ** 2) / 0.02)
    clear = rng.random((n_dates, *classes.shape), dtype=np.float32) > CLOUDS
    values = np.empty((n_bands, n_dates, *classes.shape), dtype=np.int16)
    for band in range(n_bands):
        level = 600 + 150 * band + (1500 - 100 * band) * season
        noise = rng.normal(scale=300, size=clear.shape).astype(np.float32)
        value = np.maximum(level[:, classes] + noise, 1)
        values[band] = np.where(clear, value, NODATA)
    return values


def write_cube(path, size, n_dates, n_bands):
    """Write the cube chunk by chunk."""
    dims = ("band", "time", "y", "x")
    coords = {
        "band": BANDS[:n_bands] if n_bands <= len(BANDS) else [f"b{i}" for i in range(n_bands)],
        "time": pd.date_range("2023-01-01", "2023-12-31", periods=n_dates).floor("D"),
        "y": 5e6 - 10.0 * np.arange(size),
        "x": 4e5 + 10.0 * np.arange(size),
    }
    shape, chunks = (n_bands, n_dates, size, size), (1, n_dates, STORED, STORED)
    lazy = da.zeros(shape, dtype=np.int16, chunks=chunks)
    attrs = {"scale_factor": 1e-4, "add_offset": 0.0, "_FillValue": np.int16(NODATA)}
    cube = xr.DataArray(lazy, coords, dims, "reflectance").assign_attrs(attrs)
    dataset = cube.to_dataset()
    dataset.to_zarr(path, compute=False, zarr_format=2, consolidated=True)
    starts = range(0, size, STORED)
    joblib.Parallel(n_jobs=-1)(
        joblib.delayed(write_block)(path, row, column, size, n_dates, n_bands)
        for row in starts
        for column in starts
    )


def write_block(path, row, column, size, n_dates, n_bands):
    array = zarr.open_group(path, mode="r+")["reflectance"]
    rows, columns = (np.arange(i, min(i + STORED, size)) for i in (row, column))
    where = (..., slice(row, rows[-1] + 1), slice(column, columns[-1] + 1))
    array[where] = make_block(rows, columns, n_dates, n_bands)


def open_cube(path, chunk):
    cube = xr.open_zarr(path, mask_and_scale=False, chunks=None)["reflectance"]
    return cube.chunk(y=chunk, x=chunk)


def prepare(folder, size, dates, bands, systems, device):
    """Write the cube and fit the models."""
    write_cube(folder / "cube.zarr", size, dates, bands)
    cube = open_cube(folder / "cube.zarr", STORED)
    # Around the corner, so that a large cube is not read as a whole.
    side = min(size, 2 * STORED)
    row, column = np.random.default_rng(0).integers(side, size=(2, N_TRAINING))
    points = np.stack([cube.x.values[column], cube.y.values[row]], axis=1)
    X = sample_cube(cube, points, decode=True)
    y = truth(np.arange(side), np.arange(side))[row, column]
    for system in systems:
        if system in TRAITS:
            joblib.dump(load_prosail_vae().set_params(device=device), folder / system)
        else:
            model = make_system(system, seed=0)
            if system == "mtan-svgp":
                model.set_params(device=device)
            joblib.dump(model.fit(X, y), folder / system)
    np.save(folder / "X.npy", X[:CALIBRATION])
    return {}


class Clock:
    """Seconds spent in a function, over all threads."""

    def __init__(self):
        self.seconds, self._lock = 0.0, threading.Lock()

    def wrap(self, function):
        # dask looks at the signature.
        @functools.wraps(function)
        def timed(*args, **kwargs):
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                with self._lock:
                    self.seconds += time.perf_counter() - start

        return timed


MODEL, PACK, WRITE = Clock(), Clock(), Clock()


class Timed(BaseEstimator):
    """Estimator whose predictions are timed."""

    def __init__(self, estimator):
        self.estimator_ = estimator
        if hasattr(estimator, "classes_"):
            self.classes_ = estimator.classes_

    def predict_proba(self, X):
        return MODEL.wrap(self.estimator_.predict_proba)(X)

    def predict(self, X, **kwargs):
        return MODEL.wrap(self.estimator_.predict)(X, **kwargs)


def workers(n, processes, device):
    """Return the context in which dask computes n blocks at a time."""
    if not processes:
        return dask.config.set(scheduler="threads", num_workers=n)
    dask.config.set({f"distributed.nanny.pre-spawn-environ.{k}": v for k, v in MALLOC.items()})
    client = distributed.Client(n_workers=n, threads_per_worker=1, dashboard_address=":0")
    # Imports and the start of a GPU are no part of a long map.
    client.run(lambda: float(torch.ones(8, device=device) @ torch.ones(8, device=device)))
    return client


def measure(folder, system, chunk, threads, processes, lai_size):
    """Map the cube with one system."""
    torch.set_num_threads(1)
    baseline = peak_memory()
    model = joblib.load(folder / system)
    device = model.get_params().get("device")
    if not processes:
        model = Timed(model)
    cube, static = open_cube(folder / "cube.zarr", chunk), None
    if system in TRAITS:
        # A value per date: as many predictions as there are dates.
        cube = cube.isel(y=slice(lai_size), x=slice(lai_size))
        static = [xr.DataArray(value, name=name) for name, value in ANGLES.items()]
        static = [one.expand_dims(time=cube.time) for one in static]
    raster = predict_raster(
        model,
        cube,
        method="predict" if system in TRAITS else "predict_proba",
        return_std=system == "lai-std",
        static=static,
        origin="1970-01-01",
        decode=True,
    )
    # What predict_raster itself tried does not count.
    MODEL.seconds = 0.0
    if not processes:
        prediction.pack_pixels = PACK.wrap(prediction.pack_pixels)
        map_writer._write_chunk = WRITE.wrap(map_writer._write_chunk)
    with (
        tempfile.TemporaryDirectory(dir=folder) as out,
        workers(threads, processes, device),
    ):
        start = time.perf_counter()
        write_map(raster, Path(out) / "map.zarr", progress=False)
        seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "pixels": int(raster.sizes["y"] * raster.sizes["x"]),
        "bytes": cube.nbytes + raster.nbytes,
        "memory": peak_memory() - baseline,
        "model": MODEL.seconds / (threads * seconds),
        "pack": PACK.seconds / (threads * seconds),
        "write": WRITE.seconds / (threads * seconds),
    }


def best_rate(function, amount, repeat=5):
    """Return the amount per second of the fastest of some calls."""
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return amount / min(seconds)


def calibrate(folder, device, threads):
    """Measure copies and matrix products, and count the operations of the attention model."""
    torch.set_num_threads(threads)
    on_gpu = device == "cuda"
    source = torch.ones(2**26, pin_memory=on_gpu)
    target = torch.empty_like(source, device=device)
    square = torch.rand(4096, 4096, device=device)

    def finish(result):
        if on_gpu:
            torch.cuda.synchronize()

    # Read and written on a CPU, once over the bus to a GPU.
    moved = source.nbytes if on_gpu else 2 * source.nbytes
    report = {
        "bandwidth": best_rate(lambda: finish(target.copy_(source)), moved),
        "products": best_rate(lambda: finish(square @ square), 2 * 4096**3),
    }
    if (folder / "mtan-svgp").exists():
        model, X = joblib.load(folder / "mtan-svgp"), np.load(folder / "X.npy")
        with FlopCounterMode(display=False) as counter:
            model.predict_proba(X)
        report["operations"] = counter.get_total_flops() / len(X)
    return report


def call(**task):
    """Do a task in a process of its own and return its report."""
    command = [sys.executable, __file__, "--worker", json.dumps(task)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{task} failed.")
    return json.loads(done.stdout.splitlines()[-1])


def worker(task, folder, **options):
    functions = {"prepare": prepare, "measure": measure, "calibrate": calibrate}
    print(json.dumps(functions[task](Path(folder), **options)))


def describe(system, chunk, threads, processes, report):
    shares = [report[name] for name in ("model", "pack", "write")]
    shares += [1 - sum(shares), 1 - shares[0]]
    speed = [f"{report['seconds']:.1f}", f"{report['pixels'] / report['seconds']:,.0f}"]
    # Of other processes nothing more is known.
    inside = [f"{report['memory'] / MIB:,.0f}", *(f"{100 * share:.1f}" for share in shares)]
    inside = ["" for _ in inside] if processes else inside
    return [system, chunk, threads, *speed, *inside]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1024, help="pixels along a side")
    parser.add_argument("--dates", type=int, default=60)
    parser.add_argument("--bands", type=int, default=10)
    parser.add_argument("--chunks", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    names = [*PROBABILITIES, *TRAITS]
    parser.add_argument("--systems", nargs="+", default=names, choices=names)
    parser.add_argument("--processes", action="store_true", help="processes instead of threads")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--lai-size", type=int, default=512, help="the same, for LAI per date")
    parser.add_argument("--folder", help="where to write the cube, default: a temporary folder")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    add_results_option(parser)
    args = parser.parse_args()
    if args.worker:
        worker(**json.loads(args.worker))
        return
    systems = [name for name in args.systems if name not in TRAITS or args.bands == len(BANDS)]
    rows, fastest = [], {}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        # Even this is done elsewhere: a process starts with the peak memory of its parent.
        shape = {"size": args.size, "dates": args.dates, "bands": args.bands}
        call(task="prepare", folder=folder, systems=systems, device=args.device, **shape)
        for system in systems:
            for chunk in args.chunks:
                for threads in args.threads:
                    options = {"chunk": chunk, "threads": threads, "lai_size": args.lai_size}
                    options["processes"] = args.processes
                    report = call(task="measure", folder=folder, system=system, **options)
                    rows.append(describe(system, chunk, threads, args.processes, report))
                    print(*rows[-1], file=sys.stderr)
                    if system not in fastest or report["seconds"] < fastest[system]["seconds"]:
                        fastest[system] = report
        threads = max(args.threads)
        rates = call(task="calibrate", folder=folder, device=args.device, threads=threads)
    gib = 2 * args.size**2 * args.dates * args.bands / 2**30
    kind = "" if args.device == "cpu" else f", {args.device}"
    name = f"{args.size} pixels{kind}"
    report = Report(args)
    columns = ["system", "chunk", "threads", "s", "pixels/s", "peak MiB", "model %", "pack %"]
    columns += ["write %", "read, wait %", "outside %"]
    title = f"{args.size}² pixels, {args.dates} dates, {args.bands} bands: {gib:.1f} GiB"
    report.add(name, columns, rows, title)
    if "mtan-svgp" in fastest:
        best = fastest["mtan-svgp"]
        moving = best["bytes"] / rates["bandwidth"]
        computing = rates["operations"] * best["pixels"] / rates["products"]
        row = [f"{moving:.1f}", f"{computing:.1f}", f"{best['seconds']:.1f}"]
        row += [f"{best['seconds'] / (moving + computing):.2f}"]
        columns = ["operations per pixel", "bytes, s", "products, s", "fastest run, s"]
        columns += ["run / floor"]
        title = (
            f"copies {rates['bandwidth'] / 1e9:.1f} GB/s, matrix products "
            f"{rates['products'] / 1e9:,.0f} GFLOP/s (float32), {args.device}, {threads} threads"
        )
        cells = [f"{rates['operations']:,.0f}", *row]
        report.add(f"{name}, floor", columns, [cells], title)


if __name__ == "__main__":
    main()

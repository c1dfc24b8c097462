"""What a GPU brings: tests on CUDA, fit, encoder, predictions and maps, beside the CPU.

One command of at most eight minutes. Each part runs in a process of its own under a time limit, and
a part that fails or runs over its limit leaves the others alone. The CPU is that of the same
machine, with all of its cores. Times end when the GPU has finished its work.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
import torch
from report import Report, add_results_option
from sklearn.base import clone

ROOT = Path(__file__).resolve().parent.parent
TILE = 10_980  # pixels along a side of a tile of Sentinel-2
MIB = 2**20
# Without a GPU the script is only tried out, on machines that may be slow and busy.
PATIENCE = 10


class Part(NamedTuple):
    """A function that yields the rows of a table, its columns, and its limits in seconds."""

    rows: object
    columns: list
    limit: int
    quick_limit: int


class Sizes(NamedTuple):
    """How much each part has to do."""

    fit: int = 92_000
    distinct: int = 10_000  # series made; a larger set repeats them with noise
    dates: int = 303
    bands: int = 13
    classes: int = 23
    encoder: int = 1_000_000
    encoder_steps: int | None = None
    series: int = 300_000
    spectra: int = 4_000_000
    cpu_share: float = 0.1  # of the predictions
    map: int = 2048
    map_dates: int = 60
    lai: int = 1024
    chunk: int = 256
    # Numbers of workers of a GPU, and whether they are processes.
    workers: tuple = ((16, True), (8, False))


QUICK = Sizes(
    fit=600,
    distinct=500,
    dates=12,
    classes=4,
    encoder=2_000,
    encoder_steps=50,
    series=4_000,
    spectra=20_000,
    cpu_share=0.5,
    map=256,
    map_dates=8,
    lai=128,
    chunk=128,
    workers=((2, False),),
)


def finish(device):
    """Wait for the work that a GPU has been given."""
    if device == "cuda":
        torch.cuda.synchronize()


def measure(function, device):
    """Return the result of a call, its seconds and the peak of the memory of a GPU in MiB."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    finish(device)
    start = time.perf_counter()
    result = function()
    finish(device)
    seconds = time.perf_counter() - start
    memory = f"{torch.cuda.max_memory_allocated() / MIB:,.0f}" if device == "cuda" else ""
    return result, seconds, memory


def run_tests(devices, sizes):
    """Run the tests that compare the devices; without a GPU all are skipped."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tests.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += [f"--junitxml={file}", "tests/test_cuda.py"]
        subprocess.run(command, cwd=ROOT, stdout=sys.stderr)
        suite = ElementTree.parse(file).getroot().find("testsuite").attrib
    failed, skipped = int(suite["failures"]) + int(suite["errors"]), int(suite["skipped"])
    passed = int(suite["tests"]) - failed - skipped
    yield ["tests/test_cuda.py", passed, failed, skipped, f"{float(suite['time']):.0f}"]


def make_training_data(sizes):
    """Return series at the size of the paper, and some more for tests."""
    from sklearn_sits.datasets import make_sits

    n_test = sizes.distinct // 5
    X, y = make_sits(
        sizes.distinct + n_test,
        sizes.dates,
        sizes.bands,
        sizes.classes,
        aligned=True,
        positions=False,
        random_state=0,
    )
    repeated = np.resize(X[n_test:], (sizes.fit, *X.shape[1:]))
    rng = np.random.default_rng(0)
    for start in range(0, sizes.fit, 1000):
        bands = repeated[start : start + 1000, :, 1:]
        bands += 0.005 * rng.standard_normal(bands.shape, dtype=np.float32)
    return (repeated, np.resize(y[n_test:], sizes.fit)), (X[:n_test], y[:n_test])


def run_fits(devices, sizes):
    """Fit classifiers; the embedding of the paper takes a CPU too long."""
    from systems import make_system

    training, test = make_training_data(sizes)
    runs = [("mtan-svgp", device) for device in devices] + [("mtan-svgp-linear", devices[0])]
    for name, device in runs:
        model = make_system(name, seed=0).set_params(device=device)
        if device == "cuda":
            # The start of a GPU is no part of a long fit.
            clone(model).set_params(max_iter=1).fit(*test)
        _, seconds, memory = measure(lambda model=model: model.fit(*training), device)
        epoch = np.mean([record["seconds"] for record in model.history_])
        accuracy = 100 * model.score(*test)
        cells = [f"{seconds:.1f}", model.n_iter_, f"{epoch:.2f}", f"{accuracy:.1f}", memory]
        yield [f"{name}, {device}", f"{sizes.fit:,}", *cells]


def run_encoder(devices, sizes):
    """Fit the encoder to a million series in memory, and transform them."""
    from encoder import make_series

    from sklearn_sits import MTANEncoder

    n_parts = -(-sizes.encoder // 10_000)
    parts = [len(part) for part in np.array_split(np.arange(sizes.encoder), n_parts)]
    X = np.concatenate(
        joblib.Parallel(n_jobs=-1, prefer="threads")(
            joblib.delayed(make_series)(n, np.random.default_rng(i)) for i, n in enumerate(parts)
        )
    )
    for device in devices:
        encoder = MTANEncoder(random_state=0, device=device)
        if sizes.encoder_steps:
            encoder.set_params(max_iter=sizes.encoder_steps)
        if device == "cuda":
            clone(encoder).set_params(max_iter=1).fit(X[:2000]).transform(X[:2000])
        _, seconds, memory = measure(lambda encoder=encoder: encoder.fit(X), device)
        part = X if device == "cuda" else X[: int(sizes.cpu_share * len(X))]
        _, transform, _ = measure(lambda one=encoder, part=part: one.transform(part), device)
        per_million = 1e6 * transform / len(part)
        yield [device, f"{len(X):,}", f"{seconds:.1f}", f"{per_million:.2f}", memory]


def run_predictions(devices, sizes):
    """Predict classes of series, and leaf area of spectra, all in memory."""
    from kernels import make_series

    from sklearn_sits import MTANSVGPClassifier, load_prosail_vae
    from sklearn_sits.datasets import make_prosail

    X, y = make_series(sizes.series, 60, 10, 10)
    spectra, _ = make_prosail(min(sizes.spectra, 50_000), targets=["LAI"], random_state=0)
    spectra = np.resize(spectra.astype(np.float32), (sizes.spectra, spectra.shape[1]))
    classifier = MTANSVGPClassifier(max_iter=2, random_state=0, device="cpu").fit(
        X[:2000], y[:2000]
    )
    traits = load_prosail_vae()
    calls = {
        "class probabilities, 60 dates": (classifier, X, classifier.predict_proba),
        "LAI": (traits, spectra, traits.predict),
        "LAI and its deviation": (traits, spectra, lambda X: traits.predict(X, return_std=True)),
    }
    for name, (model, inputs, call) in calls.items():
        rates = []
        for device in devices:
            n = len(inputs) if device == "cuda" else int(sizes.cpu_share * len(inputs))
            model.set_params(device=device)
            # The first batches of a device start it, and make its copy of the model.
            call(inputs[: n // 4])
            _, seconds, memory = measure(lambda call=call, part=inputs[:n]: call(part), device)
            rates.append(n / seconds)
            ratio = f"{rates[0] / rates[-1]:.1f}"
            yield [f"{name}, {device}", f"{n:,}", f"{rates[-1]:,.0f}", ratio, memory]


def run_maps(devices, sizes):
    """Map classes and leaf area from a Zarr store, with several workers."""
    from map import BANDS, call, prepare

    systems = ["mtan-svgp", "lai"]
    with tempfile.TemporaryDirectory() as folder:
        folders = {device: Path(folder) / device for device in devices}
        first = folders[devices[0]]
        first.mkdir()
        prepare(first, sizes.map, sizes.map_dates, len(BANDS), systems, devices[0])
        for device in devices[1:]:
            folders[device].mkdir()
            (folders[device] / "cube.zarr").symlink_to(first / "cube.zarr")
            for name in systems:
                model = joblib.load(first / name).set_params(device=device)
                joblib.dump(model, folders[device] / name)
        on_cpu = min(os.cpu_count(), 16), False
        for system in systems:
            for device in devices:
                for n, is_process in sizes.workers if device == "cuda" else [on_cpu]:
                    report = call(
                        task="measure",
                        folder=str(folders[device]),
                        system=system,
                        chunk=sizes.chunk,
                        threads=n,
                        processes=is_process,
                        lai_size=sizes.lai,
                    )
                    rate = report["pixels"] / report["seconds"]
                    kind = "processes" if is_process else "threads"
                    cells = [f"{report['pixels']:,}", f"{report['seconds']:.1f}", f"{rate:,.0f}"]
                    yield [f"{system}, {device}, {n} {kind}", *cells, f"{TILE**2 / rate / 60:.1f}"]


PARTS = {
    "tests": Part(run_tests, ["tests", "passed", "failed", "skipped", "s"], 80, 40),
    "fit": Part(
        run_fits,
        ["", "series", "fit s", "epochs", "s per epoch", "OA %", "GPU MiB"],
        100,
        12,
    ),
    "encoder": Part(
        run_encoder, ["", "series", "fit s", "transform s per million", "GPU MiB"], 60, 12
    ),
    "prediction": Part(
        run_predictions, ["", "predictions", "per second", "GPU to this", "GPU MiB"], 60, 12
    ),
    "maps": Part(run_maps, ["", "pixels", "s", "pixels per second", "min per tile"], 180, 44),
}


def work(name, devices, quick, path):
    """Write the rows of a part to a file, one by one, so that none gets lost."""
    for row in PARTS[name].rows(devices, QUICK if quick else Sizes()):
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def run_part(name, devices, quick, limit):
    """Run a part in a process of its own; return its rows, and a row that says why it ended."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows"
        task = json.dumps({"name": name, "devices": devices, "quick": quick, "path": str(path)})
        # A session of its own, to end the processes that it has started, too.
        process = subprocess.Popen(
            [sys.executable, __file__, "--worker", task], start_new_session=True
        )
        try:
            end = "failed" if process.wait(limit) else None
        except subprocess.TimeoutExpired:
            end = f"over the limit of {limit} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return rows, end


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="some parts")
    parser.add_argument("--quick", action="store_true", help="small sizes: under two minutes")
    parser.add_argument(
        "--device", choices=["cuda", "cpu"], default="cuda", help="cpu tries the script out"
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    add_results_option(parser)
    args = parser.parse_args()
    if args.worker:
        work(**json.loads(args.worker))
        return
    if args.device == "cuda" and not torch.cuda.is_available():
        print("There is no CUDA device: nothing is measured. --device cpu tries the script out.")
        return
    report = Report(args)
    devices, patience = ["cuda", "cpu"], 1
    if args.device == "cpu":
        devices, patience = ["cpu"], PATIENCE
        report.path = args.results
    for name in args.only:
        part = PARTS[name]
        limit = patience * (part.quick_limit if args.quick else part.limit)
        rows, end = run_part(name, devices, args.quick, limit)
        if end:
            rows.append([end] + ["-"] * (len(part.columns) - 1))
        report.add(name, part.columns, rows)


if __name__ == "__main__":
    main()

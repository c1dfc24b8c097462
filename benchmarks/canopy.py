"""Accuracy, speed and memory of the canopy model against other implementations of PROSAIL.

The reference is the package prosail, whose answer is always the whole spectrum: 2,101
wavelengths from 400 to 2500 nm. Two more are compared where they are installed: progeosail, and
prosail-jax, which needs Python 3.12. Times are those of the processor, one thread, unless the
table says otherwise.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Compile times are those of a first use.
os.environ.setdefault("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")

import numpy as np
import prosail
import torch
from report import Report, add_results_option

from sklearn_sits.physics import SENSORS, VARIABLES, Prosail, sample_geometry, sample_variables

BATCH, GPU_BATCH = 4096, 65_536
MANY = 100_000  # spectra whose peak memory is measured
JAX_BATCH = 16  # of 16, 64, 256 and 1,024 the fastest
NODES = [1, 2, 3, 4, 5, 6, 8, "exact"]
DEFAULT = 3
MAX_REBOUND = 0.9
MIB = 2**20


def full_bounds(n, generator):
    """Draw from all of the bounds, but for the angles at which the reference is singular."""
    bounds = [(v.low, v.high) for v in VARIABLES] + [(0, 80), (0, 80), (-360, 360)]
    bounds[7] = (1, 89)
    low, high = torch.tensor(bounds, dtype=torch.float64).T
    return low + (high - low) * torch.rand(n, len(bounds), dtype=torch.float64, generator=generator)


def priors(n, generator):
    """Draw from the distributions of simulations."""
    return torch.cat([sample_variables(n, generator=generator), sample_geometry(n, generator)], 1)


def call_peer(package, row, factor="SDR"):
    """Compute the spectrum of one parameter set with the package prosail or a fork of it."""
    *leaf_and_canopy, psoil, rsoil, sun, view, azimuth = row
    # It takes 0 to 180 degrees only, and does not fold others.
    azimuth = abs((azimuth + 180) % 360 - 180)
    options = {"prospect_version": "D", "typelidf": 2, "factor": factor}
    with np.errstate(all="ignore"):
        return package.run_prosail(
            *leaf_and_canopy, sun, view, azimuth, psoil=psoil, rsoil=rsoil, **options
        )


def reference(values):
    """Return the spectra of the package prosail, and which of them can be compared."""
    soil = prosail.spectral_lib.soil
    spectra, comparable = np.empty((len(values), 2101)), np.empty(len(values), bool)
    for i, row in enumerate(values.tolist()):
        terms = call_peer(prosail, row, "ALLALL")
        spectra[i] = terms[17]
        psoil, rsoil = row[9:11]
        rebound = terms[3] * rsoil * (psoil * soil.rsoil1 + (1 - psoil) * soil.rsoil2)
        # What the canopy throws back at the soil: above one, the light grows without bound.
        comparable[i] = rebound.max() <= MAX_REBOUND
    return spectra, comparable


def accuracy(draw, n):
    """Return rows of the differences of spectra and bands, and how many sets were compared."""
    # Numbers that float32 holds exactly, so that all compute the same.
    values = draw(n, torch.Generator().manual_seed(0)).float().double()
    expected, comparable = reference(values)
    values, expected = values[comparable], expected[comparable]

    def difference(function, dtype, reference):
        variables, geometry = values.to(dtype).split([11, 3], dim=1)
        with torch.no_grad():
            found = function(variables, geometry).double().numpy()
        error = np.abs(found - reference)
        return [f"{error.max():.1e}", f"{error.mean():.1e}"]

    rows = []
    types = torch.float64, torch.float32
    for sensor in SENSORS:
        models = {q: Prosail(sensor, quadrature=q) for q in ("exact", DEFAULT)}
        if not rows:
            spectrum = models["exact"].spectrum
            cells = [difference(spectrum, dtype, expected) for dtype in types]
            rows.append(["full spectrum", *cells[0], *cells[1], "", ""])
        bands = models["exact"].sensor.average(expected)
        cells = [difference(models["exact"], dtype, bands) for dtype in types]
        nodes = difference(models[DEFAULT], torch.float32, bands)
        rows.append([f"{sensor}, {len(bands.T)} bands", *cells[0], *cells[1], *nodes])
    return rows, len(values), n


class Case(NamedTuple):
    """A function to be timed: its name, the call, the spectra of a call, seconds to compile."""

    name: str
    call: object
    spectra: int
    compile_s: float | None = None


def time_rounds(cases, rounds, seconds, clock=time.process_time):
    """Return spectra per second, of shape (rounds, cases).

    Cases take turns, so that all see the same changes in the speed of the machine.
    """
    repeats = []
    for case in cases:
        case.call()
        start = clock()
        case.call()
        repeats.append(math.ceil(seconds / max(clock() - start, 1e-6)))
    rates = np.empty((rounds, len(cases)))
    for row in rates:
        for i, (case, repeat) in enumerate(zip(cases, repeats, strict=True)):
            start = clock()
            for _ in range(repeat):
                case.call()
            row[i] = repeat * case.spectra / (clock() - start)
    return rates


def forward(function, variables, geometry):
    """Make a call without gradients."""

    def call():
        with torch.no_grad():
            return function(variables, geometry)

    return call


def backward(function, variables, geometry):
    """Make a call with the gradients of the sum of all values by all inputs."""
    inputs = [variables.clone().requires_grad_(), geometry.clone().requires_grad_()]

    def call():
        return torch.autograd.grad(function(*inputs).sum(), inputs)

    return call


def our_cases(batch, device, compiled):
    """Make the cases of this package."""
    values = priors(batch, torch.Generator().manual_seed(0)).float().to(device)
    inputs = values[:, :11].contiguous(), values[:, 11:].contiguous()
    model = Prosail(chunk_size=batch).to(device)
    cases = [
        Case("eager, forward", forward(model, *inputs), batch),
        Case("eager, forward + backward", backward(model, *inputs), batch),
    ]
    for name, make in [("forward", forward), ("forward + backward", backward)] * compiled:
        # One after the other: each has its own graph.
        call = make(torch.compile(model, dynamic=False), *inputs)
        start = time.perf_counter()
        call()
        seconds = time.perf_counter() - start
        cases.append(Case(f"torch.compile, {name}", call, batch, seconds))
    model = Prosail(quadrature="exact").to(device)
    cases.append(Case('"exact", forward', forward(model, *inputs), batch))
    cases.append(Case("full spectrum, forward", forward(model.spectrum, *inputs), batch))
    return cases


def peer_cases():
    """Make the cases of the packages that are installed, the package prosail first."""
    values = priors(512, torch.Generator().manual_seed(0))
    rows = values.tolist()

    def call(package):
        return lambda: [call_peer(package, row) for row in rows]

    cases = [Case("prosail 2.0.5 (numba), full spectrum", call(prosail), len(rows))]
    try:
        import progeosail

        name = f"progeosail {progeosail.__version__} (numba), full spectrum"
        cases.append(Case(name, call(progeosail), len(rows)))
    except ImportError:
        pass
    try:
        cases += jax_cases(values.numpy()[:JAX_BATCH])
    except ImportError:
        pass
    return cases


def jax_cases(values):
    """Make the cases of prosail-jax in float32."""
    import jax
    import prosail_jax

    coeffs, soil = prosail_jax.load_coeffs(os.path.dirname(prosail.__file__))

    def spectrum(row):
        psoil, rsoil = row[9], row[10]
        options = {"coeffs": coeffs, "soil": soil, "psoil": psoil, "rsoil": rsoil}
        return prosail_jax.run_prosail(*row[:9], *row[11:], **options)

    batch = jax.vmap(spectrum)
    gradient = jax.grad(lambda rows: batch(rows).sum())
    rows = jax.numpy.asarray(values, jax.numpy.float32)
    cases = []
    for name, function in [("forward", batch), ("forward + backward", gradient)]:
        compiled = jax.jit(function)
        start = time.perf_counter()
        compiled(rows).block_until_ready()
        seconds = time.perf_counter() - start
        name = f"prosail-jax 0.1.0 (float32), full spectrum, {name}"

        def call(compiled=compiled):
            compiled(rows).block_until_ready()

        cases.append(Case(name, call, len(rows), seconds))
    return cases


def describe_speed(cases, rates, unit, standard=None):
    """Return a table of rates, and of ratios to a standard, the first case if there is none."""
    mean, std = rates.mean(0), rates.std(0, ddof=1)
    standard = standard or mean[0]
    rows = [
        [
            case.name,
            f"{m:,.0f} ± {s:,.0f}",
            f"{m / standard:.1f}",
            "" if case.compile_s is None else f"{case.compile_s:.0f}",
        ]
        for case, m, s in zip(cases, mean, std, strict=True)
    ]
    return ["", f"spectra per {unit}", "ratio", "compile s"], rows, standard


def node_table(n, rounds, seconds):
    """Return rows of number of nodes, errors and speed, for Sentinel-2A."""
    values = priors(n, torch.Generator().manual_seed(0))
    variables, geometry = values.split([11, 3], dim=1)
    timed = priors(BATCH, torch.Generator().manual_seed(1)).float().split([11, 3], dim=1)
    inputs = [part.contiguous() for part in timed]
    models = {q: Prosail(quadrature=q, chunk_size=BATCH) for q in NODES}
    with torch.no_grad():
        bands = {q: model(variables, geometry) for q, model in models.items()}
    cases = [Case(str(q), forward(m, *inputs), BATCH) for q, m in models.items()]
    rates = time_rounds(cases, rounds, seconds).mean(0)
    rows = []
    for (q, model), rate in zip(models.items(), rates, strict=True):
        error = (bands[q] - bands["exact"]).abs()
        cells = [f"{error.mean():.1e}", f"{error.max():.1e}"] if q != "exact" else ["0", "0"]
        rows.append([q, len(model._weights), *cells, f"{rate:,.0f}"])
    return rows


def saved_bytes(batch):
    """Return the memory that the forward pass holds for the backward pass, per spectrum."""
    values = priors(batch, torch.Generator().manual_seed(0)).float()
    variables, geometry = (part.requires_grad_() for part in values.split([11, 3], dim=1))
    storages = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        out = Prosail(chunk_size=batch)(variables, geometry)
    del out
    return sum(storages.values()) / batch


def resident(key):
    """Return the resident set of this process (VmRSS), or its peak (VmHWM), in bytes."""
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in status if line.startswith(key)))


def worker(make):
    """Report the growth of the resident set of this process over MANY spectra. Linux only."""
    make = {"forward": forward, "backward": backward}[make]
    model = Prosail()
    values = priors(MANY, torch.Generator().manual_seed(0)).float()
    parts = values[:, :11].contiguous(), values[:, 11:].contiguous()
    make(model, *(part[:8] for part in parts))()
    # From here on, since imports and the model itself had a higher peak.
    Path("/proc/self/clear_refs").write_text("5")
    baseline = resident("VmRSS")
    make(model, *parts)()
    print(json.dumps(resident("VmHWM") - baseline))


def peak_growth(make):
    """Do the same in a process of its own."""
    command = [sys.executable, __file__, "--worker", make]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def train(n_train, n_test, seeds):
    """Return rows of the errors of scikit-learn's perceptron, trained on simulations."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from sklearn_sits.datasets import make_prosail

    targets = ("LAI", "Cab", "CCC", "CWC")
    X_test, y_test = make_prosail(n_test, targets=targets, random_state=1_000)
    scores, seconds = [], []
    for seed in range(seeds):
        X, y = make_prosail(n_train, targets=targets, random_state=seed)
        options = {"hidden_layer_sizes": (64, 64), "learning_rate_init": 3e-3}
        net = MLPRegressor(**options, batch_size=1024, early_stopping=True, random_state=seed)
        model = TransformedTargetRegressor(
            make_pipeline(StandardScaler(), net), transformer=StandardScaler()
        )
        start = time.perf_counter()
        model.fit(X, y)
        seconds.append(time.perf_counter() - start)
        error = model.predict(X_test) - y_test
        r = [np.corrcoef(a, b)[0, 1] for a, b in zip((error + y_test).T, y_test.T, strict=True)]
        scores.append([np.sqrt(np.mean(error**2, 0)), error.mean(0), r])
    mean, std = np.mean(scores, 0), np.std(scores, 0, ddof=1)
    rows = []
    for i, target in enumerate(targets):
        cells = [f"{m:.4g} ± {s:.1g}" for m, s in zip(mean[:, i], std[:, i], strict=True)]
        rows.append([target, f"{y_test[:, i].std():.3g}", *cells])
    return rows, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000, help="sets whose spectra are compared")
    parser.add_argument("--rounds", type=int, default=7, help="repeats of each timing")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of each of them")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--train", action="store_true", help="also train a network on simulations")
    parser.add_argument("--n-train", type=int, default=100_000, help="simulations to train on")
    parser.add_argument("--quick", action="store_true", help="a few sets and short repeats")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    add_results_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.worker:
        worker(args.worker)
        return
    if args.quick:
        args.n, args.n_train, args.rounds, args.seconds = 200, 2_000, 3, 0.05
        args.no_compile = True

    report = Report(args)
    for name, draw in [("full bounds", full_bounds), ("priors of simulations", priors)]:
        rows, n, drawn = accuracy(draw, args.n)
        kinds = ["float64", "float32", f"{DEFAULT} nodes, float32"]
        columns = ["", *(f"{kind} {x}" for kind in kinds for x in ("max", "mean"))]
        title = (
            f"Difference to prosail 2.0.5, {name}: {n:,} sets, {drawn - n:,} left out "
            f"(soil times canopy albedo > {MAX_REBOUND})"
        )
        report.add(f"difference, {name}", columns, rows, title)

    title = f"Nodes of the quadrature: Sentinel-2A, {args.n:,} sets of the priors"
    columns = ["nodes per band", "wavelengths", "mean error", "largest error"]
    columns += ["spectra per CPU-second"]
    report.add("nodes", columns, node_table(args.n, args.rounds, args.seconds), title)

    title = f"Speed: one thread, float32, Sentinel-2A, {BATCH:,} spectra a call"
    cases = peer_cases() + our_cases(BATCH, "cpu", compiled=not args.no_compile)
    rates = time_rounds(cases, args.rounds, args.seconds)
    columns, rows, standard = describe_speed(cases, rates, "CPU-second")
    report.add("speed", columns, rows, title)
    if torch.cuda.is_available():

        def clock():
            torch.cuda.synchronize()
            return time.perf_counter()

        cases = our_cases(GPU_BATCH, "cuda", compiled=not args.no_compile)
        rates = time_rounds(cases, args.rounds, args.seconds, clock)
        columns, rows, _ = describe_speed(cases, rates, "s", standard)
        title = f"Speed: {torch.cuda.get_device_name()}, {GPU_BATCH:,} spectra a call"
        report.add("speed, cuda", columns, rows, title)

    rows = [["saved for backward, per spectrum", f"{saved_bytes(BATCH) / 1024:.1f} KiB"]]
    for name in ["forward", "backward"] if sys.platform == "linux" else []:
        rows.append([f"peak of {MANY:,} spectra, {name}", f"{peak_growth(name) / MIB:.0f} MiB"])
    report.add("memory", ["", "memory"], rows, "Memory: float32, default chunk_size")

    if args.train:
        rows, seconds = train(args.n_train, min(args.n, 10_000), 3)
        rows.append(["fit s", f"{np.mean(seconds):.0f}", "", "", ""])
        title = f"MLPRegressor, trained on {args.n_train:,} simulations: 3 seeds"
        report.add("perceptron", ["target", "std", "RMSE", "bias", "r"], rows, title)


if __name__ == "__main__":
    main()

"""Ten kernels of the package and its import, each against a plain way to do the same.

The ratio is the CPU time of the baseline over that of the kernel, for the same amount of work, on
one thread. The two take turns in one process, so that a change in the speed of the machine meets
both. That is why asv and pytest-benchmark are not used: they compare the seconds of one run with
those of another one, and asv builds an environment with PyTorch for each commit.

With --commits the present script times the package as it was at some commits. A kernel that a
commit does not have, or has under another name, is a dash.
"""

import argparse
import io
import json
import math
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

# Before the libraries that read them are imported.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from report import Report, add_results_option, spread

ROOT = Path(__file__).resolve().parent.parent
ROUNDS, SECONDS = 5, 0.2
NODATA, SCALE = -10_000, 1e-4


class Kernel(NamedTuple):
    """Two functions that make a call, and how much of the work of the kernel the baseline does."""

    name: str
    baseline: str
    make: object
    share: float = 1.0


def make_series(n, n_dates, n_bands, n_classes=8):
    """Return packed seasons, half of their dates cloudy, and their classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(n_classes, size=n)
    X = np.empty((n, n_dates, 1 + n_bands), dtype=np.float32)
    X[..., 0] = np.linspace(0, 360, n_dates, dtype=int)
    phase = 2 * np.pi * y[:, None, None] / n_classes
    X[..., 1:] = 0.3 + 0.1 * np.cos(2 * np.pi * X[..., :1] / 365 - phase)
    X[..., 1:] += 0.05 * rng.normal(size=(n, n_dates, n_bands))
    X[..., 1:][rng.random((n, n_dates)) < 0.5] = np.nan
    return X, y


def make_attention(n=64, n_dates=100, n_bands=10):
    from interpolator import dense, run

    from sklearn_sits.nn.attention import MultiTimeAttention

    generator = torch.Generator().manual_seed(0)
    attention = MultiTimeAttention(13)
    attention.reset(generator)
    seen = (torch.rand(n, 1, n_dates, generator=generator) > 0.5).float()
    values = torch.randn(n, n_bands, n_dates, generator=generator) * seen
    times = torch.linspace(0, 1, n_dates)
    gradient = torch.randn(n, n_bands, 13, generator=generator)
    own, by_date = times.expand(n, -1).contiguous(), values.transpose(1, 2).contiguous()
    mask = seen.transpose(1, 2).expand_as(by_date).contiguous()

    def kernel():
        return run(attention, lambda: attention(times, values, seen)[0], gradient)

    def baseline():
        def interpolate():
            return dense(attention, own, by_date, mask)[..., :n_bands].transpose(1, 2)

        return run(attention, interpolate, gradient)

    return kernel, baseline


def make_linear(n=1000):
    from sklearn_sits import LinearInterpolator

    X, _ = make_series(n, 60, 10)
    model = LinearInterpolator().fit(X)
    grid = model.dates_

    def baseline():
        out = np.empty((n, len(grid), 10), dtype=np.float32)
        for series, result in zip(X, out, strict=True):
            for band in range(10):
                seen = ~np.isnan(series[:, 1 + band])
                result[:, band] = np.interp(grid, series[seen, 0], series[seen, 1 + band])
        return out.reshape(n, -1)

    return lambda: model.transform(X), baseline


def make_table(n=500):
    import pandas as pd

    from sklearn_sits import pack_frame

    X, _ = make_series(n, 30, 10)
    bands = [f"b{i}" for i in range(10)]
    frame = pd.DataFrame(X[..., 1:].reshape(-1, 10), columns=bands)
    frame["id"], frame["date"] = np.repeat(np.arange(n), 30), X[..., 0].ravel()

    def baseline():
        groups = [group[["date", *bands]].to_numpy() for _, group in frame.groupby("id")]
        out = np.full((n, max(map(len, groups)), 11), np.nan, dtype=np.float32)
        for row, group in zip(out, groups, strict=True):
            row[: len(group)] = group
        return out

    return lambda: pack_frame(frame, id="id", date="date", bands=bands)[0], baseline


def make_cube(size=64):
    import pandas as pd
    import xarray as xr

    from sklearn_sits.raster import pack_cube

    rng = np.random.default_rng(0)
    values = rng.integers(1, 10_000, size=(10, 60, size, size), dtype=np.int16)
    values[:, rng.random(values.shape[1:]) < 0.3] = NODATA
    time = pd.date_range("2024-01-01", periods=60, freq="5D")
    cube = xr.DataArray(values, {"time": time}, ("band", "time", "y", "x"))
    cube.attrs = {"scale_factor": SCALE, "add_offset": 0.0, "_FillValue": np.int16(NODATA)}
    days = (time - pd.Timestamp("1970-01-01")).days.to_numpy(np.float32)

    def baseline():
        decoded = cube.where(cube != NODATA) * np.float32(SCALE)
        pixels = decoded.stack(pixel=("y", "x")).transpose("pixel", "time", "band").values
        dates = np.broadcast_to(days[:, None], (len(pixels), 60, 1))
        return np.concatenate([dates, pixels], axis=2, dtype=np.float32)

    return lambda: pack_cube(cube, decode=True), baseline


def make_processes(n=1000, n_features=32, n_inducing=50, n_latents=8):
    import gpytorch
    from gpytorch.variational import CholeskyVariationalDistribution, VariationalStrategy

    from sklearn_sits.nn.svgp import SVGP

    batch = torch.Size([n_latents])

    class Processes(gpytorch.models.ApproximateGP):
        def __init__(self, points):
            distribution = CholeskyVariationalDistribution(n_inducing, batch_shape=batch)
            super().__init__(VariationalStrategy(self, points, distribution))
            self.mean = gpytorch.means.ConstantMean(batch_shape=batch)
            kernel = gpytorch.kernels.RBFKernel(ard_num_dims=n_features, batch_shape=batch)
            self.kernel = gpytorch.kernels.ScaleKernel(kernel, batch_shape=batch)

        def forward(self, z):
            return gpytorch.distributions.MultivariateNormal(self.mean(z), self.kernel(z))

    generator = torch.Generator().manual_seed(0)
    z = torch.randn(n, n_features, generator=generator)
    points, scale = z[:n_inducing], torch.full((n_features,), 6.0)
    model = SVGP(n_features, n_inducing, n_latents)
    target = torch.randn(n, n_latents, generator=generator)
    model.reset(points, scale, z, target, torch.ones(n))
    other = Processes(points.expand(n_latents, -1, -1).clone()).train()
    other.kernel.base_kernel.lengthscale = 6.0

    def kernel():
        model.zero_grad()
        mean, variance = model(z)
        (mean.square().mean() + variance.mean() + model.kl() / n).backward()

    def baseline():
        other.zero_grad()
        marginals = other(z)
        divergence = other.variational_strategy.kl_divergence().sum() / n
        (marginals.mean.square().mean() + marginals.variance.mean() + divergence).backward()

    return kernel, baseline


def make_classes(n=2000):
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline

    from sklearn_sits import LinearInterpolator, MTANSVGPClassifier

    X, y = make_series(n, 60, 10)
    model = MTANSVGPClassifier(max_iter=1, random_state=0, device="cpu").fit(X, y)
    forest = make_pipeline(LinearInterpolator(), RandomForestClassifier(100, random_state=0))
    forest.fit(X, y)
    return lambda: model.predict_proba(X), lambda: forest.predict_proba(X)


def make_canopy(n=1024, n_baseline=64):
    import prosail
    from canopy import backward, call_peer, priors

    from sklearn_sits.physics import Prosail

    values = priors(n, torch.Generator().manual_seed(0))
    rows = values[:n_baseline].tolist()
    call = backward(Prosail(), *values.float().split([11, 3], dim=1))
    return call, lambda: [call_peer(prosail, row) for row in rows]


def make_truncated(n=10_000):
    from scipy.stats import truncnorm

    from sklearn_sits.physics import TruncatedNormal

    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    loc = torch.rand(n, generator=generator) * 8
    scale = 0.1 + torch.rand(n, generator=generator)
    ours = TruncatedNormal(loc, scale, 0.0, 8.0)
    a, b = (-loc / scale).numpy(), ((8 - loc) / scale).numpy()
    theirs = truncnorm(a, b, loc.numpy(), scale.numpy())

    def kernel():
        draws = ours.rsample((1,), generator=generator)
        return ours.log_prob(draws)

    return kernel, lambda: theirs.logpdf(theirs.rvs((1, n), random_state=rng))


def make_traits(n=20_000):
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    from sklearn_sits import load_prosail_vae
    from sklearn_sits.datasets import make_prosail

    X, y = make_prosail(n, targets=["LAI"], random_state=0)
    model = load_prosail_vae().set_params(device="cpu")
    net = MLPRegressor(hidden_layer_sizes=(64, 64), max_iter=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        net.fit(X, y[:, 0])
    return lambda: model.predict(X), lambda: net.predict(X)


def make_seasons(n=1000, n_baseline=20):
    from phenology import solve

    from sklearn_sits import PhenologyVAERegressor
    from sklearn_sits.datasets import make_phenology

    X, _ = make_phenology(n, random_state=0)
    # Its predictions take the same time after any training.
    model = PhenologyVAERegressor(
        objective="simulations", pretrain_iter=20, random_state=0, device="cpu"
    ).fit(X)
    series = [x[~np.isnan(x[:, 1])].T for x in X[:n_baseline]]
    return lambda: model.predict(X), lambda: [solve(*one) for one in series]


def make_import():
    def start(code):
        subprocess.run([sys.executable, "-c", code], check=True)

    ours = "from sklearn_sits import MTANSVGPClassifier"
    return lambda: start(ours), lambda: start("import sklearn.ensemble, torch")


KERNELS = [
    Kernel("attention, forward and backward", "dense formulation", make_attention),
    Kernel("linear interpolation", "numpy.interp, series by series", make_linear),
    Kernel("pack_frame", "pandas groupby", make_table),
    Kernel("pack_cube, int16", "where and stack of xarray", make_cube),
    Kernel("Gaussian processes, forward and backward", "GPyTorch", make_processes),
    Kernel("mTAN-SVGP, predict_proba", "lin-RF, 100 trees", make_classes),
    Kernel("canopy bands, forward and backward", "prosail, forward", make_canopy, 64 / 1024),
    Kernel("truncated normal, draws and densities", "scipy.stats.truncnorm", make_truncated),
    Kernel("load_prosail_vae, predict", "MLPRegressor, 64 + 64 units", make_traits),
    Kernel("PhenologyVAERegressor, predict", "bounded least squares", make_seasons, 20 / 1000),
    Kernel("import of MTANSVGPClassifier", "import of scikit-learn and PyTorch", make_import),
]


def cpu_seconds():
    """Return the CPU time of this process and of those that it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def time_kernel(kernel, rounds=ROUNDS, seconds=SECONDS):
    """Return seconds of the kernel and of its baseline, of shape (rounds, 2)."""
    calls = kernel.make()
    repeats = []
    for call in calls:
        call()
        start = cpu_seconds()
        call()
        repeats.append(math.ceil(seconds / max(cpu_seconds() - start, 1e-6)))
    spent = np.empty((rounds, 2))
    for row in spent:
        for i, (call, repeat) in enumerate(zip(calls, repeats, strict=True)):
            start = cpu_seconds()
            for _ in range(repeat):
                call()
            row[i] = (cpu_seconds() - start) / repeat
    return spent / [1.0, kernel.share]


def time_present(kernel, rounds, seconds):
    """Do the same; return None if this version of the package does not have the kernel."""
    try:
        return time_kernel(kernel, rounds, seconds)
    except (ImportError, AttributeError, TypeError) as error:
        print(f"{kernel.name}: {error}", file=sys.stderr)
        return None


def describe(kernel, spent):
    """Return the row of a table."""
    if spent is None:
        return [kernel.name, kernel.baseline, "-", "-", "-"]
    times = [spread([value], count_digits(value)) for value in 1000 * spent.mean(0)]
    return [kernel.name, kernel.baseline, *times, describe_ratio(spent)]


def describe_ratio(spent):
    """Return mean and deviation of the ratio over the rounds."""
    ratios = spent[:, 1] / spent[:, 0]
    return spread(ratios, count_digits(ratios.mean()))


def count_digits(value):
    """Return the digits after the point that make three in all."""
    return max(0, 2 - math.floor(math.log10(value)))


def list_commits(names):
    """Return hashes of commits, tags and ranges, in this order."""
    command = ["git", "-C", str(ROOT), "rev-list", "--no-walk=unsorted", *names, "--"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("--commits takes what git knows as commits.")
    return done.stdout.split()


def name_commit(commit):
    """Return the short hash and the date of a commit."""
    command = ["git", "-C", str(ROOT), "show", "-s", "--format=%h, %cs", commit]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def time_commit(commit, rounds, seconds):
    """Time the package of a commit in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["git", "-C", str(ROOT), "archive", "--format=tar", commit, "sklearn_sits"]
        files = subprocess.run(command, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(files)) as archive:
            archive.extractall(folder, filter="data")
        command = [sys.executable, __file__, "--worker", json.dumps([folder, rounds, seconds])]
        environment = os.environ | {"PYTHONPATH": folder}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode:
        sys.exit(f"The run of {commit} failed.")
    spent = json.loads(done.stdout.splitlines()[-1])
    return [None if one is None else np.array(one) for one in spent]


def worker(folder, rounds, seconds):
    """Print the seconds of all kernels of the package in a folder."""
    import sklearn_sits

    assert Path(sklearn_sits.__file__).is_relative_to(folder), sklearn_sits.__file__
    spent = [time_present(kernel, rounds, seconds) for kernel in KERNELS]
    print(json.dumps([None if one is None else one.tolist() for one in spent]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", nargs="+", help="commits, tags or ranges, such as v0.1..main")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of a timing")
    parser.add_argument("--quick", action="store_true", help="two short rounds")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    add_results_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.worker:
        worker(*json.loads(args.worker))
        return
    if args.quick:
        args.rounds, args.seconds = 2, 0.02
    timing = args.rounds, args.seconds
    if args.commits:
        commits = list_commits(args.commits)
        columns = [time_commit(commit, *timing) for commit in commits]
        cells = [["-" if one is None else describe_ratio(one) for one in c] for c in columns]
        rows = [[kernel.name, *row] for kernel, *row in zip(KERNELS, *cells, strict=True)]
        header = ["kernel", *map(name_commit, commits)]
        Report(args).add("commits", header, rows, "CPU time of the baseline / that of the kernel")
        return
    rows = [describe(kernel, time_kernel(kernel, *timing)) for kernel in KERNELS]
    header = ["kernel", "baseline", "ms", "baseline ms", "ratio"]
    Report(args).add("kernels", header, rows, "CPU time of one thread, ratio = baseline / kernel")


if __name__ == "__main__":
    main()

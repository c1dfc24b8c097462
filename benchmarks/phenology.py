"""Dates of the season from simulated series, against bounded least squares.

The series of a year are seen every five days, 60 % of the dates are hidden by clouds, and the noise
is 0.03. Each seed fits on some series and is tested on others. Least squares knows what the
simulations know, the bounds of the parameters, has a start from the data and exact derivatives.
Times of both methods are CPU time of one core.

Then the flags, and years of two seasons: on simulations of one, two and no season, and with --data
on the MODIS pixels of Mato Grosso, at the acquisition day of each pixel, in years from September 1.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from report import Report, add_results_option
from scipy.optimize import least_squares
from scipy.special import expit
from scipy.stats import t as student

from sklearn_sits import PhenologyVAERegressor
from sklearn_sits.datasets import make_phenology
from sklearn_sits.phenology.quality import QUALITY_FLAGS
from sklearn_sits.physics.double_logistic import PHENOLOGY, PHENOLOGY_PRIORS

N_REPEATS = 5
NAMES = [variable.name for variable in PHENOLOGY]
CROPS = {
    "minimum": (0.1, 0.3),
    "amplitude": (0.4, 0.6),
    "start_of_season": (90.0, 130.0),
    "growth": (30.0, 60.0),
    "plateau": (20.0, 60.0),
    "decline": (30.0, 60.0),
}
# Series unlike those that the model was fitted on.
SHIFTS = {
    "same": {},
    "crops": {"priors": CROPS},
    "noise 0.01": {"noise": 0.01},
    "noise 0.05": {"noise": 0.05},
    "gaps 80 %": {"gaps": 0.8},
    "gaps 30 %": {"gaps": 0.3},
}
LOW, HIGH = np.array(list(PHENOLOGY_PRIORS.values())).T
# From minimum, amplitude, start, growth, plateau and decline to the six parameters.
SUMS = np.block(
    [[np.tri(2), np.zeros((2, 4))], [np.zeros((4, 2)), np.tri(4)]],
)
SCALE = np.array([0.1, 0.1, 30, 30, 30, 30])


def residuals(p, day, value):
    low, amplitude, start, growth, plateau, decline = p
    up = expit(4 / growth * (day - start - growth / 2))
    down = expit(4 / decline * (day - start - growth - plateau - decline / 2))
    return low + amplitude * (up - down) - value


def jacobian(p, day, value):
    _, amplitude, start, growth, plateau, decline = p
    up = expit(4 / growth * (day - start - growth / 2))
    down = expit(4 / decline * (day - start - growth - plateau - decline / 2))
    rise, fall = amplitude * up * (1 - up) * 4, amplitude * down * (1 - down) * 4
    out = np.empty((len(day), 6))
    out[:, 0] = 1
    out[:, 1] = up - down
    out[:, 2] = fall / decline - rise / growth
    out[:, 3] = fall / decline - rise * (day - start) / growth**2
    out[:, 4] = fall / decline
    out[:, 5] = fall * (day - start - growth - plateau) / decline**2
    return out


def first_guess(day, value):
    """Cross half of the amplitude before and after the peak of the smoothed series."""
    low, high = np.quantile(value, [0.1, 0.95])
    amplitude = max(high - low, 0.1)
    smooth = np.convolve(np.pad(value, 1, mode="edge"), np.ones(3) / 3, "valid")
    peak, half = smooth.argmax(), low + amplitude / 2
    before = np.flatnonzero(smooth[:peak] < half)
    after = np.flatnonzero(smooth[peak + 1 :] < half)
    rise = day[before[-1] : before[-1] + 2].mean() if len(before) else day[0]
    fall = day[peak + after[0] : peak + after[0] + 2].mean() if len(after) else day[-1]
    fall = max(fall, rise + 60)
    length = min(40.0, 0.8 * (fall - rise))
    guess = [low, amplitude, rise - length / 2, length, fall - rise - length, length]
    return np.clip(guess, LOW + 1e-3, HIGH - 1e-3)


def solve(day, value):
    return least_squares(
        residuals,
        first_guess(day, value),
        jacobian,
        bounds=(LOW, HIGH),
        x_scale=SCALE,
        args=(day, value),
    )


def fit_all(X):
    """Return estimates, and seconds per series."""
    seen = ~np.isnan(X[..., 1])
    series = [(x[s, 0], x[s, 1]) for x, s in zip(X, seen, strict=True)]
    start = time.process_time()
    found = [solve(*one) for one in series]
    return found, (time.process_time() - start) / len(X)


def linear_interval(found):
    """Return the estimate and the half-width of the usual 95 % interval of the linearised model."""
    free = max(len(found.fun) - 6, 1)
    covariance = np.linalg.pinv(found.jac.T @ found.jac) * (2 * found.cost / free)
    std = np.sqrt(np.einsum("ij,jk,ik->i", SUMS, covariance, SUMS))
    return SUMS @ found.x, student.ppf(0.975, free) * std


def fmt(values, digits):
    values = np.atleast_2d(values)
    mean, std = values.mean(0), values.std(0)
    return [
        "-" if np.isnan(m) else f"{m:.{d}f}" + f" ± {s:.{d}f}" * (len(values) > 1)
        for m, s, d in zip(mean, std, digits, strict=True)
    ]


def evaluate(model, X, y):
    """Return errors, hits of intervals and seconds of the model and of least squares."""
    start = time.process_time()
    for _ in range(N_REPEATS):
        mean = model.predict(X)
    ours_s = (time.process_time() - start) / len(X) / N_REPEATS
    lower, upper = model.predict_interval(X)
    found, theirs_s = fit_all(X)
    theirs, half = (np.array(part) for part in zip(*map(linear_interval, found), strict=True))
    errors = np.abs(mean - y).mean(0), np.abs(theirs - y).mean(0)
    inside = ((lower <= y) & (y <= upper)).mean(0), (np.abs(theirs - y) <= half).mean(0)
    return errors, inside, (ours_s, theirs_s)


def make_flat(seed, dips=0.0):
    """Noise of 0.03 around a constant, and falls of this mean size in a fifth of the dates."""
    X, _ = make_phenology(1500, random_state=seed)
    rng = np.random.default_rng(seed)
    size = X.shape[:2]
    level = rng.uniform(0.2, 0.9, (len(X), 1)) + 0.03 * rng.normal(size=size)
    level -= dips * rng.exponential(size=size) * (rng.random(size) < 0.2)
    X[..., 1] = np.where(np.isnan(X[..., 1]), np.nan, level)
    return X


def make_years(seed):
    """Return pairs of series and parameters of each kind of simulated year."""
    apart = {"amplitude": (0.3, 0.8)}
    two = {"n_seasons": 2, "random_state": seed, "n_series": 1500}
    return {
        "one season": make_phenology(1500, random_state=seed),
        "one season, noise 0.05": make_phenology(1500, noise=0.05, random_state=seed),
        "two, 60 % gaps": make_phenology(**two),
        "two, 30 % gaps": make_phenology(gaps=0.3, **two),
        "two, 30 % gaps, amplitude above 0.3": make_phenology(gaps=0.3, priors=apart, **two),
        "no season": (make_flat(seed), None),
        "no season, clouds": (make_flat(seed, dips=0.15), None),
    }


def load_mato_grosso(folder):
    """Return series of NDVI by the day of the year from September, of each class."""
    data = np.load(folder / "modis_dtwsat_matogrosso_image.npz")
    row, column = data["sample_row"], data["sample_col"]
    day = data["acq_day"][:, row, column].T - data["sample_from"][:, None]
    ndvi = data["cube"][:, row, column, list(data["bands"]).index("ndvi")].T / 1e4
    X = np.stack([day, np.where(ndvi >= -1, ndvi, np.nan)], axis=2)
    return {name: (X[data["y"] == i], None) for i, name in enumerate(data["class_names"])}


def evaluate_years(models, X, y):
    """Return shares of flags, of two seasons found, and of both, and errors of the dates."""
    one, two = models
    flags = one.quality(X)
    shares = [((flags & value) > 0).mean() for value in list(QUALITY_FLAGS.values())[1:]]
    mean, both = two.predict(X), two.quality(X)
    found = ~np.isnan(mean[:, 6])
    model_flags = [QUALITY_FLAGS[name] for name in ("no_season", "several_seasons", "misfit")]
    is_wrong = (flags & sum(model_flags)) > 0
    known = (both[:, 0] & sum(model_flags)) > 0
    shares += [is_wrong.mean(), found.mean(), (found | known).mean()]
    errors = [np.nan] * 4
    if y is not None and y.shape[1] == 6:
        error = np.abs(one.predict(X) - y)[:, 2:].mean(1)
        badly = (flags & QUALITY_FLAGS["badly_seen"]) > 0
        errors = [np.nan, np.nan, error[badly].mean(), error[~badly].mean()]
    elif y is not None:
        dates = np.arange(12) % 6 > 1
        lower, upper = two.predict_interval(X)
        inside = ((lower <= y) & (y <= upper))[found][:, dates]
        errors = [np.abs(mean - y)[found][:, dates].mean(), inside.mean(), np.nan, np.nan]
    return shares, errors


def report_years(report, args, seeds):
    """Add tables of flags and of years of two seasons."""
    shares, errors = {}, {}
    for seed in range(seeds):
        X, _ = make_phenology(args.n_fit, random_state=20_000 + seed)
        groups = [(X, make_years(30_000 + seed))]
        if args.data:
            years = load_mato_grosso(args.data)
            groups.append((np.concatenate([X for X, _ in years.values()]), years))
        for fitted_on, years in groups:
            models = [
                PhenologyVAERegressor(
                    n_seasons=n, season_start=0, random_state=seed, device="cpu"
                ).fit(fitted_on)
                for n in (1, 2)
            ]
            for name, (X, y) in years.items():
                share, error = evaluate_years(models, X, y)
                shares.setdefault(name, []).append(share)
                errors.setdefault(name, []).append(error)
    header = [*list(QUALITY_FLAGS)[1:], "no, several or misfit", "two found", "found or flagged"]
    rows = [[name, *fmt(100 * np.array(x), [1] * 9)] for name, x in shares.items()]
    title = f"Flags, and two seasons found (n_seasons=2), % of the series, {seeds} seeds"
    report.add("flags", ["", *header], rows, title)
    header = ["two found", "in 95 %", "badly seen", "well seen"]
    rows = [
        [name, *fmt(np.array(x), [1, 3, 1, 1])]
        for name, x in errors.items()
        if not np.isnan(x).all()
    ]
    report.add("errors of flagged dates", ["", *header], rows, "Errors of dates in days")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="at most 3 of the flags")
    parser.add_argument("--n-fit", type=int, default=2000)
    parser.add_argument("--n-test", type=int, default=2000)
    parser.add_argument("--objective", default="simulations")
    parser.add_argument("--data", type=Path, help="folder of modis_dtwsat_matogrosso_image.npz")
    parser.add_argument("--only", choices=["dates", "flags"], help="half of the tables")
    parser.add_argument("--quick", action="store_true", help="one seed, few series")
    add_results_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    seeds = 1 if args.quick else args.seeds
    report = Report(args)
    if args.only != "flags":
        report_dates(report, args, seeds)
    if args.only != "dates":
        report_years(report, args, min(seeds, 3))


def report_dates(report, args, seeds):
    """Add tables of errors and times against least squares."""
    n_test = 200 if args.quick else args.n_test
    runs, fits = {name: [] for name in SHIFTS}, []
    for seed in range(seeds):
        X, _ = make_phenology(args.n_fit, random_state=20_000 + seed)
        model = PhenologyVAERegressor(objective=args.objective, random_state=seed, device="cpu")
        start = time.process_time()
        model.fit(X)
        fits.append(time.process_time() - start)
        model.predict(X)
        for name, settings in SHIFTS.items():
            test = make_phenology(n_test, random_state=10_000 + seed, **settings)
            runs[name].append(evaluate(model, *test))

    errors, inside, seconds = (np.array(part) for part in zip(*runs["same"], strict=True))
    digits = [4, 4, 2, 2, 2, 2]
    ratio = errors[:, 0] / errors[:, 1]
    rows = [
        ["PhenologyVAERegressor, MAE", *fmt(errors[:, 0], digits)],
        ["least squares, MAE", *fmt(errors[:, 1], digits)],
        ["ratio", *fmt(ratio, [3] * 6)],
        ["PhenologyVAERegressor, in 95 %", *fmt(inside[:, 0], [3] * 6)],
        ["least squares, in 95 %", *fmt(inside[:, 1], [3] * 6)],
    ]
    report.add("dates", ["", *NAMES], rows, f"{n_test} series a seed, {seeds} seeds")
    speed = seconds[:, 1] / seconds[:, 0]
    columns = ["", "fit CPU s", "µs per series", "ratio"]
    ours, theirs = fmt(1e6 * seconds, [1, 0])
    rows = [
        ["PhenologyVAERegressor", fmt([[f] for f in fits], [0])[0], ours, "1"],
        ["least squares", "", theirs, fmt(speed[:, None], [0])[0]],
    ]
    report.add("times", columns, rows, "CPU time of predictions")
    rows = []
    for name, results in runs.items():
        errors, inside, _ = (np.array(part)[..., 2:] for part in zip(*results, strict=True))
        cells = [errors[:, 0].mean(-1), errors[:, 1].mean(-1)]
        cells += [inside[:, 0].mean(-1), inside[:, 0].min(-1), inside[:, 1].mean(-1)]
        rows.append([name, *fmt(np.stack(cells, axis=1), [2, 2, 3, 3, 3])])
    columns = ["", "MAE", "least squares", "in 95 %", "least date", "in 95 %, least squares"]
    title = "Other series than those of fit: means over the four dates"
    report.add("other series", columns, rows, title)


if __name__ == "__main__":
    main()

"""Vegetation traits: field measurements of LAI, and simulations of which everything is known.

The field protocol predicts at the images before and after a measurement and interpolates linearly
to its day, site by site. No measurement is used to fit or to choose anything: the models see the
unlabelled spectra of France and of Spain in 2017 only. Predictions of published models on the same
rows and spectra come with the data.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from report import Report, add_results_option, spread
from scipy.stats import norm
from sklearn.compose import TransformedTargetRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sits import ProsailVAERegressor, load_prosail_vae
from sklearn_sits.datasets import make_prosail
from sklearn_sits.physics import (
    DERIVED_TRAITS,
    VARIABLES,
    Prosail,
    sample_geometry,
    sample_variables,
)
from sklearn_sits.traits.shipped import SHIPPED as SHIPPED_SENSORS

TARGETS = [variable.name for variable in VARIABLES] + list(DERIVED_TRAITS)
OBJECTIVES = ["hybrid", "simulations", "self-supervised"]
SHIPPED = "load_prosail_vae()"
# The default objective after the pretraining is replaced by the shipped weights.
FROM_SHIPPED = 'ProsailVAERegressor(init="shipped")'
PARTS = ["speed", "series", "sensors", "field", "simulated"]
TIME_SCALES = [20.0, 60.0]
FILES = ("dev", "spain2018")
SITES = {
    ("dev", "france_T31TCJ_gai"): "France",
    ("dev", "spain_T30TUM_2017"): "Spain 2017",
    ("spain2018", "spain_T30TUM_2018"): "Spain 2018",
}
PEERS = {
    "snap_v2": "SNAP",
    "sl2p": "SL2P",
    "prosailvae_authors": "PROSAIL-VAE, authors'",
    "mlpreg_authors": "MLP-Reg, authors'",
}
SPECTRA = {"dev": "France, Spain 2017", "spain2018": "Spain 2018"}
COVERAGES = (0.5, 0.8, 0.95)
# Distributions of simulated canopies.
SIMULATED = {"paper": "the paper's priors", "mixed": "the mixture"}
N_BOOTSTRAP = 2000


def load(folder):
    """Return the unlabelled spectra, and for each site what was measured and predicted there."""
    sites = {}
    for name in FILES:
        file = np.load(folder / f"s2_lai_field_{name}.npz", allow_pickle=False)
        peers = np.load(folder / f"lai_peers_{name}.npz", allow_pickle=False)
        gap_before = np.abs(file["field_day"] - file["day_pre"])
        gap_after = np.abs(file["day_post"] - file["field_day"])
        rows = {
            # The angles of the file are named; ours are sun zenith, view zenith, relative azimuth.
            "before": np.hstack([file["refl_pre"], file["ang_pre"]]),
            "after": np.hstack([file["refl_post"], file["ang_post"]]),
            "weight": gap_after / np.maximum(gap_before + gap_after, 1),
            "lai": file["lai"].astype(float),
            **{key: peers[key] for key in peers.files if key.startswith(tuple(PEERS))},
        }
        for site in np.unique(file["site"]):
            sites[SITES[name, str(site)]] = {
                key: value[file["site"] == site] for key, value in rows.items()
            }
    return load_spectra(folder, FILES[0]), sites


def load_spectra(folder, name):
    file = np.load(folder / f"s2_lai_field_{name}.npz", allow_pickle=False)
    return np.hstack([file["spectra"], file["spectra_angles"]])


def crps(error, std):
    """Return the mean continuous ranked probability score of normal predictions."""
    if std is None:
        return np.abs(error).mean()
    z = error / std
    return np.mean(std * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - np.pi**-0.5))


def field_scores(prediction, std, lai):
    """Return RMSE, bias, r, coverage of 50, 80 and 95 % intervals, width of the last, CRPS."""
    error = prediction - lai
    scores = [np.sqrt(np.mean(error**2)), error.mean(), np.corrcoef(prediction, lai)[0, 1]]
    if std is None:
        scores += [np.nan] * 4
    else:
        scores += [np.mean(np.abs(error) < norm.ppf(0.5 + c / 2) * std) for c in COVERAGES]
        scores.append(np.mean(2 * norm.ppf(0.975) * std))
    return np.array([*scores, crps(error, std)])


def paired_interval(squares, others, rng):
    """Return the 95 % bootstrap interval of a difference of RMSE, rows drawn together.

    `squares` are the squared errors of each seed, (n_seeds, n); `others` those of a peer, (n,).
    """
    n = len(others)
    rows = rng.integers(0, n, size=(N_BOOTSTRAP, n))
    ours = np.sqrt(squares[:, rows].mean(-1)).mean(0)
    return np.quantile(ours - np.sqrt(others[rows].mean(-1)), [0.025, 0.975])


def fmt(values, digits=3):
    values = np.atleast_2d(values)
    mean, std = values.mean(0), values.std(0)
    cells = [
        f"{m:.{digits}f}" + f" ± {s:.{digits}f}" * (len(values) > 1)
        for m, s in zip(mean, std, strict=True)
    ]
    return ["" if "nan" in cell else cell for cell in cells]


def predict_between(model, site):
    """Predict at the dates around each measurement, and interpolate to its day."""
    (first, first_std), (last, last_std) = (
        model.predict(site[key], return_std=True) for key in ("before", "after")
    )
    weight = site["weight"]
    return weight * first + (1 - weight) * last, weight * first_std + (1 - weight) * last_std


def label(objective):
    """Return the call that makes a regressor."""
    default = objective == OBJECTIVES[0]
    return "ProsailVAERegressor()" if default else f'ProsailVAERegressor(objective="{objective}")'


def fit_models(spectra, seeds, objectives):
    """Yield the name of each system, its models, and the CPU seconds of their training."""
    yield SHIPPED, [load_prosail_vae()], [0.0]
    settings = {label(objective): {"objective": objective} for objective in objectives}
    settings[FROM_SHIPPED] = {"init": "shipped"}
    for name, parameters in settings.items():
        models, seconds = [], []
        for seed in range(seeds):
            start = time.process_time()
            model = ProsailVAERegressor(**parameters, random_state=seed)
            models.append(model.fit(spectra))
            seconds.append(time.process_time() - start)
        yield name, models, seconds


def field(report, folder, seeds, objectives):
    """Add tables of errors, intervals and paired differences at each site."""
    spectra, sites = load(folder)
    lai = {site: rows["lai"] for site, rows in sites.items()}
    scores, intervals = {}, []
    for key, name in PEERS.items():
        scores[name] = np.array(
            [[field_scores(x[key], x.get(key + "_std"), lai[site])] for site, x in sites.items()]
        )
    rng, fit_s = np.random.default_rng(0), {}
    for name, models, seconds in fit_models(spectra, seeds, objectives):
        found = [[predict_between(model, x) for model in models] for x in sites.values()]
        scores[name] = np.array(
            [
                [field_scores(*one, truth) for one in of_site]
                for of_site, truth in zip(found, lai.values(), strict=True)
            ]
        )
        fit_s[name] = spread(seconds, 0)
        for of_site, (site, x) in zip(found, sites.items(), strict=True):
            squares = np.square([mean - lai[site] for mean, _ in of_site])
            limits = [paired_interval(squares, (x[key] - lai[site]) ** 2, rng) for key in PEERS]
            cells = ["{:+.2f} to {:+.2f}".format(*pair) for pair in limits]
            intervals.append([name, site, *cells])
        misfit = np.mean([model.misfit_ for model in models])
        print(f"{name}: misfit {misfit:.2f}, fit {fit_s[name]} CPU s", flush=True)
    report_field(report, {site: len(x) for site, x in lai.items()}, scores, fit_s, seeds)
    title = "RMSE minus that of others, paired 95 % bootstrap intervals"
    report.add("field, paired", ["", "site", *PEERS.values()], intervals, title)


def report_field(report, sizes, scores, fit_s, seeds):
    """Add tables of errors and of intervals, a column for each site."""
    errors, inside = [], []
    for name, values in scores.items():  # (n_sites, n_seeds, n_scores)
        cells = [f"{spread(v[:, 0], 2)} ({v[:, 1].mean():+.2f})" for v in values]
        errors.append([name, *cells, spread(values[:, :, 0].mean(0), 3), fit_s.get(name, "")])
        if not np.isnan(values).any():
            means = values.mean(1)
            covers = [", ".join(f"{100 * share:.0f}" for share in v[3:6]) for v in means]
            cells = [f"{c} %; {v[-1]:.2f}" for c, v in zip(covers, means, strict=True)]
            inside.append([name, *cells])
    columns = ["", *(f"{site} ({n})" for site, n in sizes.items())]
    title = f"RMSE (bias) of LAI in the field, {seeds} seeds"
    report.add("field, RMSE", [*columns, "mean of the sites", "fit CPU s"], errors, title)
    shares = ", ".join(f"{100 * share:.0f}" for share in COVERAGES)
    title = f"Measurements in {shares} % intervals; CRPS"
    report.add("field, intervals", columns, inside, title)


def agreement(report, folder):
    """Compare fractions with those of SNAP on real spectra."""
    rows = []
    for name in FILES:
        X = load_spectra(folder, name)
        peers = np.load(folder / f"spectra_peers_{name}.npz", allow_pickle=False)
        found = load_prosail_vae(targets=["fAPAR", "fCover", "LAI"]).predict(X)
        for j, target in enumerate(("fAPAR", "fCover", "LAI")):
            for key, label in (("snap", "SNAP"), ("sl2p", "SL2P")):
                other = peers[f"{key}_{target.lower()}"]
                difference = found[:, j] - other
                r = np.corrcoef(found[:, j], other)[0, 1]
                rmsd = np.sqrt(np.mean(difference**2))
                cells = [f"{r:.3f}", f"{difference.mean():+.3f}", f"{rmsd:.3f}"]
                rows.append([SPECTRA[name], target, label, *cells])
    columns = ["", "trait", "with", "r", "mean difference", "RMSD"]
    report.add("agreement", columns, rows, "Agreement on real spectra, shipped weights")


def simulated(report, seeds, n_train, n_test, variables, objectives):
    X, y = make_prosail(n_test, variables=variables, targets=TARGETS, random_state=10_000)
    errors, covers = {}, {}
    fit_s, predict_s = {}, {}
    for name in ("MLPRegressor", SHIPPED, *objectives):
        errors[name], covers[name], fit_s[name], predict_s[name] = [], [], [], []
        for seed in range(1 if name == SHIPPED else seeds):
            start = time.process_time()
            if name == "MLPRegressor":
                network = MLPRegressor(
                    hidden_layer_sizes=(64, 64), early_stopping=True, random_state=seed
                )
                model = TransformedTargetRegressor(
                    make_pipeline(StandardScaler(), network), transformer=StandardScaler()
                ).fit(
                    *make_prosail(n_train, variables=variables, targets=TARGETS, random_state=seed)
                )
            elif name == SHIPPED:
                model = load_prosail_vae(targets=TARGETS)
            else:
                model = ProsailVAERegressor(
                    TARGETS, objective=name, n_simulations=n_train, random_state=seed
                ).fit(X)
            fit_s[name].append(time.process_time() - start)
            start = time.process_time()
            prediction = model.predict(X)
            predict_s[name].append(time.process_time() - start)
            errors[name].append(np.sqrt(np.mean((prediction - y) ** 2, axis=0)))
            if name != "MLPRegressor":
                low, high = model.predict_interval(X)
                covers[name].append(np.mean((y >= low) & (y <= high), axis=0))
    digits = {"Cw": 4, "Cm": 4, "CWC": 4, "CDMC": 4}
    rows = []
    for j, target in enumerate(TARGETS):
        cells = [fmt(np.array(e)[:, [j]], digits.get(target, 3))[0] for e in errors.values()]
        cells += [f"{100 * np.mean(np.array(c)[:, j]):.1f}" for c in covers.values() if c]
        rows.append([target, *cells])
    seconds = [fmt(np.array(values)[:, None], 1)[0] for values in fit_s.values()]
    blank = [""] * (len(seconds) - 1)
    rows.append(["fit CPU s", *seconds, *blank])
    rows.append(["predict CPU s", *[f"{np.mean(v):.2f}" for v in predict_s.values()], *blank])
    names = [label(name) if name in objectives else name for name in errors]
    covered = [name for name, key in zip(names, covers, strict=True) if covers[key]]
    columns = ["", *names, *(f"in 95 %, {name}" for name in covered)]
    title = (
        f"RMSE on {n_test} spectra simulated from {SIMULATED[variables]}, {n_train} to train, "
        f"{seeds} seeds"
    )
    report.add(f"simulated, {variables}", columns, rows, title)


def sensors(report):
    """Test all shipped weights on simulations of their sensor from the paper's priors."""
    targets = ["LAI", "CCC", "CWC", "fAPAR", "fCover"]
    rows = []
    for sensor, bands in SHIPPED_SENSORS:
        X, y = make_prosail(
            20_000, sensor=sensor, bands=bands, targets=targets, random_state=10_000
        )
        model = load_prosail_vae(sensor, bands, targets=targets)
        error = model.predict(X) - y
        low, high = model.predict_interval(X)
        inside = 100 * np.mean((y >= low) & (y <= high), axis=0)
        cells = [
            f"{rmse:.{digits}f}, {cover:.1f} %"
            for rmse, cover, digits in zip(
                np.sqrt(np.mean(error**2, axis=0)), inside, (2, 1, 4, 3, 3), strict=True
            )
        ]
        rows.append([sensor, " ".join(bands or ["all"]), *cells])
    title = "RMSE and share in 95 % intervals of the shipped weights"
    report.add("sensors", ["", "bands", *targets], rows, title)


def make_series(n, n_dates, seed):
    """Return packed series of canopies that grow and wither, 60 % of the dates cloudy, and LAI."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    days = np.sort(rng.uniform(0, 365, (n, n_dates)), axis=1)
    peak, middle = rng.uniform(1, 7, (n, 1)), rng.uniform(120, 240, (n, 1))
    width, least = rng.uniform(30, 70, (n, 1)), rng.uniform(0, 1, (n, 1))
    lai = least + peak * np.exp(-0.5 * ((days - middle) / width) ** 2)
    variables = sample_variables(n, max_soil=1.0, generator=generator)
    variables = variables[:, None].repeat(1, n_dates, 1)
    variables[..., [v.name for v in VARIABLES].index("LAI")] = torch.from_numpy(lai)
    angles = sample_geometry(n * n_dates, generator).reshape(n, n_dates, 3)
    bands = Prosail()(variables.float(), angles.float()).numpy()
    bands = bands + 0.01 * rng.random((n, n_dates, 1)) * rng.standard_normal(bands.shape)
    X = np.concatenate([days[..., None], bands, angles.numpy()], axis=-1)
    cloudy = rng.random((n, n_dates)) < 0.6
    cloudy[:, [0, -1]] = False
    X[cloudy, 1:] = np.nan
    return X, lai, cloudy


def series(report, seeds):
    """Compare dates by themselves, the gaps filled linearly, with the prior in time."""
    rows = []
    for scale in (None, *TIME_SCALES):
        scores = []
        for seed in range(seeds):
            X, lai, cloudy = make_series(500, 36, seed)
            model = load_prosail_vae(time_scale=scale)
            mean, (low, high) = model.predict(X), model.predict_interval(X)
            inside = (lai >= low) & (lai <= high)
            cover = [100 * inside[~cloudy].mean(), 100 * inside[cloudy].mean()]
            if scale is None:
                mean = np.stack(
                    [
                        np.interp(x[:, 0], x[~gone, 0], one[~gone])
                        for x, one, gone in zip(X, mean, cloudy, strict=True)
                    ]
                )
                cover[1] = np.nan
            error = (mean - lai) ** 2
            scores.append([np.sqrt(error[~cloudy].mean()), np.sqrt(error[cloudy].mean()), *cover])
        label = "dates alone, linear between" if scale is None else f"time_scale={scale:g}"
        rows.append([label, *fmt(scores)])
    columns = ["", "RMSE clear", "RMSE cloudy", "in 95 %, clear", "in 95 %, cloudy"]
    title = f"LAI of simulated series, 60 % cloudy, shipped weights, {seeds} seeds"
    report.add("series", columns, rows, title)


def speed(report):
    """Measure predictions per minute with one thread, in single precision."""
    X, _ = make_prosail(200_000, random_state=0)
    X = X.astype(np.float32)
    model = load_prosail_vae()
    rows = []
    for name, options in {"mean": {}, "mean and std": {"return_std": True}}.items():
        rates = []
        for _ in range(3):
            start = time.perf_counter()
            model.predict(X, **options)
            rates.append(60e-6 * len(X) / (time.perf_counter() - start))
        rows.append([name, *fmt(np.array(rates)[:, None], 1)])
    title = "Million spectra per minute, one thread, float32"
    report.add("speed", ["", "million per minute"], rows, title)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the field data")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--objectives", nargs="+", default=OBJECTIVES, choices=OBJECTIVES)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--quick", action="store_true", help="one seed, few simulations")
    add_results_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    report = Report(args)
    seeds = 1 if args.quick else args.seeds
    if "speed" in args.parts:
        speed(report)
    if "series" in args.parts:
        series(report, seeds)
    if "sensors" in args.parts:
        sensors(report)
    if "field" in args.parts and args.data:
        agreement(report, args.data)
        field(report, args.data, seeds, args.objectives)
    if "simulated" in args.parts:
        for variables in SIMULATED:
            n_train = 10_000 if args.quick else 100_000
            simulated(report, min(seeds, 3), n_train, 20_000, variables, args.objectives)


if __name__ == "__main__":
    main()

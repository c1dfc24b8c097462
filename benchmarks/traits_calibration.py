"""What a few field plots and the quality flags are worth, on LAI measured at three sites.

Plots are drawn at random from one site, and the shipped weights are calibrated with the spectrum
nearest to each; the rest of the site is the test, by the protocol of benchmarks/traits.py.
"""

import argparse
import copy
import os
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from report import Report, add_results_option
from scipy.stats import norm, spearmanr
from sklearn.model_selection import LeaveOneGroupOut
from traits import FILES, SITES, SPECTRA

from sklearn_sits import load_prosail_vae

N_PLOTS = [10, 20, 40]
SPECTRAL = ["band_out_of_domain", "spectrum_out_of_domain", "large_misfit", "offset_not_subtracted"]


class Site(NamedTuple):
    """Measurements of a site, with the spectra before and after each."""

    before: np.ndarray
    after: np.ndarray
    weight: np.ndarray
    lai: np.ndarray
    plot: np.ndarray

    def select(self, rows):
        return Site(*(values[rows] for values in self))

    @property
    def nearest(self):
        return np.where(self.weight[:, None] >= 0.5, self.before, self.after)

    def interpolate(self, function):
        """Apply a function to the spectra, and interpolate linearly to the day of the field."""
        return self.weight * function(self.before) + (1 - self.weight) * function(self.after)


def load_sites(folder):
    sites = {}
    for name in FILES:
        file = np.load(folder / f"s2_lai_field_{name}.npz", allow_pickle=False)
        before = np.hstack([file["refl_pre"], file["ang_pre"]]).astype(float)
        after = np.hstack([file["refl_post"], file["ang_post"]]).astype(float)
        gap_before = np.abs(file["field_day"] - file["day_pre"])
        gap_after = np.abs(file["day_post"] - file["field_day"])
        weight = gap_after / np.maximum(gap_before + gap_after, 1)
        site = Site(before, after, weight, file["lai"].astype(float), file["key"])
        for one in np.unique(file["site"]):
            sites[SITES[name, str(one)]] = site.select(file["site"] == one)
    return sites


def predict(model, site):
    mean = site.interpolate(model.predict)
    return mean, site.interpolate(lambda X: model.predict(X, return_std=True)[1])


def scores(mean, std, lai):
    """Return RMSE, bias and the share of 95 % intervals that hold the measurement."""
    error = mean - lai
    inside = np.abs(error) < norm.ppf(0.975) * std
    return np.array([np.sqrt(np.mean(error**2)), error.mean(), inside.mean()])


def few_plots(report, sites, repeats):
    rows = []
    for name, site in sites.items():
        model = load_prosail_vae()
        mean, std = predict(model, site)
        rows.append([name, "0", *(f"{v:.2f}" for v in scores(mean, std, site.lai)), "", ""])
        for n in N_PLOTS:
            rng, found, before = np.random.default_rng(0), [], []
            for _ in range(repeats):
                order = rng.permutation(len(site.lai))
                train, test = site.select(order[:n]), site.select(order[n:])
                calibrated = copy.deepcopy(model).calibrate(train.nearest, train.lai)
                found.append(scores(*predict(calibrated, test), test.lai))
                before.append(scores(mean[order[n:]], std[order[n:]], test.lai)[0])
            found = np.array(found)
            change = found[:, 0] - before
            cells = [f"{value:.2f}" for value in found.mean(0)]
            harm = f"{100 * np.mean(change > 0.02):.0f} %"
            rows.append([name, str(n), *cells, f"{change.mean():+.2f}", harm])
    columns = ["", "plots", "RMSE", "bias", "in 95 %", "change", "worse by over 0.02"]
    title = f"LAI after calibrate with plots of the site, means of {repeats} draws"
    report.add("plots", columns, rows, title)


def leave_one_plot_out(report, sites):
    rows = []
    for name, site in sites.items():
        mean, std = np.empty_like(site.lai), np.empty_like(site.lai)
        for train, test in LeaveOneGroupOut().split(site.nearest, site.lai, groups=site.plot):
            one = load_prosail_vae().calibrate(site.nearest[train], site.lai[train])
            mean[test], std[test] = predict(one, site.select(test))
        rows.append([name, len(site.lai), *(f"{v:.2f}" for v in scores(mean, std, site.lai))])
    title = "LAI after calibrate with all other plots of the site"
    report.add("all other plots", ["", "plots", "RMSE", "bias", "in 95 %"], rows, title)


def rank_errors(report, sites):
    """Add rank correlations of the absolute error, and errors with and without flags."""
    model, rows = load_prosail_vae(), []
    flagged = sum(model.quality_flags_[name] for name in SPECTRAL)
    domain = model._module.domain

    def misfit(X):
        return model._apply([X[:, :10], X[:, 10:]], lambda posterior, _: posterior.misfit)

    def rarity(X):
        return -domain.log_density(torch.from_numpy(X[:, :10])).numpy()

    for name, site in sites.items():
        mean, std = predict(model, site)
        error = np.abs(mean - site.lai)
        candidates = [std, site.interpolate(misfit), site.interpolate(rarity), mean]
        cells = [f"{spearmanr(one, error)[0]:+.2f}" for one in candidates]
        is_out = (model.quality(site.nearest) & flagged) != 0
        parts = [np.sqrt(np.mean(error[rows_] ** 2)) for rows_ in (is_out, ~is_out)]
        rows.append([name, *cells, f"{100 * is_out.mean():.0f} %", *(f"{v:.2f}" for v in parts)])
    title = "Rank correlation of |error| of LAI, and RMSE of flagged and other plots"
    columns = ["std", "misfit", "rarity", "LAI", "flagged", "RMSE flagged", "RMSE others"]
    report.add("ranks", ["", *columns], rows, title)


def flag_spectra(report, folder):
    """Add the shares of unlabelled spectra with each flag, and with those of SNAP."""
    model, rows = load_prosail_vae(), []
    for name in FILES:
        file = np.load(folder / f"s2_lai_field_{name}.npz", allow_pickle=False)
        X = np.hstack([file["spectra"], file["spectra_angles"]]).astype(float)
        flags = model.quality(X)
        snap = np.load(folder / f"spectra_peers_{name}.npz", allow_pickle=False)
        outside = snap["snap_lai_input_out_of_domain"] != 0
        ours = (flags & sum(model.quality_flags_[one] for one in SPECTRAL)) != 0
        cells = [np.mean((flags & bit) != 0) for bit in model.quality_flags_.values()]
        cells += [ours.mean(), outside.mean(), np.mean(ours == outside)]
        rows.append([SPECTRA[name], *(f"{100 * cell:.1f}" for cell in cells)])
    columns = [*model.quality_flags_, "any of the spectrum", "SNAP: input", "both agree"]
    report.add("flags", ["", *columns], rows, "Flags of unlabelled spectra of fields, %")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the field data")
    parser.add_argument("--repeats", type=int, default=50, help="draws of plots")
    add_results_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    report, sites = Report(args), load_sites(args.data)
    flag_spectra(report, args.data)
    rank_errors(report, sites)
    few_plots(report, sites, args.repeats)
    leave_one_plot_out(report, sites)


if __name__ == "__main__":
    main()

"""Tables and learning curves of the benchmark of few labels, from the rows of its fits."""

import csv

import numpy as np
from report import spread

# File of the data and file of the embeddings of Presto.
SETS = {
    "california-cloudy": ("s2_california_2021", "presto_s2_california_2021_cloudy"),
    "california-real": ("s2_california_2021", "presto_s2_california_2021"),
    "france": ("s1s2_france_2023", "presto_s1s2_france_2023"),
    "canada": ("s1s2_canada_2017", "presto_s1s2_canada_2017"),
}
COUNTS = ["5", "20", "50", "200", "all"]
KEY = ["set", "fold", "draw", "count", "system"]
SCORES = ["oa", "macro_f1", "log_loss", "ece", "cpu_s", "fit_s", "predict_s"]
FIELDS = [*KEY, "n_labels", *SCORES]
OURS = ["mtan-svgp", "mtan-mlp", "mtan-svgp-unlabelled", "mtan-mlp-unlabelled", "encoder-lr"]
WITH_ENCODER = OURS[2:]
AEON = ["quant", "minirocket"]
PRESTO = ["presto-lr", "presto-rf"]
LINEAR = ["lin-rf", "lin-extratrees", "lin-svc", "lin-lr", "lin-hgb"]
SYSTEMS = [*LINEAR, *PRESTO, *AEON, "ltae", "tempcnn", *OURS]
# Variants of other systems that cost much time: they run if named, and with --full.
EXTRA = ["lin-extratrees", "lin-hgb", "presto-rf"]
TITLES = {
    "lin-rf": "lin-RF",
    "lin-extratrees": "lin-ExtraTrees",
    "lin-svc": "lin-SVC",
    "lin-lr": "lin-LR",
    "lin-hgb": "lin-HGB",
    "presto-lr": "Presto, LR",
    "presto-rf": "Presto, RF",
    "quant": "lin-QUANT",
    "minirocket": "lin-MiniRocket",
    "ltae": "L-TAE",
    "tempcnn": "TempCNN",
    "mtan-svgp": "mTAN-SVGP",
    "mtan-mlp": "mTAN-MLP",
    "mtan-svgp-unlabelled": "mTAN-SVGP with encoder",
    "mtan-mlp-unlabelled": "mTAN-MLP with encoder",
    "encoder-lr": "MTANEncoder, LR",
}
ENCODER = "encoder"  # rows of its fits: no labels, no scores


def read_rows(path):
    """Return the rows of the file, numbers as numbers."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row |= {name: float(row[name]) for name in SCORES if row[name]}
    return rows


class Results:
    """Scores of the fits of the file, by set, count and system."""

    def __init__(self, rows):
        self.rows = {tuple(r[n] for n in KEY): r for r in rows if r["system"] != ENCODER}
        self.encoders = [r for r in rows if r["system"] == ENCODER]
        self.sets = [name for name in SETS if any(key[0] == name for key in self.rows)]

    def counts(self, name):
        """Return the counts of a set, in order."""
        return [c for c in COUNTS if any(key[0] == name and key[3] == c for key in self.rows)]

    def systems(self, name, count):
        """Return the systems that ran on a set with that count, in order."""
        return [s for s in SYSTEMS if self.runs(name, count, s)]

    def runs(self, name, count, *systems):
        """Return the (fold, draw) that all the systems have, in order."""
        found = [
            {key[1:3] for key in self.rows if (key[0], *key[3:]) == (name, count, system)}
            for system in systems
        ]
        return sorted(set.intersection(*found))

    def get(self, name, count, system, score, runs=None):
        """Return one score of each run."""
        runs = self.runs(name, count, system) if runs is None else runs
        return np.array([self.rows[name, *run, count, system][score] for run in runs])

    def describe(self, name, count, system):
        """Format OA, log-loss and calibration error, with the number of runs if they are fewer."""
        runs = self.runs(name, count, system)
        if not runs:
            return ""
        oa, loss, ece = (self.get(name, count, system, s) for s in ("oa", "log_loss", "ece"))
        cell = f"{spread(oa, 1)}, {loss.mean():.3f}, {ece.mean():.2f}"
        return cell if len(runs) >= self.n_runs(name) else f"{cell} ({len(runs)})"

    def n_runs(self, name):
        """Return the largest number of runs of a system on a set."""
        return max(len(self.runs(name, c, s)) for c in self.counts(name) for s in SYSTEMS)

    def compare(self, name, count, system, other):
        """Format the paired difference of OA and ratio of log-loss."""
        runs = self.runs(name, count, system, other)
        if not runs or system == other:
            return ""
        oa, loss = (
            [self.get(name, count, one, score, runs) for one in (system, other)]
            for score in ("oa", "log_loss")
        )
        return f"{np.mean(oa[0] - oa[1]):+.1f} ± {np.std(oa[0] - oa[1]):.1f}, " + (
            f"{np.mean(loss[0] / loss[1]):.2f}"
        )

    def best(self, name, count, systems):
        """Return the system of the highest mean OA."""
        systems = [s for s in systems if self.runs(name, count, s)]
        return max(systems, key=lambda s: self.get(name, count, s, "oa").mean(), default=None)


def report_tables(results, report):
    """Add the tables of each set, of the times of the encoder, and of a summary."""
    for name in results.sets:
        counts = results.counts(name)
        systems = [s for s in SYSTEMS if any(results.runs(name, c, s) for c in counts)]
        columns = ["system", *(f"{c} labels" for c in counts)]

        def fill(describe, systems=systems, counts=counts):
            return [[TITLES[s], *(describe(c, s) for c in counts)] for s in systems]

        report.add(
            name,
            columns,
            fill(lambda count, system, name=name: results.describe(name, count, system)),
            f"{name}, labels per class: OA %, log-loss, ECE",
        )
        paired = [s for s in systems if s != "lin-rf"]
        report.add(
            f"{name}, paired",
            columns,
            fill(lambda c, s, name=name: results.compare(name, c, s, "lin-rf"), paired),
            f"{name}: OA in points more than lin-RF, ratio of the log-losses, paired",
        )
        report.add(
            f"{name}, other scores",
            columns,
            fill(lambda count, system, name=name: describe_others(results, name, count, system)),
            f"{name}: macro-F1 %, CPU s of the fit",
        )
    report_rivals(results, report)
    if results.encoders:
        names = [name for name in results.sets if any(r["set"] == name for r in results.encoders)]
        times = [[r["cpu_s"] for r in results.encoders if r["set"] == name] for name in names]
        rows = [[n, spread(t, 1), len(t)] for n, t in zip(names, times, strict=True)]
        report.add("encoder", ["set", "fit CPU s", "fits"], rows, "Fits of the encoder")
    report_summary(results, report)


def describe_others(results, name, count, system):
    """Format macro-F1 and the time of a fit."""
    if not results.runs(name, count, system):
        return ""
    f1, cpu = (results.get(name, count, system, s) for s in ("macro_f1", "cpu_s"))
    return f"{spread(f1, 1)}, {cpu.mean():.1f}"


def report_rivals(results, report):
    """Add how the Gaussian process with the encoder compares to other systems."""
    ours = "mtan-svgp-unlabelled"
    rows = []
    for name in results.sets:
        for count in results.counts(name):
            if results.runs(name, count, ours):
                best = results.best(name, count, ["quant", "ltae"])
                others = ["lin-rf", best, "presto-lr", "mtan-mlp-unlabelled", "mtan-svgp"]
                cells = [o and results.compare(name, count, ours, o) or "" for o in others]
                rows.append([name, count, TITLES.get(best, ""), *cells])
    columns = ["set", "labels", "better of QUANT and L-TAE", "to lin-RF", "to that one"]
    columns += ["to Presto", "to mTAN-MLP with encoder", "to mTAN-SVGP"]
    if rows:
        title = f"{TITLES[ours]}: OA in points more, ratio of the log-losses, paired"
        report.add("rivals", columns, rows, title)


def report_summary(results, report):
    """Add the few rows that tell which classifier to take."""
    name, systems = "california-cloudy", ["lin-rf", "mtan-svgp", "mtan-svgp-unlabelled"]
    rows = [
        [count, *(describe_briefly(results, name, count, system) for system in systems)]
        for count in COUNTS
        if results.runs(name, count, *systems)
    ]
    if rows:
        report.add("summary", ["labels per class", *(TITLES[s] for s in systems)], rows)


def describe_briefly(results, name, count, system):
    """Format OA and log-loss."""
    oa, loss = (results.get(name, count, system, s).mean() for s in ("oa", "log_loss"))
    return f"{oa:.1f} %, {loss:.3f}"


FIGURE = {
    "lin-rf": ("0.45", "Random forest"),
    "quant": ("tab:green", "QUANT"),
    "ltae": ("tab:purple", "L-TAE"),
    "presto-lr": ("tab:blue", "Presto, logistic regression"),
    "mtan-svgp": ("tab:orange", "mTAN-SVGP"),
    "mtan-svgp-unlabelled": ("tab:red", "mTAN-SVGP, unlabelled series"),
}


def draw_figure(results, path):
    """Draw the curves of accuracy and log-loss against the number of labels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.3 * len(results.sets), 6), layout="constrained")
    axes = figure.subplots(2, len(results.sets), sharex="col", squeeze=False)
    for column, name in zip(axes.T, results.sets, strict=True):
        column[0].set_title(name)
        counts = results.counts(name)
        last = 3 * max((int(c) for c in counts if c != "all"), default=1)
        at = {c: last if c == "all" else int(c) for c in counts}
        for ax, score in zip(column, ("oa", "log_loss"), strict=True):
            for system, (color, label) in FIGURE.items():
                has = [c for c in counts if results.runs(name, c, system)]
                means = [results.get(name, c, system, score).mean() for c in has]
                style = {"lw": 2.5, "zorder": 3} if system in OURS else {"lw": 1.3}
                if has:
                    x = [at[c] for c in has]
                    ax.plot(x, means, marker="o", ms=4, color=color, label=label, **style)
            ax.set_xscale("log")
            ax.set_xticks(list(at.values()), counts)
            ax.minorticks_off()
            ax.grid(alpha=0.3)
        column[1].set_xlabel("labels per class")
    axes[0, 0].set_ylabel("overall accuracy, %")
    axes[1, 0].set_ylabel("log loss")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    options = {"ncols": max(1, len(results.sets)), "frameon": False}
    figure.legend(handles, labels, loc="outside lower center", **options)
    figure.savefig(path, dpi=150)
    print(f"\nFigure written to {path}")

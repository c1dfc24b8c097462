"""Tables and learning curves of the benchmark of few labels, from the rows of its fits."""

import csv
import itertools

import numpy as np
from report import print_table, spread

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

    def compare(self, name, count, system, other):
        """Format the paired differences of OA and ratios of log-loss."""
        runs = self.runs(name, count, system, other)
        if not runs or system == other:
            return ["-", "-"]
        oa, loss = (
            [self.get(name, count, one, score, runs) for one in (system, other)]
            for score in ("oa", "log_loss")
        )
        return [spread(oa[0] - oa[1], 1), spread(loss[0] / loss[1], 2)]

    def best(self, name, count, systems):
        """Return the system of the highest mean OA."""
        systems = [s for s in systems if self.runs(name, count, s)]
        return max(systems, key=lambda s: self.get(name, count, s, "oa").mean(), default=None)


def report(results):
    """Print the tables."""
    columns = ["oa", "macro_f1", "log_loss", "ece", "cpu_s"]
    titles = ["system", "OA %", "macro-F1 %", "log loss", "ECE", "fit CPU s", "runs"]
    for name, count in itertools.chain(
        *([(n, c) for c in results.counts(n)] for n in results.sets)
    ):
        print(
            f"\n## {name}, {count} labels a class\n"
            if count != "all"
            else f"\n## {name}, all labels\n"
        )
        table = []
        for system in results.systems(name, count):
            scores = (results.get(name, count, system, column) for column in columns)
            cells = [spread(s, d) for s, d in zip(scores, [1, 1, 3, 3, 1], strict=True)]
            table.append([system, *cells, len(results.runs(name, count, system))])
        print_table(titles, table)
    print("\n## Compared to lin-rf, paired: OA in points, log loss as a ratio\n")
    print_table(
        ["set", "labels", "system", "OA", "log loss"],
        [
            [name, count, system, *results.compare(name, count, system, "lin-rf")]
            for name in results.sets
            for count in results.counts(name)
            for system in results.systems(name, count)
            if system != "lin-rf"
        ],
    )
    report_rivals(results)
    if results.encoders:
        print("\n## Fits of the encoder, without labels\n")
        names = sorted({row["set"] for row in results.encoders})
        times = [[r["cpu_s"] for r in results.encoders if r["set"] == name] for name in names]
        rows = [[n, spread(t, 1), len(t)] for n, t in zip(names, times, strict=True)]
        print_table(["set", "fit CPU s", "fits"], rows)


def report_rivals(results):
    """Print how our systems compare to the better of QUANT and L-TAE, and to Presto."""
    table = []
    for name in results.sets:
        for count in results.counts(name):
            best = results.best(name, count, ["quant", "ltae"])
            for system in results.systems(name, count):
                if system in OURS:
                    row = [name, count, system, best or "-"]
                    for other in (best, "presto-lr"):
                        row += results.compare(name, count, system, other)
                    table.append(row)
    if table:
        print("\n## Compared to the better of quant and ltae, and to presto-lr, paired\n")
        header = ["set", "labels", "system", "better", "OA", "log loss"]
        print_table([*header, "OA to presto-lr", "log loss to presto-lr"], table)


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

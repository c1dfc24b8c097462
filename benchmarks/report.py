"""Tables of the benchmarks: printed, and kept in JSON files with the conditions of their run.

`benchmarks/tables.py` puts them into the documentation.
"""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PACKAGES = ["numpy", "scipy", "scikit-learn", "torch", "gpytorch", "dask", "xarray", "zarr"]


def add_results_option(parser):
    """Let the user of a script choose the file of its tables."""
    name = f"{Path(sys.argv[0]).stem}.json"
    text = f"file of the tables, by default benchmarks/results/{name}, and none with --quick"
    parser.add_argument("--results", type=Path, help=text)


class Report:
    """The tables of one run of a script, with its parsed arguments.

    Tables are written one by one, so that an interrupted run leaves those that it has made, and a
    run of a part of the tables leaves the others.
    """

    def __init__(self, args):
        self.path = args.results
        if self.path is None and not getattr(args, "quick", False):
            self.path = RESULTS / f"{Path(sys.argv[0]).stem}.json"
        self.run = describe_run()

    def add(self, name, columns, rows, title=""):
        """Print a table and keep it under its name; cells are texts, the first names the row."""
        rows = [[str(cell) for cell in row] for row in rows]
        print(f"\n## {title or name}\n")
        print_table(columns, rows)
        if self.path:
            tables = read_tables(self.path)
            tables[name] = {"columns": columns, "rows": rows, "run": self.run}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(format_tables(tables), encoding="utf-8")


def read_tables(path):
    """Return the tables of a file, none if there is no file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def format_tables(tables):
    """Return JSON with a line for each row, so that a changed figure is easy to see."""

    def dump(value):
        return json.dumps(value, ensure_ascii=False)

    parts = []
    for name, table in tables.items():
        rows = ",\n  ".join(map(dump, table["rows"]))
        columns, run = dump(table["columns"]), dump(table["run"])
        content = f'"columns": {columns},\n "rows": [\n  {rows}\n ],\n "run": {run}'
        parts.append(f"{dump(name)}: {{\n {content}\n}}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def describe_run():
    """Return the command, the commit, the versions and the machine."""
    return {
        "command": describe_command(sys.argv),
        "date": date.today().isoformat(),
        "commit": find_commit(),
        "cpu": find_cpu(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in PACKAGES if is_installed(name)},
    }


def describe_command(argv):
    """Return the command line, with FOLDER and FILE for places on this machine."""
    words = ["python", f"benchmarks/{Path(argv[0]).name}"]
    places = {"--data": "FOLDER", "--output": "FILE", "--figure": "FILE", "--results": "FILE"}
    for before, word in zip(argv, argv[1:], strict=False):
        words.append(places.get(before, word))
    return " ".join(words)


def find_commit():
    """Return the commit of the checkout, marked if the code has changed since; None without git."""
    root = HERE.parent
    try:
        commit = _ask_git(root, "rev-parse", "--short=12", "HEAD")
        changed = _ask_git(
            root, "status", "--porcelain", "sklearn_sits", *root.glob("benchmarks/*.py")
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}, changed" if changed else commit


def _ask_git(root, *words):
    command = ["git", "-C", str(root), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def find_cpu():
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def is_installed(name):
    """Tell whether a distribution is installed."""
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def print_table(header, rows):
    """Print a Markdown table."""
    print(format_table(header, rows))


def format_table(header, rows):
    """Return a Markdown table whose columns are aligned."""
    table = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    table.insert(1, ["-" * width for width in widths])
    lines = []
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def spread(values, digits):
    """Format mean ± standard deviation, the mean alone if there is one value."""
    mean = f"{np.mean(values):.{digits}f}"
    return mean if np.size(values) == 1 else f"{mean} ± {np.std(values):.{digits}f}"


def round_score(value):
    """Return a number with six digits, and anything else as it is, for a file of scores."""
    return f"{value:.6g}" if isinstance(value, float) else value

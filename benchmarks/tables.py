"""Put the figures of the files in benchmarks/results into the pages of the documentation.

A page names a table or a cell between two HTML comments, and this script writes it there:

    <!--=areas/coverage-->              a table
    <!--=areas/coverage|sample;area-->  some of its columns
    <!--=areas/coverage/random over the whole map/area-->95.0<!--/-->  a cell, by row and column

A row is named by its first cell, or by its first cells with semicolons between them.
A block ends with <!--/-->. <!--=conditions--> is the table of how all files came about.
"""

import argparse
import re
from pathlib import Path

from report import RESULTS, read_tables

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PLACE = re.compile(r"<!--=(?P<source>[^>]+)-->(?P<content>.*?)<!--/-->", re.DOTALL)


def render(text, folder=RESULTS):
    """Return a page with the figures of the files."""
    return PLACE.sub(lambda place: _fill(place["source"], folder), text)


def _fill(source, folder):
    if source == "conditions":
        content = f"\n\n{describe_conditions(folder)}\n\n"
    else:
        address, _, columns = source.partition("|")
        file, name, *cell = address.split("/", 3)
        table = find_table(folder, file, name)
        if cell:
            content = find_cell(table, *cell)
        else:
            content = f"\n\n{select_columns(table, columns)}\n\n"
    return f"<!--={source}-->{content}<!--/-->"


def find_table(folder, file, name):
    """Return a table of a file."""
    tables = read_tables(folder / f"{file}.json")
    if name not in tables:
        raise LookupError(f"{file}.json has no table {name!r}, but {list(tables)}.")
    return tables[name]


def find_cell(table, row, column):
    """Return the cell of the row with that name, in that column."""
    start = row.split(";")
    rows = [cells for cells in table["rows"] if cells[: len(start)] == start]
    if len(rows) != 1 or column not in table["columns"]:
        names = [cells[0] for cells in table["rows"]]
        raise LookupError(f"No single cell {row!r}, {column!r} among {names}, {table['columns']}.")
    return rows[0][table["columns"].index(column)]


def select_columns(table, names=""):
    """Return the table in Markdown, or those of its columns that are named."""
    names = names.split(";") if names else table["columns"]
    index = [table["columns"].index(name) for name in names]
    lines = [names, ["---"] * len(names), *([row[i] for i in index] for row in table["rows"])]
    text = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    # A mean and its deviation stay on one line.
    return text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def describe_conditions(folder):
    """Return a table with a row for each run that left tables."""
    runs = {}
    for path in sorted(folder.glob("*.json")):
        for table in read_tables(path).values():
            run = table["run"]
            runs[run["command"], run["commit"], run["date"]] = run
    rows = [
        [f"`{run['command']}`", run["date"], run["commit"], *_describe_machine(run)]
        for run in runs.values()
    ]
    columns = ["command", "date", "commit", "machine", "Python", "PyTorch", "scikit-learn", "NumPy"]
    return select_columns({"columns": columns, "rows": rows})


def _describe_machine(run):
    machine = f"{run['cores']} cores, {run['cpu']}"
    versions = [
        run["versions"].get(name, "") for name in ("python", "torch", "scikit-learn", "numpy")
    ]
    return [f"{machine}, {run['gpu']}" if run["gpu"] else machine, *versions]


def main():
    """Write the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        filled = render(text)
        if filled != text:
            page.write_text(filled, encoding="utf-8")
            print(f"{page.relative_to(ROOT)} has new figures")


if __name__ == "__main__":
    main()

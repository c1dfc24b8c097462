"""The figures of README and docs are those of the files that the benchmarks have written."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
FILES = sorted((BENCHMARKS / "results").glob("*.json"))
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
ELSEWHERE = re.compile(r"<!--.*?-->|\]\([^)]*\)|https?://\S+", re.DOTALL)
# What only a measurement gives: a spread, a unit of time or memory, or a decimal point.
FIGURE = re.compile(
    r"[\d.,]+ ± [\d.,]+|(?<![\w.])\d[\d,]*\.\d+(?:e-?\d+)?(?![\w.]*\.)|"
    r"\d[\d,.]* ?(?:ms|µs|s|seconds|minutes|MiB|GiB|points)\b"
)
# Settings and constants, which are no measurements. The canopy model has too many of them.
SETTINGS = {
    "README.md": ["3.11"],
    "benchmarks.md": ["3,390 points", "0.02"],
    "extending.md": ["11.6"],
    "few_labels.md": ["0.03", "0.05", "0.1", "0.3", "0.3", "0.6"],
    "maps.md": ["04.00", "0.05", "1.5", "1 GiB", "32 MiB"],
    "model.md": ["0.6"],
    "phenology.md": ["0.1", "0.1"],
    "stac.md": ["04.00", "0.1", "0.1", "0.02", "0.12"],
    "tables.md": ["0.6", "0.1"],
    "traits.md": ["0.2", "0.1", "0.05", "1.5", "0.1", "0.01", "0.1"],
}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture(scope="module")
def tables(scripts):
    import tables

    return tables


def test_pages_show_the_results(tables):
    """`python benchmarks/tables.py` writes them anew."""
    places = 0
    for page in tables.PAGES:
        text = page.read_text(encoding="utf-8")
        assert tables.render(text) == text, page.name
        places += len(tables.PLACE.findall(text))
    assert places > 30


def test_unknown_figures_are_errors(tables):
    with pytest.raises(LookupError, match="has no table 'nothing', but"):
        tables.render("<!--=areas/nothing--><!--/-->")
    with pytest.raises(LookupError, match="No single cell 'nothing', 'area' among"):
        tables.render("<!--=areas/coverage/nothing/area--><!--/-->")


def test_a_changed_figure_is_found(tables, tmp_path):
    run = json.loads(FILES[0].read_text(encoding="utf-8")).popitem()[1]["run"]
    table = {"columns": ["system", "OA"], "rows": [["lin-RF", "71.2"]], "run": run}
    (tmp_path / "file.json").write_text(json.dumps({"table": table}), encoding="utf-8")
    page = "A forest has <!--=file/table/lin-RF/OA-->70.0<!--/--> %.\n<!--=file/table--><!--/-->"
    assert tables.render(page, tmp_path) == (
        "A forest has <!--=file/table/lin-RF/OA-->71.2<!--/--> %.\n"
        "<!--=file/table-->\n\n| system | OA |\n| --- | --- |\n| lin-RF | 71.2 |\n\n<!--/-->"
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_results_say_how_they_came_about(path):
    for table in json.loads(path.read_text(encoding="utf-8")).values():
        run = table["run"]
        assert re.fullmatch(r"[0-9a-f]{12}", run["commit"])
        assert (ROOT / run["command"].split()[1]).is_file()
        assert {"python", "numpy", "scikit-learn", "torch"} <= set(run["versions"])
        assert run["cpu"]
        assert table["rows"]
        assert all(len(row) == len(table["columns"]) for row in table["rows"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_figure_is_typed_by_hand(page, tables):
    if page.stem == "canopy":
        pytest.skip("its priors and formulas are figures")
    text = tables.PLACE.sub("", page.read_text(encoding="utf-8"))
    text = ELSEWHERE.sub("", CODE.sub("", text))
    assert FIGURE.findall(text) == SETTINGS.get(page.name, [])


def test_make_runs_the_commands_of_the_page():
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    shown = {words for block in blocks for words in map(_split, block.splitlines())}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.replace("$(FOLDER)", "--data FOLDER") for line in makefile.splitlines()]
    run = {_split(line) for line in lines}
    assert shown - run == {_split("make bench-gpu")}


def _split(line):
    """Return the script and its options in some order; without a script, the words."""
    start = max(0, line.find("benchmarks/"))
    return tuple(sorted(line[start:].strip(" )").split()))

"""The documentation as `make docs` builds it: its links, search, gallery, notebooks and reference.

`make docs` runs these tests after the build, and `make notebooks` runs all notebooks.
"""

import ast
import json
import os
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from docstrings import public_objects

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "docs" / "_build" / "html"
EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))
# Their notebooks take a second or two. The build has run the same code of all others.
QUICK = {"plot_area_estimates", "plot_canopy", "plot_trait_series"}
# Runs the code cells as a kernel does: one after the other, in one namespace without a file, and
# with an argument that is not the user's.
KERNEL = """
import json, sys
path = sys.argv.pop()
sys.argv.append("--f=kernel.json")
for number, cell in enumerate(json.load(open(path, encoding="utf-8"))["cells"]):
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"))
"""
# Of searchtools.js.
SCORES = {"title": (15, 7), "text": (5, 2), "object": (11, 6), "priority": (15, 5, -5)}

pytestmark = pytest.mark.skipif(
    not (SITE / "searchindex.js").exists(), reason="make docs has not built the site"
)


class Page(HTMLParser):
    """Anchors, references and images of a page."""

    def __init__(self, path):
        super().__init__()
        self.path, self.anchors, self.references, self.images = path, set(), [], []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        self.references += [values[key] for key in ("href", "src") if values.get(key)]
        for source in (values.get("srcset") or "").split(","):
            self.references += source.split()[:1]
        if tag == "img":
            self.images.append(values["src"])

    def targets(self):
        """Return the files and anchors of this site to which the page refers."""
        for reference in self.references:
            parts = urlsplit(reference)
            if not parts.scheme and not parts.netloc:
                path = self.path.parent / unquote(parts.path) if parts.path else self.path
                yield path.resolve(), unquote(parts.fragment)


@cache
def _index():
    text = (SITE / "searchindex.js").read_text("utf-8")
    return json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))


@cache
def _page(name):
    return Page(SITE / f"{name}.html")


def _pages():
    """Return the pages of the last build: those of earlier ones may still lie beside them."""
    return [_page(name) for name in [*_index()["docnames"], "genindex", "search"]]


def _search(word):
    """Return the pages that the search of the site finds for a word, the best first."""
    from sphinx.search.en import SearchEnglish

    index, word, scores = _index(), word.lower(), {}
    stem = SearchEnglish({}).stem(word)

    def add(pages, score):
        for page in [pages] if isinstance(pages, int) else pages:
            scores[page] = max(score, scores.get(page, score))

    for title, places in index["alltitles"].items():
        if word in title.lower() and 2 * len(word) >= len(title):
            for page, _ in places:
                score = round(SCORES["title"][0] * len(word) / len(title))
                add(page, score + (index["titles"][page] == title))
    for entries in index["objects"].values():
        for page, _, priority, _, name in entries:
            if word in name.lower():
                is_partial = word != name.lower().split(".")[-1]
                add(page, SCORES["object"][is_partial] + SCORES["priority"][priority])
    for terms, key in ((index["terms"], "text"), (index["titleterms"], "title")):
        is_partial = stem not in terms
        for term in [term for term in terms if stem in term] if is_partial else [stem]:
            add(terms[term], SCORES[key][is_partial])
    return [index["docnames"][page] for page in sorted(scores, key=scores.get, reverse=True)]


def test_links_and_images_lead_somewhere():
    pages = {page.path: page for page in _pages()}
    broken = []
    for page in pages.values():
        for path, anchor in page.targets():
            target = pages.get(path)
            if not path.is_file() or (target and anchor and anchor not in target.anchors):
                broken.append(f"{page.path.relative_to(SITE)}: {os.path.relpath(path)}#{anchor}")
    assert sum(len(page.references) for page in pages.values()) > 1000
    assert broken == []


@pytest.mark.parametrize(
    ("word", "best", "others"),
    [
        ("MTANSVGPClassifier", "api/generated/sklearn_sits.MTANSVGPClassifier", ["model"]),
        ("LAI", None, ["traits", "canopy", "gallery/plot_trait_maps"]),
        ("cloud", None, ["array", "maps", "gallery/plot_trait_maps"]),
    ],
)
def test_search(word, best, others):
    found = _search(word)
    assert best in (None, found[0])
    assert set(others) <= set(found)


def test_search_finds_no_word_that_is_nowhere():
    assert _search("xyzzy") == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_have_a_figure(example):
    images = [Path(source) for source in _page(f"gallery/{example.stem}").images]
    assert [image for image in images if image.name.startswith(f"sphx_glr_{example.stem}_0")]


@pytest.mark.parametrize("name", public_objects())
def test_public_objects_have_a_page(name):
    assert name in _page(f"api/generated/{name}").anchors
    assert f"generated/{name}.html#{name}" in _page("api/index").references


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_pages_of_used_objects_show_the_example(example):
    imports = [
        node
        for node in ast.walk(ast.parse(example.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
    ]
    names = {f"{node.module}.{alias.name}" for node in imports for alias in node.names}
    link = f"../../gallery/{example.stem}.html"
    missing = [
        name
        for name in names & public_objects().keys()
        if link not in _page(f"api/generated/{name}").references
    ]
    assert missing == []


def _notebook(example):
    """Return the path of the notebook that the page of an example offers."""
    (path,) = {
        path
        for path, _ in _page(f"gallery/{example.stem}").targets()
        if path.name == f"{example.stem}.ipynb"
    }
    return path


def _source(cell):
    return "".join(cell["source"])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_notebooks_have_the_code_of_the_examples(example):
    notebook = json.loads(_notebook(example).read_text("utf-8"))
    assert notebook["nbformat"] == 4
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    cells = notebook["cells"]
    assert {cell["cell_type"] for cell in cells} == {"code", "markdown"}
    assert all(isinstance(cell["metadata"], dict) for cell in cells)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all({"execution_count", "outputs"} <= cell.keys() for cell in code)
    # Each cell is complete, and all of them are the example but for its docstring.
    statements = [node for cell in code for node in ast.parse(_source(cell)).body]
    expected = ast.parse(example.read_text("utf-8")).body[1:]
    assert list(map(ast.unparse, statements)) == list(map(ast.unparse, expected))
    assert _source(cells[0]).strip().startswith("# ")


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(path, id=path.stem, marks=() if path.stem in QUICK else pytest.mark.slow)
        for path in EXAMPLES
    ],
)
def test_notebooks_run(example, tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", KERNEL, _notebook(example)],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr

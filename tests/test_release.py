"""What a release promises: its versions, its lowest requirements, its citation and its guides."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import sklearn_sits

ROOT = Path(__file__).resolve().parents[1]
with open(ROOT / "pyproject.toml", "rb") as file:
    PYPROJECT = tomllib.load(file)
PROJECT = PYPROJECT["project"]
FORMS = ["bug_report.yml", "feature_request.yml"]


def read(name):
    return (ROOT / name).read_text("utf-8")


def constraints(name):
    """Return the versions that a constraints file sets, by canonical name."""
    lines = [line for line in read(name).splitlines() if line and not line.startswith("#")]
    pairs = [line.split("==") for line in lines]
    names = [canonicalize_name(name) for name, _ in pairs]
    assert len(names) == len(set(names))
    return {name: Version(version) for name, (_, version) in zip(names, pairs, strict=True)}


def lower_bounds(*extras):
    """Return the lowest versions of the requirements of the package and of some extras."""
    optional = PROJECT["optional-dependencies"]
    requirements = map(Requirement, sum((optional[one] for one in extras), PROJECT["dependencies"]))
    return {
        canonicalize_name(one.name): Version(spec.version)
        for one in requirements
        for spec in one.specifier
        if spec.operator == ">="
    }


def test_minima_are_those_that_the_package_promises():
    minima = constraints("constraints-min.txt")
    promised = lower_bounds("plot", "raster")
    assert {name: minima[name] for name in promised} == promised


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_minima_of_tables(name):
    assert constraints("constraints-min.txt")[name] == lower_bounds("test")[name]


def test_constraints_keep_the_promises():
    """Also where two extras promise different versions of a package."""
    pinned = constraints("constraints.txt")
    for extra in ["plot", "raster", "test", "docs", "examples"]:
        too_old = {
            name: version
            for name, version in lower_bounds(extra).items()
            if name in pinned and pinned[name] < version
        }
        assert too_old == {}


def test_versions_agree():
    version = Version(sklearn_sits.__version__)
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["version"] == sklearn_sits.__version__
    newest = re.search(r"^## \[(?P<version>[^\]]+)\] - (?P<date>.+)$", read("CHANGELOG.md"), re.M)
    assert newest["version"] == version.base_version
    is_released = re.fullmatch(r"\d{4}-\d{2}-\d{2}", newest["date"]) is not None
    assert is_released is not version.is_prerelease
    assert is_released or newest["date"] == "unreleased"
    assert ("date-released" in citation) is is_released


def test_changes_are_grouped():
    """Added, Changed and Fixed, in this order; each entry belongs to a subject or to Fixed."""
    text = read("CHANGELOG.md")
    assert re.findall(r"^### (.+)$", text, re.M) == ["Added", "Changed", "Fixed"]
    for part in re.split(r"^### ", text, flags=re.M)[1:3]:
        assert "\n- " not in part.split("\n#### ")[0]
    subjects = [re.findall(r"^#### (.+)$", part, re.M) for part in text.split("\n### ")]
    assert all(len(one) == len(set(one)) for one in subjects)


def test_citation_has_the_required_fields():
    """Those of the Citation File Format 1.2.0, and of the references that we list."""
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["license"] == PROJECT["license"]
    assert {"message", "title"} <= citation.keys()
    assert [one["name"] for one in citation["authors"]] == [
        one["name"] for one in PROJECT["authors"]
    ]
    for reference in citation["references"]:
        assert {"type", "title", "authors", "year"} <= reference.keys()
        assert all({"family-names", "given-names"} <= one.keys() for one in reference["authors"])
        if reference["type"] == "article":
            assert re.fullmatch(r"10\.\d{4,9}/\S+", reference["doi"])
            assert "journal" in reference


def test_picture_of_the_house_is_the_import_contract():
    contract = next(
        one for one in PYPROJECT["tool"]["importlinter"]["contracts"] if one["type"] == "layers"
    )
    (picture,) = re.findall(r"^```mermaid\n(.*?)^```$", read("CONTRIBUTING.md"), re.M | re.S)
    assert re.findall(r'^ +L\d+\["(.+)"\]$', picture, re.M) == contract["layers"]
    chains = [re.findall(r"L(\d+)", line) for line in picture.splitlines() if "-->" in line]
    arrows = {(int(a), int(b)) for chain in chains for a, b in zip(chain, chain[1:], strict=False)}
    assert arrows == {(i, i + 1) for i in range(1, len(contract["layers"]))}


def test_guide_names_every_package_and_target():
    guide = read("CONTRIBUTING.md")
    packages = {path.parent.name for path in (ROOT / "sklearn_sits").glob("*/__init__.py")}
    rows = " ".join(re.findall(r"^\| (`.+?`) \|", guide, re.M))
    assert set(re.findall(r"`(\w+)`", rows)) == packages
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.M))
    assert set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)", guide)) <= targets


def test_workflow_tests_the_promised_versions():
    workflow = yaml.safe_load(read(".github/workflows/tests.yml"))
    runs = workflow["jobs"]["make"]["strategy"]["matrix"]["include"]
    pythons = {run["python"] for run in runs if run["target"] == "test-wheel"}
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert set(promised) <= pythons
    assert PROJECT["requires-python"] == f">={min(pythons)}"
    makefile = read("Makefile")
    assert all(f"\n{run['target']}:" in makefile for run in runs)
    assert {"test", "test-minima", "test-newest"} <= {run["target"] for run in runs}


@pytest.mark.parametrize(
    "page", ["CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "SECURITY.md", "CHANGELOG.md"]
)
def test_links_and_files_exist(page):
    text = read(page)
    links = re.findall(r"\]\((?!https?://)([^)#\s]+)", text)
    files = re.findall(r"`((?:tests|docs|benchmarks)/[\w./]+\w\.\w+)`", text)
    files += [f"sklearn_sits/{one}" for one in re.findall(r"`(classifiers/\w+\.py)`", text)]
    assert [one for one in links + files if not (ROOT / one).exists()] == []


@pytest.mark.parametrize("name", FORMS)
def test_forms_have_what_github_asks_for(name):
    form = yaml.safe_load(read(f".github/ISSUE_TEMPLATE/{name}"))
    assert {"name", "description", "body"} <= form.keys()
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids))
    for field in form["body"]:
        assert field["type"] in {"textarea", "input", "dropdown", "checkboxes"}
        assert field["attributes"]["label"]
    assert any(field.get("validations", {}).get("required") for field in form["body"])

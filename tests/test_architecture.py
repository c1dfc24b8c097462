import ast
import importlib
import inspect
import io
import pkgutil
import re
import statistics
import tokenize
import tomllib
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator
from skorch import NeuralNet

import sklearn_sits
from sklearn_sits._discovery import all_estimators

PACKAGE = Path(sklearn_sits.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
MODULES = [
    importlib.import_module(info.name)
    for info in pkgutil.walk_packages(sklearn_sits.__path__, "sklearn_sits.")
]
NAMESPACES = [module for module in [sklearn_sits, *MODULES] if hasattr(module, "__all__")]
# Lines that are neither blank nor comment nor docstring.
MOST_CODE_LINES = 350
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def test_modules_stay_short():
    """Code alone is limited: a long docstring is no reason to split a module."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert statistics.median(lengths.values()) <= 200
    assert {
        path.name: n for path in SOURCES if (n := _count_code_lines(path)) > MOST_CODE_LINES
    } == {}


def _count_code_lines(path):
    text = path.read_text(encoding="utf-8")
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def test_few_modules_stand_beside_the_packages():
    modules = [path.name for path in SOURCES if path.parent == PACKAGE]
    assert len(modules) <= 8, modules


def test_one_exhaustive_contract_orders_all_packages():
    with open(PACKAGE.parent / "pyproject.toml", "rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    (layers,) = [contract for contract in contracts if contract["type"] == "layers"]
    assert layers["containers"] == ["sklearn_sits"]
    assert layers["exhaustive"]
    ordered = [name.strip() for layer in layers["layers"] for name in layer.split("|")]
    present = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in SOURCES}
    assert sorted(ordered) == sorted(present - {"__init__"})


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_library_does_not_print(path):
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if _is_print(node)]
    assert [node.lineno for node in calls] == []


def _is_print(node):
    return isinstance(node, ast.Call) and getattr(node.func, "id", None) == "print"


@pytest.mark.parametrize("namespace", NAMESPACES, ids=lambda module: module.__name__)
def test_public_names_exist(namespace):
    assert [name for name in namespace.__all__ if not hasattr(namespace, name)] == []
    assert len(set(namespace.__all__)) == len(namespace.__all__)


def test_version_is_a_release_string():
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", sklearn_sits.__version__)


def test_every_estimator_is_discovered():
    """An estimator that is written but not exported would escape the common checks."""
    defined = {
        obj
        for module in MODULES
        for name, obj in inspect.getmembers(module, inspect.isclass)
        if obj.__module__.startswith("sklearn_sits")
        and issubclass(obj, BaseEstimator)
        and not issubclass(obj, NeuralNet)
        and not inspect.isabstract(obj)
        and not name.startswith(("_", "Base"))
    }
    discovered = {obj for _, obj in all_estimators()}
    assert discovered
    assert defined == discovered


def test_discovery_filters_by_kind():
    everything = all_estimators()
    assert everything == sorted(everything)
    assert all(issubclass(obj, BaseEstimator) for _, obj in everything)
    kinds = [all_estimators(kind) for kind in ("classifier", "regressor", "transformer")]
    assert {entry for found in kinds for entry in found} <= set(everything)
    assert ("MTANSVGPClassifier", sklearn_sits.MTANSVGPClassifier) in kinds[0]
    assert ("MTANSVGPClassifier", sklearn_sits.MTANSVGPClassifier) not in kinds[1]
    with pytest.raises(ValueError, match="type_filter"):
        all_estimators("clusterer")

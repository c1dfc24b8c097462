import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
from docstrings import (
    documented_parameters,
    own_methods,
    parameters,
    public_methods,
    public_objects,
    sections,
    statements,
)

import sklearn_sits
from sklearn_sits import (
    MTANMLPClassifier,
    MTANSVGPClassifier,
    PhenologyVAERegressor,
    ProsailVAERegressor,
    SVGPClassifier,
)
from sklearn_sits._discovery import all_estimators

OBJECTS, METHODS = public_objects(), public_methods()
FUNCTIONS = {name: obj for name, obj in OBJECTS.items() if not inspect.isclass(obj)}
ESTIMATOR_METHODS = {
    method
    for _, cls in all_estimators()
    for method in own_methods(cls)
    if not method.__name__.startswith("set_")
}
FAMILIES = {
    "classifiers": [MTANMLPClassifier, MTANSVGPClassifier, SVGPClassifier],
    "auto-encoders": [PhenologyVAERegressor, ProsailVAERegressor],
    "all": [cls for _, cls in all_estimators()],
}
# Parameters whose meaning, or default, differs between the estimators of a family.
OWN_TEXTS = {
    "classifiers": ["embedding_dim", "learning_rate", "max_iter"],
    "auto-encoders": ["kl_weight", "learning_rate", "n_blocks", "objective", "priors", "targets"],
    "all": [],
}
# Parameters that all estimators explain alike; others need only agree within a family.
GENERIC = {"device", "random_state", "verbose"}


def named(objects):
    return [pytest.param(obj, id=name) for name, obj in objects.items()]


def _internal_objects():
    """Classes and functions of the modules that are not public, by `__all__` of each."""
    found = {}
    for info in pkgutil.walk_packages(sklearn_sits.__path__, "sklearn_sits."):
        module = importlib.import_module(info.name)
        for name in getattr(module, "__all__", ()):
            obj = getattr(module, name)
            if inspect.isclass(obj) or inspect.isfunction(obj):
                found[f"{info.name}.{name}"] = obj
                for method in own_methods(obj) if inspect.isclass(obj) else ():
                    found[f"{info.name}.{name}.{method.__name__}"] = method
    return found


EVERYTHING = OBJECTS | METHODS | _internal_objects()

# --- sections -------------------------------------------------------------------------------------


@pytest.mark.parametrize("obj", named(EVERYTHING))
def test_parameters_are_those_of_the_signature(obj):
    assert sections(obj)[""].strip()
    # Two that belong together may share an entry out of their order.
    assert sorted(documented_parameters(obj)) == sorted(parameters(obj))


@pytest.mark.parametrize("obj", named(OBJECTS | METHODS))
def test_summaries_cite_nothing(obj):
    """Tables of the documentation show them without the list of references."""
    summary, _, _ = sections(obj)[""].partition("\n\n")
    assert "]_" not in summary


@pytest.mark.parametrize("obj", named(OBJECTS | METHODS))
def test_parameters_have_types_and_descriptions(obj):
    entries = documented_parameters(obj).items()
    assert [name for name, (_, text) in entries if not text] == []
    assert [name for name, (kind, text) in entries if not kind and not _refers(text)] == []


def _refers(text):
    """Return whether a description is that of another docstring."""
    return re.match("See (:\\w+:)?`", text) is not None


@pytest.mark.parametrize("obj", named(OBJECTS | METHODS))
def test_defaults_are_those_of_the_signature(obj):
    for name, (kind, text) in documented_parameters(obj).items():
        default = parameters(obj)[name].default
        said = re.search(r"default=(.*)", kind)
        if not _refers(text) and name != "y":
            assert (said is None) == (default is inspect.Parameter.empty), name
        if said:
            assert _is_default(default, said[1]), (name, default)


def _is_default(value, text):
    try:
        said = ast.literal_eval(text)
    except ValueError:
        # A constant or a type, such as np.float32.
        return text.split(".")[-1] in (getattr(value, "__name__", None), "SIMULATION_PRIORS")
    # Two parameters may share an entry.
    return said == value or (isinstance(said, tuple) and value in said)


@pytest.mark.parametrize("obj", named(FUNCTIONS | METHODS))
def test_results_are_documented(obj):
    if obj.__doc__.startswith("See :"):
        return
    returned = [node for node in statements(obj, ast.Return) if node.value is not None]
    # An abstract method describes the result of its implementations.
    returns = bool(returned) or getattr(obj, "__isabstractmethod__", False)
    assert ("Returns" in sections(obj)) == returns


@pytest.mark.parametrize("obj", named(OBJECTS | METHODS))
def test_errors_are_documented(obj):
    if _may_raise(obj):
        assert sections(obj).get("Raises", "").strip()


def _may_raise(obj):
    """Return whether a docstring has to name errors: there may be more than can be seen here."""
    # Every method of an estimator checks its input, or that it is fitted.
    if hasattr(obj, "_skl_parameter_constraints") or obj in ESTIMATOR_METHODS:
        return True
    if not inspect.isclass(obj):
        return bool(statements(obj, ast.Raise))
    bodies = [vars(obj)[name] for name in ("__init__", "__post_init__") if name in vars(obj)]
    # That of a dataclass is no source.
    written = [body for body in bodies if Path(body.__code__.co_filename).exists()]
    return any(statements(body, ast.Raise) for body in written)


# --- examples -------------------------------------------------------------------------------------

# By their texts, as a class has one name where it is defined and another where it is public.
EXAMPLES = {
    obj.__doc__: (name, obj)
    for name, obj in reversed(EVERYTHING.items())
    if ">>>" in (obj.__doc__ or "")
}


@pytest.mark.parametrize("obj", named(OBJECTS))
def test_public_objects_have_an_example(obj):
    assert ">>>" in sections(obj).get("Examples", "")


@pytest.mark.parametrize("obj", named(dict(EXAMPLES.values())))
def test_example(obj):
    test = doctest.DocTestParser().get_doctest(
        inspect.cleandoc(obj.__doc__), {}, obj.__name__, None, 0
    )
    assert test.examples
    report = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=report.append)
    assert not report, "".join(report)


def test_every_example_is_run():
    """Examples of private functions and of modules would be forgotten."""
    run = {inspect.cleandoc(doc) for doc in EXAMPLES}
    written = {
        inspect.cleandoc(doc)
        for path in Path(sklearn_sits.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if (doc := ast.get_docstring(node, clean=False)) and ">>>" in doc
    }
    assert written == run


# --- equal parameters -----------------------------------------------------------------------------


def _shared(family):
    """Return the parameters that several estimators of a family have."""
    names = [name for cls in FAMILIES[family] for name in documented_parameters(cls)]
    shared = {name for name in names if names.count(name) > 1}
    return (shared & GENERIC if family == "all" else shared) - set(OWN_TEXTS[family])


@pytest.mark.parametrize(
    ("family", "name"), [(family, name) for family in FAMILIES for name in sorted(_shared(family))]
)
def test_equal_parameters_have_equal_texts(family, name):
    """Defaults may differ."""
    texts = {}
    for cls in FAMILIES[family]:
        if name in (documented := documented_parameters(cls)):
            kind, text = documented[name]
            texts[cls.__name__] = re.sub(r", default=.*", "", kind), text
    assert len(set(texts.values())) == 1, texts


@pytest.mark.parametrize(
    ("family", "name"),
    [(family, name) for family in OWN_TEXTS for name in sorted(OWN_TEXTS[family])],
)
def test_own_texts_are_needed(family, name):
    texts = {documented_parameters(cls).get(name) for cls in FAMILIES[family]} - {None}
    assert len(texts) > 1

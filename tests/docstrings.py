"""Sections of numpydoc docstrings, for the tests of the documentation."""

import ast
import importlib
import inspect
import re
import textwrap

from torch import nn

NAMESPACES = [
    importlib.import_module(name)
    for name in (
        "sklearn_sits",
        "sklearn_sits.datasets",
        "sklearn_sits.displays",
        "sklearn_sits.exceptions",
        "sklearn_sits.inspection",
        "sklearn_sits.metrics",
        "sklearn_sits.model_selection",
        "sklearn_sits.physics",
        "sklearn_sits.raster",
    )
]


def public_objects():
    """Return the public classes and functions by their names."""
    return {
        f"{namespace.__name__}.{name}": getattr(namespace, name)
        for namespace in NAMESPACES
        for name in namespace.__all__
        if callable(getattr(namespace, name))
    }


def public_methods():
    """Return the public methods of the public classes by their names."""
    return {
        f"{name}.{method.__name__}": method
        for name, cls in public_objects().items()
        if inspect.isclass(cls)
        for method in own_methods(cls)
    }


def own_methods(cls):
    """Return the public methods of a class that this package wrote, inherited or not.

    Without those that override a method and refer to the documented one.
    """
    members = inspect.getmembers(
        cls, lambda member: inspect.isfunction(member) or inspect.ismethod(member)
    )
    return [
        member
        for name, member in members
        # Other packages document theirs.
        if not name.startswith("_") and member.__module__.split(".")[0] == "sklearn_sits"
        if inspect.isfunction(member) or inspect.ismethod(member)
        if not _refers(member)
    ]


def _refers(method):
    return re.match(r"See :(class|func|meth):`[~\w.]+`", method.__doc__ or "") is not None


def sections(obj):
    """Split a docstring into the texts of its sections, by their titles; "" is the summary."""
    doc = inspect.cleandoc(obj.__doc__ or "")
    parts = re.split(r"^(\w[\w ]*)\n-{3,}$", doc, flags=re.MULTILINE)
    return dict(zip(["", *parts[1::2]], parts[0::2], strict=True))


def documented_parameters(obj):
    """Return the type and the description of each documented parameter."""
    entries = {}
    for line in sections(obj).get("Parameters", "").splitlines():
        if re.match(r"[\w*]", line):
            names, _, kind = line.partition(" : ")
            current = [name.strip(" *") for name in names.split(",")]
            entries |= {name: (kind, []) for name in current}
        elif line.strip():
            for name in current:
                entries[name][1].append(line.strip())
    return {name: (kind, " ".join(lines)) for name, (kind, lines) in entries.items()}


def parameters(obj):
    """Return the parameters of a signature but for self."""
    # Exceptions and modules of torch take what they do not name.
    if inspect.isclass(obj) and (issubclass(obj, Exception) or obj.__init__ is nn.Module.__init__):
        return {}
    return {
        name: parameter
        for name, parameter in inspect.signature(obj).parameters.items()
        if name not in ("self", "cls")
    }


def statements(function, kind):
    """Return the statements of a kind in the body of a function, not in functions within it."""
    function = inspect.unwrap(inspect.unwrap(function))
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    found, waiting = [], list(tree.body[0].body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, kind):
            found.append(node)
        if not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)
    return found

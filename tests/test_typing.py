import ast
import inspect
import re

import pytest
from docstrings import (
    documented_parameters,
    own_methods,
    parameters,
    public_methods,
    public_objects,
)

from sklearn_sits.classifiers import BaseMTANClassifier
from sklearn_sits.nn.heads import Head, MLPHead, SVGPHead

EXTENDED = {cls.__name__: cls for cls in (BaseMTANClassifier, Head, MLPHead, SVGPHead)}
OBJECTS = public_objects() | EXTENDED
METHODS = public_methods() | {
    f"{name}.{method.__name__}": method
    for name, cls in EXTENDED.items()
    for method in own_methods(cls)
}


def named(objects):
    return [pytest.param(obj, id=name) for name, obj in objects.items()]


@pytest.mark.parametrize("obj", named(OBJECTS | METHODS))
def test_parameters_and_results_have_types(obj):
    untyped = [
        name
        for name, parameter in parameters(obj).items()
        if parameter.annotation is inspect.Parameter.empty and name not in _fields(obj)
    ]
    assert untyped == []
    if not inspect.isclass(obj):
        assert inspect.signature(obj).return_annotation is not inspect.Signature.empty


def _fields(obj):
    """Return the fields of a named tuple, whose constructor has no annotations."""
    return obj.__annotations__ if hasattr(obj, "_fields") else ()


@pytest.mark.parametrize("obj", named(OBJECTS | METHODS))
def test_choices_are_those_of_the_documentation(obj):
    documented = documented_parameters(obj)
    for name, parameter in parameters(obj).items():
        choices = re.match(r"{\".*}", documented.get(name, ("", ""))[0])
        if choices:
            found = re.findall(r"""["'](.+?)["']""", str(parameter.annotation))
            assert set(found) == ast.literal_eval(choices[0]), name

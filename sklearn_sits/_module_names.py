"""The public module of objects that are defined in a private one."""

from collections.abc import Callable
from typing import TypeVar

__all__ = ["set_module"]

_T = TypeVar("_T")


def set_module(name: str) -> Callable[[_T], _T]:
    """Make a decorator that names the public module of a class or function.

    Pickles and skops files store this name, so files of models outlive the layout of the package.

    Parameters
    ----------
    name : str
        Package that exports the object.

    Returns
    -------
    decorator : callable
    """

    def decorate(obj: _T) -> _T:
        obj.__module__ = name
        return obj

    return decorate

"""The public module of objects that are defined in a private one."""

__all__ = ["set_module"]


def set_module(name):
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

    def decorate(obj):
        obj.__module__ = name
        return obj

    return decorate

"""Packages that are installed by an extra of this one."""

import importlib

__all__ = ["import_extra"]


def import_extra(name):
    """Import a package of the extra "raster".

    Parameters
    ----------
    name : str
        Module.

    Returns
    -------
    module : module

    Raises
    ------
    ImportError
        If it is not installed, saying how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f'Cubes and maps need the package {name}: pip install "sklearn-sits[raster]"'
        ) from error

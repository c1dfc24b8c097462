"""Packages that are installed by an extra of this one."""

import importlib

__all__ = ["import_extra"]

_PURPOSES = {"raster": "Cubes and maps", "plot": "Displays"}


def import_extra(name, extra="raster"):
    """Import a package of an extra.

    Parameters
    ----------
    name : str
        Module.
    extra : {"raster", "plot"}, default="raster"
        Extra that installs it.

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
            f'{_PURPOSES[extra]} need the package {name}: pip install "sklearn-sits[{extra}]"'
        ) from error

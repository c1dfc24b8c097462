"""Traits that follow from the variables of a canopy, in one table."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import Tensor

from sklearn_sits._module_names import set_module
from sklearn_sits.physics.variables import VARIABLES

__all__ = ["DERIVED_TRAITS", "Trait"]

_NAMES = [variable.name for variable in VARIABLES]


@set_module("sklearn_sits.physics")
class Trait(NamedTuple):
    """A trait that is computed from the variables of a radiative transfer model.

    Parameters
    ----------
    name : str
        Name.
    unit : str
        Unit, empty if there is none.
    compute : callable
        Takes the model, its variables (..., n_variables) and the geometry (..., n_geometry), both
        tensors, and returns the trait (...). It must be defined at the top level of a module, so
        that it can be pickled.
    description : str, default=""
        Definition in words.
    low, high : float or None, default=None
        Bounds of the trait. None computes the trait at the lower, or at the upper bounds of all
        variables, which is right for a trait that grows with each of them.

    Examples
    --------
    >>> from sklearn_sits.physics import Trait
    >>> def brown_area(model, variables, geometry):
    ...     return variables[..., 6] * variables[..., 3]
    >>> Trait("brown", "", brown_area, "leaf area times brown pigments").name
    'brown'
    """

    name: str
    unit: str
    compute: Callable[..., Tensor]
    description: str = ""
    low: float | None = None
    high: float | None = None


def _content_of_canopy(column, model, variables, geometry):
    """Multiply a content per leaf area by the leaf area per ground area."""
    return variables[..., _NAMES.index("LAI")] * variables[..., column]


def _fapar(model, variables, geometry):
    return model.fapar(variables, geometry, green=True, check=False)


def _fcover(model, variables, geometry):
    return model.fcover(variables, green=True, check=False)


def _canopy_content(name, unit, leaf, description):
    compute = partial(_content_of_canopy, _NAMES.index(leaf))
    return Trait(name, unit, compute, f"{description}, LAI x {leaf}")


DERIVED_TRAITS: dict[str, Trait] = {
    trait.name: trait
    for trait in (
        _canopy_content("CCC", "µg/cm²", "Cab", "canopy chlorophyll content per ground area"),
        _canopy_content("CWC", "g/cm²", "Cw", "canopy water content per ground area"),
        _canopy_content("CDMC", "g/cm²", "Cm", "canopy dry matter content per ground area"),
        Trait("fAPAR", "", _fapar, "share of sunlight (400-700 nm) that pigments absorb", 0.0, 1.0),
        Trait("fCover", "", _fcover, "share of the ground that green leaves cover", 0.0, 1.0),
    )
}

"""Checks of the distributions of simulated variables and angles."""

from collections.abc import Mapping

import numpy as np

from sklearn_sits.physics import Prior

__all__ = ["MIXED", "PAPER", "check_geometry", "list_priors"]

# The priors of the model itself, and an equal share of each of its canopy types.
PAPER, MIXED = "paper", "mixed"


def list_priors(priors, model):
    """List the tables of priors of which each has an equal share of the simulations.

    Parameters
    ----------
    priors : str, sequence of str or mapping of str to Prior or (float, float)
        "paper" stands for the priors of the model and "mixed" for its mixture of canopy types;
        other names are canopy types. A mapping replaces variables in the priors of the model; two
        bounds are a uniform distribution.
    model : RadiativeTransferModel
        Model of the variables.

    Returns
    -------
    tables : list of dict of str to Prior
        Each of all variables.

    Raises
    ------
    TypeError
        If an entry is neither a `Prior` nor two bounds.
    ValueError
        If a name is unknown, or bounds, means or standard deviations are not as they should be.
    """
    if isinstance(priors, Mapping):
        return [_complete(priors, model)]
    types = model.canopy_types
    names = [priors] if isinstance(priors, str) else list(priors)
    unknown = [name for name in names if name not in (PAPER, MIXED, *types)]
    if unknown or not names:
        raise ValueError(
            f"The 'priors' parameter must be a mapping or among {[PAPER, MIXED, *types]}, got "
            f"{unknown or 'an empty sequence'}."
        )
    tables = []
    for name in names:
        if name == MIXED:
            # A model without canopy types has one distribution.
            tables += [dict(types[one]) for one in model.mixture] or [dict(model.priors)]
        else:
            tables.append(dict(model.priors if name == PAPER else types[name]))
    return tables


def check_geometry(geometry, model):
    """Check ranges of angles.

    Parameters
    ----------
    geometry : "sensor", "X" or mapping of str to (float, float)
        Bounds in degrees of the angles that do not follow the sensor.
    model : RadiativeTransferModel
        Model of the angles.

    Returns
    -------
    ranges : dict of str to (float, float)

    Raises
    ------
    ValueError
        If an angle is unknown, or its bounds are not those of a range.
    """
    if isinstance(geometry, str):
        return {}
    angles = {angle.name: angle for angle in model.geometry}
    unknown = [name for name in geometry if name not in angles]
    if unknown:
        raise ValueError(f"geometry must name some of {list(angles)}, got {unknown}.")
    for name, bounds in geometry.items():
        low, high = angles[name].low, angles[name].high
        is_pair = isinstance(bounds, tuple | list) and len(bounds) == 2
        if not is_pair or not low <= bounds[0] <= bounds[1] <= high:
            raise ValueError(
                f"geometry must have two ascending bounds of {name} within {low:g} and {high:g}, "
                f"got {bounds!r}."
            )
    return {name: tuple(bounds) for name, bounds in geometry.items()}


def _complete(priors, model):
    """Complete and check a mapping."""
    names = [variable.name for variable in model.variables]
    unknown = [name for name in priors if name not in names]
    if unknown:
        raise ValueError(f"priors must name some of {names}, got {unknown}.")
    table = dict(model.priors) | {name: _to_prior(prior) for name, prior in priors.items()}
    for variable in model.variables:
        prior = table[variable.name]
        bounds = [(prior.low, prior.high), (prior.dense_low, prior.dense_high)]
        if not all(variable.low <= low < high <= variable.high for low, high in bounds):
            raise ValueError(
                f"priors must have ascending bounds of {variable.name} within {variable.low:g} and "
                f"{variable.high:g}, got {prior}."
            )
        if not (np.isfinite(prior.mean) and prior.std > 0):
            raise ValueError(
                f"priors must have finite means and positive standard deviations, got {prior} for "
                f"{variable.name}."
            )
    return table


def _to_prior(prior):
    if isinstance(prior, Prior):
        return prior
    if isinstance(prior, tuple | list) and len(prior) == 2:
        return Prior.uniform(*prior)
    raise TypeError(f"priors must hold objects of Prior or pairs (low, high), got {prior!r}.")

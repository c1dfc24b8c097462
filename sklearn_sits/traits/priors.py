"""Checks of the distributions of simulated variables."""

import numpy as np

from sklearn_sits.physics import VARIABLES
from sklearn_sits.physics.variables import SIMULATION_PRIORS, Prior

__all__ = ["check_priors"]


def check_priors(priors):
    """Complete and check a table of priors.

    Parameters
    ----------
    priors : "paper" or mapping of str to Prior
        Variables that replace those of `SIMULATION_PRIORS`.

    Returns
    -------
    priors : dict of str to Prior
        Of all variables.

    Raises
    ------
    TypeError
        If an entry is not a `Prior`.
    ValueError
        If a name is unknown, or bounds, means or standard deviations are not as they should be.
    """
    if isinstance(priors, str):
        return dict(SIMULATION_PRIORS)
    names = [variable.name for variable in VARIABLES]
    unknown = [name for name in priors if name not in names]
    if unknown:
        raise ValueError(f"priors must name some of {names}, got {unknown}.")
    for variable in VARIABLES:
        prior = priors.get(variable.name, SIMULATION_PRIORS[variable.name])
        if not isinstance(prior, Prior):
            raise TypeError(f"priors must hold objects of Prior, got {prior!r}.")
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
    return SIMULATION_PRIORS | dict(priors)

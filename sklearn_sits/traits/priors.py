"""Checks of the distributions of simulated variables."""

import numpy as np

from sklearn_sits.physics import Prior

__all__ = ["check_priors"]


def check_priors(priors, model):
    """Complete and check a table of priors.

    Parameters
    ----------
    priors : "paper" or mapping of str to Prior or (float, float)
        Variables that replace those of the model; two bounds are a uniform distribution.
    model : RadiativeTransferModel
        Model of the variables.

    Returns
    -------
    priors : dict of str to Prior
        Of all variables.

    Raises
    ------
    TypeError
        If an entry is neither a `Prior` nor two bounds.
    ValueError
        If a name is unknown, or bounds, means or standard deviations are not as they should be.
    """
    if isinstance(priors, str):
        return dict(model.priors)
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

"""Distributions of the variables of PROSAIL in types of canopies, in one table."""

import torch

from sklearn_sits.physics.variables import SIMULATION_PRIORS, Prior

__all__ = ["CANOPY_TYPES", "MIXTURE", "sample_mixture"]

# The bounds of the paper do not narrow here as the LAI grows: dense canopies may be pale, and have
# any leaf angle. Leaves may be paler than in the paper. Brown pigments are left to the types that
# wither, as they would otherwise explain the colour of green leaves and of soils.
_CROPS = {
    name: Prior(*prior[:4], prior.low, prior.high) for name, prior in SIMULATION_PRIORS.items()
} | {
    "Cab": Prior(45.0, 30.0, 5.0, 90.0, 5.0, 90.0),
    "Cbrown": Prior(0.0, 0.1, 0.0, 0.4, 0.0, 0.4),
}


def _change(**rows):
    """Replace rows of the table of crops: mean, standard deviation and bounds."""
    return _CROPS | {name: Prior(*row, *row[2:]) for name, row in rows.items()}


CANOPY_TYPES: dict[str, dict[str, Prior]] = {
    "crops": _CROPS,
    # Upright leaves, narrow for their height, that wither while they stand.
    "cereals": _change(
        Cab=(40.0, 25.0, 0.0, 80.0),
        Cbrown=(0.0, 0.4, 0.0, 1.5),
        Cw=(0.015, 0.012, 0.0005, 0.04),
        LAI=(2.0, 2.5, 0.0, 10.0),
        ALA=(65.0, 10.0, 40.0, 80.0),
        hspot=(0.15, 0.2, 0.02, 0.5),
    ),
    # Flat leaves.
    "broad-leaved": _change(ALA=(45.0, 12.0, 20.0, 70.0), hspot=(0.15, 0.2, 0.02, 0.5)),
    # Thick leaves, needles among them, small for the height of the trees.
    "forest": _change(
        N=(1.7, 0.4, 1.2, 2.6),
        Cab=(45.0, 18.0, 20.0, 80.0),
        Car=(10.0, 4.0, 5.0, 20.0),
        Cbrown=(0.0, 0.2, 0.0, 0.6),
        Cw=(0.013, 0.006, 0.005, 0.03),
        Cm=(0.009, 0.005, 0.003, 0.025),
        LAI=(3.5, 2.0, 0.2, 9.0),
        ALA=(52.0, 12.0, 30.0, 75.0),
        hspot=(0.05, 0.1, 0.01, 0.3),
    ),
    # Withered: without chlorophyll and water.
    "dry": _change(
        Cab=(10.0, 15.0, 0.0, 40.0),
        Car=(5.0, 5.0, 0.0, 15.0),
        Cbrown=(0.4, 0.4, 0.0, 1.5),
        Cw=(0.004, 0.006, 0.0005, 0.02),
        Cm=(0.006, 0.004, 0.002, 0.015),
        LAI=(1.0, 2.0, 0.0, 8.0),
    ),
    # Leaves of all kinds, from shaded herbs to evergreen shrubs.
    "wide": _change(
        Cab=(45.0, 30.0, 2.0, 100.0),
        Car=(11.0, 5.0, 1.0, 30.0),
        Cw=(0.025, 0.02, 0.002, 0.06),
        Cm=(0.005, 0.005, 0.001, 0.02),
    ),
}
# Of a place of which nothing is known: herbs of any kind and trees, two parts each, and a part each
# of flat leaves, of extreme leaves and of withered canopies. Each name has an equal share.
MIXTURE = ("crops", "crops", "forest", "forest", "broad-leaved", "wide", "dry")


def sample_mixture(sample, n, tables, generator=None):
    """Draw variables from several distributions, in equal shares and any order.

    Parameters
    ----------
    sample : callable
        From a number of draws and a table of priors to a tensor (n, n_variables).
    n : int
        Number of draws.
    tables : list of mapping of str to Prior
        Distributions.
    generator : torch.Generator, default=None
        Source of random numbers.

    Returns
    -------
    Tensor of shape (n, n_variables)
    """
    k = len(tables)
    parts = [sample(n // k + (i < n % k), table) for i, table in enumerate(tables)]
    if k == 1:
        return parts[0]
    return torch.cat(parts)[torch.randperm(n, generator=generator)]

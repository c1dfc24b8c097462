"""Types of canopies, and mixtures of them."""

import numpy as np
import pytest
import torch

from sklearn_sits.physics import CANOPY_TYPES, VARIABLES, Prosail, sample_variables
from sklearn_sits.physics.canopy_types import MIXTURE, sample_mixture

NAMES = [variable.name for variable in VARIABLES]


def draw(name, n=2000):
    generator = torch.Generator().manual_seed(0)
    values = sample_variables(n, CANOPY_TYPES[name], max_soil=1.0, generator=generator)
    return dict(zip(NAMES, values.numpy().T, strict=True))


@pytest.mark.parametrize("name", CANOPY_TYPES)
def test_tables(name):
    table = CANOPY_TYPES[name]
    assert list(table) == NAMES
    for variable in VARIABLES:
        prior = table[variable.name]
        assert variable.low <= prior.low < prior.high <= variable.high
        # The bounds do not narrow as the LAI grows.
        assert (prior.dense_low, prior.dense_high) == (prior.low, prior.high)


def test_types_differ_as_their_names_say():
    crops, cereals, broad, forest, dry, wide = map(draw, CANOPY_TYPES)
    assert cereals["ALA"].mean() > crops["ALA"].mean() > broad["ALA"].mean()
    assert forest["Cm"].mean() > crops["Cm"].mean()
    assert forest["LAI"].mean() > crops["LAI"].mean() > dry["LAI"].mean()
    assert dry["Cab"].mean() < 0.5 * crops["Cab"].mean()
    assert dry["Cbrown"].mean() > 3 * crops["Cbrown"].mean()
    assert np.ptp(wide["Cab"]) > np.ptp(crops["Cab"])


def test_mixture():
    assert set(MIXTURE) <= set(CANOPY_TYPES)
    assert Prosail.mixture == MIXTURE
    assert Prosail.canopy_types is CANOPY_TYPES

    def sample(count, value):
        return torch.full((count, 2), value)

    generator = torch.Generator().manual_seed(0)
    values = sample_mixture(sample, 11, [1.0, 2.0, 2.0], generator)
    assert values.shape == (11, 2)
    assert (values[:, 0] == 1).sum() == 4
    # In any order, so that half of them are of all types.
    assert values[:4].unique().numel() == 2
    assert torch.equal(sample_mixture(sample, 3, [1.0]), torch.ones(3, 2))

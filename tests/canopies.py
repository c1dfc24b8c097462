"""Canopies and directions for the tests of PROSAIL."""

import torch

from sklearn_sits.physics import VARIABLES, sample_geometry, sample_variables

NAMES = [variable.name for variable in VARIABLES]
LOW, HIGH = (torch.tensor([v[i] for v in VARIABLES], dtype=torch.float64) for i in (2, 3))
DTYPES = [torch.float32, torch.float64]
CANOPY = dict(zip(NAMES, (1.5, 45, 9, 0.1, 0.015, 0.008, 3, 55, 0.1, 0.5, 0.8), strict=True))


def canopy(n=1, dtype=torch.float64, **changed):
    """Variables of shape (n, 11): those of a green canopy but for some."""
    columns = [torch.as_tensor(x, dtype=dtype).expand(n) for x in (CANOPY | changed).values()]
    return torch.stack(columns, dim=-1)


def directions(sun=35.0, view=5.0, azimuth=100.0):
    columns = (torch.as_tensor(x, dtype=torch.float64) for x in (sun, view, azimuth))
    return torch.stack(torch.broadcast_tensors(*columns), dim=-1)


def anywhere(n, seed=0, margin=0.0):
    """Variables within all of their bounds but for leaf angles of 1 to 89 degrees, and zeniths."""
    generator = torch.Generator().manual_seed(seed)
    unit = margin + (1 - 2 * margin) * torch.rand(n, 14, generator=generator, dtype=torch.float64)
    low, high = LOW.clone(), HIGH.clone()
    low[7], high[7] = 1, 89
    return low + (high - low) * unit[:, :11], torch.tensor([80.0, 80.0, 360.0]) * unit[:, 11:]


def simulations(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return sample_variables(n, generator=generator), sample_geometry(n, generator)

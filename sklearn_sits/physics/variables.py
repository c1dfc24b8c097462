"""Variables of leaf, canopy and soil: names, units, bounds, and how they are distributed."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_sits._module_names import set_module
from sklearn_sits.physics.distributions import TruncatedNormal
from sklearn_sits.physics.tables import load_tables

__all__ = [
    "GEOMETRY",
    "RETRIEVAL_BOUNDS",
    "SIMULATION_PRIORS",
    "VARIABLES",
    "Prior",
    "Variable",
    "sample_geometry",
    "sample_variables",
]


@set_module("sklearn_sits.physics")
class Variable(NamedTuple):
    """Input of a radiative transfer model.

    Parameters
    ----------
    name : str
        Name.
    unit : str
        Unit, empty if there is none.
    low, high : float
        Bounds within which the model is valid.
    description : str
        Definition in words.

    Examples
    --------
    >>> from sklearn_sits.physics import VARIABLES
    >>> {variable.name: variable.unit for variable in VARIABLES[:2]}
    {'N': '', 'Cab': 'µg/cm²'}
    """

    name: str
    unit: str
    low: float
    high: float
    description: str


VARIABLES: tuple[Variable, ...] = (
    Variable("N", "", 1.0, 3.5, "leaf structure"),
    Variable("Cab", "µg/cm²", 0.0, 120.0, "leaf chlorophyll a and b"),
    Variable("Car", "µg/cm²", 0.0, 40.0, "leaf carotenoids"),
    Variable("Cbrown", "", 0.0, 2.0, "leaf brown pigments"),
    Variable("Cw", "cm", 0.0, 0.1, "leaf equivalent water thickness"),
    Variable("Cm", "g/cm²", 0.0, 0.05, "leaf dry matter"),
    Variable("LAI", "m²/m²", 0.0, 15.0, "leaf area index"),
    Variable("ALA", "°", 0.0, 90.0, "average leaf angle, from the horizontal"),
    Variable("hspot", "", 0.0, 1.0, "hot spot: leaf size over canopy height"),
    Variable("psoil", "", 0.0, 1.0, "share of the dry soil in the mixture with the wet one"),
    Variable("rsoil", "", 0.0, 3.5, "brightness of the soil, a factor"),
)
GEOMETRY: tuple[Variable, ...] = (
    Variable("sun zenith", "°", 0.0, 85.0, "angle of the sun from the zenith"),
    Variable("view zenith", "°", 0.0, 85.0, "angle of the sensor from the zenith"),
    Variable("relative azimuth", "°", -360.0, 360.0, "azimuth of the sun minus of the sensor"),
)

# Support of the latent variables of PROSAIL-VAE (Zérah et al. 2024).
RETRIEVAL_BOUNDS = {
    "N": (1.2, 1.8),
    "Cab": (20.0, 90.0),
    "Car": (5.0, 23.0),
    "Cbrown": (0.0, 2.0),
    "Cw": (0.0075, 0.075),
    "Cm": (0.003, 0.011),
    "LAI": (0.0, 10.0),
    "ALA": (30.0, 80.0),
    "hspot": (0.0, 0.5),
    "psoil": (0.0, 1.0),
    "rsoil": (0.3, 3.5),
}


@set_module("sklearn_sits.physics")
class Prior(NamedTuple):
    """Truncated normal distribution of a variable, whose bounds narrow as the LAI grows.

    Parameters
    ----------
    mean, std : float
        Mean and standard deviation before truncation. With an infinite standard deviation the
        distribution is uniform.
    low, high : float
        Bounds at an LAI of zero.
    dense_low, dense_high : float
        Bounds at the largest LAI. Only draws with `codistribution=True` use them.

    Examples
    --------
    >>> from sklearn_sits.physics import Prior
    >>> Prior.uniform(0.0, 1.0)
    Prior(mean=0.5, std=inf, low=0.0, high=1.0, dense_low=0.0, dense_high=1.0)
    """

    mean: float
    std: float
    low: float
    high: float
    dense_low: float
    dense_high: float

    @classmethod
    def uniform(cls, low: float, high: float) -> "Prior":
        """Make a uniform distribution that is the same at every LAI.

        Parameters
        ----------
        low, high : float
            Bounds.

        Returns
        -------
        prior : Prior
        """
        return cls((low + high) / 2, float("inf"), low, high, low, high)


# Distributions of the simulations of the supervised network in Zérah et al. 2024, which follow
# the ATBD of the Sentinel-2 biophysical variables (Weiss, Baret and Jay 2020).
SIMULATION_PRIORS: dict[str, Prior] = {
    "N": Prior(1.5, 0.3, 1.2, 2.2, 1.3, 1.8),
    "Cab": Prior(45.0, 30.0, 20.0, 90.0, 45.0, 90.0),
    "Car": Prior(11.0, 5.0, 5.0, 23.0, 5.0, 23.0),
    "Cbrown": Prior(0.0, 0.3, 0.0, 2.0, 0.0, 0.2),
    "Cw": Prior(0.025, 0.02, 0.0075, 0.075, 0.015, 0.055),
    "Cm": Prior(0.005, 0.005, 0.003, 0.011, 0.003, 0.011),
    "LAI": Prior(2.0, 3.0, 0.0, 15.0, 0.0, 15.0),
    "ALA": Prior(60.0, 30.0, 30.0, 80.0, 55.0, 65.0),
    "hspot": Prior(0.2, 0.5, 0.1, 0.5, 0.1, 0.5),
    "psoil": Prior(0.5, float("inf"), 0.0, 1.0, 0.0, 1.0),
    "rsoil": Prior(1.2, 2.0, 0.3, 3.5, 0.5, 1.2),
}
# Ranges of the cosines of sun and view zenith, by the first word of the name of a sensor. Those of
# Sentinel-2 are the ranges to which the paper scales the input of its encoder. The others follow
# from the orbits: sun zeniths of 15 to 75 degrees at mid-morning (Aqua: early afternoon), and views
# up to 7.5 degrees from nadir for Landsat and 65 degrees for MODIS.
_ZENITH_COSINES = {
    "Sentinel": ((0.3421, 0.9275), (0.9796, 1.0)),
    "Landsat": ((0.2588, 0.9659), (0.9914, 1.0)),
    "MODIS": ((0.2588, 0.9659), (0.4226, 1.0)),
}
# Drones and sensors of your own: sun zeniths up to 75 degrees and views up to 60 degrees.
_ANY_ZENITH_COSINES = ((0.2588, 1.0), (0.5, 1.0))


@set_module("sklearn_sits.physics")
def sample_variables(
    n: int,
    priors: Mapping[str, Prior] = SIMULATION_PRIORS,
    *,
    codistribution: bool = True,
    max_soil: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw leaf, canopy and soil variables.

    Parameters
    ----------
    n : int
        Number of draws.
    priors : mapping of str to Prior, default=SIMULATION_PRIORS
        Prior of each of `VARIABLES`, by name.
    codistribution : bool, default=True
        Whether the bounds narrow as the LAI grows, because dense canopies have neither pale
        leaves nor bright soils [1]_. A value keeps its relative position between the bounds.
    max_soil : float or None, default=None
        Largest reflectance of a soil at any wavelength. Brighter soils are drawn again. With
        None, the default priors reach 1.8.
    generator : torch.Generator, default=None
        Random number generator. None uses the global generator of torch.

    Returns
    -------
    Tensor of shape (n, 11), float64
        Variables in the order and units of `VARIABLES`.

    Raises
    ------
    ValueError
        If `priors` does not name every variable, or allows no soil below `max_soil`.

    References
    ----------
    .. [1] Weiss, Baret and Jay, "S2ToolBox Level 2 products: LAI, FAPAR, FCOVER", version 2.0,
       2020.

    Examples
    --------
    >>> import torch
    >>> from sklearn_sits.physics import sample_variables
    >>> canopies = sample_variables(5, generator=torch.Generator().manual_seed(0))
    >>> canopies.shape
    torch.Size([5, 11])
    """
    names = [variable.name for variable in VARIABLES]
    if set(priors) != set(names):
        raise ValueError(f"priors must name {names}, got {list(priors)}.")
    table = torch.tensor([priors[name] for name in names], dtype=torch.float64)
    mean, std, low, high, dense_low, dense_high = table.unbind(-1)
    # A standard deviation of a thousand widths is uniform to six digits.
    std = torch.minimum(std, 1e3 * (high - low))
    lai = names.index("LAI")
    if max_soil is not None and _soil(low.unsqueeze(0)) > max_soil:
        raise ValueError(f"max_soil={max_soil} is below the darkest soil of the priors.")

    def draw(count):
        values = TruncatedNormal(mean, std, low, high).rsample((count,), generator=generator)
        if not codistribution:
            return values
        density = (values[:, lai] / high[lai]).unsqueeze(-1)
        start = low + density * (dense_low - low)
        stop = high + density * (dense_high - high)
        return start + (values - low) / (high - low) * (stop - start)

    values = draw(n)
    while max_soil is not None and len(bright := torch.nonzero(_soil(values) > max_soil)):
        values[bright[:, 0]] = draw(len(bright))
    return values


def _soil(values):
    """Return the largest reflectance of mixtures of the dry and the wet soil."""
    tables = load_tables()
    dry, wet = tables.dry_soil.max(), tables.wet_soil.max()
    dryness, brightness = values[:, -2:].unbind(-1)
    return brightness * (dryness * dry + (1 - dryness) * wet)


@set_module("sklearn_sits.physics")
def sample_geometry(
    n: int, generator: torch.Generator | None = None, sensor: str = "Sentinel-2A"
) -> Tensor:
    """Draw the angles under which a sensor sees the ground.

    Parameters
    ----------
    n : int
        Number of draws.
    generator : torch.Generator, default=None
        Random number generator. None uses the global generator of torch.
    sensor : str, default="Sentinel-2A"
        Name of the sensor. The ranges of sun and view zenith are 22.0-70.0 and 0-11.6 degrees for
        Sentinel-2, 15-75 and 0-7.5 for Landsat, 15-75 and 0-65 for MODIS, and 0-75 and 0-60 for
        any other name.

    Returns
    -------
    Tensor of shape (n, 3), float64
        Sun zenith, view zenith and relative azimuth (0-360) in degrees. The cosines of both
        zeniths and the azimuth are uniform.

    Examples
    --------
    >>> import torch
    >>> from sklearn_sits.physics import sample_geometry
    >>> geometry = sample_geometry(1000, torch.Generator().manual_seed(0))
    >>> sun_zenith, view_zenith, relative_azimuth = geometry.T
    >>> bool(sun_zenith.max() < 70.1) and bool(view_zenith.max() < 11.7)
    True
    """
    uniform = torch.rand(n, 3, dtype=torch.float64, generator=generator)
    cosines = _ZENITH_COSINES.get(sensor.partition("-")[0], _ANY_ZENITH_COSINES)
    bounds = torch.tensor(cosines, dtype=torch.float64)
    cosine = bounds[:, 0] + (bounds[:, 1] - bounds[:, 0]) * uniform[:, :2]
    return torch.cat([torch.rad2deg(torch.acos(cosine)), 360 * uniform[:, 2:]], dim=-1)

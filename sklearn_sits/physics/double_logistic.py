"""Vegetation index over a season: a double logistic of six parameters, and their distribution."""

from collections.abc import Mapping

import torch
from torch import Tensor

from sklearn_sits.physics.variables import Variable

__all__ = [
    "LAST_DAY",
    "PHENOLOGY",
    "PHENOLOGY_PRIORS",
    "double_logistic",
    "linearise",
    "sample_phenology",
]

_FIRST_DAY, LAST_DAY = -45.0, 410.0
PHENOLOGY = (
    Variable("minimum", "", -1.0, 1.0, "index out of season"),
    Variable("maximum", "", -1.0, 1.0, "index that the season tends to"),
    Variable("start_of_season", "day", _FIRST_DAY, LAST_DAY, "12 % of the growth is done"),
    Variable("maturity", "day", _FIRST_DAY, LAST_DAY, "88 % of the growth is done"),
    Variable("senescence", "day", _FIRST_DAY, LAST_DAY, "12 % of the decline is done"),
    Variable("end_of_season", "day", _FIRST_DAY, LAST_DAY, "88 % of the decline is done"),
)
# Uniform distributions. The parameters that follow one another are drawn by their differences.
PHENOLOGY_PRIORS = {
    "minimum": (0.0, 0.5),
    "amplitude": (0.1, 0.9),
    "start_of_season": (-45.0, 240.0),
    "growth": (10.0, 110.0),
    "plateau": (0.0, 140.0),
    "decline": (10.0, 130.0),
}
_HIGHEST_INDEX = 1.0
# Below this many days, growth and decline are a step.
_SHORTEST = 1.0
_DRAWS = 1000


def double_logistic(parameters: Tensor, days: Tensor) -> Tensor:
    """Compute the vegetation index over time.

    A logistic growth between the start of the season and maturity minus a logistic decline
    between senescence and the end of the season [1]_, each of which has 12 % of its course behind
    it at the first of its two dates and 88 % at the second.

    Parameters
    ----------
    parameters : Tensor of shape (..., 6)
        In the order and units of `PHENOLOGY`, the dates in ascending order.
    days : Tensor of shape (..., n_days)
        Dates in days, broadcast with the leading dimensions of `parameters`.

    Returns
    -------
    Tensor of shape (..., n_days)
        Below the maximum, which is not reached if senescence follows maturity closely, and above
        the minimum, but for a few percent of the amplitude where a slow decline follows closely.

    References
    ----------
    .. [1] Beck, P. S. A. et al. (2006). Improved monitoring of vegetation dynamics at very high
       latitudes: A new method using MODIS NDVI. Remote Sensing of Environment, 100(3), 321-334.
    """
    low, high, *dates = parameters.unsqueeze(-1).unbind(-2)
    growth = torch.sigmoid(_phase(*dates[:2], days)[0])
    decline = torch.sigmoid(_phase(*dates[2:], days)[0])
    return low + (high - low) * (growth - decline)


def _phase(first, last, days):
    """Return the argument of the logistic function, and how fast it grows."""
    rate = 4 / (last - first).clamp_min(_SHORTEST)
    return rate * (days - (first + last) / 2), rate


def linearise(parameters: Tensor, days: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the vegetation index and its derivatives.

    Parameters
    ----------
    parameters : Tensor of shape (..., 6)
        In the order and units of `PHENOLOGY`, the dates in ascending order.
    days : Tensor of shape (..., n_days)
        Dates in days, broadcast with the leading dimensions of `parameters`.

    Returns
    -------
    values : Tensor of shape (..., n_days)
        As of `double_logistic`.
    jacobian : Tensor of shape (..., 6, n_days)
        Derivatives with respect to the parameters, for a growth and a decline of a day at least.
    """
    low, high, *dates = parameters.unsqueeze(-1).unbind(-2)
    amplitude = high - low
    growth, by_growth = _moved(*dates[:2], days, amplitude)
    decline, by_decline = _moved(*dates[2:], days, -amplitude)
    season = growth - decline
    jacobian = torch.stack([1 - season, season, *by_growth, *by_decline], dim=-2)
    return low + amplitude * season, jacobian


def _moved(first, last, days, amplitude):
    """Return a logistic function, and what it changes by with its two dates."""
    phase, rate = _phase(first, last, days)
    share = torch.sigmoid(phase)
    # With respect to the middle of both dates, and to half of the time between them.
    middle = (share - share * share) * (-0.5 * amplitude * rate)
    half = middle * phase * 0.5
    return share, (middle - half, middle + half)


def sample_phenology(
    n: int,
    priors: Mapping[str, tuple[float, float]] = PHENOLOGY_PRIORS,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw seasons.

    Parameters
    ----------
    n : int
        Number of draws.
    priors : mapping of str to (float, float), default=PHENOLOGY_PRIORS
        Bounds of the uniform distributions of the minimum, of the amplitude (maximum minus
        minimum), of the start of the season, and of the days of growth (to maturity), plateau (to
        senescence) and decline (to the end of the season).
    generator : torch.Generator, default=None
        Source of random numbers.

    Returns
    -------
    Tensor of shape (n, 6), float64
        In the order and units of `PHENOLOGY`. What would exceed an index of 1, or end after day
        410, is drawn again.

    Raises
    ------
    ValueError
        If the priors are not those of all parameters, or nearly all draws exceed these limits.
    """
    if set(priors) != set(PHENOLOGY_PRIORS):
        raise ValueError(f"priors must name {list(PHENOLOGY_PRIORS)}, got {list(priors)}.")
    table = torch.tensor([priors[name] for name in PHENOLOGY_PRIORS], dtype=torch.float64)
    low, high = table.unbind(-1)

    def draw(count):
        uniform = torch.rand(count, 6, dtype=torch.float64, generator=generator)
        values = low + (high - low) * uniform
        return torch.cat([values[:, :2].cumsum(1), values[:, 2:].cumsum(1)], dim=1)

    values = draw(n)
    for _ in range(_DRAWS):
        bad = torch.nonzero((values[:, 1] > _HIGHEST_INDEX) | (values[:, 5] > LAST_DAY))[:, 0]
        if not len(bad):
            return values
        values[bad] = draw(len(bad))
    raise ValueError(
        f"priors allow next to no season with a maximum of at most {_HIGHEST_INDEX:g} that ends "
        f"by day {LAST_DAY:g}, got {dict(priors)}."
    )

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
# Bounds of uniform distributions. Each date is drawn as a difference from the date before it.
PHENOLOGY_PRIORS = {
    "minimum": (0.0, 0.5),
    "amplitude": (0.1, 0.9),
    "start_of_season": (-45.0, 240.0),
    "growth": (10.0, 110.0),
    "plateau": (0.0, 140.0),
    "decline": (10.0, 130.0),
}
_HIGHEST_INDEX = 1.0
# Growth and decline that are shorter, in days, count as this long.
_SHORTEST = 1.0
_DRAWS = 1000


def double_logistic(parameters: Tensor, days: Tensor) -> Tensor:
    """Compute the vegetation index over time.

    The index is a logistic growth from the start of the season to maturity minus a logistic
    decline from senescence to the end of the season [1]_. Each transition is 12 % complete at its
    first date and 88 % complete at its second.

    Parameters
    ----------
    parameters : Tensor of shape (..., 6)
        Parameters in the order and units of `PHENOLOGY`, with ascending dates.
    days : Tensor of shape (..., n_days)
        Dates in days. The leading dimensions broadcast with those of `parameters`.

    Returns
    -------
    Tensor of shape (..., n_days)
        Vegetation index. It stays below the maximum, and well below it if senescence follows
        maturity closely. It stays above the minimum, except that a slow decline soon after
        maturity can undershoot it by a few percent of the amplitude.

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
    """Return the argument of the logistic function and its derivative in time."""
    rate = 4 / (last - first).clamp_min(_SHORTEST)
    return rate * (days - (first + last) / 2), rate


def linearise(parameters: Tensor, days: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the vegetation index and its derivatives.

    Parameters
    ----------
    parameters : Tensor of shape (..., 6)
        Parameters in the order and units of `PHENOLOGY`, with ascending dates.
    days : Tensor of shape (..., n_days)
        Dates in days. The leading dimensions broadcast with those of `parameters`.

    Returns
    -------
    values : Tensor of shape (..., n_days)
        Vegetation index, see `double_logistic`.
    jacobian : Tensor of shape (..., 6, n_days)
        Derivatives with respect to the parameters. They are valid if growth and decline take at
        least a day.
    """
    low, high, *dates = parameters.unsqueeze(-1).unbind(-2)
    amplitude = high - low
    growth, by_growth = _moved(*dates[:2], days, amplitude)
    decline, by_decline = _moved(*dates[2:], days, -amplitude)
    season = growth - decline
    jacobian = torch.stack([1 - season, season, *by_growth, *by_decline], dim=-2)
    return low + amplitude * season, jacobian


def _moved(first, last, days, amplitude):
    """Return a logistic function and its derivatives with respect to its two dates."""
    phase, rate = _phase(first, last, days)
    share = torch.sigmoid(phase)
    # Derivatives with respect to the middle of both dates and to half of the time between them.
    middle = (share - share * share) * (-0.5 * amplitude * rate)
    half = middle * phase * 0.5
    return share, (middle - half, middle + half)


def sample_phenology(
    n: int,
    priors: Mapping[str, tuple[float, float]] = PHENOLOGY_PRIORS,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw the parameters of seasons.

    Parameters
    ----------
    n : int
        Number of draws.
    priors : mapping of str to (float, float), default=PHENOLOGY_PRIORS
        Bounds of the uniform distributions of the minimum, the amplitude (maximum minus
        minimum), the start of the season, and the lengths in days of growth (to maturity),
        plateau (to senescence) and decline (to the end of the season).
    generator : torch.Generator, default=None
        Random number generator. None uses the global generator of torch.

    Returns
    -------
    Tensor of shape (n, 6), float64
        Parameters in the order and units of `PHENOLOGY`. Seasons whose maximum exceeds 1 or that
        end after day 410 are drawn again.

    Raises
    ------
    ValueError
        If `priors` does not name every parameter, or nearly all draws exceed these limits.
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

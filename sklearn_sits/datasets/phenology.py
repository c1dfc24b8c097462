"""Simulated vegetation index series of one or two seasons."""

from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, Options

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import RandomState, validate_params
from sklearn_sits.datasets._observation import draw_clear
from sklearn_sits.datasets._random import generators
from sklearn_sits.physics.double_logistic import (
    PHENOLOGY_PRIORS,
    double_logistic,
    sample_phenology,
)

__all__ = ["make_phenology"]

_YEAR_DAYS = 365.0
_DRAWS = 1000


@validate_params(
    {
        "n_series": [Interval(Integral, 1, None, closed="left")],
        "n_dates": [Interval(Integral, 2, None, closed="left")],
        "gaps": [Interval(Real, 0, 1, closed="both")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "priors": [Mapping, None],
        "n_seasons": [Options(Integral, {1, 2})],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
@set_module("sklearn_sits.datasets")
def make_phenology(
    n_series: int = 1000,
    *,
    n_dates: int = 73,
    gaps: float = 0.6,
    noise: float = 0.03,
    priors: Mapping[str, tuple[float, float]] | None = None,
    n_seasons: int = 1,
    random_state: RandomState = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate vegetation index series of one year from double logistics.

    The curves are those of Beck et al. [1]_, with noise and with the gaps that clouds leave.

    Parameters
    ----------
    n_series : int, default=1000
        Number of series.
    n_dates : int, default=73
        Number of dates, spread evenly over 365 days. The default is one date every five days.
    gaps : float in [0, 1], default=0.6
        Share of the dates hidden by clouds, which persist over neighbouring dates. Every series
        keeps at least one date.
    noise : float, default=0.03
        Standard deviation of the noise.
    priors : mapping of str to (float, float) or None, default=None
        Bounds of the uniform distributions of the parameters. They replace those in
        `sklearn_sits.physics.double_logistic.PHENOLOGY_PRIORS`; parameters that are not named
        keep theirs.
    n_seasons : {1, 2}, default=1
        Seasons of the year. Two have the same minimum, and follow each other; each has half of
        the length of a single one, and its dates are drawn for half of the year.
    random_state : int, RandomState instance or None, default=None
        Seed of the data. With None the data differ from call to call. The global generators are
        never used.

    Returns
    -------
    X : ndarray of shape (n_series, n_dates, 2), float64
        Packed series: the day, from 0 to 365, and the index, which is NaN where hidden.
    y : ndarray of shape (n_series, 6 * n_seasons), float64
        Minimum and maximum of the index, then start of season, maturity, senescence and end of
        season in days, of each season.

    Raises
    ------
    InvalidParameterError
        If an argument has the wrong type or is out of range. It is a ValueError and a TypeError.
    ValueError
        If a prior is unknown, or the priors allow no season.

    References
    ----------
    .. [1] Beck, P. S. A. et al. (2006). Improved monitoring of vegetation dynamics at very high
       latitudes: A new method using MODIS NDVI. Remote Sensing of Environment, 100(3), 321-334.

    Examples
    --------
    >>> from sklearn_sits.datasets import make_phenology
    >>> X, y = make_phenology(100, random_state=0)
    >>> X.shape, y.shape
    ((100, 73, 2), (100, 6))
    """
    priors = {} if priors is None else dict(priors)
    unknown = [name for name in priors if name not in PHENOLOGY_PRIORS]
    if unknown:
        raise ValueError(f"priors must be among {list(PHENOLOGY_PRIORS)}, got {unknown}.")
    season_rng, cloud_rng, noise_rng = generators(random_state, 3)
    generator = torch.Generator().manual_seed(int(season_rng.integers(2**63)))
    draw = sample_phenology if n_seasons == 1 else _sample_two
    parameters = draw(n_series, PHENOLOGY_PRIORS | priors, generator)
    days = np.arange(n_dates) * (_YEAR_DAYS / n_dates)
    X = np.empty((n_series, n_dates, 2))
    X[..., 0] = days
    at = torch.from_numpy(days)
    seasons = parameters.split(6, dim=1)
    index = sum(double_logistic(season, at) - season[:, :1] for season in seasons)
    X[..., 1] = (parameters[:, :1] + index).numpy()
    X[..., 1] += noise * noise_rng.standard_normal((n_series, n_dates))
    looks = np.ones((n_series, n_dates), dtype=bool)
    slots = np.broadcast_to(np.arange(n_dates), looks.shape)
    with np.errstate(divide="ignore"):
        clear = draw_clear(np.full(n_series, gaps), slots, looks, n_dates, cloud_rng)
    X[~clear, 1] = np.nan
    return X, parameters.numpy()


def _sample_two(n, priors, generator):
    """Draw the parameters of two seasons of a year, (n, 12)."""

    def draw(count):
        first, second = sample_phenology(2 * count, priors, generator).chunk(2)
        second[:, :2] += first[:, :1] - second[:, :1]
        first[:, 2:] /= 2
        second[:, 2:] = (second[:, 2:] + _YEAR_DAYS) / 2
        return torch.cat([first, second], dim=1)

    values = draw(n)
    for _ in range(_DRAWS):
        bad = torch.nonzero((values[:, 7] > 1) | (values[:, 8] < values[:, 5]))[:, 0]
        if not len(bad):
            return values
        values[bad] = draw(len(bad))
    raise ValueError(
        f"priors allow next to no two seasons of a year that follow each other, got {priors}."
    )

"""Simulated reflectances of canopies with known traits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import RandomState, validate_params
from sklearn_sits.datasets._random import generators
from sklearn_sits.physics import (
    CANOPY_TYPES,
    DERIVED_TRAITS,
    SIMULATION_PRIORS,
    VARIABLES,
    Prior,
    Prosail,
    Sensor,
    sample_variables,
)
from sklearn_sits.physics.canopy_types import MIXTURE, sample_mixture

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["make_prosail"]

_NAMES = [variable.name for variable in VARIABLES]
_ANGLES = ["sun_zenith", "view_zenith", "relative_azimuth"]


@overload
def make_prosail(
    n_samples: int = 1000,
    *,
    sensor: str | Sensor = "Sentinel-2A",
    bands: Sequence[str] | None = None,
    variables: str | Mapping[str, Prior] = "paper",
    targets: Sequence[str] = ("LAI", "Cab", "CCC", "CWC"),
    noise: float = 0.01,
    codistribution: bool = True,
    as_frame: Literal[False] = False,
    random_state: RandomState = None,
) -> tuple[np.ndarray, np.ndarray]: ...


@overload
def make_prosail(
    n_samples: int = 1000,
    *,
    sensor: str | Sensor = "Sentinel-2A",
    bands: Sequence[str] | None = None,
    variables: str | Mapping[str, Prior] = "paper",
    targets: Sequence[str] = ("LAI", "Cab", "CCC", "CWC"),
    noise: float = 0.01,
    codistribution: bool = True,
    as_frame: Literal[True],
    random_state: RandomState = None,
) -> tuple[pd.DataFrame, pd.DataFrame]: ...


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "sensor": [str, Sensor],
        "bands": ["array-like", None],
        "variables": [StrOptions({"paper", "mixed", *CANOPY_TYPES}), Mapping],
        "targets": ["array-like"],
        "noise": [Interval(Real, 0, None, closed="left")],
        "codistribution": ["boolean"],
        "as_frame": ["boolean"],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
@set_module("sklearn_sits.datasets")
def make_prosail(
    n_samples: int = 1000,
    *,
    sensor: str | Sensor = "Sentinel-2A",
    bands: Sequence[str] | None = None,
    variables: str | Mapping[str, Prior] = "paper",
    targets: Sequence[str] = ("LAI", "Cab", "CCC", "CWC"),
    noise: float = 0.01,
    codistribution: bool = True,
    as_frame: bool = False,
    random_state: RandomState = None,
) -> tuple[np.ndarray, np.ndarray] | tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate the reflectances of canopies with known traits by PROSAIL.

    By default the leaf, canopy and soil variables follow the distributions in [1]_, without the
    soils that would reflect more light than they receive. The sun and view angles are those of the
    sensor. A regression can train on these data without any field measurement.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of canopies.
    sensor : str or Sensor, default="Sentinel-2A"
        Name of a sensor in `sklearn_sits.physics.SENSORS`, or a sensor of your own.
    bands : sequence of str or None, default=None
        Names of its bands. None selects the bands designed for the land surface.
    variables : str or mapping of str to Prior, default="paper"
        Distributions of the variables. "paper" takes them from [1]_; a mapping replaces the
        distributions of the variables that it names. The name of a type of canopy in
        `sklearn_sits.physics.CANOPY_TYPES` takes those of that type, and "mixed" those of the
        mixture on which :class:`~sklearn_sits.ProsailVAERegressor` trains.
    targets : sequence of str, default=("LAI", "Cab", "CCC", "CWC")
        Columns of y. They may be variables (N, Cab, Car, Cbrown, Cw, Cm, LAI, ALA, hspot, psoil,
        rsoil), contents of the canopy per ground area, which are chlorophyll CCC = LAI x Cab
        (µg/cm²), water CWC = LAI x Cw and dry matter CDMC = LAI x Cm (g/cm²), or the fractions
        fAPAR (in direct sunlight) and fCover.
    noise : float, default=0.01
        Largest standard deviation of the noise in reflectance. The standard deviation of each
        sample is drawn uniformly between zero and this value.
    codistribution : bool, default=True
        Whether the ranges of the other variables narrow as the LAI grows.
    as_frame : bool, default=False
        Whether to return data frames with the names of bands, angles and targets.
    random_state : int, RandomState instance or None, default=None
        Seed of the data. With None the data differ from call to call. The global generators are
        never used.

    Returns
    -------
    X : ndarray or DataFrame of shape (n_samples, n_bands + 3), float64
        Reflectances, then sun zenith, view zenith and relative azimuth in degrees. Some
        reflectances of dark canopies are negative because of the noise.
    y : ndarray or DataFrame of shape (n_samples, n_targets), float64
        Traits without noise.

    Raises
    ------
    InvalidParameterError
        If an argument has the wrong type or is out of range. It is a ValueError and a TypeError.
    ValueError
        If a sensor, band, variable or target is unknown.
    ImportError
        If `as_frame=True` and pandas is not installed.

    References
    ----------
    .. [1] Zérah, Valero and Inglada, "Physics-constrained deep learning for biophysical parameter
       retrieval from Sentinel-2 images", Remote Sensing of Environment 312, 2024.

    Examples
    --------
    >>> from sklearn_sits.datasets import make_prosail
    >>> X, y = make_prosail(100, targets=["LAI"], random_state=0)
    >>> X.shape, y.shape
    ((100, 13), (100, 1))
    """
    known = [*_NAMES, *DERIVED_TRAITS]
    targets = list(targets)
    unknown = [target for target in targets if target not in known]
    if unknown or not targets:
        raise ValueError(f"targets must be among {known}, got {unknown or 'none'}.")
    tables = _list_tables(variables)
    model = Prosail(sensor, bands)
    (rng,) = generators(random_state, 1)
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))

    def sample(n, priors):
        return sample_variables(
            n, priors, codistribution=codistribution, max_soil=1.0, generator=generator
        )

    canopy = sample_mixture(sample, n_samples, tables, generator)
    geometry = model.sample_geometry(n_samples, generator)
    with torch.no_grad():
        X = torch.cat([model(canopy, geometry), geometry], dim=1).numpy()
        columns = [
            DERIVED_TRAITS[target].compute(model, canopy, geometry)
            if target in DERIVED_TRAITS
            else canopy[:, _NAMES.index(target)]
            for target in targets
        ]
    y = torch.stack(columns, dim=1).numpy()
    size = rng.uniform(0, noise, size=(n_samples, 1))
    X[:, :-3] += size * rng.standard_normal((n_samples, X.shape[1] - 3))
    if as_frame:
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("as_frame=True needs pandas: pip install pandas.") from error
        X = pd.DataFrame(X, columns=[*model.sensor.bands, *_ANGLES])
        y = pd.DataFrame(y, columns=targets)
    return X, y


def _list_tables(variables):
    """Return the distributions of which each has an equal share of the canopies."""
    if isinstance(variables, str):
        if variables == "mixed":
            return [CANOPY_TYPES[name] for name in MIXTURE]
        return [SIMULATION_PRIORS if variables == "paper" else CANOPY_TYPES[variables]]
    unknown = [name for name in variables if name not in _NAMES]
    if unknown:
        raise ValueError(f"variables must be among {_NAMES}, got {unknown}.")
    return [SIMULATION_PRIORS | variables]

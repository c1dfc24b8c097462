"""Trait retrieval that is ready to use."""

from importlib.resources import files

import numpy as np

from sklearn_sits._module_names import set_module
from sklearn_sits.traits.prosail_vae import ProsailVAERegressor

__all__ = ["load_prosail_vae"]

_ALL = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
_BAND_SETS = (_ALL, ("B2", "B3", "B4", "B8"), ("B3", "B4", "B8A", "B11"))
SHIPPED = tuple((f"Sentinel-2{unit}", bands) for unit in "AB" for bands in _BAND_SETS)
# How the weights were made.
_PARAMETERS = {
    "objective": "simulations",
    "n_simulations": 300_000,
    "pretrain_iter": 15_000,
    "random_state": 0,
}


@set_module("sklearn_sits")
def load_prosail_vae(sensor="Sentinel-2A", bands=None, *, targets="LAI", time_scale=None):
    """Load a :class:`ProsailVAERegressor` that was trained on simulations.

    It needs no training and no data: reflectances and angles in, traits with their uncertainty
    out. The weights are part of the package, made by
    ``python -m sklearn_sits.traits._build_weights``.

    Parameters
    ----------
    sensor : {"Sentinel-2A", "Sentinel-2B"}, default="Sentinel-2A"
        Sensor of the reflectances.
    bands : sequence of str or None, default=None
        B2 B3 B4 B8 (10 m), B3 B4 B8A B11, or None for all ten that look at the land surface.
    targets : str or sequence of str, default="LAI"
        What `predict` returns, see :class:`ProsailVAERegressor`.
    time_scale : float or None, default=None
        Days in which traits change, see :class:`ProsailVAERegressor`.

    Returns
    -------
    model : ProsailVAERegressor
        Fitted estimator.

    Raises
    ------
    ValueError
        If there are no weights for the sensor and bands.

    Examples
    --------
    >>> from sklearn_sits import load_prosail_vae
    >>> from sklearn_sits.datasets import make_prosail
    >>> X, y = make_prosail(500, targets=["LAI"], random_state=0)
    >>> lai, std = load_prosail_vae().predict(X, return_std=True)
    >>> bool(load_prosail_vae().score(X, y[:, 0]) > 0.7)
    True
    """
    bands = _ALL if bands is None else tuple(bands)
    if (sensor, bands) not in SHIPPED:
        raise ValueError(
            f"There are no weights for the bands {' '.join(bands)} of {sensor!r}. There are: "
            + "; ".join(f"{name} {' '.join(others)}" for name, others in SHIPPED)
            + "."
        )
    with (
        files("sklearn_sits.traits")
        .joinpath("weights", file_name(sensor, bands))
        .open("rb") as file
    ):
        with np.load(file, allow_pickle=False) as arrays:
            state = dict(arrays)
    model = new_model(sensor, bands)
    return model.set_params(targets=targets, time_scale=time_scale)._load_state(state)


def new_model(sensor, bands):
    """Make the estimator whose fit gives the weights.

    Parameters
    ----------
    sensor : str
        Name of the sensor.
    bands : tuple of str
        Its bands.

    Returns
    -------
    model : ProsailVAERegressor
        Not fitted.
    """
    return ProsailVAERegressor(sensor=sensor, bands=None if bands == _ALL else bands, **_PARAMETERS)


def file_name(sensor, bands):
    """Return the name of a file of weights.

    Parameters
    ----------
    sensor : str
        Name of the sensor.
    bands : tuple of str
        Its bands.

    Returns
    -------
    name : str
    """
    return "-".join([sensor, *([] if bands == _ALL else bands)]) + ".npz"

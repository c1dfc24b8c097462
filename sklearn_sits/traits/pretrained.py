"""Trait retrieval that is ready to use."""

from importlib.resources import files
from typing import NamedTuple

import numpy as np

from sklearn_sits._module_names import set_module
from sklearn_sits.physics import SENSORS
from sklearn_sits.series.channel_names import match_names, suggest
from sklearn_sits.traits.prosail_vae import ProsailVAERegressor

__all__ = ["load_prosail_vae"]

_ALL = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
_BAND_SETS = (_ALL, ("B2", "B3", "B4", "B8"), ("B3", "B4", "B8A", "B11"))
# How the weights were made.
_PARAMETERS = {
    "objective": "simulations",
    "n_simulations": 300_000,
    "pretrain_iter": 15_000,
    "random_state": 0,
}


class TrainedSensor(NamedTuple):
    """A sensor and its bands, with weights in a file of the package.

    Parameters
    ----------
    sensor : str
        Name of the sensor.
    bands : tuple of str
        Its bands.
    """

    sensor: str
    bands: tuple

    @property
    def file_name(self):
        """Name of the file of weights."""
        return "-".join([self.sensor, *([] if self.bands == _ALL else self.bands)]) + ".npz"

    def make_model(self):
        """Make the estimator whose fit gives the weights.

        Returns
        -------
        model : ProsailVAERegressor
            Not fitted.
        """
        bands = None if self.bands == _ALL else self.bands
        return ProsailVAERegressor(sensor=self.sensor, bands=bands, **_PARAMETERS)


SHIPPED = tuple(TrainedSensor(f"Sentinel-2{unit}", bands) for unit in "AB" for bands in _BAND_SETS)


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
        B2 B3 B4 B8 (10 m), B3 B4 B8A B11, or None for all ten that look at the land surface. B02
        means B2. The order is that of the columns of X.
    targets : str or sequence of str, default="LAI"
        Traits that `predict` returns, see :class:`ProsailVAERegressor`.
    time_scale : float or None, default=None
        Days in which traits change, see :class:`ProsailVAERegressor`.

    Returns
    -------
    model : ProsailVAERegressor
        Fitted estimator.

    Raises
    ------
    ValueError
        If there are no weights for the sensor and bands in this order, or a target is unknown.

    Examples
    --------
    >>> from sklearn_sits import load_prosail_vae
    >>> from sklearn_sits.datasets import make_prosail
    >>> X, y = make_prosail(500, targets=["LAI"], random_state=0)
    >>> lai, std = load_prosail_vae().predict(X, return_std=True)
    >>> bool(load_prosail_vae().score(X, y[:, 0]) > 0.7)
    True
    """
    trained = _find(sensor, bands)
    with files("sklearn_sits.traits").joinpath("weights", trained.file_name).open("rb") as file:
        with np.load(file, allow_pickle=False) as arrays:
            state = dict(arrays)
    model = trained.make_model()
    return model.set_params(targets=targets, time_scale=time_scale)._load_state(state)


def _find(sensor, bands):
    """Return the weights of a sensor and bands, or say what else to do."""
    if isinstance(bands, str):
        raise ValueError(f"bands must be a sequence of names or None, got {bands!r}.")
    if sensor not in SENSORS:
        raise ValueError(
            f"sensor must be one of {', '.join(SENSORS)}, got {sensor!r}.{suggest(sensor, SENSORS)}"
        )
    of_sensor = [one for one in SHIPPED if one.sensor == sensor]
    wanted = _ALL if bands is None else tuple(bands)
    for one in of_sensor:
        try:
            positions = match_names(one.bands, wanted, what="bands", sensor=sensor)
        except ValueError:
            continue
        if positions == list(range(len(wanted))):
            return one
        if positions is not None and len(positions) == len(wanted):
            raise ValueError(
                f"bands must have the order {' '.join(one.bands)} of the weights, got "
                f"{' '.join(wanted)}. Use bands={list(one.bands)}, and order the columns of X "
                "like this; those of a table may have any order."
            )
    chosen = "" if bands is None else f", bands={list(bands)}"
    raise ValueError(
        "There are no weights for "
        + ("" if bands is None else f"the bands {' '.join(wanted)} of ")
        + f"{sensor}, only for "
        + "; ".join(f"{one.sensor} {' '.join(one.bands)}" for one in of_sensor or SHIPPED)
        + ". Fit a model of your own: "
        f"ProsailVAERegressor(sensor={sensor!r}{chosen}, objective='simulations').fit(X)."
    )

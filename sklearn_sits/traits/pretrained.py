"""Trait retrieval that is ready to use."""

from importlib.resources import files
from typing import NamedTuple

import numpy as np

from sklearn_sits._module_names import set_module
from sklearn_sits.physics import SENSORS, Sensor
from sklearn_sits.traits.prosail_vae import ProsailVAERegressor

__all__ = ["load_prosail_vae"]

# Bands of Sentinel-2 beside those that look at the land surface, all of them: the 10 m bands, some
# for water, and those of the biophysical processor of SNAP.
_SENTINEL2_BANDS = (
    ("B2", "B3", "B4", "B8"),
    ("B3", "B4", "B8A", "B11"),
    ("B3", "B4", "B5", "B6", "B7", "B8A", "B11", "B12"),
)
# How the weights were made.
_PARAMETERS = {
    "objective": "simulations",
    "n_simulations": 200_000,
    "pretrain_iter": 8_000,
    "random_state": 0,
}


class TrainedSensor(NamedTuple):
    """A sensor and its bands, with weights in a file of the package.

    Parameters
    ----------
    sensor : str
        Name of the sensor.
    bands : tuple of str or None
        Its bands. None for all that look at the land surface.
    """

    sensor: str
    bands: tuple | None

    @property
    def file_name(self):
        """Name of the file of weights."""
        return "-".join([self.sensor, *(self.bands or ())]) + ".npz"

    def make_model(self):
        """Make the estimator whose fit gives the weights.

        Returns
        -------
        model : ProsailVAERegressor
            Not fitted.
        """
        return ProsailVAERegressor(sensor=self.sensor, bands=self.bands, **_PARAMETERS)


SHIPPED = tuple(
    TrainedSensor(sensor, bands)
    for sensor in SENSORS
    for bands in (None, *(_SENTINEL2_BANDS if sensor.startswith("Sentinel-2") else ()))
)


@set_module("sklearn_sits")
def load_prosail_vae(sensor="Sentinel-2A", bands=None, *, targets="LAI", time_scale=None):
    """Load a :class:`ProsailVAERegressor` that was trained on simulations.

    It needs no training and no data: reflectances and angles in, traits with their uncertainty
    out. The weights are part of the package, made by
    ``python -m sklearn_sits.traits._build_weights``.

    Parameters
    ----------
    sensor : str, default="Sentinel-2A"
        Sensor of the reflectances, one of `sklearn_sits.physics.SENSORS`.
    bands : sequence of str or None, default=None
        None for all bands that look at the land surface, which are ten of Sentinel-2 and B1 to B7
        of Landsat and MODIS. For Sentinel-2 also B2 B3 B4 B8 (10 m), B3 B4 B8A B11, or
        B3 B4 B5 B6 B7 B8A B11 B12 (those of SNAP's biophysical processor).
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
    if bands is not None:
        bands = tuple(bands)
        if sensor in SENSORS and bands == Sensor.load(sensor).bands:
            bands = None
    trained = TrainedSensor(sensor, bands)
    if trained not in SHIPPED:
        wanted = "" if bands is None else f"the bands {' '.join(bands)} of "
        known = "; ".join(f"{name} {' '.join(some or ['(all)'])}" for name, some in SHIPPED)
        raise ValueError(
            f"There are no weights for {wanted}{sensor!r}. There are: {known}. For others, fit "
            "ProsailVAERegressor(sensor=..., bands=..., objective='simulations')."
        )
    with files("sklearn_sits.traits").joinpath("weights", trained.file_name).open("rb") as file:
        with np.load(file, allow_pickle=False) as arrays:
            state = dict(arrays)
    model = trained.make_model()
    return model.set_params(targets=targets, time_scale=time_scale)._load_state(state)

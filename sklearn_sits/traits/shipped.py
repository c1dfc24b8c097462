"""Files of weights that come with the package."""

from importlib.resources import files
from typing import NamedTuple

import numpy as np
import torch

from sklearn_sits.physics import SENSORS, Sensor
from sklearn_sits.series.channel_names import to_band_name

__all__ = ["SHIPPED", "TrainedSensor", "read_encoder", "read_state"]

# Bands of Sentinel-2 beside those that look at the land surface, all of them: the 10 m bands, some
# for water, and those of the biophysical processor of SNAP.
_SENTINEL2_BANDS = (
    ("B2", "B3", "B4", "B8"),
    ("B3", "B4", "B8A", "B11"),
    ("B3", "B4", "B5", "B6", "B7", "B8A", "B11", "B12"),
)
_ENCODER = "encoder."
# Parameters of an estimator that its weights depend on, beside the sensor and its bands.
_FIXED = ("priors", "geometry", "noise", "n_hidden", "n_blocks", "decoder")


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

    @classmethod
    def find(cls, sensor, bands):
        """Find the weights of bands in any notation of "all".

        Parameters
        ----------
        sensor : str
            Name of the sensor.
        bands : sequence of str or None
            Its bands.

        Returns
        -------
        trained : TrainedSensor or None
            None if there are no weights.
        """
        bands = None if bands is None else tuple(map(to_band_name, bands))
        if sensor in SENSORS and bands == Sensor.load(sensor).bands:
            bands = None
        trained = cls(sensor, bands)
        return trained if trained in SHIPPED else None

    def list_bands(self):
        """List the bands by name.

        Returns
        -------
        bands : tuple of str
        """
        return Sensor.load(self.sensor).bands if self.bands is None else self.bands

    @property
    def file_name(self):
        """Name of the file of weights."""
        return "-".join([self.sensor, *(self.bands or ())]) + ".npz"


SHIPPED = tuple(
    TrainedSensor(sensor, bands)
    for sensor in SENSORS
    for bands in (None, *(_SENTINEL2_BANDS if sensor.startswith("Sentinel-2") else ()))
)


def read_state(trained):
    """Read the state of a fitted estimator.

    Parameters
    ----------
    trained : TrainedSensor
        Sensor and bands.

    Returns
    -------
    state : dict of str to ndarray
    """
    with files("sklearn_sits.traits").joinpath("weights", trained.file_name).open("rb") as file:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)


def read_encoder(estimator):
    """Read the encoder from which an estimator can start.

    Parameters
    ----------
    estimator : ProsailVAERegressor
        Estimator whose parameters have to be those of the weights.

    Returns
    -------
    state : dict of str to tensor

    Raises
    ------
    ValueError
        If there are no weights for its parameters.
    """
    if estimator.objective == "simulations":
        raise ValueError(
            "init='shipped' leaves nothing to train with objective='simulations': use "
            "load_prosail_vae."
        )
    trained = TrainedSensor.find(estimator.sensor, estimator.bands)
    if trained is None:
        raise ValueError(
            f"init='shipped' needs a sensor and bands with weights, got {estimator.sensor!r} and "
            f"bands={estimator.bands}. See load_prosail_vae."
        )
    default = type(estimator)()
    different = [
        f"{name}={getattr(default, name)!r}, got {getattr(estimator, name)!r}"
        for name in _FIXED
        if not _is_equal(getattr(estimator, name), getattr(default, name))
    ]
    if different:
        raise ValueError(f"init='shipped' needs {'; '.join(different)}.")
    state = read_state(trained)
    return {
        name.removeprefix(_ENCODER): torch.from_numpy(value)
        for name, value in state.items()
        if name.startswith(_ENCODER)
    }


def _is_equal(value, default):
    return type(value) is type(default) and value == default

"""Trait retrieval that is ready to use."""

from collections.abc import Sequence

from sklearn_sits._module_names import set_module
from sklearn_sits.physics import SENSORS, Sensor
from sklearn_sits.series.channel_names import match_names, suggest
from sklearn_sits.traits.prosail_vae import ProsailVAERegressor
from sklearn_sits.traits.shipped import SHIPPED, read_state

__all__ = ["load_prosail_vae", "make_model"]

# How the weights were made.
_PARAMETERS = {"objective": "simulations", "random_state": 0}


def make_model(trained):
    """Make the estimator whose fit gives the weights.

    Parameters
    ----------
    trained : TrainedSensor
        Sensor and bands.

    Returns
    -------
    model : ProsailVAERegressor
        Not fitted.
    """
    return ProsailVAERegressor(sensor=trained.sensor, bands=trained.bands, **_PARAMETERS)


@set_module("sklearn_sits")
def load_prosail_vae(
    sensor: str = "Sentinel-2A",
    bands: Sequence[str] | None = None,
    *,
    targets: str | Sequence[str] = "LAI",
    time_scale: float | None = None,
) -> ProsailVAERegressor:
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
        B3 B4 B5 B6 B7 B8A B11 B12 (those of SNAP's biophysical processor). B02 means B2. The order
        is that of the columns of X.
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
    >>> bool(load_prosail_vae().score(X, y[:, 0]) > 0.6)
    True
    """
    trained = _find(sensor, bands)
    model = make_model(trained).set_params(targets=targets, time_scale=time_scale)
    return model._load_state(read_state(trained))


def _find(sensor, bands):
    """Return the weights of a sensor and bands, or say what else to do."""
    if isinstance(bands, str):
        raise ValueError(f"bands must be a sequence of names or None, got {bands!r}.")
    if sensor not in SENSORS:
        raise ValueError(
            f"sensor must be one of {', '.join(SENSORS)}, got {sensor!r}.{suggest(sensor, SENSORS)}"
        )
    of_sensor = [one for one in SHIPPED if one.sensor == sensor]
    wanted = Sensor.load(sensor).bands if bands is None else tuple(bands)
    for one in of_sensor:
        try:
            positions = match_names(one.list_bands(), wanted, what="bands", sensor=sensor)
        except ValueError:
            continue
        if positions == list(range(len(wanted))):
            return one
        if positions is not None and len(positions) == len(wanted):
            known = one.list_bands()
            raise ValueError(
                f"bands must have the order {' '.join(known)} of the weights, got "
                f"{' '.join(wanted)}. Use bands={list(known)}, and order the columns of X "
                "like this; those of a table may have any order."
            )
    chosen = "" if bands is None else f", bands={list(bands)}"
    raise ValueError(
        "There are no weights for "
        + ("" if bands is None else f"the bands {' '.join(wanted)} of ")
        + f"{sensor}, only for "
        + "; ".join(" ".join(one.list_bands()) for one in of_sensor)
        + ". Fit a model of your own: "
        f"ProsailVAERegressor(sensor={sensor!r}{chosen}, objective='simulations').fit(X)."
    )

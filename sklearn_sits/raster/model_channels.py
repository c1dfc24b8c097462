"""The bands and layers that a model needs, found in a cube by their names."""

from sklearn_sits._extras import import_extra
from sklearn_sits.series.channel_names import match_names

__all__ = ["find_channels"]


def find_channels(estimator, cube, bands, static):
    """Bring bands and static layers into the order of a model that knows their names.

    Parameters
    ----------
    estimator : estimator instance
        Fitted estimator. One with `sensor_` and `feature_names_in_`, or a search or pipeline that
        starts with it, knows the names of its channels.
    cube, bands, static
        See :func:`~sklearn_sits.raster.predict_raster`.

    Returns
    -------
    bands, static
        In the order of the model. As given if the model or the cube has no names, or all names
        are others.

    Raises
    ------
    ValueError
        If the cube lacks a band or an angle of the model, or a channel too many is named.
    """
    xr = import_extra("xarray")
    model = _first_step(estimator)
    sensor = getattr(model, "sensor_", None)
    names = getattr(model, "feature_names_in_", None)
    if sensor is None or names is None or not isinstance(cube, xr.DataArray | xr.Dataset):
        return bands, static
    angles = [name for name in names if name not in sensor.bands]
    if len(angles) + len(sensor.bands) != len(names):
        return bands, static
    static = _find_layers(angles, cube, static, xr) if angles else static
    found = _list_bands(cube, bands, static)
    positions = match_names(
        sensor.bands, found, what="cube" if bands is None else "bands", sensor=sensor.name
    )
    if positions is None:
        return bands, static
    if bands is not None and len(found) > len(positions):
        raise ValueError(
            f"bands names {', '.join(map(str, found))}, but the model has the bands "
            f"{', '.join(sensor.bands)}. bands=None takes those."
        )
    return [found[i] for i in positions], static


def _first_step(estimator):
    """Return the estimator inside searches and pipelines that receives the series."""
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif hasattr(estimator, "steps"):
            estimator = estimator.steps[0][1]
        else:
            return estimator


def _list_bands(cube, bands, static):
    if bands is not None:
        return [bands] if isinstance(bands, str) else list(bands)
    if hasattr(cube, "data_vars"):
        used = {item for item in _to_list(static) if isinstance(item, str)}
        return [name for name in cube.data_vars if name not in used]
    return cube["band"].values.tolist() if "band" in cube.coords and cube["band"].ndim else []


def _to_list(static):
    if static is None:
        return []
    # A Dataset or an array would be taken apart.
    return list(static) if isinstance(static, list | tuple) else [static]


def _find_layers(angles, cube, static, xr):
    """Return static layers in the order of the angles."""
    if static is None:
        variables = cube.data_vars if isinstance(cube, xr.Dataset) else ()
        found = [*variables, *(name for name in cube.coords if name not in cube.dims)]
        positions = match_names(angles, found, what="static")
        if positions is None:
            raise ValueError(
                f"static is None, and cube has no variables or coordinates {', '.join(angles)}, "
                "which the model needs. Give them in static, for example as a Dataset."
            )
        return [found[i] for i in positions]
    layers = []
    for item in _to_list(static):
        if isinstance(item, xr.Dataset):
            layers += item.data_vars.items()
        else:
            layers.append((getattr(item, "name", item), item))
    positions = match_names(angles, [name for name, _ in layers], what="static")
    if positions is None:
        return static
    if len(layers) > len(positions):
        raise ValueError(
            f"static has the layers {', '.join(str(name) for name, _ in layers)}, but the model "
            f"has {', '.join(angles)} only. Leave the others out."
        )
    return [layers[i][1] for i in positions]

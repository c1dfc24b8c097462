"""The form of the prediction of a pixel, found before any pixel is predicted."""

from typing import Any, NamedTuple

import numpy as np

from sklearn_sits._warnings import collect_warnings

__all__ = ["RasterOutput", "describe_output", "encode_labels", "predict_series"]

# Values of an invented series: plausible as reflectance in 0-1, and as an angle in degrees.
_PROBE_REFLECTANCE, _PROBE_ANGLE = 0.1, 30.0
# Names of the parts of a tuple, by method.
_PART_NAMES = {"predict_interval": ["lower", "upper"]}


class RasterOutput(NamedTuple):
    """The form of the map that one method of an estimator gives.

    Parameters
    ----------
    method : str
        Name of the method.
    kwargs : dict
        Its keyword arguments.
    dims : tuple of str
        Dimensions after row and column, in the order of the predicted arrays: "time" if there is
        a value per date, then one of "class", "target" and "feature" if there are several
        columns, then "statistic" if the method returns a tuple.
    shape : tuple of int
        Their sizes.
    coords : dict
        Coordinates along them, without time.
    dtype : numpy.dtype
        Type of the map.
    nodata : number
        Value of pixels that are not predicted.
    codes : ndarray or None
        Class labels, if the map holds their positions in this array.
    name : str
        Name of the map.
    attrs : dict
        Legend, and nodata if it is an integer.
    """

    method: str
    kwargs: dict
    dims: tuple
    shape: tuple
    coords: dict
    dtype: np.dtype
    nodata: Any
    codes: Any
    name: str
    attrs: dict


def describe_output(estimator, method, return_std, days, n_bands, n_extras):
    """Describe the map of a method, by calling it on an invented series.

    Parameters
    ----------
    estimator : estimator instance
        Fitted estimator.
    method : str
        Name of the method.
    return_std : bool
        Whether it is called with `return_std=True`.
    days : ndarray of shape (n_dates,)
        Dates.
    n_bands, n_extras : int
        Number of bands and of other channels.

    Returns
    -------
    output : RasterOutput

    Raises
    ------
    ValueError
        If the estimator has no such method, was fitted on other channels, classifies several
        targets, or returns arrays whose shape or type does not make a map.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    """
    if not callable(getattr(estimator, method, None)):
        raise ValueError(f"method={method!r}: {type(estimator).__name__} has no such method.")
    kwargs = {"return_std": True} if return_std else {}

    def predict(days):
        # Warnings about the invented values are of no use.
        with collect_warnings():
            return getattr(estimator, method)(_make_probe(days, n_bands, n_extras), **kwargs)

    values = predict(days)
    parts = values if isinstance(values, tuple) else (values,)
    values = np.asarray(parts[0])
    n_dates = len(days)
    per_date = values.ndim > 1 and values.shape[1] == n_dates
    if per_date:
        # With one more date, values per date differ from features of the same number.
        longer = np.append(days, days[-1])
        try:
            more = predict(longer)
            more = more[0] if isinstance(more, tuple) else more
            per_date = np.shape(more)[1] == n_dates + 1
        except ValueError:
            # It needs the number of dates of the fit, and turns them into features.
            per_date = False
    columns = values.shape[1 + per_date :]
    if len(columns) > 1:
        raise ValueError(
            f"method={method!r} returns an array of shape {values.shape} for a series of "
            f"{n_dates} dates, which makes no map."
        )
    classes = getattr(estimator, "classes_", None)
    if method == "predict" and isinstance(classes, list):
        raise ValueError("estimator has several targets of classes, one map cannot hold them.")
    labels = classes if method == "predict" and classes is not None else None
    dtype, nodata, codes, attrs = _encoding(values.dtype, labels, method)

    last = _last_step(estimator)
    flags = getattr(last, "quality_flags_", {}) if method == "quality" else {}
    if flags:
        # A pixel that is not predicted has a flag, too.
        nodata = dtype.type(flags.get("not_observed", 0))
        attrs = {
            "flag_masks": np.array(list(flags.values()), dtype=dtype),
            "flag_meanings": " ".join(flags),
        }
    dims, shape, coords = [], [], {}
    has_targets = method in ("predict", "predict_interval")
    targets = getattr(last, "targets", None) if has_targets else None
    units = getattr(last, "units_", {}) if has_targets or method == "transform" else {}
    if per_date:
        dims, shape = ["time"], [n_dates]
    if columns:
        if isinstance(targets, str):
            # One name stands for several targets: all that have a unit.
            targets = list(units)
        dim, names = _columns(estimator, method, classes, targets, columns[0])
        dims.append(dim)
        shape.append(columns[0])
        coords[dim] = (dim, names)
        if all(str(name) in units for name in names):
            coords["units"] = (dim, [units[str(name)] for name in names])
    elif isinstance(targets, str) and targets in units:
        attrs["units"] = units[targets]
    if len(parts) > 1:
        names = _PART_NAMES.get(method, ["mean", "std"] if return_std else range(len(parts)))
        dims.append("statistic")
        shape.append(len(parts))
        coords["statistic"] = ("statistic", np.array(list(names)))
    name = {"predict": "label" if labels is not None else "prediction"}.get(method, method)
    if isinstance(targets, str):
        name = targets
    return RasterOutput(
        method, kwargs, tuple(dims), tuple(shape), coords, dtype, nodata, codes, name, attrs
    )


def predict_series(estimator, output, X):
    """Predict packed series.

    Parameters
    ----------
    estimator : estimator instance
        Fitted estimator.
    output : RasterOutput
        As described by :func:`describe_output`.
    X : ndarray of shape (n_series, n_dates, 1 + n_channels)
        Packed series.

    Returns
    -------
    values : ndarray of shape (n_series, *output.shape)
        Labels are encoded; the parts of a tuple lie along the last axis.
    """
    values = getattr(estimator, output.method)(X, **output.kwargs)
    if isinstance(values, tuple):
        values = np.stack(values, axis=-1)
    if output.codes is not None:
        values = np.searchsorted(output.codes, values)
    return values


def _make_probe(days, n_bands, n_extras):
    series = np.full((2, len(days), 1 + n_bands + n_extras), np.float32(_PROBE_REFLECTANCE))
    series[..., 0] = days
    series[..., 1 + n_bands :] = _PROBE_ANGLE
    return series


def _last_step(estimator):
    """Return the estimator inside searches and pipelines that makes the prediction."""
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif hasattr(estimator, "steps"):
            estimator = estimator.steps[-1][1]
        else:
            return estimator


def _encoding(dtype, labels, method):
    """Return dtype, nodata, codes and attributes of the map."""
    if labels is None:
        if dtype.kind == "f":
            return np.dtype(np.float32), np.float32(np.nan), None, {}
        if dtype.kind in "iu":
            nodata = dtype.type(np.iinfo(dtype).min if dtype.kind == "i" else np.iinfo(dtype).max)
            return dtype, nodata, None, {"_FillValue": nodata}
        raise ValueError(f"method={method!r} returns values of dtype {dtype}, expected numbers.")
    return encode_labels(labels)


def encode_labels(labels):
    """Describe a map of class labels.

    Parameters
    ----------
    labels : ndarray of shape (n_classes,)
        Labels in ascending order.

    Returns
    -------
    dtype : numpy.dtype
        Type of the map.
    nodata : number
        Value of pixels without a label.
    codes : ndarray or None
        Labels, if the map holds their positions in this array.
    attrs : dict
        Legend and nodata.
    """
    labels = _as_integers(labels)
    codes = None if labels.dtype.kind in "iu" else labels
    values = labels if codes is None else np.arange(len(labels))
    for name in ("uint8", "int16", "int32", "int64"):
        info = np.iinfo(name)
        nodata = info.max if name == "uint8" else info.min
        if info.min <= values.min() and values.max() <= info.max and nodata not in values:
            break
    dtype = np.dtype(name)
    attrs = {
        "_FillValue": dtype.type(nodata),
        "flag_values": values.astype(dtype),
        # One word for each class, separated by spaces, as the CF conventions have it.
        "flag_meanings": " ".join("_".join(str(label).split()) for label in labels),
        "class_names": [str(label) for label in labels],
    }
    return dtype, dtype.type(nodata), codes, attrs


def _as_integers(labels):
    """Convert labels that a join with missing rows has turned into floats, 10.0 and 20.0."""
    whole = labels.dtype.kind == "f" and (labels == np.floor(labels)).all()
    return labels.astype(np.int64) if whole else labels


def _columns(estimator, method, classes, targets, n):
    """Return dimension and names of the columns of a prediction."""
    if method in ("predict", "predict_interval"):
        names = [] if targets is None else list(targets)
        return "target", np.array(names) if len(names) == n else np.arange(n)
    if method != "transform" and classes is not None and len(classes) == n:
        classes = _as_integers(classes)
        return "class", classes if classes.dtype.kind in "iuU" else classes.astype(str)
    try:
        names = estimator.get_feature_names_out() if method == "transform" else []
    except (AttributeError, ValueError):
        names = []
    return "feature", np.array(names, dtype=str) if len(names) == n else np.arange(n)

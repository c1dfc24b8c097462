"""The command that tells what a file holds."""

import sys
from pathlib import Path

from sklearn_sits._extras import import_extra
from sklearn_sits.cli.channels import read_channels
from sklearn_sits.cli.class_map import count_pixels
from sklearn_sits.cli.model_file import load_model
from sklearn_sits.raster.fitted_dates import fitted_dates

__all__ = ["show_info"]

_MODELS = (".skops", ".joblib", ".pkl", ".pickle")
_RASTERS = (".tif", ".tiff", ".vrt")


def show_info(args):
    """Print what a model, a map or a cube is.

    Parameters
    ----------
    args : argparse.Namespace
        Options of the command.

    Raises
    ------
    ImportError, OSError, TypeError, ValueError
        If a package is missing, or the file cannot be read.
    """
    path = Path(args.path)
    if path.suffix in _MODELS:
        lines = _describe_model(path, args)
    elif path.suffix.lower() in _RASTERS:
        lines = _describe_raster(path)
    else:
        lines = _describe_cube(path)
    width = max(len(name) for name in lines)
    sys.stdout.writelines(
        f"{name:{width}}  {value}\n" for name, value in lines.items() if value is not None
    )


def _describe_model(path, args):
    estimator = load_model(path, args.trust, trust_pickle=args.trust_pickle)
    channels = read_channels(estimator)
    classes, dates = getattr(estimator, "classes_", None), fitted_dates(estimator)
    return {
        "model": " ".join(str(estimator).split()),
        "classes": None if classes is None else ", ".join(map(str, classes.tolist())),
        "bands": _join(channels.bands),
        "static channels": _join(channels.static),
        "day 0": channels.origin,
        "days": None if dates is None else f"{dates[0]:g} to {dates[1]:g}",
    }


def _describe_raster(path):
    with import_extra("rasterio").open(path) as file:
        tags = file.tags()
        lines = {
            "size": f"{file.width} x {file.height} pixels of {file.res[0]:g} x {file.res[1]:g}",
            "bands": ", ".join(
                f"{name or i} ({unit})" if unit else str(name or i)
                for i, (name, unit) in enumerate(
                    zip(file.descriptions, file.units, strict=True), start=1
                )
            ),
            "type": file.dtypes[0],
            "nodata": file.nodata,
            "crs": None if file.crs is None else file.crs.to_string(),
        }
        is_class_map = "flag_values" in tags and "class_names" in tags
    if is_class_map:
        areas = count_pixels(path).items()
        lines["pixels counted"] = ", ".join(f"{name} {area:.1f} ha" for name, area in areas)
    return lines


def _describe_cube(path):
    xr = import_extra("xarray")
    options = {"engine": "zarr" if path.is_dir() else None, "decode_coords": "all"}
    with xr.open_dataset(path, **options) as cube:
        lines = {
            "dimensions": ", ".join(f"{name} {size}" for name, size in cube.sizes.items()),
            "variables": ", ".join(f"{name} ({one.dtype})" for name, one in cube.items()),
            "bands": _join(cube["band"].values.tolist()) if "band" in cube.coords else None,
            "crs": cube.rio.crs if import_extra("rioxarray") else None,
        }
        if "time" in cube.coords and cube.sizes.get("time"):
            first, last = cube["time"].values.astype("datetime64[D]")[[0, -1]]
            lines["dates"] = f"{cube.sizes['time']}, {first} to {last}"
    return lines


def _join(names):
    return None if names is None else ", ".join(map(str, names))

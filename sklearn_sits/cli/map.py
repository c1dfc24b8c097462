"""The command that predicts every pixel of a cube on disk."""

import shutil
from contextlib import nullcontext
from pathlib import Path

from sklearn_sits._extras import import_extra
from sklearn_sits.cli.model_file import load_model
from sklearn_sits.raster import export_geotiff, predict_raster, write_map
from sklearn_sits.raster.geotiff import check_geotiff

__all__ = ["DESCRIPTION", "add_arguments", "make_map", "say_options"]

DESCRIPTION = """Predict every pixel of a cube (Zarr or NetCDF). After an interruption, the same
command continues where the run stopped."""

# Options of the command for the arguments that messages name.
_OPTIONS = {
    "overwrite=True": "--overwrite",
    "decode=True": "--decode",
    "resume=True": "a run without --no-resume",
}


def say_options(message):
    """Replace the arguments of functions in a message by the options of the command.

    Parameters
    ----------
    message : str
        Message for a user of Python.

    Returns
    -------
    message : str
    """
    for argument, option in _OPTIONS.items():
        message = message.replace(argument, option)
    return message


def add_arguments(parser):
    """Add the options of the command.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Changed in place.
    """
    add = parser.add_argument
    add("--model", required=True, metavar="FILE", help="fitted estimator, saved with skops")
    add("--cube", required=True, metavar="PATH", help="Zarr store or NetCDF file")
    add("--out", required=True, metavar="PATH", help="map to make, .zarr or .tif (COG)")
    add("--method", default="predict", help="method of the estimator (default: predict)")
    add("--std", action="store_true", help="call it with return_std=True")
    add("--variable", help="variable that has the dimension band (default: the only one)")
    add(
        "--bands",
        nargs="+",
        metavar="BAND",
        help="bands in the order of the model, if it does not know them",
    )
    add("--mask", metavar="VARIABLE", help="layer that says where the bands are observed")
    add("--clear", nargs="+", type=int, metavar="CODE", help="values of --mask that are observed")
    add("--static", nargs="+", metavar="NAME", help="channels after the bands: x, y, sun_zenith")
    add("--origin", metavar="DATE", help="day 0 of the training data (default: 1970-01-01)")
    add(
        "--decode",
        action="store_true",
        help="apply the scale of integers while pixels are packed: less memory and time",
    )
    add("--chunk", type=int, default=256, metavar="N", help="pixels along a block (default: 256)")
    add("--crs", help="coordinate reference system, if the cube has none")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--threads", type=int, metavar="N", help="blocks at a time")
    where.add_argument("--scheduler", metavar="ADDRESS", help="scheduler of dask.distributed")
    add("--overwrite", action="store_true", help="replace a map of another model or grid")
    add("--no-resume", action="store_true", help="refuse to continue an unfinished map")
    add("--trust", nargs="+", default=[], metavar="TYPE", help="types in the model to trust")
    add("--trust-pickle", action="store_true", help="load a pickle, which can run any code")
    add("--quiet", action="store_true", help="no progress bar")


def make_map(args):
    """Make a map.

    Parameters
    ----------
    args : argparse.Namespace
        Options, see :func:`add_arguments`.

    Raises
    ------
    ImportError, OSError, TypeError, ValueError
        If a package or a file is missing, or an option does not fit the model or the cube.

    Warns
    -----
    UserWarning
        As :func:`~sklearn_sits.raster.predict_raster` and
        :func:`~sklearn_sits.raster.write_map`.
    """
    for name in ("chunk", "threads"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name} must be positive, got {value}.")
    out = Path(args.out)
    if out.suffix not in (".zarr", ".tif", ".tiff"):
        raise ValueError(f"--out must end in .zarr or .tif, got {out.name!r}.")
    if args.crs is not None and out.suffix == ".zarr":
        raise ValueError("--crs is for GeoTIFF; a Zarr store has the coordinates of the cube.")
    estimator = load_model(args.model, args.trust, trust_pickle=args.trust_pickle)
    cube, valid, static = _open(args)
    raster = predict_raster(
        estimator,
        cube,
        method=args.method,
        return_std=args.std,
        valid=valid,
        static=static,
        bands=args.bands,
        origin=args.origin,
        decode=args.decode,
    )
    # Runs with different masks make different maps.
    if args.mask is not None:
        raster.attrs["mask"] = " ".join([args.mask, *map(str, args.clear or [])])
    options = {"resume": not args.no_resume, "progress": not args.quiet}
    with _workers(args):
        if out.suffix == ".zarr":
            write_map(raster, out, overwrite=args.overwrite, **options)
            return
        # Before hours of computing.
        check_geotiff(raster, out, crs=args.crs, overwrite=args.overwrite)
        store = out.with_name(out.name + ".zarr")
        write_map(raster, store, overwrite=args.overwrite, **options)
    export_geotiff(store, out, crs=args.crs, overwrite=args.overwrite)
    shutil.rmtree(store)


def _workers(args):
    """Return the context in which dask computes with the chosen workers."""
    if args.scheduler is not None:
        return import_extra("distributed").Client(args.scheduler)
    if args.threads is not None:
        config = import_extra("dask").config
        return config.set(scheduler="threads", num_workers=args.threads)
    return nullcontext()


def _open(args):
    """Return cube, mask and static layers."""
    path = Path(args.cube)
    if not path.exists():
        raise FileNotFoundError(f"There is no cube {path}.")
    layers = _open_dataset(path, args.chunk, mask_and_scale=True)
    static = args.static or []
    for name in [args.variable, args.mask, *static]:
        if name is not None and name not in layers.variables:
            raise ValueError(
                f"{path.name} has no variable {name!r}, only {list(layers.variables)}."
            )
    others = [name for name in [args.mask, *static] if name in layers.data_vars]
    bands = _open_dataset(path, args.chunk, mask_and_scale=False) if args.decode else layers
    bands = bands.drop_vars(others)
    with_bands = [name for name, one in bands.data_vars.items() if "band" in one.dims]
    variable = args.variable
    if variable is None and with_bands:
        if len(with_bands) > 1:
            raise ValueError(f"{path.name} has the variables {with_bands}, choose one: --variable.")
        variable = with_bands[0]
    if variable is None and args.bands is None:
        _check_kinds(bands)
    cube = bands if variable is None else bands[variable]
    return cube, _valid(args, layers), [layers[n] if n in others else n for n in static] or None


def _check_kinds(bands):
    """Check that the variables that are taken as bands do not include a mask."""
    kinds = {name: one.dtype.kind for name, one in bands.data_vars.items()}
    integers = [name for name, kind in kinds.items() if kind != "f"]
    unscaled = [name for name in integers if "scale_factor" not in bands[name].attrs]
    if unscaled and len(unscaled) < len(kinds):
        raise ValueError(
            f"The variable {unscaled[0]!r} holds {bands[unscaled[0]].dtype}, unlike the bands: "
            f"name --bands, or is {unscaled[0]} a --mask?"
        )


def _open_dataset(path, chunk, mask_and_scale):
    xr = import_extra("xarray")
    engine = "zarr" if path.is_dir() else None
    options = {"engine": engine, "mask_and_scale": mask_and_scale, "decode_coords": "all"}
    dataset = xr.open_dataset(path, **options)
    # Nothing is read yet: each block reads its own part.
    return dataset.chunk({dim: chunk for dim in dataset.dims if dim not in ("time", "band")})


def _valid(args, layers):
    if args.mask is None:
        if args.clear is not None:
            raise ValueError("--clear needs --mask.")
        return None
    mask = layers[args.mask]
    if args.clear is not None:
        return mask.isin(args.clear)
    if mask.dtype != bool:
        raise ValueError(
            f"--mask {args.mask} has the dtype {mask.dtype}: give the values that are observed, "
            "for example --clear 4 5 6."
        )
    return mask

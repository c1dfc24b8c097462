"""The command that predicts every pixel of cubes on disk."""

import shutil
from contextlib import nullcontext
from pathlib import Path

from sklearn_sits._extras import import_extra
from sklearn_sits.cli.channels import find_channels
from sklearn_sits.cli.cube import open_cube
from sklearn_sits.cli.model_file import load_model
from sklearn_sits.raster import export_geotiff, predict_raster, write_map
from sklearn_sits.raster.geotiff import check_geotiff
from sklearn_sits.raster.mosaic import write_vrt

__all__ = ["make_map"]


def make_map(args):
    """Make a map of each cube.

    Parameters
    ----------
    args : argparse.Namespace
        Options of the command.

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
    estimator = load_model(args.model, args.trust, trust_pickle=args.trust_pickle)
    channels = find_channels(args, estimator)
    with _workers(args):
        if len(args.cube) == 1:
            _map_cube(args, estimator, channels, args.cube[0], Path(args.out))
            return
        folder = Path(args.out)
        folder.mkdir(exist_ok=True)
        tiles = [folder / f"{Path(cube).stem}.tif" for cube in args.cube]
        for cube, tile in zip(args.cube, tiles, strict=True):
            _map_cube(args, estimator, channels, cube, tile)
        write_vrt(tiles, folder / "map.vrt", overwrite=args.overwrite)


def _map_cube(args, estimator, channels, path, out):
    raster = _predict(args, estimator, channels, path)
    options = {"resume": not args.no_resume, "progress": not args.quiet}
    if out.suffix == ".zarr":
        write_map(raster, out, overwrite=args.overwrite, **options)
        return
    geotiff = {"crs": args.crs, "colors": _read_colors(args.colors), "overwrite": args.overwrite}
    # Before hours of computing.
    check_geotiff(raster, out, **geotiff)
    store = out.with_name(out.name + ".zarr")
    write_map(raster, store, overwrite=args.overwrite, **options)
    export_geotiff(store, out, **geotiff)
    shutil.rmtree(store)


def _predict(args, estimator, channels, path):
    cube = open_cube(path, args, channels.static, channels.bands)
    raster = predict_raster(
        estimator,
        cube.bands,
        method=args.method,
        return_std=args.std,
        valid=cube.valid,
        static=cube.find_static(channels.static),
        bands=channels.bands,
        origin=channels.origin,
        decode=args.decode,
    )
    # Runs with different masks make different maps.
    if args.mask is not None:
        raster.attrs["mask"] = " ".join([args.mask, *map(str, args.clear or [])])
    return raster


def _read_colors(colors):
    return None if colors is None else dict(one.rsplit("=", 1) for one in colors)


def _workers(args):
    """Return the context in which dask computes with the chosen workers."""
    if args.scheduler is not None:
        return import_extra("distributed").Client(args.scheduler)
    if args.threads is not None:
        config = import_extra("dask").config
        return config.set(scheduler="threads", num_workers=args.threads)
    return nullcontext()

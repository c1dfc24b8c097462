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
    out = Path(args.out)
    with _workers(args):
        if out.suffix == ".zarr":
            raster = _predict(args, estimator, channels, args.cube[0])
            write_map(raster, out, overwrite=args.overwrite, **_list_options(args))
        elif len(args.cube) == 1:
            _write_tiles(args, estimator, channels, {out: args.cube[0]})
        else:
            out.mkdir(exist_ok=True)
            cubes = {out / f"{Path(cube).stem}.tif": cube for cube in args.cube}
            _write_tiles(args, estimator, channels, cubes, mosaic=out / "map.vrt")


def _write_tiles(args, estimator, channels, cubes, mosaic=None):
    """Write a GeoTIFF for each cube, by way of stores that an interrupted run continues."""
    stores = {tile: tile.with_name(tile.name + ".zarr") for tile in cubes}
    # Files beside stores are those of the run that was interrupted.
    continues = mosaic is not None and any(store.exists() for store in stores.values())
    if mosaic is not None and mosaic.exists() and not (args.overwrite or continues):
        raise FileExistsError(f"{mosaic} exists. overwrite=True replaces it.")
    for tile, path in cubes.items():
        raster = _predict(args, estimator, channels, path)
        replaced = args.overwrite or (continues and stores[tile].exists())
        # Before hours of computing.
        check_geotiff(raster, tile, **_list_geotiff_options(args, replaced))
        write_map(raster, stores[tile], overwrite=args.overwrite, **_list_options(args))
    # Stores stay until all files are written: they tell a run that continues what is finished.
    for tile, store in stores.items():
        replaced = args.overwrite or mosaic is not None
        export_geotiff(store, tile, **_list_geotiff_options(args, replaced))
    if mosaic is not None:
        write_vrt(list(cubes), mosaic, overwrite=True)
    for store in stores.values():
        shutil.rmtree(store)


def _list_options(args):
    return {"resume": not args.no_resume, "progress": not args.quiet}


def _list_geotiff_options(args, overwrite):
    return {"crs": args.crs, "colors": _read_colors(args.colors), "overwrite": overwrite}


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

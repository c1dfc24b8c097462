"""The options of the commands, and what can be checked without any other package."""

import argparse
from pathlib import Path

__all__ = ["ESTIMATORS", "make_parser", "say_options"]

ESTIMATORS = ("mtan-svgp", "mtan-mlp", "random-forest")
_MAP_SUFFIXES = (".zarr", ".tif", ".tiff")

_KNOWN = ", if the model does not come from the command fit"

# Options of the commands for the arguments that messages name.
_OPTIONS = {
    "overwrite=True": "--overwrite",
    "give crs=": "give --crs ",
    "decode=True": "--decode",
    "resume=True": "a run without --no-resume",
}


def say_options(message):
    """Replace the arguments of functions in a message by the options of a command.

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


def make_parser(version):
    """Make the parser of all commands.

    Parameters
    ----------
    version : str
        Version of the package.

    Returns
    -------
    parser : argparse.ArgumentParser
        Its result has `run`, the function of the command as "module:name"; `check`, which checks
        the options; `prog`, the command; and `resumes`, whether an interrupted command continues.
    """
    parser = argparse.ArgumentParser(
        "python -m sklearn_sits",
        description="Classification of satellite image time series: "
        "fit a model, map a cube, evaluate the model or the map.",
    )
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(metavar="command", required=True)
    for name, (run, check, add_options, description) in _COMMANDS.items():
        summary = description.partition(".")[0]
        command = commands.add_parser(
            name, help=summary[0].lower() + summary[1:], description=description
        )
        add_options(command)
        command.set_defaults(run=run, check=check, prog=command.prog, resumes=name == "map")
    return parser


def _add_fit(parser):
    add = parser.add_argument
    _add_table(parser)
    _add_points(parser)
    _add_cube(parser, required=False)
    _add_channels(parser, "")
    add("--out", required=True, metavar="FILE", help="model to write, .skops")
    add("--estimator", default=ESTIMATORS[0], choices=ESTIMATORS, help="default: %(default)s")
    add(
        "--unlabelled",
        type=int,
        default=5000,
        metavar="N",
        help="pixels of --cube without labels that the mTAN estimators learn from, 0 for none "
        "(default: %(default)s)",
    )
    add("--random-state", type=int, default=0, metavar="SEED", help="default: %(default)s")
    add("--overwrite", action="store_true", help="replace the model")
    _add_trust(parser)


def _add_map(parser):
    add = parser.add_argument
    _add_model(parser)
    _add_cube(parser, required=True, several=True)
    _add_channels(parser, _KNOWN)
    add(
        "--out",
        required=True,
        metavar="PATH",
        help="map to make, .zarr or .tif (COG); with several cubes a folder, which gets a COG per "
        "cube and map.vrt",
    )
    add("--method", default="predict", help="method of the estimator (default: %(default)s)")
    add("--std", action="store_true", help="call it with return_std=True")
    add("--crs", help="coordinate reference system, if the cube has none")
    add("--colors", nargs="+", metavar="CLASS=COLOR", help="colours of the classes: wheat=#e6c229")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--threads", type=int, metavar="N", help="blocks at a time")
    where.add_argument("--scheduler", metavar="ADDRESS", help="scheduler of dask.distributed")
    add("--overwrite", action="store_true", help="replace a map of another model or grid")
    add("--no-resume", action="store_true", help="refuse to continue an unfinished map")
    add("--quiet", action="store_true", help="no progress bar")


def _add_evaluate(parser):
    add = parser.add_argument
    _add_model(parser, required=False)
    _add_table(parser)
    _add_channels(parser, _KNOWN)
    _add_points(parser)
    add("--map", metavar="FILE", help="class map (.tif or .vrt), to compare with --points")
    add(
        "--folds",
        type=int,
        metavar="N",
        help="fit the model anew to all but one of N parts of the table, and predict that one",
    )
    add("--groups", metavar="COLUMN", help="column of --labels; a group is never divided")
    add("--confidence", type=float, default=0.95, help="of the intervals (default: %(default)s)")
    add("--out", metavar="FILE", help="table to write, .csv")
    add("--overwrite", action="store_true", help="replace the table")


def _add_info(parser):
    parser.add_argument("path", metavar="PATH", help="model (.skops), map (.tif) or cube (.zarr)")
    _add_trust(parser)


def _add_model(parser, required=True):
    add = parser.add_argument
    add("--model", required=required, metavar="FILE", help="fitted estimator, saved with skops")
    _add_trust(parser)


def _add_trust(parser):
    add = parser.add_argument
    add("--trust", nargs="+", default=[], metavar="TYPE", help="types in the model to trust")
    add("--trust-pickle", action="store_true", help="load a pickle, which can run any code")


def _add_table(parser):
    group = parser.add_argument_group("a table of series")
    add = group.add_argument
    add("--observations", metavar="FILE", help="CSV with a row per series and date")
    add("--labels", metavar="FILE", help="CSV with a row per series")
    add("--id", default="id", metavar="COLUMN", help="series, in both (default: %(default)s)")
    add("--date", default="date", metavar="COLUMN", help="date (default: %(default)s)")
    add("--valid", metavar="COLUMN", help="column that says where the bands are observed")
    add("--label", default="label", metavar="COLUMN", help="class (default: %(default)s)")


def _add_points(parser):
    group = parser.add_argument_group("points with labels")
    add = group.add_argument
    add("--points", metavar="FILE", help="CSV with a row per point")
    add("--x", default="x", metavar="COLUMN", help="default: %(default)s")
    add("--y", default="y", metavar="COLUMN", help="default: %(default)s")
    add("--crs", help="their coordinate reference system, if it is not that of the cube or map")


def _add_channels(parser, known):
    """Add the options that the model knows if it comes from the command `fit`."""
    group = parser.add_argument_group("channels" + known)
    add = group.add_argument
    add("--bands", nargs="+", metavar="BAND", help="bands, in the order of the model")
    add(
        "--static",
        nargs="+",
        metavar="NAME",
        help="channels after the bands that are constant in time; x and y are the position",
    )
    add("--origin", metavar="DATE", help="day 0 (default: 1970-01-01)")


def _add_cube(parser, required, several=False):
    group = parser.add_argument_group("a cube")
    add = group.add_argument
    add(
        "--cube",
        required=required,
        nargs="+" if several else None,
        metavar="PATH",
        help="Zarr store or NetCDF file",
    )
    add("--variable", help="variable that has the dimension band (default: the only one)")
    add("--mask", metavar="VARIABLE", help="layer that says where the bands are observed")
    add("--clear", nargs="+", type=int, metavar="CODE", help="values of --mask that are observed")
    add(
        "--decode",
        action="store_true",
        help="apply the scale of integers while pixels are packed: less memory and time",
    )
    add("--chunk", type=int, default=256, metavar="N", help="pixels along a block (default: 256)")


def _check_fit(args):
    _check_positive(args, "chunk")
    if args.unlabelled < 0:
        raise ValueError(f"--unlabelled must not be negative, got {args.unlabelled}.")
    if Path(args.out).suffix != ".skops":
        raise ValueError(f"--out must end in .skops, got {Path(args.out).name!r}.")
    if (args.observations is None) == (args.points is None):
        raise ValueError("Labels come from --observations and --labels, or --cube and --points.")
    _check_pair(args, "observations", "labels")
    if args.points is not None and args.cube is None:
        raise ValueError("--points needs --cube.")
    is_used = args.points is not None or (args.estimator != ESTIMATORS[2] and args.unlabelled)
    if args.cube is not None and not is_used:
        raise ValueError(
            "--cube is not used: the series come from --observations, and the estimator learns "
            "from no pixels without labels."
        )
    if args.observations is not None and args.bands is None:
        raise ValueError("--observations needs --bands.")
    _check_files(args, "observations", "labels", "points", "cube")
    _check_new(args)


def _check_map(args):
    _check_positive(args, "chunk", "threads")
    out = Path(args.out)
    if len(args.cube) > 1:
        if out.suffix in _MAP_SUFFIXES:
            raise ValueError(f"--out must be a folder with several cubes, got {out.name!r}.")
        names = [Path(cube).stem for cube in args.cube]
        if len(set(names)) < len(names):
            raise ValueError(f"--cube must have files with different names, got {names}.")
    elif out.suffix not in _MAP_SUFFIXES:
        raise ValueError(f"--out must end in .zarr or .tif, got {out.name!r}.")
    if out.suffix == ".zarr":
        for name in ("crs", "colors"):
            if getattr(args, name) is not None:
                raise ValueError(f"--{name} is for GeoTIFF, but --out is a Zarr store.")
    wrong = [color for color in args.colors or [] if "=" not in color]
    if wrong:
        raise ValueError(f"--colors must be like wheat=#e6c229, got {wrong[0]!r}.")
    _check_files(args, "model")
    _check_files(args, "cube")


def _check_evaluate(args):
    if args.out is not None:
        if Path(args.out).suffix != ".csv":
            raise ValueError(f"--out must end in .csv, got {Path(args.out).name!r}.")
        _check_new(args)
    if not 0 < args.confidence < 1:
        raise ValueError(f"--confidence must be between 0 and 1, got {args.confidence:g}.")
    if (args.model is None) == (args.map is None):
        raise ValueError("Give --model with --observations and --labels, or --map with --points.")
    needed = ("observations", "labels") if args.map is None else ("points",)
    for name in needed:
        if getattr(args, name) is None:
            raise ValueError(f"--{'model' if args.map is None else 'map'} needs --{name}.")
    if args.folds is not None and args.folds < 2:
        raise ValueError(f"--folds must be at least 2, got {args.folds}.")
    if args.groups is not None and args.folds is None:
        raise ValueError("--groups needs --folds.")
    _check_files(args, "model", "map", "observations", "labels", "points")


def _check_info(args):
    _check_files(args, "path")


def _check_positive(args, *names):
    for name in names:
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name} must be positive, got {value}.")


def _check_pair(args, one, other):
    if (getattr(args, one) is None) != (getattr(args, other) is None):
        raise ValueError(f"--{one} needs --{other}, and the other way round.")


def _check_files(args, *names):
    for name in names:
        value = getattr(args, name)
        for path in [] if value is None else [value] if isinstance(value, str) else value:
            if not Path(path).exists():
                raise FileNotFoundError(f"There is no {name} {path}.")


def _check_new(args):
    if Path(args.out).exists() and not args.overwrite:
        raise FileExistsError(f"{args.out} exists: --overwrite replaces it.")


_COMMANDS = {
    "fit": (
        "sklearn_sits.cli.fit:fit_model",
        _check_fit,
        _add_fit,
        "Fit a classifier. The labels come from two tables, or from points in a cube. With a "
        "cube, the estimators of the package also learn from its pixels without labels.",
    ),
    "map": (
        "sklearn_sits.cli.map:make_map",
        _check_map,
        _add_map,
        "Predict every pixel of a cube. After an interruption, the same command continues where "
        "the run stopped.",
    ),
    "evaluate": (
        "sklearn_sits.cli.evaluate:evaluate",
        _check_evaluate,
        _add_evaluate,
        "Report the accuracy of a model, or of a map with the areas of its classes. Points that "
        "are compared with a map must be a random sample, drawn separately in each of its "
        "classes.",
    ),
    "info": (
        "sklearn_sits.cli.info:show_info",
        _check_info,
        _add_info,
        "Tell what a file holds.",
    ),
}

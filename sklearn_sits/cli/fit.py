"""The command that fits a classifier."""

import os
import sys
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

from sklearn_sits._extras import import_extra
from sklearn_sits.classifiers.mtan import MTANMLPClassifier, MTANSVGPClassifier
from sklearn_sits.cli.channels import find_channels
from sklearn_sits.cli.cube import open_cube
from sklearn_sits.cli.model_file import list_untrusted
from sklearn_sits.cli.table import read_points, read_series
from sklearn_sits.encoders.mtan_encoder import MTANEncoder
from sklearn_sits.raster import sample_cube
from sklearn_sits.series.linear_interpolator import LinearInterpolator

__all__ = ["fit_model"]

_CLASSIFIERS = {"mtan-svgp": MTANSVGPClassifier, "mtan-mlp": MTANMLPClassifier}
_N_TREES = 500
# Parts of the cube from which unlabelled pixels are drawn: to read all of it takes much longer.
_MAX_CHUNKS = 16


def fit_model(args):
    """Fit a classifier and save it.

    Parameters
    ----------
    args : argparse.Namespace
        Options of the command.

    Raises
    ------
    ImportError, OSError, TypeError, ValueError
        If a package or a file is missing, or an option does not fit the data.

    Warns
    -----
    UserWarning
        As the functions that read and fit.
    """
    io = import_extra("skops.io")
    channels = find_channels(args)
    cube, options = None, {}
    if args.cube is not None:
        channels, cube, options = _open(args, channels)
    if args.points is not None:
        points = read_points(args)
        X = sample_cube(cube, points, x=args.x, y=args.y, crs=args.crs, **options)
        y = points[args.label].to_numpy()
    else:
        X, y, _ = read_series(args, channels)
    if args.estimator in _CLASSIFIERS:
        encoder = None
        if cube is not None and args.unlabelled:
            encoder = FrozenEstimator(_fit_encoder(args, channels, cube, options))
        estimator = _CLASSIFIERS[args.estimator](
            encoder=encoder, position_channels=channels.positions, random_state=args.random_state
        )
    else:
        static = tuple(range(-len(channels.static or []), 0))
        estimator = make_pipeline(
            LinearInterpolator(static_channels=static),
            RandomForestClassifier(_N_TREES, random_state=args.random_state),
        )
    channels.store(estimator.fit(X, y))
    out = Path(args.out)
    # A model that is replaced is not lost if the disk is full.
    unfinished = out.with_name(f".{out.name}.partial")
    try:
        io.dump(estimator, unfinished)
        os.replace(unfinished, out)
    finally:
        unfinished.unlink(missing_ok=True)
    sys.stdout.write(
        f"{out.name}: {args.estimator}, {len(X)} series, {len(np.unique(y))} classes\n"
    )
    untrusted = list_untrusted(args.out)
    if untrusted:
        sys.stdout.write(f"Other commands need --trust {' '.join(untrusted)}\n")


def _open(args, channels):
    """Return the channels with all bands, the cube, and how to take series from it."""
    cube = open_cube(args.cube, args, channels.static, channels.bands)
    if channels.bands is None:
        # Another cube may have them in another order.
        channels = channels._replace(bands=cube.list_bands())
    options = {"bands": channels.bands, "origin": channels.origin, "decode": args.decode}
    options |= {"valid": cube.valid, "static": cube.find_static(channels.static)}
    return channels, cube.bands, options


def _fit_encoder(args, channels, cube, options):
    n_pixels = np.prod([size for dim, size in cube.sizes.items() if dim not in ("time", "band")])
    unlabelled = sample_cube(
        cube,
        n_pixels=min(args.unlabelled, int(n_pixels)),
        max_chunks=_MAX_CHUNKS,
        random_state=args.random_state,
        **options,
    )
    encoder = MTANEncoder(position_channels=channels.positions, random_state=args.random_state)
    return encoder.fit(unlabelled)

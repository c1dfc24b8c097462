"""The command that reports the accuracy of a model or of a map."""

import sys

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict

from sklearn_sits._extras import import_extra
from sklearn_sits.cli.channels import find_channels
from sklearn_sits.cli.class_map import count_pixels, read_classes
from sklearn_sits.cli.model_file import load_model
from sklearn_sits.cli.table import read_points, read_series
from sklearn_sits.metrics import accuracy_report, area_estimates, confusion_table

__all__ = ["evaluate"]

_HEADINGS = {
    "users_accuracy": "user's accuracy",
    "producers_accuracy": "producer's accuracy",
    "f1": "F1",
}


def evaluate(args):
    """Print a report, and write it as a table.

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
        As the functions that read, predict and estimate.
    """
    text, table = _evaluate_model(args) if args.map is None else _evaluate_map(args)
    sys.stdout.write(text + "\n")
    if args.out is not None:
        table.to_csv(args.out, index=False)


def _evaluate_model(args):
    estimator = load_model(args.model, args.trust, trust_pickle=args.trust_pickle)
    channels = find_channels(args, estimator)
    if channels.bands is None:
        raise ValueError("--bands must be given: the model does not come from the command fit.")
    X, y, fields = read_series(args, channels)
    groups = None
    if args.groups is not None:
        if args.groups not in fields.columns:
            raise ValueError(
                f"--groups {args.groups} is no column of {args.labels}, only "
                f"{list(fields.columns)}."
            )
        groups = fields[args.groups].to_numpy()
    if args.folds is None:
        predictions = estimator.predict(X)
        note = "The accuracy holds if none of these series was used to fit the model."
    else:
        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
        folds = kind(args.folds, shuffle=True, random_state=0)
        predictions = cross_val_predict(clone(estimator), X, y, groups=groups, cv=folds)
        note = f"The model was fitted anew for each of {args.folds} parts of the table."
    report = accuracy_report(y, predictions, groups=groups, confidence_level=args.confidence)
    every = report[(report["group"] == "all") & (report["fold"] == "all")]
    overall = every[every["metric"] == "overall_accuracy"].iloc[0]
    classes = every[every["class"] != "all"]
    columns = {
        heading: classes[classes["metric"] == metric].set_index("class").apply(_write_share, axis=1)
        for metric, heading in _HEADINGS.items()
    }
    parts = [
        f"{len(y)} series. {note}",
        f"Overall accuracy {_write_share(overall)}",
        import_extra("pandas").DataFrame(columns).to_string(),
        confusion_table(y, predictions).to_string(),
    ]
    return "\n\n".join(parts), report


def _evaluate_map(args):
    points = read_points(args)
    y_map, inside = read_classes(args.map, points, args.x, args.y, args.crs)
    areas = count_pixels(args.map)
    reference = _to_text(points[args.label].to_numpy())[inside]
    estimates = area_estimates(reference, y_map, areas, confidence_level=args.confidence)
    pd = import_extra("pandas")
    tables = {
        "area_ha": estimates.area,
        "users_accuracy": estimates.users_accuracy,
        "producers_accuracy": estimates.producers_accuracy,
        "overall_accuracy": estimates.overall_accuracy.to_frame("all").T,
    }
    table = pd.concat(tables, names=["quantity", "class"]).reset_index()
    columns = {
        "pixels counted, ha": pd.Series(areas).map("{:.1f}".format),
        "area, ha": estimates.area.apply(_write_area, axis=1),
        "user's accuracy": estimates.users_accuracy.apply(_write_share, axis=1),
        "producer's accuracy": estimates.producers_accuracy.apply(_write_share, axis=1),
    }
    level = f"{100 * args.confidence:g} %"
    parts = [
        f"{len(reference)} points, taken as a random sample within each class of the map. "
        f"Intervals of {level} in brackets.",
        f"Overall accuracy {_write_share(estimates.overall_accuracy)}",
        pd.DataFrame(columns).to_string(),
    ]
    return "\n\n".join(parts), table


def _to_text(labels):
    """Return labels as a map names its classes: 10.0 is 10."""
    if labels.dtype.kind == "f" and (labels == np.floor(labels)).all():
        labels = labels.astype(np.int64)
    return labels.astype(str)


def _write_share(row):
    return f"{100 * row['estimate']:.1f} % [{100 * row['lower']:.1f}, {100 * row['upper']:.1f}]"


def _write_area(row):
    return f"{row['estimate']:.1f} [{row['lower']:.1f}, {row['upper']:.1f}]"

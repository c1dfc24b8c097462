"""Series and labels from the tables that the options of a command name."""

from pathlib import Path

import numpy as np

from sklearn_sits._extras import import_extra
from sklearn_sits._warnings import warn_counted
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.series.packing import pack_frame

__all__ = ["read_points", "read_series"]


def read_series(args, channels):
    """Read series and their labels.

    Parameters
    ----------
    args : argparse.Namespace
        Options `observations`, `labels`, `id`, `date`, `valid` and `label`.
    channels : Channels
        Channels of the series.

    Returns
    -------
    X : ndarray of shape (n_series, n_dates, n_channels)
        Packed series.
    y : ndarray of shape (n_series,)
        Labels.
    fields : pandas.DataFrame
        The rows of the table of labels, in the order of the series.

    Raises
    ------
    ValueError
        If a column is missing, dates cannot be read, a series has two rows of labels or no series
        has a label.

    Warns
    -----
    DataQualityWarning
        If series have no label, or labels no series. They are left out.
    """
    pd = import_extra("pandas")
    # The same in both tables, whatever a table of numbers has made of them.
    observations = _read(args.observations, [args.id, args.date], dtype={args.id: str})
    fields = _read(args.labels, [args.id, args.label], dtype={args.id: str}).set_index(args.id)
    twice = fields.index[fields.index.duplicated()].unique()
    if len(twice):
        raise ValueError(f"--labels {args.labels} has several rows for {list(twice[:3])}.")
    if not pd.api.types.is_numeric_dtype(observations[args.date]):
        try:
            dates = pd.to_datetime(observations[args.date], format="ISO8601")
        except ValueError as error:
            raise ValueError(
                f"--date {args.date} must hold dates like 2023-05-31: {error}"
            ) from error
        observations[args.date] = dates
    X, ids = pack_frame(
        observations,
        id=args.id,
        date=args.date,
        bands=channels.bands,
        valid=args.valid,
        static=channels.static,
        origin=channels.origin,
    )
    labels = fields[args.label].dropna()
    kept = ids.isin(labels.index)
    if not kept.any():
        raise ValueError(
            f"No series of {args.observations} has a label in {args.labels}: --id {args.id} has "
            f"values like {ids[0]!r} and {fields.index[0]!r}."
        )
    alone = len(labels) - kept.sum()
    if alone or not kept.all():
        warn_counted(
            "{without} of {n} series without a label and {alone} labels without a series are "
            "left out.",
            DataQualityWarning,
            without=int((~kept).sum()),
            n=len(ids),
            alone=int(alone),
        )
    fields = fields.loc[ids[kept]]
    return X[kept], fields[args.label].to_numpy(), fields


def read_points(args):
    """Read points with labels.

    Parameters
    ----------
    args : argparse.Namespace
        Options `points`, `x`, `y` and `label`.

    Returns
    -------
    points : pandas.DataFrame
        With these columns, no label missing.

    Raises
    ------
    ValueError
        If a column or a label is missing.
    """
    points = _read(args.points, [args.x, args.y, args.label])
    missing = np.count_nonzero(points[args.label].isna())
    if missing:
        raise ValueError(f"{missing} of {len(points)} points have no label in {args.label!r}.")
    return points


def _read(path, columns, **options):
    try:
        table = import_extra("pandas").read_csv(path, **options)
    except ValueError as error:
        raise ValueError(f"{Path(path).name} cannot be read: {error}") from error
    absent = [name for name in columns if name not in table.columns]
    if absent:
        raise ValueError(
            f"{Path(path).name} has no column {absent[0]!r}, only {list(table.columns)}."
        )
    return table

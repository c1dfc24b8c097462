"""Which bands of the rows of a table are valid."""

from collections.abc import Mapping

import numpy as np

__all__ = ["find_invalid_rows", "list_valid_columns"]


def list_valid_columns(valid, bands):
    """Return the names of columns in `valid`, after a check of the bands that it names.

    Parameters
    ----------
    valid : str, array-like, mapping or None
        See :func:`sklearn_sits.pack_frame`.
    bands : list of str
        Bands of the table.

    Returns
    -------
    columns : list of str

    Raises
    ------
    ValueError
        If a mapping names a band that is not in `bands`.
    """
    if isinstance(valid, str):
        return [valid]
    if not isinstance(valid, Mapping):
        return []
    for column, names in valid.items():
        unknown = [name for name in _list_names(names) if name not in bands]
        if unknown:
            raise ValueError(
                f"valid[{column!r}] names {unknown}, expected some of the bands {bands}."
            )
    return list(valid)


def find_invalid_rows(frame, valid, bands):
    """Find the rows in which bands are not valid.

    Parameters
    ----------
    frame : pandas.DataFrame
        Table with the bands and the columns that `valid` names.
    valid : str, array-like of shape (n_rows,) or mapping
        See :func:`sklearn_sits.pack_frame`.
    bands : list of str
        Names of the bands.

    Returns
    -------
    invalid : dict of str to ndarray of int
        Positions of the rows, by band.

    Raises
    ------
    ValueError
        If `valid` has a wrong length, or is missing for a row that has a value.
    TypeError
        If it is neither boolean nor holds 0 and 1.
    """
    if isinstance(valid, Mapping):
        groups = [(frame[column], column, _list_names(names)) for column, names in valid.items()]
    else:
        column = valid if isinstance(valid, str) else None
        groups = [(valid if column is None else frame[column], column, bands)]
    invalid = {}
    for flags, column, names in groups:
        name = "valid" if column is None else f"Column {column!r} (valid)"
        kept, missing = _to_flags(flags, name, len(frame))
        missing = np.flatnonzero(missing)
        missing = missing[frame[names].iloc[missing].notna().to_numpy().any(axis=1)]
        if missing.size:
            raise ValueError(
                f"{name} is missing in {missing.size} rows that have values in its bands, the "
                f"first is row {missing[0]}. Fill it, frame[...].fillna(1), or, if it is the mask "
                'of one of two sensors, name its bands: valid={"clear": ["B4", "B8"]}.'
            )
        rows = np.flatnonzero(~kept)
        for band in names:
            invalid[band] = np.union1d(invalid[band], rows) if band in invalid else rows
    return invalid


def _list_names(names):
    return [names] if isinstance(names, str) else list(names)


def _to_flags(flags, name, n_rows):
    """Return booleans, and where they are missing."""
    import pandas as pd

    if np.shape(flags) != (n_rows,):
        raise ValueError(f"{name} has shape {np.shape(flags)}, expected ({n_rows},).")
    series = flags if isinstance(flags, pd.Series) else pd.Series(flags)
    missing = series.isna().to_numpy()
    known = series[~missing].to_numpy()
    right = np.isin(known, (0, 1)) if known.dtype.kind in "iufO" else known.dtype == bool
    if not np.all(right):
        found = known[~right].tolist()[0] if np.ndim(right) else known[0]
        raise TypeError(
            f"{name} must be boolean or 0 and 1 (1 = observed), got {found!r} of dtype "
            f"{series.dtype}. Compare it with the codes of clear observations, such as "
            'frame["SCL"].isin([4, 5, 6]), or text with frame["clear"] == "True".'
        )
    kept = np.zeros(n_rows, dtype=bool)
    kept[~missing] = known.astype(bool)
    return kept, missing

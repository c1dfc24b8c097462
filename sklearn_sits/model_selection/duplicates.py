"""Series that occur several times in a packed array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from sklearn_sits._module_names import set_module
from sklearn_sits.metrics.labels import check_labels, check_same_length
from sklearn_sits.series.checks import check_numeric

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["find_duplicates", "number_series"]


@set_module("sklearn_sits.model_selection")
def find_duplicates(
    X: ArrayLike, *, y: ArrayLike | None = None, groups: ArrayLike | None = None
) -> pd.DataFrame:
    """Find series that have the same observations.

    A pixel that two points share, or a table that was joined twice, puts the same series into
    training and test data, which makes scores too good. If their labels differ, one of them is
    wrong.

    Parameters
    ----------
    X : array-like of shape (n_series, n_dates, 1 + n_channels)
        Packed series without their positions, such as ``X[..., :-2]``: two points in one pixel
        differ in these.
    y : array-like of shape (n_series,), default=None
        Labels, to find duplicates whose labels differ.
    groups : array-like of shape (n_series,), default=None
        Block or fold of each series, to find duplicates in several of them.

    Returns
    -------
    duplicates : pandas.DataFrame
        One row per set of equal series, the largest sets first, with the columns

        - series: rows of X, as a tuple;
        - n_series: their number;
        - labels, groups: tuples of the different labels and groups, if `y` and `groups` are given.

        Series without an observation are left out.

    Raises
    ------
    TypeError, ValueError
        If X is not a packed array, or `y` or `groups` has missing values or another length.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sits.datasets import make_sits
    >>> from sklearn_sits.model_selection import find_duplicates
    >>> X, y = make_sits(n_series=20, positions=False, random_state=0)
    >>> X, groups = np.concatenate([X, X[3:4]]), np.arange(21) // 7
    >>> find_duplicates(X, groups=groups)
        series  n_series  groups
    0  (3, 20)         2  (0, 2)
    """
    import pandas as pd

    numbers = number_series(X)
    optional = {"labels": (y, "y"), "groups": (groups, "groups")}
    optional = {
        column: check_labels(labels, name)
        for column, (labels, name) in optional.items()
        if labels is not None
    }
    check_same_length(X=numbers, **{"y" if k == "labels" else k: v for k, v in optional.items()})
    rows = np.flatnonzero(numbers >= 0)
    sets = pd.Series(rows).groupby(numbers[rows]).agg(tuple)
    sets = [members for members in sets if len(members) > 1]
    table = {
        "series": [tuple(map(int, members)) for members in sets],
        "n_series": [len(members) for members in sets],
    }
    for column, labels in optional.items():
        table[column] = [tuple(np.unique(labels[list(members)]).tolist()) for members in sets]
    order = np.argsort([-n for n in table["n_series"]], kind="stable").astype(int)
    return pd.DataFrame(table).iloc[order].reset_index(drop=True)


def number_series(X):
    """Give equal series the same number.

    Parameters
    ----------
    X : array-like of shape (n_series, n_dates, 1 + n_channels)
        Packed series.

    Returns
    -------
    numbers : ndarray of shape (n_series,)
        Numbers from 0; -1 for series without an observation. Padding does not count.

    Raises
    ------
    TypeError, ValueError
        If X is not a packed array.
    """
    X = check_numeric(X, "X")
    if X.ndim != 3:
        raise ValueError(
            f"X must have the shape (n_series, n_dates, 1 + n_channels), got {X.shape}."
        )
    known, numbers = {}, np.full(len(X), -1)
    for row, series in enumerate(X):
        observed = series[~np.isnan(series[:, 1:]).all(axis=1)]
        if len(observed):
            # All NaN have the same bytes, and so have zeros of either sign.
            key = (np.where(np.isnan(observed), np.nan, observed) + 0.0).tobytes()
            numbers[row] = known.setdefault(key, len(known))
    return numbers

"""Importance of bands and dates, by exchanging them between series."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.metrics import check_scoring
from sklearn.utils import Bunch, check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, column_or_1d

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import Origin, RandomState, validate_params
from sklearn_sits._warnings import collect_warnings
from sklearn_sits.inspection.exchange import SeriesExchange
from sklearn_sits.inspection.groups import find_bands, make_groups
from sklearn_sits.inspection.windows import find_windows
from sklearn_sits.series.checks import check_numeric, check_static_channels
from sklearn_sits.series.content import check_content

__all__ = ["permutation_importance"]


@validate_params(
    {
        "estimator": "no_validation",
        "by": [StrOptions({"bands", "dates", "both"})],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
@set_module("sklearn_sits.inspection")
def permutation_importance(
    estimator: BaseEstimator,
    X: ArrayLike,
    y: ArrayLike | None,
    *,
    by: Literal["bands", "dates", "both"] = "bands",
    bands: Sequence[str] | Mapping[str, Any] | None = None,
    windows: float | np.timedelta64 | ArrayLike | None = None,
    origin: Origin = None,
    static_channels: Sequence[int] = (),
    blocks: ArrayLike | None = None,
    scoring: str | Callable[..., float] | Iterable[str] | Mapping[str, Any] | None = None,
    n_repeats: int = 5,
    n_jobs: int | None = None,
    random_state: RandomState = None,
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Measure how much a score depends on bands, on dates, or on bands in a part of the year.

    The importance of a group is the score of the estimator minus its score after the series have
    exchanged this group at random [1]_. A group moves between series as a whole, with its dates
    and its gaps, so that it stays a group that occurs:

    * bands: a series keeps the dates and values of all other bands, and receives these bands of
      another series on the dates of that series. Acquisitions on the same date are one slot.
    * dates: a series loses its acquisitions in the window and receives those of another series in
      the window, all bands of them.
    * both: as bands, but within the window.

    Use held-out data that the estimator was not fitted on.

    Parameters
    ----------
    estimator : estimator instance
        Fitted estimator, pipeline or search that predicts one target per series from packed
        series.
    X : array-like of shape (n_series, n_dates, 1 + n_channels)
        Packed series, see :func:`sklearn_sits.pack`.
    y : array-like of shape (n_series,) or None
        Target, or None for a scorer that needs none.
    by : {"bands", "dates", "both"}, default="bands"
        What a group is: bands, windows of dates, or bands within windows of dates.
    bands : None, sequence of str, or dict of str to int or sequence of int, default=None
        Names of all bands, in order; or groups: channels of X by name, such as
        ``{"visible": [1, 2, 3], "near infrared": 4}``. None is a group for each band with the
        names b1, b2, and so on.
    windows : float, timedelta64 or array-like of shape (n_windows + 1,), default=None
        For dates and both: the width of a window in days, or increasing edges, in days as in X or
        as datetimes. A window holds its first edge, and not its last. With a width, windows start
        on the first observed day, and those without any observation are left out.
    origin : str, date or datetime64, default=None
        Date of day 0 of X, as in :func:`sklearn_sits.pack`, for edges that are datetimes and for
        the names of the windows. None is 1970-01-01 for such edges; windows in days are then
        named by their days.
    static_channels : sequence of int, default=()
        Channels that are constant within each series, such as the position. They stay with their
        series, unless a group of bands names them.
    blocks : array-like of shape (n_series,), default=None
        Exchange groups between series of the same block only, such as an orbit or a region. The
        importance is then that of the differences within blocks.
    scoring : str, callable, list, tuple, dict or None, default=None
        As in scikit-learn; several scorers share the predictions. None is the score of the
        estimator.
    n_repeats : int, default=5
        Number of random exchanges of each group.
    n_jobs : int or None, default=None
        Number of jobs. The result does not depend on it.
    random_state : int, RandomState instance or None, default=None
        Seed of the exchanges, which all groups share.
    sample_weight : array-like of shape (n_series,), default=None
        Weights of the series in the score.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`, or dict of str to Bunch with several scorers
        importances_mean, importances_std : ndarray
            Mean and standard deviation over the repeats, of shape (n_bands,), (n_windows,) or
            (n_bands, n_windows).
        importances : ndarray
            Of all repeats, with one more axis for them.
        baseline_score : float
            Score on the series as they are.
        group_names : ndarray of str
            Names of the groups, of the shape of the mean.
        by : str
            As given.
        band_names, window_names : ndarray of str, or None
            Names of the groups of bands and of the windows.
        window_edges : ndarray of shape (n_windows, 2), or None
            First day of each window, and first day after it.
        origin : datetime64 or None
            Date of day 0.

    Raises
    ------
    ValueError
        If X is no packed array, a group is not of bands of X, a window holds no date, or an
        argument is not as documented.
    TypeError
        If X is no array of numbers, or a channel, a name or an edge has a wrong type.

    Notes
    -----
    The estimator receives series without padding and without slots where nothing is observed,
    in order of date, so that padding changes nothing. Series that all have the same dates keep
    their slots.

    Correlated groups share their importance: a model that can replace a band by its neighbour
    scores well without it. Group such bands, or choose wider windows.

    A band may move to dates on which the others are not observed. If a pipeline computes an index
    of several bands, put these in one group, or exchange within `blocks` of equal dates.

    References
    ----------
    .. [1] Breiman, L. (2001). Random Forests. Machine Learning, 45, 5-32.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_sits import LinearInterpolator
    >>> from sklearn_sits.datasets import make_sits
    >>> from sklearn_sits.inspection import permutation_importance
    >>> X, y = make_sits(400, 40, 4, 3, positions=False, random_state=0)
    >>> model = make_pipeline(LinearInterpolator(), StandardScaler(), LogisticRegression(C=0.01))
    >>> model = model.fit(X[:200], y[:200])
    >>> result = permutation_importance(
    ...     model, X[200:], y[200:], by="dates", windows=90, origin="1970-01-01", random_state=0
    ... )
    >>> result.importances_mean.shape
    (4,)
    >>> str(result.window_names[0])
    '2018-01-01 to 2018-03-31'
    """
    X = _check_series(X)
    static = check_static_channels(static_channels, X.shape[2], "static_channels")
    check_content(X, static, "X")
    check_consistent_length(X, y, sample_weight)
    weight = None if sample_weight is None else _check_sample_weight(sample_weight, X)
    blocks = _check_blocks(blocks, X)
    found = find_bands(bands, X.shape[2], static)
    date_windows = _find_date_windows(X, static, by, windows, origin)
    groups, names = make_groups(by, found, date_windows, X.shape[2], static)

    scorer = check_scoring(estimator, scoring=scoring)
    exchange = SeriesExchange(X, static)
    baseline = _score(scorer, estimator, exchange.series, y, weight)
    random_state = check_random_state(random_state)
    donors = [_draw_donors(random_state, blocks, len(X)) for _ in range(n_repeats)]
    scores = Parallel(n_jobs=n_jobs)(
        delayed(_score_exchanged)(scorer, estimator, exchange, group, drawn, y, weight)
        for group in groups
        for drawn in donors
    )
    common = {
        "group_names": names,
        "by": by,
        "band_names": None if by == "dates" else np.array(list(found)),
        "window_names": None if date_windows is None else date_windows.names,
        "window_edges": None if date_windows is None else date_windows.edges,
        "origin": None if date_windows is None else date_windows.origin,
    }
    shape = (*names.shape, n_repeats)
    if not isinstance(baseline, dict):
        return _summarise(baseline, scores, shape, common)
    return {
        name: _summarise(score, [one[name] for one in scores], shape, common)
        for name, score in baseline.items()
    }


def _check_series(X):
    X = check_numeric(X, "X")
    if X.ndim != 3 or X.shape[1] == 0 or X.shape[2] < 2:
        raise ValueError(
            f"X must be packed series of shape (n_series, n_dates, 1 + n_channels), got shape "
            f"{X.shape}."
        )
    return check_array(
        X,
        dtype=[np.float64, np.float32],
        allow_nd=True,
        ensure_all_finite=False,
        ensure_min_samples=2,
        input_name="X",
    )


def _check_blocks(blocks, X):
    if blocks is None:
        return np.zeros(len(X), dtype=int)
    blocks = column_or_1d(blocks)
    check_consistent_length(X, blocks)
    codes, counts = np.unique(blocks, return_inverse=True, return_counts=True)[1:]
    if counts.max() < 2:
        raise ValueError("blocks: every block has one series, which has none to exchange with.")
    return codes


def _find_date_windows(X, static, by, windows, origin):
    if by == "bands":
        if windows is not None:
            raise ValueError(f'windows={windows!r} needs by="dates" or by="both", got by="bands".')
        return None
    if windows is None:
        raise ValueError(f"by={by!r} needs windows: a width in days, or edges.")
    bands = [channel for channel in range(1, X.shape[2]) if channel not in static]
    days = X[..., 0][~np.isnan(X[..., bands]).all(axis=2)].astype(np.float64)
    if not len(days):
        raise ValueError("X has no observation, so no window holds a date.")
    return find_windows(windows, days, origin)


def _draw_donors(random_state, blocks, n):
    """Draw a permutation of the series within each block."""
    donors = np.empty(n, dtype=np.intp)
    donors[np.argsort(blocks, kind="stable")] = np.lexsort((random_state.random_sample(n), blocks))
    return donors


def _score(scorer, estimator, X, y, weight):
    return scorer(estimator, X, y, **({} if weight is None else {"sample_weight": weight}))


def _score_exchanged(scorer, estimator, exchange, group, donors, y, weight):
    # The series as they are have had their warnings.
    with collect_warnings():
        return _score(scorer, estimator, exchange.move(group, donors), y, weight)


def _summarise(baseline, scores, shape, common):
    importances = baseline - np.reshape(np.array(scores, dtype=np.float64), shape)
    return Bunch(
        importances_mean=importances.mean(axis=-1),
        importances_std=importances.std(axis=-1),
        importances=importances,
        baseline_score=float(baseline),
        **common,
    )

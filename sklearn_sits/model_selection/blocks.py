"""Spatial blocks, and cross-validation that holds out whole blocks."""

from collections.abc import Iterator
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree
from sklearn.model_selection import BaseCrossValidator, GroupKFold, StratifiedGroupKFold

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import RandomState

__all__ = ["BlockKFold", "make_blocks"]


@set_module("sklearn_sits.model_selection")
def make_blocks(x: ArrayLike, y: ArrayLike, size: float | tuple[float, float]) -> np.ndarray:
    """Find the blocks of a square grid in which positions lie.

    Parameters
    ----------
    x, y : array-like of shape (n_series,)
        Positions, in the same unit as `size`: metres in a projected coordinate reference system,
        or degrees.
    size : float or (float, float)
        Side of the blocks, or their width and height. A line of the grid goes through the origin.

    Returns
    -------
    blocks : ndarray of shape (n_series,), int64
        Numbers from 0, to be used as `groups` of scikit-learn's splitters.

    Raises
    ------
    TypeError
        If the positions are not numbers.
    ValueError
        If the positions are not finite or of different lengths, or `size` is not positive.

    See Also
    --------
    BlockKFold : Cross-validation with such blocks, from positions.

    Examples
    --------
    >>> from sklearn_sits.model_selection import make_blocks
    >>> make_blocks(x=[10.0, 1990.0, 2010.0, 40.0], y=[5.0, 5.0, 5.0, 9000.0], size=2000)
    array([0, 0, 2, 1])
    """
    columns = {"x": np.asarray(x), "y": np.asarray(y)}
    for name, values in columns.items():
        if values.ndim != 1:
            raise ValueError(f"{name} must have the shape (n_series,), got {values.shape}.")
    if len(columns["x"]) != len(columns["y"]):
        raise ValueError(
            f"x and y must have the same length, got {len(columns['x'])} and {len(columns['y'])}."
        )
    for name, values in columns.items():
        _check_positions(values, name)
    return _number_blocks(np.stack([*columns.values()], axis=1), size)


@set_module("sklearn_sits.model_selection")
class BlockKFold(BaseCrossValidator):
    """K-fold cross-validation that holds out whole spatial blocks.

    Neighbouring pixels are alike, so a random split makes scores too good. This splitter lays a
    grid over the positions of the series, which it takes as `groups`, and gives each block to one
    fold. With labels of classes, the folds have similar shares of the classes.

    Parameters
    ----------
    size : float or (float, float)
        Side of the blocks, or their width and height, in the unit of the positions. Choose a
        distance beyond which series are no longer alike.
    n_splits : int, default=5
        Number of folds.
    buffer : float, default=0.0
        Training series closer than this to a test series are left out, in the unit of the
        positions.
    shuffle : bool, default=False
        Whether to draw the assignment of blocks to folds at random.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Raises
    ------
    TypeError, ValueError
        From :meth:`split`: if a parameter or a position is invalid, or there are fewer blocks than
        folds.

    See Also
    --------
    make_blocks : The blocks alone, for other splitters.

    Examples
    --------
    Series of `make_sits` and of cubes have their position in the last two channels:

    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_sits import LinearInterpolator
    >>> from sklearn_sits.datasets import make_sits
    >>> from sklearn_sits.model_selection import BlockKFold
    >>> X, y = make_sits(n_series=200, n_classes=2, random_state=0)
    >>> positions = X[:, 0, -2:]
    >>> forest = RandomForestClassifier(20, random_state=0)
    >>> model = make_pipeline(LinearInterpolator(step=20), forest)
    >>> scores = cross_val_score(model, X[..., :-2], y, groups=positions, cv=BlockKFold(20_000))
    >>> scores.shape
    (5,)
    """

    # With metadata routing enabled, meta-estimators then pass `groups` unasked, as to GroupKFold.
    __metadata_request__split = {"groups": True}

    def __init__(
        self,
        size: float | tuple[float, float],
        n_splits: int = 5,
        *,
        buffer: float = 0.0,
        shuffle: bool = False,
        random_state: RandomState = None,
    ) -> None:
        self.size = size
        self.n_splits = n_splits
        self.buffer = buffer
        self.shuffle = shuffle
        self.random_state = random_state

    def split(
        self, X: ArrayLike, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows of the training and of the test series of each fold.

        Parameters
        ----------
        X : array-like of shape (n_series, ...)
            Only its length counts.
        y : array-like of shape (n_series,), default=None
            Labels (text, integers or booleans), whose shares the folds keep similar. With
            floating-point targets, or None, the folds have similar numbers of series.
        groups : array-like of shape (n_series, 2), default=None
            Positions of the series, x and y. They must be given; None is an error.

        Yields
        ------
        train, test : ndarray of int
            Rows of X.

        Raises
        ------
        TypeError, ValueError
            If a parameter or a position is invalid, or there are fewer blocks than folds.
        """
        positions = self._check(X, groups)
        blocks = _number_blocks(positions, self.size)
        if blocks.max() + 1 < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits} folds need as many blocks, but size={self.size!r} "
                f"makes {blocks.max() + 1}. The positions span {np.ptp(positions, axis=0)}."
            )
        random_state = self.random_state if self.shuffle else None
        kind = StratifiedGroupKFold if _holds_labels(y) else GroupKFold
        splitter = kind(self.n_splits, shuffle=self.shuffle, random_state=random_state)
        for train, test in splitter.split(np.zeros(len(blocks)), y, blocks):
            if self.buffer > 0:
                distance, _ = cKDTree(positions[test]).query(positions[train])
                train = train[distance >= self.buffer]
            if not len(train):
                raise ValueError(f"buffer={self.buffer!r} leaves no training series in a fold.")
            yield train, test

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object, default=None
            Ignored.

        Returns
        -------
        n_splits : int

        Raises
        ------
        ValueError
            Never; invalid parameters are found by :meth:`split`.
        """
        return self.n_splits

    def _check(self, X, groups):
        """Check the parameters and return the positions (n_series, 2)."""
        n_splits, buffer = self.n_splits, self.buffer
        if not isinstance(n_splits, Integral) or isinstance(n_splits, bool) or n_splits < 2:
            raise ValueError(f"n_splits must be an int of at least 2, got {n_splits!r}.")
        if not isinstance(buffer, Real) or not 0 <= buffer < np.inf:
            raise ValueError(f"buffer must be a finite number of at least 0, got {buffer!r}.")
        if groups is None:
            raise ValueError(
                "BlockKFold needs the positions of the series: groups=positions of the shape "
                "(n_series, 2), such as X[:, 0, -2:]."
            )
        positions = np.asarray(groups)
        if positions.ndim != 2 or positions.shape[1] != 2:
            raise ValueError(
                f"groups must hold positions, shape (n_series, 2), got {positions.shape}. If you "
                "have blocks already, use GroupKFold or StratifiedGroupKFold of scikit-learn."
            )
        n_series = X.shape[0] if hasattr(X, "shape") else len(X)
        if len(positions) != n_series:
            raise ValueError(f"groups has {len(positions)} positions, but X has {n_series} series.")
        _check_positions(positions, "groups")
        return positions.astype(np.float64)


def _holds_labels(y):
    return y is not None and np.ndim(y) == 1 and np.asarray(y).dtype.kind != "f"


def _check_positions(values, name):
    if values.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be numbers, got dtype {values.dtype}.")
    if not values.size:
        raise ValueError(f"{name} is empty.")
    finite = np.isfinite(values)
    if not finite.all():
        rows = finite if finite.ndim == 1 else finite.all(axis=1)
        raise ValueError(
            f"{name} has {(~rows).sum()} positions that are not finite, the first at "
            f"row {rows.argmin()}."
        )


def _number_blocks(positions, size):
    sides = np.asarray(size)
    if sides.dtype.kind not in "fiu" or sides.shape not in ((), (2,)):
        raise ValueError(f"size must be a number or a pair of numbers, got {size!r}.")
    if not (np.isfinite(sides) & (sides > 0)).all():
        raise ValueError(f"size must be positive and finite, got {size!r}.")
    cells = np.floor(positions.astype(np.float64) / sides)
    return np.unique(cells, axis=0, return_inverse=True)[1].ravel()

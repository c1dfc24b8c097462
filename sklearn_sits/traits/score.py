"""Score of trait retrieval without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from sklearn_sits._module_names import set_module

if TYPE_CHECKING:
    from sklearn_sits.traits.prosail_vae import ProsailVAERegressor

__all__ = ["reconstruction_score"]


@set_module("sklearn_sits")
def reconstruction_score(
    estimator: ProsailVAERegressor, X: ArrayLike, y: ArrayLike | None = None
) -> float:
    """Score a fitted :class:`ProsailVAERegressor` without labels.

    A `scoring` of searches and cross-validation: minus half of the mean, over held-out spectra, of
    the squared errors of reconstruction summed over the bands, in units of 0.01 of reflectance.
    It is the log-likelihood under noise of that size, up to a constant.

    Parameters
    ----------
    estimator : ProsailVAERegressor
        Fitted estimator.
    X : array-like
        Held-out spectra, as in `fit`.
    y : array-like, default=None
        Not used.

    Returns
    -------
    score : float
        The higher the better.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.

    Examples
    --------
    >>> from sklearn_sits import load_prosail_vae, reconstruction_score
    >>> from sklearn_sits.datasets import make_prosail
    >>> X, _ = make_prosail(100, random_state=0)
    >>> worse = X[:, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 10, 11, 12]]
    >>> model = load_prosail_vae()
    >>> reconstruction_score(model, X) > reconstruction_score(model, worse)
    True
    """
    check_is_fitted(estimator)
    observed = estimator._check_X(X)
    reconstructed = estimator.reconstruct(X).reshape(observed.reflectances.shape)
    error = (observed.reflectances - reconstructed)[observed.is_complete] / 0.01
    return -0.5 * float(np.mean(np.sum(error**2, axis=1)))

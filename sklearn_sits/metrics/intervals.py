"""Confidence intervals of proportions."""

import numpy as np
from scipy.stats import norm, t

__all__ = ["normal_quantile", "t_quantile", "wilson_interval"]


def normal_quantile(confidence_level):
    """Return the half-width of a two-sided interval, in standard errors.

    Parameters
    ----------
    confidence_level : float
        Such as 0.95, which gives 1.96.

    Returns
    -------
    quantile : float
    """
    return norm.ppf(0.5 + confidence_level / 2)


def t_quantile(confidence_level, df):
    """Return the half-width of a two-sided interval from few clusters, in standard errors.

    Parameters
    ----------
    confidence_level : float
        Such as 0.95.
    df : int
        Degrees of freedom.

    Returns
    -------
    quantile : float
    """
    return t.ppf(0.5 + confidence_level / 2, df)


def wilson_interval(proportion, n_samples, quantile):
    """Return Wilson's score interval of a proportion.

    Unlike the estimate plus and minus some standard errors, it lies within [0, 1], and it has a
    width if all samples agree.

    Parameters
    ----------
    proportion : array-like of float
        Estimates, NaN where there is none.
    n_samples : array-like of float
        Number of samples of each, or the number of independent samples with the same variance.
    quantile : float
        Half-width in standard errors.

    Returns
    -------
    lower, upper : ndarray of float

    Examples
    --------
    >>> from sklearn_sits.metrics.intervals import wilson_interval
    >>> lower, upper = wilson_interval(1.0, 50, 1.96)
    >>> round(float(lower), 3), float(upper)
    (0.929, 1.0)
    """
    proportion = np.asarray(proportion, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        shrunk = quantile**2 / np.asarray(n_samples, dtype=np.float64)
        centre = (proportion + shrunk / 2) / (1 + shrunk)
        variance = proportion * (1 - proportion) * shrunk + shrunk**2 / 4
        half = np.sqrt(variance) / (1 + shrunk)
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)

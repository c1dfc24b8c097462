"""Band averages from few wavelengths."""

import numpy as np

__all__ = ["band_rule", "interpolation"]


def band_rule(points: np.ndarray, weights: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the nodes and weights that average a function of tables over a band.

    The nodes are those of the Gauss quadrature of a discrete measure [1]_, which is exact for
    polynomials up to degree 2 n - 1. Each table is sampled through its least-squares polynomial of
    degree n - 1, so that the mean of the table itself is exact whatever its shape. Only the
    curvature of the function of the tables leaves an error.

    Parameters
    ----------
    points : ndarray of shape (n_points,)
        Points of the tables, such as wavelengths.
    weights : ndarray of shape (n_points,)
        Weights, not negative, such as a spectral response.
    n : int
        Number of nodes, at least one. The result has fewer if fewer points have a weight.

    Returns
    -------
    sampling : float64 ndarray of shape (n, n_points)
        Weights that take a table from the points to the nodes. Each row sums to one.
    weights : float64 ndarray of shape (n,)
        Positive weights of the nodes. Their sum equals that of the weights of the points.

    References
    ----------
    .. [1] Golub and Welsch, "Calculation of Gauss quadrature rules", Mathematics of Computation
       23, 1969. The recurrence is the one by Stieltjes.
    """
    used = weights > 0
    total = weights.sum()
    share, x = weights[used] / total, points[used]
    n = min(n, len(x))
    x = (x - x.mean()) / max(np.ptp(x), 1.0)
    # Polynomials orthonormal under the measure, times the root of the weights, by three-term
    # recurrence; orthogonalised against all before them, as rounding errors would grow.
    basis = [np.sqrt(share)]
    diagonal, off_diagonal = [], []
    while True:
        following = x * basis[-1]
        diagonal.append(basis[-1] @ following)
        if len(basis) == n:
            break
        for vector in basis[::-1]:
            following = following - (vector @ following) * vector
        off_diagonal.append(np.linalg.norm(following))
        basis.append(following / off_diagonal[-1])
    jacobi = np.diag(diagonal) + np.diag(off_diagonal, 1) + np.diag(off_diagonal, -1)
    # Eigenvectors hold the polynomials at the nodes, up to a factor.
    vectors = np.linalg.eigh(jacobi)[1]
    sampling = np.zeros((n, len(points)))
    sampling[:, used] = (vectors / vectors[0]).T @ (np.stack(basis) * np.sqrt(share))
    return sampling, total * vectors[0] ** 2


def interpolation(points: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Make the weights of a linear interpolation.

    Parameters
    ----------
    points : ndarray of shape (n_points,)
        Points of the tables, ascending.
    at : ndarray of shape (n,)
        Places between the first and the last point at which to interpolate.

    Returns
    -------
    float64 ndarray of shape (n, n_points)
        Weights that take a table from the points to these places. Each row sums to one.
    """
    left = np.clip(np.searchsorted(points, at, side="right") - 1, 0, len(points) - 2)
    part = (at - points[left]) / (points[left + 1] - points[left])
    sampling = np.zeros((len(at), len(points)))
    rows = np.arange(len(at))
    sampling[rows, left], sampling[rows, left + 1] = 1 - part, part
    return sampling

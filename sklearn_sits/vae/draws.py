"""Random numbers that depend on an observation alone, not on those predicted beside it."""

from hashlib import blake2b

import numpy as np

__all__ = ["draw_normal"]


def draw_normal(rows, n_draws, n_variables, seed):
    """Draw standard normal numbers for each row.

    Equal rows get equal numbers, whatever stands before or after them.

    Parameters
    ----------
    rows : ndarray of shape (n, ...), or sequence of ndarray
        Observations, of which only the values in single precision matter.
    n_draws, n_variables : int
        Numbers to draw for each row.
    seed : int
        Seed of all rows.

    Returns
    -------
    normal : float64 ndarray of shape (n, n_draws, n_variables)
    """
    normal = np.empty((len(rows), n_draws, n_variables))
    start = int(seed).to_bytes(8, "little")
    for row, result in zip(rows, normal, strict=True):
        # Adding zero turns -0.0 into 0.0.
        content = np.ascontiguousarray(row, dtype=np.float32) + np.float32(0)
        digest = blake2b(start + content.tobytes(), digest_size=16).digest()
        bits = np.random.Philox(key=int.from_bytes(digest, "little"))
        np.random.Generator(bits).standard_normal(out=result)
    return normal

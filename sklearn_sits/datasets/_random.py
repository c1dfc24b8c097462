"""Random generators of the data sets."""

import numpy as np


def generators(random_state, n):
    """Return `n` independent generators without using the global generator of NumPy."""
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**32, size=4, dtype=np.uint32)
    return np.random.default_rng(random_state).spawn(n)

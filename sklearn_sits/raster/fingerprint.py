"""Fingerprints, by which equal estimators are recognised."""

import numpy as np
from joblib.hashing import NumpyHasher

__all__ = ["fingerprint"]

# Attributes that differ from one run to the next, or do not change the predictions.
_IGNORED = {"history_", "cv_results_", "refit_time_", "device", "n_jobs", "verbose"}


class _Hasher(NumpyHasher):
    def _batch_setitems(self, items, *args):
        kept = [(key, value) for key, value in items if not _is_ignored(key)]
        super()._batch_setitems(kept, *args)

    def save(self, obj):
        super().save(_normalise(obj) if isinstance(obj, np.ndarray) else obj)


def _normalise(array):
    """Return an array whose bytes depend on its values only, not on where they come from."""
    array = np.asarray(array)
    if array.dtype.names and not array.dtype.hasobject:
        # Between fields there may be bytes without meaning.
        packed = np.zeros(array.shape, array.dtype)
        for name in array.dtype.names:
            packed[name] = array[name]
        return packed
    # Strides are hashed; those of an empty array, or along an axis of length one, are arbitrary.
    usual = np.empty(array.shape, array.dtype).strides
    return array if array.strides == usual else array.copy()


def _is_ignored(key):
    return isinstance(key, str) and key in _IGNORED


def fingerprint(*objects):
    """Hash objects such as a fitted estimator and its settings.

    Parameters
    ----------
    *objects : object
        Objects that can be pickled.

    Returns
    -------
    digest : str
        Equal for an estimator that was saved and loaded, or fitted again with the same data and
        seed.

    Notes
    -----
    The pickle of the objects is in memory while it is hashed, without their arrays.
    """
    return _Hasher("md5").hash(objects)

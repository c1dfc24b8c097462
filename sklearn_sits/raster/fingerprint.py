"""Tell whether two fitted estimators are the same."""

import pickle

from joblib.hashing import NumpyHasher

__all__ = ["fingerprint"]

# What differs from one run to the next, or does not change the predictions.
_IGNORED = {"history_", "cv_results_", "refit_time_", "device", "n_jobs", "verbose"}


class _Hasher(NumpyHasher):
    def _batch_setitems(self, items, *args):
        kept = [(key, value) for key, value in items if not _is_ignored(key)]
        super()._batch_setitems(kept, *args)


def _is_ignored(key):
    return isinstance(key, str) and key in _IGNORED


def fingerprint(*objects):
    """Hash objects such as a fitted estimator and its settings.

    Parameters
    ----------
    *objects : object
        What can be pickled.

    Returns
    -------
    digest : str
        Equal for an estimator that was saved and loaded, or fitted again with the same data and
        seed.
    """
    # Some arrays have unused bytes, which only a copy has in common with other copies.
    return _Hasher("md5").hash(pickle.loads(pickle.dumps(objects)))

"""Load a fitted estimator from a file of any origin."""

from pathlib import Path
from zipfile import BadZipFile

import joblib

from sklearn_sits._discovery import all_estimators
from sklearn_sits._extras import import_extra

__all__ = ["list_untrusted", "load_model"]

# Classes of the package that are parts of estimators.
_PARTS = {"sklearn_sits.physics.Sensor"}


def load_model(path, trust=(), *, trust_pickle=False):
    """Load a fitted estimator.

    Parameters
    ----------
    path : str or path-like
        File written by skops, ending in .skops; with `trust_pickle`, also one written by pickle or
        joblib.
    trust : sequence of str, default=()
        Names of types to trust in addition to our estimators and to the types that skops trusts.
    trust_pickle : bool, default=False
        Also load pickle files. They can run any code: use this only for files whose author you
        know.

    Returns
    -------
    estimator : estimator instance

    Raises
    ------
    ImportError
        If skops is not installed.
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a skops file and `trust_pickle` is False, cannot be read, or holds types that
        are not trusted or an object that is not an estimator.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no model {path}.")
    if path.suffix != ".skops":
        if not trust_pickle:
            raise ValueError(
                f"{path.name} is not a skops file. A pickle can run any code when it is "
                "loaded: save with skops.io.dump(model, 'model.skops'), or, if you know where it "
                "comes from, give --trust-pickle."
            )
        model = joblib.load(path)
    else:
        model = _load_skops(path, trust)
    if not hasattr(model, "fit"):
        raise ValueError(f"{path.name} holds a {type(model).__name__}, expected an estimator.")
    return model


def list_untrusted(path):
    """List the types in a skops file that are neither trusted by skops nor ours.

    Parameters
    ----------
    path : str or path-like
        File.

    Returns
    -------
    names : list of str

    Raises
    ------
    ImportError
        If skops is not installed.
    """
    ours = {f"{cls.__module__}.{cls.__name__}" for _, cls in all_estimators()} | _PARTS
    return [n for n in import_extra("skops.io").get_untrusted_types(file=path) if n not in ours]


def _load_skops(path, trust):
    io = import_extra("skops.io")
    try:
        unknown = [name for name in list_untrusted(path) if name not in trust]
        if not unknown:
            return io.load(path, trusted=io.get_untrusted_types(file=path))
    except (AttributeError, BadZipFile, KeyError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error
    raise ValueError(
        f"{path.name} holds types that are not trusted. If you know where it comes from, give "
        f"--trust {' '.join(unknown)}"
    )

"""Warnings that point at the user's line, and that a map gathers instead of repeating them."""

import sys
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

__all__ = ["CollectedWarning", "collect_warnings", "is_collecting", "warn_counted", "warn_user"]

# Modules whose frames stand between the user's line and ours.
_SKIPPED = {"sklearn_sits", "sklearn", "joblib", "contextlib"}

_collected = ContextVar("collected", default=None)


class CollectedWarning(NamedTuple):
    """A warning that was not issued yet.

    Parameters
    ----------
    text : str
        Message, with a field in braces for each count.
    category : type
        Class of the warning.
    counts : dict of str to int
        Counts of the fields.
    """

    text: str
    category: type
    counts: dict


def warn_user(message, category):
    """Issue a warning at the first line outside of the package.

    Parameters
    ----------
    message : str
        Message.
    category : type
        Class of the warning.
    """
    collected = _collected.get()
    if collected is None:
        warnings.warn(message, category, stacklevel=_user_level())
    else:
        braces = str.maketrans({"{": "{{", "}": "}}"})
        collected.append(CollectedWarning(message.translate(braces), category, {}))


def warn_counted(text, category, *, detail="", **counts):
    """Issue a warning whose counts a map can add up over its blocks.

    Parameters
    ----------
    text : str
        Message with fields such as ``{values}``. A field ``{total}`` is the number of rows of X,
        for which a map writes the number of its pixels.
    category : type
        Class of the warning.
    detail : str, default=""
        Sentence that follows, such as the place of the first value; a map leaves it out.
    **counts : int
        Counts of the fields.
    """
    collected = _collected.get()
    if collected is None:
        message = " ".join([text.format(**counts), detail]).strip()
        warnings.warn(message, category, stacklevel=_user_level())
    else:
        collected.append(CollectedWarning(text, category, counts))


@contextmanager
def collect_warnings():
    """Collect the warnings of this thread instead of issuing them.

    Yields
    ------
    collected : list of CollectedWarning
        Grows while the context is open.
    """
    collected = []
    token = _collected.set(collected)
    try:
        yield collected
    finally:
        _collected.reset(token)


def is_collecting():
    """Tell whether the warnings of this thread are collected.

    Returns
    -------
    collecting : bool
    """
    return _collected.get() is not None


def _user_level():
    """Return the stack level of the first frame outside, as seen from the calling function."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and _root(frame) in _SKIPPED:
        frame, level = frame.f_back, level + 1
    return level


def _root(frame):
    return frame.f_globals.get("__name__", "").partition(".")[0]

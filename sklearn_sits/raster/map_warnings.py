"""One warning for a map instead of one for each of its blocks."""

import re
import threading
import uuid
from collections import OrderedDict
from contextlib import contextmanager

from sklearn_sits._warnings import warn_user

__all__ = ["MapWarnings", "WarningRecords", "gather_warnings", "take_warnings"]

# Maps whose warnings a process keeps.
_MAX_MAPS = 256

_lock = threading.Lock()
# Warnings of the maps of which this process has computed blocks, by token.
_maps = OrderedDict()
_n_gathering = 0


class WarningRecords:
    """Warnings of some pixels, equal ones added up."""

    def __init__(self):
        self.n_pixels = 0
        # By category and text without its numbers: [text, counts, number of batches].
        self.entries = {}

    def add_batch(self, collected):
        """Add the warnings of one call of an estimator.

        Parameters
        ----------
        collected : list of CollectedWarning
            Warnings. Equal ones, from the members of an ensemble, count once.
        """
        batch = {}
        for text, category, counts in collected:
            batch.setdefault((category, re.sub(r"[-+\d.,e]*\d", "#", text)), (text, counts))
        for key, (text, counts) in batch.items():
            self._add(key, text, counts, 1)

    def merge(self, other):
        """Add the warnings of other pixels.

        Parameters
        ----------
        other : WarningRecords
            Their warnings.
        """
        self.n_pixels += other.n_pixels
        for key, (text, counts, n_batches) in other.entries.items():
            self._add(key, text, counts, n_batches)

    def messages(self):
        """Return messages and categories.

        Returns
        -------
        messages : list of (str, type)
        """
        found = []
        for (category, _), (text, counts, n_batches) in self.entries.items():
            # The series of a map are its pixels.
            message = text.replace(" series", " pixels") if counts else text
            message = message.format(**counts | {"total": self.n_pixels})
            if not counts and n_batches > 1:
                message += f" (The first of {n_batches} such warnings in this map.)"
            found.append((message, category))
        return found

    def _add(self, key, text, counts, n_batches):
        entry = self.entries.setdefault(key, [text, dict.fromkeys(counts, 0), 0])
        entry[2] += n_batches
        for name, count in counts.items():
            entry[1][name] += count


class MapWarnings:
    """Warnings of a map, which the blocks that a process computes share.

    Parameters
    ----------
    fingerprint : str
        Fingerprint of the map.
    token : str, default=None
        Name by which other processes find it; None makes a new one.
    """

    def __init__(self, fingerprint, token=None):
        self.fingerprint = fingerprint
        self.token = uuid.uuid4().hex if token is None else token
        self.pending = WarningRecords()
        self.announced = set()

    def __reduce__(self):
        return MapWarnings, (self.fingerprint, self.token)

    def add(self, records):
        """Add the warnings of a block.

        If no function gathers them in this process, each kind is issued at its first block.

        Parameters
        ----------
        records : WarningRecords
            Warnings of the block.
        """
        with _lock:
            shared = _maps.setdefault(self.token, self)
            while len(_maps) > _MAX_MAPS:
                _maps.popitem(last=False)
            shared.pending.merge(records)
            new = records.entries.keys() - shared.announced
            if _n_gathering:
                new = set()
            shared.announced |= new
        first = WarningRecords()
        first.n_pixels = records.n_pixels
        first.entries = {key: records.entries[key] for key in records.entries if key in new}
        for message, category in first.messages():
            warn_user(f"{message} Other blocks of the map do not repeat this warning.", category)


def take_warnings(fingerprint):
    """Take the warnings that blocks have left in this process.

    Parameters
    ----------
    fingerprint : str or None
        Fingerprint of the map; None takes those of all maps.

    Returns
    -------
    records : WarningRecords
    """
    records = WarningRecords()
    with _lock:
        for one in _maps.values():
            if fingerprint in (None, one.fingerprint):
                records.merge(one.pending)
                one.pending = WarningRecords()
    return records


@contextmanager
def gather_warnings(fingerprint):
    """Gather the warnings of a map, and issue each kind once at the end.

    Parameters
    ----------
    fingerprint : str or None
        Fingerprint of the map.

    Yields
    ------
    records : WarningRecords
        To which warnings from other processes can be added.
    """
    global _n_gathering
    take_warnings(fingerprint)
    records = WarningRecords()
    with _lock:
        _n_gathering += 1
    try:
        yield records
    finally:
        with _lock:
            _n_gathering -= 1
    records.merge(take_warnings(fingerprint))
    for message, category in records.messages():
        warn_user(message, category)

"""The channels of a model, which the command `fit` stores with it."""

from typing import NamedTuple

__all__ = ["Channels", "find_channels", "read_channels"]

_ATTRIBUTE = "channels_"
# Two static channels with these names are a position.
POSITION = ["x", "y"]


class Channels(NamedTuple):
    """Names of the channels of packed series, and their day 0.

    Parameters
    ----------
    bands : list of str or None
        Bands.
    static : list of str or None
        Channels that are constant in time.
    origin : str or None
        Day 0, None for 1970-01-01.
    """

    bands: list | None = None
    static: list | None = None
    origin: str | None = None

    @property
    def positions(self):
        """Positions of x and y, counted from the end of the channels, in a tuple."""
        static = self.static or []
        if not all(name in static for name in POSITION):
            return ()
        return tuple(static.index(name) - len(static) for name in POSITION)

    def store(self, estimator):
        """Store the channels in a fitted estimator.

        Parameters
        ----------
        estimator : estimator instance
            Changed in place.
        """
        setattr(estimator, _ATTRIBUTE, self._asdict())


def read_channels(estimator):
    """Read the channels that are stored in an estimator.

    Parameters
    ----------
    estimator : estimator instance or None
        Fitted estimator.

    Returns
    -------
    channels : Channels
        Of None if there are none.
    """
    return Channels(**getattr(estimator, _ATTRIBUTE, {}))


def find_channels(args, estimator=None):
    """Find the channels that the options of a command name, or else those of the model.

    Parameters
    ----------
    args : argparse.Namespace
        Options `bands`, `static` and `origin`.
    estimator : estimator instance or None, default=None
        Fitted estimator.

    Returns
    -------
    channels : Channels

    Raises
    ------
    ValueError
        If the model has other channels.
    """
    known = read_channels(estimator)._asdict()
    for name in ("bands", "static"):
        given, stored = getattr(args, name), known[name]
        if known["bands"] and given is not None and given != stored:
            raise ValueError(
                f"--{name} {' '.join(given)} differs from the channels of the model: "
                f"{' '.join(stored or []) or 'none'}. Leave it out."
            )
    return Channels(
        *(
            known[name] if getattr(args, name) is None else getattr(args, name)
            for name in Channels._fields
        )
    )

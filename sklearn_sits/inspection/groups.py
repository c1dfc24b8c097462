"""Groups of bands and of dates, from what a user names."""

from collections.abc import Mapping
from numbers import Integral

import numpy as np

from sklearn_sits.inspection.exchange import SeriesGroup

__all__ = ["find_bands", "make_groups"]


def find_bands(bands, n_channels, static):
    """Turn names or groups of channels into groups.

    Parameters
    ----------
    bands : None, sequence of str, or dict of str to int or sequence of int
        Names of all bands in order, or channels of each group. None names them b1, b2, ...
    n_channels : int
        Length of the last axis of X.
    static : list of int
        Positive positions of the static channels.

    Returns
    -------
    groups : dict of str to list of int
        Positive positions on the last axis of X.

    Raises
    ------
    ValueError
        If a group is empty, or names the date, an unknown channel or a channel twice; or if there
        is not one name for each band.
    TypeError
        If a channel is not an integer, or a name no text.
    """
    own = [channel for channel in range(1, n_channels) if channel not in static]
    if bands is None:
        return {f"b{channel}": [channel] for channel in own}
    if isinstance(bands, Mapping):
        if not bands:
            raise ValueError("bands has no group.")
        return {name: _check_group(name, channels, n_channels) for name, channels in bands.items()}
    if isinstance(bands, str):
        raise TypeError(f"bands must be a sequence of names or a dict of groups, got {bands!r}.")
    names = list(bands)
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise TypeError(
            f"bands must hold names, got {wrong[0]!r}. To group channels by their positions, pass "
            'a dict such as {"red edge": [4, 5, 6]}.'
        )
    if len(names) != len(own) or len(set(names)) != len(names):
        raise ValueError(
            f"bands must be a different name for each of the {len(own)} bands of X, got {names}. "
            "To choose or group bands, pass a dict of names to channels."
        )
    return dict(zip(names, ([channel] for channel in own), strict=True))


def _check_group(name, channels, n_channels):
    channels = [channels] if isinstance(channels, Integral) else channels
    if isinstance(channels, str) or not np.iterable(channels):
        raise TypeError(f"bands[{name!r}] must be a channel or a sequence, got {channels!r}.")
    found = []
    for channel in channels:
        if not isinstance(channel, Integral) or isinstance(channel, bool):
            raise TypeError(f"bands[{name!r}] must hold integers, got {channel!r}.")
        if not -n_channels <= channel < n_channels or channel % n_channels == 0:
            raise ValueError(
                f"bands[{name!r}] names channel {channel}, which is no band: X has {n_channels} "
                f"channels, expected 1 to {n_channels - 1} (channel 0 is the date)."
            )
        found.append(int(channel) % n_channels)
    if not found:
        raise ValueError(f"bands[{name!r}] is empty, expected at least one channel.")
    if len(set(found)) < len(found):
        raise ValueError(f"bands[{name!r}] names a channel twice: {list(channels)}.")
    return found


def make_groups(by, bands, windows, n_channels, static):
    """List the groups that move between series.

    Parameters
    ----------
    by : {"bands", "dates", "both"}
        What a group is.
    bands : dict of str to list of int
        Groups of channels.
    windows : DateWindows or None
        Windows of dates.
    n_channels : int
        Length of the last axis of X.
    static : list of int
        Positive positions of the static channels.

    Returns
    -------
    groups : list of SeriesGroup
        In the order of the bands, then of the windows.
    names : ndarray of str
        Names of the groups, of shape (n_bands,), (n_windows,) or (n_bands, n_windows).

    Raises
    ------
    ValueError
        If a static channel is to move within a window.
    """
    if by == "bands":
        groups = [_split_channels(channels, static, None) for channels in bands.values()]
        return groups, np.array(list(bands))
    limits = [tuple(edges) for edges in windows.edges.tolist()]
    if by == "dates":
        every = [channel for channel in range(1, n_channels) if channel not in static]
        return [_split_channels(every, [], window) for window in limits], windows.names
    for name, channels in bands.items():
        if set(channels) & set(static):
            raise ValueError(
                f"bands[{name!r}] names the static channel {(set(channels) & set(static)).pop()}, "
                'which has no dates. It can be a group with by="bands" only.'
            )
    groups = [
        _split_channels(channels, static, window)
        for channels in bands.values()
        for window in limits
    ]
    names = [[f"{band}, {window}" for window in windows.names] for band in bands]
    return groups, np.array(names)


def _split_channels(channels, static, window):
    own = tuple(channel for channel in channels if channel not in static)
    moved = tuple(static.index(channel) for channel in channels if channel in static)
    return SeriesGroup(own, moved, window)

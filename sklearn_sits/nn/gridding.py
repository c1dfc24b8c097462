"""Irregular series as inputs of fixed size."""

import torch

__all__ = ["drop_gaps", "grid_series"]


def drop_gaps(days, values, seen):
    """Drop the slots in which nothing was observed.

    Parameters
    ----------
    days, values : tensor of shape (n, t)
        Dates in days and values, finite everywhere.
    seen : bool tensor of shape (n, t)
        Where there is an observation.

    Returns
    -------
    days, values : tensor of shape (n, u)
        Where seen, in the order of the slots, then zeros; u is the largest number of observations.
    seen : bool tensor of shape (n, u)
        False in these zeros.
    """
    position = seen.cumsum(1)
    count = position[:, -1:]
    width = int(count.max())
    # Gaps go to a slot of their own, which is then cut off.
    position = width + (position - 1 - width) * seen
    empty = values.new_zeros(len(values), width + 1)
    days, values = (empty.scatter(1, position, x)[:, :width] for x in (days, values))
    return days, values, torch.arange(width, device=values.device) < count


def grid_series(days, values, seen, nodes):
    """Interpolate series at common dates, and count the observations around each of them.

    Observations are averaged around each node, dates and values alike, so that nothing is lost
    where they are dense; the averages are interpolated linearly. Before the first and after the
    last one the value is the nearest.

    Parameters
    ----------
    days : tensor of shape (n, t)
        Dates in days, in any order, finite everywhere.
    values : tensor of shape (n, t)
        Values, finite everywhere.
    seen : bool tensor of shape (n, t)
        Where there is an observation.
    nodes : tensor of shape (k,)
        Ascending dates, evenly spaced, k > 1.

    Returns
    -------
    interpolated : tensor of shape (n, k)
        Zero for a series without observation.
    count : tensor of shape (n, k)
        Number of observations nearer to a node than to the others. Those beyond the first or the
        last node belong to these.
    """
    n, k = len(values), len(nodes)
    step = nodes[1] - nodes[0]
    nearest = ((days - nodes[0]) / step).round().clamp(0, k - 1).long()
    # Slots without an observation go to a node of their own, which is then cut off. (Choices are
    # products here, which take a third of the time of torch.where.)
    nearest = k + (nearest - k) * seen
    empty = values.new_zeros(n, k + 1)

    def total(x):
        return empty.scatter_add(1, nearest, x)[:, :k]

    count = total(torch.ones_like(values))
    number = count.clamp_min(1)
    date, value = total(days) / number, total(values) / number

    # The last average up to each node, -1 if there is none, and the first one from there on, or k.
    filled, position = count > 0, torch.arange(k, device=values.device)
    before = (position + 1) * (filled & (date <= nodes)) - 1
    before[:, 1:] = torch.maximum(before[:, 1:], ((position + 1) * filled - 1)[:, :-1])
    after = k + (position - k) * (filled & (date >= nodes))
    after[:, :-1] = torch.minimum(after[:, :-1], (k + (position - k) * filled)[:, 1:])
    before = before.cummax(1).values
    after = after.flip(1).cummin(1).values.flip(1)
    first = (before + (after - before) * (before < 0)).clamp_max(k - 1)
    last = (after + (before - after) * (after == k)).clamp_min(0)
    start, length = date.gather(1, first), date.gather(1, last) - date.gather(1, first)
    # Where both are the same average, any share will do.
    share = (nodes - start) / length.clamp_min(torch.finfo(values.dtype).eps)
    return torch.lerp(value.gather(1, first), value.gather(1, last), share), count

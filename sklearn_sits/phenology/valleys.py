"""Valleys of series of a vegetation index, at which a year is cut into seasons."""

from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_sits.nn.gridding import drop_gaps

__all__ = ["SeasonWindows", "find_windows", "split_at_valleys"]

YEAR = 365.0


class SeasonWindows(NamedTuple):
    """Observations of the seasons of a year.

    Parameters
    ----------
    days, values : tensor of shape (n, t)
        Days of the season and vegetation index, in the order of time.
    whole : bool tensor of shape (n, t)
        Observations of the year, without those of the seasons before and after it.
    first, second : bool tensor of shape (n, t)
        Those up to the deepest valley of the year, and those from there on; both hold the valley.
    depth : tensor of shape (n,)
        How far the index falls from the lower one of the peaks beside this valley.
    """

    days: Tensor
    values: Tensor
    whole: Tensor
    first: Tensor
    second: Tensor
    depth: Tensor


def find_windows(days, values, seen, smallest):
    """Cut series at the valleys between seasons.

    A valley or a peak is two neighbouring observations at least, because a single one may be a
    cloud or an error: valleys are found in medians of three observations.

    Parameters
    ----------
    days, values : tensor of shape (n, t)
        Days of the season and vegetation index, finite everywhere.
    seen : bool tensor of shape (n, t)
        Where there is an observation, one per series at least.
    smallest : float or tensor of shape ()
        Depth of a valley that separates the year from a season before or after it.

    Returns
    -------
    windows : SeasonWindows
    """
    days, values, seen = _sort(days, values, seen)
    count = seen.sum(1, keepdim=True)
    smooth = _median_of_three(values, count)
    position = torch.arange(days.shape[1], device=days.device)
    in_year = seen & (days >= 0) & (days <= YEAR)
    low = _end_of_season_before(smooth, seen & (days < 0), seen, smallest)
    last = _end_of_season_before(
        smooth.flip(1), (seen & (days > YEAR)).flip(1), seen.flip(1), smallest
    )
    high = days.shape[1] - 1 - last
    whole = seen & (position >= low) & (position <= high)
    # A year of which nothing is left keeps all.
    whole = torch.where((whole & in_year).any(1, keepdim=True), whole, seen)
    level = smooth.masked_fill(~whole, -torch.inf)
    before = level.cummax(1).values
    after = level.flip(1).cummax(1).values.flip(1)
    fall = (torch.minimum(before, after) - smooth).masked_fill(~whole, -torch.inf)
    depth, valley = fall.max(1, keepdim=True)
    return SeasonWindows(
        days,
        values,
        whole,
        whole & (position <= valley),
        whole & (position >= valley),
        depth.squeeze(1),
    )


def split_at_valleys(days, values, seen, smallest):
    """Replace each series with a deep valley by the parts before and after it.

    Parameters
    ----------
    days, values, seen, smallest
        See :func:`find_windows`.

    Returns
    -------
    days, values, seen
        As `drop_gaps` returns them, with more rows.
    """
    windows = find_windows(days, values, seen, smallest)
    is_double = windows.depth >= smallest
    first = torch.where(is_double.unsqueeze(1), windows.first, windows.whole)
    masks = torch.cat([first, windows.second[is_double]])
    days, values = (torch.cat([part, part[is_double]]) for part in (windows.days, windows.values))
    return drop_gaps(days, values, masks)


def _sort(days, values, seen):
    """Order observations by day, and by value within a day; gaps come last."""
    order = torch.argsort(values, dim=1, stable=True)
    key = torch.where(seen, days, torch.inf).gather(1, order)
    order = order.gather(1, torch.argsort(key, dim=1, stable=True))
    return tuple(part.gather(1, order) for part in (days, values, seen))


def _median_of_three(values, count):
    """Smooth the first `count` values; at the ends is the mean of two."""
    position = torch.arange(values.shape[1], device=values.device)
    is_first, is_last = position == 0, position == count - 1
    before, after = values.roll(1, 1), values.roll(-1, 1)
    three = torch.stack([before, values, after])
    median = three.median(0).values
    median = torch.where(is_first, (values + after) / 2, median)
    median = torch.where(is_last, (values + before) / 2, median)
    return torch.where(count == 1, values, median)


def _end_of_season_before(smooth, margin, seen, smallest):
    """Return the position of the valley between a season in the margin and the year, else 0."""
    level = smooth.masked_fill(~margin, -torch.inf)
    height, peak = level.max(1, keepdim=True)
    position = torch.arange(smooth.shape[1], device=smooth.device)
    # The lowest value since the peak in the margin, and where it is.
    onwards = seen & (position >= peak)
    lowest, at = smooth.masked_fill(~onwards, torch.inf).cummin(1)
    rises = onwards & (smooth - lowest >= smallest) & (height - lowest >= smallest)
    found = rises.to(torch.uint8).argmax(1, keepdim=True)
    has_valley = rises.any(1, keepdim=True) & margin.any(1, keepdim=True)
    return torch.where(has_valley, at.gather(1, found), 0)

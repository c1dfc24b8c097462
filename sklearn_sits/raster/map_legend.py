"""Values, names and colours of the classes of a map."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

__all__ = ["DEFAULT_COLORS", "LegendEntry", "read_legend", "say_label"]

# The colours of Okabe and Ito, without black, then those that are farthest from all before them,
# in CIELAB, for normal vision, protanopia and deuteranopia alike (Machado et al., 2009).
DEFAULT_COLORS = (
    "#e69f00 #56b4e9 #009e73 #f0e442 #0072b2 #d55e00 #cc79a7 #0000ff #ccee99 #221199 #443300 "
    "#7766ff #442255 #005544 #55ddaa #776633 #bbaa55 #6699ff #ccddff #1155bb"
).split()
_HEX = re.compile(r"#[0-9a-fA-F]{6}")


class LegendEntry(NamedTuple):
    """A class of a map.

    Parameters
    ----------
    value : int
        Value of its pixels.
    name : str
        Name, which may contain spaces.
    color : str
        Colour as #rrggbb.
    """

    value: int
    name: str
    color: str

    @property
    def rgb(self):
        """Red, green and blue from 0 to 255."""
        return tuple(int(self.color[start : start + 2], 16) for start in (1, 3, 5))


def read_legend(raster, colors=None):
    """Read the classes of a map from its attributes.

    Parameters
    ----------
    raster : xarray.DataArray
        Map, with flag_values and class_names or flag_meanings, and maybe flag_colors.
    colors : mapping of label to str, default=None
        Colours as #rrggbb, before those of the map. The other classes get the default colours,
        which repeat after 20 classes.

    Returns
    -------
    legend : list of LegendEntry
        Empty if the map has no classes.

    Raises
    ------
    TypeError
        If `colors` is not a mapping.
    ValueError
        If `colors` names a class that the map does not have, or a colour is not #rrggbb.
    """
    colors = _check_colors(colors)
    if "flag_values" not in raster.attrs:
        if colors:
            raise ValueError("colors is for maps of classes, but the map has no flag_values.")
        return []
    values = np.ravel(raster.attrs["flag_values"]).tolist()
    names = _list(raster.attrs.get("class_names", raster.attrs.get("flag_meanings", "")))
    if len(names) != len(values):
        names = [say_label(value) for value in values]
    unknown = [name for name in colors if name not in names]
    if unknown:
        raise ValueError(f"colors names {unknown}, but the classes of the map are {names}.")
    stored = _list(raster.attrs.get("flag_colors", ""))
    chosen = dict(zip(names, stored, strict=True)) if len(stored) == len(names) else {}
    chosen |= colors
    taken = {color.lower() for color in chosen.values()}
    free = [color for color in DEFAULT_COLORS if color not in taken] or DEFAULT_COLORS
    others = [name for name in names if name not in chosen]
    chosen |= {name: free[i % len(free)] for i, name in enumerate(others)}
    return [
        LegendEntry(int(value), name, chosen[name])
        for value, name in zip(values, names, strict=True)
    ]


def say_label(label):
    """Return a class label as text.

    Parameters
    ----------
    label : object
        Label; a whole number in floating point is written without a point.

    Returns
    -------
    text : str
    """
    if isinstance(label, float | np.floating) and label == np.floor(label):
        return str(int(label))
    return str(label)


def _list(names):
    return names.split() if isinstance(names, str) else [str(name) for name in np.ravel(names)]


def _check_colors(colors):
    if colors is None:
        return {}
    if not isinstance(colors, Mapping):
        raise TypeError(
            f'colors must be a mapping such as {{"wheat": "#e6c229"}}, got {type(colors).__name__}.'
        )
    for label, color in colors.items():
        if not isinstance(color, str) or not _HEX.fullmatch(color):
            raise ValueError(
                f"colors[{label!r}] must be a colour such as '#e6c229', got {color!r}."
            )
    return {say_label(label): color.lower() for label, color in colors.items()}

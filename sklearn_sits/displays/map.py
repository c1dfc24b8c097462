"""Figure of a map with its legend and a scale bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from sklearn_sits._extras import import_extra
from sklearn_sits._module_names import set_module
from sklearn_sits.displays.axes import open_axes
from sklearn_sits.raster.map_legend import read_legend

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

__all__ = ["MapDisplay"]

_METRES_PER_DEGREE = 111_320.0
# The scale bar is at most this share of the width of the map.
_LONGEST_BAR = 0.3
# Place of the scale bar below the map, in heights of the map.
_BAR_AT = -0.03
_GEOGRAPHIC = ("longitude", "lon")
# More lines than these do not fit beside a map of the default size.
_MOST_CLASSES = 20


@set_module("sklearn_sits.displays")
class MapDisplay:
    """A map of classes with its legend, or of numbers with a colour bar, and a scale bar.

    Make it with :meth:`from_data`.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns)
        Map, the first row at the top. NaN is no data.
    extent : tuple of float
        Left, right, bottom and top edge, in the units of the coordinates.
    legend : list of (value, name, color), default=()
        Classes of a map of classes.
    label : str, default=""
        Name and unit of the values of a map of numbers.
    metres_per_unit : float, default=1.0
        Length of a unit of the coordinates along a row.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the figure.
    figure_ : matplotlib Figure
        Figure.
    image_ : matplotlib AxesImage
        Map.
    colorbar_ : matplotlib Colorbar or None
        Colour bar of a map of numbers.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from sklearn_sits.displays import MapDisplay
    >>> crops = xr.DataArray(
    ...     np.array([[0, 1], [1, 1]]),
    ...     {"y": [30.0, 10.0], "x": [10.0, 30.0]},
    ...     attrs={"flag_values": [0, 1], "class_names": ["maize", "winter wheat"]},
    ... )
    >>> display = MapDisplay.from_data(crops, colors={"winter wheat": "#e6c229"})
    >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
    ['maize', 'winter wheat']
    """

    def __init__(
        self,
        values: np.ndarray,
        extent: tuple[float, float, float, float],
        *,
        legend: Sequence[tuple[Any, str, str]] = (),
        label: str = "",
        metres_per_unit: float = 1.0,
    ) -> None:
        self.values = values
        self.extent = extent
        self.legend = legend
        self.label = label
        self.metres_per_unit = metres_per_unit

    @classmethod
    def from_data(
        cls,
        raster: xr.DataArray,
        *,
        colors: Mapping[Any, str] | None = None,
        cmap: str | Colormap = "viridis",
        ax: Axes | None = None,
    ) -> Self:
        """Draw a map.

        Parameters
        ----------
        raster : xarray.DataArray
            Map of two dimensions with their coordinates, such as that of
            :func:`sklearn_sits.raster.predict_raster`: of classes, if the attribute `flag_values`
            has their values, otherwise of numbers. The attribute `class_names` has their names.
        colors : mapping of label to str, default=None
            Colours of classes, such as ``{"wheat": "#e6c229"}``, as in
            :func:`sklearn_sits.raster.export_geotiff`. The other classes get the same colours as
            there.
        cmap : str or matplotlib Colormap, default="viridis"
            Colours of numbers.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : MapDisplay

        Raises
        ------
        TypeError
            If the map is no DataArray, or `colors` no mapping.
        ValueError
            If it does not have two dimensions with coordinates, or `colors` names an unknown
            class.
        """
        xr = import_extra("xarray")
        if not isinstance(raster, xr.DataArray):
            raise TypeError(f"raster must be an xarray.DataArray, got {type(raster).__name__}.")
        if raster.ndim != 2:
            raise ValueError(
                f"raster has the dimensions {raster.dims}, expected two of space. Choose a layer, "
                f"for example raster.isel({raster.dims[0]}=0)."
            )
        if raster.dims[0] in ("x", *_GEOGRAPHIC):
            raster = raster.transpose()
        dims = raster.dims
        missing = [dim for dim in dims if dim not in raster.coords or raster.sizes[dim] < 2]
        if missing:
            raise ValueError(f"raster needs at least two coordinates along {missing}.")
        rows, columns = (np.asarray(raster[dim], dtype=np.float64) for dim in dims)
        values = np.array(raster.values, dtype=np.float64)
        values[values == raster.attrs.get("_FillValue", np.nan)] = np.nan
        # The first row is the northernmost, and the first column the westernmost.
        values = values[
            :: 1 if rows[0] > rows[-1] else -1, :: 1 if columns[0] < columns[-1] else -1
        ]
        metres = 1.0
        if dims[1] in _GEOGRAPHIC:
            metres = _METRES_PER_DEGREE * np.cos(np.radians(rows.mean()))
        return cls(
            values,
            (*_find_edges(columns), *_find_edges(rows)),
            legend=_find_legend(raster, colors),
            label=_name_values(raster),
            metres_per_unit=metres,
        ).plot(ax=ax, cmap=cmap)

    def plot(self, ax: Axes | None = None, *, cmap: str | Colormap = "viridis") -> Self:
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a new figure.
        cmap : str or matplotlib Colormap, default="viridis"
            Colours of numbers.

        Returns
        -------
        display : MapDisplay
        """
        self.figure_, self.ax_ = open_axes(ax, layout="compressed")
        self.colorbar_ = None
        options: dict = {"extent": self.extent, "interpolation": "nearest"}
        if self.metres_per_unit != 1.0:
            # A degree of latitude is longer than one of longitude.
            options["aspect"] = _METRES_PER_DEGREE / self.metres_per_unit
        if not self.legend:
            self.image_ = self.ax_.imshow(self.values, cmap=cmap, **options)
            self.colorbar_ = self.figure_.colorbar(self.image_, ax=self.ax_, label=self.label)
        else:
            self._plot_classes(options)
        # A map that is narrower than its place leaves room for the legend.
        self.ax_.set(xticks=[], yticks=[], anchor="W")
        self._draw_scale()
        return self

    def _plot_classes(self, options):
        colors = import_extra("matplotlib.colors", "plot")
        patches = import_extra("matplotlib.patches", "plot")
        entries = sorted(self.legend)
        order = [value for value, _, _ in entries]
        positions = np.searchsorted(order, self.values)
        known = np.isin(self.values, order)
        positions = np.where(known, positions, np.nan)
        self.image_ = self.ax_.imshow(
            positions,
            cmap=colors.ListedColormap([color for _, _, color in entries]),
            vmin=-0.5,
            vmax=len(entries) - 0.5,
            **options,
        )
        handles = [patches.Patch(color=color, label=name) for _, name, color in self.legend]
        if not known.all():
            handles.append(patches.Patch(facecolor="white", edgecolor="0.5", label="no data"))
        self.ax_.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0,
            frameon=False,
        )  # fmt: skip

    def _draw_scale(self):
        left, right = self.extent[:2]
        length = _find_round(_LONGEST_BAR * (right - left) * self.metres_per_unit)
        end = left + length / self.metres_per_unit
        below = self.ax_.get_xaxis_transform()
        text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
        self.ax_.plot(
            [left, end], [_BAR_AT] * 2, color="black", linewidth=3, transform=below, clip_on=False,
            solid_capstyle="butt", scalex=False, scaley=False,
        )  # fmt: skip
        self.ax_.annotate(
            text, (end, _BAR_AT), xycoords=below, xytext=(5, 0), textcoords="offset points",
            va="center", annotation_clip=False,
        )  # fmt: skip


def _find_edges(centres):
    """Return the lowest and the highest edge of pixels."""
    half = abs(centres[-1] - centres[0]) / (len(centres) - 1) / 2
    return centres.min() - half, centres.max() + half


def _find_round(longest):
    """Return the longest length of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(longest))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= longest)


def _name_values(raster):
    name = "" if raster.name is None else str(raster.name)
    units = raster.attrs.get("units", "")
    return f"{name} ({units})" if units else name


def _find_legend(raster, colors):
    """Return the legend of a map of classes, empty for one of numbers."""
    legend = read_legend(raster, colors)
    if len(legend) > _MOST_CLASSES:
        raise ValueError(
            f"raster has {len(legend)} classes, of which a legend can show {_MOST_CLASSES}."
        )
    return legend

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from figures import assert_readable, count_color, find_texts
from matplotlib.colors import to_hex

from sklearn_sits.displays import MapDisplay
from sklearn_sits.raster.map_legend import read_legend


@pytest.fixture
def crops():
    values = np.repeat(np.arange(20)[:, None] // 7 + 10, 30, axis=1).astype(np.uint8)
    values[:4, :4] = 255
    return xr.DataArray(
        values,
        {"y": 5e6 - 10.0 * np.arange(20), "x": 4e5 + 10.0 * np.arange(30)},
        attrs={
            "flag_values": [10, 11, 12],
            "class_names": ["winter wheat", "maize", "meadow"],
            "_FillValue": 255,
        },
    )


def test_legend_and_colours(crops):
    display = MapDisplay.from_data(crops, colors={"winter wheat": "#e6c229"})
    assert_readable(display.figure_)
    legend = display.ax_.get_legend()
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["winter wheat", "maize", "meadow", "no data"]
    colors = [to_hex(patch.get_facecolor()) for patch in legend.get_patches()]
    assert colors[0] == "#e6c229"
    assert len(set(colors)) == 4
    # Those of a GeoTIFF of the same map.
    assert colors[:3] == [entry.color for entry in read_legend(crops, {"winter wheat": "#e6c229"})]
    # Colours of the legend are those of the map: each class has a third of the rows.
    box = display.ax_.get_window_extent()
    for color, rows in zip(colors, (7 - 16 / 30, 7, 6), strict=False):
        share = count_color(display.figure_, color) / (box.width * box.height)
        assert share == pytest.approx(rows / 20, abs=0.03)


def test_legend_stays_beside_the_map(crops):
    display = MapDisplay.from_data(crops)
    display.figure_.draw_without_rendering()
    legend = display.ax_.get_legend().get_window_extent()
    assert legend.x0 >= display.ax_.get_window_extent().x1


def test_the_map_is_not_changed(crops):
    before = crops.astype(float)
    before.attrs = crops.attrs
    display = MapDisplay.from_data(before)
    np.testing.assert_array_equal(before, crops)
    np.testing.assert_array_equal(np.isnan(display.values), crops == 255)


def test_scale_bar(crops):
    display = MapDisplay.from_data(crops)
    (bar,) = display.ax_.lines
    # The longest round length that is at most 0.3 of 300 m.
    np.testing.assert_allclose(bar.get_xdata(), [4e5 - 5, 4e5 + 45])
    assert "50 m" in [text for text, _ in find_texts(display.figure_)]
    box = bar.get_window_extent(display.figure_.canvas.get_renderer())
    assert box.y1 < display.ax_.get_window_extent().y0
    assert display.image_.get_extent() == [4e5 - 5, 4e5 + 295, 5e6 - 195, 5e6 + 5]


def test_scale_of_degrees():
    coords = {"latitude": 60 - 0.001 * np.arange(40), "longitude": 5 + 0.002 * np.arange(40)}
    raster = xr.DataArray(np.ones((40, 40)), coords)
    display = MapDisplay.from_data(raster)
    (bar,) = display.ax_.lines
    # A degree of longitude is half as long at 60 degrees north.
    assert np.ptp(bar.get_xdata()) == pytest.approx(1000 / 55_660, rel=0.01)
    assert "1 km" in [text for text, _ in find_texts(display.figure_)]
    box = display.ax_.get_window_extent()
    assert box.width == pytest.approx(box.height, rel=0.02)


def test_north_is_up(crops):
    crops.attrs.clear()
    crops = crops.astype(float)
    display = MapDisplay.from_data(crops)
    flipped = MapDisplay.from_data(crops[::-1, ::-1])
    np.testing.assert_array_equal(flipped.values, display.values)
    assert flipped.extent == display.extent
    np.testing.assert_array_equal(MapDisplay.from_data(crops.T).values, display.values)


def test_numbers(crops):
    raster = xr.DataArray(
        np.linspace(0, 8, 600).reshape(20, 30), crops.coords, name="LAI", attrs={"units": "m²/m²"}
    )
    display = MapDisplay.from_data(raster)
    assert_readable(display.figure_)
    assert display.colorbar_.ax.get_ylabel() == "LAI (m²/m²)"
    np.testing.assert_array_equal(display.image_.get_array(), raster)
    assert display.ax_.get_legend() is None


def test_own_axes_and_many_classes():
    names = [f"class number {i}" for i in range(20)]
    raster = xr.DataArray(
        np.arange(225).reshape(15, 15) % 20,
        {"y": 1000.0 * np.arange(15), "x": 1000.0 * np.arange(15)},
        attrs={"flag_values": np.arange(20), "class_names": names},
    )
    figure, ax = plt.subplots(layout="constrained")
    display = MapDisplay.from_data(raster, ax=ax)
    assert display.ax_ is ax
    assert_readable(figure)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == names


def test_wrong_arguments(crops):
    with pytest.raises(TypeError, match="xarray.DataArray, got ndarray"):
        MapDisplay.from_data(crops.values)
    with pytest.raises(ValueError, match=r"expected two of space. .* raster.isel\(time=0\)"):
        MapDisplay.from_data(crops.expand_dims(time=2))
    with pytest.raises(ValueError, match=r"at least two coordinates along \['y'\]"):
        MapDisplay.from_data(crops.drop_vars("y"))
    with pytest.raises(ValueError, match=r"colors names \['oak'\], but the classes"):
        MapDisplay.from_data(crops, colors={"oak": "#00ff00"})
    with pytest.raises(TypeError, match="colors must be a mapping"):
        MapDisplay.from_data(crops, colors=["green"])
    with pytest.raises(ValueError, match="has 21 classes, of which a legend can show 20"):
        MapDisplay.from_data(crops.assign_attrs(flag_values=np.arange(21)))
    crops.attrs.clear()
    with pytest.raises(ValueError, match="no flag_values"):
        MapDisplay.from_data(crops, colors={"maize": "#00ff00"})

import numpy as np
import pytest
import xarray as xr

from sklearn_sits.raster.map_legend import DEFAULT_COLORS, read_legend

# Colours as people with normal vision, protanopia and deuteranopia see them: matrices of Machado,
# Oliveira and Fernandes (2009), for linear RGB.
VISIONS = [
    np.eye(3),
    [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.052],
    ],
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
]
TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175]]
TO_XYZ = np.array([*TO_XYZ, [0.0193339, 0.119192, 0.9503041]])


def make_raster(**attrs):
    attrs = {"flag_values": np.arange(3), "class_names": ["bare", "winter wheat", "10"]} | attrs
    return xr.DataArray(np.zeros((2, 2)), dims=("y", "x"), attrs=attrs)


def to_lab(linear):
    x, y, z = np.moveaxis(np.clip(linear, 0, 1) @ TO_XYZ.T / [0.95047, 1, 1.08883], -1, 0)
    x, y, z = (np.where(v > 0.008856, np.cbrt(v), 7.787 * v + 16 / 116) for v in (x, y, z))
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def test_default_colors_differ_for_the_colour_blind():
    rgb = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in DEFAULT_COLORS])
    srgb = rgb / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    for vision in VISIONS:
        seen = to_lab(linear @ np.transpose(vision))
        distances = np.linalg.norm(seen[:, None] - seen, axis=-1)
        # A difference of 2 is just noticeable side by side.
        assert distances[np.triu_indices(len(rgb), 1)].min() > 15


def test_colors():
    raster = make_raster()
    default = read_legend(raster)
    assert [entry[:2] for entry in default] == [(0, "bare"), (1, "winter wheat"), (2, "10")]
    assert [entry.color for entry in default] == DEFAULT_COLORS[:3]
    assert default[0].rgb == (230, 159, 0)
    # Labels may be numbers, and no default colour is used twice.
    legend = read_legend(raster, {"winter wheat": "#E69F00", 10.0: "#000001"})
    assert [entry.color for entry in legend] == ["#56b4e9", "#e69f00", "#000001"]
    stored = read_legend(
        raster.assign_attrs(flag_colors="#000001 #000002 #000003"), {10: "#0000ff"}
    )
    assert [entry.color for entry in stored] == ["#000001", "#000002", "#0000ff"]
    words = make_raster(flag_meanings="a b c")
    del words.attrs["class_names"]
    assert [entry.name for entry in read_legend(words)] == ["a", "b", "c"]
    assert read_legend(xr.DataArray(np.zeros((2, 2)))) == []


def test_bad_colors():
    raster = make_raster()
    with pytest.raises(ValueError, match=r"names \['rye'\], but the classes .* are \['bare', 'w"):
        read_legend(raster, {"rye": "#ffffff"})
    with pytest.raises(ValueError, match=r"colors\['bare'\] must be a colour such as"):
        read_legend(raster, {"bare": "red"})
    with pytest.raises(TypeError, match="must be a mapping such as .* got list"):
        read_legend(raster, ["#ffffff"])
    del raster.attrs["flag_values"]
    with pytest.raises(ValueError, match="is for maps of classes"):
        read_legend(raster, {"bare": "#ffffff"})

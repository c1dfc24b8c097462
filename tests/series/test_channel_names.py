import pytest

from sklearn_sits.series.channel_names import match_names, suggest, to_band_name

BANDS = ["B2", "B3", "B8", "B8A", "B11"]
ANGLES = ["sun_zenith", "view_zenith", "relative_azimuth"]


@pytest.mark.parametrize(
    ("expected", "found", "sensor", "positions"),
    [
        (BANDS, BANDS, "Sentinel-2A", [0, 1, 2, 3, 4]),
        (BANDS, ["B11", "B2", "B3", "B8", "B8A"], None, [1, 2, 3, 4, 0]),
        (BANDS, ["b02", "B03", "SCL", "B08", "b8a", "B11"], None, [0, 1, 3, 4, 5]),
        (BANDS, ["nir08", "nir", "green", "blue", "swir16"], "Sentinel-2B", [3, 2, 1, 0, 4]),
        (["B4", "B5"], ["nir08", "red"], "Landsat-9", [1, 0]),
        (["B4", "B5"], ["SR_B5", "SR_B4"], "Landsat-8", [1, 0]),
        (["B1", "B2"], ["sur_refl_b02", "sur_refl_b01"], "MODIS-Terra", [1, 0]),
        (["red", "nir"], ["NIR", "Red"], "drone", [1, 0]),
        (ANGLES, ["raa", "vza", "Solar Zenith"], None, [2, 1, 0]),
        # The name itself, rather than another spelling of it.
        (["B2"], ["B02", "B2"], None, [1]),
        # No name is known.
        (BANDS, ["1", "2", "3", "4", "5"], "Sentinel-2A", None),
        (BANDS, ["red", "nir"], None, None),
        (BANDS, [], None, None),
    ],
)
def test_match(expected, found, sensor, positions):
    assert match_names(expected, found, what="X", sensor=sensor) == positions


@pytest.mark.parametrize(
    ("expected", "found", "sensor", "match"),
    [
        (BANDS, ["B2", "B3", "B4", "B5"], "Sentinel-2A", "X lacks B8, B8A, B11 .* for Sentinel-2A"),
        (["B2", "B3"], ["B2", "B3", "B8A"], "Landsat-8", "X has B8A, which Landsat-8 has not"),
        (["B2"], ["B02", "b2"], None, r"X has B2 more than once: \['B02', 'b2'\]"),
        # The second red band of Sentinel-2, not the near infrared of Landsat.
        (["B4", "B8"], ["red", "nir08"], "Sentinel-2A", "X lacks B8 of the model"),
        (ANGLES, ["sun_zenith", "view_zenith", "sun_azimuth"], None, "azimuth of the sun minus"),
    ],
)
def test_other_names(expected, found, sensor, match):
    with pytest.raises(ValueError, match=match):
        match_names(expected, found, what="X", sensor=sensor)


def test_suggest():
    assert suggest("lai", ["ALA", "LAI"]) == " Did you mean 'LAI'?"
    assert suggest("fAPR", ["LAI", "fAPAR"]) == " Did you mean 'fAPAR'?"
    assert suggest("biomass", ["LAI", "fAPAR"]) == ""


def test_to_band_name():
    names = ["B02", "b8a", "SR_B4", "B11", "red"]
    assert [to_band_name(name) for name in names] == ["B2", "B8A", "B4", "B11", "red"]

import numpy as np
import pytest
import xarray as xr

from sklearn_sits.raster import read_stac_angles


def make_item(name, moment, **properties):
    return {"id": name, "properties": {"datetime": moment} | properties, "assets": {}}


@pytest.fixture
def cube():
    time = np.array(["2022-06-01T10:30", "2022-06-11T10:30"], dtype="datetime64[ns]")
    return xr.DataArray(np.zeros((2, 3, 4)), {"time": time}, ("time", "y", "x"))


def test_names_of_catalogues(cube):
    items = [
        make_item(
            "later", "2022-06-11T10:30:00Z", **{"view:sun_elevation": 50, "view:off_nadir": 2}
        ),
        make_item(
            "north",
            "2022-06-01T10:29:50Z",
            **{"s2:mean_solar_zenith": 30.0, "view:incidence_angle": 4.0, "view:off_nadir": 0},
        ),
        make_item(
            "south",
            "2022-06-01T12:30:04+02:00",
            **{"s2:mean_solar_zenith": 32.0, "view:sun_elevation": 0, "view:incidence_angle": 6},
        ),
        # Not in the cube.
        make_item("other day", "2022-06-05T10:30:00Z"),
    ]
    angles = read_stac_angles(items, cube)
    np.testing.assert_allclose(angles["sun_zenith"], [31, 40])
    np.testing.assert_allclose(angles["view_zenith"], [5, 2])
    np.testing.assert_allclose(angles["relative_azimuth"], [90, 90])
    np.testing.assert_array_equal(angles["time"], cube["time"])
    angles = read_stac_angles(items, cube, view_zenith=7, relative_azimuth=-20)
    np.testing.assert_allclose(angles["view_zenith"], [7, 7])
    np.testing.assert_allclose(angles["relative_azimuth"], [-20, -20])


def test_missing_metadata(cube):
    first = make_item("first", "2022-06-01T10:30:00Z")
    second = make_item("second", "2022-06-11T10:30:00Z", **{"view:sun_elevation": 50})
    with pytest.raises(ValueError, match="no item for the date 2022-06-11T10:30:00"):
        read_stac_angles([first], cube)
    with pytest.raises(ValueError, match="first has neither s2:mean.*physics.sun_angles"):
        read_stac_angles([first, second], cube)
    with pytest.raises(ValueError, match="second has neither view:incidence_angle.*Give view_z"):
        read_stac_angles([second], cube.isel(time=[1]))
    with pytest.raises(ValueError, match="must have a coordinate time"):
        read_stac_angles([first], cube.drop_vars("time"))

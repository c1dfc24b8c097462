import numpy as np
import pytest

from sklearn_sits.physics import overpass_time, sun_angles


def test_published_example():
    """Reda and Andreas (2004), Solar position algorithm, table A5.1, without refraction."""
    zenith, azimuth = sun_angles(np.datetime64("2003-10-17T19:30:30"), 39.742476, -105.1786)
    assert zenith == pytest.approx(90 - 39.872046, abs=0.01)
    assert azimuth == pytest.approx(194.340241, abs=0.01)


def test_known_positions():
    noon = np.datetime64("2024-06-20T12:01:50")
    # The sun is overhead at the tropic of Cancer at noon of the solstice, and in the north of
    # places that lie south of it.
    assert sun_angles(noon, 23.43, 0.0)[0] < 0.05
    zenith, azimuth = sun_angles(noon, [-40.0, 60.0], 0.0)
    np.testing.assert_allclose(zenith, [63.44, 36.56], atol=0.02)
    np.testing.assert_allclose(np.minimum(azimuth, 360 - azimuth), [0, 180], atol=0.2)
    # At the equinox it rises in the east, at six local time.
    zenith, azimuth = sun_angles(np.datetime64("2024-03-20T06:07:30"), 0.0, 0.0)
    assert (float(zenith), float(azimuth)) == pytest.approx((90, 90), abs=0.2)
    times = np.arange("2024-01-01", "2025-01-01", dtype="datetime64[h]")[:, None]
    assert sun_angles(times, [0, 10, 20], [30, 40, 50])[0].shape == (8784, 3)


def test_overpass():
    """At the equator the local time is that of the node, and later north of it."""
    date = np.datetime64("2024-06-21T18:00", "ns")
    time = overpass_time(date, 0.0, 30.0)
    assert (time.dtype, time) == ("M8[s]", np.datetime64("2024-06-21T08:30:00"))
    south, north = overpass_time(date, [-45.0, 45.0], 30.0)
    assert south - time == time - north < np.timedelta64(0)
    # The local time is two hours later than UTC here.
    assert abs(north - np.datetime64("2024-06-21T09:05")) < np.timedelta64(60, "s")
    aqua = {"node_time": 13.5, "inclination": 98.2, "ascending": True}
    assert overpass_time(date, 45.0, 30.0, **aqua) < overpass_time(date, 0.0, 30.0, **aqua)
    # The next day has begun in the east, so that the date is that of the place.
    assert overpass_time(date, 0.0, 179.0) < np.datetime64("2024-06-21")


def test_bad_input():
    date = np.datetime64("2024-06-21")
    with pytest.raises(TypeError, match="time must be datetime64, got dtype <U"):
        sun_angles("2024-06-21", 0, 0)
    with pytest.raises(ValueError, match="time has 1 missing values"):
        sun_angles(np.array([date, "NaT"], dtype="M8[D]"), 0, 0)
    with pytest.raises(ValueError, match="latitude must be between -90 and 90 degrees, got 95"):
        sun_angles(date, [10, 95], 0)
    with pytest.raises(ValueError, match="longitude must be finite"):
        sun_angles(date, 0, np.nan)
    with pytest.raises(TypeError, match="latitude must be numbers"):
        sun_angles(date, "45 N", 0)
    with pytest.raises(ValueError, match="node_time must be between 0 and 24 hours, got 1030"):
        overpass_time(date, 0, 0, node_time=1030)
    with pytest.raises(ValueError, match="latitude must lie below the orbit, within 81.38 degrees"):
        overpass_time(date, [0, 85], 0)

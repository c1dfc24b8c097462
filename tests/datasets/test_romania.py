import subprocess
import sys

import numpy as np
import pytest

from sklearn_sits.datasets import load_romania


@pytest.fixture(scope="module")
def romania():
    pytest.importorskip("nrt")
    return load_romania()


def test_shapes_and_types(romania):
    assert romania.data.shape == (2500, 140, 7)
    assert romania.data.dtype == np.float32
    assert romania.target.shape == (2500,)
    assert romania.scl.shape == (2500, 140)
    assert romania.shape == (len(romania.y), len(romania.x)) == (50, 50)
    assert romania.feature_names == ["B3", "B4", "B8A", "B11", "x", "y"]
    for word in ("EUPL", "Copernicus", "nrt"):
        assert word in romania.DESCR


def test_dates_are_days_since_1970(romania):
    days = romania.dates.astype("datetime64[D]").astype(int)
    assert (np.diff(days) > 0).all()
    np.testing.assert_array_equal(romania.data[..., 0], np.broadcast_to(days, (2500, 140)))


def test_only_clear_dates_are_observed(romania):
    observed = ~np.isnan(romania.data[..., 1:5])
    assert not observed[~np.isin(romania.scl, [4, 5])].any()
    assert observed.mean() == pytest.approx(0.56, abs=0.01)
    assert observed.any(axis=(1, 2)).all()


def test_bands_are_reflectances_of_vegetation(romania):
    bands = romania.data[..., 1:5]
    assert np.nanmin(bands) >= 0
    assert np.nanmax(bands) < 1
    red, nir = bands[..., 1], bands[..., 2]
    assert np.nanmedian((nir - red) / (nir + red)) > 0.7


def test_pixels_are_in_the_order_of_the_map(romania):
    x = romania.data[:, 0, 5].reshape(romania.shape)
    y = romania.data[:, 0, 6].reshape(romania.shape)
    np.testing.assert_allclose(x, np.broadcast_to(romania.x, (50, 50)), rtol=0, atol=0.5)
    np.testing.assert_allclose(y, np.broadcast_to(romania.y[:, None], (50, 50)), rtol=0, atol=0.5)
    np.testing.assert_allclose(np.diff(romania.x), 20)
    np.testing.assert_allclose(np.diff(romania.y), -20)
    assert (romania.data[..., 5:] == romania.data[:, :1, 5:]).all()


def test_target_lines_up_with_the_series(romania):
    """A dense canopy shades the ground: it is darker in the shortwave infrared in summer."""
    assert romania.target.min() >= 0
    assert romania.target.max() <= 100
    summer = np.isin(romania.dates.astype("datetime64[M]").astype(int) % 12, [5, 6, 7])
    swir = np.nanmedian(romania.data[:, summer, 4], axis=1)
    aligned = np.corrcoef(swir, romania.target)[0, 1]
    mirrored = np.corrcoef(swir, romania.target.reshape(50, 50).T.ravel())[0, 1]
    assert aligned < -0.5
    assert aligned < mirrored - 0.2


def test_codes_beyond_100_percent_are_nan(monkeypatch):
    data = pytest.importorskip("nrt.data")
    cover = data.romania_forest_cover_percentage().copy()
    cover[0, :2] = [254, 255]
    monkeypatch.setattr(data, "romania_forest_cover_percentage", lambda: cover)
    _, target = load_romania(years=2018, return_X_y=True)
    assert np.flatnonzero(np.isnan(target)).tolist() == [0, 1]


@pytest.mark.parametrize("years", [2018, (2018, 2019), [2018, 2018]])
def test_years_limit_the_dates(romania, years):
    X, y = load_romania(years=years, return_X_y=True)
    first, last = (years, years) if years == 2018 else years
    year = romania.dates.astype("datetime64[Y]").astype(int) + 1970
    np.testing.assert_array_equal(X, romania.data[:, (year >= first) & (year <= last)])
    np.testing.assert_array_equal(y, romania.target)


@pytest.mark.parametrize("years", [1999, (2019, 2018), (2018,), (2018, 2019, 2020), ("2018", 2019)])
def test_years_out_of_range_are_refused(years):
    pytest.importorskip("nrt")
    with pytest.raises(ValueError, match="years"):
        load_romania(years=years)


def test_years_of_another_type_are_refused():
    with pytest.raises(TypeError, match="years"):
        load_romania(years="2018")


def test_without_nrt_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "nrt", None)
    with pytest.raises(ImportError, match=r"pip install \"sklearn-sits\[examples\]\""):
        load_romania()


def test_nrt_is_imported_on_demand_only():
    code = "import sys, sklearn_sits.datasets; sys.exit('nrt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

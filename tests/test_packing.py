import datetime
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator

from sklearn_sits.packing import check_sits, pack, pack_frame, split_sits, unpack

NAN = np.nan


class Toy(BaseEstimator):
    """Only the front door."""

    def __init__(self, static_channels=()):
        self.static_channels = static_channels

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X, y=None):
        check_sits(self, X, reset=True, static_channels=self.static_channels)
        return self

    def predict(self, X):
        return check_sits(self, X, reset=False, static_channels=self.static_channels)


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return pack(rng.normal(size=(6, 5, 3)), np.arange(5) * 10.0)


# --- pack -----------------------------------------------------------------------------------


def test_pack_array_shared_dates():
    values = np.arange(12.0).reshape(2, 3, 2)
    values[0, 1, 1] = NAN
    X = pack(values, [0, 5, 10])
    assert X.dtype == np.float32
    assert X.flags.c_contiguous
    np.testing.assert_array_equal(X[..., 0], [[0, 5, 10]] * 2)
    np.testing.assert_array_equal(X[..., 1:], values)


def test_pack_dates_per_series_one_band():
    X = pack([[1, 2], [3, 4]], np.array([[0, 5], [2, NAN]]), mask=[[True, True], [True, False]])
    np.testing.assert_array_equal(X, [[[0, 1], [5, 2]], [[2, 3], [NAN, NAN]]])


def test_pack_lists():
    values = [np.ones((3, 2)), np.full((1, 2), 2.0), np.empty((0, 2))]
    mask = [np.ones((3, 2), bool), np.array([[True, False]]), np.empty((0, 2), bool)]
    X = pack(values, [[0, 1, 2], [7], []], mask=mask, static=[[5], [6], [7]], dtype=np.float64)
    assert X.shape == (3, 3, 4)
    assert X.dtype == np.float64
    np.testing.assert_array_equal(X[0, :, 3], 5)
    np.testing.assert_array_equal(X[1], [[7, 2, NAN, 6], [NAN] * 4, [NAN] * 4])
    assert np.isnan(X[2]).all()


def test_pack_list_mask_per_date():
    X = pack([[1, 2], [3]], [[0, 1], [0]], mask=[[True, False], [True]])
    np.testing.assert_array_equal(X[..., 1], [[1, NAN], [3, NAN]])


@pytest.mark.parametrize(
    "dates",
    [
        np.array(["2020-01-02", "2020-01-03T12"], dtype="datetime64[h]"),
        np.array(["2020-01-02", "2020-01-03T12"], dtype="datetime64[ns]"),
        pd.DatetimeIndex(["2020-01-02", "2020-01-03T12"]),
        [pd.Timestamp("2020-01-02"), pd.Timestamp("2020-01-03T12")],
        [datetime.date(2020, 1, 2), datetime.datetime(2020, 1, 3, 12)],
        [[datetime.date(2020, 1, 2), datetime.datetime(2020, 1, 3, 12)]],
    ],
)
@pytest.mark.parametrize(
    "origin", ["2020-01-01", datetime.date(2020, 1, 1), np.datetime64("2020-01-01", "ns")]
)
def test_pack_datetimes(dates, origin):
    np.testing.assert_array_equal(pack([[1, 2]], dates, origin=origin)[0, :, 0], [1, 2.5])


def test_pack_datetimes_share_a_default_origin():
    dates = np.array(["1970-01-02", "NaT"], dtype="datetime64[D]")
    np.testing.assert_array_equal(pack([[1, NAN]], dates)[0, :, 0], [1, NAN])
    np.testing.assert_array_equal(
        pack([[1, NAN]], [pd.Timestamp("1970-01-02"), pd.NaT])[0, :, 0], [1, NAN]
    )


def test_pack_ignores_what_is_masked_out():
    X = pack([[[1.0, -9999.0], [np.inf, NAN]]], [0, 1], mask=[[[True, False], [False, False]]])
    np.testing.assert_array_equal(X[0, :, 1:], [[1, NAN], [NAN, NAN]])


def test_pack_dates_shorter_than_values_are_padding():
    X = pack(np.array([[1, 2], [3, NAN]]), [[0, 1], [0]])
    np.testing.assert_array_equal(X[1], [[0, 3], [NAN, NAN]])


DAYS = np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[D]")


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"mask": [[1, 0]]}, TypeError, "mask must be boolean"),
        ({"mask": [[True]]}, ValueError, r"mask has shape \(1, 1\), expected \(1, 2\)"),
        ({"values": [[1.0, NAN]], "mask": [[True, True]]}, ValueError, "observed but NaN"),
        ({"mask": [[True, True]] * 2, "values": [[1, 2]]}, ValueError, "mask has 2 series"),
        ({"origin": "2020-01-01"}, ValueError, "dates are numbers"),
        ({"dates": DAYS, "origin": "20-1"}, ValueError, "origin must be an ISO 8601"),
        ({"dates": DAYS, "origin": 3}, TypeError, "origin must be a date"),
        ({"dates": DAYS, "origin": np.datetime64("NaT")}, ValueError, "origin must be a date"),
        ({"dates": ["2020-01-01", "2020-01-02"]}, TypeError, "dates must be numbers or date"),
        ({"dates": [pd.Timestamp("2020-01-01", tz="UTC")] * 2}, TypeError, "time zone"),
        ({"dates": [0, None]}, TypeError, "numbers or datetimes, got 0"),
        ({"values": [[1], [2]], "dates": [[0.0], DAYS[:1]]}, TypeError, "dates mixes"),
        ({"dates": [0, np.inf]}, ValueError, "dates contains infinity"),
        ({"dates": [0, 1, 2]}, ValueError, r"dates has shape \(3,\), expected \(2,\) or"),
        ({"dates": [[0, 1, 2]]}, ValueError, r"dates\[0\] has 3 dates, expected at most 2"),
        ({"values": [[1, 2], [1]], "dates": [0, 1]}, ValueError, "dates must be a list"),
        ({"values": [[1, 2], [1]], "dates": [[0, 1], [0, 1]]}, ValueError, "expected 1 as in"),
        ({"dates": [[0, 1], [0, 1]]}, ValueError, "dates must be 1 one-dimensional"),
        ({"dates": [0, NAN]}, ValueError, "values has an observation without a date"),
        ({"dates": [NAN, NAN]}, ValueError, "no date at all"),
        ({"values": np.array([[1, np.inf]])}, ValueError, "values contains infinity"),
        ({"values": np.array([[1, 1e300]])}, ValueError, "too large for float32"),
        ({"values": np.array([["1", "2"]])}, TypeError, "values must be real numbers"),
        ({"values": np.array([[1j, 2]])}, TypeError, "values must be real numbers"),
        ({"values": np.ma.array([[1, 2]])}, TypeError, "masked array"),
        ({"values": np.ones((1, 2, 1, 1))}, ValueError, r"values has shape \(1, 2, 1, 1\)"),
        ({"values": [np.ones((2, 1, 1))]}, ValueError, r"values\[0\] has shape"),
        ({"values": [np.ones((2, 1)), np.ones((2, 2))]}, ValueError, "same number of bands"),
        ({"values": []}, ValueError, "at least one series, one date and one band"),
        ({"values": np.ones((1, 2, 0))}, ValueError, "at least one series"),
        ({"static": [[1], [2]]}, ValueError, "static must be finite, of shape"),
        ({"static": [1]}, ValueError, "static must be finite, of shape"),
        ({"static": [[NAN]]}, ValueError, "static must be finite"),
        ({"static": [["a"]]}, ValueError, "static must be numeric"),
        ({"dtype": np.float16}, ValueError, "dtype must be float32 or float64"),
    ],
)
def test_pack_bad_input(kwargs, error, match):
    kwargs = {"values": np.array([[1, 2]]), "dates": [0, 1], **kwargs}
    if isinstance(kwargs.get("mask"), list) and not isinstance(kwargs["values"], list):
        kwargs["mask"] = np.array(kwargs["mask"])
    with pytest.raises(error, match=match):
        pack(**kwargs)


def test_inputs_are_left_alone():
    values, dates, mask = np.ones((2, 3)), np.arange(3.0), np.eye(2, 3, dtype=bool)
    X = pack(values, dates, mask=mask)
    unpacked = unpack(X)
    for array in unpacked:
        array[...] = 0
    np.testing.assert_array_equal(values, 1)
    np.testing.assert_array_equal(X[..., 0], [[0, 1, 2]] * 2)


@given(st.data())
def test_pack_unpack_round_trip(data):
    n, t, c = (data.draw(st.integers(1, 4)) for _ in range(3))
    floats = st.floats(-1e6, 1e6, width=32)
    values = data.draw(hnp.arrays(np.float64, (n, t, c), elements=floats))
    dates = data.draw(hnp.arrays(np.float64, (n, t), elements=floats | st.just(NAN)))
    mask = data.draw(hnp.arrays(bool, (n, t, c))) & ~np.isnan(dates)[..., None]
    X = pack(values, dates, mask=mask, dtype=np.float64)
    unpacked = unpack(X)
    np.testing.assert_array_equal(unpacked[0], np.where(mask, values, 0))
    np.testing.assert_array_equal(unpacked[1], dates)
    np.testing.assert_array_equal(unpacked[2], mask)
    np.testing.assert_array_equal(pack(*unpacked[:2], mask=mask, dtype=np.float64), X)
    as_list = pack(list(values), list(dates), mask=list(mask), dtype=np.float64)
    np.testing.assert_array_equal(as_list, X)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1)])
def test_unpack_bad_shape(shape):
    with pytest.raises(ValueError, match="X must be a packed array"):
        unpack(np.zeros(shape))


def test_split_sits(X):
    dates, bands, static = split_sits(X)
    assert np.shares_memory(bands, X)
    assert static.shape == (6, 0)
    X[..., 2] = np.arange(6)[:, None]
    X[0, 0, 2] = X[1, :, 2] = NAN
    dates, bands, static = split_sits(X, (-2,))
    np.testing.assert_array_equal(dates, X[..., 0])
    np.testing.assert_array_equal(bands, X[..., [1, 3]])
    np.testing.assert_array_equal(static[:, 0], [0, NAN, 2, 3, 4, 5])


# --- pack_frame -----------------------------------------------------------------------------


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "id": ["b", "a", "b", "b"],
            "date": pd.to_datetime(["2020-01-03", "2020-01-01", "2020-01-02", "2020-01-02"]),
            "red": [1, 2, 3, 4],
            "nir": [0.1, NAN, 0.3, 0.4],
            "clear": [True, True, False, True],
            "lon": [5.0, 6.0, 5.0, 5.0],
        }
    )


def test_pack_frame(frame):
    X, ids = pack_frame(
        frame,
        id="id",
        date="date",
        bands=["red", "nir"],
        valid="clear",
        static=["lon"],
        origin="2020-01-01",
        dtype=np.float64,
    )
    assert ids.tolist() == ["b", "a"]
    labels = pd.Series({"a": 1, "b": 2})
    assert labels.loc[ids].tolist() == [2, 1]
    np.testing.assert_array_equal(X[0], [[2, 1, 0.1, 5], [1, NAN, NAN, 5], [1, 4, 0.4, 5]])
    np.testing.assert_array_equal(X[1], [[0, 2, NAN, 6], [NAN] * 4, [NAN] * 4])


def test_pack_frame_valid_array_one_band(frame):
    X, _ = pack_frame(frame, id="id", date="date", bands="red", valid=~frame["clear"])
    np.testing.assert_array_equal(X[0, :, 1], [NAN, 3, NAN])


def test_pack_frame_agrees_with_pack():
    rng = np.random.default_rng(0)
    values, dates = rng.normal(size=(7, 4, 2)), rng.uniform(0, 365, size=(7, 4))
    table = pd.DataFrame(values.reshape(-1, 2), columns=["red", "nir"])
    table["id"], table["day"] = np.repeat(np.arange(7), 4), dates.ravel()
    X, ids = pack_frame(table, id="id", date="day", bands=["red", "nir"])
    np.testing.assert_array_equal(X, pack(values, dates))
    np.testing.assert_array_equal(ids, np.arange(7))


def _with(**columns):
    return lambda frame: frame.assign(**columns)


@pytest.mark.parametrize(
    ("change", "kwargs", "error", "match"),
    [
        (_with(), {"bands": ["blue"]}, ValueError, r"no column \['blue'\]"),
        (_with(), {"valid": "cloud"}, ValueError, r"no column \['cloud'\]"),
        (_with(), {"bands": []}, ValueError, "Expected rows and bands"),
        (lambda frame: frame[:0], {}, ValueError, "got 0 rows"),
        (lambda frame: pl.DataFrame({"id": [1]}), {}, TypeError, "pandas DataFrame, got DataF"),
        (_with(red="1"), {}, TypeError, "Column 'red' must be numeric"),
        (_with(red=np.inf), {}, ValueError, "frame contains infinity"),
        (_with(id=["a", None, "b", "b"]), {}, ValueError, "'id' .id. has 1 missing"),
        (_with(date=pd.NaT), {}, ValueError, "'date' .date. has 4 missing"),
        (_with(date="2020-01-01"), {}, TypeError, "dates must be numbers or datetimes"),
        (_with(date=pd.Timestamp("2020-01-01", tz="UTC")), {}, TypeError, "time zone"),
        (_with(), {"valid": "red"}, TypeError, "valid must be boolean"),
        (_with(), {"valid": [True]}, ValueError, r"valid has shape \(1,\)"),
        (_with(), {"static": ["red"]}, ValueError, r"\['red'\] \(static\) must be constant"),
        (_with(lon=NAN), {"static": ["lon"]}, ValueError, "without NaN"),
        (_with(), {"dtype": int}, ValueError, "dtype must be"),
    ],
)
def test_pack_frame_bad_input(frame, change, kwargs, error, match):
    kwargs = {"id": "id", "date": "date", "bands": ["red"], **kwargs}
    with pytest.raises(error, match=match):
        pack_frame(change(frame), **kwargs)


# --- check_sits -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_check_sits_does_not_copy(X, dtype):
    X = X.astype(dtype)
    X.flags.writeable = False
    toy = Toy().fit(X)
    out = toy.predict(X)
    assert np.shares_memory(out, X)
    assert out.dtype == dtype
    assert toy.n_features_in_ == 4


def test_check_sits_memmap_in_little_memory(tmp_path):
    X = np.zeros((20_000, 50, 10), dtype=np.float32)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    tracemalloc.start()
    out = check_sits(Toy(), mapped, reset=True, static_channels=(-1,))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.shares_memory(out, mapped)
    assert peak < 8e6


@pytest.mark.parametrize(
    "container",
    [
        np.ndarray.tolist,
        torch.from_numpy,
        xr.DataArray,
        np.asfortranarray,
        lambda X: X.astype(object),
        lambda X: X.astype(">f4"),
    ],
)
def test_check_sits_containers(X, container):
    out = Toy().fit(X).predict(container(X))
    assert out.dtype in (np.float32, np.float64)
    np.testing.assert_array_equal(out, X)


def test_check_sits_2d():
    X = np.array([[1, 2, 3], [4, NAN, 6]])
    out = Toy().fit(X).predict(X)
    np.testing.assert_array_equal(out[..., 0], [[0, 0.5, 1]] * 2)
    np.testing.assert_array_equal(out[..., 1], X)
    assert Toy().fit(X.astype(np.float32)).predict(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_array_equal(Toy().fit(X[:1, :1]).predict(X[:1, :1]), [[[0, 1]]])


def test_check_sits_names_of_tables(X):
    table = pd.DataFrame(X[..., 1]).add_prefix("t")
    toy = Toy().fit(table)
    assert toy.feature_names_in_.tolist() == ["t0", "t1", "t2", "t3", "t4"]
    with pytest.raises(ValueError, match="feature names should match"):
        toy.predict(table.add_prefix("x"))
    assert not hasattr(toy.fit(X), "feature_names_in_")


def test_check_sits_other_number_of_dates(X):
    assert Toy().fit(X).predict(X[:, :2]).shape == (6, 2, 4)


def test_check_sits_fitted_shapes(X):
    with pytest.raises(ValueError, match="X is 2-D, but Toy was fitted on a 3-D"):
        Toy().fit(X).predict(X[..., 1])
    with pytest.raises(ValueError, match="X is 3-D, but Toy was fitted on a 2-D"):
        Toy().fit(X[..., 1]).predict(X)
    with pytest.raises(ValueError, match=r"X has 3 channels \(date included\), but Toy is exp"):
        Toy().fit(X).predict(X[..., :3])
    with pytest.raises(ValueError, match="X has 4 features, but Toy is expecting 5 features"):
        Toy().fit(X[..., 1]).predict(X[:, :4, 1])
    with pytest.raises(ValueError, match="Reshape your data"):
        Toy().fit(X).predict(X[0, 0])


@pytest.mark.parametrize(
    ("X", "error", "match"),
    [
        (np.array(1.0), ValueError, "Reshape your data"),
        (np.ones(3), ValueError, "Reshape your data"),
        (np.ones((2, 3, 4, 5)), ValueError, "X has 4 dimensions"),
        (np.ones((2, 3, 1)), ValueError, "1 channels .date included"),
        (np.ones((2, 0, 3)), ValueError, "X has 0 dates"),
        (np.ones((0, 2, 3)), ValueError, r"Found array with 0 sample\(s\)"),
        (np.ones((0, 2)), ValueError, r"Found array with 0 sample\(s\)"),
        (np.ones((2, 0)), ValueError, r"Found array with 0 feature\(s\)"),
        (np.full((2, 3, 2), "1"), ValueError, "X must be numeric"),
        (np.full((2, 3), b"1"), ValueError, "X must be numeric"),
        (np.full((2, 3, 2), "1", dtype=object), ValueError, "X must be numeric"),
        (pd.DataFrame({"a": ["1", "2"]}), ValueError, "X must be numeric"),
        (np.zeros((2, 3), dtype="datetime64[D]"), ValueError, "X must be numeric"),
        (np.full((2, 3, 2), {}), TypeError, "real number"),
        (np.ones((2, 3, 2), dtype=complex), ValueError, "Complex data not supported"),
        (np.ones((2, 3), dtype=complex), ValueError, "Complex data not supported"),
        (csr_array(np.ones((2, 3))), TypeError, "Sparse data"),
        (np.ma.ones((2, 3, 2)), TypeError, "X is a masked array"),
        ([[[0, 1]], [[0, 1], [1, 2]]], ValueError, "padded by sklearn_sits.packing.pack"),
        (np.full((2, 3), np.inf), ValueError, "Input X contains infinity"),
    ],
)
def test_check_sits_bad_arrays(X, error, match):
    with pytest.raises(error, match=match):
        Toy().fit(X)


@pytest.mark.parametrize("block_bytes", [1, 2**21])
def test_check_sits_bad_content(X, block_bytes, monkeypatch):
    monkeypatch.setattr("sklearn_sits.packing._BLOCK_BYTES", block_bytes)
    for channel in (0, 2):
        bad = X.copy()
        bad[4, 1, channel] = np.inf
        with pytest.raises(ValueError, match=rf"series 4, slot 1, channel {channel} "):
            Toy().fit(bad)
    bad = X.copy()
    bad[4, 1, 0] = bad[4, 1, 1] = NAN
    with pytest.raises(ValueError, match="series 4 has a value in channel 2 but no date in slot 1"):
        Toy().fit(bad)
    bad[4, :, 0] = bad[4, :, 1] = NAN
    with pytest.raises(ValueError, match="series 4 has a value in channel 2 but no date at all"):
        Toy().fit(bad)


def test_check_sits_static_channels(X):
    X[..., 3] = np.arange(6)[:, None]
    X[0, 1, 3] = NAN
    X[2, 1, :3] = NAN  # a static value on a padding slot is not an observation
    for channels in ((3,), [-1], np.array([3])):
        Toy(channels).fit(X)


@pytest.mark.parametrize(
    ("channels", "error", "match"),
    [
        ((0,), ValueError, "where contains 0, but X has 4 channels"),
        ((-4,), ValueError, "where contains -4"),
        ((4,), ValueError, "where contains 4"),
        ((3, -1), ValueError, "where names a channel of X twice"),
        ((1, 2, 3), ValueError, "leaves no band"),
        ((1.0,), TypeError, "where must hold integers"),
        ((True,), TypeError, "where must hold integers"),
        ((2,), ValueError, "where: channel 2 of X must be constant .* series 0"),
    ],
)
def test_check_sits_bad_static_channels(X, channels, error, match):
    with pytest.raises(error, match=match):
        check_sits(Toy(), X, reset=True, static_channels=channels, static_name="where")


def test_check_sits_static_channels_of_2d():
    with pytest.raises(ValueError, match="leaves no band"):
        Toy((-1,)).fit(np.ones((2, 3)))


def test_check_sits_warns_once_about_empty_series(X):
    X[[0, 3], :, 1:3] = NAN
    X[..., 3] = 1
    X[3, :, 0] = NAN
    with pytest.warns(UserWarning, match="2 of 6 series have no valid observation") as record:
        Toy((3,)).fit(X)
    assert len(record) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Toy().fit(X[[1, 2]])

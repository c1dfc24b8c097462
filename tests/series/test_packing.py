import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sklearn_sits.series.packing import pack, pack_frame, unpack

NAN = np.nan


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
        (
            {"dates": [pd.Timestamp("2020-01-01", tz="UTC")] * 2},
            TypeError,
            r"time zone.*dt.tz_convert\(\"UTC\"\).dt.tz_localize\(None\)",
        ),
        ({"mask": np.array([[1, 0]])}, TypeError, r"asarray\(mask, dtype=bool\)"),
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
    days = st.floats(-200_000, 200_000, width=32) | st.just(NAN)
    dates = data.draw(hnp.arrays(np.float64, (n, t), elements=days))
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
        (_with(date="2020-01-01"), {}, TypeError, r"text '2020-01-01'.*pandas.to_datetime\(dates"),
        (_with(date=pd.Timestamp("2020-01-01", tz="UTC")), {}, TypeError, "dt.tz_convert"),
        (_with(), {"valid": "red"}, TypeError, r"'red' \(valid\) must be boolean or 0 .* got 2"),
        (_with(), {"valid": "date"}, TypeError, r"'date' \(valid\) must be boolean or 0"),
        (_with(), {"valid": "id"}, TypeError, r"got 'b' of dtype .*== \"True\""),
        (_with(), {"valid": [True]}, ValueError, r"valid has shape \(1,\)"),
        (_with(), {"valid": np.ones((4, 2), bool)}, ValueError, r"valid has shape \(4, 2\)"),
        (_with(), {"valid": {"cloud": ["red"]}}, ValueError, r"no column \['cloud'\]"),
        (_with(), {"valid": {"clear": ["nir"]}}, ValueError, r"valid\['clear'\] names \['nir'\]"),
        (_with(clear=[1, 1, NAN, 0]), {"valid": "clear"}, ValueError, "missing in 1 rows .* row 2"),
        (_with(), {"static": ["red"]}, ValueError, r"\['red'\] \(static\) must be constant"),
        (_with(lon=NAN), {"static": ["lon"]}, ValueError, "without NaN"),
        (_with(), {"dtype": int}, ValueError, "dtype must be"),
    ],
)
def test_pack_frame_bad_input(frame, change, kwargs, error, match):
    kwargs = {"id": "id", "date": "date", "bands": ["red"], **kwargs}
    with pytest.raises(error, match=match):
        pack_frame(change(frame), **kwargs)


FLAGS = [True, True, False, True]


@pytest.mark.parametrize(
    "flags",
    [
        np.array(FLAGS, dtype=int),
        np.array(FLAGS, dtype=np.uint8),
        np.array(FLAGS, dtype=float),
        np.array(FLAGS, dtype=object),
        np.array([True, 1, 0.0, 1], dtype=object),
        pd.array(FLAGS, dtype="boolean"),
        pd.array([1, 1, 0, 1], dtype="Int64"),
    ],
    ids=lambda flags: str(flags.dtype),
)
def test_pack_frame_kinds_of_flags(frame, flags):
    options = {"id": "id", "date": "date", "bands": ["red", "nir"]}
    expected, _ = pack_frame(frame, valid="clear", **options)
    found, _ = pack_frame(frame.assign(clear=flags), valid="clear", **options)
    np.testing.assert_array_equal(found, expected)
    found, _ = pack_frame(frame, valid=flags, **options)
    np.testing.assert_array_equal(found, expected)


def test_pack_frame_flags_of_groups_of_bands(frame):
    """Radar of cloudy dates is kept."""
    frame = frame.assign(VV=[-9.0, -10, -11, -12], rain=[0, 0, 1, 1])
    options = {"id": "id", "date": "date", "bands": ["red", "nir", "VV"], "dtype": np.float64}
    X, _ = pack_frame(frame, valid={"clear": ["red", "nir"]}, **options)
    np.testing.assert_array_equal(X[0, :, 1:], [[1, 0.1, -9], [NAN, NAN, -11], [4, 0.4, -12]])
    dry = frame.assign(dry=frame["rain"] == 0)
    X, _ = pack_frame(dry, valid={"clear": ["red", "nir"], "dry": "VV"}, **options)
    np.testing.assert_array_equal(X[0, :, 1:], [[1, 0.1, -9], [NAN, NAN, NAN], [4, 0.4, NAN]])
    # Two columns may apply to one band.
    X, _ = pack_frame(dry, valid={"clear": ["red"], "dry": ["red"]}, **options)
    np.testing.assert_array_equal(X[0, :, 1], [1, NAN, NAN])


def test_pack_frame_flags_of_one_of_two_sensors(frame):
    """The rows of the other sensor have no flag, and none of the bands."""
    radar = pd.DataFrame({"id": ["a", "b"], "date": frame["date"][:2], "VV": [-9.0, -10.0]})
    both = pd.concat([frame, radar])
    options = {"id": "id", "date": "date", "bands": ["red", "nir", "VV"]}
    X, _ = pack_frame(both, valid={"clear": ["red", "nir"]}, **options)
    assert np.count_nonzero(~np.isnan(X[..., 3])) == 2
    assert np.count_nonzero(~np.isnan(X[..., 1])) == 3
    with pytest.raises(ValueError, match="missing in 2 rows that have values in its bands"):
        pack_frame(both, valid="clear", **options)


@pytest.mark.parametrize("dtype", ["int64", "float64", "Int64"])
@pytest.mark.parametrize(
    ("convert", "remedy"),
    [
        (lambda d: d.astype("datetime64[ms]").astype("int64"), r'unit="ms"'),
        (lambda d: d.astype("datetime64[s]").astype("int64"), r'unit="s"'),
        (lambda d: d.astype("datetime64[us]").astype("int64"), r'unit="us"'),
        (lambda d: d.astype("datetime64[ns]").astype("int64"), r'unit="ns"'),
        (lambda d: d.dt.strftime("%Y%m%d").astype("int64"), r'format="%Y%m%d"'),
        (lambda d: d.dt.strftime("%Y%j").astype("int64"), r'format="%Y%j"'),
        (lambda d: 300_000 + np.arange(4), "so that its unit is a day"),
        (lambda d: 20_241_399 + np.arange(4), "so that its unit is a day"),
    ],
)
def test_dates_that_are_no_days(frame, convert, remedy, dtype):
    dates = convert(pd.Series(frame["date"]))
    frame = frame.assign(date=pd.Series(dates).astype(dtype))
    with pytest.raises(ValueError, match=f"dates must be days.*{remedy}"):
        pack_frame(frame, id="id", date="date", bands=["red"])
    with pytest.raises(ValueError, match=f"dates must be days.*{remedy}"):
        pack(np.ones((1, 4)), np.asarray(frame["date"], dtype=np.float64))


def test_days_of_any_origin_are_accepted():
    days = [-200_000.0, 0, 17_532, 200_000]
    np.testing.assert_array_equal(pack(np.ones((1, 4)), days)[0, :, 0], days)

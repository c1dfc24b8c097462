import numpy as np
import pytest

from sklearn_sits.inspection.windows import find_windows

DAYS = np.array([3.5, 10.0, 29.9, 75.0])


def test_width_starts_on_the_first_whole_day_and_skips_empty_windows():
    windows = find_windows(30, DAYS)
    np.testing.assert_array_equal(windows.edges, [[3, 33], [63, 93]])
    assert windows.names.tolist() == ["3 to 33", "63 to 93"]
    same = find_windows(np.timedelta64(30, "D"), DAYS)
    np.testing.assert_array_equal(same.edges, windows.edges)
    # The last date is within the last window.
    np.testing.assert_array_equal(find_windows(72, DAYS).edges, [[3, 75], [75, 147]])


def test_months_are_named_by_their_first_and_last_days():
    months = np.arange("2023-01", "2023-05", dtype="datetime64[M]")
    windows = find_windows(months, DAYS[[0, 2, 2, 3]] + [0, 0, 10, 0], origin="2023-01-01")
    np.testing.assert_array_equal(windows.edges, [[0, 31], [31, 59], [59, 90]])
    assert windows.names[1] == "2023-02-01 to 2023-02-28"
    in_days = find_windows([0, 31], DAYS, origin="2023-01-01")
    assert in_days.names.tolist() == ["2023-01-01 to 2023-01-31"]


def test_datetimes_count_from_1970():
    edges = np.array(["1970-01-01", "1970-01-21"], dtype="datetime64[ns]")
    windows = find_windows(edges, DAYS)
    np.testing.assert_array_equal(windows.edges, [[0, 20]])
    assert windows.origin == np.datetime64("1970-01-01")


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        (
            [0, 30, 60, 90],
            r"1 of 3 windows hold no date .*: 30 to 60. The dates of X are 3.5 to 75",
        ),
        ([0, 30, 30], "edges that increase"),
        ([0, np.nan], "edges that increase"),
        ([5], "at least two edges"),
        (0, "positive width in days, got 0"),
        (1e-3, "makes 72,000 windows"),
    ],
)
def test_wrong_windows(windows, message):
    with pytest.raises(ValueError, match=message):
        find_windows(windows, DAYS)


@pytest.mark.parametrize("windows", [True, "month", ["2023-01-01", "2023-02-01"]])
def test_wrong_types(windows):
    with pytest.raises(TypeError, match="windows must be|dates must be"):
        find_windows(windows, DAYS)


def test_wrong_origin():
    with pytest.raises(ValueError, match="origin must be an ISO 8601 date"):
        find_windows(30, DAYS, origin="spring")

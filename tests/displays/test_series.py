import matplotlib.pyplot as plt
import numpy as np
import pytest
from figures import assert_readable

from sklearn_sits.datasets import make_sits
from sklearn_sits.displays import SeriesDisplay

NAMES = np.array(["maize", "meadow", "winter wheat", "sugar beet", "rapeseed", "forest"])


@pytest.fixture(scope="module")
def series():
    X, y = make_sits(150, 36, 3, 6, positions=False, random_state=0)
    return X, NAMES[y]


def test_median_and_quantiles(series):
    X, y = series
    display = SeriesDisplay.from_data(
        X, y, channel=2, classes=["meadow"], step=30, levels=(0.2, 0.8), name="B8"
    )
    assert_readable(display.figure_)
    first = np.floor(X[y == "meadow", :, 0][~np.isnan(X[y == "meadow", :, 2])].min())
    for number, date in enumerate(display.dates):
        assert date == first + 30 * number + 15
        inside = (X[..., 0] >= date - 15) & (X[..., 0] < date + 15) & (y == "meadow")[:, None]
        values = X[inside, 2]
        expected = np.nanquantile(values, [0.2, 0.5, 0.8])
        np.testing.assert_allclose(display.quantiles["meadow"][:, number], expected)
        clear = (inside & ~np.isnan(X[..., 2])).any(axis=1)[y == "meadow"]
        np.testing.assert_allclose(display.clear[number], clear.mean())
    (line,) = display.ax_.lines
    np.testing.assert_allclose(line.get_ydata(), display.quantiles["meadow"][1])
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    share = f"clear series, up to {100 * display.clear.max():.0f} %"
    assert texts == ["meadow", "20 to 80 %", share]


def test_classes(series):
    X, y = series
    display = SeriesDisplay.from_data(X, y, channel=2, origin="1970-01-01")
    assert_readable(display.figure_)
    assert list(display.quantiles) == sorted(NAMES)
    assert [line.get_label() for line in display.ax_.lines] == sorted(NAMES)
    assert len({line.get_color() for line in display.ax_.lines}) == 6


def test_strip_of_clear_dates_lies_below_all_values(series):
    X, _ = series
    display = SeriesDisplay.from_data(X, channel=2, step=20)
    display.figure_.draw_without_rendering()
    low, high = display.ax_.get_ylim()
    lowest = np.nanmin(display.quantiles["median"])
    top = max(bar.get_height() for bar in display.ax_.patches)
    assert len(display.ax_.patches) == len(display.dates)
    assert low + top * (high - low) < lowest


def test_gaps_are_left_out():
    X = np.array([[[0, 1.0], [100, 3.0]], [[2, 2.0], [np.nan, np.nan]]])
    display = SeriesDisplay.from_data(X, step=10)
    assert np.isnan(display.quantiles["median"][1, 1:-1]).all()
    np.testing.assert_array_equal(display.ax_.lines[0].get_xydata(), [[5, 1.5], [105, 3]])
    np.testing.assert_array_equal(display.clear[[0, -1]], [1, 0.5])


def test_own_axes(series):
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
    display = SeriesDisplay.from_data(*series, classes=["maize", "forest"], ax=right)
    assert display.ax_ is right
    assert display.figure_ is figure
    assert not left.lines
    assert_readable(figure)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channel": 9}, "channel=9 is no band"),
        ({"classes": ["maize", "oak"]}, r"y has no series of \['oak'\]"),
        ({"step": 0}, "step must be a positive number of days, got 0"),
        ({"levels": (0.9, 0.1)}, "levels must be two increasing numbers"),
    ],
)
def test_wrong_arguments(series, options, message):
    with pytest.raises(ValueError, match=message):
        SeriesDisplay.from_data(*series, **options)


def test_wrong_series(series):
    X, y = series
    with pytest.raises(ValueError, match="packed series of shape"):
        SeriesDisplay.from_data(X[..., 1])
    with pytest.raises(ValueError, match="no observation in channel 1"):
        SeriesDisplay.from_data(X * [1, np.nan, 1, 1])
    with pytest.raises(ValueError, match="inconsistent numbers"):
        SeriesDisplay.from_data(X, y[:7])
    with pytest.raises(ValueError, match="needs y"):
        SeriesDisplay.from_data(X, classes=["maize"])

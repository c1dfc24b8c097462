import matplotlib.pyplot as plt
import numpy as np
import pytest
from figures import assert_readable
from matplotlib.dates import date2num
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sklearn_sits import LinearInterpolator
from sklearn_sits.datasets import make_sits
from sklearn_sits.displays import ImportanceDisplay
from sklearn_sits.inspection import permutation_importance

BANDS = ["B2", "B3", "B4", "B8"]
MONTHS = np.arange("2018-01", "2019-02", dtype="datetime64[M]")


@pytest.fixture(scope="module")
def fitted():
    X, y = make_sits(150, 36, 4, 3, positions=False, random_state=0)
    model = make_pipeline(LinearInterpolator(step=30), LogisticRegression(max_iter=500))
    return model.fit(X, y), X, y


def test_bands(fitted):
    result = permutation_importance(*fitted, bands=BANDS, n_repeats=3, random_state=0)
    display = ImportanceDisplay.from_importances(result)
    assert_readable(display.figure_)
    widths = [bar.get_width() for bar in display.ax_.patches]
    np.testing.assert_allclose(widths, result.importances_mean)
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == BANDS
    # In the order of the bands from the top.
    assert display.ax_.yaxis_inverted()
    (errors,) = display.ax_.containers[0].lines[2]
    lengths = [np.ptp(segment[:, 0]) / 2 for segment in errors.get_segments()]
    np.testing.assert_allclose(lengths, result.importances_std)


def test_dates(fitted):
    display = ImportanceDisplay.from_estimator(
        *fitted, by="dates", windows=MONTHS, scoring="neg_log_loss", n_repeats=2, random_state=0
    )
    assert_readable(display.figure_)
    assert display.ax_.get_ylabel() == "Increase of log loss"
    bars = display.ax_.patches
    assert len(bars) == 12
    # Bars are as wide as their months.
    assert [bar.get_width() for bar in bars[:3]] == [31, 28, 31]
    assert bars[1].get_x() == date2num(np.datetime64("2018-02-01"))
    np.testing.assert_allclose([bar.get_height() for bar in bars], display.importances_mean)
    assert display.colorbar_ is None


def test_bands_by_date(fitted):
    display = ImportanceDisplay.from_estimator(
        *fitted, by="both", bands=BANDS, windows=MONTHS, n_repeats=1, random_state=0
    )
    assert_readable(display.figure_)
    (mesh,) = display.ax_.collections
    np.testing.assert_array_equal(mesh.get_array(), display.importances_mean)
    assert display.colorbar_.ax.get_ylabel() == "Decrease of score"


def test_windows_that_are_left_out_stay_empty():
    edges = np.array([[0, 10], [30, 40]])
    display = ImportanceDisplay(np.array([[1.0, 2.0]]), band_names=["B4"], window_edges=edges)
    (mesh,) = display.plot().ax_.collections
    np.testing.assert_array_equal(np.ma.filled(mesh.get_array(), np.nan), [[1, np.nan, 2]])
    assert display.ax_.get_xlabel() == "Day"


def test_own_axes_and_many_bands():
    names = [f"band number {i}" for i in range(13)]
    figure, (left, right) = plt.subplots(1, 2, layout="constrained", figsize=(10, 4))
    display = ImportanceDisplay(np.arange(13.0), np.ones(13), band_names=names)
    assert display.plot(ax=right) is display
    assert display.ax_ is right
    assert display.figure_ is figure
    assert not left.patches
    assert_readable(figure)


def test_several_scorers(fitted):
    with pytest.raises(ValueError, match=r"one scorer, got a dict of \['accuracy', 'f1_macro'\]"):
        ImportanceDisplay.from_estimator(*fitted, scoring=["accuracy", "f1_macro"], n_repeats=1)

import matplotlib.pyplot as plt
import numpy as np
import pytest
from figures import assert_readable

from sklearn_sits import LinearInterpolator, MTANEncoder
from sklearn_sits.datasets import make_sits
from sklearn_sits.displays import AttentionDisplay
from sklearn_sits.inspection import attention_weights

ORIGIN = "1970-01-01"


@pytest.fixture(scope="module")
def fitted():
    X, _ = make_sits(80, 36, 3, 3, cloud_cover=0.2, positions=False, random_state=0)
    return MTANEncoder(max_iter=10, random_state=0).fit(X), X


@pytest.mark.parametrize("origin", [ORIGIN, None])
def test_weights_of_the_observations(fitted, origin):
    model, X = fitted
    display = AttentionDisplay.from_estimator(model, X[0], origin=origin)
    assert_readable(display.figure_)
    seen = ~np.isnan(X[0, :, 1])
    expected = attention_weights(model, X[:1]).weights[0][:, seen]
    table, ticks = display.ax_.collections
    np.testing.assert_allclose(table.get_array(), expected)
    np.testing.assert_allclose(display.weights.sum(axis=1), 1, rtol=1e-5)
    # A tick for each observation, above the table.
    days = [segment[0, 0] for segment in ticks.get_segments()]
    np.testing.assert_allclose(days, X[0, seen, 0])
    bottom = min(segment[:, 1].min() for segment in ticks.get_segments())
    assert bottom > display.reference_dates.max()


def test_cells_reach_halfway_to_their_neighbours():
    weights = np.array([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])
    display = AttentionDisplay(weights, np.array([20, 0, 100]), np.array([0, 50])).plot()
    table = display.ax_.collections[0]
    np.testing.assert_array_equal(table.get_coordinates()[0, :, 0], [-10, 10, 60, 140])
    np.testing.assert_array_equal(table.get_coordinates()[:, 0, 1], [-25, 25, 75])
    np.testing.assert_array_equal(table.get_array(), [[0, 1, 0], [0.3, 0.2, 0.5]])


def test_dates_that_occur_twice_share_a_column():
    display = AttentionDisplay(np.array([[0.2, 0.3, 0.5]]), [5, 5, 9], [7]).plot()
    np.testing.assert_allclose(display.ax_.collections[0].get_array(), [[0.5, 0.5]])
    alone = AttentionDisplay(np.array([[1.0], [1.0]]), [5], [0, 10]).plot()
    assert_readable(alone.figure_)


def test_own_axes(fitted):
    model, X = fitted
    figure, ax = plt.subplots(figsize=(5, 4), layout="constrained")
    display = AttentionDisplay.from_estimator(model, X[3], channel=2, origin=ORIGIN, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert_readable(figure)


def test_wrong_arguments(fitted):
    model, X = fitted
    with pytest.raises(ValueError, match="one packed series"):
        AttentionDisplay.from_estimator(model, X)
    with pytest.raises(TypeError, match="got LinearInterpolator"):
        AttentionDisplay.from_estimator(LinearInterpolator().fit(X), X[0])
    empty = X[0] * [1, np.nan, np.nan, np.nan]
    with (
        pytest.warns(UserWarning, match="no valid observation"),
        pytest.raises(ValueError, match="series has no observation"),
    ):
        AttentionDisplay.from_estimator(model, empty)

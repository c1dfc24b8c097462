import numpy as np
import pytest
from figures import assert_readable
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier

from sklearn_sits.displays import ReliabilityDisplay
from sklearn_sits.metrics import expected_calibration_error, reliability_curve

LABELS = np.array(["maize", "meadow", "wheat"])


@pytest.fixture(scope="module")
def predictions():
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([0.5, 0.5, 0.5], 600)
    y = LABELS[(proba.cumsum(axis=1) > rng.random((600, 1))).argmax(axis=1)]
    return y, proba


def test_curve_and_shares(predictions):
    y, proba = predictions
    display = ReliabilityDisplay.from_predictions(y, proba, n_bins=5, name="model")
    assert_readable(display.figure_)
    prob_true, prob_pred, counts = reliability_curve(y, proba, n_bins=5)
    np.testing.assert_array_equal(display.line_.get_xydata(), np.stack([prob_pred, prob_true]).T)
    (bars,) = display.ax_.collections
    heights = [segment[1, 1] for segment in bars.get_segments()]
    np.testing.assert_allclose(heights, 0.3 * counts / 600)
    error = expected_calibration_error(y, proba, n_bins=5)
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["calibrated", f"model, error {error:.3f}"]


def test_probability_of_one_class(predictions):
    display = ReliabilityDisplay.from_predictions(*predictions, pos_label="wheat")
    assert_readable(display.figure_)
    assert display.error is None
    assert display.ax_.get_xlabel() == "Probability of wheat"
    expected = reliability_curve(*predictions, pos_label="wheat")[0]
    np.testing.assert_array_equal(display.line_.get_ydata(), expected)


def test_classifiers_share_axes(predictions):
    y, proba = predictions
    first = ReliabilityDisplay.from_estimator(
        LogisticRegression().fit(proba, y), proba, y, strategy="quantile"
    )
    second = ReliabilityDisplay.from_estimator(
        DummyClassifier().fit(proba, y), proba, y, ax=first.ax_
    )
    assert second.figure_ is first.figure_
    assert_readable(first.figure_)
    texts = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    names = [text.partition(",")[0] for text in texts]
    assert names == ["calibrated", "LogisticRegression", "DummyClassifier"]
    assert first.line_.get_color() != second.line_.get_color()


def test_wrong_arguments(predictions):
    y, proba = predictions
    with pytest.raises(TypeError, match="predict_proba, which RidgeClassifier has not"):
        ReliabilityDisplay.from_estimator(RidgeClassifier().fit(proba, y), proba, y)
    with pytest.raises(ValueError, match="pos_label='oak'"):
        ReliabilityDisplay.from_predictions(y, proba, pos_label="oak")

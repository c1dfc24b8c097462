import matplotlib.pyplot as plt
import numpy as np
import pytest
from figures import assert_readable
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sklearn_sits import LinearInterpolator, MTANSVGPClassifier
from sklearn_sits.datasets import make_sits
from sklearn_sits.displays import InterpolationDisplay
from sklearn_sits.inspection import attention_weights

ORIGIN = "1970-01-01"


@pytest.fixture(scope="module")
def series():
    return make_sits(80, 36, 3, 3, random_state=0)


@pytest.fixture(scope="module")
def classifier(series):
    options = {"position_channels": (-2, -1), "max_iter": 2, "n_inducing": 20}
    return MTANSVGPClassifier(random_state=0, **options).fit(*series)


def find_line(display, label):
    (line,) = [line for line in display.ax_.lines if line.get_label() == label]
    return line.get_xydata().T


def test_attention(classifier, series):
    X = series[0]
    display = InterpolationDisplay.from_estimator(
        classifier, X[0], channel=2, name="B8", origin=ORIGIN
    )
    assert_readable(display.figure_)
    assert display.ax_.get_ylabel() == "B8"
    seen = ~np.isnan(X[0, :, 2])
    np.testing.assert_allclose(find_line(display, "observations"), X[0, seen][:, [0, 2]].T)
    dates, values = find_line(display, "interpolation")
    np.testing.assert_allclose(dates, classifier.reference_dates_)
    weights = attention_weights(classifier, X[:1], channel=2).weights[0]
    np.testing.assert_allclose(values, weights[:, seen] @ X[0, seen, 2], rtol=1e-4)
    # Three members and the interpolated series of the Gaussian process.
    assert display.members.shape == (4, 25)
    assert len(display.ax_.lines) == 6


def test_linear_interpolation(series):
    X = series[0]
    model = LinearInterpolator(step=20, static_channels=(-2, -1)).fit(X)
    display = InterpolationDisplay.from_estimator(model, X[1], channel=3)
    assert_readable(display.figure_)
    dates, values = find_line(display, "interpolation")
    np.testing.assert_array_equal(dates, model.dates_)
    names = model.get_feature_names_out()
    columns = [i for i, name in enumerate(names) if name.startswith("b3_")]
    np.testing.assert_allclose(values, model.transform(X[1:2])[0, columns])
    assert display.members is None
    with pytest.raises(ValueError, match=r"channel=5 is static: expected .* \[1, 2, 3\]"):
        InterpolationDisplay.from_estimator(model, X[1], channel=-1)


def test_own_axes(classifier, series):
    figure, axes = plt.subplots(2, 1, figsize=(7, 7), layout="constrained")
    for channel, ax in enumerate(axes, 1):
        display = InterpolationDisplay.from_estimator(
            classifier, series[0][2:3], channel=channel, ax=ax
        )
        assert display.ax_ is ax
    assert display.ax_.get_ylabel() == "b2"
    assert_readable(figure)


def test_wrong_arguments(classifier, series):
    X, y = series
    with pytest.raises(ValueError, match="channel=0 is no band"):
        InterpolationDisplay.from_estimator(classifier, X[0], channel=0)
    empty = X[0].copy()
    empty[:, 1] = np.nan
    with pytest.raises(ValueError, match="no observation in channel 1"):
        InterpolationDisplay.from_estimator(classifier, empty)
    model = make_pipeline(LinearInterpolator(), LogisticRegression(max_iter=1000)).fit(X, y)
    with pytest.raises(TypeError, match="pass the fitted step"):
        InterpolationDisplay.from_estimator(model, X[0])

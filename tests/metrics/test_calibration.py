import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import cross_val_score

from sklearn_sits.metrics import expected_calibration_error, reliability_curve


def calibrated(n=4000, n_classes=4, sharpness=1.0, seed=0):
    """Return labels that follow their probabilities, and these, made sharper."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.ones(n_classes), n)
    y = (proba.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    sharp = proba**sharpness
    return y, sharp / sharp.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("class_wise", [False, True])
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_calibrated_probabilities_have_no_error(class_wise, strategy):
    options = {"class_wise": class_wise, "strategy": strategy}
    assert expected_calibration_error(*calibrated(), **options) < 0.03
    assert expected_calibration_error(*calibrated(sharpness=4.0), **options) > 0.08


def test_error_by_hand():
    proba = np.array([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.5, 0.1, 0.4]])
    y = ["a", "b", "b", "c"]
    # Bins 0.9 (two samples, one right), 0.8 (right) and 0.5 (wrong).
    expected = (2 * 0.4 + 0.2 + 0.5) / 4
    assert expected_calibration_error(y, proba) == pytest.approx(expected)
    assert expected_calibration_error(y, proba, n_bins=1) == pytest.approx(abs(0.775 - 0.5))


def test_labels_name_the_columns():
    y, proba = calibrated(200)
    names = np.array(["d", "b", "a", "c"])
    order = np.argsort(names)
    by_name = expected_calibration_error(names[y], proba[:, order])
    assert by_name == expected_calibration_error(y, proba)
    assert expected_calibration_error(names[y], proba, labels=names) == by_name
    few = y < 3
    assert expected_calibration_error(y[few], proba[few], labels=range(4)) > 0


def test_it_works_as_a_scorer():
    X = np.random.default_rng(0).normal(size=(120, 2))
    y = np.digitize(X[:, 0], [-0.5, 0.5])
    scorer = make_scorer(
        expected_calibration_error, response_method="predict_proba", greater_is_better=False
    )
    scores = cross_val_score(LogisticRegression(), X, y, scoring=scorer, cv=3)
    assert ((scores < 0) & (scores > -0.5)).all()


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_curve_of_a_class_is_that_of_scikit_learn(strategy):
    y, proba = calibrated(1000)
    expected = calibration_curve(y == 2, proba[:, 2], n_bins=8, strategy=strategy)
    *curve, counts = reliability_curve(y, proba, pos_label=2, n_bins=8, strategy=strategy)
    np.testing.assert_allclose(curve, expected)
    assert counts.sum() == 1000


def test_error_is_the_mean_gap_of_the_curve():
    y, proba = calibrated(1000, sharpness=2.0)
    prob_true, prob_pred, counts = reliability_curve(y, proba, n_bins=15)
    error = np.average(np.abs(prob_true - prob_pred), weights=counts)
    assert expected_calibration_error(y, proba) == pytest.approx(error)
    assert prob_pred.min() >= 0.25


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": [0, 1, 5]}, r"y has \['5'\], which are not in labels \[0, 1\]"),
        ({"labels": None}, "proba has 2 columns, but y has 1 different"),
        ({"labels": [0, 0]}, "labels has 1 different"),
        ({"proba": [[0.5, 0.5]] * 2}, "y has 3, proba has 2"),
        ({"proba": [[2.0, -1.0]] * 3}, "rows of values of at least 0"),
        ({"proba": [[0.5, 0.1]] * 3}, "sum 1"),
        ({"proba": [[np.nan, 0.5]] * 3}, "proba contains NaN"),
        ({"n_bins": 0}, "n_bins must be a positive int"),
        ({"strategy": "kmeans"}, "strategy must be"),
    ],
)
def test_bad_input_is_refused(changes, message):
    arguments = {"y": [1, 1, 1], "proba": [[0.4, 0.6]] * 3, "labels": [0, 1]} | changes
    for function in (expected_calibration_error, reliability_curve):
        with pytest.raises(ValueError, match=message):
            function(**arguments)


def test_curve_needs_a_known_class():
    with pytest.raises(ValueError, match=r"pos_label=7 must be one of \[0, 1\]"):
        reliability_curve([0, 1], [[0.4, 0.6]] * 2, pos_label=7)

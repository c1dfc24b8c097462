import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, RidgeClassifier
from sklearn.model_selection import GroupKFold, ShuffleSplit, cross_val_predict
from sklearn.pipeline import make_pipeline

from sklearn_sits import LinearInterpolator
from sklearn_sits.datasets import make_sits
from sklearn_sits.model_selection import BlockKFold, suspicious_labels

NAMES = np.array(["maize", "meadow", "wheat"])


def make_model(n_trees=50):
    return make_pipeline(
        LinearInterpolator(step=20), RandomForestClassifier(n_trees, random_state=0)
    )


@pytest.fixture(scope="module")
def scene():
    X, y = make_sits(240, 24, 4, 3, class_separation=2, random_state=0)
    wrong = np.random.default_rng(0).choice(240, 15, replace=False)
    labels = y.copy()
    labels[wrong] = (labels[wrong] + 1) % 3
    return X[..., :-2], NAMES[labels], X[:, 0, -2:], wrong, NAMES[y]


@pytest.fixture(scope="module")
def report(scene):
    X, y, positions, *_ = scene
    return suspicious_labels(make_model(), X, y, groups=positions, cv=BlockKFold(20_000))


def test_wrong_labels_are_found(scene, report):
    *_, wrong, truth = scene
    suspicious = report[report["suspicious"]]
    found = np.intersect1d(suspicious.index, wrong)
    assert len(found) >= 10
    # Among all series with another prediction, they are rarer.
    others = report[report["label"] != report["suggested"]]
    assert len(found) / len(suspicious) > 1.3 * np.isin(others.index, wrong).mean()
    assert np.mean(report.loc[found, "suggested"] == truth[found]) > 0.8


def test_columns_follow_from_cross_validated_probabilities(scene, report):
    X, y, positions, *_ = scene
    folds = list(BlockKFold(20_000).split(X, y, positions))
    proba = cross_val_predict(make_model(), X, y, cv=folds, method="predict_proba")
    given = np.searchsorted(NAMES, y)
    own = proba[np.arange(240), given]
    rows = report.index.to_numpy()
    assert sorted(rows) == list(range(240))
    assert report["label"].tolist() == y[rows].tolist()
    assert report["suggested"].tolist() == NAMES[proba.argmax(axis=1)][rows].tolist()
    np.testing.assert_allclose(report["probability"], own[rows])
    others = np.where(np.equal.outer(y, NAMES), -1, proba).max(axis=1)
    np.testing.assert_allclose(report["margin"], (own - others)[rows])
    assert (np.diff(report["margin"]) >= 0).all()
    threshold = np.array([own[given == label].mean() for label in range(3)])
    for row in rows:
        confident = [label for label in range(3) if proba[row, label] >= threshold[label]]
        best = max(confident, key=lambda label: proba[row, label], default=given[row])
        assert report.loc[row, "suspicious"] == (best != given[row])
    for fold, (_, test) in enumerate(folds):
        assert (report.loc[test, "fold"] == fold).all()


def test_duplicates_in_other_folds_are_counted(scene):
    X, y, positions, *_ = scene
    X, blocks = X.copy(), np.arange(240) // 60
    X[[70, 130]] = X[0]
    X[1] = X[2]  # in the same block
    report = suspicious_labels(make_model(5), X, y, groups=blocks, cv=GroupKFold(4))
    assert report["n_duplicates"].loc[[0, 70, 130]].tolist() == [2, 2, 2]
    assert report["n_duplicates"].sum() == 6


def test_cv_must_test_each_series_once(scene):
    X, y, *_ = scene
    with pytest.raises(ValueError, match="cv must test each of the 240 series once"):
        suspicious_labels(make_model(), X, y, cv=ShuffleSplit(2, random_state=0))


@pytest.mark.parametrize("estimator", [LinearRegression(), RidgeClassifier()])
def test_estimators_without_probabilities_are_refused(scene, estimator):
    X, y, *_ = scene
    with pytest.raises(TypeError, match="classifier with predict_proba, got"):
        suspicious_labels(estimator, X, y)


def test_missing_labels_are_refused(scene):
    X, y, *_ = scene
    y = y.astype(object)
    y[3] = None
    with pytest.raises(ValueError, match="y has 1 missing values, the first at position 3"):
        suspicious_labels(make_model(), X, y)

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from sklearn_sits.metrics import accuracy_report, confusion_table


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    y = rng.choice(["crop", "meadow", "tree"], 300)
    predictions = np.where(rng.random(300) < 0.8, y, rng.choice(["crop", "meadow", "tree"], 300))
    return {
        "y": y,
        "predictions": predictions,
        "groups": rng.choice(["north", "south", "west", "east"], 300),
        "folds": np.arange(300) % 3,
    }


def part(report, group, fold="all"):
    return report[(report["group"] == group) & (report["fold"] == fold)]


def by_class(report, metric):
    return report[report["metric"] == metric].set_index("class")


@pytest.mark.parametrize(
    ("group", "fold"), [("all", "all"), ("north", "all"), ("west", "all"), ("all", 2)]
)
def test_values_are_those_of_scikit_learn(samples, group, fold):
    rows = np.ones(300, dtype=bool)
    rows &= (samples["groups"] == group) | (group == "all")
    rows &= (samples["folds"] == fold) | (fold == "all")
    y, predictions = samples["y"][rows], samples["predictions"][rows]
    report = part(accuracy_report(**samples), group, fold)
    precision, recall, f1, support = precision_recall_fscore_support(y, predictions)
    for metric, expected in [
        ("users_accuracy", precision),
        ("producers_accuracy", recall),
        ("f1", f1),
    ]:
        np.testing.assert_allclose(by_class(report, metric)["estimate"], expected)
    assert by_class(report, "producers_accuracy")["n_samples"].tolist() == support.tolist()
    overall = by_class(report, "overall_accuracy").loc["all"]
    assert overall["estimate"] == pytest.approx(np.mean(y == predictions))
    assert overall["n_samples"] == rows.sum()
    assert (report["lower"] <= report["estimate"]).all()
    assert (report["estimate"] <= report["upper"]).all()


def test_rows_are_groups_and_folds(samples):
    report = accuracy_report(**samples)
    parts = report[["group", "fold"]].drop_duplicates().to_numpy().tolist()
    names = ["east", "north", "south", "west"]
    expected = [["all", "all"], *([name, "all"] for name in names), *(["all", i] for i in range(3))]
    assert parts == expected
    assert len(report) == len(parts) * 10
    wide = report.pivot(index=["group", "fold"], columns=["metric", "class"], values="estimate")
    assert wide.shape == (8, 10)


def test_confusion_tables_are_those_of_scikit_learn(samples):
    y, predictions, groups = (samples[name] for name in ("y", "predictions", "groups"))
    counts = confusion_table(y, predictions, groups=groups)
    for group in ("north", "east"):
        rows = groups == group
        expected = confusion_matrix(y[rows], predictions[rows], labels=np.unique(y))
        assert (counts.loc[group] == expected).all(axis=None)
    plain = confusion_table(y, predictions)
    assert (plain == confusion_matrix(y, predictions)).all(axis=None)
    pd.testing.assert_frame_equal(plain, counts.loc["all"])
    assert (plain.index.name, plain.columns.name) == ("reference", "predicted")


def cover(clustered, rng):
    """Return whether the interval of the overall accuracy holds the truth of 0.7."""
    # The accuracy differs between blocks, as that of a map does.
    accuracy = rng.beta(7, 3, 40)
    blocks = np.repeat(np.arange(40), 25)
    correct = rng.random(1000) < accuracy[blocks]
    y = rng.integers(2, size=1000)
    predictions = np.where(correct, y, 1 - y)
    report = accuracy_report(y, predictions, groups=blocks if clustered else None)
    row = report.iloc[0]
    return row["lower"] <= 0.7 <= row["upper"]


def test_groups_make_intervals_honest():
    rng = np.random.default_rng(0)
    assert np.mean([cover(False, rng) for _ in range(100)]) < 0.85
    assert np.mean([cover(True, rng) for _ in range(40)]) >= 0.9


def test_a_single_group_has_no_interval():
    report = accuracy_report([1, 2, 2], [1, 2, 1], groups=[0, 0, 0])
    assert part(report, "all")[["lower", "upper"]].isna().all(axis=None)
    assert part(report, 0)[["lower", "upper"]].notna().all(axis=None)


def test_classes_that_nobody_predicts():
    report = accuracy_report([1, 2, 3], [1, 2, 2])
    users = by_class(report, "users_accuracy").loc[3]
    assert users[["estimate", "lower", "upper"]].isna().all()
    assert users["n_samples"] == 0
    assert by_class(report, "producers_accuracy").loc[3, "estimate"] == 0
    assert by_class(report, "f1").loc[3, "estimate"] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"predictions": [1, 2]}, "y has 3, predictions has 2"),
        ({"groups": ["a", "b"]}, "groups has 2"),
        ({"folds": [0, 1, np.nan]}, "folds has 1 missing"),
        ({"predictions": ["1", "2", "2"]}, "all text or all numbers"),
        ({"predictions": [[0.1, 0.9]] * 3}, r"predictions must have the shape .* got \(3, 2\)"),
        ({"groups": ["a", "all", "b"]}, 'groups has the label "all"'),
        ({"confidence_level": 1.0}, "confidence_level"),
    ],
)
def test_bad_input_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        accuracy_report(**({"y": [1, 2, 2], "predictions": [1, 2, 2]} | changes))

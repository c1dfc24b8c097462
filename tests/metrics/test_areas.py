import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import UndefinedMetricWarning

from sklearn_sits.metrics import area_estimates

# --- Olofsson et al. 2014, section 5 and tables 8 and 9 -------------------------------------------

CHANGES = ["Deforestation", "Forest gain", "Stable forest", "Stable non-forest"]
COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])
HECTARES = dict(zip(CHANGES, 0.09 * PIXELS, strict=True))


def expand(counts, labels):
    """Return y_reference and y_map of a matrix of counts whose rows are the map."""
    row, column = np.indices(counts.shape)
    labels = np.asarray(labels)
    return (labels[np.repeat(at.ravel(), counts.ravel())] for at in (column, row))


@pytest.fixture(scope="module")
def olofsson():
    return area_estimates(*expand(COUNTS, CHANGES), HECTARES)


def test_areas_of_olofsson(olofsson):
    assert olofsson.area.index.tolist() == CHANGES
    assert olofsson.area["estimate"].round().tolist() == [21_158, 11_686, 285_770, 581_386]
    half = 1.96 * olofsson.area["std_error"]
    assert half.round().tolist() == [6_158, 3_756, 15_510, 16_282]
    np.testing.assert_allclose(olofsson.area["upper"] - olofsson.area["estimate"], half, rtol=1e-4)
    np.testing.assert_allclose(olofsson.area["estimate"] - olofsson.area["lower"], half, rtol=1e-4)
    assert (olofsson.area["std_error"] / 900_000).round(4).iloc[0] == 0.0035


def test_proportions_of_olofsson(olofsson):
    """Table 9, whose rows are the map."""
    proportions = (olofsson.confusion_matrix / 900_000).round(4)
    assert proportions.T.to_numpy().tolist() == [
        [0.0176, 0, 0.0013, 0.0011],
        [0, 0.0110, 0.0016, 0.0024],
        [0.0019, 0, 0.2967, 0.0213],
        [0.0040, 0.0020, 0.0179, 0.6212],
    ]
    assert proportions.index.name == "reference"
    assert proportions.columns.name == "map"


def test_accuracies_of_olofsson(olofsson):
    users, producers, overall = (
        olofsson.users_accuracy,
        olofsson.producers_accuracy,
        olofsson.overall_accuracy,
    )
    assert users["estimate"].round(2).tolist() == [0.88, 0.73, 0.93, 0.96]
    assert (1.96 * users["std_error"]).round(2).tolist() == [0.07, 0.10, 0.04, 0.02]
    assert producers["estimate"].round(2).tolist() == [0.75, 0.85, 0.93, 0.96]
    # The paper prints 0.23 and 0.01 for the second and the last, but its equation 7 gives these.
    assert (1.96 * producers["std_error"]).round(2).tolist() == [0.21, 0.25, 0.03, 0.02]
    assert overall["estimate"].round(2) == 0.95
    assert (1.96 * overall["std_error"]).round(2) == 0.02


# --- Stehman 2014, section 3: strata A to D with ten samples each ---------------------------------

STRATA = np.repeat(list("ABCD"), 10)
MAPPED = list("AAAAAAABBBABBBBBBBBBBBCCCCCCBBDDDDDDDDDD")
TRUE = list("AAAAACBABCABBBBBAABBCCCCCDDBBADDDDDDDCCB")
STRATUM_PIXELS = {"A": 40_000, "B": 30_000, "C": 20_000, "D": 10_000}


@pytest.fixture(scope="module")
def stehman():
    return area_estimates(TRUE, MAPPED, STRATUM_PIXELS, strata=STRATA, pixel_area=1)


def test_areas_of_stehman(stehman):
    area = stehman.area / 100_000
    assert area["estimate"].round(2).loc[["A", "C"]].tolist() == [0.35, 0.20]
    assert area["std_error"].round(3).loc[["A", "C"]].tolist() == [0.082, 0.064]
    assert stehman.confusion_matrix.loc["C", "B"] / 100_000 == pytest.approx(0.08)


def test_accuracies_of_stehman(stehman):
    assert stehman.overall_accuracy["estimate"].round(2) == 0.63
    assert stehman.overall_accuracy["std_error"].round(3) == 0.085
    assert stehman.users_accuracy.loc["B"].round(3).tolist()[:2] == [0.574, 0.125]
    # The paper prints 0.114 for the standard error, with a variance of 0 in stratum D where its
    # table 3 has 0.1; equation 28 with the values of the table gives this.
    assert stehman.producers_accuracy.loc["B"].round(3).tolist()[:2] == [0.794, 0.117]


# --- properties -----------------------------------------------------------------------------------


def simulate(design, rng, n_classes=4, n_samples=400):
    """Return shares of the area by stratum, map and reference, and a sample of 100 per stratum."""
    reference = rng.dirichlet(np.ones(n_classes), n_classes) * 0.3 + 0.7 * np.eye(n_classes)
    shares = rng.dirichlet(np.full(n_classes, 3.0), 4) + 0.03
    joint = rng.dirichlet(np.full(4, 5.0))[:, None, None] * shares[:, :, None] * reference
    joint = (joint / joint.sum()) if design == "regions" else joint.sum(0)[:, None] / joint.sum()
    n_strata = len(joint)
    stratum = np.repeat(np.arange(n_strata), n_samples // n_strata)
    cells = [
        rng.choice(part.size, n_samples // n_strata, p=part.ravel() / part.sum()) for part in joint
    ]
    y_map, y_reference = np.divmod(np.concatenate(cells), n_classes)
    if design != "regions":
        y_map = stratum
    return joint, y_reference, y_map, stratum


@pytest.mark.parametrize("design", ["classes", "regions"])
def test_intervals_cover_the_truth(design):
    """benchmarks/areas.py repeats this 2,000 times, with four designs."""
    rng = np.random.default_rng(0)
    covered = {"area": [], "users_accuracy": [], "producers_accuracy": []}
    for _ in range(250):
        joint, y_reference, y_map, stratum = simulate(design, rng)
        matrix = joint.sum(axis=0) if design == "regions" else joint[:, 0]
        areas = dict(enumerate(joint.sum(axis=(1, 2))))
        strata = stratum if design == "regions" else None
        estimates = area_estimates(y_reference, y_map, areas, strata=strata)
        hits, true = matrix.diagonal(), matrix.sum(axis=0)
        truth = [true, hits / matrix.sum(axis=1), hits / true]
        for (name, inside), value in zip(covered.items(), truth, strict=True):
            table = getattr(estimates, name)
            inside.append((table["lower"] <= value) & (value <= table["upper"]))
    for name, inside in covered.items():
        assert 0.93 <= np.mean(inside) <= 0.97, name


def test_strata_that_are_the_classes_change_nothing(olofsson):
    y_reference, y_map = expand(COUNTS, CHANGES)
    same = area_estimates(y_reference, y_map, pd.Series(HECTARES), strata=y_map)
    pd.testing.assert_frame_equal(same.producers_accuracy, olofsson.producers_accuracy)
    pd.testing.assert_frame_equal(same.area, olofsson.area)


def test_a_census_has_no_error():
    y_map, y_reference = np.repeat([1, 2], [3, 4]), np.array([1, 1, 2, 2, 2, 2, 2])
    estimates = area_estimates(y_reference, y_map, {1: 6.0, 2: 8.0}, pixel_area=2.0)
    np.testing.assert_allclose(estimates.area["estimate"], [4, 10])
    np.testing.assert_allclose(estimates.area["std_error"], 0, atol=1e-12)
    np.testing.assert_allclose(estimates.users_accuracy.loc[1], [2 / 3, 0, 2 / 3, 2 / 3], atol=1e-9)


def test_intervals_stay_possible_and_keep_a_width():
    y_map = np.repeat(["a", "b"], 20)
    y_reference = y_map.copy()
    y_reference[20] = "a"
    estimates = area_estimates(y_reference, y_map, {"a": 1.0, "b": 99.0})
    assert estimates.area["lower"].min() >= 0
    assert estimates.area["upper"].max() <= 100
    assert estimates.users_accuracy.loc["a", "estimate"] == 1
    assert 0.8 < estimates.users_accuracy.loc["a", "lower"] < 0.9


def test_a_wider_level_gives_wider_intervals(olofsson):
    wide = area_estimates(*expand(COUNTS, CHANGES), HECTARES, confidence_level=0.99)
    assert (wide.area["upper"] > olofsson.area["upper"]).all()
    assert (wide.users_accuracy["lower"] < olofsson.users_accuracy["lower"]).all()


def test_labels_that_pandas_made_floats_are_integers():
    y = pd.Series([10, 10, 20, 20, None]).dropna()
    estimates = area_estimates(y, y, {np.float64(10): 1.0, np.int64(20): 2.0})
    assert estimates.area.index.tolist() == [10, 20]
    assert estimates.area.index.dtype.kind == "i"


def test_all_tables_are_printed(olofsson):
    for name in ("area", "producers_accuracy", "overall_accuracy", "Stable forest"):
        assert name in repr(olofsson)


# --- classes that are absent ----------------------------------------------------------------------


def test_a_class_that_the_map_does_not_have():
    with pytest.warns(UndefinedMetricWarning, match=r"\['water'\] in y_map.*spelling"):
        estimates = area_estimates(list("aabbb") + ["water"], list("aabbbb"), {"a": 2, "b": 8})
    assert estimates.area.loc["water", "estimate"] == pytest.approx(2)
    assert np.isnan(estimates.users_accuracy.loc["water"]).all()
    assert estimates.producers_accuracy.loc["water", "estimate"] == 0


def test_a_class_without_reference():
    with pytest.warns(UndefinedMetricWarning, match=r"\['b'\] in y_reference.*no meaning"):
        estimates = area_estimates(list("aaaa"), list("aabb"), {"a": 2, "b": 8})
    assert estimates.area.loc["b", "estimate"] == 0
    assert np.isnan(estimates.producers_accuracy.loc["b"]).all()


# --- bad input ------------------------------------------------------------------------------------

GOOD = {"y_reference": [1, 1, 2, 2], "y_map": [1, 1, 2, 2], "map_areas": {1: 3.0, 2: 4.0}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_map": [1, 1, 2, 255]}, r"y_map has 1 samples of \[255\].*outside of the map"),
        ({"strata": [1, 1, 3, 3]}, r"strata has 2 samples of \[3\]"),
        ({"map_areas": {1: 3.0, 2: 4.0, 7: 1.0}}, r"has \[7\].*no sample.*Draw samples there"),
        ({"y_map": [1, 1, 1, 2]}, r"single sample of \[2\].*two in each"),
        ({"map_areas": {1: 3.0, 2: 0.0}}, "positive and finite, got 0.0 for 2"),
        ({"map_areas": {1: 3.0, 2: -4.0}}, "positive and finite, got -4.0"),
        ({"map_areas": {1: 3.0, 2: np.nan}}, "positive and finite, got nan"),
        ({"map_areas": pd.Series([1.0, 2.0], [1, 1])}, "twice"),
        ({"pixel_area": 2.0}, "2 samples of 1, which has only 1.5 pixels"),
        ({"pixel_area": 0.0}, "pixel_area must be a positive number"),
        ({"confidence_level": 95}, "confidence_level must be .* got 95"),
        ({"y_reference": [1, 1, 2, np.nan]}, "y_reference has 1 missing .* position 3"),
        ({"y_map": [1, None, 2, 2]}, "y_map has 1 missing .* position 1"),
        ({"y_map": pd.array([1, 1, 2, pd.NA], dtype="Int64")}, "y_map has 1 missing"),
        ({"y_reference": ["1", "1", "2", "2"]}, "all text or all numbers"),
        ({"y_reference": pd.Series(["a", 1, 2, 2])}, "y_reference mixes text and other labels"),
        ({"y_reference": [0.5, 1, 2, 2]}, "must hold labels, got the number 0.5"),
        ({"y_reference": [1, 1, 2]}, "y_reference has 3, y_map has 4"),
        ({"y_reference": [], "y_map": []}, "y_reference is empty"),
        ({"y_reference": [[1, 1], [2, 2]]}, r"shape \(n_samples,\), got \(2, 2\)"),
        ({"map_areas": {"1": 3.0, "2": 4.0}}, r"labels of map_areas are \['1', '2'\]"),
    ],
)
def test_bad_input_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        area_estimates(**(GOOD | changes))


@pytest.mark.parametrize("map_areas", [[3.0, 4.0], {1: "3", 2: "4"}, {1: True, 2: 4.0}])
def test_areas_need_labels_and_numbers(map_areas):
    with pytest.raises(TypeError, match="map_areas must"):
        area_estimates(**(GOOD | {"map_areas": map_areas}))

import numpy as np
import pytest
from scipy.stats import entropy

from sklearn_sits.model_selection import select_to_label


@pytest.fixture(scope="module")
def candidates():
    """Return four groups of uncertain series, the first the most, and many certain ones."""
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [10, 0], [0, 10], [10, 10]])
    features = np.repeat(centres, [10, 10, 10, 10], axis=0) + rng.normal(0, 0.1, (40, 2))
    share = np.concatenate([rng.uniform(0.48, 0.5, 10), rng.uniform(0.4, 0.45, 30)])
    features = np.concatenate([features, rng.uniform(0, 10, (200, 2))])
    share = np.concatenate([share, rng.uniform(0, 1e-4, 200)])
    return np.stack([share, 1 - share], axis=1), features


def test_selected_series_are_uncertain_and_differ(candidates):
    proba, features = candidates
    selected = select_to_label(proba, 4, features=features, random_state=0)
    assert (selected < 40).all()
    assert len(np.unique(features[selected].round(-1), axis=0)) == 4
    # The largest entropies alone are all in one group.
    assert len(np.unique(features[np.argsort(-entropy(proba, axis=1))[:4]].round(-1), axis=0)) == 1


def test_the_most_uncertain_come_first(candidates):
    proba, features = candidates
    selected = select_to_label(proba, 8, features=features, random_state=0)
    assert (np.diff(entropy(proba[selected], axis=1)) <= 0).all()


@pytest.mark.parametrize("n_series", [1, 3, 240])
def test_each_series_is_selected_once(candidates, n_series):
    proba, features = candidates
    selected = select_to_label(proba, n_series, features=features, random_state=0)
    assert len(set(selected.tolist())) == n_series


def test_probabilities_are_the_default_features(candidates):
    proba, _ = candidates
    np.testing.assert_array_equal(
        select_to_label(proba, 5, random_state=0),
        select_to_label(proba, 5, features=proba, random_state=0),
    )


def test_certain_series_can_be_selected():
    assert len(select_to_label(np.eye(3)[[0, 1, 2, 0]], 2, random_state=0)) == 2


def test_global_generator_is_untouched(candidates):
    state = np.random.get_state()[1].copy()
    select_to_label(candidates[0], 3, random_state=0)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_series": 5}, "n_series=5 must be 1 to 4"),
        ({"n_series": 0}, "n_series=0 must be"),
        ({"n_series": 2.0}, "n_series must be an int"),
        ({"proba": [[0.5, np.nan]] * 4}, "proba contains NaN"),
        ({"proba": [[0.5, -0.5]] * 4}, "proba must hold probabilities"),
        ({"features": np.zeros((3, 2))}, "got 3 rows for 4"),
    ],
)
def test_bad_input_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        select_to_label(**({"proba": [[0.5, 0.5]] * 4, "n_series": 2} | changes))

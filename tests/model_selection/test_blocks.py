import numpy as np
import pytest
import sklearn
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_sits import LinearInterpolator
from sklearn_sits.datasets import make_sits
from sklearn_sits.model_selection import BlockKFold, make_blocks


@pytest.fixture(scope="module")
def scene():
    X, y = make_sits(200, 12, 2, 3, random_state=0)
    return X[..., :-2], y, X[:, 0, -2:]


# --- make_blocks ----------------------------------------------------------------------------------


def test_blocks_are_the_cells_of_a_grid():
    x = np.array([0.0, 9.9, 10.0, -0.1, 25.0])
    y = np.array([0.0, 19.9, 0.0, 0.0, 25.0])
    assert make_blocks(x, y, (10, 20)).tolist() == [1, 1, 2, 0, 3]
    np.testing.assert_array_equal(make_blocks(x, x, 10), make_blocks(x, x, (10.0, 10.0)))


def test_blocks_agree_with_the_usual_recipe(scene):
    _, _, positions = scene
    expected = np.unique(np.floor(positions / 20_000), axis=0, return_inverse=True)[1].ravel()
    np.testing.assert_array_equal(make_blocks(*positions.T, 20_000), expected)


def test_a_subset_has_the_same_blocks(scene):
    _, _, positions = scene
    blocks, half = make_blocks(*positions.T, 20_000), make_blocks(*positions[::2].T, 20_000)
    same = np.equal.outer(blocks[::2], blocks[::2])
    np.testing.assert_array_equal(np.equal.outer(half, half), same)


@pytest.mark.parametrize(
    ("x", "y", "size", "error", "message"),
    [
        ([1.0, np.nan], [1.0, 2.0], 10, ValueError, "x has 1 positions .* row 1"),
        ([1.0], [1.0, 2.0], 10, ValueError, "same length, got 1 and 2"),
        ([[1.0]], [1.0], 10, ValueError, r"x must have the shape .* got \(1, 1\)"),
        ([], [], 10, ValueError, "x is empty"),
        ([1.0], [1.0], 0, ValueError, "size must be positive and finite, got 0"),
        ([1.0], [1.0], (5, np.inf), ValueError, "size must be positive"),
        ([1.0], [1.0], (1, 2, 3), ValueError, "a number or a pair"),
        ([1.0], [1.0], "20 km", ValueError, "a number or a pair"),
        (["a"], [1.0], 10, TypeError, "x must be numbers"),
    ],
)
def test_bad_positions_are_refused(x, y, size, error, message):
    with pytest.raises(error, match=message):
        make_blocks(x, y, size)


# --- BlockKFold -----------------------------------------------------------------------------------


@pytest.mark.parametrize("labelled", [True, False])
def test_no_block_is_in_training_and_test(scene, labelled):
    X, y, positions = scene
    blocks = make_blocks(*positions.T, 5_000)
    # Whole floats are targets of a regression, such as percentages.
    target = y if labelled else positions[:, 0].round()
    folds = list(BlockKFold(5_000, 4).split(X, target, positions))
    for train, test in folds:
        assert not set(blocks[train]) & set(blocks[test])
        assert len(train) + len(test) == len(X)
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(X)))
    if labelled:
        shares = [np.bincount(y[test], minlength=3) / len(test) for _, test in folds]
        assert np.std(shares, axis=0).max() < 0.15


def test_buffer_keeps_training_series_away(scene):
    X, y, _ = scene
    positions = np.random.default_rng(0).uniform(0, 100_000, (200, 2))
    plain = list(BlockKFold(20_000).split(X, y, positions))
    buffered = list(BlockKFold(20_000, buffer=5_000).split(X, y, positions))
    for (all_train, all_test), (train, test) in zip(plain, buffered, strict=True):
        np.testing.assert_array_equal(all_test, test)
        distance = cdist(positions[all_train], positions[test]).min(axis=1)
        np.testing.assert_array_equal(train, all_train[distance >= 5_000])
    assert sum(len(train) for train, _ in buffered) < 4 * len(X)


def test_shuffle_follows_the_seed(scene):
    X, y, positions = scene

    def tests(**options):
        splits = BlockKFold(10_000, shuffle=True, **options).split(X, y, positions)
        return [test.tolist() for _, test in splits]

    assert tests(random_state=0) == tests(random_state=0)
    assert tests(random_state=0) != tests(random_state=1)


def test_searches_take_positions_as_groups(scene):
    X, y, positions = scene
    model = make_pipeline(
        LinearInterpolator(step=30), RandomForestClassifier(10, random_state=0, max_depth=2)
    )
    cv = BlockKFold(20_000, 3)
    search = GridSearchCV(model, {"randomforestclassifier__max_depth": [2, 4]}, cv=cv)
    search.fit(X, y, groups=positions)
    assert search.n_splits_ == cv.get_n_splits() == 3
    scores = cross_val_score(model, X, y, groups=positions, cv=clone(cv, safe=False))
    assert scores.mean() == pytest.approx(search.cv_results_["mean_test_score"][0])
    with sklearn.config_context(enable_metadata_routing=True):
        search.fit(X, y, groups=positions)
        assert search.n_splits_ == 3
    assert repr(cv).startswith("BlockKFold(")


@pytest.mark.parametrize(
    ("options", "positions", "message"),
    [
        ({}, None, "BlockKFold needs the positions"),
        ({}, np.zeros(200), "If you have blocks already, use GroupKFold"),
        ({}, np.zeros((3, 2)), "groups has 3 positions, but X has 200"),
        ({}, np.full((200, 2), np.nan), "groups has 200 positions that are not finite"),
        ({}, np.ones((200, 2)), "need as many blocks, but size=10 makes 1"),
        ({"n_splits": 1}, np.ones((200, 2)), "n_splits must be an int of at least 2"),
        ({"buffer": -1.0}, np.ones((200, 2)), "buffer must be a finite number"),
        ({"size": -1.0}, np.ones((200, 2)), "size must be positive"),
        (
            {"buffer": 1e9},
            np.arange(400.0).reshape(200, 2),
            "buffer=1000000000.0 leaves no training series",
        ),
    ],
)
def test_bad_folds_are_refused(scene, options, positions, message):
    X, y, _ = scene
    with pytest.raises(ValueError, match=message):
        list(BlockKFold(**({"size": 10} | options)).split(X, y, positions))

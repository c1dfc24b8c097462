import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_sits.vae.draws import draw_normal


def rows(n=50, k=4, seed=0):
    return np.random.default_rng(seed).random((n, k)).astype(np.float32)


def test_distribution():
    normal = draw_normal(rows(200), 100, 3, seed=0)
    assert normal.shape == (200, 100, 3)
    assert normal.dtype == np.float64
    assert abs(normal.mean()) < 0.02
    assert abs(normal.std() - 1) < 0.02
    assert abs(np.mean(np.abs(normal) < 1) - 0.6827) < 0.01
    # Independent over rows, draws and variables.
    table = normal.reshape(200, -1)
    assert np.abs(np.corrcoef(table[:20])[np.triu_indices(20, 1)]).max() < 0.3
    assert abs(np.corrcoef(normal[..., 0].ravel(), normal[..., 1].ravel())[0, 1]) < 0.03


def test_a_row_has_its_own_numbers():
    X = rows()
    expected = draw_normal(X, 5, 3, seed=0)
    assert_array_equal(draw_normal(X[::-1], 5, 3, seed=0), expected[::-1])
    assert_array_equal(draw_normal(X[7:8], 5, 3, seed=0), expected[7:8])
    assert_array_equal(draw_normal(np.repeat(X[:1], 3, axis=0), 5, 3, seed=0)[2], expected[0])
    assert len(np.unique(expected)) == expected.size


def test_seed():
    one, other = (draw_normal(rows(), 5, 3, seed=seed) for seed in (0, 1))
    assert not np.isclose(one, other).any()


def test_one_bit_changes_all_numbers():
    X = rows(1)
    other = np.nextafter(X, np.float32(1))
    assert not np.isclose(draw_normal(X, 20, 3, seed=0), draw_normal(other, 20, 3, seed=0)).any()


def test_precision_and_layout_do_not_matter():
    X = rows()
    expected = draw_normal(X, 5, 3, seed=0)
    assert_array_equal(draw_normal(X.astype(np.float64), 5, 3, seed=0), expected)
    assert_array_equal(draw_normal(np.asfortranarray(X), 5, 3, seed=0), expected)
    assert_array_equal(draw_normal(list(X), 5, 3, seed=0), expected)


def test_zero_has_one_sign():
    zero = np.zeros((1, 4))
    assert_array_equal(draw_normal(zero, 5, 3, seed=0), draw_normal(-zero, 5, 3, seed=0))


def test_rows_of_different_lengths():
    X = [np.arange(3.0), np.arange(4.0), np.arange(3.0)]
    one, other, third = draw_normal(X, 5, 3, seed=0)
    assert_array_equal(one, third)
    assert not np.isclose(one, other).any()


def test_no_rows():
    assert draw_normal(rows(0), 5, 3, seed=0).shape == (0, 5, 3)


@pytest.mark.parametrize("seed", [0, 2**31 - 1])
def test_global_generator_is_untouched(seed):
    before = np.random.get_state()[1].copy()
    draw_normal(rows(), 2, 2, seed=seed)
    assert_array_equal(np.random.get_state()[1], before)

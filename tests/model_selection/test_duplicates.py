import numpy as np
import pytest

from sklearn_sits import pack
from sklearn_sits.datasets import make_sits
from sklearn_sits.model_selection import find_duplicates


@pytest.fixture
def X():
    return make_sits(30, 12, 2, 3, positions=False, random_state=0)[0]


def test_unique_series_give_an_empty_table(X):
    found = find_duplicates(X, y=np.zeros(30), groups=np.zeros(30))
    assert found.columns.tolist() == ["series", "n_series", "labels", "groups"]
    assert len(found) == 0


def test_sets_are_found_with_their_labels_and_groups(X):
    X[[7, 20]], X[5] = X[2], X[29]
    y, blocks = np.array(["a", "b", "c"] * 10), np.arange(30) // 10
    found = find_duplicates(X, y=y, groups=blocks)
    assert found["series"].tolist() == [(2, 7, 20), (5, 29)]
    assert found["labels"].tolist() == [("b", "c"), ("c",)]
    assert found["groups"].tolist() == [(0, 2), (0, 2)]


def test_padding_and_empty_series_do_not_count():
    values = np.array([[0.5, 0.2, np.nan], [0.5, np.nan, 0.2], [np.nan, np.nan, np.nan]])
    days = np.array([[1.0, 2.0, 3.0], [1.0, 9.0, 2.0], [1.0, 2.0, 3.0]])
    X = pack(values[..., None], days)
    X = np.concatenate([X, X[2:]])
    assert find_duplicates(X)["series"].tolist() == [(0, 1)]


def test_dates_count(X):
    X[3] = X[4]
    X[3, :, 0] += 1
    assert len(find_duplicates(X)) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [({"y": np.zeros(3)}, "X has 30, y has 3"), ({"groups": [None] * 30}, "groups has 30 missing")],
)
def test_bad_input_is_refused(X, options, message):
    with pytest.raises(ValueError, match=message):
        find_duplicates(X, **options)


def test_a_table_is_refused(X):
    with pytest.raises(ValueError, match=r"X must have the shape .* got \(30, 3\)"):
        find_duplicates(X[:, 0])

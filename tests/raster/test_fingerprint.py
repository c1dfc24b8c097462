import pickle
import tracemalloc

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.pipeline import make_pipeline

from sklearn_sits import LinearInterpolator, MTANMLPClassifier
from sklearn_sits.raster.fingerprint import fingerprint
from sklearn_sits.series.packing import pack


@pytest.fixture(scope="module")
def data():
    values = np.random.default_rng(0).random((60, 8))
    return pack(values, 10.0 * np.arange(8)), (values.mean(axis=1) > 0.5).astype(int)


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: make_pipeline(
            LinearInterpolator(), RandomForestClassifier(3, random_state=seed)
        ),
        lambda seed: make_pipeline(
            LinearInterpolator(step=seed + 1),
            HistGradientBoostingClassifier(max_iter=2, random_state=0),
        ),
        lambda seed: MTANMLPClassifier(max_iter=1, random_state=seed),
    ],
    ids=["forest", "boosting", "mtan"],
)
def test_fingerprint(data, make):
    estimator = make(0).fit(*data)
    digest = fingerprint(estimator)
    assert fingerprint(pickle.loads(pickle.dumps(estimator))) == digest
    assert fingerprint(make(0).fit(*data)) == digest
    assert fingerprint(make(1).fit(*data)) != digest
    assert fingerprint(estimator, "predict") != fingerprint(estimator, "predict_proba")


def test_fingerprint_does_not_depend_on_the_memory_of_arrays(tmp_path):
    """Nor on the bytes between the fields of a record."""
    array = np.random.default_rng(0).random((6, 4))
    digest = fingerprint({"weights": array})
    np.save(tmp_path / "array.npy", array)
    mapped = np.load(tmp_path / "array.npy", mmap_mode="r")
    for other in (np.asfortranarray(array), np.repeat(array, 2, axis=0)[::2], mapped):
        assert fingerprint({"weights": other}) == digest
    assert fingerprint({"weights": array.T}) != digest
    assert fingerprint({"weights": array.astype(np.float32)}) != digest
    kind = np.dtype([("a", np.int8), ("b", np.float64)], align=True)
    records = [np.full(48, byte, dtype=np.uint8).view(kind) for byte in (0, 1)]
    for one in records:
        one["a"], one["b"] = 1, 2.0
    assert records[0].tobytes() != records[1].tobytes()
    assert fingerprint(records[0]) == fingerprint(records[1])
    assert fingerprint(np.zeros((0, 3))) == fingerprint(np.zeros((5, 3))[5:])


def test_fingerprint_does_not_copy_the_estimator():
    arrays = [np.zeros(1_000_000) for _ in range(8)]
    tracemalloc.start()
    fingerprint(arrays)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * arrays[0].nbytes


def test_fingerprint_ignores_what_changes_no_result(data):
    forest = RandomForestClassifier(3, random_state=0).fit(data[0][..., 1], data[1])
    digest = fingerprint(forest)
    assert fingerprint(forest.set_params(n_jobs=2, verbose=1)) == digest
    assert fingerprint(forest.set_params(max_depth=2)) != digest

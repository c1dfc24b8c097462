import pickle

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


def test_fingerprint_ignores_what_changes_no_result(data):
    forest = RandomForestClassifier(3, random_state=0).fit(data[0][..., 1], data[1])
    digest = fingerprint(forest)
    assert fingerprint(forest.set_params(n_jobs=2, verbose=1)) == digest
    assert fingerprint(forest.set_params(max_depth=2)) != digest

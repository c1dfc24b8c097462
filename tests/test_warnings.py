import threading
import warnings

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline

from sklearn_sits import LinearInterpolator
from sklearn_sits._warnings import collect_warnings, is_collecting, warn_counted, warn_user
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.series.packing import pack


def test_warnings_point_at_the_line_of_the_user():
    """Also through the pipelines and wrappers of scikit-learn."""
    X = pack(np.random.default_rng(0).random((20, 4)), np.arange(4.0))
    X[3, :, 1] = np.nan
    model = make_pipeline(LinearInterpolator().set_output(), RandomForestClassifier(2))
    with pytest.warns(UserWarning, match="1 of 20 series") as record:
        model.fit(X, np.arange(20) % 2)
    assert {one.filename for one in record} == {__file__}
    with pytest.warns(UserWarning, match="1 of 20 series") as record:
        model.predict(X)
    assert [one.filename for one in record] == [__file__]


def test_warn_counted():
    with pytest.warns(DataQualityWarning, match=r"^2 of 3 are odd\. The first is 1\.$") as record:
        warn_counted(
            "{n} of {total} are odd.", DataQualityWarning, detail="The first is 1.", n=2, total=3
        )
    assert record[0].filename == __file__


def test_collect_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with collect_warnings() as outer:
            warn_user("A set {1, 2}.", UserWarning)
            with collect_warnings() as inner:
                warn_counted("{n} bad.", DataQualityWarning, detail="Here.", n=2)
            assert is_collecting()
    assert not is_collecting()
    assert [one.text.format(**one.counts) for one in outer] == ["A set {1, 2}."]
    assert inner == [("{n} bad.", DataQualityWarning, {"n": 2})]


def test_other_threads_are_not_collected():
    found = []
    with collect_warnings():
        thread = threading.Thread(target=lambda: found.append(is_collecting()))
        thread.start()
        thread.join()
    assert found == [False]

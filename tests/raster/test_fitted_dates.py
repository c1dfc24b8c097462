import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_sits import LinearInterpolator, MTANMLPClassifier
from sklearn_sits.raster.fitted_dates import check_dates, fitted_dates
from sklearn_sits.series.packing import pack

DAYS = np.arange(10.0, 90, 10)


@pytest.fixture(scope="module")
def data():
    values = np.random.default_rng(0).random((40, 8))
    return pack(values, DAYS), (values.mean(axis=1) > 0.5).astype(int)


class AnyDate(BaseEstimator):
    date_range_ = None


def forest():
    return make_pipeline(LinearInterpolator(), RandomForestClassifier(2, random_state=0))


@pytest.mark.parametrize(
    "estimator",
    [
        LinearInterpolator(),
        forest(),
        GridSearchCV(forest(), {"randomforestclassifier__max_depth": [2]}, cv=2),
        VotingClassifier([("a", forest())]),
        CalibratedClassifierCV(forest(), cv=2),
        MTANMLPClassifier(max_iter=1, random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_fitted_dates(data, estimator):
    np.testing.assert_allclose(fitted_dates(estimator.fit(*data)), (10, 80))


def test_frozen_estimator(data):
    frozen = FrozenEstimator(forest().fit(*data))
    assert fitted_dates(frozen) == fitted_dates(forest().fit(*data))


def test_dates_that_do_not_matter():
    check_dates(AnyDate(), DAYS, None)
    check_dates(make_pipeline(AnyDate()), DAYS + 1e6, None)


def test_check_dates(data):
    estimator = forest().fit(*data)
    check_dates(estimator, DAYS, None)
    check_dates(estimator, DAYS[:3] + 0.5, "2023-01-01")
    with pytest.warns(UserWarning, match="5 of 8 dates of cube lie outside"):
        check_dates(estimator, DAYS + 50, None)
    message = "days 375 to 445 since 2022-01-01, fitted on days 10 to 80.*Give the origin"
    with pytest.raises(ValueError, match=message):
        check_dates(estimator, DAYS + 365, "2022-01-01")
    with pytest.raises(ValueError, match="since 1970-01-01"):
        check_dates(estimator, DAYS + 19358, None)


def test_check_dates_of_unknown_estimator():
    with pytest.raises(ValueError, match="origin must be given: RandomForestClassifier does not"):
        check_dates(RandomForestClassifier(), DAYS, None)
    check_dates(RandomForestClassifier(), DAYS, "2023-01-01")

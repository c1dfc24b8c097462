import time

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sits import LinearInterpolator, MTANMLPClassifier
from sklearn_sits.datasets import make_sits
from sklearn_sits.inspection import permutation_importance

MONTHS = np.arange("2018-01", "2019-02", dtype="datetime64[M]")
BAND, MONTH = 3, 6


def make_informative(seed, n=400, *, n_channels=4, positions=False, **options):
    """Series that differ between two classes in one band and one month only."""
    options = {"class_separation": 0.0, "n_classes": 1, "cloud_cover": 0.3} | options
    X, _ = make_sits(n, 36, n_channels, positions=positions, random_state=seed, **options)
    y = np.random.default_rng(seed).integers(0, 2, n)
    month = np.nan_to_num(X[..., 0], nan=17532).astype("datetime64[D]").astype("datetime64[M]")
    X[..., BAND] += 0.1 * y[:, None] * (month == MONTHS[MONTH])
    return X, y


def make_linear(**options):
    return make_pipeline(
        LinearInterpolator(**{"step": 15} | options),
        StandardScaler(),
        LogisticRegression(C=0.01, max_iter=300),
    )


@pytest.fixture(scope="module")
def informative():
    X, y = make_informative(0)
    return make_linear().fit(X[:200], y[:200]), X[200:], y[200:]


def assert_equal_results(result, other):
    np.testing.assert_array_equal(result.importances, other.importances)
    assert result.baseline_score == other.baseline_score


@pytest.mark.parametrize("seed", range(20))
def test_informative_band_and_month_rank_first(seed):
    X, y = make_informative(seed, 300)
    model = make_linear().fit(X[:150], y[:150])
    X, y = X[150:], y[150:]
    options = {"windows": MONTHS, "n_repeats": 3, "random_state": seed}
    by_band = permutation_importance(model, X, y, n_repeats=3, random_state=seed)
    by_date = permutation_importance(model, X, y, by="dates", **options)
    assert by_band.importances_mean.argmax() == BAND - 1
    assert by_date.importances_mean.argmax() == MONTH


def test_result(informative):
    model, X, y = informative
    result = permutation_importance(
        model, X, y, by="both", bands=["B4", "B8", "B11", "B12"], windows=MONTHS, n_repeats=3
    )
    assert result.importances.shape == (4, 12, 3)
    assert np.unravel_index(result.importances_mean.argmax(), (4, 12)) == (BAND - 1, MONTH)
    np.testing.assert_allclose(result.importances_mean, result.importances.mean(-1))
    np.testing.assert_allclose(result.importances_std, result.importances.std(-1))
    assert result.baseline_score == model.score(X, y)
    assert result.group_names.shape == (4, 12)
    assert result.group_names[2, 6] == "B11, 2018-07-01 to 2018-07-31"
    assert result.band_names.tolist() == ["B4", "B8", "B11", "B12"]
    assert result.window_names[6] == "2018-07-01 to 2018-07-31"
    assert result.window_edges[6].tolist() == [17713, 17744]
    by_band = permutation_importance(model, X, y, n_repeats=1)
    assert by_band.group_names.tolist() == ["b1", "b2", "b3", "b4"]
    assert by_band.window_edges is None


def test_groups_that_mean_nothing_have_no_importance(informative):
    """The model sees the months of one band only, whatever the groups are."""
    model, X, y = informative

    class OneBand(ClassifierMixin, BaseEstimator):
        classes_ = np.arange(2)

        def predict(self, X):
            return (np.nanmean(X[..., BAND], axis=1) > 0.2).astype(int)

        def __sklearn_is_fitted__(self):
            return True

    result = permutation_importance(OneBand(), X, y, random_state=0)
    assert (result.importances[[0, 1, 3]] == 0).all()
    grouped = permutation_importance(
        OneBand(), X, y, bands={"others": [1, 2, 4], "last": -1}, random_state=0
    )
    assert (grouped.importances == 0).all()
    assert grouped.band_names.tolist() == ["others", "last"]


@pytest.mark.parametrize("by", ["bands", "dates", "both"])
def test_padding_changes_nothing(by):
    X, y = make_informative(1, 120, positions=True)
    model = MTANMLPClassifier(position_channels=(-2, -1), max_iter=3, random_state=0).fit(X, y)
    padding = np.full_like(X[:, :7], np.nan)
    padded = np.concatenate([padding[:, :3], X, padding[:, 3:]], axis=1)
    # A cloudy slot is no observation either.
    padded[:, 0, 0] = 17600.0
    padded[:, 0, -2:] = X[:, 0, -2:]
    options = {
        "by": by,
        "windows": None if by == "bands" else 90,
        "static_channels": (-2, -1),
        "scoring": "neg_log_loss",
        "n_repeats": 2,
        "random_state": 0,
    }
    result = permutation_importance(model, X, y, **options)
    assert_equal_results(result, permutation_importance(model, padded, y, **options))
    # Log-losses tell the slightest difference of a probability.
    assert len(np.unique(result.importances)) == result.importances.size


def test_series_of_unequal_length_equal_those_with_clouds():
    X, y = make_informative(2, 150, aligned=True)
    model = make_linear(step=20).fit(X, y)
    unequal = X.copy()
    unequal[np.isnan(X[..., 1:]).all(axis=2)] = np.nan
    assert len(np.unique(np.isnan(unequal[..., 0]).sum(axis=1))) > 5
    options = {"by": "both", "windows": 60, "scoring": "neg_log_loss", "random_state": 0}
    result = permutation_importance(model, X, y, **options)
    other = permutation_importance(model, unequal, y, **options)
    np.testing.assert_allclose(result.importances, other.importances, atol=1e-6)
    assert np.abs(result.importances).max() > 0.01


def test_static_channels_can_be_a_group():
    X, _ = make_informative(3, 200, positions=True)
    y = (np.nanmax(X[..., -1], axis=1) > 50_000).astype(int)
    interpolator = LinearInterpolator(static_channels=(-2, -1))
    model = make_pipeline(interpolator, StandardScaler(), LogisticRegression()).fit(X, y)
    options = {"static_channels": (-2, -1), "random_state": 0}
    bands = {"bands": [1, 2, 3, 4], "easting": 5, "northing": 6}
    result = permutation_importance(model, X, y, bands=bands, **options)
    assert result.importances_mean.argmax() == 2
    # They stay with their series when dates move.
    by_date = permutation_importance(model, X, y, by="dates", windows=90, **options)
    assert (by_date.importances_mean < 0.5 * result.importances_mean[2]).all()
    with pytest.raises(ValueError, match="names the static channel 5, which has no dates"):
        permutation_importance(model, X, y, by="both", windows=90, bands=bands, **options)


def test_jobs_and_seeds(informative):
    model, X, y = informative
    options = {"by": "dates", "windows": 60, "n_repeats": 2}
    result = permutation_importance(model, X, y, random_state=3, **options)
    with joblib.parallel_config("threading"):
        parallel = permutation_importance(model, X, y, random_state=3, n_jobs=2, **options)
    assert_equal_results(result, parallel)
    other = permutation_importance(model, X, y, random_state=4, **options)
    assert not np.array_equal(result.importances, other.importances)


def test_scorers(informative):
    model, X, y = informative
    several = permutation_importance(
        model, X, y, scoring=["accuracy", "neg_log_loss"], random_state=0
    )
    assert list(several) == ["accuracy", "neg_log_loss"]
    for scoring in several:
        alone = permutation_importance(model, X, y, scoring=scoring, random_state=0)
        assert_equal_results(several[scoring], alone)
    own = permutation_importance(model, X, y, scoring=make_scorer(accuracy_score), random_state=0)
    assert_equal_results(own, several["accuracy"])


def test_sample_weight(informative):
    """Only the errors of the series with a weight count."""
    model, X, y = informative
    weight = np.zeros(len(y))
    weight[:50] = 2.0
    result = permutation_importance(model, X, y, sample_weight=weight, random_state=0)
    assert result.baseline_score == model.score(X[:50], y[:50])
    plain = permutation_importance(model, X, y, random_state=0)
    assert not np.array_equal(result.importances, plain.importances)


def test_blocks_exchange_within_themselves():
    """A band that only tells the blocks apart has no importance within them."""
    X, y = make_informative(4, 200)
    X[..., 1] += y[:, None]
    model = make_linear().fit(X, y)
    free = permutation_importance(model, X, y, random_state=0)
    within = permutation_importance(model, X, y, blocks=np.where(y, "a", "b"), random_state=0)
    assert free.importances_mean[0] > 0.3
    assert abs(within.importances_mean[0]) < 0.02


@pytest.mark.filterwarnings("error")
def test_exchanged_series_give_no_warnings():
    """Series may lose all their observations in an exchange."""
    X = np.full((40, 2, 2), np.nan)
    X[:20, 0] = 5.0, 0.1
    X[20:, 1] = 100.0, 0.2
    y = np.repeat([0, 1], 20)
    model = make_linear().fit(X, y)
    result = permutation_importance(model, X, y, by="dates", windows=30, random_state=0)
    assert result.window_names.tolist() == ["5 to 35", "95 to 125"]


def test_time_is_at_most_twice_that_of_the_predictions():
    X, y = make_informative(5, 800, n_channels=10)
    model = MTANMLPClassifier(max_iter=1, random_state=0).fit(X[:300], y[:300])
    model.score(X, y)

    def measure(function, repeats):
        times = []
        for _ in range(repeats):
            start = time.process_time()
            function()
            times.append(time.process_time() - start)
        return min(times)

    one = measure(lambda: model.score(X, y), 3)
    all_groups = measure(lambda: permutation_importance(model, X, y, n_repeats=1), 2)
    assert all_groups < 2 * (10 * one)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"bands": {"red": 0}}, ValueError, r"bands\['red'\] names channel 0, which is no band"),
        ({"bands": {"red": [1, 5]}}, ValueError, "names channel 5, which is no band: X has 5"),
        ({"bands": {"red": [1, -4]}}, ValueError, "names a channel twice"),
        ({"bands": {"red": []}}, ValueError, "is empty"),
        ({"bands": {}}, ValueError, "no group"),
        ({"bands": {"red": "B4"}}, TypeError, "must be a channel or a sequence, got 'B4'"),
        ({"bands": {"red": [1.0]}}, TypeError, "must hold integers, got 1.0"),
        ({"bands": ["B4", "B8"]}, ValueError, "a different name for each of the 4 bands"),
        ({"bands": ["B4", "B8", "B8", "B12"]}, ValueError, "a different name"),
        ({"bands": "B4"}, TypeError, "a sequence of names or a dict"),
        ({"bands": [1, 2]}, TypeError, "must hold names, got 1. To group"),
        ({"windows": 30}, ValueError, 'needs by="dates" or by="both", got by="bands"'),
        ({"by": "dates"}, ValueError, "by='dates' needs windows"),
        ({"by": "dates", "windows": [0, 10]}, ValueError, "hold no date with an observation"),
        ({"by": "month"}, ValueError, "'by' parameter"),
        ({"static_channels": (9,)}, ValueError, "static_channels contains 9"),
        ({"blocks": np.arange(200)}, ValueError, "has none to exchange with"),
        ({"blocks": np.zeros(7)}, ValueError, "inconsistent numbers of samples"),
        ({"sample_weight": np.zeros(7)}, ValueError, "inconsistent numbers of samples"),
        ({"n_repeats": 0}, ValueError, "n_repeats"),
        ({"scoring": "no score"}, ValueError, "scoring"),
    ],
)
def test_wrong_arguments(informative, options, error, message):
    model, X, y = informative
    with pytest.raises(error, match=message):
        permutation_importance(model, X, y, **options)


def test_wrong_series(informative):
    model, X, y = informative
    with pytest.raises(ValueError, match=r"packed series of shape .*, got shape \(200, 20\)"):
        permutation_importance(model, X[:, :20, 1], y)
    undated = X.copy()
    undated[3, 2] = [np.nan, 0.1, 0.1, 0.1, 0.1]
    with pytest.raises(ValueError, match="X has an observation without a date: series 3"):
        permutation_importance(model, undated, y)
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        permutation_importance(model, X[:1], y[:1])
    empty = X * [1, np.nan, np.nan, np.nan, np.nan]
    with pytest.raises(ValueError, match="no window holds a date"):
        permutation_importance(model, empty, y, by="dates", windows=30)

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from regressor_contracts import check_unchanged
from seasons import METHODS, NAN, OBJECTIVES, make, results
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_sits import PhenologyVAERegressor, pack
from sklearn_sits.datasets import make_phenology
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.phenology import phenology_vae
from sklearn_sits.physics import Prior
from sklearn_sits.physics.double_logistic import PHENOLOGY_PRIORS, double_logistic

# Values that are meant to differ.
unlike_the_training_data = pytest.mark.filterwarnings(
    "ignore:(Values in X|.* of the dates in X) lie outside of those"
)


def test_what_maps_need(data):
    model = make().fit(data[0])
    seen = data[0][..., 0][~np.isnan(data[0][..., 1])]
    assert_array_equal(model.date_range_, [seen.min(), seen.max()])
    assert model.units_["maturity"] == "day"


# Learning


def test_predictions_learn(trained):
    X, y = make_phenology(1000, random_state=2)
    found = trained.predict(X)
    error = np.abs(found - y).mean(0)
    assert (error[:2] < [0.015, 0.06]).all()
    assert (error[2:] < 15).all()
    # Without the series, the median is the best guess.
    assert (error < 0.5 * np.abs(y - np.median(y, axis=0)).mean(0)).all()
    assert trained.score(X, y) > 0.7


def test_reconstruction(trained):
    X, y = make_phenology(500, gaps=0.5, random_state=2)
    clean, _ = make_phenology(500, gaps=0.0, noise=0.0, random_state=2)
    found = trained.reconstruct(X)
    assert found.shape == (500, 365)
    error = found[:, ::5] - clean[..., 1]
    # About the noise of a single observation.
    assert np.sqrt(np.mean(error**2)) < 0.035
    assert_array_equal(trained.reconstruct(X, [10, 3.0]), found[:, [10, 3]])
    # Out of the season, the index is near its minimum.
    few = trained.reconstruct(X, [-45.0, 410.0])
    assert np.quantile(np.abs(few - y[:, :1]), 0.9) < 0.06


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_objectives(data, objective):
    X, _ = data
    model = make(objective=objective, max_iter=101).fit(X)
    assert np.isfinite(results(model, X)).all()
    observed = objective != "simulations"
    assert model.n_iter_ == 20 + 101 * observed
    assert [record["step"] for record in model.history_] == [20] + [120, 121] * observed
    assert [r["phase"] for r in model.history_] == ["pretrain"] + ["observed"] * 2 * observed
    parts = {
        "hybrid": {"reconstruction", "kl", "simulations"},
        "self-supervised": {"reconstruction", "kl"},
        "simulations": {"simulations"},
    }[objective]
    assert set(model.history_[-1]) == {"step", "phase"} | parts


@unlike_the_training_data
def test_simulations_look_at_dates_and_gaps_only(data):
    X, _ = data
    model = make().fit(X)
    other = X.copy()
    other[..., 1] = np.where(np.isnan(X[..., 1]), NAN, 0.5)
    assert_array_equal(make().fit(other).predict(X), model.predict(X))
    fewer = X.copy()
    fewer[:, ::2, 1] = NAN
    fewer[:, 1, 1] = 0.3
    assert not np.array_equal(make().fit(fewer).predict(X), model.predict(X))
    one, two = (make(objective="hybrid").fit(part).predict(X) for part in (X, other))
    assert not np.array_equal(one, two)


def test_observed_series_are_learned(data):
    """More steps on the series explain them better."""
    X, _ = data
    settings = {"objective": "self-supervised", "kl_weight": 0, "learning_rate": 2e-2}
    losses = [
        make(**settings, max_iter=100 * n).fit(X).history_[-1]["reconstruction"] for n in (1, 3)
    ]
    assert losses[1] < losses[0] - 1


def test_series_with_more_observations_are_known_better(trained):
    std = [
        trained.predict(make_phenology(300, gaps=gaps, random_state=3)[0], return_std=True)[1]
        for gaps in (0.2, 0.85)
    ]
    assert (std[0].mean(0) < 0.8 * std[1].mean(0)).all()


# Shapes and names


def test_channel(tiny, data):
    X, _ = data
    noise = np.random.default_rng(0).normal(size=(*X.shape[:2], 2))
    wide = np.concatenate([X[..., :1], noise, X[..., 1:]], axis=2)
    for channel in (3, -1):
        model = make(channel=channel).fit(wide)
        assert_array_equal(model.predict(wide), tiny.predict(X))
        # That of the fit.
        assert_array_equal(model.set_params(channel=1).predict(wide), tiny.predict(X))


def test_table_is_a_regular_year(trained):
    X, y = make_phenology(200, gaps=0.0, n_dates=74, random_state=5)
    X[..., 0] *= 365 / X[0, -1, 0]
    table = X[..., 1].copy()
    table[:5, 3] = NAN
    X[:5, 3, 1] = NAN
    assert_allclose(make().fit(table).predict(table), make().fit(X).predict(X), rtol=1e-6)
    frame = pd.DataFrame(table, columns=[f"t{i}" for i in range(74)])
    model = make().fit(frame)
    assert model.feature_names_in_.tolist() == frame.columns.tolist()
    assert model.n_features_in_ == 74
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[frame.columns[::-1]])


# Uncertainty


def test_intervals(trained):
    X, y = make_phenology(1000, random_state=4)
    mean, std = trained.predict(X, return_std=True)
    assert (std > 0).all()
    assert_array_equal(mean, trained.predict(X))
    intervals = [trained.predict_interval(X, coverage) for coverage in (0.5, 0.8, 0.95)]
    for (lower, upper), (outer_lower, outer_upper) in zip(intervals, intervals[1:], strict=False):
        assert (outer_lower <= lower).all()
        assert (lower < upper).all()
        assert (upper <= outer_upper).all()
    lower, upper = trained.predict_interval(X)
    assert_array_equal(lower, intervals[-1][0])
    assert (lower[:, :2] >= 0).all()
    assert (upper[:, :2] <= 1).all()
    assert (lower[:, 2:] >= -45).all()
    assert (upper[:, 2:] <= 410).all()
    assert ((lower <= mean) & (mean <= upper)).all()
    inside = ((lower <= y) & (y <= upper)).mean(0)
    assert (inside > 0.9).all(), inside
    assert (inside < 0.99).all(), inside


@pytest.mark.slow
def test_default_settings():
    """Coverage and errors of series that were used for nothing else."""
    fitted_on, _ = make_phenology(500, random_state=70)
    X, y = make_phenology(4000, random_state=71)
    model = PhenologyVAERegressor(random_state=7, device="cpu").fit(fitted_on)
    lower, upper = model.predict_interval(X)
    coverage = ((lower <= y) & (y <= upper)).mean(0)
    assert (coverage > 0.93).all(), coverage
    assert (coverage < 0.97).all(), coverage
    error = np.abs(model.predict(X) - y).mean(0)
    assert (error[2:] < [9.2, 10.4, 11.2, 9.8]).all(), error


def test_draws(trained):
    X, y = make_phenology(400, random_state=4)
    draws = trained.sample(X, 400, random_state=0)
    assert draws.shape == (400, 400, 6)
    mean, std = trained.predict(X, return_std=True)
    # Up to the noise of 400 draws, and what their order changes.
    assert np.median(np.abs(draws.mean(0) - mean) / std) < 0.1
    assert_allclose(np.median(draws.std(0) / std, axis=0), 1, atol=0.05)
    for quantile, bound in zip((0.025, 0.975), trained.predict_interval(X), strict=True):
        offset = (np.quantile(draws, quantile, axis=0) - bound) / std
        assert np.median(np.abs(offset)) < 0.2
    # What depends on several parameters has its own distribution.
    length, true = draws[..., 5] - draws[..., 2], y[:, 5] - y[:, 2]
    lower, upper = np.quantile(length, [0.025, 0.975], axis=0)
    assert 0.88 < ((lower <= true) & (true <= upper)).mean() < 0.99
    # The dates of a slow and of a fast growth move apart.
    deviation = draws - draws.mean(0)
    correlation = (deviation[..., 2] * deviation[..., 3]).mean(0) / draws[..., 2:4].std(0).prod(-1)
    assert np.median(correlation) < -0.2


@unlike_the_training_data
@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**31), n=st.integers(1, 12), scale=st.sampled_from([0.0, 0.1, 1.0, 2.0])
)
def test_order_always_holds(tiny, trained, seed, n, scale):
    """Of any series, be it a season or noise, in draws, means and intervals."""
    rng = np.random.default_rng(seed)
    X = np.stack([rng.uniform(-45, 410, (5, n)), scale * rng.normal(size=(5, n))], axis=2)
    for model in (tiny, trained):
        shift = model.season_start_
        X_ = X + [shift, 0]
        for values in (
            model.predict(X_),
            *model.predict_interval(X_),
            *model.sample(X_, 20, random_state=0),
        ):
            assert np.isfinite(values).all()
            assert (values[..., 1] >= values[..., 0]).all()
            assert (np.diff(values[..., 2:], axis=-1) >= 0).all()
            assert (values[..., 2:] >= shift - 45 - 1e-6).all()
            assert (values[..., 2:] <= shift + 410 + 1e-6).all()


# Invariance


def test_slots(trained, tiny, data):
    X, _ = data
    expected = trained.predict(X)
    padding = np.full((len(X), 4, 2), NAN)
    cloud = padding.copy()
    cloud[..., 0] = 1e6
    order = np.random.default_rng(0).permuted(np.tile(np.arange(73), (len(X), 1)), axis=1)
    for other in (
        np.concatenate([padding, X, padding], axis=1),
        np.concatenate([cloud, X], axis=1),
        np.take_along_axis(X, order[..., None], axis=1),
    ):
        assert_allclose(trained.predict(other), expected, rtol=1e-8)
    refitted = make().fit(np.concatenate([cloud, X, padding], axis=1))
    assert refitted.season_start_ == tiny.season_start_
    assert_array_equal(refitted.predict(X), tiny.predict(X))


def test_time_scale(tiny, data):
    """Days since 1970 have five digits before the point."""
    X, _ = data
    later = X + [17_897, 0]
    model = make().fit(later)
    assert model.season_start_ == 17_897
    expected = tiny.predict(X) + [0, 0, *[17_897] * 4]
    assert_allclose(model.predict(later), expected, rtol=1e-9)
    draws = tiny.sample(X, 2, random_state=0) + [0, 0, *[17_897] * 4]
    assert_allclose(model.sample(later, 2, random_state=0), draws, rtol=1e-9)
    dates = 17_897 + np.arange(0, 365, 30)
    assert_allclose(model.reconstruct(later, dates), tiny.reconstruct(X, dates - 17_897))
    single = later.astype(np.float32)
    assert_allclose(model.predict(single), model.predict(single.astype(float)), rtol=1e-9)


def test_season_start(data):
    X, _ = data
    years = np.concatenate([X, X + [365, 0], X + [730, 0]], axis=1)
    first = make(season_start=0).fit(X)
    third = make(season_start=730).fit(years)
    found = third.predict(years)
    assert (found[:, 2:] >= 730 - 45).all()
    assert (found[:, 2:] <= 730 + 410).all()
    with pytest.raises(ValueError, match="from day 0 to 1090, expected one season of at most 410"):
        make().fit(years)
    # What lies within 45 days before is looked at, and nothing that is earlier.
    only = years[:, 146 - 9 :]
    assert_allclose(third.predict(only), found, rtol=1e-8)
    assert not np.allclose(third.predict(years[:, 146:]), found)
    with (
        pytest.warns(DataQualityWarning, match="100% of the dates in X lie outside"),
        pytest.warns(UserWarning, match="300 of 300 series have no observation of channel 1"),
    ):
        assert np.isnan(first.predict(X + [2000, 0])).all()


def test_packed_series_of_any_length(trained):
    rng = np.random.default_rng(0)
    dates = [np.sort(rng.uniform(0, 365, n)) for n in (1, 2, 5, 40)]
    season = torch.tensor([0.2, 0.7, 90.0, 130.0, 220.0, 270.0])
    X = pack([double_logistic(season, torch.from_numpy(day)).numpy() for day in dates], dates)
    mean, std = trained.predict(X, return_std=True)
    assert np.isfinite(mean).all()
    assert (std[0, 2:] > 2 * std[3, 2:]).all()
    assert np.abs(mean[3] - season.numpy()).max() < 30


def test_series_without_observation(trained, data):
    X, _ = data
    holes = X[:10].copy()
    holes[[2, 6], :, 1] = NAN
    seen = ~np.isin(np.arange(10), [2, 6])
    for name in METHODS:
        with pytest.warns(UserWarning, match="2 of 10 series have no valid observation") as caught:
            found = getattr(trained, name)(holes)
        assert len(caught) == 1
        parts = found if name == "predict_interval" else found if name == "sample" else [found]
        for part in parts:
            if name != "quality":
                assert np.isnan(part[~seen]).all()
            assert np.isfinite(part[seen]).all()
    with pytest.warns(UserWarning, match="2 of 10"):
        assert_allclose(trained.predict(holes)[seen], trained.predict(X[:10])[seen], rtol=1e-8)
    with pytest.warns(UserWarning, match="2 of 10"):
        model = make().fit(holes)
    assert_array_equal(model.predict(X), make().fit(holes[seen]).predict(X))
    wide = np.concatenate([X[:10], X[:10, :, 1:]], axis=2)
    wide[3, :, 1] = NAN
    with pytest.warns(UserWarning, match="1 of 10 series have no observation of channel 1 w.*410"):
        found = make().fit(np.concatenate([X, X[..., 1:]], axis=2)).predict(wide)
    assert np.isnan(found).all(axis=1).tolist() == [i == 3 for i in range(10)]


# State


def test_many_series(tiny, monkeypatch):
    """Not all are needed for their dates, and they are read in blocks."""
    X, _ = make_phenology(250, random_state=1)
    monkeypatch.setattr(phenology_vae, "_MAX_PATTERNS", 100)
    one, two = (make().fit(X).predict(X) for _ in range(2))
    assert_array_equal(one, two)


# Tools of scikit-learn


def test_pipeline(data):
    X, _ = data
    divided = make_pipeline(FunctionTransformer(lambda X: X / [1, 10_000]), make())
    integers = np.where(np.isnan(X), NAN, np.round(X * [1, 10_000]))
    found = divided.fit(integers).predict(integers)
    assert_allclose(found, make().fit(X).predict(X), rtol=0.05, atol=1e-3)


def test_priors(data):
    X, _ = data
    priors = {
        "minimum": (-0.2, 0.1),
        "amplitude": (0.2, 0.4),
        "start_of_season": (50, 60),
        "growth": (20, 30),
        "plateau": (0, 20),
        "decline": (20, 30),
    }
    model = make(priors=priors).fit(X)
    for values in (model.predict(X), *model.predict_interval(X, 0.999)):
        assert (values[:, :2] >= -0.2).all()
        assert (values[:, :2] <= 0.5 + 1e-6).all()
        assert (values[:, 2:] >= 50).all()
        assert (values[:, 2:] <= 140).all()
    uniform = {name: Prior.uniform(*bounds) for name, bounds in priors.items()}
    assert_array_equal(make(priors=uniform).fit(X).predict(X), model.predict(X))
    wide = make(priors=PHENOLOGY_PRIORS).fit(X)
    assert_array_equal(wide.predict(X), make(priors="wide").fit(X).predict(X))


# Bad input


def change(slot, value):
    def apply(X):
        X = X.copy()
        X[slot] = value
        return X

    return apply


BAD_INPUTS = {
    "integers": (lambda X: X * [1, 10_000], "X must hold a vegetation index, .* Divide integers"),
    "infinite": (change((3, 0, 1), np.inf), "infinity"),
    "value without date": (change((slice(None), slice(None), 0), NAN), "without a date"),
    "no index": (lambda X: X[..., :1], "X has 73 dates and 1 channels"),
    "no dates": (lambda X: X[:, :0], "X has 0 dates"),
    "1-D": (lambda X: X[0, 0], "1D array"),
    "4-D": (lambda X: X[None], "4 dimensions"),
    "strings": (lambda X: X.astype(str).astype(object), "numeric"),
    "empty": (lambda X: X[:0], "0 sample"),
    "masked": (lambda X: np.ma.masked_invalid(X), "masked array"),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input(data, case):
    apply, match = BAD_INPUTS[case]
    check_unchanged(make(), apply(data[0]), match)


# One that is infinite, out of range or without a date counts as not observed.
TOLERATED = {"integers", "infinite", "value without date"}


@pytest.mark.parametrize("case", sorted(set(BAD_INPUTS) - TOLERATED))
def test_bad_input_of_predict(trained, data, case):
    apply, match = BAD_INPUTS[case]
    for name in METHODS:
        with pytest.raises((ValueError, TypeError), match=match if case != "1-D" else "1-D|1D"):
            getattr(trained, name)(apply(data[0]))


def test_values_out_of_range_are_not_observed(trained, data):
    """One bad pixel does not stop a map, and one bad date leaves the others of its series."""
    X = data[0][:20].copy()
    holes = X.copy()
    i, t = (index[[3, 40, 200]] for index in np.nonzero(~np.isnan(X[..., 1])))
    X[i, t, 1] = [-3000.0, 12.0, 3.0]
    holes[i[:2], t[:2], 1] = NAN
    holes[i[2], t[2], 1] = 3.0
    match = f"2 values of the vegetation index count as not.* in series {i[0]}, the largest is 3000"
    for name in METHODS:
        keywords = {"random_state": 0} if name == "sample" else {}
        with pytest.warns(DataQualityWarning, match=match) as caught:
            found = getattr(trained, name)(X, **keywords)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert_array_equal(found, getattr(trained, name)(holes, **keywords))
    check_unchanged(make(), X, "X must hold a vegetation index, .* found 3000")


def test_other_channels_in_predict(trained, data):
    X, _ = data
    with pytest.raises(ValueError, match="X has 3 channels .*is expecting 2"):
        trained.predict(np.concatenate([X, X[..., :1]], axis=2))
    with pytest.raises(ValueError, match="X is 2-D, but"):
        trained.predict(X[..., 1])


def test_nothing_observed(trained, data):
    X = data[0].copy()
    X[..., 1] = NAN
    with (
        pytest.warns(UserWarning, match="300 of 300"),
        pytest.raises(ValueError, match="X has no observation of channel 1 within the season, day"),
    ):
        make().fit(X)
    with pytest.warns(UserWarning, match="300 of 300"):
        assert np.isnan(trained.predict(X)).all()


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"channel": 0}, r"channel=0 is not in X, .* expected 1 to 1, or -1 to -1 \(channel 0"),
        ({"channel": 2}, "channel=2 is not in X, which has 2 channels"),
        ({"channel": -2}, "channel=-2 is not in X"),
        ({"channel": 1.0}, "'channel' parameter"),
        ({"season_start": "spring"}, "'season_start' parameter"),
        ({"season_start": np.inf}, "'season_start' parameter"),
        ({"season_start": 5000.0}, "within the season, days 4955 to 5410"),
        ({"priors": {"growth": (30, 20)}}, "two ascending bounds of growth within 1 and 455"),
        ({"priors": {"growth": (0, 20)}}, "two ascending bounds of growth within 1 and 455"),
        ({"priors": {"minimum": (0, NAN)}}, "two ascending bounds of minimum within -1 and 1"),
        ({"priors": {"minimum": 0.5}}, "two ascending bounds of minimum"),
        ({"priors": {"growth": Prior(30, 5, 20, 40, 20, 40)}}, "priors must be uniform"),
        ({"priors": {"growth": Prior.uniform(0, 40)}}, "two ascending bounds of growth"),
        ({"noise": 1.5}, "'noise' parameter"),
        ({"priors": {"start_of_season": (409, 410)}}, "priors allow next to no season"),
    ],
)
def test_bad_parameter(data, parameters, match):
    check_unchanged(make(**parameters), data[0], match)


@pytest.mark.parametrize("dates", [5.0, [[1.0]], [NAN], [np.inf, 2]])
def test_bad_dates(trained, data, dates):
    with pytest.raises(ValueError, match="dates must be finite, of shape"):
        trained.reconstruct(data[0], dates)

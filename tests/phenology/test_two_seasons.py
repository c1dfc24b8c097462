"""Years of two seasons, and series of several years."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from regressor_contracts import check_unchanged
from seasons import NAMES, NAN, make, make_doubles, make_flat, results

from sklearn_sits.datasets import make_phenology
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.phenology.quality import QUALITY_FLAGS
from sklearn_sits.physics.double_logistic import double_logistic

NO_SEASON = QUALITY_FLAGS["no_season"]
unlike_the_training_data = pytest.mark.filterwarnings("ignore:Values in X lie outside of those")


@pytest.fixture(scope="module")
def doubles():
    return make_doubles(gaps=0.3)


@pytest.fixture(scope="module")
def double(like_trained, data):
    return like_trained(data[0], n_seasons=2)


def test_two_seasons_are_found(double, doubles):
    X, y = doubles
    mean, std = double.predict(X, return_std=True)
    assert mean.shape == (300, 12)
    found = ~np.isnan(mean[:, 6])
    assert found.mean() > 0.8
    assert_array_equal(np.isnan(mean), np.isnan(std))
    assert np.isfinite(mean[:, :6]).all()
    assert (np.isnan(mean[:, 6:]).all(1) == ~found).all()
    error = np.abs(mean - y)[found]
    assert (np.median(error, axis=0)[[2, 3, 4, 5, 8, 9, 10, 11]] < 25).all()
    lower, upper = double.predict_interval(X)
    inside = ((lower <= y) & (y <= upper))[found].mean(0)
    assert (inside > 0.75).all(), inside


def test_simulations_are_those_of_one_season(tiny, data):
    state = make(n_seasons=2).fit(data[0]).state_
    for name, value in tiny.state_.items():
        assert_array_equal(state[name], value)


def test_single_seasons_are_those_of_one_season(double, trained):
    X, _ = make_phenology(500, random_state=6)
    mean, expected = double.predict(X), trained.predict(X)
    assert np.isnan(mean[:, 6:]).all(axis=1).mean() > 0.99
    single = np.isnan(mean[:, 6])
    assert_allclose(mean[single, :6], expected[single], rtol=1e-8)
    assert np.isnan(double.predict(make_flat(100))[:, 6]).mean() > 0.98


def test_seasons_of_other_years_do_not_matter(double):
    X, _ = make_phenology(300, gaps=0.3, priors={"start_of_season": (60, 120)}, random_state=6)
    rise = np.broadcast_to([[400.0, 0.5], [405.0, 0.7], [410.0, 0.8]], (300, 3, 2))
    mean = double.predict(np.concatenate([X, rise], axis=1))
    expected = double.predict(X)
    assert np.median(np.abs(mean - expected)[:, 5]) < 2


def test_draws_and_flags(double, doubles):
    X, _ = doubles
    mean = double.predict(X)
    draws = double.sample(X, 50, random_state=0)
    assert draws.shape == (50, 300, 12)
    assert_array_equal(np.isnan(draws), np.isnan(mean)[None].repeat(50, axis=0))
    found = ~np.isnan(mean[:, 6])
    assert np.median(np.abs(draws.mean(0) - mean)[found] / draws.std(0)[found]) < 0.2
    flags = double.quality(X)
    assert flags.shape == (300, 2)
    assert_array_equal(flags[~found, 1], NO_SEASON)
    assert not (flags[found] & (NO_SEASON | QUALITY_FLAGS["several_seasons"])).any()


def test_reconstruction(double, doubles):
    X, _ = doubles
    mean, index = double.predict(X), double.reconstruct(X)
    assert index.shape == (300, 365)
    days = torch.arange(365, dtype=torch.float64)
    first, second = (double_logistic(torch.from_numpy(p), days) for p in np.split(mean, 2, axis=1))
    change = (mean[:, 5] + mean[:, 8]) / 2
    is_second = days.numpy() > change[:, None]
    assert_allclose(index, np.where(is_second, second, first), rtol=1e-8)


def test_targets(double, doubles):
    X, _ = doubles
    names = NAMES + [f"{name}_2" for name in NAMES]
    assert double.get_feature_names_out().tolist() == names
    assert list(double.units_) == names
    model = deepcopy(double).set_params(targets="maturity_2")
    assert_array_equal(model.predict(X), double.predict(X)[:, 9])


def test_observed_series_are_cut(doubles):
    """What is to be reconstructed are seasons."""
    X, _ = doubles
    for objective, differs in (("simulations", False), ("self-supervised", True)):
        one, two = (make(objective=objective, n_seasons=n).fit(X).state_ for n in (1, 2))
        assert any((one[name] != two[name]).any() for name in one) == differs


# Several years


@pytest.fixture(scope="module")
def years():
    """Three years whose seasons differ, from a day of the calendar of the south."""
    priors = {"start_of_season": (40, 120), "decline": (10, 60), "plateau": (0, 80)}
    parts = [make_phenology(100, gaps=0.4, priors=priors, random_state=i) for i in range(3)]
    starts = [244, 244 + 365, 244 + 730]
    X = np.concatenate([x + [start, 0] for (x, _), start in zip(parts, starts, strict=True)], 1)
    y = [y + np.array([0, 0, *[start] * 4]) for (_, y), start in zip(parts, starts, strict=True)]
    return X, np.concatenate(y, axis=1)


@pytest.fixture(scope="module")
def yearly(like_trained, years):
    return like_trained(years[0], season_start=244, n_years=3)


def test_years(yearly, years):
    X, y = years
    mean = yearly.predict(X)
    assert mean.shape == (100, 18)
    assert (np.median(np.abs(mean - y), axis=0)[np.arange(18) % 6 > 1] < 25).all()
    names = [f"{name}_year{year}" for year in (1, 2, 3) for name in NAMES]
    assert yearly.get_feature_names_out().tolist() == names
    assert list(yearly.units_) == names
    assert yearly.quality(X).shape == (100, 3)
    daily = yearly.reconstruct(X)
    assert daily.shape == (100, 3 * 365)
    assert_array_equal(daily[:, 400:420], yearly.reconstruct(X, 244 + np.arange(400.0, 420)))


@unlike_the_training_data
def test_years_do_not_depend_on_each_other(yearly, years):
    X, _ = years
    shift = np.array([0, 0, *[365] * 4])
    earlier = yearly.predict(X - [365, 0])
    assert_allclose(earlier[:, :12] + np.tile(shift, 2), yearly.predict(X)[:, 6:], rtol=1e-8)
    # A year without observation, and the others.
    holes = X.copy()
    day = holes[..., 0] - 244
    hidden = (day >= 320) & (day <= 365 + 411)
    hidden[10:] = False
    holes[hidden, 1] = NAN
    mean, flags = yearly.predict(holes), yearly.quality(holes)
    assert_array_equal(
        np.isnan(mean), np.isin(np.arange(18), range(6, 12)) & (np.arange(100) < 10)[:, None]
    )
    assert_array_equal(flags[:10, 1], QUALITY_FLAGS["not_observed"])
    assert np.isnan(yearly.reconstruct(holes)[:10, 365:730]).all()
    draws = yearly.sample(holes, 3, random_state=0)
    assert_array_equal(np.isnan(draws[0]), np.isnan(mean))


def test_years_with_two_seasons(like_trained, doubles):
    X, y = doubles
    X = np.concatenate([X, X + [365, 0]], axis=1)
    model = like_trained(X, season_start=0, n_years=2, n_seasons=2)
    mean = model.predict(X)
    assert mean.shape == (300, 24)
    assert model.get_feature_names_out()[[6, 12, 18]].tolist() == [
        "minimum_2_year1",
        "minimum_year2",
        "minimum_2_year2",
    ]
    found = ~np.isnan(mean)
    assert found[:, 6].mean() > 0.8
    assert found[:, 18].mean() > 0.8
    assert np.median(np.abs(mean[:, 20] - y[:, 8] - 365)[found[:, 18]]) < 20
    assert np.isfinite(results(model, X)[found.all(1)]).all()


def test_bad_years(data):
    X, _ = data
    years = np.concatenate([X, X + [365, 0], X + [730, 0]], axis=1)
    check_unchanged(make(n_years=2), years, "from day 0 to 1090, expected 2 years of at most 775")
    check_unchanged(make(n_years=2), np.nan_to_num(X[..., 1]), "n_years=2 needs packed series")
    for parameters in ({"n_years": 0}, {"n_years": 1.5}, {"n_seasons": 3}, {"n_seasons": "auto"}):
        (name,) = parameters
        check_unchanged(make(**parameters), X, f"'{name}' parameter")
    model = make(n_years=2).fit(X)
    with pytest.warns(DataQualityWarning, match="within the season, days -45 to 775") as caught:
        found = model.predict(np.concatenate([X[1:], X[:1] + [5000, 0]]))
    assert len(caught) == 1
    assert np.isnan(found[-1]).all()

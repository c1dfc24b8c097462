"""Corrections by a few measurements."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import LeaveOneGroupOut
from spectra import NAN, TRAITS, make, to_series

from sklearn_sits import load_prosail_vae
from sklearn_sits.datasets import make_prosail
from sklearn_sits.traits.measurements import fit_correction

LAI, CCC, CAB = (TRAITS.index(name) for name in ("LAI", "CCC", "Cab"))


@pytest.fixture(scope="module")
def plots():
    X, y = make_prosail(300, targets=["LAI", "CCC", "Cab"], random_state=3)
    X.setflags(write=False)
    return X, y


@pytest.fixture
def model():
    return load_prosail_vae(targets=["LAI", "CCC", "Cab"])


def measure(y, *names):
    """Return measurements that differ from the truth in some targets, and are missing in others."""
    measured = np.full_like(y, NAN)
    if "LAI" in names:
        measured[:, 0] = 0.8 * y[:, 0] + 0.8
    if "CCC" in names:
        measured[:, 1] = 0.7 * y[:, 1] + 20
    return measured


# A correction


def draw(n, bias=0.0, slope=0.0, spread=1.0, seed=0):
    rng = np.random.default_rng(seed)
    mean, std = rng.uniform(0, 6, n), rng.uniform(0.5, 1, n)
    y = mean + bias + slope * (mean - 3) + spread * std * rng.standard_normal(n)
    return mean, std, y


def test_correction_by_many_measurements():
    mean, std, y = draw(20_000, bias=0.7, slope=-0.3, spread=1.5)
    offset, slope, factor = fit_correction(mean, std, y)
    assert_allclose([offset, slope, factor], [0.7 + 0.3 * 3, -0.3, 1.5], rtol=0.05)


def test_correction_by_ten_measurements():
    """Half of a bias, a seventh of a slope, and a width between one and that of the errors."""
    mean, std, _ = draw(10)
    offset, slope, factor = fit_correction(mean, std, mean + 1.0)
    assert_allclose([offset, slope], [0.5, 0.0], atol=1e-12)
    offset, slope, _ = fit_correction(mean, std, mean + 0.7 * (mean - mean.mean()))
    assert_allclose([offset, slope], [-0.1 * mean.mean(), 0.1], rtol=1e-9)
    signs = np.resize([1, -1], 10)
    for spread in (0.2, 3.0):
        found = fit_correction(np.full(10, 3.0), np.ones(10), 3 + spread * signs)
        assert_allclose(found, [0, 0, np.sqrt((10 + 10 * spread**2) / 20)], atol=1e-12)


def test_plots_that_hardly_differ_have_no_slope():
    mean = 3 + 1e-3 * np.arange(10.0)
    y = mean + np.linspace(-1, 1, 10)
    offset, slope, _ = fit_correction(mean, np.ones(10), y)
    assert abs(slope) < 1e-3
    assert abs(offset) < 0.01


@pytest.mark.parametrize("n", [3, 10, 30])
def test_few_measurements_do_no_harm(n):
    """Of predictions that are right, on average over draws of plots."""
    errors = []
    for seed in range(200):
        mean, std, y = draw(n, seed=seed)
        offset, slope, factor = fit_correction(mean, std, y)
        other, other_std, truth = draw(200, seed=1000 + seed)
        before = np.mean((other - truth) ** 2)
        error = other + offset + slope * other - truth
        inside = np.mean(np.abs(error) < 1.96 * factor * other_std)
        errors.append([np.mean(error**2) / before, inside])
    ratio, inside = np.mean(errors, axis=0)
    assert ratio < 1.04
    assert 0.93 < inside < 0.97


# Estimators


@pytest.mark.parametrize("measured", [["LAI"], ["CCC"], ["LAI", "CCC"]])
@pytest.mark.parametrize("time_scale", [None, 30.0])
def test_all_outputs_agree(model, plots, measured, time_scale):
    """Means, intervals and draws move together, and so does what follows from a trait."""
    X, y = plots
    y = measure(y, *measured)
    model = load_prosail_vae(targets=model.targets, time_scale=time_scale)
    if time_scale is not None:
        # Dates that are too far from one another to matter.
        X, y = to_series(X, 3)[:, :-1], y.reshape(-1, 3, 3)
        X[..., 0] *= 1000
    before, axes = model.predict(X), tuple(range(X.ndim - 1))
    chosen = [i for i, name in enumerate(model.targets) if name in measured]
    bias = np.mean((before - y)[..., chosen], axis=axes)
    assert model.calibrate(X, y) is model
    mean, std = model.predict(X, return_std=True)
    after = np.mean((mean - y)[..., chosen], axis=axes)
    assert (np.abs(after) < 0.2 * np.abs(bias) + 0.05).all()
    draws = model.sample(X, 200, random_state=0)
    lower, upper = model.predict_interval(X)
    difference = (draws.mean(0) - mean).reshape(-1, 3)
    assert (np.abs(difference.mean(0)) < 0.12 * std.reshape(-1, 3).mean(0)).all()
    inside = ((draws >= lower) & (draws <= upper)).reshape(-1, 3).mean(0)
    assert_allclose(inside, [0.95, 0.9, 0.95], atol=0.04)
    low, high = model._lowest[[LAI, CCC, CAB]], model._highest[[LAI, CCC, CAB]]
    for values in (mean, lower, upper, draws):
        assert (values >= low - 1e-6 * high).all()
        assert (values <= high * (1 + 1e-6)).all()
    # Cab was not measured, and CCC follows LAI.
    assert_array_equal(mean[..., 2], before[..., 2])
    ccc = draws[..., 0] * draws[..., 2]
    if measured == ["LAI"]:
        assert_allclose(draws[..., 1], ccc, rtol=1e-9)
        moved = (mean - before)[..., 0] * before[..., 2]
        assert np.corrcoef(moved.ravel(), (mean - before)[..., 1].ravel())[0, 1] > 0.95
    else:
        assert np.abs(draws[..., 1] - ccc).max() > 1
    assert_array_equal(model.transform(X)[..., [LAI, CCC, CAB]], mean)


def test_second_call_replaces_the_first(model, plots):
    X, y = plots
    before = model.predict(X, return_std=True)
    model.calibrate(X, measure(y, "LAI", "CCC"))
    once = model.predict(X, return_std=True)
    model.calibrate(X, measure(y, "LAI", "CCC"))
    assert_array_equal(model.predict(X, return_std=True), once)
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X, return_std=True), once)
    model.calibrate(X, before[0])
    # Measurements as predicted move nothing, and only make the predictions surer.
    assert_allclose(model.predict(X), before[0], rtol=1e-6)
    assert (model.predict(X, return_std=True)[1] < 0.5 * before[1]).mean() > 0.9


def test_what_was_not_measured_is_missing(model, plots):
    X, y = plots
    measured = measure(y, "LAI", "CCC")
    measured[50:, 1] = NAN
    expected = load_prosail_vae(targets="LAI").calibrate(X, measured[:, 0]).predict(X)
    model.calibrate(X, measured)
    assert_array_equal(model.predict(X)[:, 0], expected)
    few = load_prosail_vae(targets="LAI")
    with_gaps = np.where(np.arange(len(X)) < 50, measured[:, 0], NAN)
    few.calibrate(X, with_gaps)
    alone = load_prosail_vae(targets="LAI").calibrate(X[:50], with_gaps[:50])
    assert_allclose(few.predict(X), alone.predict(X), rtol=1e-12)


def test_series_with_a_few_measurements():
    X, _ = make_prosail(40, random_state=0)
    series = to_series(X)
    model = load_prosail_vae()
    before, std = model.predict(series, return_std=True)
    measured = np.full(series.shape[:2], NAN)
    measured[3, 1] = before[3, 1] + 5
    found, wider = model.calibrate(series, measured).predict(series, return_std=True)
    seen = ~np.isnan(before)
    # One of eleven, ten of which are right.
    assert_allclose(np.median((found - before)[seen]), 5 / 11, rtol=0.05)
    assert np.median((wider / std)[seen]) > 1.1


def test_groups(plots):
    X, y = plots
    crop = np.where(np.arange(len(X)) < 100, "rape", "wheat")
    lai = y[:, 0] + np.where(crop == "rape", 1.5, 0.2)
    model = load_prosail_vae().calibrate(X, lai, groups=crop)
    assert_array_equal(model.predict(X), load_prosail_vae().calibrate(X, lai).predict(X))
    assert list(model.group_estimators_) == ["rape", "wheat"]
    for group, one in model.group_estimators_.items():
        rows = crop == group
        error = one.predict(X[rows]) - lai[rows]
        assert abs(error.mean()) < 0.1
        assert abs(np.mean(model.predict(X[rows]) - lai[rows])) > 0.3
        low, high = one.predict_interval(X[rows])
        assert np.mean((low <= lai[rows]) & (lai[rows] <= high)) > 0.9
    loaded = pickle.loads(pickle.dumps(model)).group_estimators_["rape"]
    assert_array_equal(loaded.predict(X), model.group_estimators_["rape"].predict(X))
    # A group of one plot stays near the others.
    crop[0] = "beet"
    model.calibrate(X, lai, groups=crop)
    beet, rape = (model.group_estimators_[name].predict(X) for name in ("beet", "rape"))
    assert (
        np.abs(beet - model.predict(X)).mean() < 0.2 * np.abs(rape - model.predict(X)).mean() + 0.1
    )
    model.calibrate(X, lai)
    assert not hasattr(model, "group_estimators_")


def test_groups_of_a_table(plots):
    X, y = plots
    table = pd.DataFrame(X, columns=load_prosail_vae().feature_names_in_)
    groups = pd.Series(np.resize([1, 2], len(X)), index=np.arange(len(X)) + 7)
    found = load_prosail_vae().calibrate(table, y[:, 0], groups=groups).group_estimators_
    expected = load_prosail_vae().calibrate(X, y[:, 0], groups=groups).group_estimators_
    assert list(found) == [1, 2]
    assert_array_equal(found[2].predict(X), expected[2].predict(X))


def test_leave_one_plot_out(plots):
    """The recipe of the documentation."""
    X, y = plots[0][:24], plots[1][:24, 0] + 1
    plot = np.repeat(np.arange(12), 2)
    ready = load_prosail_vae()
    found = np.empty(len(X))
    for train, test in LeaveOneGroupOut().split(X, y, groups=plot):
        calibrated = copy.deepcopy(ready).calibrate(X[train], y[train])
        found[test] = calibrated.predict(X[test])
    assert abs(np.mean(found - y)) < 0.6 * abs(np.mean(ready.predict(X) - y))


@pytest.mark.filterwarnings(r"ignore:Training \d of at most 3 collapsed")
def test_fit_forgets_measurements(data):
    X, y = data
    model = make().fit(X)
    expected = model.predict(X)
    model.calibrate(X, y[:, 0], groups=np.zeros(len(X)))
    assert not np.array_equal(model.predict(X), expected)
    model.fit(X)
    assert_array_equal(model.predict(X), expected)
    assert not hasattr(model, "group_estimators_")


@pytest.mark.parametrize(
    ("y", "groups", "match"),
    [
        (np.zeros((3, 2)), None, r"y must have shape \(300, 3\)"),
        (None, None, r"y must have shape \(300, 3\), that of predict, got None"),
        (3.0, None, r"y must have shape \(300, 3\), that of predict, got 3.0"),
        (np.full((300, 3), NAN), None, "y has no measurement where X has a spectrum"),
        (np.full((300, 3), np.inf), None, "y contains infinity"),
        (np.full((300, 3), 1e9), None, "y must be in the units of the targets"),
        (np.ones((300, 3)), np.zeros(4), "inconsistent numbers of samples"),
        (np.ones((300, 3)), np.zeros((300, 2)), "1d array"),
    ],
)
def test_bad_measurements(model, plots, y, groups, match):
    before = dict(vars(model))
    with pytest.raises(ValueError, match=match):
        model.calibrate(plots[0], y, groups)
    assert vars(model) == before

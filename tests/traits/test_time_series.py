import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from spectra import NAN, TRAINED, TRAITS, make, to_series

from sklearn_sits import ProsailVAERegressor
from sklearn_sits.datasets import make_prosail
from sklearn_sits.traits.time_series import SeriesPosterior, to_log

# Trainings of a few steps.
pytestmark = pytest.mark.filterwarnings(r"ignore:Training \d of at most 3 collapsed:UserWarning")


def series_of(X, days, gone=()):
    """One series of spectra, some of them clouds."""
    packed = np.concatenate([np.reshape(days, (-1, 1)), X], axis=1)[None]
    packed[:, list(gone), 1:] = NAN
    return packed


def test_prior_in_time(trained, fitted, data):
    X, _ = data
    fitted.time_scale_ = 30.0
    days = np.array([0.0, 10.0, 20.0, 30.0, 300.0])
    series = series_of(X[:5], days, gone=[2, 4])
    mean, std = fitted.predict(series, return_std=True)
    alone, spread = trained.predict(series, return_std=True)
    assert np.isfinite(mean).all()
    assert np.isnan(alone[0, [2, 4]]).all()
    # Neighbours pull the dates together, a cloud gets what is around it, and time forgets.
    seen = [0, 1, 3]
    assert np.ptp(mean[0, seen, 0]) < np.ptp(alone[0, seen, 0])
    assert mean[0, seen, 0].min() <= mean[0, 2, 0] <= mean[0, seen, 0].max()
    median = np.mean(fitted.predict_interval(series, 1e-6), axis=0)
    assert_allclose(median[0, 4], median[0, 3], rtol=1e-5)
    assert (mean[0, 4] < [10, 900]).all()
    assert (std[0, 4] > std[0, 3]).all()
    lower, upper = fitted.predict_interval(series)
    assert ((lower < upper) & (lower <= mean) & (mean <= upper)).all()
    assert fitted.transform(series).shape == (1, 5, 16)
    assert fitted.sample(series, 3).shape == (3, 1, 5, 2)
    assert_array_equal(fitted.reconstruct(series), trained.reconstruct(series))


def test_one_date_has_no_neighbours(trained, fitted, data):
    fitted.time_scale_ = 30.0
    X = data[0][:20]
    series = np.concatenate([np.zeros((20, 1)), X], axis=1)[:, None]
    found, expected = (model.predict(series, return_std=True) for model in (fitted, trained))
    # The same but for what lies beyond the bounds, and for the shape of the distribution.
    error = np.abs(found[0] - expected[0]) / expected[1]
    assert np.median(error) < 0.01
    assert error.max() < 0.3
    assert np.abs(np.median(found[1] / expected[1]) - 1) < 0.05
    assert_array_equal(fitted.predict(X), trained.predict(X))


def test_series_without_observation(fitted, data):
    fitted.time_scale_ = 30.0
    series = np.concatenate([series_of(data[0][:3], [0, 1, 2]) for _ in range(3)])
    series[1, :, 1:] = NAN
    series[2, 2] = NAN
    found = fitted.predict(series)
    assert np.isnan(found[1]).all()
    assert np.isnan(found[2, 2]).all()
    assert np.isfinite(found[0]).all()
    assert np.isfinite(found[2, :2]).all()


def test_order_of_dates(fitted, data):
    fitted.time_scale_ = 30.0
    series = to_series(data[0])
    series[::3, 2, 1:] = NAN
    expected = fitted.predict(series)
    order = [2, 0, 4, 1, 3]
    assert_allclose(fitted.predict(series[:, order]), expected[:, order], rtol=1e-9)


def test_time_scale_is_learned(trained):
    """Canopies that never change, and canopies that are new at every date."""
    same, _ = make_prosail(100, random_state=3)
    days = np.tile(10.0 * np.arange(12), (100, 1))[..., None]
    steady = np.concatenate([days, np.repeat(same[:, None], 12, axis=1)], axis=2)
    noise = np.random.default_rng(0).normal(0, 0.004, (100, 12, 10))
    steady[..., 1:11] = np.clip(steady[..., 1:11] + noise, 0, 1)
    hectic = np.concatenate([days, make_prosail(1200, random_state=4)[0].reshape(100, 12, 13)], 2)
    scales = []
    for series in (steady, hectic.astype(np.float32)):
        model = ProsailVAERegressor(time_scale="auto", **TRAINED).fit(series)
        assert model.time_scale_.shape == (16,)
        assert np.isfinite(model.predict(series)).all()
        scales.append(model.time_scale_[TRAITS.index("LAI")])
    assert scales[0] > 2 * scales[1]


def test_learned_time_scale_needs_series(data):
    with pytest.raises(ValueError, match="time_scale='auto' needs packed series"):
        make(time_scale="auto").fit(data[0])


# Moments and draws of the posterior itself


@pytest.fixture
def posterior(trained, data):
    """Return that of two series of four dates, the last one a cloud."""
    series = series_of(data[0][:4], [0.0, 10.0, 20.0, 40.0], gone=[3])
    other = series_of(data[0][4:8], [3.0, 4.0, 90.0, 91.0], gone=[3])
    X = trained._check_X(np.concatenate([series, other]))
    single, dates, seen = trained._encode_series(X, slice(None))
    return SeriesPosterior(single, dates, seen, torch.full((16,), 30.0, dtype=torch.float64))


def test_moments_are_those_of_the_distribution(posterior):
    """Mean and standard deviation of a log-normal trait, by Monte Carlo."""
    columns = [TRAITS.index("LAI"), TRAITS.index("Cab")]
    mean, std = posterior.moments(columns)
    log_mean, log_std = posterior._smooth_logarithms(columns)
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(200_000, *log_mean.shape, generator=generator, dtype=torch.float64)
    latents = ((log_mean + log_std * normal).exp() - 0.02).clamp(0, 1)
    low, high = (bound[columns] for bound in (posterior.low, posterior.high))
    values = low + (high - low) * latents
    assert_allclose(mean, values.mean(0), rtol=0.02)
    assert_allclose(std, values.std(0), rtol=0.02)
    assert_allclose(posterior.mean(columns), mean)


def test_quantiles(posterior):
    columns = list(range(16))
    levels = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)[:, None, None]
    low, middle, high = posterior.quantiles(levels, columns)
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert (low < high).all()
    log_mean, log_std = posterior._smooth_logarithms(columns)
    inside = (low > posterior.low) & (high < posterior.high)
    assert inside.double().mean() > 0.5
    latents = (middle - posterior.low) / (posterior.high - posterior.low)
    assert_allclose(to_log(latents)[inside], log_mean[inside], atol=1e-6)
    assert (log_std > 0).all()


def test_draws(posterior):
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(len(posterior), 20_000, 11, generator=generator, dtype=torch.float64)
    draws = posterior.draw(normal, list(range(12)))
    assert draws.shape == (8, 20_000, 12)
    quantiles = posterior.quantiles(torch.tensor([0.25, 0.75])[:, None, None], list(range(11)))
    found = torch.quantile(draws[..., :11], torch.tensor([0.25, 0.75]).double(), dim=1)
    width = (quantiles[1] - quantiles[0]).clamp_min(1e-9)
    assert ((found - quantiles).abs() / width).max() < 0.05

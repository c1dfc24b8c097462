import matplotlib.pyplot as plt
import numpy as np
import pytest
from figures import assert_readable

from sklearn_sits import PhenologyVAERegressor, load_prosail_vae, pack
from sklearn_sits.datasets import make_phenology, make_prosail
from sklearn_sits.displays import TraitSeriesDisplay


@pytest.fixture(scope="module")
def traits():
    spectra, _ = make_prosail(30, random_state=0)
    clear = np.random.default_rng(0).random(30) > 0.3
    spectra[~clear, :10] = np.nan
    return load_prosail_vae(targets=["LAI", "CCC"]), pack(spectra[None], 10.0 * np.arange(30))[0]


@pytest.fixture(scope="module")
def seasons():
    X, _ = make_phenology(100, n_seasons=2, gaps=0.1, random_state=0)
    model = PhenologyVAERegressor("maturity", n_seasons=2, pretrain_iter=60, random_state=0)
    return model.fit(X), X


def find_double(model, X):
    """Return a series with two seasons."""
    return X[np.flatnonzero((model.quality(X) & 2 == 0).all(axis=1))[0]]


def test_trait(traits):
    model, series = traits
    display = TraitSeriesDisplay.from_estimator(model, series, target="CCC", coverage=0.8)
    assert_readable(display.figure_)
    assert display.ax_.get_ylabel() == f"CCC ({model.units_['CCC']})"
    mean, clear = display.ax_.lines
    np.testing.assert_allclose(mean.get_ydata(), model.predict(series[None])[0, :, 1])
    seen = ~np.isnan(series[:, 1])
    np.testing.assert_array_equal(clear.get_xdata(), series[seen, 0])
    lower, upper = model.predict_interval(series[None], 0.8)
    np.testing.assert_allclose(display.lower, lower[0, :, 1])
    np.testing.assert_allclose(display.upper, upper[0, :, 1])
    assert display.seasons is None
    assert model.targets == ["LAI", "CCC"]


def test_order_and_padding_do_not_matter(traits):
    model, series = traits
    other = np.concatenate([series[:1] * np.nan, series[::-1]])
    display = TraitSeriesDisplay.from_estimator(model, other)
    np.testing.assert_array_equal(display.dates, series[:, 0])
    expected = TraitSeriesDisplay.from_estimator(model, series)
    np.testing.assert_allclose(display.mean, expected.mean, rtol=1e-5)


def test_seasons(traits, seasons):
    model, series = traits
    phenology, X = seasons
    index = find_double(phenology, X)
    display = TraitSeriesDisplay.from_estimator(
        model, series, phenology=phenology, index=index, origin="2023-01-01"
    )
    assert_readable(display.figure_)
    assert display.seasons.shape == (2, 4, 3)
    maturity = phenology.predict(index[None])
    np.testing.assert_allclose(display.seasons[0, 1, 0], maturity.ravel()[0])
    mean, lower, upper = np.moveaxis(display.seasons, 2, 0)
    assert (lower <= mean).all()
    assert (mean <= upper).all()
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    dates = ["start", "maturity", "senescence", "end"]
    assert sorted(texts) == sorted(["90 % interval", "mean", "clear", "season", *dates])
    # The dates of the season lie below the trait.
    low, high = display.ax_.get_ylim()
    assert low + 0.1 * (high - low) <= np.nanmin(display.lower)


def test_years_without_a_season_have_none(traits, seasons):
    model, series = traits
    phenology, X = seasons
    flat = X[0].copy()
    flat[:, 1] = 0.3
    display = TraitSeriesDisplay.from_estimator(model, series, phenology=phenology, index=flat)
    assert len(display.seasons) == 0
    assert_readable(display.figure_)


def test_own_axes(traits):
    figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
    display = TraitSeriesDisplay.from_estimator(*traits, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert_readable(figure)


def test_wrong_arguments(traits, seasons):
    model, series = traits
    phenology, X = seasons
    with pytest.raises(TypeError, match="ProsailVAERegressor, got PhenologyVAERegressor"):
        TraitSeriesDisplay.from_estimator(phenology, series)
    with pytest.raises(TypeError, match="PhenologyVAERegressor, got ProsailVAERegressor"):
        TraitSeriesDisplay.from_estimator(model, series, phenology=model, index=X[0])
    with pytest.raises(ValueError, match="phenology needs index"):
        TraitSeriesDisplay.from_estimator(model, series, phenology=phenology)
    with pytest.raises(ValueError, match=r"target='Cw' is no target .* \['LAI', 'CCC'\]"):
        TraitSeriesDisplay.from_estimator(model, series, target="Cw")
    with pytest.raises(ValueError, match="one packed series"):
        TraitSeriesDisplay.from_estimator(model, series[None, None])

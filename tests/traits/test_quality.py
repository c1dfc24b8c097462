"""Flags of spectra that are no vegetation, and of what is predicted from them."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from spectra import BANDS, NAN, make, to_series

from sklearn_sits import load_prosail_vae
from sklearn_sits.datasets import make_prosail
from sklearn_sits.exceptions import DataQualityWarning

# Typical reflectances in B2, B3, B4, B5, B6, B7, B8, B8A, B11, B12, as in spectral libraries.
VEGETATION = [0.03, 0.06, 0.035, 0.10, 0.30, 0.38, 0.40, 0.42, 0.20, 0.10]
BACKGROUNDS = {
    "deep water": [0.030, 0.022, 0.012, 0.009, 0.007, 0.006, 0.006, 0.005, 0.003, 0.002],
    "turbid water": [0.060, 0.095, 0.090, 0.085, 0.045, 0.042, 0.035, 0.030, 0.008, 0.005],
    "green lake": [0.030, 0.050, 0.030, 0.030, 0.015, 0.014, 0.012, 0.010, 0.005, 0.004],
    "fresh snow": [0.95, 0.95, 0.94, 0.93, 0.92, 0.91, 0.89, 0.87, 0.10, 0.07],
    "old snow": [0.72, 0.73, 0.72, 0.70, 0.67, 0.65, 0.62, 0.58, 0.05, 0.04],
    "dirty snow": [0.42, 0.45, 0.47, 0.47, 0.46, 0.45, 0.43, 0.40, 0.05, 0.04],
    "thick cloud": [0.72, 0.70, 0.71, 0.72, 0.73, 0.74, 0.74, 0.73, 0.55, 0.42],
    "ice cloud": [0.60, 0.58, 0.59, 0.60, 0.61, 0.62, 0.62, 0.61, 0.28, 0.20],
    "bright concrete": [0.29, 0.33, 0.36, 0.37, 0.38, 0.385, 0.39, 0.395, 0.42, 0.40],
    "dark concrete": [0.16, 0.18, 0.195, 0.20, 0.205, 0.21, 0.215, 0.22, 0.24, 0.235],
    "metal roof": [0.50, 0.51, 0.51, 0.51, 0.50, 0.50, 0.49, 0.48, 0.45, 0.42],
    "tiled roof": [0.075, 0.105, 0.20, 0.235, 0.26, 0.275, 0.285, 0.295, 0.36, 0.33],
    "thin cloud over vegetation": None,
}
BAND_SETS = [None, ["B2", "B3", "B4", "B8"], ["B3", "B4", "B8A", "B11"]]
ANGLES = [40.0, 5.0, 90.0]


def make_background(name, n=500, seed=0):
    """Simulate pixels that differ in brightness by a quarter and in the bands by a few per cent."""
    rng = np.random.default_rng(seed)
    bands = np.array(BACKGROUNDS[name] or BACKGROUNDS["thick cloud"])
    bands = bands * rng.uniform(0.75, 1.25, (n, 1)) * (1 + 0.04 * rng.standard_normal((n, 10)))
    if BACKGROUNDS[name] is None:
        share = rng.uniform(0.35, 0.7, (n, 1))
        bands = share * bands + (1 - share) * np.array(VEGETATION) * rng.uniform(0.8, 1.2, (n, 1))
    bands = (bands + 0.003 * rng.standard_normal((n, 10))).clip(0.0005, 1.4)
    return np.hstack([bands, np.tile(ANGLES, (n, 1))])


@pytest.fixture(scope="module")
def models():
    return [load_prosail_vae(bands=bands) for bands in BAND_SETS]


def select(X, model):
    """Take the bands of a model, and the angles."""
    return X[:, [*[BANDS.index(band) for band in model.sensor_.bands], 10, 11, 12]]


def bit(model, *names):
    return sum(model.quality_flags_[name] for name in names)


# What a spectrum itself shows, whatever the target.
SPECTRAL = (
    "band_out_of_domain",
    "spectrum_out_of_domain",
    "large_misfit",
    "offset_not_subtracted",
)


@pytest.mark.filterwarnings("ignore:.* would be likelier if")
@pytest.mark.parametrize("name", BACKGROUNDS)
def test_backgrounds_are_flagged(models, name):
    for model in models:
        flags = model.quality(select(make_background(name), model))
        # Four bands of tiles may be those of withered canopies, too.
        least = 0.8 if name == "tiled roof" and len(model.sensor_.bands) == 4 else 0.95
        assert np.mean(flags & bit(model, *SPECTRAL) != 0) >= least, model.sensor_.bands


def test_simulations_are_not_flagged(models):
    for model in models:
        X, _ = make_prosail(3000, bands=model.sensor_.bands, random_state=11)
        assert np.mean(model.quality(X) != 0) < 0.05, model.sensor_.bands


def test_forgotten_offset(models):
    """All of a cube of vegetation, and a warning that tells what to do."""
    for model in models:
        X, _ = make_prosail(1000, bands=model.sensor_.bands, random_state=12)
        X[:, :-3] += 0.1
        match = r"of the spectra would be likelier if 0.1 .* \(integer - 1000\) / 10000"
        with pytest.warns(DataQualityWarning, match=match) as caught:
            flags = model.quality(X)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        is_flagged = flags & bit(model, *SPECTRAL) != 0
        assert is_flagged.mean() > (0.99 if len(model.sensor_.bands) == 10 else 0.9)
        with pytest.warns(DataQualityWarning, match=match):
            model.predict(X)
        if len(model.sensor_.bands) == 10:
            assert np.mean(flags & bit(model, "offset_not_subtracted") != 0) > 0.99


@pytest.mark.filterwarnings("error")
def test_few_spectra_do_not_tell_of_an_offset(models):
    X, _ = make_prosail(9, random_state=12)
    X[:, :10] += 0.1
    assert (models[0].quality(X) & bit(models[0], "offset_not_subtracted") != 0).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["fresh snow", "thick cloud", "deep water"])
def test_snow_and_clouds_have_no_offset(models, name):
    X = make_background(name)
    flags = models[0].quality(X)
    assert np.mean(flags & bit(models[0], "offset_not_subtracted") != 0) < 0.05


@pytest.mark.filterwarnings(r"ignore:Training \d of at most 3 collapsed")
def test_offset_is_that_of_sentinel_2():
    X, _ = make_prosail(50, sensor="Landsat-8", random_state=0)
    model = make(sensor="Landsat-8", objective="simulations").fit(X)
    X[:, :7] += 0.1
    assert not (model.quality(X) & bit(model, "offset_not_subtracted")).any()


# One spectrum


def test_unusable_spectra(models):
    model = models[0]
    X, _ = make_prosail(8, random_state=0)
    good = model.quality(X)
    X[1, 3], X[2, 3], X[3, 3], X[4, 10], X[5, 11] = NAN, 1.7, np.inf, 95, NAN
    with pytest.warns(DataQualityWarning):
        flags = model.quality(X)
    band, angle = bit(model, "band_out_of_domain"), bit(model, "angle_out_of_domain")
    assert flags.dtype == np.int32
    assert_array_equal(flags, [good[0], 1, 1 + band, 1 + band, 1 + angle, 1, *good[6:]])


@pytest.mark.filterwarnings(r"ignore:Training \d of at most 3 collapsed")
def test_series(models):
    X, _ = make_prosail(40, random_state=0)
    X[:4] = make_background("old snow", 4)
    series = to_series(X)
    for model in (models[0], load_prosail_vae(time_scale=30.0)):
        flags = model.quality(series)
        assert flags.shape == (10, 5)
        assert_array_equal(flags[:, :-1].ravel(), models[0].quality(X))
        assert (flags[0, :4] != 0).all()
        assert_array_equal(flags[:, -1], 1)


def test_angles_out_of_the_training(models):
    model = models[0]
    X, _ = make_prosail(100, random_state=0)
    X[:3, 10:12] = [[15, 5], [40, 25], [75, 5]]
    X[3, 12] = -170
    match = "^3 spectra have angles outside of those of the training, 22 to 70, 0 to 12, 0"
    flagged = model.quality
    for method in (model.predict, model.predict_interval, model.transform, flagged):
        with pytest.warns(DataQualityWarning, match=match) as caught:
            found = method(X)
        assert len(caught) == 1
        assert caught[0].filename == __file__
    is_out = found & bit(model, "angle_out_of_domain") != 0
    assert_array_equal(np.flatnonzero(is_out), [0, 1, 2])


def test_targets_at_their_bounds():
    X, y = make_prosail(2000, targets=["LAI"], noise=0.0, random_state=0)
    model = load_prosail_vae(targets=["CCC", "LAI"])
    assert list(model.quality_flags_)[-2:] == ["CCC_at_bound", "LAI_at_bound"]
    bits = list(model.quality_flags_.values())
    assert bits == [2**i for i in range(len(bits))]
    flags, lai = model.quality(X), model.predict(X)[:, 1]
    at_bound = flags & bit(model, "LAI_at_bound") != 0
    assert_array_equal(at_bound, lai < 0.005 * 15)
    assert 0 < at_bound.mean() < 0.05
    assert y[at_bound].max() < 1


def test_fitted_model(fitted, data):
    """The domain is learned in every fit, and saved."""
    X = data[0]
    assert np.mean(fitted.quality(X) == 0) > 0.9
    snow = make_background("fresh snow", 50)
    assert (fitted.quality(snow) & bit(fitted, *SPECTRAL) != 0).all()
    assert {"domain.means", "largest_misfit"} <= set(fitted.state_)


@pytest.mark.filterwarnings(r"ignore:Training \d of at most 3 collapsed")
def test_without_sensor():
    X = np.random.default_rng(0).uniform(0.1, 0.4, size=(50, 5))
    model = make(sensor=None, objective="simulations").fit(X)
    with pytest.warns(DataQualityWarning, match="1 of 52 spectra have NaN"):
        flags = model.quality(np.vstack([X, np.full((1, 5), 7.0), np.full((1, 5), NAN)]))
    assert flags.shape == (52,)
    assert flags[-2] & bit(model, "band_out_of_domain")
    assert flags[-1] == 1

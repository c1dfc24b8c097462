import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import RandomForestRegressor

from sklearn_sits.datasets import make_prosail
from sklearn_sits.physics import VARIABLES, Prosail, Sensor
from sklearn_sits.physics.variables import SIMULATION_PRIORS, Prior

NAMES = [variable.name for variable in VARIABLES]


def test_shapes_units_and_ranges():
    X, y = make_prosail(500, random_state=0)
    assert X.shape == (500, 13)
    assert y.shape == (500, 4)
    assert X.dtype == y.dtype == np.float64
    assert -0.05 < X[:, :10].min() < X[:, :10].max() < 2
    sun, view, azimuth = X[:, 10:].T
    assert 21.9 < sun.min() < sun.max() < 70.1
    assert 0 <= view.min() < view.max() < 11.7
    assert 0 <= azimuth.min() < azimuth.max() <= 360
    lai, cab, ccc, cwc = y.T
    np.testing.assert_allclose(ccc, lai * cab)
    assert (cwc <= lai * 0.075).all()


def test_reflectances_are_those_of_the_model_for_the_targets():
    X, y = make_prosail(50, targets=NAMES, noise=0.0, random_state=1)
    expected = Prosail()(torch.from_numpy(y), torch.from_numpy(X[:, 10:].copy()))
    np.testing.assert_allclose(X[:, :10], expected.numpy(), rtol=1e-12)


def test_traits_of_the_canopy():
    targets = ["LAI", "Cab", "Cw", "Cm", "CCC", "CWC", "CDMC", "fAPAR", "fCover"]
    _, y = make_prosail(300, targets=targets, random_state=0)
    lai, cab, cw, cm, ccc, cwc, cdmc, fapar, fcover = y.T
    np.testing.assert_allclose([ccc, cwc, cdmc], [lai * cab, lai * cw, lai * cm])
    for fraction in (fapar, fcover):
        assert 0 <= fraction.min() < fraction.max() <= 1
        assert np.corrcoef(fraction, 1 - np.exp(-0.5 * lai))[0, 1] > 0.9


def test_noise_has_the_requested_size():
    clean, _ = make_prosail(4000, noise=0.0, random_state=0)
    noisy, _ = make_prosail(4000, noise=0.02, random_state=0)
    np.testing.assert_array_equal(clean[:, 10:], noisy[:, 10:])
    error = (noisy - clean)[:, :10]
    # The mean square of U(0, 0.02).
    assert error.std() == pytest.approx(0.02 / 3**0.5, rel=0.03)
    size = error.std(axis=1)
    assert size.min() < 0.002
    assert size.max() > 0.02


def test_codistribution_narrows_dense_canopies():
    spread = []
    for codistribution in (True, False):
        _, y = make_prosail(
            20_000, targets=["LAI", "rsoil"], codistribution=codistribution, random_state=0
        )
        spread.append(y[y[:, 0] > 8, 1].std())
    assert spread[0] < 0.7 * spread[1]


def test_own_distributions():
    priors = {"LAI": Prior(3.0, 0.1, 2.0, 4.0, 2.0, 4.0)}
    _, y = make_prosail(2000, variables=priors, targets=["LAI", "N"], random_state=0)
    assert y[:, 0].mean() == pytest.approx(3.0, abs=0.02)
    assert y[:, 0].std() == pytest.approx(0.1, rel=0.1)
    low, high = SIMULATION_PRIORS["N"].low, SIMULATION_PRIORS["N"].high
    assert low <= y[:, 1].min() < y[:, 1].max() <= high


def test_other_sensors():
    X, _ = make_prosail(10, sensor="Landsat-8", bands=["B5", "B4"], random_state=0)
    own, _ = make_prosail(10, sensor=Sensor.load("Landsat-8", ["B5", "B4"]), random_state=0)
    assert X.shape == (10, 5)
    np.testing.assert_array_equal(X, own)


def test_frames_have_names():
    X, y = make_prosail(5, bands=["B4", "B8"], targets=["LAI"], as_frame=True, random_state=0)
    assert isinstance(X, pd.DataFrame)
    assert list(X) == ["B4", "B8", "sun_zenith", "view_zenith", "relative_azimuth"]
    assert list(y) == ["LAI"]


def test_traits_can_be_learned_from_the_bands():
    X, y = make_prosail(3000, random_state=0)
    forest = RandomForestRegressor(50, random_state=0).fit(X[:2000], y[:2000])
    error = np.sqrt(((forest.predict(X[2000:]) - y[2000:]) ** 2).mean(0))
    assert (error[[0, 2, 3]] < 0.65 * y[:, [0, 2, 3]].std(0)).all()


def test_seeds():
    first, again = (make_prosail(20, random_state=3) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[1], make_prosail(20, random_state=4)[1])
    state = np.random.RandomState(0)
    assert not np.array_equal(
        make_prosail(5, random_state=state)[0], make_prosail(5, random_state=state)[0]
    )


@pytest.mark.parametrize("random_state", [None, 0])
def test_global_generators_are_left_alone(random_state):
    before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()
    make_prosail(5, random_state=random_state)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    assert torch.equal(torch.get_rng_state(), torch_before)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"n_samples": 0}, "'n_samples' parameter of make_prosail"),
        ({"noise": -0.1}, "'noise' parameter of make_prosail"),
        ({"noise": np.nan}, "'noise' parameter of make_prosail"),
        ({"variables": "legacy"}, "'variables' parameter of make_prosail"),
        ({"variables": {"lai": SIMULATION_PRIORS["LAI"]}}, r"variables must be among .* \['lai'\]"),
        ({"targets": ["LAI", "lai"]}, r"targets must be among .* \['lai'\]"),
        ({"targets": []}, "targets must be among .* none"),
        ({"sensor": "Sentinel-9"}, "Sentinel-9"),
        ({"bands": ["B99"]}, "B99"),
        ({"random_state": "seed"}, "'random_state' parameter of make_prosail"),
    ],
)
def test_invalid_arguments_are_named(arguments, match):
    with pytest.raises(ValueError, match=match):
        make_prosail(**arguments)

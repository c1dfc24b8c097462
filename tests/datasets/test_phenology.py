import numpy as np
import pytest
import torch

from sklearn_sits.datasets import make_phenology
from sklearn_sits.physics.double_logistic import double_logistic


def test_shapes_and_ranges():
    X, y = make_phenology(500, random_state=0)
    assert X.shape == (500, 73, 2)
    assert y.shape == (500, 6)
    assert X.dtype == y.dtype == np.float64
    np.testing.assert_allclose(X[..., 0], np.broadcast_to(np.arange(0, 365, 5), (500, 73)))
    assert (y[:, 0] < y[:, 1]).all()
    assert (np.diff(y[:, 2:]) >= 0).all()


def test_index_is_that_of_the_parameters():
    X, y = make_phenology(50, noise=0.0, gaps=0.0, n_dates=20, random_state=1)
    expected = double_logistic(torch.from_numpy(y), torch.from_numpy(X[..., 0]))
    np.testing.assert_allclose(X[..., 1], expected, rtol=1e-12)
    noisy, same = make_phenology(50, noise=0.1, gaps=0.0, n_dates=20, random_state=1)
    np.testing.assert_array_equal(same, y)
    assert (noisy - X)[..., 1].std() == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("gaps", [0.0, 0.3, 0.6, 0.9])
def test_gaps_come_in_runs(gaps):
    X, _ = make_phenology(2000, gaps=gaps, random_state=0)
    hidden = np.isnan(X[..., 1])
    assert hidden.mean() == pytest.approx(gaps, abs=0.02)
    assert (~hidden).any(axis=1).all()
    if gaps:
        assert hidden[:, 1:][hidden[:, :-1]].mean() > 1.02 * gaps


def test_one_date_is_always_kept():
    X, _ = make_phenology(100, gaps=1.0, random_state=0)
    assert ((~np.isnan(X[..., 1])).sum(axis=1) == 1).all()


def test_own_priors():
    _, y = make_phenology(500, priors={"start_of_season": (100.0, 110.0)}, random_state=0)
    assert 100 <= y[:, 2].min() < y[:, 2].max() <= 110


def test_two_seasons():
    X, y = make_phenology(500, n_seasons=2, noise=0.0, gaps=0.0, random_state=0)
    assert y.shape == (500, 12)
    np.testing.assert_array_equal(y[:, 0], y[:, 6])
    assert (y[:, [1, 7]] <= 1).all()
    assert (np.diff(y[:, [2, 3, 4, 5, 8, 9, 10, 11]]) >= 0).all()
    # Between them the index is near its minimum if they are apart.
    apart = y[:, 8] - y[:, 5] > 40
    middle = np.abs(X[..., 0] - (y[:, 5:6] + y[:, 8:9]) / 2).argmin(1)
    excess = (X[np.arange(500), middle, 1] - y[:, 0]) / (y[:, [1, 7]].max(1) - y[:, 0])
    assert (excess[apart] < 0.2).all()
    long = {
        "start_of_season": (0, 1),
        "growth": (109, 110),
        "plateau": (139, 140),
        "decline": (129, 130),
    }
    with pytest.raises(ValueError, match="no two seasons of a year that follow"):
        make_phenology(5, n_seasons=2, priors=long)


def test_seeds():
    first, again = (make_phenology(20, random_state=3) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[1], make_phenology(20, random_state=4)[1])
    state = np.random.RandomState(0)
    one, other = (make_phenology(5, random_state=state)[1] for _ in range(2))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("random_state", [None, 0])
def test_global_generators_are_left_alone(random_state):
    before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()
    make_phenology(5, random_state=random_state)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    assert torch.equal(torch.get_rng_state(), torch_before)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"n_series": 0}, "'n_series' parameter of make_phenology"),
        ({"n_dates": 1}, "'n_dates' parameter of make_phenology"),
        ({"gaps": 1.1}, "'gaps' parameter of make_phenology"),
        ({"noise": -0.1}, "'noise' parameter of make_phenology"),
        ({"n_seasons": 3}, "'n_seasons' parameter of make_phenology"),
        ({"priors": "broad"}, "'priors' parameter of make_phenology"),
        ({"priors": {"peak": (0, 1)}}, r"priors must be among .* \['peak'\]"),
        ({"random_state": "seed"}, "'random_state' parameter of make_phenology"),
    ],
)
def test_invalid_arguments_are_named(arguments, match):
    with pytest.raises(ValueError, match=match):
        make_phenology(**arguments)

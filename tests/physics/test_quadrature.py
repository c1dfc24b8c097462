import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sklearn_sits.physics.quadrature import band_rule, interpolation
from sklearn_sits.physics.sensors import SENSORS
from sklearn_sits.physics.tables import load_tables

TABLES = load_tables()


def check(points, weights, n):
    sampling, nodes_weights = band_rule(points, weights, n)
    n_used = min(n, np.count_nonzero(weights))
    assert sampling.shape == (n_used, len(points))
    assert nodes_weights.shape == (n_used,)
    assert (nodes_weights > 0).all()
    assert_allclose(nodes_weights.sum(), weights.sum(), rtol=1e-12)
    assert_allclose(sampling.sum(1), 1, rtol=1e-9)
    assert not sampling[:, weights == 0].any()
    # Nodes lie within the points, in some order.
    nodes, used = sampling @ points, points[weights > 0]
    slack = 1e-9 * np.ptp(points)
    assert nodes.min() >= used.min() - slack
    assert nodes.max() <= used.max() + slack
    # Polynomials of a variable that runs from -1 to 1.
    centre, half = (used.max() + used.min()) / 2, max(np.ptp(used) / 2, 0.5)
    x, at = (points - centre) / half, (nodes - centre) / half
    for degree in range(2 * n_used):
        values = np.polynomial.Chebyshev.basis(degree)
        expected = weights @ values(x)
        assert abs(nodes_weights @ values(at) - expected) < 1e-9 * weights.sum()
        if degree < n_used:
            # Those that the nodes can tell apart are sampled as they are.
            assert_allclose(sampling @ values(x), values(at), rtol=0, atol=1e-7)
    return sampling, nodes_weights


@pytest.mark.parametrize("n", [1, 2, 3, 5, 12])
@pytest.mark.parametrize("sensor", SENSORS)
def test_bands_of_sensors(sensor, n):
    rng = np.random.default_rng(0)
    for response in TABLES.responses[sensor].values():
        sampling, weights = check(TABLES.wavelengths, response.astype(float), n)
        table = rng.random(len(response))
        assert_allclose(weights @ (sampling @ table), response @ table, rtol=1e-10)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 200))
@settings(max_examples=50)
def test_any_measure(seed, n, n_points):
    rng = np.random.default_rng(seed)
    points = np.sort(rng.uniform(400, 2500, n_points))
    weights = rng.random(n_points) * (rng.random(n_points) < 0.7)
    weights[rng.integers(n_points)] = 1
    sampling, nodes_weights = check(points, weights, n)
    # The mean of any table is its own.
    table = rng.standard_normal(n_points)
    expected = weights @ table
    assert abs(nodes_weights @ (sampling @ table) - expected) < 1e-9 * weights.sum()


def test_constant_weight_gives_gauss_legendre():
    points = np.linspace(-1, 1, 200_001)
    sampling, weights = band_rule(points, np.full(len(points), 1e-5), 4)
    nodes, expected = np.polynomial.legendre.leggauss(4)
    order = np.argsort(sampling @ points)
    assert_allclose((sampling @ points)[order], nodes, atol=1e-4)
    assert_allclose(weights[order], expected, atol=1e-4)


def test_as_many_nodes_as_points():
    points, weights = np.array([1.0, 2, 4, 8]), np.array([1.0, 0, 3, 2])
    sampling, found = band_rule(points, weights, 10)
    order = np.argsort(sampling @ points)
    assert_allclose(sampling[order], np.eye(4)[[0, 2, 3]], atol=1e-10)
    assert_allclose(found[order], [1, 3, 2])


@given(st.integers(0, 2**32 - 1), st.integers(2, 50))
@settings(max_examples=30)
def test_interpolation(seed, n_points):
    rng = np.random.default_rng(seed)
    points = np.cumsum(rng.uniform(0.1, 3, n_points))
    at = np.concatenate([rng.uniform(points[0], points[-1], 20), points])
    table = rng.random((n_points, 2))
    found = interpolation(points, at) @ table
    for column in (0, 1):
        assert_allclose(found[:, column], np.interp(at, points, table[:, column]), rtol=1e-12)
    assert_allclose(interpolation(points, points), np.eye(n_points), atol=1e-15)

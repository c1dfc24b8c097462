import pytest
import torch
from torch.distributions import MultivariateNormal
from torch.testing import assert_close

from sklearn_sits.nn.time_prior import smooth

N, T, K = 4, 9, 2
RATE = torch.tensor([0.002, 0.03], dtype=torch.float64)
CORRELATION = torch.tensor([0.6, 0.0], dtype=torch.float64)
WALK = {"rate": RATE, "error_correlation": CORRELATION}


@pytest.fixture
def series():
    generator = torch.Generator().manual_seed(0)
    dates = 100 * torch.rand(N, T, dtype=torch.float64, generator=generator)
    mean = torch.rand(N, T, K, dtype=torch.float64, generator=generator)
    std = 0.05 + 0.2 * torch.rand(N, T, K, dtype=torch.float64, generator=generator)
    std[0, 2] = std[1, 4:] = torch.inf
    mean[0, 2] = torch.nan
    return dates, mean, std


def joint(dates, mean, std, rate, shared):
    """The same by one dense Gaussian: a walk from an unknown start, seen with common errors."""
    walk = 1e6 + rate * torch.minimum(dates[:, None], dates[None]) - rate * dates.min()
    seen = torch.isfinite(std)
    errors = std[seen]
    noise = shared * torch.outer(errors, errors) + (1 - shared) * torch.diag(errors.square())
    covariance = walk[seen][:, seen] + noise
    gain = torch.linalg.solve(covariance, walk[seen]).T
    evidence = MultivariateNormal(torch.zeros(len(errors)).double(), covariance)
    variance = torch.diagonal(walk - gain @ walk[seen])
    return gain @ mean[seen], variance.sqrt(), evidence.log_prob(mean[seen])


def test_equals_the_dense_gaussian(series):
    dates, mean, std = series
    found_mean, found_std, _ = smooth(dates, mean, std, **WALK)
    for i in range(N):
        for k in range(K):
            expected, spread, _ = joint(
                dates[i], mean[i, :, k], std[i, :, k], RATE[k], CORRELATION[k]
            )
            assert_close(found_mean[i, :, k], expected, rtol=1e-5, atol=1e-6)
            assert_close(found_std[i, :, k], spread, rtol=1e-4, atol=1e-6)


def test_evidence(series):
    dates, mean, std = series
    rates = (RATE, 5 * RATE)
    found = [smooth(dates, mean, std, **(WALK | {"rate": rate}))[2] for rate in rates]
    for i in range(N):
        for k in range(K):
            expected = [
                joint(dates[i], mean[i, :, k], std[i, :, k], rate[k], CORRELATION[k])[2]
                for rate in rates
            ]
            assert_close(
                (found[1] - found[0])[i, k], expected[1] - expected[0], rtol=1e-4, atol=1e-4
            )


@pytest.mark.parametrize("position", range(3))
def test_a_date_alone_keeps_its_estimate(position):
    dates = torch.tensor([[3.0, 50.0, 10.0]], dtype=torch.float64)
    mean = torch.full((1, 3, K), 0.4, dtype=torch.float64)
    std = torch.full((1, 3, K), torch.inf, dtype=torch.float64)
    std[0, position] = 0.1
    found, spread, _ = smooth(dates, mean, std, **WALK)
    assert_close(found, mean, rtol=1e-5, atol=0)
    distance = (dates - dates[:, [position]]).abs()
    assert_close(spread.square(), 0.01 + distance[..., None] * RATE, rtol=1e-5, atol=0)


def test_common_errors_do_not_average_out():
    dates = torch.arange(50, dtype=torch.float64)[None]
    mean = torch.full((1, 50, 1), 0.4, dtype=torch.float64)
    std = torch.full_like(mean, 0.1)
    rate = torch.tensor([1e-12], dtype=torch.float64)
    for shared in (0.0, 0.5, 0.9):
        common = torch.tensor([shared], dtype=torch.float64)
        _, spread, _ = smooth(dates, mean, std, rate=rate, error_correlation=common)
        variance = 0.01 * (shared + (1 - shared) / 50)
        assert_close(spread.square(), torch.full_like(spread, variance), rtol=1e-4, atol=0)


def test_order_of_dates(series):
    dates, mean, std = series
    order = torch.randperm(T, generator=torch.Generator().manual_seed(1))
    straight = smooth(dates, mean, std, **WALK)
    found = smooth(dates[:, order], mean[:, order], std[:, order], **WALK)
    assert_close(found[0], straight[0][:, order])
    assert_close(found[1], straight[1][:, order])
    assert_close(found[2], straight[2])

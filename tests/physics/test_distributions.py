from functools import cache

import mpmath as mp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.autograd import gradcheck
from torch.distributions import Independent, Normal, Uniform, kl_divergence
from torch.testing import assert_close

from sklearn_sits.physics.distributions import TruncatedNormal

F32, F64 = torch.float32, torch.float64
DTYPES = [F64, F32]
LOCS = [-1000.0, -50.0, -5.0, 0.0, 0.3, 1.0, 6.0, 50.0, 1000.0]
SCALES = [1e-4, 1e-2, 0.1, 1.0, 30.0, 1e3]
INTERVALS = [(0.0, 1.0), (-2.0, 0.5)]
PROBABILITIES = [1e-300, 1e-12, 1e-3, 0.25, 0.5, 0.9, 1 - 1e-9]
# Tighter than the 1e-10 and 1e-5 that are asked for: rounding, of the result or of the input.
TOLERANCE = {F64: 1e-11, F32: 1e-7}
# One for each way to compute a quantile: inside, on a bound, in the tails and nearly uniform.
REGIMES = [(0.3, 0.2), (1.0, 0.3), (-0.5, 0.4), (-3.0, 0.3), (2.5, 0.15), (0.7, 40.0), (3.0, 1e5)]

grid = pytest.mark.parametrize(
    ("loc", "scale", "interval"),
    [(loc, scale, INTERVALS[i % 2]) for loc in LOCS for i, scale in enumerate(SCALES)],
)
dtypes = pytest.mark.parametrize("dtype", DTYPES)


def make(loc, scale, low=0.0, high=1.0, *, dtype=F64, grad=False):
    """Distribution and its parameters."""
    values = (loc, scale, low, high)
    parameters = [torch.as_tensor(x, dtype=dtype).requires_grad_(grad) for x in values]
    return TruncatedNormal(*parameters), parameters


class Exact:
    """Textbook formulas, with so many digits that none of their cancellations matters."""

    def __init__(self, parameters):
        mp.mp.dps = 60
        self.loc, self.scale, self.low, self.high = (mp.mpf(p.item()) for p in parameters)
        self.a, self.b = ((x - self.loc) / self.scale for x in (self.low, self.high))
        self.total = self.mass(self.low, self.high)
        self.at_a, self.at_b = (mp.npdf(x) / self.total for x in (self.a, self.b))

    def mass(self, start, end):
        a, b = ((x - self.loc) / self.scale / mp.sqrt(2) for x in (start, end))
        return (mp.erfc(a) - mp.erfc(b) if a > 0 else mp.erfc(-b) - mp.erfc(-a)) / 2

    def cdf(self, z):
        return self.mass(self.low, min(max(z, self.low), self.high)) / self.total

    def log_prob(self, z):
        x = (z - self.loc) / self.scale
        return -(x**2) / 2 - mp.log(self.scale * mp.sqrt(2 * mp.pi) * self.total)

    def mean(self):
        return self.loc + self.scale * (self.at_a - self.at_b)

    def variance(self):
        fall = self.a * self.at_a - self.b * self.at_b
        return self.scale**2 * (1 + fall - (self.at_a - self.at_b) ** 2)

    def entropy(self):
        fall = self.a * self.at_a - self.b * self.at_b
        return mp.log(mp.sqrt(2 * mp.pi * mp.e) * self.scale * self.total) + fall / 2

    def kl(self, other):
        second = self.variance() + (self.mean() - other.loc) ** 2
        cross = second / (2 * other.scale**2) + mp.log(other.scale * mp.sqrt(2 * mp.pi))
        return cross + mp.log(other.total) - self.entropy()

    def quantile(self, u, start):
        z = min(max(mp.mpf(start), self.low), self.high)
        for _ in range(50):
            step = (self.cdf(z) - u) / mp.exp(self.log_prob(z))
            z -= step
            if abs(step) < mp.mpf(10) ** -40 * self.scale:
                return z
        raise AssertionError("the start is no approximation of the quantile")


@cache
def exact(*args):
    return Exact(make(*args[:-1], dtype=args[-1])[1])


def error(actual, expected, floor=0):
    """Relative error, and absolute below `floor`."""
    return abs(mp.mpf(actual.item()) - expected) / max(abs(expected), floor)


@grid
@dtypes
def test_moments_are_exact(loc, scale, interval, dtype):
    distribution, _ = make(loc, scale, *interval, dtype=dtype)
    reference = exact(loc, scale, *interval, dtype)
    tolerance = TOLERANCE[dtype]
    width = reference.high - reference.low
    uniform = Uniform(distribution.low, distribution.high)
    assert abs(distribution.mean.item() - reference.mean()) < tolerance * width
    assert error(distribution.variance, reference.variance()) < tolerance
    assert error(distribution.stddev, mp.sqrt(reference.variance())) < tolerance
    assert error(distribution.entropy(), reference.entropy(), 1) < tolerance
    kl = mp.log(width) - reference.entropy()
    assert error(kl_divergence(distribution, uniform), kl, 1) < tolerance
    assert distribution.mode.item() == min(max(reference.loc, reference.low), reference.high)


@grid
@dtypes
@pytest.mark.parametrize("other", [(0.4, 0.2), (1000.0, 1e-4), (-50.0, 0.1), (0.7, 1e3)])
def test_kl_is_exact(loc, scale, interval, other, dtype):
    p, _ = make(loc, scale, *interval, dtype=dtype)
    q, _ = make(*other, *interval, dtype=dtype)
    reference = exact(loc, scale, *interval, dtype).kl(exact(*other, *interval, dtype))
    assert error(kl_divergence(p, q), reference, 1) < TOLERANCE[dtype]


@grid
@dtypes
def test_density_and_cdf_are_exact(loc, scale, interval, dtype):
    distribution, _ = make(loc, scale, *interval, dtype=dtype)
    reference = exact(loc, scale, *interval, dtype)
    # Where the mass is, and everywhere else.
    u = torch.tensor([0.01, 0.5, 0.99], dtype=dtype)
    z = torch.cat([distribution.icdf(u), torch.linspace(*interval, 5, dtype=dtype)])
    densities, probabilities = distribution.log_prob(z), distribution.cdf(z)
    for value, log_prob, cdf in zip(z.tolist(), densities, probabilities, strict=True):
        assert error(log_prob, reference.log_prob(value), 1) < TOLERANCE[dtype]
        assert error(cdf, reference.cdf(value), 1) < TOLERANCE[dtype]
    assert probabilities[3] == 0
    assert probabilities[-1] == 1


@grid
@dtypes
def test_quantiles_are_exact(loc, scale, interval, dtype):
    distribution, _ = make(loc, scale, *interval, dtype=dtype)
    reference = exact(loc, scale, *interval, dtype)
    u = torch.tensor(PROBABILITIES, dtype=dtype)
    z = distribution.icdf(u)
    margin = TOLERANCE[dtype] * (reference.high - reference.low)
    for value, probability in zip(z.tolist(), u.tolist(), strict=True):
        assert reference.low <= value <= reference.high
        assert reference.cdf(value - margin) <= probability <= reference.cdf(value + margin)


@grid
def test_quantile_gradients_are_exact(loc, scale, interval):
    distribution, parameters = make(loc, scale, *interval, grad=True)
    reference = exact(loc, scale, *interval, F64)
    tolerance = TOLERANCE[F64]
    for probability in PROBABILITIES[1:]:
        u = torch.tensor(probability, dtype=F64, requires_grad=True)
        z = distribution.icdf(u)
        d_u, d_loc, d_scale, d_low, d_high = torch.autograd.grad(z, [u, *parameters])
        u = mp.mpf(probability)
        root = reference.quantile(u, z.item())
        x, a, b = (root - reference.loc) / reference.scale, reference.a, reference.b
        low, high = (1 - u) * mp.exp((x**2 - a**2) / 2), u * mp.exp((x**2 - b**2) / 2)
        assert error(d_u, mp.exp(-reference.log_prob(root))) < tolerance
        assert error(d_low, low, 1) < tolerance
        assert error(d_high, high, 1) < tolerance
        assert error(d_loc, 1 - low - high, 1) < tolerance
        # Zero for some quantile, and tiny for all when the density is concentrated at a bound.
        typical = mp.sqrt(reference.variance()) / reference.scale
        assert error(d_scale, x - a * low - b * high, typical) < tolerance


@pytest.mark.parametrize("loc", [-1000.0, -2.0])
def test_samples_resolve_a_density_concentrated_at_a_bound(loc):
    # Exponential there; a tenth of the width of the interval is 1e-8 and less.
    scale = 1e-4
    distribution, parameters = make(loc, scale, grad=True)
    u = torch.linspace(0, 1, 102, dtype=F64)[:-1]
    u[0] = 1e-12
    z = distribution.icdf(u)
    expected = -torch.log1p(-u) * scale**2 / abs(loc)
    assert_close(z, expected, rtol=1e-7, atol=0)
    d_loc, d_scale, *_ = torch.autograd.grad(z.sum(), parameters)
    assert_close(d_loc, expected.sum() / abs(loc), rtol=1e-7, atol=0)
    assert_close(d_scale, 2 * expected.sum() / scale, rtol=1e-7, atol=0)


def test_gradients_of_a_nearly_uniform_distribution():
    # To first order; 1e-7 is far less than a rounding error of 1 relative to these gradients.
    loc, scale = 0.3, 3e4
    distribution, parameters = make(loc, scale, grad=True)
    u = torch.linspace(0.1, 0.9, 5, dtype=F64)
    z = distribution.icdf(u)
    for i in range(len(u)):
        (d_loc,) = torch.autograd.grad(z[i], parameters[0], retain_graph=True)
        assert_close(d_loc, u[i] * (1 - u[i]) / (2 * scale**2), rtol=1e-7, atol=0)
        (d_loc,) = torch.autograd.grad(distribution.log_prob(u[i]), parameters[0])
        assert_close(d_loc, (u[i] - 0.5) / scale**2, rtol=1e-7, atol=1e-17)
    (d_loc,) = torch.autograd.grad(distribution.mean, parameters[0])
    assert_close(d_loc.item(), 1 / (12 * scale**2), rtol=1e-7, atol=0)


@pytest.mark.parametrize(
    ("loc", "scale", "tolerance"),
    [(-8.0, 1.0, 1e-13), (81.0, 10.0, 1e-12), (-7.0 / 3e-5, 1 / 3e-5, 1e-10)],
    ids=["left tail", "right tail", "narrow"],
)
def test_methods_meet(loc, scale, tolerance):
    # Hardly different parameters, whose quantiles are computed in two ways.
    u = torch.linspace(0, 1, 21, dtype=F64)
    one, other = (make(loc, scale * factor, grad=True) for factor in (1 - 1e-15, 1 + 1e-15))
    z, z_other = one[0].icdf(u), other[0].icdf(u)
    assert not torch.equal(z, z_other)
    assert_close(z, z_other, rtol=0, atol=tolerance)
    for d, d_other in zip(
        torch.autograd.grad(z.sum(), one[1]),
        torch.autograd.grad(z_other.sum(), other[1]),
        strict=True,
    ):
        assert_close(d, d_other, rtol=0, atol=20 * tolerance)


@dtypes
def test_scale_beyond_any_bound_gives_the_uniform_distribution(dtype):
    distribution, _ = make(0.2, 1e30, 0.0, 4.0, dtype=dtype)
    u = torch.linspace(0, 1, 11, dtype=dtype)
    assert_close(distribution.icdf(u), 4 * u)
    assert_close(distribution.log_prob(4 * u), torch.full_like(u, -np.log(4)))
    assert_close(distribution.variance.item(), 4 / 3)


@pytest.mark.parametrize(("loc", "scale"), [(0.3, 0.2), (-0.5, 0.4), (0.7, 5.0)])
def test_agrees_with_scipy(loc, scale):
    low, high = -0.2, 1.3
    distribution, _ = make(loc, scale, low, high)
    reference = stats.truncnorm((low - loc) / scale, (high - loc) / scale, loc, scale)
    z = torch.linspace(-0.2, 1.3, 9, dtype=F64)
    assert_close(distribution.log_prob(z), torch.from_numpy(reference.logpdf(z.numpy())))
    assert_close(distribution.cdf(z), torch.from_numpy(reference.cdf(z.numpy())))
    assert_close(distribution.mean.item(), reference.mean())
    assert_close(distribution.variance.item(), reference.var())
    assert_close(distribution.entropy().item(), reference.entropy())
    samples = distribution.sample((20000,), torch.Generator().manual_seed(0)).numpy()
    assert stats.kstest(samples, reference.cdf).statistic < 1.63 / np.sqrt(len(samples))


@pytest.mark.parametrize(("loc", "scale"), REGIMES)
@pytest.mark.parametrize(
    "function",
    [
        lambda d, z: d.mean,
        lambda d, z: d.variance,
        lambda d, z: d.stddev,
        lambda d, z: d.entropy(),
        lambda d, z: d.log_prob(z),
        lambda d, z: d.cdf(z),
        lambda d, z: d.icdf(z),
        lambda d, z: d.rsample((5,), torch.Generator().manual_seed(0)),
        lambda d, z: kl_divergence(d, TruncatedNormal(z, 0.3, -1.0, 2.0)),
        lambda d, z: kl_divergence(TruncatedNormal(z, 0.3, 0.2, 0.8), d),
        lambda d, z: kl_divergence(d, Uniform(-1 - z, 2 + z)),
    ],
    ids="mean variance stddev entropy log_prob cdf icdf rsample kl kl_reverse kl_uniform".split(),
)
def test_gradients_are_those_of_finite_differences(function, loc, scale):
    _, parameters = make(loc, scale, grad=True)
    z = torch.tensor([0.15, 0.5, 0.9], dtype=F64, requires_grad=True)
    inputs = (z, *parameters)
    gradcheck(lambda z, *p: function(TruncatedNormal(*p), z), inputs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("loc", "scale"), REGIMES)
def test_mean_pathwise_gradient_is_the_gradient_of_the_mean(loc, scale):
    distribution, parameters = make(loc, scale, grad=True)
    nodes, weights = (torch.from_numpy(x) / 2 for x in np.polynomial.legendre.leggauss(100))
    nodes = nodes + 0.5
    with torch.no_grad():
        weights = weights * distribution.log_prob(nodes).exp()
        u = distribution.cdf(nodes)
    actual = torch.autograd.grad((weights * distribution.icdf(u)).sum(), parameters)
    variance, mean = distribution.variance, distribution.mean
    at_low, at_high = distribution.log_prob(torch.tensor([0.0, 1.0])).exp()
    assert_close(actual[0], variance / scale**2, rtol=1e-9, atol=1e-10)
    assert_close(actual[1], torch.autograd.grad(mean, parameters)[1], rtol=1e-9, atol=1e-10)
    assert_close(actual[2], at_low * mean, rtol=1e-9, atol=1e-10)
    assert_close(actual[3], at_high * (1 - mean), rtol=1e-9, atol=1e-10)


@dtypes
def test_values_and_gradients_are_finite_everywhere(dtype):
    # The most extreme combinations as well, and probabilities that no sample ever has.
    locs, scales = torch.tensor(LOCS)[:, None, None], torch.tensor(SCALES)[:, None]
    eps = torch.finfo(dtype).eps
    u = torch.tensor([0, torch.finfo(dtype).tiny, eps, 0.5, 1 - eps, 1], dtype=dtype)
    u.requires_grad_()
    distribution, parameters = make(locs, scales, dtype=dtype, grad=True)
    prior = TruncatedNormal(torch.tensor(0.5, dtype=dtype), 0.3, -1.0, 1.0)
    inside = torch.linspace(0, 1, 6, dtype=dtype, requires_grad=True)
    outputs = {
        "icdf": distribution.icdf(u),
        "rsample": distribution.rsample((10,), torch.Generator().manual_seed(0)),
        "log_prob": distribution.log_prob(inside),
        "cdf": distribution.cdf(inside),
        "mean": distribution.mean,
        "variance": distribution.variance,
        "stddev": distribution.stddev,
        "entropy": distribution.entropy(),
        "kl": kl_divergence(distribution, prior),
        "kl_uniform": kl_divergence(distribution, Uniform(prior.low, prior.high)),
    }
    for name, output in outputs.items():
        assert output.dtype == dtype, name
        assert output.isfinite().all(), name
        inputs = [u, inside, *parameters]
        gradients = torch.autograd.grad(output.sum(), inputs, allow_unused=True)
        assert all(g is not None for g in gradients[2:]), name
        assert all(g.isfinite().all() for g in gradients if g is not None), name
    assert (outputs["icdf"][..., 0] == 0).all()
    assert (outputs["icdf"][..., -1] == 1).all()


@given(data=st.data())
@settings(max_examples=150)
def test_quantiles_of_random_distributions(data):
    dtype = data.draw(st.sampled_from(DTYPES))
    low = data.draw(st.floats(-100, 100, width=32))
    width = 10 ** data.draw(st.floats(-2, 2))
    loc = low + width * data.draw(st.floats(-1000, 1000))
    scale = width * 10 ** data.draw(st.floats(-4, 3))
    u = data.draw(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=8))
    u = torch.tensor(sorted(u), dtype=dtype)
    distribution, parameters = make(loc, scale, low, low + width, dtype=dtype, grad=True)
    z = distribution.icdf(u)
    assert ((distribution.low <= z) & (z <= distribution.high)).all()
    assert (z.diff() >= -1e-13 * width).all()
    for gradient in torch.autograd.grad(z.sum(), parameters):
        assert gradient.isfinite()
    if dtype == F64:
        # Neighbouring numbers differ by this much in their probability.
        ulp = torch.finfo(dtype).eps * torch.maximum(z.abs(), torch.tensor(abs(loc) + width))
        slack = 1e-11 + 8 * ulp * distribution.log_prob(z).exp()
        assert ((distribution.cdf(z) - u).abs() <= slack).all()


@given(
    loc=st.floats(-10, 10),
    scale=st.floats(-3, 2).map(lambda x: 10**x),
    other_loc=st.floats(-10, 10),
    other_scale=st.floats(-3, 2).map(lambda x: 10**x),
)
def test_kl_is_not_negative_and_zero_for_the_same(loc, scale, other_loc, other_scale):
    p, _ = make(loc, scale)
    q, _ = make(other_loc, other_scale)
    assert kl_divergence(p, q) > -1e-9
    assert abs(kl_divergence(p, p)) < 1e-9


def test_kl_is_infinite_where_the_supports_differ():
    low, high = torch.tensor([0.0, -0.1, 0.0, 0.1]), torch.tensor([1.0, 1.0, 1.1, 0.9])
    loc = torch.tensor(0.4, requires_grad=True)
    p = TruncatedNormal(loc, 0.2, low, high)
    expected = torch.tensor([False, True, True, False])
    for q in (TruncatedNormal(0.3, 0.2, 0.0, 1.0), Uniform(0.0, 1.0)):
        kl = kl_divergence(p, q)
        assert torch.equal(kl == torch.inf, expected)
        assert kl[~expected].isfinite().all()
        assert torch.autograd.grad(kl[~expected].sum(), loc)[0].isfinite()


def test_outside_of_the_support():
    distribution, parameters = make(0.4, 0.2, grad=True)
    z = torch.tensor([-torch.inf, -1e-9, 1 + 1e-9, 7.0], dtype=F64, requires_grad=True)
    log_prob, cdf = distribution.log_prob(z), distribution.cdf(z)
    assert (log_prob == -torch.inf).all()
    assert cdf.tolist() == [0, 0, 1, 1]
    for output in (log_prob, cdf):
        for gradient in torch.autograd.grad(output.sum(), [z, *parameters]):
            assert (gradient == 0).all()
    assert distribution.log_prob(torch.tensor(torch.nan)).isnan()
    assert distribution.cdf(torch.tensor(torch.nan)).isnan()
    inside = distribution.support.check(torch.tensor([-0.1, 0.0, 0.5, 1.0, 1.1]))
    assert inside.tolist() == [False, True, True, True, False]


@pytest.mark.parametrize(("loc", "scale"), REGIMES)
def test_quantiles_of_no_probability_are_nan(loc, scale):
    distribution, _ = make(loc, scale)
    assert distribution.icdf(torch.tensor([-1e-9, 1 + 1e-7, torch.nan])).isnan().all()


@pytest.mark.parametrize("method", ["sample", "rsample"])
def test_generator_replaces_the_global_one(method):
    distribution, _ = make(torch.linspace(-1, 2, 5), 0.3, grad=True)
    draw = getattr(distribution, method)
    state = torch.get_rng_state()
    first = draw((3,), generator=torch.Generator().manual_seed(1))
    again = draw((3,), generator=torch.Generator().manual_seed(1))
    other = draw((3,), generator=torch.Generator().manual_seed(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.requires_grad == (method == "rsample")
    draw()
    assert not torch.equal(torch.get_rng_state(), state)


@dtypes
def test_shapes_and_dtype(dtype):
    loc, scale = torch.zeros(3, 1, dtype=dtype), torch.ones(4, dtype=dtype)
    distribution = TruncatedNormal(loc, scale, 0.1, 0.9)
    z = distribution.sample((2,))
    assert distribution.batch_shape == (3, 4)
    assert distribution.event_shape == ()
    for tensor in (z, distribution.log_prob(z), distribution.cdf(z), distribution.icdf(z)):
        assert tensor.shape == (2, 3, 4)
        assert tensor.dtype == dtype
    kl = kl_divergence(distribution, TruncatedNormal(loc[0], 2.0, 0.0, 1.0))
    kl_uniform = kl_divergence(distribution, Uniform(0.0, 1.0))
    entropy, mode = distribution.entropy(), distribution.mode
    for tensor in (distribution.mean, distribution.stddev, mode, entropy, kl, kl_uniform):
        assert tensor.shape == (3, 4)
        assert tensor.dtype == dtype
    assert TruncatedNormal(0.0, 1.0, 0.0, 1.0).sample().shape == ()
    assert distribution.sample((0,)).shape == (0, 3, 4)


def test_mixed_dtypes_are_promoted():
    distribution = TruncatedNormal(torch.zeros(2), torch.ones(2, dtype=F64), 0.0, 1.0)
    assert distribution.loc.dtype == distribution.sample().dtype == F64


@pytest.mark.parametrize("validate", [True, False])
def test_expand(validate):
    small = TruncatedNormal(torch.tensor([0.1, 5.0]), 0.2, 0.0, 1.0, validate_args=validate)
    large = small.expand((3, 2))
    assert isinstance(large, TruncatedNormal)
    assert large.batch_shape == (3, 2)
    assert large._validate_args == validate
    assert_close(large.mean, small.mean.expand(3, 2))
    assert large.rsample((4,)).shape == (4, 3, 2)
    assert Independent(large, 1).log_prob(large.sample()).shape == (3,)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"scale": 0.0}, "scale"),
        ({"scale": torch.tensor([1.0, -1.0])}, "scale"),
        ({"scale": torch.inf}, "scale"),
        ({"low": 1.0}, "low"),
        ({"high": torch.tensor([1.0, -1.0])}, "low must be less than high"),
        ({"loc": torch.nan}, "loc"),
        ({"loc": -torch.inf}, "loc"),
        ({"low": -torch.inf}, "low"),
        ({"high": torch.inf}, "high"),
    ],
)
def test_invalid_parameters(change, name):
    parameters = {"loc": 0.0, "scale": 1.0, "low": 0.0, "high": 1.0} | change
    with pytest.raises(ValueError, match=rf"\b{name}\b"):
        TruncatedNormal(**parameters)
    TruncatedNormal(**parameters, validate_args=False)


def test_kl_to_another_family_is_not_implemented():
    with pytest.raises(NotImplementedError):
        kl_divergence(make(0.0, 1.0)[0], Normal(0.0, 1.0))

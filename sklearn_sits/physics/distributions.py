"""Normal distribution truncated to an interval, accurate however far away its mean is."""

import math
from collections.abc import Sequence
from typing import Self

import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import Distribution, Uniform, constraints
from torch.distributions.kl import register_kl
from torch.distributions.utils import broadcast_all

from sklearn_sits._module_names import set_module

__all__ = ["TruncatedNormal"]

# Integrals leave out values this many nats below the maximum of the density: e^-40 = 4e-18.
_NATS = 40.0
# Gauss-Legendre rule on [0, 1], exact to rounding for a normal density that is cut off there.
_NODES, _WEIGHTS = (torch.from_numpy(x) / 2 for x in leggauss(40))
# An interval more than _TAIL standard deviations away from the mean lies in the tail. There
# _TERMS terms of a continued fraction give the Mills ratio up to rounding.
_TAIL, _TERMS = 8.0, 12
# Width in standard deviations below which differences of the normal cdf are too coarse.
_NARROW = 3e-5
# Bounds of exponents: they keep values finite that are infinite only where the density vanishes.
_HUGE, _HUGE_FLOAT32 = 700.0, 80.0


def _exponent(offset, shift, scale):
    """Compute how far the log density falls from an origin at `shift` from the mean."""
    offset = offset / scale
    return offset * (offset / 2 + shift / scale)


def _effective_support(loc, scale, low, high):
    """Compute the mode, its distance from the mean, and the relevant interval around it.

    The mode is only the origin of the exponents. It carries no gradient: as a constant it
    leaves every derivative right, and free of the cancellation that comes with a moving origin.
    """
    mode = loc.clamp(low, high).detach()
    shift = mode - loc
    # Without cancellation when the mean is far away.
    ratio = (shift / scale).detach()
    root = torch.hypot(ratio, torch.full_like(ratio, math.sqrt(2 * _NATS))) + ratio.abs()
    reach = 2 * _NATS * scale.detach() / root
    return mode, shift, torch.maximum(low - mode, -reach), torch.minimum(high - mode, reach)


def _quadrature(start, end, shift, scale):
    """Compute the nodes, relative to the mode, of an integral over the density, and its terms."""
    length = (end - start).unsqueeze(-1)
    offset = start.unsqueeze(-1) + length * (_NODES.to(length.device) + 0.5)
    density = torch.exp(-_exponent(offset, shift.unsqueeze(-1), scale.unsqueeze(-1)))
    return offset, density * length * _WEIGHTS.to(length.device)


def _log_mills(x):
    """Compute -log(x R(x)), where R is the Mills ratio (1 - Phi) / phi of the normal cdf."""
    square, fraction = x.square(), 0.0
    for k in range(_TERMS, 0, -1):
        fraction = k / ((square if k % 2 else 1.0) + fraction)
    return torch.log1p(fraction)


def _mills_fall(s, x, log_mills):
    """Compute log R(x) - log R(x + s)."""
    return torch.log1p(s / x) + _log_mills(x + s) - log_mills


def _tail_quantile(near, far, start, width):
    """Solve for the distance from the bound nearest to the mean, in standard deviations.

    `start` is the distance of that bound from the mean. `near` and `far` are the probabilities
    beyond and up to the quantile, seen from there.
    """
    log_mills = _log_mills(start)
    total = width * (start + width / 2) + _mills_fall(width, start, log_mills)
    share = torch.log(near + far * torch.exp(-total))
    share = torch.where(near < 0.5, share, torch.log1p(far * torch.expm1(-total)))
    target = torch.minimum(-share, total)
    s = 2 * target / (start + torch.sqrt(start.square() + 2 * target))
    for _ in range(3):
        error = s * (start + s / 2) + _mills_fall(s, start, log_mills) - target
        x = start + s
        s = s - error / (x + x / (x.square() + 2))
    return torch.minimum(s.clamp(min=0), width)


class _Quantile(torch.autograd.Function):
    """Quantile whose gradients are in closed form.

    Forward also returns its distances, in standard deviations, from the mean and both bounds.
    The gradients need them, with more digits than the quantile has when the density is
    concentrated at a bound.
    """

    @staticmethod
    def forward(u, loc, scale, low, high):
        v = 1 - u
        a, b = (low - loc).div_(scale), (high - loc).div_(scale)
        # The smaller one of both probabilities is exact. (With ndtr it is not: ndtr(-10) = 0.)
        root = math.sqrt(0.5)
        below = torch.lerp((a * -root).erfc_(), (b * -root).erfc_(), u)
        above = torch.lerp((a * root).erfc_(), (b * root).erfc_(), u)
        x = torch.special.ndtri(torch.minimum(below, above).div_(2))
        x = x.copysign_(below.sub_(above)).clamp_(a, b)
        from_low, from_high = x - a, b - x
        narrow, tail = b - a < _NARROW, (a > _TAIL) | (b < -_TAIL)
        if narrow.any():
            # The density is exponential, up to width^2 / 8.
            width = (high - low) / scale
            slope = width * (a + b) / 2
            bend = slope / 2 * u * v * (1 - slope / 3 * (v - u))
            from_low = torch.where(narrow, width * (u - bend), from_low)
            from_high = torch.where(narrow, width * (v + bend), from_high)
        if tail.any():
            tail, width = tail.expand_as(x), (high - low) / scale
            u_, v_, a, b, width = (t.expand_as(x)[tail] for t in (u, v, a, b, width))
            left, start = a > 0, torch.maximum(a, -b)
            s = _tail_quantile(torch.where(left, v_, u_), torch.where(left, u_, v_), start, width)
            x[tail] = torch.where(left, a + s, b - s)
            from_low[tail] = torch.where(left, s, width - s)
            from_high[tail] = torch.where(left, width - s, s)
        # Quantiles 0 and 1 are the bounds exactly.
        from_low, from_high = from_low.mul_(u.sign()), from_high.mul_(v.sign())
        # From the nearest bound: never beyond it, and with all digits close to it.
        z_low = torch.addcmul(low, scale, from_low)
        z_high = torch.addcmul(high, scale, from_high, value=-1)
        return torch.where(from_low < from_high, z_low, z_high), x, from_low, from_high

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs, *output[1:])
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, *_):
        *inputs, x, from_low, from_high = ctx.saved_tensors
        u, loc, scale, low, high = inputs
        v, a, b = 1 - u, (low - loc) / scale, (high - loc) / scale
        inside, tail = (a < 0) & (b > 0), (a > _TAIL) | (b < -_TAIL)
        # Log densities at the bounds, relative to that at the quantile.
        log_low, log_high = from_low * (x + a) / 2, -from_high * (x + b) / 2
        less_low = v * torch.expm1(log_low.clamp(max=_HUGE))
        less_high = u * torch.expm1(log_high.clamp(max=_HUGE))
        d_low, d_high = v + less_low, u + less_high
        d_loc = -(less_low + less_high)  # 1 - d_low - d_high, without cancellation of u + v
        if tail.any():
            # It nearly vanishes, and x below is large: Mills ratios need no difference of both.
            tail = tail.expand_as(x)
            terms = (a, b, from_low, from_high, d_low, d_high)
            a, b, low_, high_, d_low_, d_high_ = (t.expand_as(x)[tail] for t in terms)
            left, start = a > 0, torch.maximum(a, -b)
            log_mills = _log_mills(start)
            near = torch.expm1(-_mills_fall(torch.where(left, low_, high_), start, log_mills))
            whole = torch.expm1(-_mills_fall(low_ + high_, start, log_mills))
            d_loc[tail] = torch.where(left, d_high_, d_low_) * whole - near
        d_scale = x * d_loc + from_low * d_low - from_high * d_high
        d_u = None
        if ctx.needs_input_grad[0]:
            # The reciprocal of the density.
            fall = torch.where(inside, x.square() / 2, torch.maximum(log_low, log_high))
            _, shift, start, end = _effective_support(*inputs[1:])
            _, mass = _quadrature(start, end, shift, scale)
            d_u = mass.sum(-1) * torch.exp(fall.clamp(max=_HUGE_FLOAT32))
        gradients = (d_u, d_loc, d_scale, d_low, d_high)
        return tuple(
            (grad * d).sum_to_size(t.shape) if needed else None
            for needed, d, t in zip(ctx.needs_input_grad, gradients, inputs, strict=True)
        )


@set_module("sklearn_sits.physics")
class TruncatedNormal(Distribution):
    r"""Normal distribution with mean `loc`, truncated to [`low`, `high`].

    All computations run in float64, because float32 cannot resolve an interval that is narrow or
    far from the mean. Results have the type of the parameters. Integrals are Gauss-Legendre sums
    over the part of the interval that carries the probability. They are accurate whether the
    distribution is nearly uniform or concentrated at a bound, and differentiable in all
    parameters.

    Parameters
    ----------
    loc, scale : tensor or float
        Mean and standard deviation before truncation. They broadcast with the bounds.
    low, high : tensor or float
        Bounds, finite.
    validate_args : bool or None, default=None
        Whether to check the parameters. None follows the setting of
        `torch.distributions.Distribution`.

    Raises
    ------
    ValueError
        If a parameter is not finite, `scale` is not positive or `low` is not below `high`.

    Examples
    --------
    >>> import torch
    >>> from sklearn_sits.physics import TruncatedNormal
    >>> lai = TruncatedNormal(loc=2.0, scale=3.0, low=0.0, high=15.0)
    >>> print(f"{lai.mean:.3f} {lai.stddev:.3f} {lai.cdf(torch.tensor(2.0)):.3f}")
    3.282 2.189 0.331
    >>> draws = lai.rsample((1000,), generator=torch.Generator().manual_seed(0))
    >>> bool(draws.min() >= 0) and bool(draws.max() <= 15)
    True
    """

    arg_constraints = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "low": constraints.real,
        "high": constraints.real,
    }
    has_rsample = True

    def __init__(
        self,
        loc: Tensor | float,
        scale: Tensor | float,
        low: Tensor | float,
        high: Tensor | float,
        validate_args: bool | None = None,
    ) -> None:
        parameters = broadcast_all(loc, scale, low, high)
        dtype = sum(parameters).dtype
        self.loc, self.scale, self.low, self.high = (p.to(dtype) for p in parameters)
        super().__init__(self.loc.shape, validate_args=validate_args)
        if self._validate_args:
            for name in self.arg_constraints:
                if not getattr(self, name).isfinite().all():
                    raise ValueError(f"{name} must be finite")
            if not (self.low < self.high).all():
                raise ValueError("low must be less than high")

    @property
    def _exact(self):
        return tuple(p.double() for p in (self.loc, self.scale, self.low, self.high))

    def _integrate(self):
        """Compute origin and log normaliser of the exponents, nodes and their probabilities."""
        loc, scale, low, high = self._exact
        mode, shift, start, end = _effective_support(loc, scale, low, high)
        offset, mass = _quadrature(start, end, shift, scale)
        total = mass.sum(-1)
        return mode, shift, scale, total.log(), offset, mass / total.unsqueeze(-1)

    def expand(self, batch_shape: Sequence[int], _instance: Self | None = None) -> Self:
        """Expand to a larger batch shape.

        Parameters
        ----------
        batch_shape : torch.Size
            New batch shape.
        _instance : TruncatedNormal, default=None
            Object to fill; subclasses whose `__init__` takes other arguments pass one.

        Returns
        -------
        distribution : TruncatedNormal
        """
        new = self._get_checked_instance(TruncatedNormal, _instance)
        for name in self.arg_constraints:
            setattr(new, name, getattr(self, name).expand(batch_shape))
        super(TruncatedNormal, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self):
        """Interval [low, high], as a constraint of torch."""
        return constraints.interval(self.low, self.high)

    @property
    def mode(self) -> Tensor:
        """Value with the largest density, a tensor of the batch shape."""
        return self.loc.clamp(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        """Mean after truncation, a tensor of the batch shape."""
        mode, *_, offset, share = self._integrate()
        return (mode + (share * offset).sum(-1)).to(self.loc.dtype)

    @property
    def variance(self) -> Tensor:
        """Variance after truncation, a tensor of the batch shape."""
        *_, offset, share = self._integrate()
        deviation = offset - (share * offset).sum(-1, keepdim=True)
        return (share * deviation.square()).sum(-1).to(self.loc.dtype)

    def entropy(self) -> Tensor:
        """Compute the differential entropy.

        Returns
        -------
        entropy : tensor of the batch shape
            In nats.
        """
        integral = self._integrate()
        return _cross_entropy(integral, integral).to(self.loc.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute the log density.

        Parameters
        ----------
        value : tensor, broadcastable to the batch shape
            Values, which may lie outside the support even if arguments are validated.

        Returns
        -------
        log_prob : tensor
            Minus infinity outside the support.
        """
        mode, shift, scale, log_total, *_ = self._integrate()
        value, low, high = value.double(), self.low.double(), self.high.double()
        log_prob = -_exponent(value.clamp(low, high) - mode, shift, scale) - log_total
        outside = (value < low) | (value > high)
        return log_prob.masked_fill(outside, -math.inf).to(self.loc.dtype)

    def cdf(self, value: Tensor) -> Tensor:
        """Compute the cumulative distribution function.

        Parameters
        ----------
        value : tensor, broadcastable to the batch shape
            Values, which may lie outside the support.

        Returns
        -------
        probability : tensor
        """
        loc, scale, low, high = self._exact
        mode, shift, start, end = _effective_support(loc, scale, low, high)
        offset = (value.double() - mode).clamp(start, end)
        below = _quadrature(start, offset, shift, scale)[1].sum(-1)
        above = _quadrature(offset, end, shift, scale)[1].sum(-1)
        return (below / (below + above)).to(self.loc.dtype)

    def icdf(self, value: Tensor) -> Tensor:
        """Compute quantiles, which are differentiable once in probability and parameters.

        Parameters
        ----------
        value : tensor, broadcastable to the batch shape
            Probabilities, in [0, 1].

        Returns
        -------
        quantile : tensor
            Between `low`, the quantile of 0, and `high`, the quantile of 1. NaN for
            probabilities outside [0, 1].
        """
        u = value.double()
        u = u.masked_fill((u < 0) | (u > 1), math.nan)
        return _Quantile.apply(u, *self._exact)[0].to(self.loc.dtype)

    def rsample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw samples that are differentiable once in the parameters.

        Parameters
        ----------
        sample_shape : tuple of int, default=()
            Shape in front of the batch shape.
        generator : torch.Generator or None, default=None
            Random number generator. None uses the global generator of torch.

        Returns
        -------
        samples : tensor of shape sample_shape + batch_shape
            Values in [low, high].
        """
        shape = self._extended_shape(torch.Size(sample_shape))
        device = self.loc.device
        u = torch.rand(shape, generator=generator, dtype=torch.float64, device=device)
        return _Quantile.apply(u, *self._exact)[0].to(self.loc.dtype)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw samples without a gradient.

        Parameters
        ----------
        sample_shape : tuple of int, default=()
            Shape in front of the batch shape.
        generator : torch.Generator or None, default=None
            Random number generator. None uses the global generator of torch.

        Returns
        -------
        samples : tensor of shape sample_shape + batch_shape
            Values in [low, high].
        """
        with torch.no_grad():
            return self.rsample(sample_shape, generator)


def _cross_entropy(p, q):
    """Compute the mean under p of minus the log density of q, from their integrals."""
    mode_p, *_, offset, share = p
    mode, shift, scale, log_total, *_ = q
    offset = offset + (mode_p - mode).unsqueeze(-1)
    fall = _exponent(offset, shift.unsqueeze(-1), scale.unsqueeze(-1))
    return log_total + (share * fall).sum(-1)


def _infinite_outside(kl, p, q):
    outside = (p.low < q.low) | (p.high > q.high)
    return kl.masked_fill(outside, math.inf).to(p.loc.dtype)


@register_kl(TruncatedNormal, TruncatedNormal)
def _kl_truncated_normal(p, q):
    integral = p._integrate()
    kl = _cross_entropy(integral, q._integrate()) - _cross_entropy(integral, integral)
    return _infinite_outside(kl, p, q)


@register_kl(TruncatedNormal, Uniform)
def _kl_uniform(p, q):
    integral = p._integrate()
    kl = torch.log(q.high.double() - q.low.double()) - _cross_entropy(integral, integral)
    return _infinite_outside(kl, p, q)

"""Exponential integrals."""

import numpy as np
import torch
from torch import Tensor

__all__ = ["exp1", "exp3"]

_EULER_GAMMA = 0.5772156649015329
# Below the split a polynomial of Ein(x) = E1(x) + log(x) + gamma, above it one of x e^x E1(x) in
# (x - split) / (x + split); degrees for errors near those of rounding.
_SPLIT = 2.0
_DEGREE = {torch.float32: 7, torch.float64: 16}


def exp1(x: Tensor) -> Tensor:
    """Compute the exponential integral E1.

    Parameters
    ----------
    x : Tensor
        Positive values, float32 or float64.

    Returns
    -------
    Tensor
        Integral of exp(-x t) / t over t from one to infinity, with the shape and type of `x`.
        Infinite at zero and NaN for negative values. The gradient is -exp(-x) / x.
    """
    return _Exp1.apply(x)


def exp3(x: Tensor) -> Tensor:
    """Compute the generalised exponential integral E3.

    Twice this value is the transmissivity of an absorbing plate for isotropic light.

    Parameters
    ----------
    x : Tensor
        Non-negative values, float32 or float64.

    Returns
    -------
    Tensor
        Integral of exp(-x t) / t**3 over t from one to infinity, with the shape and type of `x`.
        NaN for negative values. The gradient is -E2(x), which is finite at zero.
    """
    return _Exp3.apply(x)[0]


class _Exp1(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return _exp_and_exp1(x)[1]

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return -grad * torch.exp(-x) / x


class _Exp3(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        exp, e1 = _exp_and_exp1(x + torch.finfo(x.dtype).tiny)
        e2 = exp - x * e1
        return 0.5 * (exp - x * e2), e2

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs, output[1])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx, grad, _):
        return -grad * _E2.apply(*ctx.saved_tensors)


class _E2(torch.autograd.Function):
    """E2 of the first input, which is known, with its derivative: exp3 is twice differentiable."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, e2):
        return e2.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx, grad):
        return -grad * exp1(ctx.saved_tensors[0]), None


def _exp_and_exp1(x):
    """Return exp(-x) and E1(x)."""
    below, above = _COEFFICIENTS[x.dtype]
    exp = torch.exp(-x)
    small = x.clamp(max=_SPLIT)
    log = torch.log(small).add_(_EULER_GAMMA)
    small = _horner(small * (2 / _SPLIT) - 1, below).mul_(small).sub_(log)
    large = x.clamp(min=_SPLIT)
    large = _horner((large - 3 * _SPLIT) / (large + _SPLIT), above).mul_(exp).div_(large)
    # Both are finite, and a product is several times as fast as torch.where on a CPU.
    return exp, torch.addcmul(large, (x < _SPLIT).to(x.dtype), small - large)


def _horner(x, coefficients):
    value = torch.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value.mul_(x).add_(coefficient)
    return value


def _fit(degree):
    """Interpolate both functions at Chebyshev nodes; coefficients of powers of t in [-1, 1]."""

    def below(t):
        x, term, total = (t + 1) * _SPLIT / 2, np.ones_like(t), np.zeros_like(t)
        for k in range(1, 40):
            total += term / k
            term *= -x / (k + 1)
        return total

    def above(t):
        # t = 2 (x - split) / (x + split) - 1; continued fraction of E1, from far inside out.
        x = _SPLIT * (3 + t) / (1 - t)
        fraction = np.zeros_like(x)
        for k in range(400, 0, -1):
            fraction = k / (1 + k / (x + fraction))
        return x / (x + fraction)

    cheb = np.polynomial.chebyshev
    return tuple(cheb.cheb2poly(cheb.chebinterpolate(f, degree)).tolist() for f in (below, above))


_COEFFICIENTS = {dtype: _fit(degree) for dtype, degree in _DEGREE.items()}

"""4SAIL: radiative transfer in a canopy of leaves, with the hot spot.

The canopy is one turbid layer over a soil. The code solves for the sum and the difference of the
upward and the downward diffuse flux. Both stay finite where leaves absorb nothing, and where the
extinction of a beam equals that of the diffuse light, so that one formula covers all cases. Names
follow Verhoef, Jia, Xiao and Su, "Unified optical-thermal four-stream radiative
transfer theory for homogeneous vegetation canopies", IEEE TGRS 45, 2007.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_sits.physics.leaf_angles import CLASS_CENTRES

__all__ = ["absorbed_fraction", "bidirectional_reflectance", "gap_fraction"]

_HOT_SPOT_STEPS = 20


def bidirectional_reflectance(
    leaf: tuple[Tensor, Tensor],
    soil: Tensor,
    leaf_angles: Tensor,
    lai: Tensor,
    hspot: Tensor,
    geometry: Tensor,
) -> Tensor:
    """Compute the top-of-canopy reflectance in direct sunlight, as seen by the sensor.

    Parameters
    ----------
    leaf : tuple of two Tensors of shape (..., n_wavelengths)
        Reflectance and transmittance of the leaves.
    soil : Tensor of shape (..., n_wavelengths)
        Reflectance of the soil.
    leaf_angles : Tensor of shape (..., 18)
        Share of the leaves in each inclination class.
    lai : Tensor of shape (...)
        Leaf area index in m²/m².
    hspot : Tensor of shape (...)
        Hot spot parameter: leaf size divided by canopy height.
    geometry : Tensor of shape (..., 3)
        Sun zenith, view zenith and relative azimuth in degrees.

    Returns
    -------
    Tensor of shape (..., n_wavelengths)
        Bidirectional reflectance factor.
    """
    lai, hspot = lai.unsqueeze(-1), hspot.unsqueeze(-1)
    sun_zenith, view_zenith, azimuth = torch.deg2rad(geometry).unsqueeze(-1).unbind(-2)
    sun = _Direction.of(sun_zenith, leaf_angles)
    view = _Direction.of(view_zenith, leaf_angles)
    back, forward = _area_scattering(sun, view, azimuth, leaf_angles)
    layer = _Layer.of(*leaf, leaf_angles, lai)
    sunlit, seen = _Beam.of(sun.extinction, layer, lai), _Beam.of(view.extinction, layer, lai)

    # Light scattered once: leaf, or soil, that is both sunlit and seen.
    both, path = _hot_spot(sun, view, azimuth, lai, hspot)
    once = (back * leaf[0] + forward * leaf[1]) * path
    # Light scattered more often within the canopy.
    ks, ko, m, eta = sun.extinction, view.extinction, layer.m, layer.eta
    z = -torch.expm1(-(ks + ko) * lai) / (ks + ko)
    downward = seen.even * sunlit.odd * (z - seen.gap * sunlit.j1) / (ko + m)
    upward = seen.odd * sunlit.even * (z - sunlit.gap * seen.j1) / (ks + m)
    edges = sunlit.even * sunlit.j2 * seen.reflected + sunlit.odd * sunlit.j1 * seen.transmitted
    multiple = (downward + upward - 0.5 * (1 - eta) * edges) / eta
    # Light that met the soil.
    rebound = soil * layer.reflected
    to_soil = (sunlit.gap + sunlit.transmitted) * seen.transmitted
    to_view = (sunlit.transmitted + sunlit.gap * rebound) * seen.gap
    return once + multiple + soil * (both + (to_soil + to_view) / _escape(rebound))


def absorbed_fraction(
    leaf: tuple[Tensor, Tensor],
    soil: Tensor,
    leaf_angles: Tensor,
    lai: Tensor,
    sun_zenith: Tensor,
) -> Tensor:
    """Compute the fraction of direct sunlight that the canopy absorbs.

    Parameters
    ----------
    leaf : tuple of two Tensors of shape (..., n_wavelengths)
        Reflectance and transmittance of the leaves.
    soil : Tensor of shape (..., n_wavelengths)
        Reflectance of the soil.
    leaf_angles : Tensor of shape (..., 18)
        Share of the leaves in each inclination class.
    lai : Tensor of shape (...)
        Leaf area index in m²/m².
    sun_zenith : Tensor of shape (...)
        Sun zenith in degrees.

    Returns
    -------
    Tensor of shape (..., n_wavelengths)
        One minus the fraction that leaves the canopy upwards and the fraction that the soil
        absorbs.
    """
    lai = lai.unsqueeze(-1)
    sun = _Direction.of(torch.deg2rad(sun_zenith).unsqueeze(-1), leaf_angles)
    layer = _Layer.of(*leaf, leaf_angles, lai)
    beam = _Beam.of(sun.extinction, layer, lai)
    on_soil = (beam.gap + beam.transmitted) / _escape(soil * layer.reflected)
    upwards = beam.reflected + soil * on_soil * layer.transmitted
    return 1 - upwards - (1 - soil) * on_soil


def gap_fraction(leaf_angles: Tensor, lai: Tensor, zenith: Tensor) -> Tensor:
    """Compute the probability of seeing the soil through the canopy.

    Parameters
    ----------
    leaf_angles : Tensor of shape (..., 18)
        Share of the leaves in each inclination class.
    lai : Tensor of shape (...)
        Leaf area index in m²/m².
    zenith : Tensor of shape (...)
        Zenith angle of the viewing direction in degrees.

    Returns
    -------
    Tensor of shape (...)
        Probability, 0-1.
    """
    direction = _Direction.of(torch.deg2rad(zenith).unsqueeze(-1), leaf_angles)
    return torch.exp(-direction.extinction.squeeze(-1) * lai)


def _escape(rebound):
    """Return the part of the light that does not come back to the soil."""
    # A soil brighter than one creates light, and nothing would escape from between it and the
    # canopy. The limit keeps the result finite for such a soil and changes no other.
    return (1 - rebound).clamp_min(1e-3)


class _Direction(NamedTuple):
    """A direction and the leaves projected on it, by class of inclination."""

    sine: Tensor
    cosine: Tensor
    leaf_cosine: Tensor  # mean over azimuth of cos(angle between leaf normal and direction) is
    leaf_sine: Tensor  # leaf_cosine + leaf_sine * cos(azimuth)
    turn: Tensor  # azimuth at which the lit side of a leaf changes
    ends: Tensor  # the larger of the two
    extinction: Tensor

    @classmethod
    def of(cls, zenith, leaf_angles):
        inclination = _constant(CLASS_CENTRES, zenith) * (math.pi / 180)
        sine, cosine = torch.sin(zenith), torch.cos(zenith)
        c, s = torch.cos(inclination) * cosine, torch.sin(inclination) * sine
        # A leaf that shows one side only turns at pi; the mask keeps the slope of acos at 1 out.
        ends = torch.maximum(s, c)
        eps = torch.finfo(s.dtype).eps
        mask = 0.5 + 0.5 * torch.sign(s - c)
        turn = math.pi - mask * torch.acos((c / ends).clamp_max(1 - eps))
        projection = (2 / math.pi) * ((turn - math.pi / 2) * c + torch.sin(turn) * s)
        extinction = (leaf_angles * projection).sum(-1, keepdim=True) / cosine
        return cls(sine, cosine, c, s, turn, ends, extinction)


def _area_scattering(sun, view, azimuth, leaf_angles):
    """Return the weights of leaf reflectance and transmittance in single scattering."""
    # Fold any azimuth into 0 to pi.
    azimuth = (azimuth - 2 * math.pi * torch.round(azimuth / (2 * math.pi))).abs()
    first = (sun.turn - view.turn).abs()
    last = math.pi - (sun.turn + view.turn - math.pi).abs()
    low = torch.minimum(azimuth, first)
    middle = torch.maximum(torch.minimum(azimuth, last), first)
    high = torch.maximum(azimuth, last)
    product = sun.leaf_sine * view.leaf_sine
    level = 2 * sun.leaf_cosine * view.leaf_cosine + product * torch.cos(azimuth)
    ends = sun.ends * view.ends
    wave = torch.sin(middle) * (2 * ends + product * torch.cos(low) * torch.cos(high))
    back = ((math.pi - middle) * level + wave).clamp_min(0)
    forward = (wave - middle * level).clamp_min(0)
    scale = leaf_angles / (2 * math.pi * sun.cosine * view.cosine)
    return (scale * back).sum(-1, keepdim=True), (scale * forward).sum(-1, keepdim=True)


class _Layer(NamedTuple):
    """Diffuse light in the canopy."""

    half_albedo: Tensor  # half of the albedo of a leaf
    half_bias: Tensor  # half of the bias of leaf scattering towards where the light came from
    alpha: Tensor  # extinction of the difference of the two fluxes ...
    beta_half_bias: Tensor  # ... and that of their sum, beta, times half of the bias
    m: Tensor
    eta: Tensor  # m / alpha
    half_tilt: Tensor  # half of eta bias
    decay: Tensor  # exp(-m lai)
    share: Tensor  # 1 / (1 + decay)
    g: Tensor  # 1 / (1 + beta q), with q = tanh(m lai / 2) / m
    h: Tensor  # 1 / (1 + alpha q)
    reflected: Tensor
    transmitted: Tensor

    @classmethod
    def of(cls, reflectance, transmittance, leaf_angles, lai):
        cosine = torch.cos(_constant(CLASS_CENTRES, lai) * (math.pi / 180))
        horizontal = (leaf_angles * (cosine * cosine)).sum(-1, keepdim=True)
        albedo = reflectance + transmittance
        half_bias = 0.5 * horizontal * (reflectance - transmittance)
        alpha, beta = 1 + 2 * half_bias, 1 - albedo
        # Leaves that absorb nothing have m = 0, to which no formula below is sensitive.
        floor = 1e-8 if albedo.dtype == torch.float32 else 1e-14
        m = torch.sqrt((alpha * beta).clamp_min(floor))
        tanh = torch.tanh(0.5 * m * lai)
        q = tanh / m
        g, h = 1 / (1 + beta * q), 1 / (1 + alpha * q)
        decay = (1 - tanh) / (1 + tanh)
        eta = m / alpha
        return cls(
            half_albedo=0.5 * albedo,
            half_bias=half_bias,
            alpha=alpha,
            beta_half_bias=beta * half_bias,
            m=m,
            eta=eta,
            half_tilt=eta * half_bias,
            decay=decay,
            share=0.5 + 0.5 * tanh,
            g=g,
            h=h,
            reflected=g - h,
            transmitted=g + h - 1,
        )


class _Beam(NamedTuple):
    """A beam of light, or of sight, that feeds the diffuse fluxes on its way down."""

    gap: Tensor  # exp(-extinction lai)
    even: Tensor  # source of the wave that decays upwards ...
    odd: Tensor  # ... and of the one that decays downwards
    j1: Tensor  # integrals of the product of beam and wave over the canopy
    j2: Tensor
    reflected: Tensor
    transmitted: Tensor

    @classmethod
    def of(cls, extinction, layer, lai):
        k, m = extinction, layer.m
        gap = torch.exp(-k * lai)
        # J1 = (exp(-m lai) - exp(-k lai)) / (k - m), written without the pole.
        x = 0.5 * (k - m) * lai
        j1 = 0.5 * lai * (gap + layer.decay) * _tanhc(x)
        j2 = (1 - gap * layer.decay) / (k + m)
        half_scattered = k * layer.half_albedo
        total = (j2 + j1) * layer.share
        slope = (j2 - j1) * layer.share / m
        # Halves of the sum and of the difference of the reflected and the transmitted flux.
        summed = (half_scattered * total + layer.beta_half_bias * slope) * layer.g
        difference = (layer.alpha * half_scattered * slope + layer.half_bias * total) * layer.h
        return cls(
            gap,
            half_scattered + layer.half_tilt,
            half_scattered - layer.half_tilt,
            j1,
            j2,
            summed + difference,
            summed - difference,
        )


def _tanhc(x):
    """Return tanh(x) / x."""
    small = 1e-4 if x.dtype == torch.float32 else 1e-8
    x = torch.copysign(x.abs().clamp_min(small), x)
    return torch.tanh(x) / x


def _hot_spot(sun, view, azimuth, lai, hspot):
    """Return the share of the soil, and the leaf area, that is both sunlit and seen.

    Kuusk's model of the correlation between the two (1985), integrated as by Verhoef (1998).
    """
    ks, ko = sun.extinction, view.extinction
    tan_sun, tan_view = sun.sine / sun.cosine, view.sine / view.cosine
    eps = torch.finfo(lai.dtype).eps
    # Distance between the two directions, exact also where it is small.
    across = 2 * torch.sin(0.5 * azimuth)
    squared = (tan_sun - tan_view) ** 2 + tan_sun * tan_view * across * across
    distance = torch.sqrt(squared.clamp_min(eps * eps))
    alpha = 2 * distance / (hspot.clamp_min(1e-6 * eps) * (ks + ko))
    alpha = alpha.clamp(1e-6, 1e6)
    # Steps of equal weight in the decay of the correlation, from the top to the bottom.
    step = _constant(range(1, _HOT_SPOT_STEPS + 1), lai) / _HOT_SPOT_STEPS
    decayed = -torch.expm1(-alpha) * step
    depth = torch.cat([-torch.log1p(-decayed[..., :-1]) / alpha, torch.ones_like(alpha)], -1)
    exponent = lai * (torch.sqrt(ks * ko) * decayed / alpha - (ks + ko) * depth)
    depth = torch.diff(depth, dim=-1, prepend=torch.zeros_like(alpha))
    drop = torch.diff(exponent, dim=-1, prepend=torch.zeros_like(alpha))
    seen = torch.exp(exponent)
    # The mean of an exponential function over each step, from its start.
    drop = drop.clamp_max(-eps)
    mean = torch.cat([torch.ones_like(alpha), seen[..., :-1]], -1) * torch.expm1(drop) / drop
    return seen[..., -1:], lai * (mean * depth).sum(-1, keepdim=True)


def _constant(values, like):
    return torch.tensor(tuple(values), dtype=like.dtype, device=like.device)

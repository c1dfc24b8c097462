"""Flags of spectra, and of the traits predicted from them."""

import numpy as np
import torch

from sklearn_sits._warnings import warn_counted, warn_user
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.traits.reflectances import is_reflectance

__all__ = ["flag_spectra", "flag_unusable", "list_flags", "may_have_offset", "warn_of_domain"]

NOT_OBSERVED, BAND, SPECTRUM, MISFIT, OFFSET, ANGLE = (1 << i for i in range(6))
_FLAGS = {
    "not_observed": NOT_OBSERVED,
    "band_out_of_domain": BAND,
    "spectrum_out_of_domain": SPECTRUM,
    "large_misfit": MISFIT,
    "offset_not_subtracted": OFFSET,
    "angle_out_of_domain": ANGLE,
}
# Share of the range of a target that is its bound.
_AT_BOUND = 0.005
# Number of spectra that can tell whether there is an offset, and the share that has to. Without an
# offset it is a few per cent of a scene, but may be a third of a few dry fields.
_FEWEST, _SAMPLED, _WITH_OFFSET = 50, 500, 0.25


def may_have_offset(sensor):
    """Tell whether the products of a sensor may hold an offset.

    Parameters
    ----------
    sensor : Sensor or None
        Sensor, None if it is not known.

    Returns
    -------
    may_have_offset : bool
    """
    return sensor is not None and sensor.name.startswith("Sentinel-2")


def list_flags(targets):
    """List the bits of the flags.

    Parameters
    ----------
    targets : list of str
        Names of the targets.

    Returns
    -------
    flags : dict of str to int
        Meanings and bits.
    """
    first = len(_FLAGS)
    return _FLAGS | {f"{name}_at_bound": 1 << (first + i) for i, name in enumerate(targets)}


def flag_spectra(posterior, columns, may_have_offset):
    """Flag complete spectra.

    Parameters
    ----------
    posterior : TraitPosterior
        Their distributions.
    columns : list of int
        Positions of the targets among the traits.
    may_have_offset : bool
        Whether the products of the sensor have an offset.

    Returns
    -------
    flags : int32 tensor of shape (n,)
    """
    module, spectra = posterior.module, posterior.spectra
    domain = module.domain
    density = domain.log_density(spectra)
    found = [
        (BAND, domain.band_is_outside(spectra)),
        (SPECTRUM, density < domain.lowest_density),
        (MISFIT, posterior.misfit > module.largest_misfit),
        (ANGLE, domain.angle_is_outside(posterior.angles)),
    ]
    if may_have_offset:
        found.append((OFFSET, domain.has_offset(spectra, density)))
    low, high = posterior.low[columns], posterior.high[columns]
    share = (posterior.mean(columns) - low) / (high - low)
    at_bound = (share < _AT_BOUND) | (share > 1 - _AT_BOUND)
    found += [(1 << (len(_FLAGS) + i), one) for i, one in enumerate(at_bound.T)]
    return sum(bit * flagged.int() for bit, flagged in found).int()


def flag_unusable(X, decoder):
    """Flag spectra that cannot be used.

    Parameters
    ----------
    X : Spectra
        Spectra with their angles.
    decoder : RadiativeTransferModel or None
        Model, None if any value can be a reflectance.

    Returns
    -------
    flags : int32 ndarray of shape (n,)
        0 for those that can be used.
    """
    flags = np.where(X.is_complete, 0, NOT_OBSERVED).astype(np.int32)
    if decoder is not None:
        known = ~np.isnan(X.reflectances)
        flags[(known & ~is_reflectance(X.reflectances)).any(axis=1)] |= BAND
        low, high = np.array([[angle.low, angle.high] for angle in decoder.geometry]).T
        out = ~np.isnan(X.angles) & ~((X.angles >= low) & (X.angles <= high))
        flags[out.any(axis=1)] |= ANGLE
    return flags


def warn_of_domain(X, domain, may_have_offset):
    """Warn of angles outside of those of training, and of an offset in many spectra.

    Parameters
    ----------
    X : Spectra
        Spectra with their angles.
    domain : SpectralDomain
        Where simulations lie, in double precision.
    may_have_offset : bool
        Whether the products of the sensor have an offset.

    Warns
    -----
    DataQualityWarning
        If there are any.
    """
    complete = np.flatnonzero(X.is_complete)
    if not complete.size:
        return
    outside = domain.angle_is_outside(torch.from_numpy(X.angles[complete]).double())
    if outside.any():
        low, high = domain.angle_range.numpy().round().astype(int)
        ranges = ", ".join(f"{a} to {b}" for a, b in zip(low, high, strict=True))
        warn_counted(
            "{outside} spectra have angles outside of those of the training, "
            f"{ranges} degrees: their traits are extrapolated.",
            DataQualityWarning,
            outside=int(outside.sum()),
        )
    if not may_have_offset or len(complete) < _FEWEST:
        return
    sampled = complete[:: 1 + len(complete) // _SAMPLED]
    spectra = torch.from_numpy(X.reflectances[sampled]).double()
    has_offset = domain.has_offset(spectra, domain.log_density(spectra))
    share = float(has_offset.double().mean())
    if share > _WITH_OFFSET:
        warn_user(
            f"{share:.0%} of the spectra would be likelier if 0.1 were subtracted from all "
            "reflectances. Sentinel-2 L2A products since 2022 hold an offset (BOA_ADD_OFFSET): "
            "reflectance = (integer - 1000) / 10000.",
            DataQualityWarning,
        )

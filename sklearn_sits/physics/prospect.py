"""PROSPECT: reflectance and transmittance of a leaf."""

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_sits._module_names import set_module
from sklearn_sits.physics.special import exp3
from sklearn_sits.physics.tables import load_tables

__all__ = ["Prospect", "leaf_tables"]

# Light reaches the leaf from a cone of 40 degrees (Jacquemoud and Baret 1990).
_INCIDENCE = 40.0
_PROSPECT5_PACKAGE = ("prosail", "2.0.5")


@set_module("sklearn_sits.physics")
class Prospect(nn.Module):
    """PROSPECT-D, a model of the leaf as a pile of absorbing plates.

    It computes the reflectance and the transmittance of a leaf from its structure and its
    contents [1]_, [2]_.

    Parameters
    ----------
    refractive_index : ndarray of shape (n_wavelengths,)
        Refractive index of leaf material.
    absorption : ndarray of shape (6, n_wavelengths)
        Specific absorption coefficients of chlorophyll, carotenoids and anthocyanins (cm²/µg),
        brown pigments (no unit), water (1/cm) and dry matter (cm²/g). See
        `sklearn_sits.physics.prospect.leaf_tables`.

    Notes
    -----
    The usual solution for the pile of N - 1 plates has powers of Stokes' b. Here the sum and the
    difference of the reflectance and the transmittance of the pile are tanh functions of N - 1.
    Both give the same values, but the latter has no singularity at zero absorption or at zero
    transmittance.

    References
    ----------
    .. [1] Féret, Gitelson, Noble and Jacquemoud, "PROSPECT-D: Towards modeling leaf optical
       properties through a complete lifecycle", Remote Sensing of Environment 193, 2017.
    .. [2] Jacquemoud and Baret, "PROSPECT: A model of leaf optical properties spectra", Remote
       Sensing of Environment 34, 1990.

    Examples
    --------
    A leaf with 45 µg/cm² of chlorophyll is darker in the red than in the near infrared:

    >>> import torch
    >>> from sklearn_sits.physics import Prospect
    >>> from sklearn_sits.physics.prospect import leaf_tables
    >>> tables = leaf_tables()
    >>> leaf = Prospect(refractive_index=tables[0], absorption=tables[1:])
    >>> #                        Cab  Car  Cant Cbrown Cw   Cm
    >>> contents = torch.tensor([45.0, 9.0, 0.0, 0.0, 0.015, 0.008])
    >>> reflectance, transmittance = leaf(torch.tensor(1.5), contents)
    >>> bool(reflectance[665 - 400] < 0.1) and bool(reflectance[842 - 400] > 0.4)
    True
    """

    absorption: Tensor
    interface: Tensor

    def __init__(self, refractive_index: np.ndarray, absorption: np.ndarray) -> None:
        super().__init__()
        outside = _transmissivity(refractive_index, 90.0)
        # Transmissivity of the surface from a cone, from all directions, and from within.
        interface = [_transmissivity(refractive_index, _INCIDENCE), outside]
        interface.append(outside / refractive_index**2)
        self.register_buffer("absorption", torch.tensor(absorption))
        self.register_buffer("interface", torch.tensor(np.stack(interface)))

    def forward(self, structure: Tensor, contents: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the reflectance and transmittance of leaves.

        Parameters
        ----------
        structure : Tensor of shape (...)
            Leaf structure N, at least one.
        contents : Tensor of shape (..., 6)
            Chlorophyll, carotenoids and anthocyanins (µg/cm²), brown pigments (no unit), water
            thickness (cm) and dry matter (g/cm²).

        Returns
        -------
        reflectance, transmittance : Tensor of shape (..., n_wavelengths)
            Fractions of the incoming light, 0-1.
        """
        absorption, interface = self.absorption.to(contents), self.interface.to(contents)
        structure = structure.unsqueeze(-1)
        tau = 2 * exp3((contents @ absorption) / structure)
        cone, outside, inside = interface
        # The elementary plate, for light from all directions and from the cone.
        within = 1 - inside
        rebound = within * tau
        through = inside * tau / (1 - rebound * rebound)
        tiny = 1e-18 if tau.dtype == torch.float32 else 1e-150
        t = (outside * through).clamp_min(tiny)
        r = (1 - outside) + rebound * t
        t_cone = cone * through
        r_cone = (1 - cone) + rebound * t_cone
        # N - 1 plates behind it: sum and difference of their reflectance and transmittance.
        outer, inner = 1 + t, 1 - t
        x = (inner - r).clamp_min(1e-6 * torch.finfo(tau.dtype).eps) / (outer + r)
        y = (outer - r) / (inner + r)
        s = torch.sqrt(x / y)
        atanh = 0.5 * torch.log1p(s * (1 + s) * (outer * outer - r * r) / (2 * t))
        q = torch.tanh((structure - 1) * atanh) / (s * y)
        even = 2 / (1 + x * y * q) - 1
        odd = 1 - 2 / (1 + q)
        r_pile, t_pile = 0.5 * (even + odd), 0.5 * (even - odd)
        into = t_cone / (1 - r_pile * r)
        return r_cone + into * r_pile * t, into * t_pile


def leaf_tables(version: str = "D") -> np.ndarray:
    """Return the optical constants of leaves at 400, 401, ..., 2500 nm.

    Parameters
    ----------
    version : {"D", "5"}, default="D"
        "D" is PROSPECT-D. "5" is PROSPECT-5, in which anthocyanins absorb nothing. Its constants
        are read from the package `prosail` 2.0.5, which must be installed, because their licence
        does not allow this package to ship them.

    Returns
    -------
    ndarray of shape (7, 2101)
        Refractive index, then the six rows of specific absorption that :class:`Prospect` takes.

    Raises
    ------
    ValueError
        If the version is unknown.
    ImportError
        If `version="5"` and `prosail` 2.0.5 is not installed.
    """
    if version == "D":
        tables = load_tables()
        return np.vstack([tables.refractive_index, tables.specific_absorption])
    if version != "5":
        raise ValueError(f"leaf must be 'D' or '5', got {version!r}.")
    package, needed = _PROSPECT5_PACKAGE
    try:
        found = metadata.version(package)
    except metadata.PackageNotFoundError:
        found = None
    if found != needed:
        raise ImportError(
            f"leaf='5' reads the coefficients of PROSPECT-5 from the package {package} {needed}, "
            f"found {found or 'none'}: pip install {package}=={needed}, or use leaf='D'."
        )
    folder = Path(find_spec(package).submodule_search_locations[0])
    index, cab, car, cbrown, cw, cm = np.loadtxt(folder / "prospect5_spectra.txt").T
    return np.stack([index, cab, car, np.zeros_like(cab), cbrown, cw, cm])


def _transmissivity(index, incidence):
    """Average the Fresnel transmittance over the directions of a cone (half-angle in degrees)."""
    node, weight = np.polynomial.legendre.leggauss(64)
    low = np.cos(np.radians(incidence))
    cosine = (low + (1 - low) * (node + 1) / 2)[:, None]
    refracted = np.sqrt(1 - (1 - cosine**2) / index**2)
    parallel = ((index * cosine - refracted) / (index * cosine + refracted)) ** 2
    perpendicular = ((cosine - index * refracted) / (cosine + index * refracted)) ** 2
    transmittance = 1 - (parallel + perpendicular) / 2
    return (weight[:, None] * cosine * transmittance).sum(0) / (weight[:, None] * cosine).sum(0)

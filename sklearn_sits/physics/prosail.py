"""PROSAIL: reflectance of a vegetation canopy in the bands of a sensor."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.sparse import eye_array
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sklearn_sits._module_names import set_module
from sklearn_sits.physics.canopy_types import CANOPY_TYPES, MIXTURE
from sklearn_sits.physics.checks import check_degrees, check_values
from sklearn_sits.physics.leaf_angles import campbell
from sklearn_sits.physics.prospect import Prospect, leaf_tables
from sklearn_sits.physics.quadrature import band_rule, interpolation
from sklearn_sits.physics.radiative_transfer import RadiativeTransferModel
from sklearn_sits.physics.sail import absorbed_fraction, bidirectional_reflectance, gap_fraction
from sklearn_sits.physics.sensors import Sensor
from sklearn_sits.physics.soil import Soil
from sklearn_sits.physics.tables import load_tables
from sklearn_sits.physics.traits import DERIVED_TRAITS
from sklearn_sits.physics.variables import (
    GEOMETRY,
    SIMULATION_PRIORS,
    VARIABLES,
    sample_geometry,
    sample_variables,
)

__all__ = ["Prosail", "check_degrees", "check_values"]

_PAR = (400.0, 700.0)  # nm
_PAR_NODES = 24
# Spectra times wavelengths whose arrays stay in the cache of a core.
_CACHED = 65_536


@set_module("sklearn_sits.physics")
class Prosail(RadiativeTransferModel):
    """PROSAIL, the combination of PROSPECT and 4SAIL, differentiable in every input.

    PROSPECT computes the optical properties of a leaf, and 4SAIL those of the canopy that such
    leaves form [1]_, [2]_.

    Parameters
    ----------
    sensor : str or Sensor, default="Sentinel-2A"
        Name of a sensor in `SENSORS`, or a sensor of your own.
    bands : sequence of str, default=None
        Names of its bands. None selects the bands designed for the land surface.
    leaf : {"D", "5"}, default="D"
        Version of PROSPECT, see :class:`Prospect`. With "D" the leaves have no anthocyanins.
    soil : array-like of shape (2101,), callable or None, default=None
        Spectrum or model of the soil, see `sklearn_sits.physics.soil.Soil`. None mixes the
        spectra of a dry and a wet soil.
    quadrature : int or "exact", default=3
        Number of wavelengths at which the model computes a band. "exact" takes every wavelength
        of the tables. The mean error in a Sentinel-2 band is 2e-5 with 3 and 2e-6 with 5, see
        `sklearn_sits.physics.quadrature.band_rule`. Use "exact" for a band that is wider than
        200 nm or whose response has parts far from its centre.
    chunk_size : int, default=8192
        Largest number of spectra computed at once. More spectra are computed in chunks, a second
        time in the backward pass, so that the memory in use does not grow with their number.

    Raises
    ------
    ValueError
        If the sensor, a band, the leaf, the soil, the quadrature or chunk_size is not as
        documented.

    References
    ----------
    .. [1] Jacquemoud et al., "PROSPECT + SAIL models: A review of use for vegetation
       characterization", Remote Sensing of Environment 113, 2009.
    .. [2] Verhoef, Jia, Xiao and Su, "Unified optical-thermal four-stream radiative transfer
       theory for homogeneous vegetation canopies", IEEE TGRS 45, 2007.

    Examples
    --------
    >>> import torch
    >>> from sklearn_sits.physics import Prosail
    >>> model = Prosail("Sentinel-2A", bands=["B4", "B8"])
    >>> #                 N   Cab  Car Cbrown Cw    Cm    LAI ALA hspot psoil rsoil
    >>> canopy = torch.tensor([1.5, 45.0, 9.0, 0.0, 0.015, 0.008, 3.0, 55.0, 0.1, 0.5, 0.8])
    >>> geometry = torch.tensor([35.0, 5.0, 100.0])  # sun zenith, view zenith, relative azimuth
    >>> red, near_infrared = model(canopy, geometry)
    >>> bool(red < 0.05) and bool(near_infrared > 0.3)
    True
    """

    variables = VARIABLES
    priors = SIMULATION_PRIORS
    canopy_types = CANOPY_TYPES
    mixture = MIXTURE
    geometry = GEOMETRY
    # Sun zenith, view zenith and relative azimuth of a usual acquisition, in degrees.
    nominal_geometry = (35.0, 5.0, 90.0)
    derived = tuple(DERIVED_TRAITS.values())
    regularised = ("LAI",)
    # The other variables belong to the species and the soil.
    seasonal = ("Cab", "Car", "Cbrown", "Cw", "LAI")

    def __init__(
        self,
        sensor: str | Sensor = "Sentinel-2A",
        bands: Sequence[str] | None = None,
        *,
        leaf: Literal["D", "5"] = "D",
        soil: ArrayLike | Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
        quadrature: int | Literal["exact"] = 3,
        chunk_size: int = 8192,
    ) -> None:
        super().__init__()
        if isinstance(sensor, str):
            sensor = Sensor.load(sensor, bands)
        elif not isinstance(sensor, Sensor):
            raise TypeError(f"sensor must be a name or a Sensor, got {type(sensor).__name__}.")
        elif bands is not None:
            sensor = sensor.select(bands)
        self.sensor = sensor
        self.chunk_size = _check_count(chunk_size, "chunk_size")
        wavelengths = load_tables().wavelengths
        sampling, weights = _sensor_rule(sensor, wavelengths, quadrature)
        self._at_nodes = _Canopy(sampling, weights, leaf, soil)
        self.register_buffer("_weights", torch.from_numpy(weights.T.copy()))
        par = (wavelengths >= _PAR[0]) & (wavelengths <= _PAR[1])
        sampling, weights = band_rule(wavelengths, par / par.sum(), _PAR_NODES)
        self._at_par = _Canopy(sampling, weights[None], leaf, soil)
        self.register_buffer("_par_weights", torch.from_numpy(weights))
        self._everywhere = _Canopy(eye_array(len(wavelengths)), None, leaf, soil)

    def forward(self, variables: Tensor, geometry: Tensor, *, check: bool = True) -> Tensor:
        """Compute the top-of-canopy reflectance in the bands of the sensor.

        Parameters
        ----------
        variables : Tensor of shape (..., 11)
            Leaf, canopy and soil variables in the order and units of `VARIABLES`, float32 or
            float64.
        geometry : Tensor of shape (..., 3)
            Sun zenith, view zenith and relative azimuth in degrees. The leading dimensions of
            both broadcast.
        check : bool, default=True
            Whether to check that the values are within their bounds. On a GPU the check waits
            for the device.

        Returns
        -------
        Tensor of shape (..., n_bands)
            Bidirectional reflectance factor, of the type of `variables`.

        Raises
        ------
        ValueError
            If a last dimension is wrong, or a value is NaN or out of bounds.
        TypeError
            If an input is not a floating tensor.
        """
        return self._chunked(self._bands, self._at_nodes, variables, geometry, check)

    def spectrum(self, variables: Tensor, geometry: Tensor, *, check: bool = True) -> Tensor:
        """Compute the top-of-canopy reflectance at 400, 401, ..., 2500 nm.

        Parameters
        ----------
        variables : Tensor of shape (..., 11)
            See `forward`.
        geometry : Tensor of shape (..., 3)
            See `forward`.
        check : bool, default=True
            See `forward`.

        Returns
        -------
        Tensor of shape (..., 2101)
            Bidirectional reflectance factor, of the type of `variables`.

        Raises
        ------
        ValueError, TypeError
            See `forward`.
        """
        return self._chunked(self._everywhere, self._everywhere, variables, geometry, check)

    def fapar(
        self, variables: Tensor, geometry: Tensor, *, green: bool = False, check: bool = True
    ) -> Tensor:
        """Compute the fraction of photosynthetically active radiation that leaves absorb.

        Parameters
        ----------
        variables : Tensor of shape (..., 11)
            See `forward`.
        geometry : Tensor of shape (..., 3)
            See `forward`; only the sun zenith matters.
        green : bool, default=False
            Whether only what chlorophyll and carotenoids absorb counts. At each wavelength this is
            their share in the absorption of the leaf.
        check : bool, default=True
            See `forward`.

        Returns
        -------
        Tensor of shape (...)
            Mean over 400-700 nm in direct sunlight (black sky), 0-1.

        Raises
        ------
        ValueError, TypeError
            See `forward`.
        """
        absorbed = self._absorbed_by_pigments if green else self._absorbed
        return self._chunked(absorbed, self._at_par, variables, geometry, check)

    def fcover(self, variables: Tensor, *, green: bool = False, check: bool = True) -> Tensor:
        """Compute the fraction of the ground that leaves cover when seen from above.

        Parameters
        ----------
        variables : Tensor of shape (..., 11)
            See `forward`.
        green : bool, default=False
            Whether only green leaves count: the fraction is multiplied by the share of chlorophyll
            and carotenoids in the absorption of the leaf, averaged over 400-700 nm.
        check : bool, default=True
            See `forward`.

        Returns
        -------
        Tensor of shape (...)
            Fraction, 0-1.

        Raises
        ------
        ValueError, TypeError
            See `forward`.
        """
        if check and not torch.compiler.is_compiling():
            check_values(variables, "variables", VARIABLES)
        lai, mean_angle = variables[..., 6], variables[..., 7]
        cover = 1 - gap_fraction(campbell(mean_angle), lai, torch.zeros_like(lai))
        if not green:
            return cover
        return cover * (self._at_par.green_share(variables) @ self._par_weights.to(variables))

    @property
    def bands(self):
        """Names of the bands."""
        return self.sensor.bands

    @property
    def centres(self):
        """Centres of the bands in nm."""
        return self.sensor.centre

    def sample_variables(self, n, priors, generator=None):
        """See :func:`~sklearn_sits.physics.sample_variables`. Soils reflect at most all light."""
        return sample_variables(n, priors, max_soil=1.0, generator=generator)

    def sample_geometry(self, n, generator=None):
        """See :func:`~sklearn_sits.physics.sample_geometry`, for the angles of the sensor."""
        return sample_geometry(n, generator, self.sensor.name)

    def _bands(self, variables, geometry):
        return self._at_nodes(variables, geometry) @ self._weights.to(variables)

    def _absorbed(self, variables, geometry):
        return self._absorbed_at_nodes(variables, geometry) @ self._par_weights.to(variables)

    def _absorbed_by_pigments(self, variables, geometry):
        absorbed = self._absorbed_at_nodes(variables, geometry)
        share = self._at_par.green_share(variables)
        return (absorbed * share) @ self._par_weights.to(variables)

    def _absorbed_at_nodes(self, variables, geometry):
        leaf, soil, leaf_angles = self._at_par.optics(variables)
        return absorbed_fraction(leaf, soil, leaf_angles, variables[:, 6], geometry[:, 0])

    def _chunked(self, function, canopy, variables, geometry, check):
        if check and not torch.compiler.is_compiling():
            check_values(variables, "variables", VARIABLES)
            check_values(geometry, "geometry", GEOMETRY)
            check_degrees(geometry)
        shape = torch.broadcast_shapes(variables.shape[:-1], geometry.shape[:-1])
        variables = variables.expand(*shape, len(VARIABLES)).reshape(-1, len(VARIABLES))
        geometry = geometry.to(variables).expand(*shape, 3).reshape(-1, 3)
        size, n_wavelengths = self.chunk_size, canopy.leaf.absorption.shape[1]
        graph = torch.is_grad_enabled() and (variables.requires_grad or geometry.requires_grad)
        if not graph and variables.device.type == "cpu":
            size = min(size, max(1, _CACHED // n_wavelengths))
        if len(variables) <= size:
            result = function(variables, geometry)
        else:
            options = {"use_reentrant": False, "preserve_rng_state": False}
            parts = zip(variables.split(size), geometry.split(size), strict=True)
            result = torch.cat(
                [
                    checkpoint(function, *part, **options) if graph else function(*part)
                    for part in parts
                ]
            )
        return result.reshape(shape + result.shape[1:])


class _Canopy(nn.Module):
    """Reflectance of a canopy at some wavelengths."""

    def __init__(self, sampling, weights, leaf, soil):
        super().__init__()
        index, *absorption = leaf_tables(leaf) @ sampling.T
        # A least-squares polynomial may fall below zero. The mean over a band does not change.
        positive = np.maximum(absorption, 0)
        if (positive > absorption).any():
            mean, kept = (np.maximum(x @ weights.T, 0) for x in (np.array(absorption), positive))
            positive *= (mean / np.where(kept > 0, kept, 1)) @ (weights > 0)
        self.leaf = Prospect(index, positive)
        self.soil = Soil(sampling, soil)

    def optics(self, variables):
        structure, *_, mean_angle, _, psoil, rsoil = variables.unbind(-1)
        leaf = self.leaf(structure, _list_contents(variables))
        return leaf, self.soil(psoil, rsoil), campbell(mean_angle)

    def green_share(self, variables):
        """Return the share of chlorophyll and carotenoids in the absorption of the leaf."""
        contents = _list_contents(variables)
        absorption = self.leaf.absorption.to(variables)
        total = contents @ absorption
        return contents[..., :2] @ absorption[:2] / total.clamp_min(torch.finfo(total.dtype).tiny)

    def forward(self, variables, geometry):
        lai, hspot = variables[..., 6], variables[..., 8]
        return bidirectional_reflectance(*self.optics(variables), lai, hspot, geometry)


def _list_contents(variables):
    """Return the contents of leaves in the order of the tables, no anthocyanins among them."""
    _, cab, car, cbrown, cw, cm, *_ = variables.unbind(-1)
    return torch.stack([cab, car, torch.zeros_like(cab), cbrown, cw, cm], dim=-1)


def _sensor_rule(sensor, wavelengths, quadrature):
    """Return how nodes sample the tables, and their weights (n_bands, n_nodes)."""
    if quadrature == "exact":
        seen = sensor.responses.any(axis=0)
        return interpolation(wavelengths, sensor.wavelengths[seen]), sensor.responses[:, seen]
    n = _check_count(quadrature, "quadrature", " or 'exact'")
    tables = interpolation(wavelengths, sensor.wavelengths)
    samplings, blocks = [], []
    for response in sensor.responses:
        sampling, weights = band_rule(sensor.wavelengths, response, n)
        samplings.append(sampling @ tables)
        blocks.append(weights)
    bounds = np.cumsum([0, *map(len, blocks)])
    weights = np.zeros((len(blocks), bounds[-1]))
    for row, block, start, stop in zip(weights, blocks, bounds, bounds[1:], strict=False):
        row[start:stop] = block
    return np.vstack(samplings), weights


def _check_count(value, name, also=""):
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a positive integer{also}, got {value!r}.")
    return int(value)

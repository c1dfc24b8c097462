"""Bands of satellite sensors: averages of a spectrum weighted by their spectral responses."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from sklearn_sits._module_names import set_module
from sklearn_sits.physics.tables import load_tables

__all__ = ["SENSORS", "Sensor"]

# Bands for the land surface: not those for the atmosphere or the sea, nor panchromatic ones.
_SENTINEL2 = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
_LAND = dict.fromkeys(("Sentinel-2A", "Sentinel-2B", "Sentinel-2C"), _SENTINEL2) | dict.fromkeys(
    ("Landsat-8", "Landsat-9", "MODIS-Terra", "MODIS-Aqua"), tuple(f"B{i}" for i in range(1, 8))
)
SENSORS: tuple[str, ...] = tuple(_LAND)


@dataclass(frozen=True, eq=False)
@set_module("sklearn_sits.physics")
class Sensor:
    """Bands of a sensor, as weights of the wavelengths of a spectrum.

    :meth:`load` makes one of the sensors of the package, :meth:`from_responses` any other.

    Parameters
    ----------
    name : str
        Name of the sensor.
    bands : tuple of str
        Names of the bands.
    wavelengths : ndarray of shape (w,)
        Ascending wavelengths in nm, within 400 to 2500.
    responses : ndarray of shape (n_bands, w)
        Weight of each wavelength in each band. Weights are not negative and sum to one in each
        band.

    Raises
    ------
    ValueError or TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sits.physics import Sensor
    >>> sensor = Sensor.load("Sentinel-2A", ["B4", "B8"])
    >>> sensor.centre.round()
    array([665., 833.])
    >>> wavelengths = np.arange(400, 701)
    >>> green = np.exp(-0.5 * ((wavelengths - 550) / 20) ** 2)
    >>> camera = Sensor.from_responses(wavelengths, [green], ["green"])
    >>> camera.average(np.linspace(0, 0.3, 301))
    array([0.15])
    """

    name: str
    bands: tuple[str, ...]
    wavelengths: np.ndarray = field(repr=False)
    responses: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        bands, wavelengths, responses = _check(self.bands, self.wavelengths, self.responses)
        sums = responses.sum(1)
        _require(np.allclose(sums, 1, rtol=0, atol=1e-6), "responses must sum to one", sums)
        vars(self).update(bands=bands, wavelengths=wavelengths, responses=responses)

    @classmethod
    def load(cls, name: str, bands: Sequence[str] | None = None) -> "Sensor":
        """Load a sensor that comes with the package, every nanometre from 400 to 2500 nm.

        Parameters
        ----------
        name : str
            One of `SENSORS`.
        bands : sequence of str or None, default=None
            Names of the bands, in any order. None selects the bands designed for the land
            surface: B2 to B8, B8A, B11 and B12 of Sentinel-2, B1 to B7 of Landsat and MODIS. The
            other bands are B1, B9 and B10 of Sentinel-2A and 2B, B8 (panchromatic) and B9 of
            Landsat, and B8 to B16 of MODIS.

        Returns
        -------
        Sensor
            Sensor with these bands, in this order.

        Raises
        ------
        ValueError or TypeError
            If the sensor or a band is unknown, or a band is named twice.
        """
        _require(name in SENSORS, f"name must be one of {', '.join(SENSORS)}", repr(name))
        tables = load_tables()
        known = tables.responses[name]
        sensor = cls.from_responses(tables.wavelengths, list(known.values()), list(known), name)
        return sensor.select(_LAND[name] if bands is None else bands)

    @classmethod
    def from_responses(
        cls,
        wavelengths: ArrayLike,
        responses: ArrayLike,
        names: Sequence[str],
        name: str = "custom",
    ) -> "Sensor":
        """Make a sensor from relative spectral responses on any grid of wavelengths.

        The averages of the sensor are integrals over the wavelength (trapezoidal rule), so the
        spacing of the grid may vary. The scale of the responses of a band does not matter.

        Parameters
        ----------
        wavelengths : array-like of shape (w,)
            Ascending wavelengths in nm, within 400 to 2500, with any spacing.
        responses : array-like of shape (n_bands, w)
            Relative spectral response of each band, not negative and not zero everywhere.
        names : sequence of str
            Names of the bands, all different.
        name : str, default="custom"
            Name of the sensor.

        Returns
        -------
        Sensor
            Sensor at the given wavelengths.

        Raises
        ------
        ValueError or TypeError
            If an argument is not as above.
        """
        names, wavelengths, responses = _check(names, wavelengths, responses)
        spacing = np.diff(wavelengths, prepend=wavelengths[0], append=wavelengths[-1])
        # Divided by the largest first: no sum overflows, and none is rounded to zero.
        weights = responses / responses.max(1, keepdims=True) * (spacing[:-1] + spacing[1:])
        return cls(name, names, wavelengths, weights / weights.sum(1, keepdims=True))

    def select(self, bands: Sequence[str]) -> "Sensor":
        """Select some of the bands.

        Parameters
        ----------
        bands : sequence of str
            Names of the bands, in any order.

        Returns
        -------
        Sensor
            Sensor with these bands, in this order.

        Raises
        ------
        ValueError or TypeError
            If a band is unknown or named twice.
        """
        _require(set(bands) <= set(self.bands), f"bands must be of {self.bands}", bands)
        rows = [self.bands.index(band) for band in bands]
        return Sensor(self.name, bands, self.wavelengths, self.responses[rows])

    def average(self, spectrum: Any) -> Any:
        """Average spectra over the bands.

        Parameters
        ----------
        spectrum : ndarray or Tensor of shape (..., w)
            Spectra at the wavelengths of the sensor, of a floating point type.

        Returns
        -------
        ndarray or Tensor of shape (..., n_bands)
            Averages, of the same type and on the same device as `spectrum`.

        Raises
        ------
        ValueError or TypeError
            If the spectra have another number of wavelengths or another type.
        """
        tensor = isinstance(spectrum, torch.Tensor) and spectrum.is_floating_point()
        if not tensor and not (isinstance(spectrum, np.ndarray) and spectrum.dtype.kind == "f"):
            raise TypeError(f"spectrum must be a floating point array, found {spectrum!r:.60}")
        last, shape = self.wavelengths.shape, tuple(spectrum.shape)
        _require(shape[-1:] == last, f"spectrum must have shape (..., {last[0]})", shape)
        if tensor:
            weights = torch.tensor(self.responses, dtype=spectrum.dtype, device=spectrum.device)
            return spectrum @ weights.T
        return spectrum @ self.responses.T.astype(spectrum.dtype)

    @property
    def centre(self) -> np.ndarray:
        """Mean wavelength of each band, weighted by its response, in nm, of shape (n_bands,)."""
        return self.responses @ self.wavelengths


def _require(condition, expected, found):
    if not condition:
        raise ValueError(f"{expected}, found {found}")


def _numbers(values, argument):
    try:
        values = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{argument} must be an array of numbers, found: {error}") from error
    _require(np.isfinite(values).all(), f"{argument} must be finite", "NaN or infinity")
    values.setflags(write=False)
    return values


def _check(names, wavelengths, responses):
    listed = tuple(names) if isinstance(names, Iterable) else (names,)
    if isinstance(names, str) or not all(isinstance(name, str) for name in listed):
        raise TypeError(f"names of bands must be a sequence of strings, found {names!r}")
    _require(0 < len(listed) == len(set(listed)), "bands must have names, all different", listed)
    w, responses = _numbers(wavelengths, "wavelengths"), _numbers(responses, "responses")
    _require(w.ndim == 1 and w.size > 1, "wavelengths must have shape (w,) with w > 1", w.shape)
    found = f"{w.min():g} to {w.max():g}"
    _require(w.max() >= 10, "wavelengths must be in nm, not in micrometres", found)
    _require(w.min() >= 400 and w.max() <= 2500, "wavelengths must lie in 400 to 2500 nm", found)
    _require(np.diff(w).min() > 0, "wavelengths must ascend", f"a step of {np.diff(w).min():g} nm")
    shape = (len(listed), w.size)
    _require(responses.shape == shape, f"responses must have shape {shape}", responses.shape)
    for name, response in zip(listed, responses, strict=True):
        found = f"{response.min():g} to {response.max():g} in {name}"
        _require(response.min() >= 0, "responses must not be negative", found)
        _require(response.max() > 0, "responses must not be zero everywhere", found)
    return listed, w, responses

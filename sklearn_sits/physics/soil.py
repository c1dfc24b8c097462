"""Reflectance of the soil below the canopy."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_sits.physics.tables import load_tables

__all__ = ["Soil"]


class Soil(nn.Module):
    """Reflectance of a soil from its brightness and, if it has two spectra, its dryness.

    Parameters
    ----------
    sampling : ndarray of shape (n_wavelengths, 2101)
        Weights that take tables at 400, 401, ..., 2500 nm to the wavelengths of the soil.
    spectrum : array-like of shape (2101,), callable or None, default=None
        Measured reflectance at 400, 401, ..., 2500 nm, which the brightness multiplies. A
        callable takes three tensors, dryness (..., 1), brightness (..., 1) and wavelengths in nm
        (n_wavelengths,), and returns the reflectance. None mixes the spectra of a dry and a wet
        soil.

    Raises
    ------
    ValueError
        If the spectrum has another shape, is negative or is not finite.
    """

    def __init__(self, sampling: np.ndarray, spectrum: object = None):
        super().__init__()
        tables = load_tables()
        self.function: Callable | None = spectrum if callable(spectrum) else None
        if self.function is not None:
            members = tables.wavelengths[None]
        elif spectrum is not None:
            members = np.asarray(spectrum, dtype=np.float64)[None]
            if members.shape != (1, len(tables.wavelengths)):
                raise ValueError(
                    "soil must have 2101 values, the reflectance at 400, 401, ..., 2500 nm, got "
                    f"shape {members.shape[1:]}."
                )
            if not (np.isfinite(members).all() and members.min() >= 0):
                raise ValueError("soil must be finite and not negative.")
        else:
            members = np.stack([tables.dry_soil, tables.wet_soil])
        self.register_buffer("members", torch.from_numpy(members @ sampling.T))

    def forward(self, dryness: Tensor, brightness: Tensor) -> Tensor:
        """Compute the reflectance of soils.

        Parameters
        ----------
        dryness : Tensor of shape (...)
            Share of the dry soil in the mixture, 0-1.
        brightness : Tensor of shape (...)
            Factor on the reflectance.

        Returns
        -------
        Tensor of shape (..., n_wavelengths)
            Reflectance.
        """
        dryness, brightness = dryness.unsqueeze(-1), brightness.unsqueeze(-1)
        members = self.members.to(brightness)
        if self.function is not None:
            return self.function(dryness, brightness, members[0])
        if len(members) == 1:
            return brightness * members[0]
        return brightness * torch.lerp(members[1], members[0], dryness)

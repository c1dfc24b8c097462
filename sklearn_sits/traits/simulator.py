"""Simulated spectra with the traits that made them."""

import numpy as np
import torch

from sklearn_sits.physics import VARIABLES, sample_geometry, sample_variables

__all__ = ["NOMINAL_ANGLES", "Simulator", "with_ground"]

_NAMES = [variable.name for variable in VARIABLES]
_LAI = _NAMES.index("LAI")
_PER_GROUND = [_NAMES.index(name) for name in ("Cab", "Cw", "Cm")]
# Sun zenith, view zenith and relative azimuth where X has none, in degrees.
NOMINAL_ANGLES = (35.0, 5.0, 90.0)
# What changes within weeks, and how far it goes towards an independent draw. The rest belongs to
# the species and the soil.
_CHANGING = [_NAMES.index(name) for name in ("Cab", "Car", "Cbrown", "Cw", "LAI")]
_CHANGE = 0.3


class Simulator:
    """Spectra of known traits.

    Parameters
    ----------
    decoder : Prosail
        Canopy model of the sensor.
    priors : dict of str to Prior
        Distributions of the variables.
    noise : float
        Largest standard deviation of the noise in reflectances.
    has_angles : bool
        Whether the geometry is known to the encoder; otherwise it is `NOMINAL_ANGLES`.
    """

    def __init__(self, decoder, priors, noise, has_angles):
        self.decoder, self.priors, self.noise, self.has_angles = decoder, priors, noise, has_angles

    def bounds(self):
        """Return the bounds of the traits.

        Returns
        -------
        low, high : float64 ndarray of shape (14,)
            Of the variables, then of CCC, CWC and CDMC.
        """
        priors = [self.priors[name] for name in _NAMES]
        low = np.array([min(prior.low, prior.dense_low) for prior in priors])
        high = np.array([max(prior.high, prior.dense_high) for prior in priors])
        low = np.concatenate([low, low[_LAI] * low[_PER_GROUND]])
        return low, np.concatenate([high, high[_LAI] * high[_PER_GROUND]])

    def draw(self, n, angles, generator):
        """Draw traits, angles and reflectances without noise.

        Parameters
        ----------
        n : int
            Number of draws.
        angles : tensor of shape (m, 3) or None
            Angles that half of the draws take.
        generator : torch.Generator
            Source of randomness.

        Returns
        -------
        traits : float32 tensor of shape (n, 14)
        angles : float32 tensor of shape (n, 3)
        spectra : float32 tensor of shape (n, n_bands)
        """
        return self._decode(self._variables(n, generator), angles, generator)

    def draw_later(self, traits, generator):
        """Draw the same canopies some weeks later, under other angles.

        Parameters
        ----------
        traits : tensor of shape (n, 14)
            As `draw` returns them.
        generator : torch.Generator
            Source of randomness.

        Returns
        -------
        traits, angles, spectra
            See `draw`.
        """
        variables = traits[:, : len(_NAMES)].clone()
        other = self._variables(len(traits), generator)
        for column in _CHANGING:
            variables[:, column].lerp_(other[:, column], _CHANGE)
        return self._decode(variables, None, generator)

    def _variables(self, n, generator):
        return sample_variables(n, self.priors, max_soil=1.0, generator=generator).float()

    def _decode(self, variables, angles, generator):
        n = len(variables)
        if self.has_angles:
            geometry = sample_geometry(n, generator).float()
            if angles is not None:
                chosen = torch.randint(len(angles), (n // 2,), generator=generator)
                geometry[: n // 2] = angles[chosen]
        else:
            geometry = torch.tensor(NOMINAL_ANGLES).expand(n, 3)
        with torch.no_grad():
            spectra = self.decoder(variables, geometry, check=False)
        return with_ground(variables), geometry, spectra

    def add_noise(self, spectra, generator):
        """Add noise of a random size per spectrum.

        Parameters
        ----------
        spectra : tensor of shape (n, n_bands)
            Reflectances.
        generator : torch.Generator
            Source of randomness, on the CPU.

        Returns
        -------
        tensor of shape (n, n_bands)
        """
        size = self.noise * torch.rand(len(spectra), 1, generator=generator)
        noise = size * torch.randn(spectra.shape, generator=generator)
        return spectra + noise.to(spectra.device)


def with_ground(variables):
    """Append chlorophyll, water and dry matter per ground area.

    Parameters
    ----------
    variables : tensor of shape (..., 11)
        Leaf, canopy and soil.

    Returns
    -------
    tensor of shape (..., 14)
    """
    per_ground = variables[..., _LAI, None] * variables[..., _PER_GROUND]
    return torch.cat([variables, per_ground], dim=-1)

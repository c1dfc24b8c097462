"""Simulated spectra with the traits that made them."""

import torch

__all__ = ["Simulator"]

# How far seasonal variables go in some weeks towards an independent draw. A guess: it sets the
# share of the errors that the dates of a series have in common.
_SEASONAL_CHANGE = 0.3


class Simulator:
    """Spectra of known traits.

    Parameters
    ----------
    decoder : RadiativeTransferModel
        Canopy model of the sensor.
    priors : dict of str to Prior
        Distributions of the variables.
    noise : float
        Largest standard deviation of the noise in reflectances.
    has_angles : bool
        Whether the geometry is known to the encoder; otherwise it is the nominal one.
    """

    def __init__(self, decoder, priors, noise, has_angles):
        self.decoder, self.priors, self.noise, self.has_angles = decoder, priors, noise, has_angles

    @property
    def n_angles(self):
        """Number of angles that the encoder knows."""
        return len(self.decoder.geometry) if self.has_angles else 0

    def bounds(self):
        """Return the bounds of the traits.

        Returns
        -------
        low, high : float32 tensor of shape (n_traits,)
            Of the variables, then of the derived traits.
        """
        low, high = self.decoder.bounds(self.priors)
        return low.float(), high.float()

    def draw(self, n, angles, generator):
        """Draw traits, angles and reflectances without noise.

        Parameters
        ----------
        n : int
            Number of draws.
        angles : tensor of shape (m, n_angles) or None
            Angles that half of the draws take.
        generator : torch.Generator
            Source of randomness.

        Returns
        -------
        traits : float32 tensor of shape (n, n_traits)
        angles : float32 tensor of shape (n, n_geometry)
        spectra : float32 tensor of shape (n, n_bands)
        """
        return self._decode(self._draw_variables(n, generator), angles, generator)

    def draw_later(self, traits, generator):
        """Draw the same canopies some weeks later, under other angles.

        Parameters
        ----------
        traits : tensor of shape (n, n_traits)
            As `draw` returns them.
        generator : torch.Generator
            Source of randomness.

        Returns
        -------
        traits, angles, spectra
            See `draw`.
        """
        names = [variable.name for variable in self.decoder.variables]
        variables = traits[:, : len(names)].clone()
        other = self._draw_variables(len(traits), generator)
        for column in map(names.index, self.decoder.seasonal):
            variables[:, column].lerp_(other[:, column], _SEASONAL_CHANGE)
        return self._decode(variables, None, generator)

    def _draw_variables(self, n, generator):
        return self.decoder.sample_variables(n, self.priors, generator=generator).float()

    def _decode(self, variables, angles, generator):
        n, decoder = len(variables), self.decoder
        if self.has_angles:
            geometry = decoder.sample_geometry(n, generator).float()
            if angles is not None:
                chosen = torch.randint(len(angles), (n // 2,), generator=generator)
                geometry[: n // 2] = angles[chosen]
        else:
            nominal = torch.tensor(decoder.nominal_geometry)
            geometry = nominal.expand(n, len(nominal))
        with torch.no_grad():
            spectra = decoder(variables, geometry, check=False)
            traits = decoder.append_derived(variables, geometry)
        return traits, geometry, spectra

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

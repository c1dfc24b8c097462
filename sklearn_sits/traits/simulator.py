"""Simulated spectra with the traits that made them."""

import torch

from sklearn_sits.physics.canopy_types import sample_mixture

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
    priors : list of dict of str to Prior
        Distributions of the variables. Each has an equal share of the simulations.
    noise : float
        Largest standard deviation of the noise in reflectances.
    has_angles : bool
        Whether the geometry is known to the encoder; otherwise it is the nominal one.
    ranges : mapping of str to (float, float), default=()
        Angles that are uniform between two bounds, in place of the geometry of the sensor.
    """

    def __init__(self, decoder, priors, noise, has_angles, ranges=()):
        self.decoder, self.priors, self.noise, self.has_angles = decoder, priors, noise, has_angles
        self.ranges = dict(ranges)

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
        ends = [self.decoder.bounds(table) for table in self.priors]
        low, high = (torch.stack(values) for values in zip(*ends, strict=True))
        return low.amin(0).float(), high.amax(0).float()

    def split(self):
        """Make a simulator of each type of canopy.

        Returns
        -------
        simulators : list of Simulator
            Empty if there is one type only.
        """
        # Types with more than one share of the simulations count once.
        tables = [table for i, table in enumerate(self.priors) if table not in self.priors[:i]]
        if len(tables) == 1:
            return []
        settings = (self.noise, self.has_angles, self.ranges)
        return [Simulator(self.decoder, [table], *settings) for table in tables]

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
        def sample(count, table):
            return self.decoder.sample_variables(count, table, generator=generator)

        return sample_mixture(sample, n, self.priors, generator).float()

    def _draw_geometry(self, n, generator):
        geometry = self.decoder.sample_geometry(n, generator)
        for column, angle in enumerate(self.decoder.geometry):
            if angle.name in self.ranges:
                low, high = self.ranges[angle.name]
                uniform = torch.rand(n, dtype=geometry.dtype, generator=generator)
                geometry[:, column] = low + (high - low) * uniform
        return geometry.float()

    def _decode(self, variables, angles, generator):
        n, decoder = len(variables), self.decoder
        if self.has_angles:
            geometry = self._draw_geometry(n, generator)
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

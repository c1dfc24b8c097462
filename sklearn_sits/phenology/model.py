"""Encoder of seasons: series of a vegetation index to distributions of their parameters."""

import torch
from torch import nn

from sklearn_sits.nn.gridding import grid_series
from sklearn_sits.nn.ordered import in_order
from sklearn_sits.nn.refinement import RefinedEncoder
from sklearn_sits.physics.double_logistic import LAST_DAY, PHENOLOGY, double_logistic, linearise

__all__ = ["CHAINS", "SeasonModel", "parameter_bounds"]

# Minimum and maximum ascend, and so do the four dates.
CHAINS = (2, 4)
# Variance that the encoder adds to residuals.
_MIN_VARIANCE = 1e-5
# Days between the nodes at which the encoder sees a series.
_STEP = 15.0


def parameter_bounds(priors):
    """Return the bounds of the parameters.

    Parameters
    ----------
    priors : mapping of str to (float, float)
        See :func:`~sklearn_sits.physics.double_logistic.sample_phenology`.

    Returns
    -------
    low, high : tensor of shape (6,)
        The same ones for the minimum and the maximum, and for all dates.
    """
    base, amplitude, start = (priors[name] for name in ("minimum", "amplitude", "start_of_season"))
    last = start[1] + sum(priors[name][1] for name in ("growth", "plateau", "decline"))
    low = [base[0]] * 2 + [start[0]] * 4
    high = [min(base[1] + amplitude[1], PHENOLOGY[1].high)] * 2 + [min(last, LAST_DAY)] * 4
    return torch.tensor(low, dtype=torch.float32), torch.tensor(high, dtype=torch.float32)


class SeasonModel(nn.Module):
    """An encoder, and the double logistic as its decoder.

    Parameters
    ----------
    n_hidden : int
        Units of the layers of the encoder.
    n_blocks : int
        Number of its residual blocks.
    noise : float
        Largest standard deviation of the noise of simulations.
    smallest_amplitude : float
        Smallest difference of the maximum from the minimum in simulations.
    """

    def __init__(self, n_hidden, n_blocks, noise, smallest_amplitude):
        super().__init__()
        self.noise_variance = noise**2 + _MIN_VARIANCE
        self.smallest_amplitude = smallest_amplitude
        nodes = torch.arange(PHENOLOGY[2].low, LAST_DAY + _STEP, _STEP)
        self.encoder = RefinedEncoder(2 * len(nodes), len(PHENOLOGY), n_hidden, n_blocks)
        self.register_buffer("nodes", nodes)
        self.register_buffer("low", torch.zeros(len(PHENOLOGY)))
        self.register_buffer("high", torch.ones(len(PHENOLOGY)))

    def to_latents(self, parameters):
        """Map parameters to [0, 1].

        Parameters
        ----------
        parameters : tensor of shape (..., 6)
            In the units of `PHENOLOGY`.

        Returns
        -------
        latents : tensor of shape (..., 6)
        """
        return ((parameters - self.low) / (self.high - self.low)).clamp(0, 1)

    def to_parameters(self, latents):
        """Map latents to parameters in their order.

        Parameters
        ----------
        latents : tensor of shape (..., 6)
            In [0, 1].

        Returns
        -------
        parameters : tensor of shape (..., 6)
            In the units of `PHENOLOGY`.
        """
        return self.low + (self.high - self.low) * in_order(latents, CHAINS)

    def decode(self, latents, days):
        """Compute the vegetation index.

        Parameters
        ----------
        latents : tensor of shape (..., 6)
            In [0, 1].
        days : tensor of shape (..., t)
            Days of the season.

        Returns
        -------
        values : tensor of shape (..., t)
        """
        return double_logistic(self.to_parameters(latents), days)

    def inputs(self, days, values, seen):
        """Compute the inputs of the first network.

        Parameters
        ----------
        days, values : tensor of shape (n, t)
            Days of the season and vegetation index, finite everywhere.
        seen : bool tensor of shape (n, t)
            Where there is an observation.

        Returns
        -------
        inputs : tensor of shape (n, n_inputs)
        """
        interpolated, count = grid_series(days, values, seen, self.nodes)
        return torch.cat([interpolated, torch.log1p(count)], dim=1)

    def forward(self, days, values, seen):
        """Encode series.

        Parameters
        ----------
        days, values : tensor of shape (n, t)
            Days of the season and vegetation index, finite everywhere.
        seen : bool tensor of shape (n, t)
            Where there is an observation, one per series at least.

        Returns
        -------
        refined : Refined
            Distributions of the latents.
        """
        weight = seen.to(values.dtype)
        width = self.high - self.low

        def normal_equations(latents):
            point = in_order(latents, CHAINS)
            found, jacobian = linearise(self.to_parameters(point), days)
            residual = (values - found) * weight
            gradient = (jacobian @ residual.unsqueeze(-1)).squeeze(-1)
            # In place, for this is the largest array.
            jacobian.mul_(weight.unsqueeze(1))
            information = jacobian @ jacobian.mT
            return (
                point,
                residual.square().sum(1, keepdim=True),
                gradient * width,
                information * width * width.unsqueeze(-1),
                weight.sum(1, keepdim=True),
            )

        return self.encoder(self.inputs(days, values, seen), normal_equations)

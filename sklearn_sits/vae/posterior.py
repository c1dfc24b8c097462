"""Base class of the distributions that an encoder returns."""

from abc import ABC, abstractmethod

__all__ = ["Posterior"]


class Posterior(ABC):
    """Distributions of all outputs of a regressor, for the observations of a batch (abstract).

    Outputs are traits, or parameters of a season, in their units. Columns are positions among
    them.
    """

    def mean(self, columns):
        """See :meth:`moments`, of which this returns the first."""
        return self.moments(columns)[0]

    @abstractmethod
    def moments(self, columns):
        """Return the means and standard deviations of some outputs.

        Parameters
        ----------
        columns : list of int
            Their positions.

        Returns
        -------
        mean, std : tensor of shape (n, n_columns)
        """

    @abstractmethod
    def quantiles(self, levels, columns):
        """Return quantiles of some outputs, within their bounds.

        Parameters
        ----------
        levels : tensor of shape (n_levels, 1, 1) or (n_levels, n, n_columns)
            Probabilities.
        columns : list of int
            Positions of the outputs.

        Returns
        -------
        values : tensor of shape (n_levels, n, n_columns)
        """

    @abstractmethod
    def draw(self, normal, columns):
        """Draw sets of variables that belong together, and compute outputs from them.

        Parameters
        ----------
        normal : tensor of shape (n, n_draws, n_variables)
            Independent standard normal numbers.
        columns : list of int
            Positions of the outputs.

        Returns
        -------
        outputs : tensor of shape (n, n_draws, n_columns)
        """

"""Base class of the models that turn canopies into reflectances."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_sits._module_names import set_module
from sklearn_sits.physics.distributions import TruncatedNormal
from sklearn_sits.physics.traits import Trait
from sklearn_sits.physics.variables import Prior, Variable

__all__ = ["RadiativeTransferModel"]


@set_module("sklearn_sits.physics")
class RadiativeTransferModel(nn.Module, ABC):
    """Differentiable model from variables of a canopy to reflectances (abstract).

    A subclass sets the attributes below and defines `forward`. It can then be the decoder of
    :class:`~sklearn_sits.ProsailVAERegressor`.

    Attributes
    ----------
    variables : tuple of Variable
        Inputs that an encoder infers.
    priors : mapping of str to Prior
        Distribution of each variable, by name.
    canopy_types : mapping of str to mapping of str to Prior
        Other distributions of all variables, by the name of a type of canopy. Empty by default.
    mixture : tuple of str
        Types of canopy that have an equal share where the type is not known. Empty by default,
        which stands for `priors`.
    bands : tuple of str
        Names of the bands.
    geometry : tuple of Variable
        Angles that are known for each spectrum. Empty by default.
    nominal_geometry : tuple of float
        Angles where none are known.
    derived : tuple of Trait
        Traits that follow from the variables. Empty by default.
    regularised : tuple of str
        Variables that the self-supervised objective keeps near a uniform distribution. The first
        one also tells whether a training has collapsed. By default the first variable.
    seasonal : tuple of str
        Variables that change within weeks. By default all of them.
    centres : ndarray of shape (n_bands,) or None
        Centres of the bands in nm, None if they are not known.

    Examples
    --------
    >>> import torch
    >>> from sklearn_sits.physics import Prior, RadiativeTransferModel, Variable
    >>> class Mixture(RadiativeTransferModel):
    ...     variables = (Variable("cover", "", 0.0, 1.0, "share of vegetation"),)
    ...     priors = {"cover": Prior.uniform(0.0, 1.0)}
    ...     bands = ("red", "nir")
    ...     def forward(self, variables, geometry, *, check=True):
    ...         return torch.lerp(torch.tensor([0.2, 0.3]), torch.tensor([0.03, 0.5]), variables)
    >>> model = Mixture()
    >>> canopies = model.sample_variables(5, model.priors)
    >>> model(canopies.float(), model.sample_geometry(5).float()).shape
    torch.Size([5, 2])
    """

    variables: tuple[Variable, ...]
    priors: Mapping[str, Prior]
    canopy_types: Mapping[str, Mapping[str, Prior]] = MappingProxyType({})
    mixture: tuple[str, ...] = ()
    bands: tuple[str, ...]
    geometry: tuple[Variable, ...] = ()
    nominal_geometry: tuple[float, ...] = ()
    derived: tuple[Trait, ...] = ()
    centres: np.ndarray | None = None

    @abstractmethod
    def forward(self, variables: Tensor, geometry: Tensor, *, check: bool = True) -> Tensor:
        """Compute reflectances.

        Parameters
        ----------
        variables : Tensor of shape (..., n_variables)
            In the order and units of `variables`.
        geometry : Tensor of shape (..., n_geometry)
            In the order and units of `geometry`. The leading dimensions of both broadcast.
        check : bool, default=True
            Whether to check that the values are within their bounds.

        Returns
        -------
        Tensor of shape (..., n_bands)
        """

    @property
    def regularised(self) -> tuple[str, ...]:
        """Variables that the self-supervised objective keeps near a uniform distribution."""
        return (self.variables[0].name,)

    @property
    def seasonal(self) -> tuple[str, ...]:
        """Variables that change within weeks."""
        return tuple(variable.name for variable in self.variables)

    @property
    def units(self) -> dict[str, str]:
        """Units of the variables, then of the derived traits, by name."""
        return {trait.name: trait.unit for trait in (*self.variables, *self.derived)}

    def sample_variables(
        self, n: int, priors: Mapping[str, Prior], generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw variables, here independent of one another.

        Parameters
        ----------
        n : int
            Number of draws.
        priors : mapping of str to Prior
            Distribution of each variable.
        generator : torch.Generator, default=None
            Source of random numbers.

        Returns
        -------
        Tensor of shape (n, n_variables), float64
        """
        table = torch.tensor([priors[v.name][:4] for v in self.variables], dtype=torch.float64)
        mean, std, low, high = table.unbind(-1)
        # A standard deviation of a thousand widths is uniform to six digits.
        std = torch.minimum(std, 1e3 * (high - low))
        return TruncatedNormal(mean, std, low, high).rsample((n,), generator=generator)

    def sample_geometry(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw geometries, here uniform within the bounds of each angle.

        Parameters
        ----------
        n : int
            Number of draws.
        generator : torch.Generator, default=None
            Source of random numbers.

        Returns
        -------
        Tensor of shape (n, n_geometry), float64
        """
        low, high = (
            torch.tensor([angle[i] for angle in self.geometry], dtype=torch.float64) for i in (2, 3)
        )
        uniform = torch.rand(n, len(low), dtype=torch.float64, generator=generator)
        return low + (high - low) * uniform

    def bounds(self, priors: Mapping[str, Prior]) -> tuple[Tensor, Tensor]:
        """Return the bounds of the variables, then of the derived traits.

        Parameters
        ----------
        priors : mapping of str to Prior
            Distribution of each variable.

        Returns
        -------
        low, high : Tensor of shape (n_variables + n_derived,), float64
        """
        table = [priors[variable.name] for variable in self.variables]
        bounds = (
            [min(prior.low, prior.dense_low) for prior in table],
            [max(prior.high, prior.dense_high) for prior in table],
        )
        geometry = torch.tensor(self.nominal_geometry, dtype=torch.float64)
        result = []
        for bound, name in zip(bounds, ("low", "high"), strict=True):
            end = torch.tensor(bound, dtype=torch.float64)
            given = [getattr(trait, name) for trait in self.derived]
            traits = [
                trait.compute(self, end, geometry) if value is None else end.new_tensor(value)
                for trait, value in zip(self.derived, given, strict=True)
            ]
            result.append(torch.cat([end, *(trait.reshape(1) for trait in traits)]))
        return result[0], result[1]

    def append_derived(self, variables: Tensor, geometry: Tensor) -> Tensor:
        """Append the derived traits to the variables.

        Parameters
        ----------
        variables : Tensor of shape (..., n_variables)
            In the order and units of `variables`.
        geometry : Tensor of shape (..., n_geometry)
            In the order and units of `geometry`.

        Returns
        -------
        Tensor of shape (..., n_variables + n_derived)
        """
        columns = list(range(len(self.variables) + len(self.derived)))
        return self.compute_traits(variables, geometry, columns)

    def compute_traits(self, variables: Tensor, geometry: Tensor, columns: list[int]) -> Tensor:
        """Compute some of the variables and derived traits.

        Parameters
        ----------
        variables : Tensor of shape (..., n_variables)
            In the order and units of `variables`.
        geometry : Tensor of shape (..., n_geometry)
            In the order and units of `geometry`.
        columns : list of int
            Positions among the variables and then the derived traits. Others are not computed.

        Returns
        -------
        Tensor of shape (..., n_columns)
        """
        n = len(self.variables)
        traits = [
            variables[..., j] if j < n else self.derived[j - n].compute(self, variables, geometry)
            for j in columns
        ]
        return torch.stack(traits, dim=-1)

"""Types that many signatures share, and decorators that keep the types of what they decorate."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

__all__ = ["Origin", "RandomState", "fit_context", "validate_params"]

_F = TypeVar("_F", bound=Callable[..., Any])

Origin = str | datetime.date | np.datetime64 | None
RandomState = int | np.random.RandomState | None

# scikit-learn has no types: a type checker would forget the signature of what it decorates.
if TYPE_CHECKING:
    import xarray as xr

    CubeT = TypeVar("CubeT", xr.DataArray, xr.Dataset)
    Cube = xr.DataArray | xr.Dataset
    Layers = str | Cube | Sequence[str | Cube]

    def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[_F], _F]: ...

    def validate_params(
        constraints: Mapping[str, Any], *, prefer_skip_nested_validation: bool
    ) -> Callable[[_F], _F]: ...

else:
    from sklearn.base import _fit_context as fit_context
    from sklearn.utils._param_validation import validate_params

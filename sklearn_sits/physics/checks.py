"""Checks of the inputs of a radiative transfer model."""

import math

import torch
from torch import Tensor

from sklearn_sits.physics.variables import Variable

__all__ = ["check_degrees", "check_values"]

_ADVICE = "; check=False accepts any"


def check_values(
    values: Tensor, name: str, columns: tuple[Variable, ...], advice: str = _ADVICE
) -> None:
    """Check type, last dimension and bounds of an input.

    Parameters
    ----------
    values : Tensor of shape (..., n_columns)
        Input.
    name : str
        Its name, for messages.
    columns : tuple of Variable
        Variables along the last dimension.
    advice : str
        End of the message, after a semicolon.

    Raises
    ------
    ValueError
        If the last dimension is wrong, or a value is NaN or out of bounds.
    TypeError
        If the input is not a floating tensor.
    """
    if not isinstance(values, Tensor) or values.dtype not in (torch.float32, torch.float64):
        found = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise TypeError(f"{name} must be a tensor of float32 or float64, got {found}.")
    if values.ndim == 0 or values.shape[-1] != len(columns):
        raise ValueError(
            f"{name} must have {len(columns)} values in its last dimension "
            f"({', '.join(column.name for column in columns)}), got shape {tuple(values.shape)}."
        )
    if values.numel() == 0:
        return
    flat = values.detach().reshape(-1, len(columns))
    # NaN fails every comparison, so that one transfer from the device tells all.
    for found, column in zip(torch.stack(flat.aminmax(dim=0)).T.tolist(), columns, strict=True):
        # Bounds are meant in decimals, which float32 may round outwards.
        slack = 1e-6 * max(abs(column.low), abs(column.high))
        if any(math.isnan(value) for value in found):
            raise ValueError(f"{name} contains NaN in {column.name}.")
        for value in found:
            if not column.low - slack <= value <= column.high + slack:
                raise ValueError(
                    f"{name} contains {column.name} = {value:.6g} {column.unit}".rstrip()
                    + f", expected {column.low:g} to {column.high:g}{advice}."
                )


def check_degrees(geometry: Tensor, name: str = "geometry", advice: str = _ADVICE) -> None:
    """Check that angles do not look like radians.

    Parameters
    ----------
    geometry : Tensor of shape (..., 3)
        Sun zenith, view zenith and relative azimuth.
    name : str, default="geometry"
        Its name, for messages.
    advice : str
        End of the message, after a semicolon.

    Raises
    ------
    ValueError
        If the sun is always within 1.6 of the zenith, and no azimuth above 2 pi.
    """
    if geometry.numel() == 0:
        return
    sun, view, azimuth = geometry.detach().abs().reshape(-1, 3).amax(0).tolist()
    if 0 < sun <= math.pi / 2 and view <= math.pi / 2 and azimuth <= 2 * math.pi:
        raise ValueError(
            f"{name} must have angles in degrees: no sun zenith is above {sun:.3g} and no azimuth "
            f"above {azimuth:.3g}, which look like radians{advice}."
        )

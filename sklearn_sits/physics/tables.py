"""Optical constants of leaves, soils and sensors; tables.md lists their sources."""

import functools
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

__all__ = ["Tables", "load_tables"]


class Tables(NamedTuple):
    """Tables at the w = 2101 wavelengths 400, 401, ..., 2500 nm.

    Parameters
    ----------
    wavelengths : ndarray of shape (w,)
        Wavelengths in nm. All tables are float64.
    refractive_index : ndarray of shape (w,)
        Refractive index of leaf material.
    specific_absorption : ndarray of shape (6, w)
        Specific absorption coefficients of PROSPECT-D: chlorophylls a and b, carotenoids and
        anthocyanins (cm²/µg), brown pigments (arbitrary units), water (1/cm) and dry matter
        (cm²/g).
    dry_soil : ndarray of shape (w,)
        Reflectance of a dry soil.
    wet_soil : ndarray of shape (w,)
        Reflectance of a wet soil.
    responses : mapping of sensor names to mappings of band names to ndarray of shape (w,)
        Relative spectral response of every reflective band. The maximum is close to one.
    """

    wavelengths: np.ndarray
    refractive_index: np.ndarray
    specific_absorption: np.ndarray
    dry_soil: np.ndarray
    wet_soil: np.ndarray
    responses: Mapping[str, Mapping[str, np.ndarray]]


@functools.cache
def load_tables() -> Tables:
    """Load the tables that come with the package. Later calls return the same object.

    Returns
    -------
    Tables
        Read-only arrays. `torch.tensor` copies them; `torch.from_numpy` and `torch.as_tensor`
        warn that they are read-only.
    """
    path = resources.files(__package__).joinpath("tables.npz")
    with path.open("rb") as file, np.load(file, allow_pickle=False) as npz:
        data = {name: npz[name] for name in npz.files}
    wavelengths = _frozen(data["wavelengths"])
    ends = np.cumsum(data["sizes"], dtype=np.int64)
    responses: dict[str, dict[str, np.ndarray]] = {}
    for name, start, values in zip(
        data["bands"].tolist(),
        data["starts"].tolist(),
        np.split(data["responses"], ends[:-1]),
        strict=True,
    ):
        sensor, _, band = name.partition("/")
        first = start - int(wavelengths[0])
        response = np.zeros(wavelengths.size)
        response[first : first + values.size] = values
        responses.setdefault(sensor, {})[band] = _frozen(response)
    dry_soil, wet_soil = _frozen(data["soils"])
    return Tables(
        wavelengths=wavelengths,
        refractive_index=_frozen(data["refractive_index"]),
        specific_absorption=_frozen(data["specific_absorption"]),
        dry_soil=dry_soil,
        wet_soil=wet_soil,
        responses=MappingProxyType({k: MappingProxyType(v) for k, v in responses.items()}),
    )


def _frozen(array):
    array = np.ascontiguousarray(array, dtype=np.float64)
    array.setflags(write=False)
    return array

"""Canopy reflectance in PyTorch: PROSAIL, and the sensors whose bands it computes."""

from sklearn_sits.physics.canopy_types import CANOPY_TYPES
from sklearn_sits.physics.distributions import TruncatedNormal
from sklearn_sits.physics.prosail import Prosail
from sklearn_sits.physics.prospect import Prospect
from sklearn_sits.physics.radiative_transfer import RadiativeTransferModel
from sklearn_sits.physics.sensors import SENSORS, Sensor
from sklearn_sits.physics.sun import overpass_time, sun_angles
from sklearn_sits.physics.traits import DERIVED_TRAITS, Trait
from sklearn_sits.physics.variables import (
    GEOMETRY,
    SIMULATION_PRIORS,
    VARIABLES,
    Prior,
    Variable,
    sample_geometry,
    sample_variables,
)

__all__ = [
    "CANOPY_TYPES",
    "DERIVED_TRAITS",
    "GEOMETRY",
    "SENSORS",
    "SIMULATION_PRIORS",
    "VARIABLES",
    "Prior",
    "Prosail",
    "Prospect",
    "RadiativeTransferModel",
    "Sensor",
    "Trait",
    "TruncatedNormal",
    "Variable",
    "overpass_time",
    "sample_geometry",
    "sample_variables",
    "sun_angles",
]

"""Canopy reflectance in PyTorch: PROSAIL and the sensors that see it."""

from sklearn_sits.physics.distributions import TruncatedNormal
from sklearn_sits.physics.prosail import Prosail
from sklearn_sits.physics.prospect import Prospect
from sklearn_sits.physics.sensors import SENSORS, Sensor
from sklearn_sits.physics.variables import GEOMETRY, VARIABLES, sample_geometry, sample_variables

__all__ = [
    "GEOMETRY",
    "SENSORS",
    "VARIABLES",
    "Prosail",
    "Prospect",
    "Sensor",
    "TruncatedNormal",
    "sample_geometry",
    "sample_variables",
]

"""Figures of series, maps and what a fitted model uses, in the way of scikit-learn.

Install with ``pip install "sklearn-sits[plot]"``.
"""

from sklearn_sits.displays.attention import AttentionDisplay
from sklearn_sits.displays.importance import ImportanceDisplay
from sklearn_sits.displays.interpolation import InterpolationDisplay
from sklearn_sits.displays.map import MapDisplay
from sklearn_sits.displays.reliability import ReliabilityDisplay
from sklearn_sits.displays.series import SeriesDisplay
from sklearn_sits.displays.traits import TraitSeriesDisplay

__all__ = [
    "AttentionDisplay",
    "ImportanceDisplay",
    "InterpolationDisplay",
    "MapDisplay",
    "ReliabilityDisplay",
    "SeriesDisplay",
    "TraitSeriesDisplay",
]

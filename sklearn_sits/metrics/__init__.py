"""Accuracy of classifications and maps, areas with intervals, and calibration."""

from sklearn_sits.metrics.accuracy import accuracy_report, confusion_table
from sklearn_sits.metrics.areas import AreaEstimates, area_estimates
from sklearn_sits.metrics.calibration import expected_calibration_error, reliability_curve

__all__ = [
    "AreaEstimates",
    "accuracy_report",
    "area_estimates",
    "confusion_table",
    "expected_calibration_error",
    "reliability_curve",
]

"""Spatial cross-validation, quality of labels, and the next series to label."""

from sklearn_sits.model_selection.active_learning import select_to_label
from sklearn_sits.model_selection.blocks import BlockKFold, make_blocks
from sklearn_sits.model_selection.duplicates import find_duplicates
from sklearn_sits.model_selection.label_quality import suspicious_labels

__all__ = [
    "BlockKFold",
    "find_duplicates",
    "make_blocks",
    "select_to_label",
    "suspicious_labels",
]

"""Classifiers of series, trained with PyTorch."""

from sklearn_sits.classifiers.mtan_base import BaseMTANClassifier

__all__ = ["BaseMTANClassifier"]

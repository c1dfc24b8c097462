"""Classifiers of series, trained with PyTorch."""

from sklearn_sits.classifiers.mtan import BaseMTANClassifier

__all__ = ["BaseMTANClassifier"]

"""Classifiers of series, trained with PyTorch."""

"""Satellite image time series for tutorials, tests and benchmarks."""

from sklearn_sits.datasets.phenology import make_phenology
from sklearn_sits.datasets.prosail import make_prosail
from sklearn_sits.datasets.romania import load_romania
from sklearn_sits.datasets.synthetic import make_sits

__all__ = ["load_romania", "make_phenology", "make_prosail", "make_sits"]

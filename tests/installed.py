"""A check of an installed wheel, to run with the Python of its environment from any folder."""

import importlib.metadata
import pathlib
import sys

import sklearn_sits
from sklearn_sits import MTANSVGPClassifier
from sklearn_sits.datasets import make_sits

where = pathlib.Path(sklearn_sits.__file__).resolve().parent
assert where.is_relative_to(pathlib.Path(sys.prefix).resolve()), where
assert importlib.metadata.version("sklearn-sits") == sklearn_sits.__version__
assert (where / "py.typed").is_file()

X, y = make_sits(60, 12, 4, 3, random_state=0)
labels = MTANSVGPClassifier(max_iter=2, random_state=0).fit(X, y).predict(X)
assert labels.shape == y.shape
assert set(labels) <= set(y)

"""scikit-learn compatible estimators for satellite image time series."""

from sklearn_sits.classifiers.mtan import MTANMLPClassifier, MTANSVGPClassifier
from sklearn_sits.classifiers.svgp import SVGPClassifier
from sklearn_sits.encoders.mtan_encoder import MTANEncoder
from sklearn_sits.phenology.phenology_vae import PhenologyVAERegressor
from sklearn_sits.series.linear_interpolator import LinearInterpolator
from sklearn_sits.series.packing import pack, pack_frame, unpack
from sklearn_sits.traits.pretrained import load_prosail_vae
from sklearn_sits.traits.prosail_vae import ProsailVAERegressor
from sklearn_sits.traits.score import reconstruction_score

__version__ = "0.1.0.dev0"

__all__ = [
    "LinearInterpolator",
    "MTANEncoder",
    "MTANMLPClassifier",
    "MTANSVGPClassifier",
    "PhenologyVAERegressor",
    "ProsailVAERegressor",
    "SVGPClassifier",
    "load_prosail_vae",
    "pack",
    "pack_frame",
    "reconstruction_score",
    "unpack",
]

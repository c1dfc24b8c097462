"""scikit-learn compatible estimators for satellite image time series."""

from sklearn_sits.linear_interpolator import LinearInterpolator
from sklearn_sits.mtan_mlp import MTANMLPClassifier
from sklearn_sits.mtan_svgp import MTANSVGPClassifier
from sklearn_sits.packing import pack, pack_frame, unpack
from sklearn_sits.phenology_vae import PhenologyVAERegressor
from sklearn_sits.pretrained import load_prosail_vae
from sklearn_sits.prosail_vae import ProsailVAERegressor
from sklearn_sits.reconstruction_score import reconstruction_score
from sklearn_sits.svgp import SVGPClassifier

__version__ = "0.1.0.dev0"

__all__ = [
    "LinearInterpolator",
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

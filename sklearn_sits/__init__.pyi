from . import classifiers as classifiers
from . import datasets as datasets
from . import encoders as encoders
from . import exceptions as exceptions
from . import nn as nn
from . import phenology as phenology
from . import physics as physics
from . import raster as raster
from . import series as series
from . import traits as traits
from .classifiers.mtan import MTANMLPClassifier, MTANSVGPClassifier
from .classifiers.svgp import SVGPClassifier
from .encoders.mtan_encoder import MTANEncoder
from .phenology.phenology_vae import PhenologyVAERegressor
from .series.linear_interpolator import LinearInterpolator
from .series.packing import pack, pack_frame, unpack
from .traits.pretrained import load_prosail_vae
from .traits.prosail_vae import ProsailVAERegressor
from .traits.score import reconstruction_score

__version__: str

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

"""Packed series from xarray cubes, and maps from estimators.

Install with ``pip install "sklearn-sits[raster]"``. A function that lacks a package names it.
"""

from sklearn_sits.raster.cube import pack_cube
from sklearn_sits.raster.cube_samples import sample_cube, sample_labels
from sklearn_sits.raster.geotiff import export_geotiff
from sklearn_sits.raster.map_writer import open_map, write_map
from sklearn_sits.raster.prediction import predict_raster
from sklearn_sits.raster.stac_angles import read_stac_angles
from sklearn_sits.raster.stac_decoding import decode_stac, read_stac_scale
from sklearn_sits.raster.uncertainty import map_uncertainty

__all__ = [
    "decode_stac",
    "export_geotiff",
    "map_uncertainty",
    "open_map",
    "pack_cube",
    "predict_raster",
    "read_stac_angles",
    "read_stac_scale",
    "sample_cube",
    "sample_labels",
    "write_map",
]

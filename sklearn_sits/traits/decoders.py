"""The canopy models of an estimator."""

import copy

import numpy as np

from sklearn_sits.physics import SENSORS, Prosail
from sklearn_sits.series.channel_names import to_band_name

__all__ = ["find_reconstructed_bands", "make_decoder", "make_training_decoder"]

_BLUE = 500.0  # nm; the atmosphere leaves traces at shorter wavelengths
# Wavelengths per band in training: errors of 2e-4 are small beside the spread of reconstructions.
_NODES_IN_TRAINING = 2


def make_decoder(estimator):
    """Make the model of the sensor.

    Parameters
    ----------
    estimator : ProsailVAERegressor
        Its parameters say which.

    Returns
    -------
    decoder : RadiativeTransferModel or None
        None if any number of columns is a band.

    Raises
    ------
    ValueError
        If the sensor or a band is unknown.
    """
    if estimator.decoder is not None:
        return copy.deepcopy(estimator.decoder)
    sensor, bands = estimator.sensor, estimator.bands
    if sensor is None:
        return None
    if isinstance(sensor, str) and sensor not in SENSORS:
        raise ValueError(f"sensor must be one of {list(SENSORS)}, got {sensor!r}.")
    if bands is not None and isinstance(sensor, str):
        bands = [to_band_name(band) for band in bands]
    return Prosail(sensor, bands, quadrature=estimator.quadrature)


def make_training_decoder(estimator, decoder):
    """Make the model through which spectra are reconstructed in training.

    Parameters
    ----------
    estimator : ProsailVAERegressor
        Its parameters say which.
    decoder : RadiativeTransferModel
        The model of the estimator.

    Returns
    -------
    decoder : RadiativeTransferModel
        A cheaper one than that of the estimator, if there is one.
    """
    if estimator.decoder is not None or estimator.quadrature in (1, _NODES_IN_TRAINING):
        return decoder
    return Prosail(decoder.sensor, quadrature=_NODES_IN_TRAINING)


def find_reconstructed_bands(decoder, excluded_bands):
    """Find the bands that have to be reconstructed.

    Parameters
    ----------
    decoder : RadiativeTransferModel
        The model of the estimator.
    excluded_bands : "auto" or sequence of str
        Bands that have not.

    Returns
    -------
    is_reconstructed : bool ndarray of shape (n_bands,)

    Raises
    ------
    ValueError
        If a band is unknown, or none is left.
    """
    bands, centres = decoder.bands, decoder.centres
    if isinstance(excluded_bands, str):
        if centres is None:
            return np.ones(len(bands), dtype=bool)
        # With blue bands only, there is nothing else to reconstruct.
        kept = centres >= _BLUE
        return kept if kept.any() else ~kept
    unknown = [band for band in excluded_bands if band not in bands]
    if unknown:
        raise ValueError(f"excluded_bands must be among {list(bands)}, got {unknown}.")
    kept = np.array([band not in excluded_bands for band in bands])
    if not kept.any():
        raise ValueError("excluded_bands leaves no band to reconstruct.")
    return kept

"""Train the weights of `load_prosail_vae` again.

Run ``python -m sklearn_sits.traits._build_weights``: a few minutes per file on one core.
"""

from pathlib import Path

import numpy as np
import torch

from sklearn_sits.datasets import make_prosail
from sklearn_sits.traits.pretrained import SHIPPED, file_name, new_model

__all__ = ["build", "main"]


def build(sensor, bands):
    """Train on simulations.

    Parameters
    ----------
    sensor : str
        Name of the sensor.
    bands : tuple of str
        Its bands.

    Returns
    -------
    state : dict of str to ndarray
        What to write.
    """
    X, _ = make_prosail(1000, sensor=sensor, bands=bands, random_state=0)
    return new_model(sensor, bands).fit(X).state_


def main():
    """Write all files into the package."""
    torch.set_num_threads(1)
    folder = Path(__file__).parent / "weights"
    folder.mkdir(exist_ok=True)
    for sensor, bands in SHIPPED:
        np.savez_compressed(folder / file_name(sensor, bands), **build(sensor, bands))


if __name__ == "__main__":
    main()

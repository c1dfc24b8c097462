"""Train the weights of `load_prosail_vae` again.

Run ``python -m sklearn_sits.traits._build_weights``: a few minutes per file on one core.
"""

from pathlib import Path

import numpy as np
import torch

from sklearn_sits.datasets import make_prosail
from sklearn_sits.traits.pretrained import make_model
from sklearn_sits.traits.shipped import SHIPPED

__all__ = ["build", "main"]


def build(trained):
    """Train on simulations.

    Parameters
    ----------
    trained : TrainedSensor
        Sensor and bands.

    Returns
    -------
    state : dict of str to ndarray
        Content of the file.
    """
    X, _ = make_prosail(1000, sensor=trained.sensor, bands=trained.bands, random_state=0)
    return make_model(trained).fit(X).state_


def main():
    """Write all files into the package."""
    torch.set_num_threads(1)
    folder = Path(__file__).parent / "weights"
    folder.mkdir(exist_ok=True)
    for trained in SHIPPED:
        np.savez_compressed(folder / trained.file_name, **build(trained))


if __name__ == "__main__":
    main()

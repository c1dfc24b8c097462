"""
Optical and radar series in one array
=====================================

Clouds hide Sentinel-2, radar sees through them. This example classifies series of both sensors with
dates and gaps of their own, from one packed array with a mask per band. It compares each sensor
alone with both, also for series whose optical data are missing altogether. The series are
simulated; with ``--data FOLDER`` they are real fields in France.
"""

import argparse
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold

from sklearn_sits import MTANSVGPClassifier, pack
from sklearn_sits.datasets import make_sits

parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[1])
parser.add_argument("--data", type=Path, help="folder of s1s2_france_2023.npz")
arguments = parser.parse_args()

# Batches of short series are too small to share among threads.
torch.set_num_threads(1)


# %%
# Data
# ----
# Radar backscatter in dB rises with the vegetation: VH, which comes from the volume of the canopy,
# more than VV. Speckle adds noise to each value, and the moisture of the soil to each date. The
# same seed without clouds gives the same fields, so both sensors see the same vegetation. They take
# turns: optical bands on even slots, radar on odd ones.
def simulate(n_series=400, n_dates=60, n_classes=6):
    """Return packed series of 4 optical bands and 2 of radar, labels and blocks of 20 km."""
    make = partial(
        make_sits, n_series, n_dates, 4, n_classes, n_orbits=1, aligned=True, random_state=0
    )
    X, y = make(cloud_cover=0.8)
    clear, _ = make(cloud_cover=0.0)
    rng = np.random.default_rng(0)
    red, infrared = clear[..., 2], clear[..., 3]
    vegetation = (infrared - red) / (infrared + red)
    moisture = rng.normal(0, 0.5, (1, n_dates))
    radar = [
        level + gain * vegetation + moisture + rng.normal(0, 1, vegetation.shape)
        for level, gain in ((-12, 3), (-20, 7))
    ]
    series = np.concatenate([X[..., 1:-2], np.stack(radar, axis=-1)], axis=-1)
    series[:, 1::2, :4] = np.nan
    series[:, 0::2, 4:] = np.nan
    corner = X[:, 0, -2:] // 20_000
    return pack(series, X[0, :, 0]), y, 5 * corner[:, 0] + corner[:, 1], 4


def read_france(folder):
    """Return packed series of 9 optical bands and 2 of radar, labels and blocks of 0.1 degrees."""
    with np.load(folder / "s1s2_france_2023.npz") as file:
        data = {name: file[name] for name in file.files if file[name].dtype != object}
    values = np.concatenate([data["X"] / 1e4, np.nan_to_num(data["S1"])], axis=-1)
    mask = np.concatenate([data["valid"], data["S1_valid"]], axis=-1)
    corner = np.floor(np.stack([data["lon"], data["lat"]], axis=1) / 0.1)
    blocks = np.unique(corner, axis=0, return_inverse=True)[1].ravel()
    return pack(values, data["days"], mask=mask), data["y"], blocks, 9


X, y, blocks, n_optical = read_france(arguments.data) if arguments.data else simulate()
optical, radar = slice(1, 1 + n_optical), slice(1 + n_optical, None)
print(f"X {X.shape}: {len(X)} series, {X.shape[1]} dates, {len(np.unique(y))} classes")
for name, bands in (("Sentinel-2", optical), ("Sentinel-1", radar)):
    seen = ~np.isnan(X[..., bands]).all(axis=2)
    print(f"  {name}: {seen.sum(1).mean():.1f} dates per series on average")


# %%
# Systems
# -------
# A band that is not observed is NaN, so "alone" and "missing" are the same thing: every system gets
# the same channels. The last one is also fitted on copies of its training series without optical
# data, and learns from them to classify by radar when it has to.
def hide(X, bands, rows=slice(None)):
    """Return a copy of X in which some bands of some series are not observed."""
    X = X.copy()
    X[rows, :, bands] = np.nan
    return X


systems = {
    "Sentinel-2": (X[..., : 1 + n_optical], False),
    "Sentinel-1": (np.delete(X, np.r_[optical], axis=2), False),
    "both": (X, False),
    "both, copies without S2": (X, True),
}

# %%
# Comparison
# ----------
# Whole blocks are held out. In the second column, half of the test series have lost all their
# optical data. A system that has only these bands then knows nothing but the mean series, which it
# says in a warning. One member per classifier makes the example three times as fast as the default.
warnings.filterwarnings("ignore", ".* series have no valid observation")
folds = list(StratifiedGroupKFold(3, shuffle=True, random_state=0).split(X, y, blocks))
has_lost = np.random.default_rng(0).random(len(X)) < 0.5


def cross_validate(X, copies, bands):
    """Return the correct predictions with all data, and with optical data lost."""
    correct = np.zeros((2, len(X)), dtype=bool)
    lost = hide(X, bands, has_lost)
    for train, test in folds:
        series, labels = X[train], y[train]
        if copies:
            series = np.concatenate([series, hide(series, bands)])
            labels = np.concatenate([labels, labels])
        model = MTANSVGPClassifier(n_members=1, random_state=0).fit(series, labels)
        for row, data in enumerate((X, lost)):
            correct[row, test] = model.predict(data[test]) == y[test]
    return correct


print("\nAccuracy on held-out blocks, %\n")
header = ["complete", "S2 lost: half", "those series", "time s"]
print(f"{'':24}" + "".join(f"{name:>15}" for name in header))
for name, (series, copies) in systems.items():
    start = time.perf_counter()
    lost_bands = slice(0, 0) if name == "Sentinel-1" else optical
    complete, lost = cross_validate(series, copies, lost_bands)
    scores = 100 * np.array([complete.mean(), lost.mean(), lost[has_lost].mean()])
    cells = [*(f"{score:.1f}" for score in scores), f"{time.perf_counter() - start:.0f}"]
    print(f"{name:24}" + "".join(f"{cell:>15}" for cell in cells))

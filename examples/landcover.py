"""
Tree cover classes from a cloudy Sentinel-2 time series
=======================================================

This example classifies one year of Sentinel-2 over a forest in Romania into three classes of tree
cover. Clouds hide half of the observations. Four classifiers take the same array: dates, bands, NaN
for clouds. Two of them learn the interpolation together with the classification; the other two
receive series that were interpolated linearly. With ten labels per class, an encoder that has
learned from unlabelled pixels helps.
"""

import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from nrt import data
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sits import (
    LinearInterpolator,
    MTANEncoder,
    MTANMLPClassifier,
    MTANSVGPClassifier,
    SVGPClassifier,
)
from sklearn_sits.datasets import load_romania
from sklearn_sits.metrics import expected_calibration_error
from sklearn_sits.raster import predict_raster, write_map

# Batches of 66 short series are too small to share among threads.
torch.set_num_threads(1)

# %%
# Data
# ----
# The reference is the Copernicus tree cover density of 2018, so the series are from 2018 too. The
# last two channels are easting and northing. No classifier receives them: whole blocks are held out
# below, and the position of a block carries no information about the tree cover of the others.
romania = load_romania(years=2018)
X = romania.data[..., :-2]
clear = ~np.isnan(X[..., 1])
print(f"X {X.shape}: {len(X)} pixels, {X.shape[1]} dates, date and {X.shape[2] - 1} bands")
print(f"Clear dates per pixel: {clear.sum(1).min()} to {clear.sum(1).max()}")

# Half of the pixels have more than 77 % tree cover, so equal parts of 0 to 100 % would put nearly
# all of them in one class. We separate open from closed forest at 60 % (the limit in FAO's land
# cover classification is 60 to 70 %) and divide closed forest at 80 %.
class_names = ["open, below 60 %", "closed, 60 to 80 %", "dense, 80 % and more"]
y = np.digitize(romania.target, [60, 80])
for name, count in zip(class_names, np.bincount(y), strict=True):
    print(f"  {name:20} {count:5} pixels")

# %%
# Validation
# ----------
# Neighbouring pixels are alike. With a random split, test pixels would have neighbours in the
# training set, and the scores would be too good. We therefore hold out whole squares of 200 m.
BLOCK = 10  # pixels of 20 m
n_rows, n_columns = romania.shape
row, column = np.divmod(np.arange(len(X)), n_columns)
groups = row // BLOCK * (n_columns // BLOCK) + column // BLOCK
folds = list(StratifiedGroupKFold(5, shuffle=True, random_state=0).split(X, y, groups))

classifiers = {
    "mTAN + SVGP": MTANSVGPClassifier(random_state=0),
    "mTAN + MLP": MTANMLPClassifier(random_state=0),
    "linear + SVGP": make_pipeline(
        LinearInterpolator(), StandardScaler(), SVGPClassifier(random_state=0)
    ),
    "linear + random forest": make_pipeline(
        LinearInterpolator(), RandomForestClassifier(random_state=0)
    ),
}


def cross_validate(classifier):
    """Return the probabilities of every pixel when it is held out, and the scores by fold."""
    proba, scores = np.empty((len(X), len(class_names))), []
    for train, test in folds:
        start = time.perf_counter()
        model = clone(classifier).fit(X[train], y[train])
        fitted = time.perf_counter()
        p = proba[test] = model.predict_proba(X[test])
        end = time.perf_counter()
        oa = 100 * accuracy_score(y[test], p.argmax(1))
        f1 = 100 * f1_score(y[test], p.argmax(1), average="macro")
        error = expected_calibration_error(y[test], p, labels=model.classes_)
        quality = [oa, f1, log_loss(y[test], p), error]
        scores.append([*quality, fitted - start, end - fitted])
    return proba, np.array(scores)


print(f"\nMean ± standard deviation over {len(folds)} folds\n")
columns = ["OA %", "macro-F1 %", "log loss", "ECE", "fit s", "predict s"]
print(f"{'':23}" + "".join(f"{name:>16}" for name in columns))
proba = {}
for name, classifier in classifiers.items():
    proba[name], scores = cross_validate(classifier)
    pairs = zip(scores.mean(0), scores.std(0), [1, 1, 3, 3, 2, 3], strict=True)
    cells = [f"{mean:.{digits}f} ± {std:.{digits}f}" for mean, std, digits in pairs]
    print(f"{name:23}" + "".join(f"{cell:>16}" for cell in cells))

# %%
# Maps
# ----
# The entropy of the probabilities shows where the map is uncertain.
p = proba["mTAN + SVGP"]
predicted = p.argmax(1)
entropy = -(p * np.log2(np.maximum(p, 1e-12))).sum(1)
unsure = entropy >= np.quantile(entropy, 0.8)
print("\nPixels in error, mTAN + SVGP:")
print(f"  the fifth with the largest entropy {np.mean((predicted != y)[unsure]):6.1%}")
print(f"  all others                         {np.mean((predicted != y)[~unsure]):6.1%}")

colours = ListedColormap(["#e6c229", "#7fb069", "#1b4332"])
side = 20 * n_columns  # metres
layout = ConstrainedLayoutEngine(w_pad=0.12)
figure, axes = plt.subplots(1, 3, figsize=(13, 5), sharey=True, layout=layout)
options = {"extent": (0, side, 0, side), "interpolation": "nearest", "aspect": "equal"}
for axis, label in zip(axes, [y, predicted], strict=False):
    axis.imshow(label.reshape(romania.shape), cmap=colours, vmin=0, vmax=2, **options)
image = axes[2].imshow(entropy.reshape(romania.shape), cmap="magma", vmin=0, **options)
axes[0].set_title("Reference: Copernicus, 2018")
axes[1].set_title(f"mTAN + SVGP on held-out blocks: OA {100 * np.mean(predicted == y):.1f} %")
axes[2].set_title("Uncertainty of mTAN + SVGP")
for axis in axes:
    ticks = np.arange(0, side + 1, 20 * BLOCK)  # the grid shows the blocks
    axis.set(xlabel="Easting from the south-west corner (m)", xticks=ticks, yticks=ticks)
    axis.grid(color="white", linewidth=0.4, alpha=0.6)
axes[0].set_ylabel("Northing (m)")
handles = [Patch(color=colours(i), label=name) for i, name in enumerate(class_names)]
figure.legend(handles=handles, title="Tree cover", ncols=3, loc="outside lower center")
figure.colorbar(image, ax=axes[2], label="Entropy of the probabilities (bits)", shrink=0.8)
path = sys.argv[1] if len(sys.argv) > 1 else "landcover.png"
figure.savefig(path, dpi=150)
print(f"\nMaps written to {path}")

# %%
# Few labels
# ----------
# Labels are often scarce, pixels are not. Here each class has ten labels from the training blocks.
# The encoder learns from all pixels of these blocks without their labels, and the classifier starts
# from it. Each fold has its own draw of labels and its own encoder, so no system sees the blocks
# that are held out. A short training of the encoder saves time.
N_LABELS = 10


def compare_few_labels(fold):
    """Return the scores of three classifiers that are fitted on ten labels per class."""
    train, test = folds[fold]
    rng = np.random.default_rng(fold)
    labelled = np.concatenate(
        [rng.choice(train[y[train] == i], N_LABELS, replace=False) for i in range(len(class_names))]
    )
    encoder = MTANEncoder(max_iter=200, random_state=fold).fit(X[train])
    systems = {
        "linear + random forest": classifiers["linear + random forest"],
        "mTAN + SVGP": MTANSVGPClassifier(random_state=fold),
        "encoder, mTAN + SVGP": MTANSVGPClassifier(
            encoder=FrozenEstimator(encoder), random_state=fold
        ),
    }
    scores = {}
    for name, system in systems.items():
        p = clone(system).fit(X[labelled], y[labelled]).predict_proba(X[test])
        # A forest may give a class probability zero, which would make the log loss infinite.
        p = np.clip(p, 1e-4, None)
        p /= p.sum(1, keepdims=True)
        scores[name] = 100 * accuracy_score(y[test], p.argmax(1)), log_loss(y[test], p)
    return scores


print(f"\n{N_LABELS} labels per class, {len(folds)} draws, mean ± standard deviation\n")
start = time.perf_counter()
draws = [compare_few_labels(fold) for fold in range(len(folds))]
print(f"{'':23}{'OA %':>16}{'log loss':>16}")
for name in draws[0]:
    accuracy, loss = np.array([scores[name] for scores in draws]).T
    cells = f"{accuracy.mean():.1f} ± {accuracy.std():.1f}", f"{loss.mean():.3f} ± {loss.std():.3f}"
    print(f"{name:23}" + "".join(f"{cell:>16}" for cell in cells))
print(f"\n{time.perf_counter() - start:.0f} s in all")

# %%
# From the cube to a map
# ----------------------
# The final classifier is fitted on all blocks. It predicts every pixel of an xarray cube, chunk by
# chunk, into a Zarr store; an interrupted run continues where it stopped. Day 0 of the training
# data is 1970-01-01; for the map of the next year it moves by one year.
model = MTANSVGPClassifier(random_state=0).fit(X, y)
with data.romania_20m() as cube:
    cube = cube.load().chunk(x=25, y=25)
bands = cube[["B3", "B4", "B8A", "B11"]] / np.float32(10_000)
clear = cube["SCL"].isin([4, 5])
print("\nMaps of the cube, share of the pixels")
for year, origin in ((2018, "1970-01-01"), (2019, "1971-01-01")):
    when = {"time": str(year)}
    labels = predict_raster(model, bands.sel(when), valid=clear.sel(when), origin=origin)
    store = Path(path).with_name(f"landcover-{year}.zarr")
    labels = write_map(labels, store, overwrite=True, progress=False).to_numpy()
    shares = [f"{name} {np.mean(labels == i):.1%}" for i, name in enumerate(class_names)]
    print(f"  {store.name}: {'; '.join(shares)}")

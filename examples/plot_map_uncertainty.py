"""
Where a map of classes is uncertain
===================================

A classifier gives probabilities. From them follow the class of each pixel and how certain it is:
the margin between the two largest probabilities, and their entropy. Pixels with a small margin are
wrong more often, so the map of margins shows where to look again.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import rasterio
import torch
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from nrt import data

from sklearn_sits import MTANSVGPClassifier
from sklearn_sits.datasets import load_romania
from sklearn_sits.raster import export_geotiff, map_uncertainty, pack_cube, predict_raster

torch.set_num_threads(1)

# %%
# A map from half of the squares
# ------------------------------
# The labels are three classes of tree cover in a forest in Romania. The classifier learns from
# every second square of 200 m, like the black squares of a chessboard. The others tell how good it
# is.
BANDS = ["B3", "B4", "B8A", "B11"]
NAMES = np.array(["open forest", "closed forest", "dense forest"])
romania = load_romania(years=2018)
truth = np.digitize(romania.target, [60, 80]).reshape(romania.shape)
row, column = np.indices(romania.shape) // 10
train = (row + column) % 2 == 0

with data.romania_20m() as cube:
    cube = cube.sel(time="2018").load()
clear = cube["SCL"].isin([4, 5])
cube = cube[BANDS].astype("float32") / 10_000
options = {"bands": BANDS, "valid": clear, "origin": "2018-01-01"}
X = pack_cube(cube, **options)
model = MTANSVGPClassifier(random_state=0).fit(X[train.ravel()], NAMES[truth[train]])

# %%
# Class, margin and entropy
# -------------------------
# One call turns the probabilities into three maps. It computes nothing yet if the cube is backed by
# dask.
maps = map_uncertainty(predict_raster(model, cube, method="predict_proba", **options))
print({name: str(one.dtype) for name, one in maps.items()})

# %%
# The GeoTIFF has the colours and the names of the classes, so it opens in colour.
colors = {"open forest": "#dbd76e", "closed forest": "#6aa84f", "dense forest": "#1d4d2b"}
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "forest.tif"
    export_geotiff(maps["label"], path, crs="EPSG:3035", colors=colors)
    with rasterio.open(path) as file:
        table = file.colormap(1)
print({name: table[value][:3] for value, name in enumerate(maps["label"].class_names)})

# %%
# A small margin means many errors
# --------------------------------
# In the squares that the classifier has not seen, we sort the pixels by their margin and compare
# ten groups of equal size with the labels.
predicted = np.array(maps["label"].class_names)[maps["label"].values]
correct = (predicted == NAMES[truth])[~train]
margin = maps["margin"].values[~train]
groups = np.array_split(np.argsort(margin), 10)
errors = [100 * (1 - correct[group].mean()) for group in groups]
print(
    f"errors: {errors[0]:.0f} % of the least certain tenth, {errors[-1]:.0f} % of the most certain"
)

figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
palette = ListedColormap([colors[name] for name in maps["label"].class_names])
axes[0].imshow(maps["label"], cmap=palette, vmin=-0.5, vmax=2.5, interpolation="nearest")
handles = [Patch(color=colors[name], label=name) for name in NAMES]
figure.legend(handles=handles, loc="outside lower left", ncols=3)
axes[0].set_title("class")
image = axes[1].imshow(maps["margin"], cmap="magma", vmin=0, vmax=1, interpolation="nearest")
figure.colorbar(image, ax=axes[1], shrink=0.85)
axes[1].set_title("margin")
for axis in axes[:2]:
    axis.set(xticks=[], yticks=[])
centres = [margin[group].mean() for group in groups]
axes[2].plot(centres, errors, "o-", color="#1d4d2b")
axes[2].set(xlabel="mean margin of a tenth of the pixels", ylabel="errors (%)", xlim=(0, 1))
axes[2].set_ylim(bottom=0)
axes[2].set_title("held-out squares")
plt.show()

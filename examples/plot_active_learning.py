"""
Which pixels to label next
==========================

Labels are expensive, unlabelled series are free. Active learning lets the classifier choose: it
labels pixels about which the current model is uncertain, and which differ from each other. This
example does so on a real cube, and compares the choice with pixels that are drawn at random.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
import xarray as xr

from sklearn_sits import MTANMLPClassifier
from sklearn_sits.datasets import load_romania
from sklearn_sits.model_selection import make_blocks, select_to_label
from sklearn_sits.raster import sample_cube

# Batches of short series are too small to share among threads.
torch.set_num_threads(1)

# %%
# A cube and its candidates
# -------------------------
# The cube has four bands of one year of Sentinel-2 over a forest in Romania. `sample_cube` draws
# candidates from it, without labels, with their positions in the last two channels.
romania = load_romania(years=2018)
bands = romania.feature_names[:4]
values = romania.data[..., 1:5].reshape(*romania.shape, len(romania.dates), 4)
cube = xr.DataArray(
    values,
    {"y": romania.y, "x": romania.x, "time": romania.dates.astype("datetime64[ns]"), "band": bands},
)
drawn = sample_cube(cube, n_pixels=1500, static=["x", "y"], origin="2018-01-01", random_state=0)
series, positions = drawn[..., :-2], drawn[:, 0, -2:]

# %%
# The labels are classes of tree cover. A person would give them; here we look them up in a map.
# Blocks of 200 m that no candidate comes from test the models.
column, row = (
    np.abs(np.subtract.outer(at, axis)).argmin(axis=1)
    for at, axis in zip(positions.T, (romania.x, romania.y), strict=True)
)
cover = romania.target.reshape(romania.shape)[row, column]
labels = np.digitize(cover, [60, 80])
blocks = make_blocks(positions[:, 0], positions[:, 1], 200)
is_test = np.isin(blocks, np.random.default_rng(0).permutation(np.unique(blocks))[:10])
candidates, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
print(f"{len(candidates)} candidates, {len(test)} test series in blocks of their own")


# %%
# Rounds of labelling
# -------------------
# Each run starts with 20 labels of random pixels, and two rounds add 20 each. The representation of
# the classifier, `transform`, tells which candidates differ from each other.
N_LABELS = [20, 40, 60]


def choose(model, unlabelled, strategy, rng):
    """Return the series to label next."""
    if strategy == "random":
        return rng.choice(unlabelled, 20, replace=False)
    proba, features = model.predict_proba(series[unlabelled]), model.transform(series[unlabelled])
    return unlabelled[select_to_label(proba, 20, features=features, random_state=0)]


def fit(labelled, seed):
    """Return a model, and its accuracy in the blocks that were held out."""
    model = MTANMLPClassifier(n_members=1, random_state=seed)
    model.fit(series[labelled], labels[labelled])
    return model, model.score(series[test], labels[test])


scores: dict[str, list] = {"random": [], "chosen": []}
for seed in range(2):
    rng = np.random.default_rng(seed)
    start = rng.choice(candidates, 20, replace=False)
    first_model, first_accuracy = fit(start, seed)
    for strategy, accuracies in scores.items():
        model, labelled, accuracy = first_model, start, [first_accuracy]
        while len(labelled) < N_LABELS[-1]:
            added = choose(model, np.setdiff1d(candidates, labelled), strategy, rng)
            labelled = np.concatenate([labelled, added])
            model, latest = fit(labelled, seed)
            accuracy.append(latest)
        accuracies.append(accuracy)
percent = {strategy: 100 * np.mean(accuracies, axis=0) for strategy, accuracies in scores.items()}
for strategy, means in percent.items():
    pairs = zip(N_LABELS, means, strict=True)
    print(f"{strategy}: " + ", ".join(f"{value:.1f} % with {n}" for n, value in pairs))

# %%
# Result
# ------
# Left: the mean accuracy over two starts. Single runs differ by more than the two strategies do, so
# repeat such a comparison before you trust it. Right: the pixels that the last run chose.
figure, axes = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
for strategy, means in percent.items():
    axes[0].plot(N_LABELS, means, "o-", label=strategy)
axes[0].set(xlabel="Labels", ylabel="Accuracy in held-out blocks (%)", xticks=N_LABELS)
axes[0].legend(title="Pixels to label")

extent = [romania.x[0] - 10, romania.x[-1] + 10, romania.y[-1] - 10, romania.y[0] + 10]
image = axes[1].imshow(
    romania.target.reshape(romania.shape), cmap="YlGn", extent=extent, vmin=0, vmax=100
)
figure.colorbar(image, ax=axes[1], label="Tree cover (%)")
axes[1].plot(*positions[labelled[20:]].T, "o", color="C1", markeredgecolor="black")
axes[1].set(xticks=[], yticks=[], title="Chosen pixels (1 km by 1 km)")

plt.show()

"""
Areas from a map, with intervals
================================

How many hectares of a forest are open? Counting the pixels of a map gives a biased answer, and no
uncertainty. A small probability sample with reference labels corrects the bias and gives an
interval. Here the true class of every pixel is known, so that we can check both.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline

from sklearn_sits import LinearInterpolator
from sklearn_sits.datasets import load_romania
from sklearn_sits.metrics import area_estimates

# %%
# A map
# -----
# The scene has 2,500 pixels of 0.04 ha in Romania, with three classes of tree cover. A random
# forest learns from 100 pixels in the north of the scene, where dense forest is rarer. Its map
# therefore has too little of it.
HECTARES = 0.04  # per pixel
romania = load_romania(years=2018)
X = romania.data[..., :-2]
names = np.array(["open", "closed", "dense"])
truth = names[np.digitize(romania.target, [60, 80])]

rng = np.random.default_rng(1)
row = np.arange(len(X)) // romania.shape[1]
training = rng.choice(np.flatnonzero(row < 30), 100, replace=False)
model = make_pipeline(LinearInterpolator(), RandomForestClassifier(random_state=0))
mapped = model.fit(X[training], truth[training]).predict(X)

true_areas = pd.Series(truth).value_counts()[names] * HECTARES
map_areas = pd.Series(mapped).value_counts()[names] * HECTARES
print(f"Accuracy of the map: {np.mean(mapped == truth):.2f}")


# %%
# A stratified sample
# -------------------
# The classes of the map are the strata: we draw 70 pixels at random from each, and look up their
# true class. In practice an expert would interpret images of these 210 places. Training pixels
# cannot replace the sample, because nobody drew them at random from the strata.
def draw_sample(rng, n=70):
    """Return the rows of a random sample of each class of the map."""
    strata = [np.flatnonzero(mapped == name) for name in names]
    return np.concatenate([rng.choice(rows, n, replace=False) for rows in strata])


rows = draw_sample(rng)
estimates = area_estimates(truth[rows], mapped[rows], map_areas, pixel_area=HECTARES)
print(estimates.area.assign(mapped=map_areas, true=true_areas).round(1))
print(estimates.overall_accuracy.round(3))

# %%
# Is that luck?
# -------------
# We repeat the sampling 200 times. The estimates scatter around the true area, and about 95 % of
# the intervals contain it. Pixel counting is wrong by the same amount each time.
repeated = []
for _ in range(200):
    rows = draw_sample(rng)
    areas = area_estimates(truth[rows], mapped[rows], map_areas, pixel_area=HECTARES).area.loc[
        names
    ]
    repeated.append(areas.assign(covered=true_areas.between(areas["lower"], areas["upper"])))
covered = np.mean([areas["covered"] for areas in repeated])
print(f"{100 * covered:.0f} % of the intervals contain the true area")

# %%
# The figure has the first sample with its intervals, the estimates from the other samples in grey,
# and both areas that need no sample: the true one, and the one that counts pixels.
figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
for position, name in enumerate(names):
    values = [areas.loc[name, "estimate"] for areas in repeated]
    jitter = position + rng.uniform(0.12, 0.3, len(values))
    axis.plot(jitter, values, ".", color="0.75", zorder=0)
first = estimates.area.loc[names]
half = first["estimate"] - first["lower"], first["upper"] - first["estimate"]
at = np.arange(len(names))
axis.errorbar(at, first["estimate"], half, fmt="o", capsize=5, label="estimate, 95 % interval")
axis.plot([], [], ".", color="0.75", label="estimates from other samples")
axis.plot(at - 0.2, map_areas, "s", color="C3", label="pixel counting")
axis.hlines(true_areas, at - 0.35, at + 0.35, color="black", label="true area")
axis.set_xticks(at, names)
axis.set(ylabel="Area (ha)", ylim=(0, None), title="Tree cover in a scene of 100 ha")
axis.legend(loc="lower right")

plt.show()

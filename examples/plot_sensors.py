"""
Two sensors with dates and gaps of their own
============================================

Two satellites pass on different days and have different bands, and clouds hide different dates of
each. One packed array holds both, because each band has its own gaps, and nothing has to be
resampled to common dates. This example measures how well each sensor tells crops apart, and how
well both do.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score

from sklearn_sits import MTANSVGPClassifier
from sklearn_sits.datasets import make_sits

# %%
# Two sensors in one array
# ------------------------
# The simulated scene has six bands. The first four are those of sensor A, which passes on every
# other date. The last two, in the near and the short-wave infrared, are those of sensor B, which
# passes on the dates between them. Where a sensor does not pass, its bands are NaN, like those of a
# cloud.
X, y = make_sits(300, 40, 6, 5, n_orbits=1, aligned=True, cloud_cover=0.7, random_state=0)
easting, northing = X[:, 0, -2:].T // 20_000
blocks = 5 * easting + northing
X = X[..., :-2]
a, b = [1, 2, 3, 4], [5, 6]
X[:, 1::2, a] = np.nan
X[:, ::2, b] = np.nan

# %%
# Each sensor and both
# --------------------
# A sensor alone is the same array without the bands of the other one. Dates without any value do
# not matter. Whole blocks of 20 km are held out. A single member and a short training save time.
systems = {"A alone": X[..., [0, *a]], "B alone": X[..., [0, *b]], "both": X}
folds = StratifiedGroupKFold(3, shuffle=True, random_state=0)
model = MTANSVGPClassifier(n_members=1, max_iter=15, random_state=0)
scores = {
    name: 100 * cross_val_score(model, series, y, groups=blocks, cv=folds)
    for name, series in systems.items()
}

# %%
# What each of them gives
# -----------------------
# On the left are the clear dates of a few series, a row each. On the right is the accuracy; points
# are the folds, and chance would be 20 %. Both sensors together are better than either alone, which
# is not certain: a second sensor adds little where the first one is often clear. And a model that
# has seen both sensors in every training series is not prepared for one of them to fail. Add copies
# of the training series without it if that can happen.
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for name, bands, color in (("sensor A", a, "C0"), ("sensor B", b, "C1")):
    row, date = np.nonzero(~np.isnan(X[:12, :, bands]).any(axis=2))
    day = X[row, date, 0].astype(int).astype("datetime64[D]")
    left.plot(day, row + 1, "o", color=color, markersize=4, label=name)
left.set(xlabel="Date", ylabel="Series")
left.tick_params(axis="x", rotation=30)
left.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)

right.bar(list(scores), [s.mean() for s in scores.values()], color=["C0", "C1", "0.6"])
for position, folds_of in enumerate(scores.values()):
    right.plot(np.full(len(folds_of), position), folds_of, "o", color="black", markersize=4)
right.set(ylabel="Accuracy on held-out blocks (%)")
plt.show()

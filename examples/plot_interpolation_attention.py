"""
How attention interpolates a cloudy series
==========================================

``MTANSVGPClassifier`` learns how to fill the gaps of a series together with the classification. It
does so by attention: the value at each of its reference dates is a weighted mean of the
observations, with weights that depend on the dates alone. This example draws the weights of one
series and the series that they make.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_sits import MTANSVGPClassifier
from sklearn_sits.datasets import make_sits
from sklearn_sits.displays import AttentionDisplay, InterpolationDisplay
from sklearn_sits.inspection import attention_weights

# %%
# A classifier
# ------------
# The series are simulated: four crops and grassland, ten bands of Sentinel-2, and half of the dates
# cloudy.
X, y = make_sits(600, 70, 10, 5, positions=False, random_state=0)
model = MTANSVGPClassifier(random_state=0).fit(X[:400], y[:400])
print(f"accuracy on other series: {model.score(X[400:], y[400:]):.2f}")

# %%
# The weights of one series
# -------------------------
# We choose a series with few clear dates in summer. With few labels, the classifier averages
# three members and a Gaussian process on the series as attention interpolates it before any
# training. Each has its own weights, and a share of the votes by which they are averaged.
summer = (X[..., 0] > 17_652) & (X[..., 0] < 17_775)  # May to August 2018
clear = ~np.isnan(X[..., 1])
n_summer = np.where(clear.sum(axis=1) >= 10, (clear & summer).sum(axis=1), len(X))
series = X[400 + np.argmin(n_summer[400:])]
result = attention_weights(model, series[None])
print("votes:", ", ".join(f"{vote:.2f}" for vote in result.votes))
effective = 1 / (result.weights[0] ** 2).sum(axis=1)
print(f"observations in a mean: {effective.min():.1f} to {effective.max():.1f}")

# %%
# Weights and interpolation
# -------------------------
# Each row of the table is a reference date. Where observations are dense, it takes the nearest
# ones; in the gap, the weight goes to both sides of it. The interpolation below is their mean in
# the near infrared (B8). The members disagree where nothing was observed.
origin = "1970-01-01"
figure, axes = plt.subplots(2, 1, figsize=(8, 9), layout="constrained", height_ratios=[1.3, 1])
AttentionDisplay.from_estimator(model, series, origin=origin, ax=axes[0])
InterpolationDisplay.from_estimator(
    model, series, channel=7, name="Reflectance in B8", origin=origin, ax=axes[1]
)
plt.show()

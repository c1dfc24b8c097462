"""
Dates of the season, and when not to trust them
===============================================

The start and the end of a season follow from a series of NDVI. How well they are known depends on
the dates that clouds left. This example draws four series with their dates, the intervals of these,
and the flags that warn of series in which they mean little.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_sits import PhenologyVAERegressor
from sklearn_sits.datasets import make_phenology

# %%
# Series and a model
# ------------------
# The regressor learns from simulated seasons, which get the dates and the gaps of the series that
# ``fit`` receives. It needs no known dates. Series of simulated NDVI take the place of pixels: a
# date every five days, 60 % of them cloudy. A longer training (the default) is more accurate.
X, _ = make_phenology(500, gaps=0.6, random_state=0)
model = PhenologyVAERegressor(
    targets=("start_of_season", "end_of_season"), pretrain_iter=500, random_state=0
).fit(X)

# %%
# Four pixels
# -----------
# The second pixel is the first one without the observations of a cloudy spring. The third has no
# season, like an evergreen forest, and the fourth has two crops in one year.
NOISE = 0.03
season = {
    "minimum": (0.2, 0.2),
    "amplitude": (0.6, 0.6),
    "start_of_season": (90, 90),
    "growth": (50, 50),
    "plateau": (70, 70),
    "decline": (50, 50),
}
clear, _ = make_phenology(1, priors=season, noise=NOISE, random_state=1)
day = clear[0, :, 0]
cloudy, evergreen = clear.copy(), clear.copy()
cloudy[0, (day > 75) & (day < 150), 1] = np.nan
rng = np.random.default_rng(0)
evergreen[0, :, 1] = np.where(
    np.isnan(clear[0, :, 1]), np.nan, rng.normal(0.8, NOISE, size=len(day))
)
double, _ = make_phenology(1, n_seasons=2, gaps=0.3, priors=season, noise=NOISE, random_state=1)
pixels = {
    "one season": clear,
    "clouds in spring": cloudy,
    "evergreen forest": evergreen,
    "two crops": double,
}

# %%
# Dates, intervals and flags
# --------------------------
# The points at the bottom are the start and the end of the season, with their intervals of 90 %.
# Without observations in spring, the start is uncertain by weeks, and the end is as certain as
# before. In the lower row even wide intervals mislead: the model knows nothing but single seasons
# and always finds one. There the flags of ``quality`` say that the dates have no meaning. For the
# last pixel, ``n_seasons=2`` would find both seasons.
figure, axes = plt.subplots(2, 2, figsize=(10, 7), sharex=True, sharey=True, layout="constrained")
for axis, (name, series) in zip(axes.flat, pixels.items(), strict=True):
    mean = model.predict(series)[0]
    lower, upper = (bound[0] for bound in model.predict_interval(series, coverage=0.9))
    found = model.quality(series)[0]
    flags = [flag for flag, bit in model.quality_flags_.items() if found & bit]
    axis.plot(day, series[0, :, 1], ".", color="0.3", label="clear dates")
    axis.plot(np.arange(365), model.reconstruct(series)[0], color="C2", label="fitted season")
    dates = zip(("start", "end"), ("C1", "C0"), mean, lower, upper, strict=True)
    for height, (label, color, date, low, high) in zip((0.09, 0.04), dates, strict=True):
        axis.plot([low, high], [height, height], color=color, linewidth=3)
        axis.plot(date, height, "o", color=color, label=label)
    axis.set_title(f"{name}\nflags: {', '.join(flags) or 'none'}")
for axis in axes[:, 0]:
    axis.set(ylabel="NDVI")
for axis in axes[1]:
    axis.set(xlabel="Day of the year")
axes[0, 0].set(xlim=(0, 365), ylim=(0, 1))
handles, labels = axes[0, 0].get_legend_handles_labels()
figure.legend(handles, labels, loc="outside lower center", ncols=4)
plt.show()

"""
What the series of a class look like
====================================

Before a classifier is fitted, look at the data: when are the series clear, and when do the classes
differ? A median with quantiles shows this without filling a gap, because the observations of all
series of a class are gathered in windows of time.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_sits.datasets import load_romania
from sklearn_sits.displays import SeriesDisplay

# %%
# An index from two bands
# -----------------------
# The data are one year of Sentinel-2 over a forest in Romania, with clouds. The normalised
# difference of near infrared and red grows with green leaves. It is missing where a band is.
romania = load_romania(years=2018)
bands = romania.feature_names
red, near_infrared = (1 + bands.index(name) for name in ("B4", "B8A"))
X = romania.data
ndvi = (X[..., near_infrared] - X[..., red]) / (X[..., near_infrared] + X[..., red])
series = np.stack([X[..., 0], ndvi], axis=2)
cover = np.array(["open", "closed", "dense"])[np.digitize(romania.target, [60, 80])]

# %%
# The year of each class
# ----------------------
# Lines are medians, the shaded bands hold the middle 80 % of the observations, and the bars at
# the bottom tell how many of the series are clear. Open forest turns green two weeks later and
# stays lower all summer, while closed and dense forest overlap on every date: these two will be
# confused. In January and February hardly a series is clear, so the large differences there come
# from a few pixels. The dips of May and August are thin clouds that the mask has missed.
SeriesDisplay.from_data(
    series,
    cover,
    channel=1,
    classes=["open", "closed", "dense"],
    step=15,
    name="NDVI",
    origin="1970-01-01",
)
plt.show()

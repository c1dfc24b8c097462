"""
Leaf area through the clouds of a year
======================================

The leaf area of a forest does not jump from one day to the next. A model that knows this takes
information from the clear days before and after a cloud, and tells how little it knows in between.
This example retrieves the leaf area index (LAI) of one pixel with and without this knowledge.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_sits import load_prosail_vae
from sklearn_sits.datasets import load_romania
from sklearn_sits.displays import TraitSeriesDisplay
from sklearn_sits.physics import overpass_time, sun_angles

# %%
# A series with its angles
# ------------------------
# A packed series has the date, the bands, and here three angles: sun zenith, view zenith and
# relative azimuth. The bands are NaN on cloudy dates; the angles are known on all of them.
romania = load_romania(years=2018)
pixel = np.argsort(romania.target)[-250]
bands = romania.data[pixel, :, :5]  # date, B3, B4, B8A, B11
passes = overpass_time(romania.dates, 45.2, 22.15)
sun_zenith, _ = sun_angles(passes, 45.2, 22.15)
angles = np.column_stack([sun_zenith, np.full_like(sun_zenith, 5), np.full_like(sun_zenith, 90)])
series = np.concatenate([bands, angles.astype(bands.dtype)], axis=1)
n_clear = np.sum(~np.isnan(bands).any(axis=1))
print(f"{len(series)} dates, of which {n_clear} are clear")

# %%
# Dates alone and dates together
# ------------------------------
# Without ``time_scale`` each date is retrieved from its own spectrum, and cloudy dates have no
# value. With a scale of 60 days, all dates have one: the LAI moves in 60 days by about as much as
# canopies differ from one another.
BANDS = ("B3", "B4", "B8A", "B11")
together = load_prosail_vae(bands=BANDS, time_scale=60.0)
alone = load_prosail_vae(bands=BANDS)
mean = alone.predict(series[None])[0]
lower, upper = (bound[0] for bound in alone.predict_interval(series[None], coverage=0.9))

# %%
# One series
# ----------
# The black points are the dates alone, with their intervals of 90 %; the green curve is the series
# as a whole. The two agree within their intervals. Those of the curve are narrower where clear
# dates follow each other closely, as in October, and widen in the gaps. Three things can go wrong:
#
# * Before the first clear date nothing is known. The mean of LAI in January is that of any canopy,
#   and its interval says so. Do not use the mean without it.
# * A change that is faster than the scale, such as a cut, is smoothed away. Use a shorter scale.
# * Haze or snow that the mask of clouds has missed pulls its neighbours along.
figure, axis = plt.subplots(figsize=(8, 4.5), layout="constrained")
TraitSeriesDisplay.from_estimator(together, series, origin="1970-01-01", ax=axis)
axis.errorbar(
    romania.dates,
    mean,
    yerr=[mean - lower, upper - mean],
    fmt="o",
    markersize=4,
    linewidth=1,
    color="black",
)
axis.set_title("Dates together (green) and alone (black)", pad=28)
plt.show()

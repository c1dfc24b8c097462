"""
Maps of leaf area and absorbed light, with their uncertainty
============================================================

The weights that come with the package turn a cube of Sentinel-2 into maps of vegetation traits,
without any measurement on the ground. Each value has an interval. This example maps the leaf area
index (LAI) and the absorbed share of the sunlight (fAPAR) of a forest on a summer day, and the
width of their intervals.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from nrt import data

from sklearn_sits import load_prosail_vae
from sklearn_sits.displays import MapDisplay
from sklearn_sits.physics import overpass_time, sun_angles
from sklearn_sits.raster import predict_raster

# %%
# A cube and its clouds
# ---------------------
# The cube has four bands of Sentinel-2, stored as integers; reflectances are these divided by
# 10,000. Of its scene classification, only vegetation (4) and bare soil (5) count as clear. We take
# the clearest day of July and August 2018.
with data.romania_20m() as cube:
    cube = cube.sel(time=slice("2018-07-01", "2018-08-31")).load()
clear = cube["SCL"].isin([4, 5])
day = clear.mean(("x", "y")).argmax("time").item()
cube, clear = cube.isel(time=[day]), clear.isel(time=[day])
BANDS = ["B3", "B4", "B8A", "B11"]
reflectance = cube[BANDS] / np.float32(10_000)
print(f"{cube.time.dt.date.item()}: {clear.mean().item():.0%} of the pixels are clear")

# %%
# Angles
# ------
# The canopy model needs the position of the sun, which follows from the place and the time at which
# the satellite passes. The angles of the sensor are not in the file. Near nadir they matter little.
LATITUDE, LONGITUDE = 45.2, 22.15
passes = overpass_time(cube.time.to_numpy(), LATITUDE, LONGITUDE)
sun_zenith, _ = sun_angles(passes, LATITUDE, LONGITUDE)
angles = xr.Dataset(
    {
        "sun_zenith": ("time", sun_zenith),
        "view_zenith": ("time", np.full(len(cube.time), 5.0)),
        "relative_azimuth": ("time", np.full(len(cube.time), 90.0)),
    }
)

# %%
# Means and intervals
# -------------------
# ``predict_raster`` calls a method of the estimator for each pixel. The estimator finds its bands
# and angles by their names. One method returns the mean, another the bounds of the interval that
# contains the trait with a probability of 90 %.
TRAITS = {"LAI": "m²/m²", "fAPAR": ""}
model = load_prosail_vae(bands=BANDS, targets=list(TRAITS))
mean = predict_raster(model, reflectance, valid=clear, static=angles).isel(time=0)
bounds = predict_raster(
    model, reflectance, valid=clear, static=angles, method="predict_interval"
).isel(time=0)
width = bounds.sel(statistic="upper") - bounds.sel(statistic="lower")

# %%
# Maps
# ----
# The mean LAI of the dense forest is four to five, but its intervals are just as wide: with that
# many leaves, more of them hardly change the spectrum. A map of the mean alone would hide this.
# fAPAR saturates too, which helps here: all dense canopies absorb most of the light, so the
# intervals are narrow where the value is high. A few pixels at the edges of clearings have very
# wide intervals, because the canopy model cannot reproduce their spectra. The colours end at the 99
# % quantile, so that these pixels do not hide the others.
figure, axes = plt.subplots(2, 2, figsize=(8.5, 7), layout="compressed")
for row, (trait, unit) in zip(axes, TRAITS.items(), strict=True):
    shown = {"mean": (mean, "YlGn"), "width of the 90 % interval": (width, "magma")}
    for axis, (name, (values, cmap)) in zip(row, shown.items(), strict=True):
        layer = values.sel(target=trait).rename(trait).assign_attrs(units=unit)
        display = MapDisplay.from_data(layer, cmap=cmap, ax=axis)
        display.image_.set_clim(vmin=0, vmax=float(layer.quantile(0.99)))
        axis.set_title(f"{trait}, {name}")
plt.show()

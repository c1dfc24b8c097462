"""
Leaf area index from a Sentinel-2 time series
=============================================

This example turns one year of Sentinel-2 over a forest in Romania into maps and series of the leaf
area index (LAI) with their uncertainty, without any measurement on the ground. It first uses the
weights that come with the package, then an auto-encoder that was also fitted to these spectra.
"""

import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import xarray as xr
from nrt import data

from sklearn_sits import ProsailVAERegressor, load_prosail_vae, reconstruction_score
from sklearn_sits.datasets import load_romania
from sklearn_sits.physics import overpass_time, sun_angles
from sklearn_sits.raster import predict_raster, write_map

torch.set_num_threads(1)

# %%
# Data
# ----
# The series have four bands, with NaN for clouds. The canopy model needs the position of the sun,
# which follows from the place and the time at which Sentinel-2 passes. The file does not contain
# the angles of the sensor, which matter little near nadir.
LATITUDE, LONGITUDE = 45.2, 22.15
VIEW_ZENITH, RELATIVE_AZIMUTH = 5.0, 90.0

romania = load_romania(years=2018)
day_of_year = (romania.dates - np.datetime64("2018-01-01")).astype(int) + 1
passes = overpass_time(romania.dates, LATITUDE, LONGITUDE)
sun_zenith, _ = sun_angles(passes, LATITUDE, LONGITUDE)

series = romania.data[..., :-2]  # date and bands, without the position
angles = np.empty((*series.shape[:2], 3), dtype=series.dtype)
angles[...] = np.stack(np.broadcast_arrays(sun_zenith, VIEW_ZENITH, RELATIVE_AZIMUTH), axis=-1)
X = np.concatenate([series, angles], axis=2)
clear = ~np.isnan(series[..., 1:]).any(axis=2)
print(f"X {X.shape}: {len(X)} pixels, {X.shape[1]} dates, date, 4 bands and 3 angles")
print(f"{clear.mean():.0%} of the observations are clear")

# %%
# Ready to use
# ------------
# The LAI of a forest does not jump from week to week. With `time_scale`, every date of a pixel
# borrows information from its neighbours; a cloudy date has a larger uncertainty.
BANDS = ("B3", "B4", "B8A", "B11")
TIME_SCALE = 60.0  # days
models = {"shipped weights": load_prosail_vae(bands=BANDS, time_scale=TIME_SCALE)}

# %%
# Fitted to the place
# -------------------
# The second model has also learned to reconstruct the spectra of this place.
start = time.perf_counter()
models["fitted to the spectra"] = ProsailVAERegressor(
    bands=BANDS, time_scale=TIME_SCALE, random_state=0
).fit(X)
print(f"\nfit: {time.perf_counter() - start:.0f} s")

lai, std = {}, {}
print(f"\n{'':23}{'LAI, 5 to 95 %':>18}{'mean std':>10}{'reconstruction':>16}{'s':>6}")
for name, model in models.items():
    start = time.perf_counter()
    lai[name], std[name] = model.predict(X, return_std=True)
    seconds = time.perf_counter() - start
    low, high = np.nanquantile(lai[name], [0.05, 0.95])
    score = reconstruction_score(model, X)
    print(
        f"{name:23}{f'{low:.1f} to {high:.1f}':>18}{np.nanmean(std[name]):>10.2f}{score:>16.1f}"
        f"{seconds:>6.1f}"
    )

# %%
# Maps and series
# ---------------
# The maps show the days with the fewest clouds in spring, summer and autumn. Below them are the
# series of two pixels.
SEASONS = {"spring": (80, 130), "summer": (170, 230), "autumn": (270, 320)}
chosen = {}
for season, (first, last) in SEASONS.items():
    in_season = (day_of_year >= first) & (day_of_year <= last)
    chosen[season] = int(np.argmax(clear.mean(0) * in_season))

figure = plt.figure(figsize=(12, 9), layout="constrained")
grid = figure.add_gridspec(3, 4, height_ratios=[1, 1, 0.9])
for row, name in enumerate(models):
    for column, (season, date) in enumerate(chosen.items()):
        axis = figure.add_subplot(grid[row, column], xticks=[], yticks=[])
        values = lai[name][:, date].reshape(romania.shape)
        image = axis.imshow(values, interpolation="nearest", cmap="YlGn", vmin=0, vmax=8)
        axis.set_title(f"{season}, {romania.dates[date]}")
        if column == 0:
            axis.set_ylabel(name)
    figure.colorbar(image, ax=axis, label="LAI (m²/m²)", shrink=0.8)
    axis = figure.add_subplot(grid[row, 3], xticks=[], yticks=[])
    values = std[name][:, chosen["summer"]].reshape(romania.shape)
    image = axis.imshow(values, interpolation="nearest", cmap="magma", vmin=0)
    axis.set_title("standard deviation, summer")
    figure.colorbar(image, ax=axis, label="m²/m²", shrink=0.8)

name = "fitted to the spectra"
lower, upper = models[name].predict_interval(X, coverage=0.9)
by_cover = np.argsort(romania.target)
panels = {"sparse": by_cover[len(X) // 100], "dense": by_cover[-len(X) // 100]}
for half, (label, pixel) in enumerate(panels.items()):
    axis = figure.add_subplot(grid[2, 2 * half : 2 * half + 2])
    axis.fill_between(romania.dates, lower[pixel], upper[pixel], color="#b7d9b1", label="90 %")
    axis.plot(romania.dates, lai[name][pixel], color="#1b4332", label="mean")
    seen = clear[pixel]
    axis.plot(romania.dates[seen], lai[name][pixel, seen], "o", color="#1b4332", label="clear")
    axis.set_title(f"{label}: {romania.target[pixel]:.0f} % tree cover, {name}")
    axis.set(ylabel="LAI (m²/m²)", ylim=(0, 15))
    axis.tick_params(axis="x", rotation=30)
    axis.legend()
path = sys.argv[1] if len(sys.argv) > 1 else "traits.png"
figure.savefig(path, dpi=130)
print(f"\nMaps and series written to {path}")

# %%
# From the cube to a map
# ----------------------
# The model predicts every pixel of an xarray cube, chunk by chunk, into a Zarr store. The angles
# are layers with dates. With the metadata of the scenes, they could also differ between pixels.
with data.romania_20m() as cube:
    cube = cube.sel(time="2018").load().chunk(x=25, y=25)
layers = xr.Dataset(
    {
        "sun_zenith": ("time", sun_zenith),
        "view_zenith": ("time", np.full(len(cube.time), VIEW_ZENITH)),
        "relative_azimuth": ("time", np.full(len(cube.time), RELATIVE_AZIMUTH)),
    }
)
raster = predict_raster(
    models[name],
    cube[list(BANDS)] / np.float32(10_000),
    bands=BANDS,
    valid=cube["SCL"].isin([4, 5]),
    static=layers,
    return_std=True,
)
store = Path(path).with_name("lai-2018.zarr")
raster = write_map(raster, store, overwrite=True, progress=False)
print(f"\n{store.name}: {dict(raster.sizes)}")
mapped = raster.sel(statistic="mean").to_numpy().reshape(len(cube.time), -1).T
print(f"largest difference from predict: {np.nanmax(np.abs(mapped - lai[name])):.1g} m²/m²")

"""
Leaf area from a camera of your own
===================================

The package knows satellites. For any other sensor, such as the camera of a drone, the spectral
responses of its bands are enough: a regressor learns from canopies that are simulated in these
bands. This example does it for a camera with five bands, and compares its leaf area index (LAI)
with that of Sentinel-2.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_sits import ProsailVAERegressor
from sklearn_sits.datasets import make_prosail
from sklearn_sits.physics import Sensor

# %%
# The bands of the camera
# -----------------------
# Manufacturers of drone cameras give the centre and the full width at half maximum of each band. A
# Gaussian of this width is a good approximation of its response.
wavelengths = np.arange(400.0, 901.0, 2.0)  # nm
centre = np.array([475, 560, 668, 717, 842])[:, None]
width = np.array([32, 27, 14, 12, 57])[:, None]
responses = np.exp(-4 * np.log(2) * ((wavelengths - centre) / width) ** 2)
names = ["blue", "green", "red", "red edge", "nir"]
drone = Sensor.from_responses(wavelengths, responses, names, name="drone")

# %%
# A regressor for each sensor
# ---------------------------
# ``objective="simulations"`` needs no image: the regressor simulates canopies of many types, and
# learns which of them a spectrum may come from. Few simulations and steps save time here; leave
# these arguments out for real work.
sensors = {"camera with 5 bands": drone, "Sentinel-2 with 10 bands": Sensor.load("Sentinel-2A")}
regressors = {
    name: ProsailVAERegressor(
        sensor=sensor,
        objective="simulations",
        n_simulations=10_000,
        pretrain_iter=300,
        random_state=0,
    ).fit(None)
    for name, sensor in sensors.items()
}

# %%
# Predicted against true
# ----------------------
# The test canopies are the same for both sensors, and neither regressor has seen them. The bars are
# the intervals of 90 % of a few of them. For leaf area, the five bands of the camera are nearly as
# good as the ten of Sentinel-2: red, red edge and near infrared carry most of what a spectrum tells
# about it. Both saturate at an LAI of about five, beyond which the spectrum hardly changes; what
# they predict there is the mean of all canopies that are possible.
#
# These errors are those of a perfect world: PROSAIL is the truth, and the camera is calibrated. A
# real one has to deliver reflectances, not digital numbers. It must look straight down, too,
# because simulations have the view zeniths of Sentinel-2, up to 12°; ``geometry`` changes them.
figure, axes = plt.subplots(1, 2, figsize=(10, 5), sharey=True, layout="constrained")
for axis, (name, sensor) in zip(axes, sensors.items(), strict=True):
    X, y = make_prosail(1000, sensor=sensor, variables="mixed", targets=["LAI"], random_state=1)
    true, model = y[:, 0], regressors[name]
    predicted = model.predict(X)
    lower, upper = model.predict_interval(X, coverage=0.9)
    few = slice(0, 40)
    axis.plot(true, predicted, ".", color="C2", markersize=3, alpha=0.4)
    axis.vlines(true[few], lower[few], upper[few], color="C2", linewidth=1)
    axis.plot(true[few], predicted[few], "o", color="C2", markersize=4)
    axis.axline((0, 0), slope=1, color="black", linewidth=0.8)
    rmse = np.sqrt(np.mean((predicted - true) ** 2))
    inside = np.mean((lower <= true) & (true <= upper))
    axis.set_title(f"{name}\nRMSE {rmse:.2f}, {inside:.0%} in the intervals")
    axis.set(xlabel="True LAI (m²/m²)", aspect="equal", xlim=(0, 12), ylim=(0, 12))
axes[0].set(ylabel="Predicted LAI (m²/m²)")
plt.show()

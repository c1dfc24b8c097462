"""
Spectra of a canopy and the bands of Sentinel-2
===============================================

PROSAIL computes the reflectance of a canopy from 400 to 2500 nm, and a sensor measures averages of
it in bands. Leaf area and chlorophyll change different parts of the spectrum, which makes their
retrieval possible.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from sklearn_sits.physics import VARIABLES, Prosail

# %%
# One canopy with two variables that change
# -----------------------------------------
# Each row of variables is a canopy. All canopies have the same sensor and the same sun, because
# leading dimensions broadcast.
model = Prosail("Sentinel-2A")
names = [variable.name for variable in VARIABLES]
canopy = torch.tensor([1.5, 45.0, 9.0, 0.0, 0.015, 0.008, 3.0, 55.0, 0.1, 0.5, 0.8])
geometry = torch.tensor([35.0, 5.0, 100.0])  # sun zenith, view zenith, relative azimuth


def vary(name, values):
    """Return a canopy for each value of a variable."""
    canopies = canopy.repeat(len(values), 1)
    canopies[:, names.index(name)] = torch.tensor(values)
    return canopies


panels = {
    ("LAI", "m²/m²"): [0.0, 0.5, 1.0, 2.0, 4.0, 8.0],
    ("Cab", "µg/cm²"): [5.0, 15.0, 30.0, 45.0, 60.0, 80.0],
}

# %%
# Spectra, and the bands at their mean wavelengths
# ------------------------------------------------
# The gradient with respect to a variable shows which bands carry information about it.
wavelengths = np.arange(400, 2501)
figure, axes = plt.subplots(2, 1, figsize=(9, 8), sharex=True, layout="constrained")
print("Change of reflectance per unit of each variable, at LAI 3 and Cab 45")
print(f"{'':5}" + "".join(f"{band:>9}" for band in model.sensor.bands))
for axis, ((name, unit), values) in zip(axes, panels.items(), strict=True):
    canopies = vary(name, values)
    spectra, bands = model.spectrum(canopies, geometry), model(canopies, geometry)
    colours = plt.cm.viridis(np.linspace(0.9, 0.1, len(values)))
    for value, spectrum, points, colour in zip(values, spectra, bands, colours, strict=True):
        axis.plot(wavelengths, spectrum, color=colour, linewidth=1.2, label=f"{value:g}")
        axis.plot(model.sensor.centre, points, "o", color=colour, markersize=4)
    for band, response in zip(model.sensor.bands, model.sensor.responses, strict=True):
        inside = model.sensor.wavelengths[response > response.max() / 2]
        axis.axvspan(inside[0], inside[-1], color="0.5", alpha=0.15, linewidth=0)
        axis.annotate(
            band,
            (inside.mean(), 1.0),
            xycoords=("data", "axes fraction"),
            # The two near-infrared bands overlap.
            xytext=(0, 11 if band == "B8A" else 2),
            textcoords="offset points",
            ha="center",
            fontsize=7,
        )
    axis.set(ylabel="Reflectance", ylim=(0, None))
    axis.legend(title=f"{name} ({unit})", ncols=2)

    jacobian = torch.autograd.functional.jacobian(lambda x: model(x, geometry), canopy)
    slopes = jacobian[:, names.index(name)].tolist()
    print(f"{name:5}" + "".join(f"{slope:9.5f}" for slope in slopes))
axes[-1].set(xlabel="Wavelength (nm)", xlim=(400, 2500))
plt.show()

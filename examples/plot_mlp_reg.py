"""
Leaf area and chlorophyll from Sentinel-2, learnt from simulations
==================================================================

A small neural network is trained on canopies that PROSAIL simulates, and needs no field
measurements. This is a common way to map biophysical variables (Weiss et al.; MLP-Reg in Zérah et
al. 2024). The network comes from scikit-learn.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sits.datasets import make_prosail

# %%
# Simulations
# -----------
# Features are the reflectances in ten bands, with noise, and the three angles of sun and sensor.
# Targets are leaf area index and the chlorophyll of the canopy, CCC = LAI × Cab.
targets = {"LAI": "m²/m²", "CCC": "µg/cm²"}
X, y = make_prosail(20_000, targets=list(targets), random_state=0)
X_test, y_test = make_prosail(2_000, targets=list(targets), random_state=1)

# %%
# A network for both targets
# --------------------------
# The targets differ by two orders of magnitude. Without scaling, CCC would dominate the loss.
network = make_pipeline(
    StandardScaler(),
    MLPRegressor(hidden_layer_sizes=(64, 64), early_stopping=True, random_state=0),
)
model = TransformedTargetRegressor(network, transformer=StandardScaler()).fit(X, y)
predicted = model.predict(X_test)

# %%
# Predicted against true
# ----------------------
# Dense canopies saturate: beyond an LAI of about 5 the spectrum hardly changes. A network that
# minimises the squared error then predicts the mean of the LAI values that fit the spectrum.
figure, axes = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
for axis, (name, unit), true, found in zip(
    axes, targets.items(), y_test.T, predicted.T, strict=True
):
    rmse = np.sqrt(np.mean((found - true) ** 2))
    r = np.corrcoef(found, true)[0, 1]
    print(f"{name}: RMSE {rmse:.3g} {unit}, bias {np.mean(found - true):.2g}, r {r:.3f}")
    axis.plot(true, found, ".", markersize=3, alpha=0.4)
    axis.axline((0, 0), slope=1, color="black", linewidth=0.8)
    axis.set(xlabel=f"True {name} ({unit})", ylabel=f"Predicted {name} ({unit})", aspect="equal")
    axis.set_title(f"{name}: RMSE {rmse:.3g} {unit}")
plt.show()

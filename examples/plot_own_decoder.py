"""
Traits with a radiative transfer model of your own
==================================================

The regressor of vegetation traits learns from PROSAIL by default, but any differentiable model of
reflectances will do: for needles, for lichens, or for a model of which you know the details. It
brings its own variables, bands and angles. This example writes a model of three variables and
retrieves them from its spectra.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from sklearn_sits import ProsailVAERegressor
from sklearn_sits.physics import Prior, RadiativeTransferModel, Variable

# %%
# The model
# ---------
# Leaves hide a soil: the share of soil that remains visible falls exponentially with the leaf area,
# the faster the lower the sun (law of Beer and Lambert). Chlorophyll darkens the leaves in the
# visible bands. ``forward`` takes tensors of any leading shape, and PyTorch derives its gradient.


class Layer(RadiativeTransferModel):
    """Leaves that hide a soil, by the law of Beer and Lambert."""

    variables = (
        Variable("LAI", "m²/m²", 0.0, 4.0, "leaf area index"),
        Variable("Cab", "µg/cm²", 10.0, 80.0, "leaf chlorophyll"),
        Variable("soil", "", 0.05, 0.35, "reflectance of the soil"),
    )
    priors = {variable.name: Prior.uniform(*variable[2:4]) for variable in variables}
    bands = ("green", "red", "nir")
    geometry = (Variable("sun zenith", "°", 0.0, 70.0, "angle of the sun from the zenith"),)
    nominal_geometry = (35.0,)

    def forward(self, variables, geometry, *, check=True):
        """Return the reflectances in the three bands."""
        lai, cab, soil = variables.unsqueeze(-1).unbind(-2)
        leaf = 0.5 * torch.exp(-cab * torch.tensor([0.02, 0.04, 0.0]).to(variables))
        sun = torch.cos(torch.deg2rad(geometry))
        return torch.lerp(leaf, soil, torch.exp(-0.5 * lai / sun))


# %%
# A regressor that decodes with it
# --------------------------------
# The regressor draws variables from the priors of the model, computes their spectra and learns the
# way back. Few simulations and small batches save time here.
model = Layer()
regressor = ProsailVAERegressor(
    ["LAI", "Cab", "soil"],
    decoder=model,
    objective="simulations",
    n_simulations=5_000,
    pretrain_iter=600,
    batch_size=32,
    learning_rate=2e-3,
    random_state=0,
).fit(None)

# %%
# Canopies that the regressor has not seen
# ----------------------------------------
# A row of ``X`` has the bands, then the angle. The sensor adds noise.
generator = torch.Generator().manual_seed(1)
truth = model.sample_variables(300, model.priors, generator)
angle = model.sample_geometry(300, generator)
bands = model(truth, angle)
bands = bands + 0.005 * torch.randn(bands.shape, generator=generator)
X = torch.cat([bands, angle], dim=1).numpy()
mean = regressor.predict(X)
lower, upper = regressor.predict_interval(X, coverage=0.9)

# %%
# Predicted against true
# ----------------------
# Bars are intervals of 90 %; a tenth of them should miss the line. They tell the physics of the
# model. Leaf area is known best where leaves are few, and the brightness of the soil is known only
# there: below dense leaves the regressor predicts the mean of the prior, the row of points in the
# middle, with an interval of nearly the whole range. Chlorophyll is the other way round.
#
# Two things can go wrong with a model of your own. The regressor takes it as the truth, so compare
# it with a reference first. And ``forward`` must be differentiable for all objectives but
# ``"simulations"``.
figure, axes = plt.subplots(1, 3, figsize=(11, 4), layout="constrained")
for column, (axis, variable) in enumerate(zip(axes, model.variables, strict=True)):
    true = truth[:, column].numpy()
    axis.vlines(true, lower[:, column], upper[:, column], color="C2", linewidth=0.6, alpha=0.5)
    axis.plot(true, mean[:, column], ".", color="C2", markersize=4)
    axis.axline((variable.low, variable.low), slope=1, color="black", linewidth=0.8)
    inside = np.mean((lower[:, column] <= true) & (true <= upper[:, column]))
    label = f"{variable.name} ({variable.unit})" if variable.unit else variable.name
    axis.set(xlabel=f"True {label}", ylabel=f"Predicted {label}")
    axis.set_title(f"{variable.name}: {inside:.0%} in the intervals")
plt.show()

import numpy as np
import pytest
from regressor_contracts import check_unchanged

from sklearn_sits import ProsailVAERegressor, load_prosail_vae


def test_start_from_shipped_weights(data):
    X, y = data
    settings = {"n_mc_samples": 2, "max_iter": 5, "n_simulations": 500, "batch_size": 32}
    model = ProsailVAERegressor(init="shipped", random_state=0, device="cpu", **settings).fit(X)
    assert model.n_iter_ == 5
    assert {record["phase"] for record in model.history_} == {"observed"}
    shipped = load_prosail_vae()
    assert np.corrcoef(model.predict(X), shipped.predict(X))[0, 1] > 0.95
    assert np.corrcoef(model.predict(X), y[:, 0])[0, 1] > 0.7


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"n_hidden": 32}, "init='shipped' needs n_hidden=64, got 32"),
        ({"priors": "crops", "noise": 0.1}, "needs priors='mixed', got 'crops'; noise=0.01"),
        ({"bands": ["B4", "B8"]}, r"needs a sensor and bands with weights, got 'Sentinel-2A' and"),
        ({"objective": "simulations"}, "leaves nothing to train .* use load_prosail_vae"),
    ],
)
def test_shipped_weights_of_other_parameters(data, parameters, match):
    X = data[0] if "bands" not in parameters else data[0][:, [2, 6, 10, 11, 12]]
    check_unchanged(ProsailVAERegressor(init="shipped", **parameters), X, match)

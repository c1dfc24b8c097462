"""ProsailVAERegressor keeps to the contract of the regressors."""

from copy import deepcopy

import numpy as np
import pytest
import regressor_contracts as contracts
from numpy.testing import assert_allclose
from spectra import NAN, TRAITS, make, results, to_series

from sklearn_sits.physics import Prior, Prosail
from sklearn_sits.traits import prosail_vae
from sklearn_sits.traits.posterior import TraitPosterior
from sklearn_sits.traits.training import TraitTraining

# Trainings of a few steps.
pytestmark = pytest.mark.filterwarnings(r"ignore:Training \d of at most 3 collapsed:UserWarning")


class Case:
    names = TRAITS
    target, several = "LAI", ["LAI", "CCC"]
    training_class, posterior_class = TraitTraining, TraitPosterior
    batch_sizes = prosail_vae._PREDICTED_AT_ONCE
    changes = (
        {"n_hidden": 5, "n_blocks": 0},
        {"quadrature": 1},
        {"sensor": "Landsat-8"},
        {"sensor": None},
        {"bands": ["B4", "B8"]},
        {"priors": {"LAI": Prior(1, 1, 0, 2, 0, 2)}, "objective": "hybrid"},
        {"time_scale": 30.0},
    )
    diverging_rate = 1e6
    skops_types = ("sklearn_sits.ProsailVAERegressor", "sklearn_sits.physics.Sensor")
    # CCC of a draw near zero is rounded in shares of its range, 1350.
    single_precision = {"rtol": 1e-4, "atol": 2e-3}
    # CCC is a product in draws, and has a distribution of its own in intervals.
    quantile_error = (0.03, 0.15)

    def make(self, **kwargs):
        return make(**kwargs)

    def results(self, model, X):
        return results(model, X)

    def cases(self, trained, X):
        in_time = deepcopy(trained)
        in_time.time_scale_ = 30.0
        series = to_series(X)
        series[::3, 2, 1:] = NAN
        return [(trained, X), (trained, series), (in_time, series)]

    def pad(self, model, X):
        padding = np.full((len(X), 3, X.shape[2]), NAN)
        return model.sample(np.concatenate([padding, X], axis=1), 5, random_state=0)[:, :, 3:]

    def check_draws(self, draws):
        low, high = (bound.numpy() for bound in Prosail(quadrature=1).bounds(Prosail.priors))
        assert (draws >= low - 1e-6 * high).all()
        assert (draws <= high + 1e-6 * high).all()
        draw = dict(zip(TRAITS, np.moveaxis(draws, -1, 0), strict=True))
        for canopy, leaf in (("CCC", "Cab"), ("CWC", "Cw"), ("CDMC", "Cm")):
            assert_allclose(draw[canopy], draw["LAI"] * draw[leaf], rtol=1e-10)


class TestState(Case, contracts.StateContract):
    pass


class TestInput(Case, contracts.InputContract):
    pass


class TestInvariance(Case, contracts.InvarianceContract):
    pass


class TestDraws(Case, contracts.DrawContract):
    pass


class TestWorkflow(Case, contracts.WorkflowContract):
    pass

"""PhenologyVAERegressor keeps to the contract of the regressors."""

import pickle

import numpy as np
import regressor_contracts as contracts
from seasons import NAMES, NAN, make, make_doubles, make_flat, results

from sklearn_sits.phenology.posterior import SeasonPosterior
from sklearn_sits.phenology.training import SeasonTraining
from sklearn_sits.runtime import batches


class Case:
    names = NAMES
    target, several = "maturity", "all"
    training_class, posterior_class = SeasonTraining, SeasonPosterior
    batch_sizes = batches._PREDICTED_AT_ONCE
    changes = (
        {"n_hidden": 5, "n_blocks": 0},
        {"channel": 2},
        {"season_start": 100.0},
        {"n_years": 2},
        {"n_seasons": 2},
        {"priors": {"start_of_season": (100.0, 110.0)}},
    )
    skops_types = ("sklearn_sits.PhenologyVAERegressor",)
    single_precision = {"rtol": 1e-9}
    # Sums over dates round differently with the number of dates in a batch.
    draw_tolerance = 1e-12

    def make(self, **kwargs):
        return make(**kwargs)

    def results(self, model, X):
        return results(model, X)

    def cases(self, trained, X):
        """One season a year, and two, of which each series has none, one or both."""
        double = make(n_seasons=2, n_hidden=32, season_start=0).fit(X)
        double.state_ = trained.state_
        several = np.concatenate([X[:60], make_doubles(60, gaps=0.4)[0], make_flat(10)])
        return [(trained, X), (pickle.loads(pickle.dumps(double)), several)]

    def pad(self, model, X):
        padding = np.full((len(X), 3, 2), NAN)
        cloud = padding.copy()
        cloud[..., 0] = 20.5
        return model.sample(np.concatenate([padding, cloud, X], axis=1), 5, random_state=0)

    def check_draws(self, draws):
        assert (draws[..., 0] >= 0).all()
        assert (draws[..., 1] <= 1).all()
        assert (draws[..., 1] >= draws[..., 0]).all()
        assert (draws[..., 2:] >= -45).all()
        assert (draws[..., 2:] <= 410).all()
        assert (np.diff(draws[..., 2:], axis=-1) >= 0).all()


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

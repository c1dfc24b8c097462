import numpy as np
import pytest
import torch
from skorch.callbacks import LRScheduler
from torch.optim.lr_scheduler import LambdaLR

from sklearn_sits.runtime.training import train_epochs


class Quadratic(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.slow = torch.nn.ParameterDict({"x": torch.nn.Parameter(torch.ones(3))})
        self.fast = torch.nn.ParameterDict({"x": torch.nn.Parameter(torch.ones(3))})

    def loss(self):
        return self.slow["x"].square().sum() + self.fast["x"].square().sum()


def run(module, objective, epochs, factor=lambda step: 1.0, n_steps=None, **kwargs):
    epochs = [list(epoch) for epoch in epochs]
    return train_epochs(
        module,
        objective,
        epochs,
        learning_rates={"slow.*": 0.001, "fast.*": 0.01},
        schedule=LRScheduler(LambdaLR, step_every="batch", event_name=None, lr_lambda=factor),
        n_steps=n_steps or sum(map(len, epochs)),
        **kwargs,
    )


def test_rates_of_groups_and_schedule():
    module = Quadratic()
    rates = [1.0, 0.5, 0.25]

    def objective(batch):
        loss = module.loss()
        return loss, {"loss": loss}

    records = list(run(module, objective, [range(2), range(1)], lambda step: (*rates, 0)[step]))
    assert len(records) == 2
    # The first steps of Adam have the size of the rate.
    for name, rate in {"slow": 0.001, "fast": 0.01}.items():
        expected = 1 - rate * sum(rates)
        np.testing.assert_allclose(getattr(module, name)["x"].detach(), expected, rtol=0.001)


def test_record_is_the_mean_over_an_epoch():
    module = Quadratic()

    def objective(batch):
        return 0 * module.loss() + batch, {"part": torch.tensor(2.0 * batch)}

    records = list(run(module, objective, [[1.0, 2.0], [5.0]]))
    assert records == [{"part": 3.0}, {"part": 10.0}]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_step_that_is_not_finite_is_skipped(value):
    """Also one of the last steps, whose records are looked at."""
    module = Quadratic()

    def objective(step):
        loss = module.loss() * (value if step == 99 else 1.0)
        return loss, {"loss": loss}

    record = list(run(module, objective, [range(50), range(50, 100)]))[-1]
    assert 0 < record["loss"] < 6
    assert torch.isfinite(module.fast["x"]).all()


def test_too_many_skipped_steps_are_a_divergence():
    module = Quadratic()

    def objective(step):
        loss = module.loss() * (np.nan if step % 10 == 0 else 1.0)
        return loss, {"loss": loss}

    epochs = [range(20), range(20, 100)]
    with pytest.raises(FloatingPointError, match=r"diverged\. Do less\. .* step 100 of 100"):
        list(run(module, objective, epochs, advice="Do less."))


def test_interruption_reaches_the_caller():
    module = Quadratic()

    def objective(step):
        if step == 3:
            raise KeyboardInterrupt
        loss = module.loss()
        return loss, {"loss": loss}

    records = run(module, objective, [range(2), range(2, 6)])
    assert set(next(records)) == {"loss"}
    with pytest.raises(KeyboardInterrupt):
        next(records)


def test_global_generator_is_untouched():
    module = Quadratic()
    before = torch.get_rng_state()

    def objective(step):
        loss = module.loss()
        return loss, {"loss": loss}

    list(run(module, objective, [range(2)]))
    assert torch.equal(torch.get_rng_state(), before)

import numpy as np
import pytest
import torch
from torch import nn
from tqdm import tqdm

from sklearn_sits.vae.minimise import minimise


class Module(nn.Module):
    """A module with one parameter to train, and one to leave alone."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(1, 1, bias=False)
        self.other = nn.Parameter(torch.ones(()))
        with torch.no_grad():
            self.encoder.weight.fill_(3.0)

    @property
    def weight(self):
        return self.encoder.weight.squeeze()


def train(module, objective, n_steps, learning_rate=0.1):
    with tqdm(total=n_steps, disable=True) as bar:
        return minimise(module, objective, n_steps, learning_rate, "pretrain", bar)


def parabola(module, bad=()):
    """Return an objective whose gradient is not finite at some steps."""

    def objective(step):
        loss = (module.weight - 1).square() * module.other
        if step in bad:
            loss = loss * torch.nan
        return loss, {"loss": loss.detach().nan_to_num(0.0)}

    return objective


def test_minimum():
    module = Module()
    history = train(module, parabola(module), 250)
    assert abs(module.weight.item() - 1) < 0.01
    assert module.other == 1
    assert [record["step"] for record in history] == [100, 200, 250]
    assert {record["phase"] for record in history} == {"pretrain"}
    assert history[0]["loss"] > history[1]["loss"] > history[2]["loss"] >= 0


def test_history_has_means():
    module = Module()

    def objective(step):
        return module.weight.square(), {"step_number": torch.tensor(float(step))}

    found = [record["step_number"] for record in train(module, objective, 120)]
    assert found == pytest.approx([50.5, 110.5])


def test_rate_falls():
    """A constant gradient moves Adam by the rate, so that the path tells it."""
    module, path = Module(), []

    def objective(step):
        path.append(module.weight.item())
        return module.weight, {}

    train(module, objective, 100, learning_rate=0.01)
    steps = -np.diff(path)
    assert steps[0] == pytest.approx(0.01, rel=0.01)
    assert (np.diff(steps) < 1e-6).all()
    assert steps[-1] < 0.03 * steps[0]


def test_steps_that_are_not_finite_are_skipped():
    module = Module()
    train(module, parabola(module, bad={1, 50, 77, 120, 200}), 250)
    assert abs(module.weight.item() - 1) < 0.01


def test_skipped_step_goes_on_by_momentum_alone():
    module = Module()
    before = []

    def objective(step):
        before.append(module.weight.item())
        return parabola(module, bad={10})(step)

    train(module, objective, 30)
    assert 0 <= before[9] - before[10] < before[8] - before[9]


@pytest.mark.parametrize(("n_bad", "diverges"), [(5, False), (6, True)])
def test_more_than_five_percent_are_a_divergence(n_bad, diverges):
    module = Module()
    objective = parabola(module, bad=set(range(20, 20 + n_bad)))
    if diverges:
        with pytest.raises(FloatingPointError, match="diverged. Lower learning_rate=0.1"):
            train(module, objective, 100)
    else:
        train(module, objective, 100)


def test_loss_that_is_not_finite_is_a_divergence():
    module = Module()

    def objective(step):
        return module.weight.square(), {"loss": torch.tensor(torch.inf)}

    with pytest.raises(FloatingPointError, match="diverged"):
        train(module, objective, 10)


def test_large_gradients_are_clipped():
    """Adam divides by the size of past gradients: a spike would stop all that follows."""
    module = Module()

    def objective(step):
        loss = (module.weight - 1).square() * (1e8 if step == 5 else 1.0)
        return loss, {}

    train(module, objective, 300)
    assert abs(module.weight.item() - 1) < 0.1

import numpy as np
import pytest
import torch
from series_contracts import interrupt_after
from torch.testing import assert_close

from sklearn_sits import SVGPClassifier
from sklearn_sits.classifiers.training import ClassifierModule, train
from sklearn_sits.nn.heads import MLPHead
from sklearn_sits.nn.layers import linear, reset_linear

CPU = torch.device("cpu")


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = linear(2, 4)

    def forward(self, x):
        return self.linear(x)


def make_problem(n=100, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    labels = (x[:, 0] > 0).long().numpy()
    module = ClassifierModule(Linear(), MLPHead(4, 2, 0.0)).double()
    reset_linear(module.representation.linear, generator)
    module.head.reset(x, torch.from_numpy(labels), torch.ones(n), generator)
    return module, x, labels


def run(module, x, labels, weight=None, **kwargs):
    rows = np.arange(len(labels))
    settings = {
        "max_iter": 5,
        "batch_size": 30,
        "learning_rate": 0.01,
        "head_rate": 1.0,
        "n_iter_no_change": 10,
        "tol": 1e-4,
        "verbose": 0,
        "generator": torch.Generator().manual_seed(0),
        "device": CPU,
    }
    weight = np.ones(len(labels)) if weight is None else weight
    return train(module, lambda r: {"x": x[r]}, rows, labels, weight, **{**settings, **kwargs})


def test_loss_falls():
    module, x, labels = make_problem()
    history = run(module, x, labels, max_iter=30)
    assert [record["epoch"] for record in history] == list(range(1, 31))
    assert all(record["seconds"] >= 0 for record in history)
    assert history[-1]["train_loss"] < 0.7 * history[0]["train_loss"]


@pytest.mark.parametrize("batch_size", [100, 30, 1])
def test_loss_is_per_unit_of_weight(batch_size):
    module, x, labels = make_problem()
    with torch.no_grad():
        nll = module.head.nll(module(x=x), torch.from_numpy(labels))
    weight = np.random.default_rng(0).uniform(0.5, 2, len(labels))
    expected = float(nll @ torch.from_numpy(weight)) / weight.sum()
    history = run(module, x, labels, weight, max_iter=1, batch_size=batch_size, learning_rate=1e-12)
    assert abs(history[0]["train_loss"] - expected) < 1e-6


def test_scale_of_the_weights_does_not_matter_without_a_prior():
    trained = []
    for scale in (1.0, 7.0):
        module, x, labels = make_problem()
        run(module, x, labels, np.full(len(labels), scale))
        trained.append(module.state_dict())
    for one, other in zip(trained[0].values(), trained[1].values(), strict=True):
        assert_close(one, other, rtol=1e-6, atol=1e-8)


def test_best_state_is_restored():
    module, x, labels = make_problem()
    states = []

    def load(rows):
        return {"x": x[rows]}

    class Recorder(MLPHead):
        """Notes the parameters at each validation."""

        def predict_log_proba(self, z):
            states.append(self.linear.weight.detach().clone())
            return super().predict_log_proba(z)

    module.head.__class__ = Recorder
    rows = np.arange(80)
    # Labels of the validation part that training moves away from.
    wrong = 1 - labels[80:]
    history = train(
        module,
        load,
        rows,
        labels[:80],
        np.ones(80),
        validation=(np.arange(80, 100), wrong, np.ones(20)),
        max_iter=50,
        batch_size=20,
        learning_rate=0.05,
        head_rate=1.0,
        n_iter_no_change=3,
        tol=0.0,
        verbose=0,
        generator=torch.Generator().manual_seed(0),
        device=CPU,
    )
    losses = [record["valid_log_loss"] for record in history]
    best = int(np.argmin(losses))
    assert len(history) == best + 1 + 3
    assert torch.equal(module.head.linear.weight.detach(), states[best])


def test_interrupt_is_not_swallowed(monkeypatch):
    interrupt_after(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        run(*make_problem())


def test_divergence_is_an_error():
    module, x, labels = make_problem()
    with torch.no_grad():
        module.head.linear.weight.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match=r"Lower learning_rate=0\.01.* step 4 of 20"):
        run(module, x, labels)


def test_divergence_leaves_the_estimator_unfitted():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2)).astype(np.float32)
    clf = SVGPClassifier(n_inducing=5, max_iter=20, learning_rate=1e8, device="cpu")
    before = dict(vars(clf))
    with pytest.raises(FloatingPointError, match=r"Lower learning_rate=100000000\.0"):
        clf.fit(X, np.arange(60) % 2)
    assert vars(clf) == before


@pytest.mark.parametrize("verbose", [0, 1])
def test_progress_bar(capsys, verbose):
    run(*make_problem(), verbose=verbose)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("5/5" in err and "train_loss" in err) if verbose else err == ""

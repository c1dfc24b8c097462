import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression
from torch.testing import assert_close

from sklearn_sits.nn.linear_head import LinearHead


def make_problem(n=120, d=6, n_classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, d, generator=generator, dtype=torch.float64)
    noise = torch.randn(n, n_classes, generator=generator, dtype=torch.float64)
    return z, (z[:, :n_classes] + 0.5 * noise).argmax(1)


def make_head(z, labels, weight=None, n_classes=3):
    head = LinearHead(z.shape[1], n_classes).to(z.dtype)
    weight = torch.ones(len(z), dtype=z.dtype) if weight is None else weight
    head.reset(z, labels, weight, torch.Generator())
    return head


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("seed", range(2))
def test_agrees_with_scikit_learn(n_classes, seed):
    z, labels = make_problem(n_classes=n_classes, seed=seed)
    weight = torch.rand(120, generator=torch.Generator().manual_seed(seed)).double() + 0.5
    head = make_head(z, labels, weight, n_classes)
    found = head.predict_log_proba(z).exp().numpy()
    # Of two classes, scikit-learn has one row of coefficients: the difference of those here.
    C = 0.1 if n_classes > 2 else 0.2
    reference = LogisticRegression(C=C, tol=1e-10, max_iter=1000)
    reference.fit(z.numpy(), labels.numpy(), sample_weight=weight.numpy())
    assert_allclose(found, reference.predict_proba(z.numpy()), rtol=0, atol=1e-4)
    if n_classes > 2:
        assert_allclose(head.linear.weight.numpy(), reference.coef_, rtol=0, atol=1e-4)


def test_weight_of_two_is_a_repetition():
    z, labels = make_problem()
    weight = torch.from_numpy(np.random.default_rng(0).integers(0, 3, 120)).double()
    rows = torch.arange(120).repeat_interleave(weight.long())
    one, other = make_head(z, labels, weight), make_head(z[rows], labels[rows])
    found, expected = one.predict_log_proba(z), other.predict_log_proba(z)
    assert_close(found, expected, rtol=0, atol=1e-5)
    assert not torch.allclose(found, make_head(z, labels).predict_log_proba(z), atol=1e-2)


def test_classes_without_series_and_extreme_weights():
    z, labels = make_problem()
    for weight in (1e-8, 1e10):
        head = make_head(z, labels, torch.full((120,), weight).double(), 4)
        log_proba = head.predict_log_proba(z)
        assert log_proba.isfinite().all()
        assert (log_proba.argmax(1) < 3).all()


def test_float32():
    z, labels = make_problem()
    head = make_head(z.float(), labels)
    found = head.predict_log_proba(z.float())
    assert found.dtype == torch.float32
    assert_close(found.double(), make_head(z, labels).predict_log_proba(z), rtol=0, atol=1e-4)


def test_likelihood_and_latent_functions():
    z, labels = make_problem()
    head = make_head(z, labels)
    log_proba = head.predict_log_proba(z)
    assert_close(head.nll(z, labels), -log_proba.gather(1, labels[:, None])[:, 0])
    mean, std = head.latent(z)
    assert_close(mean.log_softmax(1), log_proba)
    assert not std.any()
    assert float(head.kl()) == 0


def test_is_fitted_once_also_without_gradients():
    z, labels = make_problem()
    expected = make_head(z, labels).linear.weight
    with torch.no_grad():
        head = make_head(z, labels)
    assert_close(head.linear.weight, expected)
    assert not any(parameter.requires_grad for parameter in head.parameters())

import pytest
import torch
from torch.testing import assert_close

from sklearn_sits.nn.ensemble import EnsembleHead, RepresentationEnsemble
from sklearn_sits.nn.heads import MLPHead, SVGPHead
from sklearn_sits.nn.kernel_head import KernelHead
from sklearn_sits.nn.kernels import SeriesKernel
from sklearn_sits.nn.layers import linear, reset_linear

SHARE = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_process(n_features, seed):
    head = SVGPHead(n_features, 3, 5, 4).double()
    z = torch.randn(40, n_features, generator=generator(seed), dtype=torch.float64)
    labels = torch.arange(40) % 3
    lengthscale = torch.full((n_features,), 2.0, dtype=torch.float64)
    weight = torch.ones(40, dtype=torch.float64)
    head.reset(z, labels, weight, generator(seed), z[:5].clone(), lengthscale)
    with torch.no_grad():
        for parameter in head.parameters():
            noise = torch.randn(parameter.shape, generator=generator(seed), dtype=parameter.dtype)
            parameter.add_(0.1 * noise)
    return head.eval()


def make_ensemble():
    """Processes on features of different number, with shares that differ."""
    sizes = [4, 2, 3]
    columns = [slice(0, 4), slice(4, 6), slice(6, 9)]
    members = [make_process(n, seed) for seed, n in enumerate(sizes)]
    head = EnsembleHead(members, columns).double()
    z = torch.randn(30, 9, generator=generator(7), dtype=torch.float64)
    return head.eval(), z, [z[:, :4], z[:, 4:6], z[:, 6:]]


def test_equal_shares_by_default():
    head, *_ = make_ensemble()
    assert_close(head.share.sum(), torch.ones((), dtype=torch.float64), rtol=1e-15, atol=0)
    assert_close(head.share, torch.full((3,), 1 / 3, dtype=torch.float64), rtol=1e-15, atol=0)


@torch.no_grad()
def test_probabilities_are_weighted_means():
    head, z, parts = make_ensemble()
    head.share.copy_(SHARE)
    each = [member.predict_proba(part) for member, part in zip(head.members, parts, strict=True)]
    expected = 0.5 * each[0] + 0.3 * each[1] + 0.2 * each[2]
    found = head.predict_proba(z)
    assert_close(found, expected)
    assert_close(found.sum(1), torch.ones(30).double())
    assert_close(head.predict_log_proba(z), expected.log())


@torch.no_grad()
def test_logarithms_are_finite_where_probabilities_underflow():
    members = [MLPHead(2, 3, 0.0).double() for _ in range(2)]
    for member in members:
        reset_linear(member.linear, generator())
        member.linear.weight.mul_(1e5)
    head = EnsembleHead(members, [slice(0, 2), slice(2, 4)]).double().eval()
    z = torch.randn(20, 4, generator=generator(), dtype=torch.float64)
    assert (head.predict_proba(z) == 0).any()
    assert head.predict_log_proba(z).isfinite().all()


@torch.no_grad()
def test_freeze_keeps_predictions():
    head, z, _ = make_ensemble()
    head.share.copy_(SHARE)
    before = head.predict_proba(z), head.predict_log_proba(z), *head.latent(z)
    head.freeze()
    after = head.predict_proba(z), head.predict_log_proba(z), *head.latent(z)
    for one, other in zip(after, before, strict=True):
        assert_close(one, other, rtol=1e-8, atol=1e-8)


@torch.no_grad()
def test_latent_moments_are_those_of_the_mixture():
    head, z, parts = make_ensemble()
    head.share.copy_(SHARE)
    n_draws = 200_000
    chosen = torch.multinomial(SHARE, n_draws, replacement=True, generator=generator())
    noise = torch.randn(n_draws, 3, generator=generator(1), dtype=torch.float64)
    latents = [member.latent(part[:1]) for member, part in zip(head.members, parts, strict=True)]
    means, stds = (torch.cat(values) for values in zip(*latents, strict=True))
    draws = means[chosen] + stds[chosen] * noise
    mean, std = head.latent(z[:1])
    assert_close(mean[0], draws.mean(0), rtol=0, atol=0.02)
    assert_close(std[0], draws.std(0), rtol=0.02, atol=0)


def test_members_are_trained_as_if_alone():
    """The loss is the mean of theirs, whatever their shares in predictions are."""
    head, z, parts = make_ensemble()
    head.share.copy_(SHARE)
    labels = torch.arange(30) % 3
    losses = []
    for member, part in zip(head.members, parts, strict=True):
        member.generator = generator(3)
        losses.append(member.nll(part, labels).sum() + member.kl())
        member.generator = generator(3)
    expected = torch.autograd.grad(sum(losses) / 3, list(head.parameters()))
    joint = head.nll(z, labels).sum() + head.kl()
    assert_close(joint, sum(losses) / 3)
    found = torch.autograd.grad(joint, list(head.parameters()))
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other)


def test_heads_may_share_features_and_need_not_be_trained():
    fitted = KernelHead(SeriesKernel(4), 4, 3, 10).double()
    z = torch.randn(30, 6, generator=generator(), dtype=torch.float64)
    labels = torch.arange(30) % 3
    fitted.reset(z[:, 2:], labels, torch.ones(30, dtype=torch.float64), generator())
    trained = make_process(4, 0)
    head = EnsembleHead([trained, fitted], [slice(0, 4), slice(2, 6)]).double().eval()
    expected = (trained.predict_proba(z[:, :4]) + fitted.predict_proba(z[:, 2:])) / 2
    assert_close(head.predict_proba(z), expected)
    # In training, the features of the other head are not there.
    trained.generator = generator(3)
    loss = head.nll(z[:, :4], labels)
    trained.generator = generator(3)
    assert_close(loss, trained.nll(z[:, :4], labels))
    assert_close(head.kl(), trained.kl())


class Scaled(torch.nn.Module):
    def __init__(self, n_features):
        super().__init__()
        self.n_features = n_features
        self.linear = linear(2, n_features)
        reset_linear(self.linear, generator(n_features))

    def forward(self, x, scale):
        return scale * self.linear(x)


@pytest.mark.parametrize("sizes", [[3], [3, 1, 4]])
def test_representations_stand_one_after_the_other(sizes):
    ensemble = RepresentationEnsemble([Scaled(n) for n in sizes])
    x = torch.randn(6, 2, generator=generator())
    z = ensemble(x=x, scale=2.0)
    assert ensemble.n_features == sum(sizes) == z.shape[1]
    for member, part in zip(ensemble.members, z.split(sizes, dim=1), strict=True):
        assert_close(part, member(x, 2.0))


def test_fixed_representation_comes_last_and_not_in_training():
    ensemble = RepresentationEnsemble([Scaled(3), Scaled(1)], fixed=Scaled(2))
    x = torch.randn(6, 2, generator=generator())
    assert (ensemble.n_trained, ensemble.n_features) == (4, 6)
    z = ensemble.eval()(x=x, scale=2.0)
    assert_close(z[:, 4:], ensemble.fixed(x, 2.0))
    assert_close(ensemble.train()(x=x, scale=2.0), z[:, :4])

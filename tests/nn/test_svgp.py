import pytest
import torch
from gaussian_processes import N_FEATURES, N_INDUCING, N_LATENTS, features, make_svgp
from gpytorch.distributions import MultivariateNormal
from gpytorch.models import ApproximateGP
from gpytorch.settings import cholesky_jitter
from gpytorch.variational import VariationalStrategy
from torch.distributions import MultivariateNormal as TorchNormal
from torch.distributions import kl_divergence
from torch.testing import assert_close

from sklearn_sits.nn import svgp as svgp_module


class Reference(ApproximateGP):
    """The same process by the strategy of GPyTorch."""

    def __init__(self, gp):
        super().__init__(
            VariationalStrategy(
                self, gp.inducing_points.detach(), gp.variational, jitter_val=svgp_module._JITTER
            )
        )
        self.strategy = self.variational_strategy
        self.mean, self.kernel = gp.mean, gp.kernel

    def forward(self, x):
        mean = self.mean[:, None].expand(-1, x.shape[-2])
        return MultivariateNormal(mean, self.kernel(x))


def reference_marginals(gp, z):
    """Marginals in the whitened form, from the definition."""
    kernel = gp.kernel
    points = gp.inducing_points
    scale = kernel.outputscale[:, None, None]
    kzz = kernel(points).to_dense() + svgp_module._JITTER * scale * torch.eye(N_INDUCING).double()
    kxz = kernel(z.expand(N_LATENTS, -1, -1), points).to_dense()
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(kzz), kxz.mT, upper=False)
    chol = gp.variational.chol_variational_covar.tril()
    mean = (gp.variational.variational_mean[:, None] @ whitened)[:, 0] + gp.mean[:, None]
    variance = (
        kernel.outputscale[:, None]
        - whitened.square().sum(1)
        + (chol.mT @ whitened).square().sum(1)
    )
    return mean, variance


@pytest.mark.parametrize("seed", range(3))
def test_marginals_equal_the_definition(seed):
    gp, z = make_svgp(seed), features()
    for one, other in zip(gp(z), reference_marginals(gp, z), strict=True):
        assert one.shape == (N_LATENTS, 9)
        assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_marginals_equal_those_of_gpytorch(monkeypatch):
    # GPyTorch adds the jitter to Kxx as well, and does not scale it: with a small one the two
    # agree to about its size.
    monkeypatch.setattr(svgp_module, "_JITTER", 1e-9)
    gp, z = make_svgp(), features()
    model = Reference(gp).eval()
    with torch.no_grad(), cholesky_jitter(double_value=1e-9):
        model.strategy.variational_params_initialized.fill_(1)
        expected = model.strategy(z.expand(N_LATENTS, -1, -1))
        mean, variance = gp(z)
    assert_close(mean, expected.mean, rtol=1e-6, atol=1e-6)
    assert_close(variance, expected.variance, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_gradients_equal_those_of_the_definition(seed):
    gp, z = make_svgp(seed), features().requires_grad_()
    parameters = [*gp.parameters(), z]

    def gradients(marginals):
        mean, variance = marginals
        loss = (mean.sin() + variance.log()).sum()
        return torch.autograd.grad(loss, parameters)

    expected = gradients(reference_marginals(gp, z))
    for one, other in zip(gradients(gp(z)), expected, strict=True):
        assert_close(one, other, rtol=1e-7, atol=1e-8)


def test_backward_pass_of_the_marginals():
    generator = torch.Generator().manual_seed(0)
    log_kernel = torch.randn(5, 2 * 3, generator=generator, dtype=torch.float64)
    projection = torch.randn(2, 3, 7, generator=generator, dtype=torch.float64)
    sign = torch.tensor([-1.0] * 3 + [1.0] * 3 + [0.0], dtype=torch.float64)

    def marginals(log_kernel, projection):
        return svgp_module._Marginals.apply(log_kernel, projection, sign)

    inputs = (log_kernel.requires_grad_(), projection.requires_grad_())
    assert torch.autograd.gradcheck(marginals, inputs)


def test_divergence_equals_that_of_torch():
    gp = make_svgp()
    q = TorchNormal(
        gp.variational.variational_mean,
        scale_tril=gp.variational.chol_variational_covar.tril()
        * gp.variational.chol_variational_covar.diagonal(dim1=1, dim2=2).sign()[:, None],
    )
    p = TorchNormal(torch.zeros(N_INDUCING).double(), torch.eye(N_INDUCING).double())
    expected = kl_divergence(q, p).sum()
    assert_close(gp.kl(), expected, rtol=1e-12, atol=1e-12)
    gradients = torch.autograd.grad(gp.kl(), gp.variational.parameters())
    expected = torch.autograd.grad(expected, gp.variational.parameters())
    for one, other in zip(gradients, expected, strict=True):
        assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_prior_has_no_divergence():
    gp = make_svgp()
    with torch.no_grad():
        gp.variational.variational_mean.zero_()
        gp.variational.chol_variational_covar.copy_(torch.eye(N_INDUCING))
        mean, variance = gp(features())
    assert gp.kl().item() == 0
    assert_close(mean, gp.mean[:, None].expand_as(mean).detach())
    assert_close(variance, gp.kernel.outputscale[:, None].detach().expand_as(variance))


def test_far_from_the_inducing_points_is_the_prior():
    gp = make_svgp()
    with torch.no_grad():
        mean, variance = gp(features() + 1e3)
    assert_close(mean, gp.mean[:, None].detach().expand_as(mean))
    assert_close(variance, gp.kernel.outputscale[:, None].detach().expand_as(variance))


def test_float32_is_close():
    gp, z = make_svgp(), features()
    expected = gp(z)
    found = gp.float()(z.float())
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert_close(one.double(), other, rtol=2e-3, atol=2e-3)


def test_equal_inducing_points_are_no_error():
    gp = make_svgp()
    with torch.no_grad():
        gp.inducing_points.copy_(gp.inducing_points[:, :1].expand_as(gp.inducing_points))
        mean, variance = gp(features())
    assert mean.isfinite().all()
    assert (variance > 0).all()


def test_reset_regresses_the_target():
    z = features(200)
    target = torch.stack([z[:, 0].sin(), z[:, 1], z[:, 2].tanh()], dim=1)
    gp = make_svgp()
    chosen = z[:N_INDUCING]
    errors = {}
    for weight in (1.0, 1e-9):
        with torch.no_grad():
            gp.mean.zero_()
        gp.reset(chosen, torch.full((N_FEATURES,), 2.0), z, target, torch.full((200,), weight))
        errors[weight] = float((gp(z)[0].detach().T - target).square().mean())
    assert errors[1.0] < 0.5 * errors[1e-9]
    assert_close(gp.inducing_points[1], chosen)
    assert_close(gp.kernel.base_kernel.lengthscale[2, 0], torch.full((N_FEATURES,), 2.0).double())

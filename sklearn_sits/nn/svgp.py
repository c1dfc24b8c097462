"""Sparse variational Gaussian processes, by their marginals."""

import torch
from gpytorch.constraints import Positive
from gpytorch.kernels import RBFKernel, ScaleKernel
from gpytorch.variational import CholeskyVariationalDistribution
from linear_operator.utils.cholesky import psd_safe_cholesky
from torch import nn

from sklearn_sits.nn.frozen_svgp import LOG_FLOOR, VARIANCE_FLOOR, FrozenSVGP

__all__ = ["SVGP"]

# Added to the diagonal of the inducing covariance, relative to the output scale. It bounds the
# condition number, so that the inverse factor has four of the seven digits of float32.
_JITTER = 1e-4
# Start of q(u), chosen by the log-loss of short trainings: a ridge of ten observations, standard
# deviations of 0.3, and a prior standard deviation of exp(1/2), about that of logits that tell
# classes apart. Training changes all of them.
_RIDGE, _START_STD, _START_VARIANCE = 10.0, 0.3, torch.e


class SVGP(nn.Module):
    r"""Independent latent Gaussian processes with a whitened q(u) = N(m, S).

    Process l has a constant mean, a squared exponential kernel with one length-scale per
    feature, and M inducing points [1]_. Parameters are held by GPyTorch modules; the marginals
    are computed here, from one matrix product and one batched one over all processes, because
    the strategies of GPyTorch build an n x n covariance or solve a triangular system for every
    batch.

    Parameters
    ----------
    n_features : int
        Number of input features d.
    n_inducing : int
        Number M of inducing points.
    n_latents : int
        Number L of processes.

    References
    ----------
    .. [1] Hensman, Matthews and Ghahramani, "Scalable Variational Gaussian Process
       Classification", AISTATS 2015.
    """

    def __init__(self, n_features, n_inducing, n_latents):
        super().__init__()
        batch = torch.Size([n_latents])
        # In logarithms a step of the optimiser is relative, whatever the scale of the inputs.
        positive = dict(transform=torch.exp, inv_transform=torch.log)
        self.kernel = ScaleKernel(
            RBFKernel(
                ard_num_dims=n_features,
                batch_shape=batch,
                lengthscale_constraint=Positive(**positive),
            ),
            batch_shape=batch,
            outputscale_constraint=Positive(**positive),
        )
        self.mean = nn.Parameter(torch.zeros(n_latents))
        self.inducing_points = nn.Parameter(torch.zeros(n_latents, n_inducing, n_features))
        self.variational = CholeskyVariationalDistribution(n_inducing, batch_shape=batch)

    def reset(self, inducing_points, lengthscale, z, target, weight):
        """Start from given inducing points, with q(u) fitted to a regression target.

        The mean of q(u) is the ridge regression of `target` on the whitened features. Starting
        it at zero leaves the embedding without a gradient worth following for many steps.

        Parameters
        ----------
        inducing_points : tensor of shape (M, d)
            Shared by all processes at the start.
        lengthscale : tensor of shape (d,)
            Length-scales, likewise.
        z : tensor of shape (n, d)
            Sample of the training features.
        target : tensor of shape (n, L)
            Values for the latent functions to start from.
        weight : tensor of shape (n,)
            Weights of the sample.
        """
        with torch.no_grad():
            self.inducing_points.copy_(inducing_points.expand_as(self.inducing_points))
            self.kernel.base_kernel.lengthscale = lengthscale.expand_as(
                self.kernel.base_kernel.lengthscale
            )
            self.kernel.outputscale = torch.full_like(self.kernel.outputscale, _START_VARIANCE)
            m = inducing_points.shape[0]
            chol = self.variational.chol_variational_covar
            eye = torch.eye(m, dtype=chol.dtype, device=chol.device)
            chol.copy_(_START_STD * eye.expand_as(chol))
            # All processes are alike at this point: one of them gives the whitened features.
            left, offset, projection = self._factors(z)
            features = (
                _log_kernel(z, left, offset).exp()[:, :m].double() @ projection[0, :, :m].double()
            )
            weighted = features * weight[:, None].double()
            ridge = _RIDGE * torch.eye(m, dtype=torch.float64, device=z.device)
            mean = torch.linalg.solve(weighted.T @ features + ridge, weighted.T @ target.double())
            self.variational.variational_mean.copy_(mean.T)

    def forward(self, z):
        """Compute the marginals of the latent functions.

        Parameters
        ----------
        z : tensor of shape (n, d)

        Returns
        -------
        mean, variance : tensors of shape (L, n)
        """
        left, offset, projection = self._factors(z)
        log_kernel = _log_kernel(z, left, offset)
        m = projection.shape[1]
        sign = torch.ones(2 * m + 1, dtype=z.dtype, device=z.device)
        sign[:m] = -1
        sign[-1] = 0
        mean, excess = _Marginals.apply(log_kernel, projection, sign)
        variance = self.kernel.outputscale[:, None] + excess
        return mean + self.mean[:, None], variance.clamp_min(VARIANCE_FLOOR)

    def freeze(self):
        """Compute the factors of the marginals.

        Returns
        -------
        frozen : FrozenSVGP
            In the precision of the parameters; compute it in float64.
        """
        left, offset, projection = self._factors(self.mean)
        m = projection.shape[1]
        inverse, _, mean = projection.split([m, m, 1], dim=2)
        factor = self.variational.chol_variational_covar.tril()
        share, vectors = torch.linalg.eigh(factor @ factor.mT - torch.eye(m).to(factor))
        root = inverse @ (vectors * share.abs().sqrt()[:, None])
        return FrozenSVGP(
            torch.cat([left, offset[:, None]], dim=1),
            torch.cat([root, mean], dim=2).mT.contiguous(),
            share.sign()[:, None],
            self.mean[:, None].clone(),
            self.kernel.outputscale[:, None],
        )

    def kl(self):
        """Compute the divergence of q(u) from the prior, summed over the processes.

        Returns
        -------
        kl : tensor of shape ()
        """
        mean = self.variational.variational_mean
        chol = self.variational.chol_variational_covar.tril()
        log_det = chol.diagonal(dim1=1, dim2=2).abs().log().sum()
        return 0.5 * (chol.square().sum() + mean.square().sum() - mean.numel()) - log_det

    def _factors(self, z):
        """Factors of the logarithm of the cross-covariance, and of its product.

        They have the precision of z. The logarithm is [x, x^2] left^T + offset, with left
        (L * M, 2d) and offset (L * M,). The product with the projection (L, M, 2M + 1) is
        [W^T, W^T Lq, W^T m] with W = Lz^-1 Kzx, the whitened features, and Lq the Cholesky factor
        of S.
        """
        lengthscale = self.kernel.base_kernel.lengthscale  # (L, 1, d)
        scaled = (self.inducing_points / lengthscale).double()
        half_norm = 0.5 * scaled.square().sum(-1)  # (L, M)
        outputscale = self.kernel.outputscale
        m = half_norm.shape[1]
        # Rounding could make a distance of zero slightly negative, on the diagonal above all.
        gram = (scaled @ scaled.mT - half_norm[:, None] - half_norm[:, :, None]).clamp_max(0)
        eye = torch.eye(m, dtype=torch.float64, device=z.device)
        chol = psd_safe_cholesky(gram.exp() + _JITTER * eye)
        inverse = torch.linalg.solve_triangular(chol, eye.expand_as(chol), upper=False)
        inverse = (inverse.mT * outputscale.double().rsqrt()[:, None, None]).to(z.dtype)
        factor = self.variational.chol_variational_covar.tril()
        mean = self.variational.variational_mean[..., None]
        projection = torch.cat([inverse, inverse @ factor, inverse @ mean], dim=2)
        # -|x - z|^2 / 2 = x.z - |z|^2 / 2 - |x|^2 / 2 for all processes in one product.
        precision = lengthscale.square().reciprocal()
        left = torch.cat([self.inducing_points * precision, -0.5 * precision.expand(-1, m, -1)], 2)
        offset = outputscale.log()[:, None] - half_norm.to(z.dtype)
        return left.flatten(0, 1), offset.flatten(), projection


def _log_kernel(z, left, offset):
    """Logarithm of the cross-covariance, (n, L * M)."""
    product = torch.addmm(offset, torch.cat([z, z.square()], dim=1), left.T)
    return product.clamp_min(LOG_FLOOR[z.dtype])


class _Marginals(torch.autograd.Function):
    """Mean and excess variance from the kernel, with the backward pass written out.

    Automatic differentiation would keep and add up six (L, n, 2M) tensors, not one.
    """

    @staticmethod
    def forward(ctx, log_kernel, projection, sign):
        n_latents, m, _ = projection.shape
        kernel = log_kernel.exp()
        product = torch.bmm(kernel.unflatten(1, (n_latents, m)).transpose(0, 1), projection)
        ctx.save_for_backward(kernel, projection, product, sign)
        # The last column, the mean, has sign zero.
        return product[..., -1].clone(), product.square() @ sign

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_mean, grad_excess):
        kernel, projection, product, sign = ctx.saved_tensors
        n_latents, m, _ = projection.shape
        grad = (product * sign).mul_((2 * grad_excess)[..., None])
        grad[..., -1] = grad_mean
        blocks = kernel.unflatten(1, (n_latents, m)).transpose(0, 1)
        grad_projection = torch.bmm(blocks.mT, grad)
        grad_kernel = torch.bmm(grad, projection.mT).transpose(0, 1).flatten(1)
        return grad_kernel.mul_(kernel), grad_projection, None

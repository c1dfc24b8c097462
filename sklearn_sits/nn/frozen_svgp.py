"""Marginals of sparse variational Gaussian processes whose parameters no longer change."""

import torch
from torch import nn

__all__ = ["LOG_FLOOR", "VARIANCE_FLOOR", "FrozenSVGP"]

# Floor of the logarithm of the kernel, far below rounding: squares and gradients stay normal.
LOG_FLOOR = {torch.float32: -30.0, torch.float64: -200.0}
# Rounding of float32 can make a small variance negative; its root has a gradient.
VARIANCE_FLOOR = 1e-6


class FrozenSVGP(nn.Module):
    r"""Marginals in two products of a batch, from factors that are computed once.

    With k the covariances of a point and the inducing points, k^T F k is the excess of the
    variance over that of the prior, and F = L^{-T} (S - I) L^{-1} for the Cholesky factor L of
    the inducing covariance. F has entries as large as the inverse of the jitter, too large for
    float32. From the eigenvectors Q and eigenvalues e of S - I it is P diag(sign e) P^T with
    P = L^{-T} Q |e|^{1/2}, whose entries are about their roots.

    Parameters
    ----------
    left : tensor of shape (L * M, 2d + 1)
        [x, x^2, 1] times its transpose is the logarithm of k, for all L processes.
    projection : tensor of shape (L, M + 1, M)
        P^T, and in the last row the factors of the mean.
    sign : tensor of shape (L, 1, M)
        Signs of the eigenvalues.
    mean, variance : tensor of shape (L, 1)
        Of the prior.
    """

    def __init__(self, left, projection, sign, mean, variance):
        super().__init__()
        self.register_buffer("left", left)
        self.register_buffer("projection", projection)
        self.register_buffer("sign", sign)
        self.register_buffer("mean", mean)
        self.register_buffer("variance", variance)

    def forward(self, z):
        """Compute the marginals of the latent functions.

        Parameters
        ----------
        z : tensor of shape (n, d)

        Returns
        -------
        mean, variance : tensors of shape (L, n)
        """
        # Series last, so that every product has long rows.
        right = torch.cat([z, z.square(), torch.ones_like(z[:, :1])], dim=1).T
        kernel = (self.left @ right).clamp_min_(LOG_FLOOR[z.dtype]).exp_()
        product = torch.bmm(self.projection, kernel.unflatten(0, (len(self.sign), -1)))
        mean = self.mean + product[:, -1]
        excess = torch.bmm(self.sign, product[:, :-1].square_()).squeeze(1)
        return mean, (self.variance + excess).clamp_min(VARIANCE_FLOOR)

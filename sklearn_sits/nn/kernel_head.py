"""Gaussian process classification of a fixed representation at its mode, fitted in one go."""

import torch
from torch import nn

from sklearn_sits.nn.heads import Head

__all__ = ["KernelHead"]

# Variances of the additive parts of the kernel: two squared exponentials, whose length-scales are
# these multiples of the median distance, and a linear one.
_VARIANCES, _MULTIPLES, _LINEAR_VARIANCE = (10.0, 10.0), (1.0, 0.5), 5.0
# Rows whose distances give the length-scale.
_N_DISTANCES = 500
# Added to the diagonal of the covariance, relative to its mean.
_JITTER = 1e-6
_MAX_ITER = 200


class KernelHead(Head):
    """Gaussian process classifier at the mode of its posterior [1]_.

    The covariance of the latent functions is the sum of two squared exponentials, a coarse and a
    fine one, and a linear kernel. Latent functions lie in the span of the inducing points, a
    sample of the training series or all of them. `reset` finds the mode; the parameters are not
    trained afterwards.

    Parameters
    ----------
    n_features : int
        Size of the representation d.
    n_classes : int
        Number of classes C.
    n_inducing : int
        Number of inducing points M.

    References
    ----------
    .. [1] Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, section 3.5,
       and section 8.3.1 for the span of a subset.
    """

    def __init__(self, n_features, n_classes, n_inducing):
        super().__init__()
        self.register_buffer("inducing_points", torch.zeros(n_inducing, n_features))
        self.register_buffer("lengthscale", torch.ones(()))
        self.register_buffer("square_norm", torch.ones(()))
        self.register_buffer("coefficients", torch.zeros(n_classes, n_inducing))
        self.register_buffer("intercept", torch.zeros(n_classes))

    def reset(self, z, labels, weight, generator):
        """Find the mode of the posterior.

        Parameters
        ----------
        z : tensor of shape (n, d)
            Representation of the training series, at least M of them.
        labels : int64 tensor of shape (n,)
            Their classes.
        weight : tensor of shape (n,)
            Their weights.
        generator : torch.Generator
            Source of the inducing points.
        """
        z, weight = z.double(), weight.double()
        order = torch.randperm(len(z), generator=generator)
        distances = torch.pdist(z[order[:_N_DISTANCES]])
        distances = distances[distances > 0]
        if len(distances):
            self.lengthscale.fill_(distances.median())
        self.square_norm.fill_(z.square().sum(1).mean().clamp_min(1e-12))
        self.inducing_points.copy_(z[order[: len(self.inducing_points)]])
        points = self.inducing_points.double()
        covariance = self._kernel(points, points)
        jitter = _JITTER * covariance.diagonal().mean()
        chol = torch.linalg.cholesky(covariance + jitter * torch.eye(len(points)).to(z))
        # In these features the prior of the coefficients is a standard normal distribution.
        features = torch.linalg.solve_triangular(
            chol, self._kernel(points, z), upper=False
        ).mT.contiguous()
        whitened, intercept = _fit_mode(features, labels, weight, len(self.intercept))
        self.coefficients.copy_(torch.linalg.solve_triangular(chol.mT, whitened.mT, upper=True).mT)
        self.intercept.copy_(intercept)

    def nll(self, z, labels):
        """Compute the negative log-likelihood at the mode.

        Parameters
        ----------
        z : tensor of shape (n, d)
        labels : int64 tensor of shape (n,)

        Returns
        -------
        nll : tensor of shape (n,)
        """
        return nn.functional.cross_entropy(self._latent(z), labels, reduction="none")

    def predict_log_proba(self, z):
        """Compute the logarithms of the class probabilities at the mode.

        Parameters
        ----------
        z : tensor of shape (n, d)

        Returns
        -------
        log_probabilities : tensor of shape (n, C)
        """
        return self._latent(z).log_softmax(1)

    def latent(self, z):
        """Compute the latent functions at the mode, and their standard deviation of zero.

        Parameters
        ----------
        z : tensor of shape (n, d)

        Returns
        -------
        mean, std : tensors of shape (n, C)
        """
        mean = self._latent(z)
        return mean, torch.zeros_like(mean)

    def _latent(self, z):
        covariance = self._kernel(z, self.inducing_points)
        return nn.functional.linear(covariance, self.coefficients, self.intercept)

    def _kernel(self, first, second):
        product = first @ second.T
        half_norms = 0.5 * (first.square().sum(1)[:, None] + second.square().sum(1))
        # Minus half of the square distance; rounding could make it slightly positive.
        exponent = (product - half_norms).clamp_max(0) / self.lengthscale.square()
        covariance = product * (_LINEAR_VARIANCE / self.square_norm)
        for variance, multiple in zip(_VARIANCES, _MULTIPLES, strict=True):
            covariance = covariance + variance * (exponent / multiple**2).clamp_min(-80.0).exp()
        return covariance


def _fit_mode(features, labels, weight, n_classes):
    coefficients = features.new_zeros(n_classes, features.shape[1], requires_grad=True)
    intercept = features.new_zeros(n_classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [coefficients, intercept], max_iter=_MAX_ITER, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        logits = nn.functional.linear(features, coefficients, intercept)
        nll = nn.functional.cross_entropy(logits, labels, reduction="none")
        # A weak prior of the intercept keeps that of a class without weight finite.
        penalty = coefficients.square().sum() + 1e-3 * intercept.square().sum()
        loss = (weight @ nll + 0.5 * penalty) / weight.sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return coefficients.detach(), intercept.detach()

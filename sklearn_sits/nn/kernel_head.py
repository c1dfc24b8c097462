"""Gaussian process classification of fixed features at its mode, fitted in one go."""

import torch
from torch import nn

from sklearn_sits.nn.heads import Head

__all__ = ["KernelHead"]

# Added to the diagonal of the covariance, relative to its mean.
_JITTER = 1e-6
_MAX_ITER = 200


class KernelHead(Head):
    """Gaussian process classifier at the mode of its posterior [1]_.

    Latent functions lie in the span of the inducing points, a sample of the training series or
    all of them. `reset` finds the mode; the parameters are not trained afterwards.

    Parameters
    ----------
    kernel : torch.nn.Module
        Covariance function of the latent functions, of :mod:`sklearn_sits.nn.kernels`.
    n_features : int
        Size of the features d.
    n_classes : int
        Number of classes C.
    n_inducing : int
        Number of inducing points M.

    References
    ----------
    .. [1] Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, section 3.5,
       and section 8.3.1 for the span of a subset.
    """

    def __init__(self, kernel, n_features, n_classes, n_inducing):
        super().__init__()
        self.kernel = kernel
        self.register_buffer("inducing_points", torch.zeros(n_inducing, n_features))
        self.register_buffer("coefficients", torch.zeros(n_classes, n_inducing))
        self.register_buffer("intercept", torch.zeros(n_classes))

    def reset(self, z, labels, weight, generator):
        """Find the mode of the posterior.

        Parameters
        ----------
        z : tensor of shape (n, d)
            Features of the training series, at least M of them.
        labels : int64 tensor of shape (n,)
            Their classes.
        weight : tensor of shape (n,)
            Their weights.
        generator : torch.Generator
            Source of the inducing points.
        """
        z, weight = z.double(), weight.double()
        order = torch.randperm(len(z), generator=generator)
        self.kernel.reset(z[order])
        self.inducing_points.copy_(z[order[: len(self.inducing_points)]])
        features, chol = self._white_features(z)
        whitened, intercept = _fit_mode(features, labels, weight, len(self.intercept))
        self.coefficients.copy_(torch.linalg.solve_triangular(chol.mT, whitened.mT, upper=True).mT)
        self.intercept.copy_(intercept)

    def held_out_log_likelihood(self, z, labels, weight, fold):
        """Predict every fold at the mode of the others.

        Parameters
        ----------
        z : tensor of shape (n, d)
            Features of series of `reset`, whose kernel and inducing points are kept.
        labels : int64 tensor of shape (n,)
            Their classes.
        weight : tensor of shape (n,)
            Their weights.
        fold : int64 tensor of shape (n,)
            Number of the fold of each.

        Returns
        -------
        log_likelihood : float64 tensor of shape (n,)
            Logarithm of the probability of the own class.
        """
        features, _ = self._white_features(z.double())
        weight = weight.double()
        latent = features.new_zeros(len(z), len(self.intercept))
        for number in fold.unique():
            held_out = fold == number
            parts = (values[~held_out] for values in (features, labels, weight))
            latent[held_out] = nn.functional.linear(
                features[held_out], *_fit_mode(*parts, len(self.intercept))
            )
        return -nn.functional.cross_entropy(latent, labels, reduction="none")

    def _white_features(self, z):
        """Return features whose coefficients are standard normal a priori, and their factor."""
        points = self.inducing_points.double()
        covariance = self.kernel(points, points)
        jitter = _JITTER * covariance.diagonal().mean()
        chol = torch.linalg.cholesky(covariance + jitter * torch.eye(len(points)).to(z))
        features = torch.linalg.solve_triangular(chol, self.kernel(points, z), upper=False)
        return features.mT.contiguous(), chol

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
        covariance = self.kernel(z, self.inducing_points)
        return nn.functional.linear(covariance, self.coefficients, self.intercept)


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

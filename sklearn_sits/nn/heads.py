"""Classification heads: from a representation to class probabilities, with their losses."""

import torch
from torch import nn
from torch.quasirandom import SobolEngine

from sklearn_sits.nn.layers import Dropout, linear, reset_linear
from sklearn_sits.nn.svgp import SVGP

__all__ = ["MLPHead", "SVGPHead"]

# Latent values of a series drawn at a time: those of 1024 stay in the processor's cache. Not fewer
# of more series, for sums would then round differently.
_DRAWN_VALUES = 256
# The exponential of so large a number, and of its negative, is normal in float32 and float64.
_SAFE_EXPONENT = 80.0


class SVGPHead(nn.Module):
    r"""Latent Gaussian processes, mixed linearly and passed through a softmax.

    f = A g with one latent process g_l per class and a learned mixing A; p(y = c | f) is
    softmax(f)_c. The latent functions are independent at a point, so they are drawn first and
    mixed after, which keeps the covariance between classes.

    Parameters
    ----------
    n_features : int
        Size of the representation.
    n_classes : int
        Number of classes C, also that of latent processes.
    n_inducing : int
        Number of inducing points.
    n_draws : int, default=4
        Draws per step for the expected log-likelihood, an even number: they come in
        antithetic pairs.
    n_predictive : int, default=128
        Draws for the predictive probabilities.
    """

    # Variational parameters need larger steps than the layers before them.
    rate = 10.0

    def __init__(self, n_features, n_classes, n_inducing, n_draws=4, n_predictive=128):
        super().__init__()
        self.gp = SVGP(n_features, n_inducing, n_classes)
        self.mixing = nn.Parameter(torch.eye(n_classes))
        self.n_draws = n_draws
        self.generator = None
        # The same for every series: probabilities depend on nothing else in the batch.
        self.register_buffer("base_draws", torch.zeros(n_predictive, n_classes))

    def reset(self, inducing_points, lengthscale, z, labels, weight, generator):
        """Start from inducing points and labels.

        Parameters
        ----------
        inducing_points : tensor of shape (M, d)
            Inducing points, in the space of the representation.
        lengthscale : tensor of shape (d,)
            Length-scales.
        z : tensor of shape (n, d)
            Sample of the training representation.
        labels : int64 tensor of shape (n,)
            Its classes.
        weight : tensor of shape (n,)
            Its weights.
        generator : torch.Generator
            Source of randomness.
        """
        target = nn.functional.one_hot(labels, len(self.mixing)).double()
        share = weight.double() / weight.double().sum()
        target = target - share @ target
        deviation = (share @ target.square()).sqrt()
        target = target / torch.where(deviation > 0, deviation, 1.0)
        self.gp.reset(inducing_points, lengthscale, z, target, weight)
        n, n_latents = self.base_draws.shape
        seed = int(torch.randint(2**31 - 1, (), generator=generator))
        draws = SobolEngine(n_latents, scramble=True, seed=seed).draw(n, dtype=torch.float64)
        # Half a cell away from 0 and 1, where the normal quantile is infinite.
        self.base_draws.copy_(torch.special.ndtri(draws.clamp(0.5 / n, 1 - 0.5 / n)))

    def nll(self, z, labels):
        """Compute the expected negative log-likelihood under q by reparametrised draws.

        Parameters
        ----------
        z : tensor of shape (n, d)
        labels : int64 tensor of shape (n,)

        Returns
        -------
        nll : tensor of shape (n,)
        """
        mean, variance = self.gp(z)
        # Shared by the series of a batch, so that a weight of two equals a repetition.
        half = torch.randn(
            (self.n_draws // 2, len(mean), 1),
            generator=self.generator,
            dtype=z.dtype,
            device=z.device,
        )
        latent = mean + variance.sqrt() * torch.cat([half, -half])
        f = torch.matmul(self.mixing, latent)  # (draws, C, n)
        own = f.gather(1, labels.expand(len(f), 1, -1)).squeeze(1)
        return (torch.logsumexp(f, dim=1) - own).mean(0)

    def kl(self):
        """Compute the divergence term of the evidence lower bound.

        Returns
        -------
        kl : tensor of shape ()
        """
        return self.gp.kl()

    def predict_proba(self, z):
        """Compute predictive probabilities, with the same normal draws for every series.

        Parameters
        ----------
        z : tensor of shape (n, d)

        Returns
        -------
        probabilities : tensor of shape (n, C)
        """
        mean, variance = self.gp(z)
        n_draws = len(self.base_draws)
        # f = A (mean + std * draw), of all draws in one product.
        left = torch.cat(
            [self.mixing * self.base_draws[:, None], self.mixing.expand(n_draws, -1, -1)], dim=2
        )
        std = variance.sqrt()
        right = torch.cat([std, mean])
        reach = mean.abs() + std * self.base_draws.abs().max()
        is_small = (self.mixing.abs() @ reach).max() < _SAFE_EXPONENT
        total = 0.0
        for part in left.split(max(1, _DRAWN_VALUES // len(self.mixing))):
            latent = (part.flatten(0, 1) @ right).unflatten(0, part.shape[:2])
            odds = (latent if is_small else latent.sub_(latent.amax(1, keepdim=True))).exp_()
            total = total + odds.mul_(odds.sum(1, keepdim=True).reciprocal()).sum(0)
        return total.T / n_draws

    def freeze(self):
        """Compute once what predictions need of the parameters, which then change no more."""
        self.gp = self.gp.freeze()

    def latent(self, z):
        """Compute mean and standard deviation of the mixed latent function of every class.

        Parameters
        ----------
        z : tensor of shape (n, d)

        Returns
        -------
        mean, std : tensors of shape (n, C)
        """
        mean, variance = self.gp(z)
        return (self.mixing @ mean).T, (self.mixing.square() @ variance).sqrt().T


class MLPHead(nn.Module):
    """Activation, dropout and a linear layer with a softmax.

    Parameters
    ----------
    n_features : int
        Size of the representation.
    n_classes : int
        Number of classes C.
    dropout : float
        Probability to drop a unit in training.
    """

    rate = 1.0

    def __init__(self, n_features, n_classes, dropout):
        super().__init__()
        self.dropout = Dropout(dropout)
        self.linear = linear(n_features, n_classes)

    def reset(self, generator):
        """Draw the parameters.

        Parameters
        ----------
        generator : torch.Generator
            Source of randomness.
        """
        reset_linear(self.linear, generator)

    def nll(self, z, labels):
        """Compute the negative log-likelihood.

        Parameters
        ----------
        z : tensor of shape (n, d)
        labels : int64 tensor of shape (n,)

        Returns
        -------
        nll : tensor of shape (n,)
        """
        return nn.functional.cross_entropy(self._logits(z), labels, reduction="none")

    def kl(self):
        """Return zero: there is no prior.

        Returns
        -------
        kl : float
        """
        return 0.0

    def freeze(self):
        """Do nothing: predictions use the parameters as they are."""

    def predict_proba(self, z):
        """Compute class probabilities.

        Parameters
        ----------
        z : tensor of shape (n, d)

        Returns
        -------
        probabilities : tensor of shape (n, C)
        """
        return self._logits(z).softmax(1)

    def _logits(self, z):
        return self.linear(self.dropout(nn.functional.silu(z)))

"""Linear classification of a fixed representation, fitted in one go."""

import torch
from torch import nn

from sklearn_sits.nn.heads import Head
from sklearn_sits.nn.layers import linear

__all__ = ["LinearHead"]

# Precision of the normal prior of the coefficients.
_PRIOR_PRECISION = 10.0
_MAX_ITER = 200


class LinearHead(Head):
    """Multinomial logistic regression with a normal prior, at its mode.

    `reset` finds the mode; the parameters are not trained afterwards.

    Parameters
    ----------
    n_features : int
        Size of the representation.
    n_classes : int
        Number of classes C.
    """

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.linear = linear(n_features, n_classes).requires_grad_(False)

    def reset(self, z, labels, weight, generator):
        """Fit the coefficients.

        Parameters
        ----------
        z : tensor of shape (n, d)
            Representation of the training series.
        labels : int64 tensor of shape (n,)
            Their classes.
        weight : tensor of shape (n,)
            Their weights.
        generator : torch.Generator
            Source of randomness (not used).
        """
        z, weight = z.double(), weight.double()
        n_classes = self.linear.out_features
        coefficients = z.new_zeros(n_classes, z.shape[1], requires_grad=True)
        intercept = z.new_zeros(n_classes, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [coefficients, intercept], max_iter=_MAX_ITER, line_search_fn="strong_wolfe"
        )

        def closure():
            optimizer.zero_grad()
            logits = nn.functional.linear(z, coefficients, intercept)
            nll = nn.functional.cross_entropy(logits, labels, reduction="none")
            # The intercept has a weak prior, for classes that are all of the weight.
            penalty = coefficients.square().sum() + 1e-3 * intercept.square().sum()
            loss = (weight @ nll + 0.5 * _PRIOR_PRECISION * penalty) / weight.sum()
            loss.backward()
            return loss

        with torch.enable_grad():
            optimizer.step(closure)
        with torch.no_grad():
            self.linear.weight.copy_(coefficients)
            self.linear.bias.copy_(intercept)

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
        return nn.functional.cross_entropy(self.linear(z), labels, reduction="none")

    def predict_log_proba(self, z):
        """Compute the logarithms of the class probabilities.

        Parameters
        ----------
        z : tensor of shape (n, d)

        Returns
        -------
        log_probabilities : tensor of shape (n, C)
        """
        return self.linear(z).log_softmax(1)

    def latent(self, z):
        """Compute the linear function of every class, and its standard deviation of zero.

        Parameters
        ----------
        z : tensor of shape (n, d)

        Returns
        -------
        mean, std : tensors of shape (n, C)
        """
        mean = self.linear(z)
        return mean, torch.zeros_like(mean)

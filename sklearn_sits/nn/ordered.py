"""Latents that keep an order, and depend on one another."""

import torch

from sklearn_sits.nn.latents import latent_quantiles

__all__ = ["dependence", "in_order", "sample_dependent"]


def in_order(values, chains):
    """Replace each value by the largest of its chain so far.

    Parameters
    ----------
    values : tensor of shape (..., k)
        Latents or parameters.
    chains : sequence of int
        Lengths of the chains that ascend, one after the other, k in all.

    Returns
    -------
    tensor of shape (..., k)
    """
    parts = values.split(list(chains), dim=-1)
    return torch.cat([part.cummax(-1).values for part in parts], dim=-1)


def dependence(covariance):
    """Factorise the correlations of a covariance.

    Parameters
    ----------
    covariance : tensor of shape (n, k, k)
        Symmetric and positive definite.

    Returns
    -------
    factor : tensor of shape (n, k, k)
        Lower triangular; times its transpose it is the matrix of correlations.
    """
    scale = covariance.diagonal(dim1=1, dim2=2).sqrt()
    correlation = covariance / (scale.unsqueeze(1) * scale.unsqueeze(2))
    # Rounding may leave a matrix of almost parallel latents without a factor.
    identity = torch.eye(covariance.shape[-1]).to(covariance)
    return torch.linalg.cholesky((correlation + correlation.mT) / 2 + 1e-5 * identity)


def sample_dependent(loc, scale, factor, noise):
    """Draw truncated normal latents that depend on one another by a normal copula.

    Parameters
    ----------
    loc, scale : tensor of shape (n, k)
        Truncated normal distributions on [0, 1]; loc lies within.
    factor : tensor of shape (n, k, k)
        As `dependence` returns it.
    noise : tensor of shape (n_draws, n, k)
        Independent standard normal draws.

    Returns
    -------
    values : tensor of shape (n_draws, n, k)
        Values in [0, 1], differentiable in `loc` and `scale`.
    """
    normal = torch.einsum("nij,snj->sni", factor.double(), noise.double())
    return latent_quantiles(loc, scale, torch.special.ndtr(normal))

"""A small sparse variational Gaussian process and inputs of it."""

import torch

from sklearn_sits.nn.svgp import SVGP

N_LATENTS, N_INDUCING, N_FEATURES = 3, 6, 4


def make_svgp(seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    gp = SVGP(N_FEATURES, N_INDUCING, N_LATENTS)
    with torch.no_grad():
        for parameter in gp.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
        chol = gp.variational.chol_variational_covar
        chol.copy_(chol.tril() + torch.eye(N_INDUCING))
    return gp.to(dtype)


def features(n=9, seed=1, dtype=torch.float64):
    return torch.randn(n, N_FEATURES, generator=torch.Generator().manual_seed(seed)).to(dtype)

import pytest
import torch
from torch.testing import assert_close

from sklearn_sits.nn.embedding import DeepEmbedding, IdentityEmbedding, SpectralEmbedding


def make_series(n=50, d=3, length=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randn(n, 4, generator=generator) @ torch.randn(
        4, d * length, generator=generator
    )
    noise = 0.1 * torch.randn(n, d * length, generator=generator)
    return (factors + noise + 3).double().unflatten(1, (d, length))


def test_identity_embedding_keeps_the_values():
    series = make_series()
    embedding = IdentityEmbedding(3, 4, 2)
    embedding.reset(series, torch.ones(50), torch.Generator())
    assert_close(embedding(series), series.reshape(50, 24))
    assert embedding.n_features == 24
    assert not embedding.state_dict()


@pytest.mark.parametrize("n_heads", [1, 2])
def test_spectral_embedding_starts_as_the_mean_over_heads(n_heads):
    series = make_series()
    embedding = SpectralEmbedding(3, 8 // n_heads, n_heads).double()
    embedding.reset(series, torch.ones(50), torch.Generator())
    heads = series.unflatten(2, (n_heads, -1)).mean(2)  # (n, D, R)
    assert_close(embedding(series), heads.transpose(1, 2).flatten(1))
    assert embedding.n_features == 3 * 8 // n_heads


def test_spectral_embedding_is_the_same_linear_map_at_every_date():
    series = make_series()
    embedding = SpectralEmbedding(3, 8, 1, 2).double()
    embedding.reset(series, torch.ones(50), torch.Generator().manual_seed(0))
    out = embedding(series).unflatten(1, (8, 2))
    assert embedding.n_features == 16
    for date in range(8):
        assert_close(out[:, date], embedding.linear(series[..., date]))


def test_spectral_embedding_commutes_with_weights_over_dates():
    """B[X]Γ = (BX)Γ for weights that sum to one, as in the factorisation of the paper."""
    series = make_series()
    weights = torch.rand(8, 8, generator=torch.Generator().manual_seed(0)).double()
    weights = weights / weights.sum(0)
    embedding = SpectralEmbedding(3, 8, 1, 2).double()
    embedding.reset(series, torch.ones(50), torch.Generator().manual_seed(0))
    after = embedding(series @ weights).unflatten(1, (8, 2))
    before = embedding(series).unflatten(1, (8, 2))
    assert_close(after, torch.einsum("nrd,rs->nsd", before, weights))


def make_deep(series, weight=None, *, n_components=6, dropout=0.0):
    embedding = DeepEmbedding(24, n_components, 16, 5, dropout).double()
    weight = torch.ones(len(series)) if weight is None else weight
    embedding.reset(series, weight, torch.Generator().manual_seed(0))
    return embedding


def scores(embedding, series):
    return (series.flatten(1) - embedding.location) @ embedding.components.T


@pytest.mark.parametrize(("n", "floor"), [(50, 1.0), (300, 1.0), (1200, 0.25), (40_000, 0.01)])
def test_components_are_principal_and_scaled(n, floor):
    """The fewer the series, the less their small components are magnified."""
    series = make_series(n)
    embedding = make_deep(series)
    found = scores(embedding, series)
    covariance = found.T @ found / len(series)
    assert_close(covariance, torch.diag(covariance.diagonal()), rtol=0, atol=1e-10)
    x = series.flatten(1)
    variance = torch.linalg.svdvals(x - x.mean(0)).square() / len(x)
    own = variance[:6] / (variance[:6] + floor * variance.sum() / 24)
    assert_close(covariance.diagonal(), own)


def test_weight_of_two_is_a_repetition():
    series = make_series()
    weight = torch.ones(50)
    weight[:10] = 2
    one = make_deep(series, weight)
    other = make_deep(torch.cat([series, series[:10]]))
    assert_close(one(series), other(series), rtol=1e-9, atol=1e-9)


def test_output_is_normalised():
    z = make_deep(make_series())(make_series(seed=1))
    assert z.shape == (50, 5)
    assert_close(z.mean(1), torch.zeros(50).double(), rtol=0, atol=1e-8)
    assert_close(z.var(1, correction=0), torch.ones(50).double(), rtol=0, atol=1e-2)


def test_degenerate_series():
    """Constant series, one series, and fewer series than components."""
    series = make_series()
    for sample in (torch.ones_like(series), series[:1], series[:3]):
        embedding = make_deep(sample, n_components=24)
        assert embedding.components.isfinite().all()
        assert embedding(series).isfinite().all()


def test_at_most_as_many_components_as_inputs():
    assert DeepEmbedding(24, 128, 16, 5, 0.0).components.shape == (24, 24)

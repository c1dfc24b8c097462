import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from sklearn_sits.nn import attention as attention_module
from sklearn_sits.nn.attention import MultiTimeAttention, TimeEmbedding

RANGES = [1, 40, 100, 300, 1000]
SEEDS = st.integers(0, 2**32 - 1)


def make_attention(*, n_heads=1, spread=None, seed=0, dtype=torch.float64, n_reference_dates=6):
    attention = MultiTimeAttention(n_reference_dates, n_heads, embedding_dim=16)
    attention.reset(torch.Generator().manual_seed(seed))
    attention.to(torch.float64)
    if spread is not None:
        with torch.no_grad():
            logits = attention.logits(torch.linspace(0, 1, 50, dtype=torch.float64))
            own = (logits.amax(1) - logits.amin(1)).amax()
            attention.query.weight.mul_(spread / own)
            attention.query.bias.mul_(spread / own)
    return attention.to(dtype)


def make_series(seed=0, *, n=7, c=3, t=11, per_channel=False, shared=True, dtype=torch.float64):
    """Values with gaps, a series without observation and one that is seen once."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand((n, c if per_channel else 1, t), generator=generator) < 0.6
    mask[0] = False
    mask[1] = False
    mask[1, :, seed % t] = True
    values = torch.randn((n, c, t), generator=generator, dtype=torch.float64) * mask
    times = torch.rand(t if shared else 2 * t, generator=generator, dtype=torch.float64)
    index = None if shared else torch.randint(2 * t, (n, t), generator=generator)
    return times.to(dtype), values.to(dtype), mask.to(dtype), index


def naive(attention, times, values, mask, index=None):
    """Masked softmax over dates of the scaled dot products, for every series and channel."""
    q = attention.query(attention.embedding(attention.reference_times))
    k = attention.key(attention.embedding(times))
    own = k[index] if index is not None else k.expand(len(values), -1, -1)  # (n, t, E)
    seen = mask.expand_as(values)[:, None] > 0  # (n, 1, c, t)
    out = []
    for head in range(attention.n_heads):
        d = q.shape[1] // attention.n_heads
        part = slice(head * d, (head + 1) * d)
        logits = torch.einsum("rd,ntd->nrt", q[:, part], own[..., part]) / math.sqrt(d)
        logits = logits[:, :, None].expand(-1, -1, values.shape[1], -1)  # (n, r, c, t)
        # The value that stands for minus infinity gives no NaN where all is hidden.
        weights = torch.where(seen, logits, -1e30).softmax(-1) * seen
        out.append(torch.einsum("nrct,nct->ncr", weights, values))
    return torch.cat(out, dim=2)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("spread", RANGES)
def test_weights_interpolate(spread, per_channel, shared):
    attention = make_attention(n_heads=2, spread=spread)
    times, values, mask, index = make_series(per_channel=per_channel, shared=shared)
    weights = attention.weights(times, mask, index)
    assert weights.shape == (7, 3 if per_channel else 1, 12, 11)
    expected, observed = attention(times, values, mask, index)
    assert_close((weights * values[:, :, None]).sum(-1), expected)
    assert_close(weights.sum(-1), observed.double().expand(-1, -1, 12))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("n_heads", [1, 4])
@pytest.mark.parametrize("spread", RANGES)
def test_equals_naive_masked_softmax(spread, n_heads, per_channel, shared):
    attention = make_attention(n_heads=n_heads, spread=spread)
    batch = make_series(spread, per_channel=per_channel, shared=shared)
    out, observed = attention(*batch)
    expected = naive(attention, *batch)
    assert_close(out, expected, rtol=1e-10, atol=1e-10)
    assert (out[0] == 0).all()
    assert not observed[0].any()
    assert observed[1:].any(1).all()


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("n_heads", [1, 4])
@pytest.mark.parametrize("spread", RANGES)
def test_float32(spread, n_heads, shared):
    attention = make_attention(n_heads=n_heads, spread=spread, dtype=torch.float32)
    batch = make_series(spread, per_channel=True, shared=shared, dtype=torch.float32)
    out, _ = attention(*batch)
    assert out.dtype == torch.float32
    # The same single precision logits, so that only the interpolation is compared.
    logits = attention.logits(batch[0])
    twin = make_attention(n_heads=n_heads, spread=spread)
    twin.logits = lambda times: logits.double()
    times, values, mask, index = batch
    expected, _ = twin(times.double(), values.double(), mask.double(), index)
    assert_close(out.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("spread", RANGES)
def test_gradients_equal_those_of_naive(spread, shared, per_channel):
    attention = make_attention(n_heads=4, spread=spread)
    times, values, mask, index = make_series(3, per_channel=per_channel, shared=shared)
    values.requires_grad_()
    target = torch.randn(7, 3, 24, generator=torch.Generator().manual_seed(0)).double()
    parameters = [*attention.parameters(), values]

    def gradients(out):
        found = torch.autograd.grad((out * target).sum(), parameters, materialize_grads=True)
        # What is hidden is zero by contract, and has no gradient worth the name.
        return [*found[:-1], found[-1] * mask]

    found = gradients(attention(times, values, mask, index)[0])
    expected = gradients(naive(attention, times, values, mask, index))
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, rtol=1e-9, atol=1e-9 * (1 + float(other.abs().max())))


def test_float32_gradients_are_finite_at_any_range():
    for spread in RANGES:
        attention = make_attention(n_heads=4, spread=spread, dtype=torch.float32)
        attention(*make_series(1, dtype=torch.float32))[0].square().sum().backward()
        assert all(p.grad.isfinite().all() for p in attention.parameters())


def test_blocks_of_the_exact_path_do_not_matter(monkeypatch):
    attention = make_attention(n_heads=2, spread=1000)
    batch = make_series(per_channel=True, shared=False)
    expected, _ = attention(*batch)
    monkeypatch.setattr(attention_module, "_CHUNK_ELEMENTS", 1)
    assert_close(attention(*batch)[0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spread", [1, 1000])
def test_channel_of_ones_interpolates_to_one(spread):
    attention = make_attention(n_heads=2, spread=spread)
    times, values, mask, index = make_series(per_channel=True)
    out, observed = attention(times, mask.expand_as(values).clone(), mask, index)
    assert_close(out, observed.expand_as(out).double(), rtol=1e-12, atol=1e-12)


@given(SEEDS, st.sampled_from(RANGES))
def test_commutes_with_affine_maps_of_the_channels(seed, spread):
    """Encoding the position or standardising may be done before or after."""
    attention = make_attention(n_heads=2, spread=spread)
    times, values, mask, index = make_series(seed)
    generator = torch.Generator().manual_seed(seed)
    shift = torch.randn((len(values), 3, 1), generator=generator, dtype=torch.float64)
    scale = torch.rand((3, 1), generator=generator, dtype=torch.float64) + 0.5
    before, _ = attention(times, (values * scale + shift) * mask, mask, index)
    after, observed = attention(times, values, mask, index)
    assert_close(before, (after * scale + shift) * observed, rtol=1e-10, atol=1e-10)


@given(SEEDS, st.booleans(), st.booleans(), st.sampled_from(RANGES))
def test_order_of_dates_does_not_matter(seed, shared, per_channel, spread):
    attention = make_attention(n_heads=2, spread=spread)
    times, values, mask, index = make_series(seed, shared=shared, per_channel=per_channel)
    order = torch.randperm(values.shape[2], generator=torch.Generator().manual_seed(seed))
    if shared:
        moved = attention(times[order], values[..., order], mask[..., order])
    else:
        moved = attention(times, values[..., order], mask[..., order], index[:, order])
    assert_close(moved[0], attention(times, values, mask, index)[0], rtol=1e-10, atol=1e-10)


@given(SEEDS, st.sampled_from(RANGES), st.floats(-50, 50))
def test_hidden_dates_do_not_matter(seed, spread, time):
    attention = make_attention(n_heads=2, spread=spread)
    times, values, mask, _ = make_series(seed)
    longer = torch.cat([times, torch.tensor([time, 0.5])])
    pad = (0, 2)
    padded, _ = attention(
        longer, torch.nn.functional.pad(values, pad), torch.nn.functional.pad(mask, pad)
    )
    assert_close(padded, attention(times, values, mask)[0], rtol=1e-10, atol=1e-10)


@given(SEEDS, st.sampled_from(RANGES))
def test_shared_dates_equal_dates_of_each_series(seed, spread):
    attention = make_attention(n_heads=2, spread=spread)
    times, values, mask, _ = make_series(seed)
    index = torch.arange(len(times)).expand(len(values), -1)
    shared, own = attention(times, values, mask), attention(times, values, mask, index)
    assert_close(shared, own, rtol=1e-10, atol=1e-10)


def test_weights_are_large_at_near_dates_at_the_start():
    attention = make_attention(n_reference_dates=10)
    logits = attention.logits(attention.reference_times)
    assert (logits.argmax(1) == torch.arange(10)).all()
    assert logits.shape == (10, 10)


def test_time_embedding():
    embedding = TimeEmbedding(5)
    embedding.reset(torch.Generator().manual_seed(0))
    times = torch.tensor([0.0, 0.25, 1.0])
    out = embedding(times)
    assert out.shape == (3, 5)
    assert_close(out[:, 0], times)
    assert_close(out[:, 2], torch.sin(embedding.frequency[2] * times + embedding.phase[2]))
    cycles = embedding.frequency[1:].detach().abs() / (2 * math.pi)
    assert_close(cycles[[0, -1]], torch.tensor([1.0, 12.0]))


def test_two_components_of_time_are_enough():
    attention = MultiTimeAttention(3, 1, embedding_dim=2)
    attention.reset(torch.Generator().manual_seed(0))
    out, _ = attention(torch.tensor([0.0, 1.0]), torch.ones(1, 1, 2), torch.ones(1, 1, 2))
    assert_close(out, torch.ones(1, 1, 3))

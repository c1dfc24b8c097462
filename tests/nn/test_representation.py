import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from sklearn_sits.nn.attention import MultiTimeAttention
from sklearn_sits.nn.embedding import SpectralEmbedding
from sklearn_sits.nn.layers import set_generator
from sklearn_sits.nn.representation import SeriesRepresentation
from sklearn_sits.nn.spatial_encoding import SpatialEncoding

# First and last date of the batches.
DATE_RANGE = (17_000.0, 17_365.0)


def make_batch(seed=0, *, n=12, t=10, per_channel=False):
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.rand(n, 3 if per_channel else 1, t, generator=generator) < 0.7).double()
    mask[:, :, seed % t] = 1
    values = (torch.randn(n, 3, t, generator=generator).double() * 4 + 100) * mask
    dates = torch.linspace(17_000, 17_365, t, dtype=torch.float64)
    positions = torch.rand(n, 2, generator=generator).double()
    return {"dates": dates, "values": values, "mask": mask, "positions": positions}


def make_representation(batch, *, spatial=True, date_dropout=0.0):
    dtype = batch["values"].dtype
    representation = SeriesRepresentation(
        MultiTimeAttention(5, 2, 16),
        SpectralEmbedding(3, 5, 2),
        3,
        SpatialEncoding(2, 3) if spatial else None,
        date_dropout,
    ).to(dtype)
    weight = torch.ones(len(batch["values"]))
    representation.reset(batch, DATE_RANGE, weight, torch.Generator().manual_seed(0))
    if spatial:
        with torch.no_grad():
            representation.spatial.linear.weight.fill_(0.1)
    return representation


def test_standardises_observations():
    for per_channel in (False, True):
        batch = make_batch(per_channel=per_channel)
        representation = make_representation(batch)
        mask = batch["mask"].expand(-1, 3, -1).bool()
        for channel in range(3):
            seen = batch["values"][:, channel][mask[:, channel]]
            assert_close(representation.mean[channel, 0], seen.mean())
            assert_close(representation.scale[channel, 0], seen.std(correction=0))
    assert representation.start == 17_000
    assert representation.span == 365


@given(st.integers(0, 10_000), st.booleans())
def test_positions_and_standardisation_commute_with_the_attention(seed, per_channel):
    batch = make_batch(seed, per_channel=per_channel)
    representation = make_representation(batch)
    z = representation(**batch)
    own = representation
    before = (batch["values"] - own.mean) / own.scale + own.spatial(batch["positions"])[..., None]
    times = (batch["dates"] - own.start) / own.span
    mask = batch["mask"]
    interpolated, _ = own.attention(times, before * mask, mask)
    assert_close(z, own.embedding(interpolated), rtol=1e-10, atol=1e-10)


def test_weighted_moments():
    batch = make_batch()
    weight = torch.ones(12)
    weight[:4] = 2
    one = make_representation(batch)
    one.reset(batch, DATE_RANGE, weight, torch.Generator().manual_seed(0))
    twice = {k: v if k == "dates" else torch.cat([v, v[:4]]) for k, v in batch.items()}
    other = make_representation(twice)
    assert_close(one.mean, other.mean, rtol=1e-12, atol=1e-12)
    assert_close(one.scale, other.scale, rtol=1e-12, atol=1e-12)


def test_large_values_keep_their_digits():
    batch = make_batch()
    representation = make_representation(batch)
    moved = batch | {"values": (batch["values"] + 1e7) * batch["mask"]}
    other = make_representation(moved)
    assert_close(other.scale, representation.scale, rtol=1e-7, atol=0)
    assert_close(other(**moved), representation(**batch), rtol=1e-6, atol=1e-6)


def test_hidden_observations_are_not_seen():
    batch = make_batch()
    hidden = batch | {"mask": batch["mask"].clone(), "values": batch["values"].clone()}
    hidden["mask"][:, :, 0] = 0
    hidden["values"][:, :, 0] = 0
    representation = make_representation(hidden)
    moved = hidden | {"dates": hidden["dates"].clone()}
    moved["dates"][0] = -1e6
    assert_close(representation(**moved), representation(**hidden), rtol=1e-10, atol=1e-10)


def test_series_without_observation_is_the_mean_series():
    batch = make_batch()
    batch["mask"][0] = 0
    batch["values"][0] = 0
    representation = make_representation(batch, spatial=False)
    plain = {k: v for k, v in batch.items() if k != "positions"}
    assert_close(representation(**plain)[0], torch.zeros(15).double())
    empty = {k: v if k == "dates" else torch.zeros_like(v) for k, v in plain.items()}
    assert make_representation(empty, spatial=False)(**empty).isfinite().all()


def test_constant_channel_and_single_date():
    batch = make_batch(t=1)
    batch["values"][:, 1] = 3
    representation = make_representation(batch)
    representation.reset(batch, (17_000.0, 17_000.0), torch.ones(12), torch.Generator())
    assert representation.span == 1
    assert representation.scale[1] == 1
    assert representation(**batch).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("constant", [0.1, 0.7, 1234.567])
def test_rounding_of_a_constant_channel_is_not_magnified(constant, dtype):
    batch = make_batch(n=33)
    batch["values"][:, 1] = constant * batch["mask"][:, 0]
    weight = torch.rand(33, generator=torch.Generator().manual_seed(0))
    batch = {k: v if k == "dates" else v.to(dtype) for k, v in batch.items()}
    representation = make_representation(batch).to(dtype)
    representation.reset(batch, DATE_RANGE, weight, torch.Generator().manual_seed(0))
    assert representation.scale[1] == 1
    assert (representation.scale[[0, 2]] > 1).all()


def test_date_dropout_hides_dates_but_not_the_last_of_a_series():
    batch = make_batch(n=400, t=20, per_channel=True)
    batch["mask"][:5] = 0
    batch["mask"][:5, :, 3] = 1
    batch["values"] *= batch["mask"]
    representation = make_representation(batch, date_dropout=0.6)
    set_generator(representation, torch.Generator().manual_seed(0))
    values, mask = representation._hide_dates(batch["values"], batch["mask"])
    assert ((mask == 0) | (batch["mask"] == 1)).all()
    assert_close(values, batch["values"] * mask)
    assert ((mask.sum(-1) > 0) == (batch["mask"].sum(-1) > 0)).all()
    share = 1 - mask[5:].sum() / batch["mask"][5:].sum()
    # The mean of U(0, 0.6) is 0.3; some series are spared.
    assert 0.2 < share < 0.31
    representation.train()
    assert not torch.equal(representation(**batch), representation(**batch))
    representation.eval()
    assert torch.equal(representation(**batch), representation(**batch))

import itertools

import numpy as np
import pytest
import torch
import zarr
from numpy.testing import assert_array_equal

from sklearn_sits.encoders import training
from sklearn_sits.series.stored_array import open_stored


class Counted:
    """Array on disk that notes how many rows were read."""

    def __init__(self, array):
        self.array, self.n_read = array, 0
        self.shape, self.dtype, self.chunks = array.shape, array.dtype, array.chunks

    def __getitem__(self, key):
        part = np.asarray(self.array[key])
        self.n_read += len(part)
        return part


def make_series(n):
    """Series that hold their number."""
    return np.broadcast_to(np.arange(n, dtype=np.float32)[:, None, None], (n, 4, 3)).copy()


def draw(X, rows, batch_size, n_batches):
    generator = torch.Generator().manual_seed(0)
    batches = training._draw_series(X, rows, batch_size, generator)
    return [batch[:, 0, 0].astype(int) for batch in itertools.islice(batches, n_batches)]


def test_each_series_is_drawn_once_per_round():
    batches = draw(make_series(100), np.arange(0, 100, 2), 10, 10)
    for half in (batches[:5], batches[5:]):
        assert_array_equal(np.sort(np.concatenate(half)), np.arange(0, 100, 2))
    assert not np.array_equal(batches[0], batches[5])


@pytest.mark.parametrize("pool_bytes", [1, 10 * 20 * 48, 2**26])
def test_rows_on_disk_are_read_once_per_round(tmp_path, monkeypatch, pool_bytes):
    monkeypatch.setattr(training, "_POOL_BYTES", pool_bytes)
    X = make_series(600)
    stored = Counted(zarr.create_array(tmp_path / "X.zarr", data=X, chunks=(20, 4, 3)))
    rows = np.delete(np.arange(600), [3, 500])
    batches = draw(open_stored(stored), rows, 23, 26)
    # Small pools leave more series to the next round.
    drawn = np.concatenate(batches[:13])
    assert len(np.unique(drawn)) == len(drawn) == 13 * 23
    assert np.isin(drawn, rows).all()
    assert stored.n_read <= 3 * len(rows)
    # A batch has series of many chunks.
    assert min(len(np.unique(batch // 20)) for batch in batches) > 1


def test_pools_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_POOL_BYTES", 100 * 48)
    X = open_stored(
        zarr.create_array(tmp_path / "X.zarr", data=make_series(600), chunks=(20, 4, 3))
    )
    rows = np.arange(600)
    pools = list(training._draw_pools(X, rows, 10, torch.Generator().manual_seed(0)))
    assert_array_equal(np.sort(np.concatenate(pools)), rows)
    assert {len(pool) for pool in pools} == {100}


def test_fewer_series_than_a_batch():
    batches = draw(make_series(5), np.arange(5), 512, 3)
    for batch in batches:
        assert_array_equal(batch, np.arange(5))

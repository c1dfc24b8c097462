import os
import subprocess
import sys
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import zarr
from numpy.testing import assert_array_equal

from sklearn_sits import LinearInterpolator, MTANMLPClassifier, MTANSVGPClassifier
from sklearn_sits.datasets import make_sits
from sklearn_sits.series.stored_array import StoredArray, open_stored, row_blocks

SMALL = {
    "n_reference_dates": 4,
    "time_embedding_dim": 8,
    "n_components": 8,
    "n_hidden": 16,
    "position_channels": (-2, -1),
    "random_state": 0,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def data():
    return make_sits(90, 12, 3, 3, random_state=0)


def to_memmap(X, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


def to_zarr(X, folder):
    return zarr.create_array(folder / "X.zarr", data=X, chunks=(7, 5, X.shape[2]))


def to_dask(X, folder):
    return da.from_array(X, chunks=((50, 40), 4, 2))


@pytest.mark.parametrize("store", [to_memmap, to_zarr, to_dask])
@pytest.mark.parametrize(
    "model",
    [
        MTANSVGPClassifier(n_inducing=5, max_iter=2, **SMALL),
        MTANMLPClassifier(max_iter=2, early_stopping=True, **SMALL),
    ],
    ids=lambda model: type(model).__name__,
)
def test_fit_and_predict(data, model, store, tmp_path):
    X, y = data
    model.fit(X, y)
    expected, days = model.predict_proba(X), model.date_range_
    stored = store(X, tmp_path)
    model.fit(stored, y)
    assert_array_equal(model.predict_proba(X), expected)
    assert_array_equal(model.date_range_, days)
    assert_array_equal(model.predict_proba(stored), expected)


@pytest.mark.parametrize("store", [to_memmap, to_zarr, to_dask])
def test_linear_interpolator(data, store, tmp_path):
    X = data[0]
    model = LinearInterpolator(static_channels=(-2, -1)).fit(X)
    expected, values = model.transform(X), model.fill_values_
    stored = store(X, tmp_path)
    assert_array_equal(model.fit(stored).transform(stored), expected)
    np.testing.assert_allclose(model.fill_values_, values)


@pytest.mark.parametrize("store", [to_zarr, to_dask])
def test_content_is_checked(data, store, tmp_path):
    X = data[0].copy()
    X[60, 3, 1] = np.inf
    with pytest.raises(ValueError, match="infinity .* series 60, slot 3, channel 1"):
        MTANMLPClassifier(**SMALL).fit(store(X, tmp_path), data[1])


@pytest.mark.parametrize("store", [to_zarr, to_dask])
def test_rows(data, store, tmp_path):
    X = data[0]
    stored = open_stored(store(X, tmp_path))
    assert (len(stored), stored.shape, stored.dtype, stored.ndim) == (90, X.shape, X.dtype, 3)
    for key in (
        np.array([3, 80, 81]),
        np.array([80, 3, 3, 81]),
        X[:, 0, 0] > np.median(X[:, 0, 0]),
        slice(2, 70),
        (slice(None), slice(None), slice(-2, None)),
    ):
        rows = stored[key]
        assert type(rows) is np.ndarray
        assert_array_equal(rows, X[key])


def test_blocks_hold_whole_chunks(data, tmp_path):
    stored = open_stored(to_zarr(data[0], tmp_path))
    assert [(s.start, s.stop) for s in row_blocks(stored, 20)][:2] == [(0, 21), (21, 42)]
    assert next(row_blocks(stored, 0)) == slice(0, 7)
    assert next(row_blocks(open_stored(to_dask(data[0], tmp_path)), 1)) == slice(0, 50)
    assert next(row_blocks(data[0], 20)) == slice(0, 20)


class Contiguous:
    """Data set of HDF5 without chunks, which takes increasing rows only."""

    chunks = None

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype

    def __getitem__(self, key):
        if isinstance(key, np.ndarray) and (np.diff(key) <= 0).any():
            raise TypeError("Indexing elements must be in increasing order")
        return self.values[key]


def test_hdf5(data):
    X, y = data
    model = MTANMLPClassifier(max_iter=1, **SMALL)
    expected = model.fit(X, y).predict_proba(X)
    assert_array_equal(model.fit(Contiguous(X), y).predict_proba(X), expected)


def test_others_stay_as_they_are(data, tmp_path):
    X = data[0]
    table = zarr.create_array(tmp_path / "table.zarr", data=X[..., 0])
    for other in (X, X.tolist(), "text", table):
        assert open_stored(other) is other
    assert isinstance(open_stored(Contiguous(X)), StoredArray)


def test_bad_input(data):
    lazy = da.from_array(data[0], chunks=10)
    with pytest.raises(TypeError, match="dask array with dtype int64, expected float32 or fl"):
        LinearInterpolator().fit(lazy.astype(int))
    with pytest.raises(ValueError, match="dask array with 0 series"):
        LinearInterpolator().fit(lazy[:0])
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        LinearInterpolator().fit(lazy[lazy[:, 0, 1] > 0])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        MTANMLPClassifier(**SMALL).fit(lazy, data[1][1:])


# Pages of a memory map that the system may drop at any time are no growth.
GROWTH = """
import sys, threading, time
import numpy as np
import zarr
from test_stored_array import SMALL
from sklearn_sits import MTANMLPClassifier

def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))

def watch():
    global peak
    while True:
        peak = max(peak, anonymous())
        time.sleep(0.002)

path, kind = sys.argv[1:]
X = zarr.open_array(path) if kind == "zarr" else np.load(path, mmap_mode="r")
y = np.arange(X.shape[0]) % 3
model = MTANMLPClassifier(max_iter=1, **SMALL)
model.fit(X[:500], y[:500])
before = peak = anonymous()
threading.Thread(target=watch, daemon=True).start()
model.fit(X, y)
print((peak - before) / 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["npy", "zarr"])
def test_fit_beyond_memory(tmp_path, kind):
    """A fit on a file of 300 MB needs less than 100 MB."""
    path, shape, block = tmp_path / f"X.{kind}", (100_000, 50, 15), 5_000
    if kind == "zarr":
        X = zarr.create_array(path, shape=shape, dtype="f4", chunks=(1000, *shape[1:]))
    else:
        X = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    rng = np.random.default_rng(0)
    for start in range(0, shape[0], block):
        values = rng.random((block, *shape[1:]), dtype=np.float32)
        values[..., 0] = np.arange(shape[1])
        values[..., -2:] = values[:, :1, -2:]
        X[start : start + block] = values
    X = None
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, path, kind],
        cwd=Path(__file__).parent,
        # Threads that decode chunks would keep freed memory, each in an arena of its own.
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 100

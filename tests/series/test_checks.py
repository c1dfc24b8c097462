import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator

from sklearn_sits.series.checks import check_sits, split_channels, split_sits
from sklearn_sits.series.packing import pack

NAN = np.nan


class Toy(BaseEstimator):
    """Only the front door."""

    def __init__(self, static_channels=()):
        self.static_channels = static_channels

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X, y=None):
        check_sits(self, X, reset=True, static_channels=self.static_channels)
        return self

    def predict(self, X):
        return check_sits(self, X, reset=False, static_channels=self.static_channels)


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return pack(rng.normal(size=(6, 5, 3)), np.arange(5) * 10.0)


# --- pack -----------------------------------------------------------------------------------


def test_split_sits(X):
    dates, bands, static = split_sits(X)
    assert np.shares_memory(bands, X)
    assert static.shape == (6, 0)
    X[..., 2] = np.arange(6)[:, None]
    X[0, 0, 2] = X[1, :, 2] = NAN
    dates, bands, static = split_sits(X, (-2,))
    np.testing.assert_array_equal(dates, X[..., 0])
    np.testing.assert_array_equal(bands, X[..., [1, 3]])
    np.testing.assert_array_equal(static[:, 0], [0, NAN, 2, 3, 4, 5])


# --- pack_frame -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("static", "bands"),
    [((), slice(1, 5)), ((-2, -1), slice(1, 3)), ((1,), slice(2, 5)), ((2, -1), [1, 3])],
)
def test_split_channels(static, bands):
    assert split_channels(5, static) == (bands, [channel % 5 for channel in static])
    X = np.zeros((2, 3, 5))
    assert np.shares_memory(split_sits(X, static)[1], X) == isinstance(bands, slice)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_check_sits_does_not_copy(X, dtype):
    X = X.astype(dtype)
    X.flags.writeable = False
    toy = Toy().fit(X)
    out = toy.predict(X)
    assert np.shares_memory(out, X)
    assert out.dtype == dtype
    assert toy.n_features_in_ == 4


def test_check_sits_memmap_in_little_memory(tmp_path):
    X = np.zeros((20_000, 50, 10), dtype=np.float32)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    tracemalloc.start()
    out = check_sits(Toy(), mapped, reset=True, static_channels=(-1,))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.shares_memory(out, mapped)
    assert peak < 8e6


@pytest.mark.parametrize(
    "container",
    [
        np.ndarray.tolist,
        torch.from_numpy,
        xr.DataArray,
        np.asfortranarray,
        lambda X: X.astype(object),
        lambda X: X.astype(">f4"),
    ],
)
def test_check_sits_containers(X, container):
    out = Toy().fit(X).predict(container(X))
    assert out.dtype in (np.float32, np.float64)
    np.testing.assert_array_equal(out, X)


def test_check_sits_2d():
    X = np.array([[1, 2, 3], [4, NAN, 6]])
    out = Toy().fit(X).predict(X)
    np.testing.assert_array_equal(out[..., 0], [[0, 0.5, 1]] * 2)
    np.testing.assert_array_equal(out[..., 1], X)
    assert Toy().fit(X.astype(np.float32)).predict(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_array_equal(Toy().fit(X[:1, :1]).predict(X[:1, :1]), [[[0, 1]]])


def test_check_sits_names_of_tables(X):
    table = pd.DataFrame(X[..., 1]).add_prefix("t")
    toy = Toy().fit(table)
    assert toy.feature_names_in_.tolist() == ["t0", "t1", "t2", "t3", "t4"]
    with pytest.raises(ValueError, match="feature names should match"):
        toy.predict(table.add_prefix("x"))
    assert not hasattr(toy.fit(X), "feature_names_in_")


def test_check_sits_other_number_of_dates(X):
    assert Toy().fit(X).predict(X[:, :2]).shape == (6, 2, 4)


def test_check_sits_fitted_shapes(X):
    with pytest.raises(ValueError, match="X is 2-D, but Toy was fitted on a 3-D"):
        Toy().fit(X).predict(X[..., 1])
    with pytest.raises(ValueError, match="X is 3-D, but Toy was fitted on a 2-D"):
        Toy().fit(X[..., 1]).predict(X)
    with pytest.raises(ValueError, match=r"X has 3 channels \(date included\), but Toy is exp"):
        Toy().fit(X).predict(X[..., :3])
    with pytest.raises(ValueError, match="X has 4 features, but Toy is expecting 5 features"):
        Toy().fit(X[..., 1]).predict(X[:, :4, 1])
    with pytest.raises(ValueError, match="Reshape your data"):
        Toy().fit(X).predict(X[0, 0])


@pytest.mark.parametrize(
    ("X", "error", "match"),
    [
        (np.array(1.0), ValueError, "Reshape your data"),
        (np.ones(3), ValueError, "Reshape your data"),
        (np.ones((2, 3, 4, 5)), ValueError, "X has 4 dimensions"),
        (np.ones((2, 3, 1)), ValueError, "1 channels .date included"),
        (np.ones((2, 0, 3)), ValueError, "X has 0 dates"),
        (np.ones((0, 2, 3)), ValueError, r"Found array with 0 sample\(s\)"),
        (np.ones((0, 2)), ValueError, r"Found array with 0 sample\(s\)"),
        (np.ones((2, 0)), ValueError, r"Found array with 0 feature\(s\)"),
        (np.full((2, 3, 2), "1"), ValueError, "X must be numeric"),
        (np.full((2, 3), b"1"), ValueError, "X must be numeric"),
        (np.full((2, 3, 2), "1", dtype=object), ValueError, "X must be numeric"),
        (pd.DataFrame({"a": ["1", "2"]}), ValueError, "X must be numeric"),
        (np.zeros((2, 3), dtype="datetime64[D]"), ValueError, "X must be numeric"),
        (np.full((2, 3, 2), {}), TypeError, "real number"),
        (np.ones((2, 3, 2), dtype=complex), ValueError, "Complex data not supported"),
        (np.ones((2, 3), dtype=complex), ValueError, "Complex data not supported"),
        (csr_array(np.ones((2, 3))), TypeError, "Sparse data"),
        (np.ma.ones((2, 3, 2)), TypeError, "X is a masked array"),
        ([[[0, 1]], [[0, 1], [1, 2]]], ValueError, "sklearn_sits.pack pads series"),
        (np.full((2, 3), np.inf), ValueError, "Input X contains infinity"),
        (np.zeros(3, dtype=[("a", float)]), ValueError, "X must be numeric, got records"),
        (np.array([[[0, [1, 2]]]], dtype=object), ValueError, "X must be numeric: .*sequence"),
    ],
)
def test_check_sits_bad_arrays(X, error, match):
    with pytest.raises(error, match=match):
        Toy().fit(X)


@pytest.mark.parametrize("block_bytes", [1, 2**21])
def test_check_sits_bad_content(X, block_bytes, monkeypatch):
    monkeypatch.setattr("sklearn_sits.series.content._BLOCK_BYTES", block_bytes)
    for channel in (0, 2):
        bad = X.copy()
        bad[4, 1, channel] = np.inf
        with pytest.raises(ValueError, match=rf"series 4, slot 1, channel {channel} "):
            Toy().fit(bad)
    bad = X.copy()
    bad[4, 1, 0] = bad[4, 1, 1] = NAN
    with pytest.raises(ValueError, match="series 4 has a value in channel 2 but no date in slot 1"):
        Toy().fit(bad)
    bad[4, :, 0] = bad[4, :, 1] = NAN
    with pytest.raises(ValueError, match="series 4 has a value in channel 2 but no date at all"):
        Toy().fit(bad)


def test_check_sits_static_channels(X):
    X[..., 3] = np.arange(6)[:, None]
    X[0, 1, 3] = NAN
    X[2, 1, :3] = NAN  # a static value on a padding slot is not an observation
    for channels in ((3,), [-1], np.array([3])):
        Toy(channels).fit(X)


@pytest.mark.parametrize(
    ("channels", "error", "match"),
    [
        ((0,), ValueError, "where contains 0, but X has 4 channels"),
        ((-4,), ValueError, "where contains -4"),
        ((4,), ValueError, "where contains 4"),
        ((3, -1), ValueError, "where names a channel of X twice"),
        ((1, 2, 3), ValueError, "leaves no band"),
        ((1.0,), TypeError, "where must hold integers"),
        ((True,), TypeError, "where must hold integers"),
        ((2,), ValueError, "where: channel 2 of X must be constant .* series 0"),
    ],
)
def test_check_sits_bad_static_channels(X, channels, error, match):
    with pytest.raises(error, match=match):
        check_sits(Toy(), X, reset=True, static_channels=channels, static_name="where")


def test_check_sits_static_channels_of_2d():
    with pytest.raises(ValueError, match="leaves no band"):
        Toy((-1,)).fit(np.ones((2, 3)))


def test_check_sits_warns_once_about_empty_series(X):
    X[[0, 3], :, 1:3] = NAN
    X[..., 3] = 1
    X[3, :, 0] = NAN
    with pytest.warns(UserWarning, match="2 of 6 series have no valid observation") as record:
        Toy((3,)).fit(X)
    assert len(record) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Toy().fit(X[[1, 2]])

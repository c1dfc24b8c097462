"""Random pixels of a cube, as :func:`~sklearn_sits.raster.sample_cube` draws them."""

import warnings

import dask
import numpy as np
import pytest
import xarray as xr
from cubes import N_COLUMNS, N_ROWS, make_cube, make_options
from zarr.storage import LocalStore, WrapperStore

from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.raster import pack_cube, sample_cube

N_PIXELS = N_ROWS * N_COLUMNS


@pytest.fixture
def cube():
    return make_cube()


@pytest.fixture
def options(cube):
    return make_options(cube)


def _numbers(X):
    """Return the pixels, counted row by row, from the channels x and y."""
    column, row = (X[:, 0, -2] - 4e5) / 10, (5e6 - X[:, 0, -1]) / 10
    return np.rint(row * N_COLUMNS + column).astype(int)


def _note_reads(cube, **chunks):
    """Return the cube in chunks, and the list of those that are computed."""
    read = []

    def note(block, block_info=None):
        if block_info:
            read.append(block_info[0]["chunk-location"][2:])
        return block

    lazy = cube.chunk(chunks)
    meta = np.empty(0, dtype=lazy.dtype)
    return lazy.copy(data=lazy.data.map_blocks(note, dtype=lazy.dtype, meta=meta)), read


def _hide(cube, n_hidden):
    """Return a mask without an observation at the first pixels of a random order."""
    hidden = np.random.default_rng(2).permutation(N_PIXELS)[:n_hidden]
    valid = cube.isel(band=0, drop=True) > -1
    valid.values.reshape(len(valid), -1)[:, hidden] = False
    return valid, np.setdiff1d(np.arange(N_PIXELS), hidden)


@pytest.mark.parametrize("chunks", [None, {"x": 3, "y": 4}, {"time": 2, "x": 5}])
def test_series_of_distinct_pixels(cube, options, chunks):
    expected = pack_cube(cube, **options)
    cube = cube if chunks is None else cube.chunk(chunks)
    X = sample_cube(cube, n_pixels=40, random_state=0, **options)
    assert X.dtype == np.float32
    numbers = _numbers(X)
    assert (np.diff(numbers) > 0).all()
    assert len(numbers) == 40
    np.testing.assert_array_equal(X, expected[numbers])


def test_result_follows_from_the_seed_alone(cube):
    valid, _ = _hide(cube, 60)
    first = sample_cube(cube, n_pixels=30, random_state=0, valid=valid)
    for chunks in ({"x": 2}, {"x": 4, "y": 3}, {"time": 1, "y": 5}):
        X = sample_cube(cube.chunk(chunks), n_pixels=30, random_state=0, valid=valid)
        np.testing.assert_array_equal(X, first)
    everywhere = sample_cube(
        cube.chunk(x=4), n_pixels=30, max_chunks=3, random_state=0, valid=valid
    )
    np.testing.assert_array_equal(everywhere, first)
    other = sample_cube(cube, n_pixels=30, random_state=1, valid=valid)
    assert not np.array_equal(other, first)


def test_global_random_state_is_untouched(cube):
    state = np.random.get_state()[1].copy()
    sample_cube(cube, n_pixels=5, random_state=0)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_pixels_without_observation_are_replaced(cube):
    valid, seen = _hide(cube, 40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        X = sample_cube(cube, n_pixels=50, random_state=0, valid=valid, static=["x", "y"])
    numbers = _numbers(X)
    assert len(np.unique(numbers)) == 50
    assert np.isin(numbers, seen).all()
    assert np.isfinite(X[..., 1:]).any(axis=(1, 2)).all()


def test_all_usable_pixels_and_a_warning(cube):
    valid, seen = _hide(cube, 20)
    message = r"^79 series instead of n_pixels=99: of 99 pixels .* drawn from 99"
    with pytest.warns(DataQualityWarning, match=message) as caught:
        X = sample_cube(cube, n_pixels=99, random_state=0, valid=valid, static=["x", "y"])
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(_numbers(X), seen)


def test_usable_pixels_have_equal_chances(cube):
    valid, seen = _hide(cube, 45)
    counts = np.zeros(N_PIXELS)
    n_draws, n_pixels = 300, 12
    for seed in range(n_draws):
        X = sample_cube(cube, n_pixels=n_pixels, random_state=seed, valid=valid, static=["x", "y"])
        counts[_numbers(X)] += 1
    share = n_pixels / len(seen)
    scores = (counts[seen] / n_draws - share) / np.sqrt(share * (1 - share) / n_draws)
    assert counts.sum() == n_draws * n_pixels
    assert np.abs(scores).max() < 4


def test_pixels_of_small_chunks_have_equal_chances(cube):
    """Chunks of 4, 4 and 3 columns and of 8 rows and 1 row: from 3 to 32 pixels."""
    cube = cube.isel(band=[0], time=[0]).chunk(x=4, y=8)
    counts = np.zeros(N_PIXELS)
    n_draws = 400
    for seed in range(n_draws):
        X = sample_cube(cube, n_pixels=1, max_chunks=2, random_state=seed, static=["x", "y"])
        counts[_numbers(X)] += 1
    last_row = counts[-N_COLUMNS:].sum() / n_draws
    # With equal chances of all chunks it would be about 0.27.
    assert abs(last_row - 1 / N_ROWS) < 4 * np.sqrt(1 / N_ROWS / n_draws)


def test_constant_layer_with_nan_leaves_pixels_out(cube):
    height = xr.DataArray(np.zeros((N_ROWS, N_COLUMNS)), dims=("y", "x"), name="height")
    height[:, 3:] = np.nan
    static = [height, "x", "y"]
    X = sample_cube(cube, n_pixels=20, random_state=0, static=static)
    assert len(X) == 20
    assert (_numbers(X) % N_COLUMNS < 3).all()
    with pytest.raises(ValueError, match="'height' has NaN"):
        sample_cube(cube, [[4e5 + 50, 5e6]], static=static)


@pytest.mark.parametrize("max_chunks", [1, 2, 5])
def test_reads_at_most_max_chunks(cube, max_chunks):
    lazy, read = _note_reads(cube, x=4, y=3)
    valid, seen = _hide(cube, 30)
    options = {"static": ["x", "y"], "valid": valid}
    with dask.config.set(scheduler="synchronous"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        X = sample_cube(lazy, n_pixels=20, max_chunks=max_chunks, random_state=0, **options)
    row, column = np.divmod(_numbers(X), N_COLUMNS)
    assert set(read) == set(zip((row // 3).tolist(), (column // 4).tolist(), strict=True))
    assert len(set(read)) == max_chunks
    assert np.isin(_numbers(X), seen).all()


def test_reads_only_chunks_with_pixels(cube):
    lazy, read = _note_reads(cube, x=2, y=2)
    with dask.config.set(scheduler="synchronous"):
        X = sample_cube(lazy, n_pixels=5, random_state=0, static=["x", "y"])
    row, column = np.divmod(_numbers(X), N_COLUMNS)
    # Each of them once.
    assert sorted(read) == sorted({*zip((row // 2).tolist(), (column // 2).tolist(), strict=True)})
    assert len(read) <= 5


def test_reads_are_bounded_without_observations(cube):
    lazy, read = _note_reads(cube, x=1, y=1)
    nothing = xr.zeros_like(cube.isel(band=0, drop=True), dtype=bool)
    with (
        dask.config.set(scheduler="synchronous"),
        pytest.raises(ValueError, match="no valid observation at any of 24 pixels"),
    ):
        sample_cube(lazy, n_pixels=1, random_state=0, valid=nothing)
    assert len(read) == 24


class _CountingStore(WrapperStore):
    """A store that notes the chunks of the bands that are read."""

    def __init__(self, store, read=None):
        super().__init__(store)
        self.read = [] if read is None else read

    def _with_store(self, store):
        return type(self)(store, self.read)

    async def get(self, key, *args, **kwargs):
        if key.startswith("reflectance/0."):
            self.read.append(key)
        return await super().get(key, *args, **kwargs)


def test_reads_of_a_store(cube, tmp_path):
    chunks = {"reflectance": {"chunks": (3, 8, 3, 4)}}
    dataset = cube.to_dataset(name="reflectance")
    dataset.to_zarr(tmp_path / "cube.zarr", encoding=chunks, zarr_format=2, consolidated=True)
    store = _CountingStore(LocalStore(tmp_path / "cube.zarr", read_only=True))
    stored = xr.open_zarr(store, chunks={})["reflectance"]
    assert stored.chunks is not None
    store.read.clear()
    X = sample_cube(stored, n_pixels=10, max_chunks=2, random_state=0, static=["x", "y"])
    assert len(store.read) == len(set(store.read)) == 2
    np.testing.assert_array_equal(X, pack_cube(cube, static=["x", "y"])[_numbers(X)])


def test_integer_cube(cube):
    stored = (cube.fillna(0) * 10_000).astype("int16")
    stored.attrs.update(scale_factor=1e-4, _FillValue=0)
    X = sample_cube(stored.chunk(x=4), n_pixels=15, random_state=0, decode=True)
    expected = sample_cube(cube, n_pixels=15, random_state=0)
    np.testing.assert_allclose(X, expected, atol=1e-4)


def test_no_coordinates_are_needed(cube):
    assert sample_cube(cube.drop_vars(["x", "y"]), n_pixels=7, random_state=0).shape == (7, 8, 4)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({}, "either points or n_pixels, got neither"),
        ({"points": [[4e5, 5e6]], "n_pixels": 3}, "got points and n_pixels=3"),
        ({"points": [[4e5, 5e6]], "max_chunks": 3}, "max_chunks=3 limits the draw of n_pixels"),
        ({"n_pixels": 100}, r"n_pixels=100, but cube has 99 pixels \(9 rows of 11\)"),
        ({"n_pixels": 0}, "n_pixels must be a positive int, got 0"),
        ({"n_pixels": 2.5}, "n_pixels must be a positive int, got 2.5"),
        ({"n_pixels": 2, "max_chunks": 0}, "max_chunks must be a positive int or None, got 0"),
    ],
)
def test_bad_arguments(cube, arguments, match):
    with pytest.raises(ValueError, match=match):
        sample_cube(cube, **arguments)

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cloudpickle
import cubes
import dask
import numpy as np
import pytest
import rasterio
import xarray as xr
from affine import Affine
from cubes import PerDate, make_cube, make_options
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline

from sklearn_sits import LinearInterpolator
from sklearn_sits.raster import export_geotiff, open_map, pack_cube, predict_raster, write_map

CHUNKS = {"x": 4, "y": 3}
N_CHUNKS = 9


@pytest.fixture(scope="module")
def cube():
    return make_cube().chunk(CHUNKS)


@pytest.fixture(scope="module")
def options(cube):
    return make_options(make_cube())


def fit(cube, options, seed=0):
    options = {**options, "valid": None}
    X = pack_cube(cube, **options)
    model = RandomForestClassifier(4, random_state=seed)
    model = make_pipeline(LinearInterpolator(static_channels=(-2, -1)), model)
    return model.fit(X, np.array(["bare soil", "crop", "wood"])[np.arange(len(X)) % 3])


@pytest.fixture(scope="module")
def forest(cube, options):
    return fit(cube, options)


@pytest.fixture(scope="module")
def raster(cube, options, forest):
    return predict_raster(forest, cube, method="predict_proba", **options)


def breaking(raster, n):
    """Return the map, whose computation fails after n chunks, and the list of those begun."""
    begun = []

    def block(values, block_info=None):
        if block_info:
            if len(begun) == n:
                raise RuntimeError("interrupted")
            begun.append(block_info[0]["chunk-location"])
        return values

    meta = np.empty((0,) * raster.ndim, raster.dtype)
    data = raster.data.map_blocks(block, dtype=raster.dtype, meta=meta)
    return raster.copy(data=data), begun


def files(path):
    """Return the content of each file, that of metadata without the order of their keys."""
    contents = {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }
    return {
        name: json.loads(content) if name.endswith(".zmetadata") else content
        for name, content in contents.items()
    }


def test_write_map(raster, tmp_path, capsys):
    written = write_map(raster, tmp_path / "map.zarr")
    assert f"{N_CHUNKS}/{N_CHUNKS}" in capsys.readouterr().err
    assert written.chunks == raster.chunks
    xr.testing.assert_equal(written, raster.compute())
    assert written.attrs["crs"] == "EPSG:32631"
    assert os.listdir(tmp_path) == ["map.zarr"]
    xr.testing.assert_identical(open_map(str(tmp_path / "map.zarr")), written)
    write_map(raster, tmp_path / "quiet.zarr", progress=False)
    assert capsys.readouterr().err == ""


def test_write_labels_and_values_per_date(cube, options, forest, tmp_path):
    labels = predict_raster(forest, cube, **options)
    written = write_map(labels, tmp_path / "labels.zarr", progress=False)
    assert written.dtype == np.uint8
    np.testing.assert_array_equal(written, labels)
    assert written.attrs["flag_meanings"] == "bare_soil crop wood"
    assert written.attrs["_FillValue"] == 255
    model = PerDate(["LAI", "CCC"]).fit(pack_cube(cube))
    lai = predict_raster(model, cube, return_std=True)
    written = write_map(lai, tmp_path / "lai.zarr", progress=False)
    xr.testing.assert_equal(written, lai.compute())
    np.testing.assert_array_equal(written["units"], ["m²/m²", "µg/cm²"])
    # In memory, too.
    written = write_map(lai.compute(), tmp_path / "eager.zarr", progress=False)
    np.testing.assert_array_equal(written, lai)


def test_coordinates_read_from_a_store(cube, options, forest, tmp_path):
    """What the cube was stored like does not matter to the map."""
    cube.to_dataset("band").to_zarr(tmp_path / "cube.zarr", zarr_format=3, consolidated=False)
    stored = xr.open_zarr(tmp_path / "cube.zarr", consolidated=False)
    raster = predict_raster(forest, stored, **options)
    np.testing.assert_array_equal(write_map(raster, tmp_path / "map.zarr", progress=False), raster)


class Spec:
    """Object that a library leaves in the attributes of a cube."""


def test_attributes_that_cannot_be_stored(cube, options, forest, tmp_path):
    """As stackstac leaves them; a transform does not hold for a part of the cube."""
    objects = {"transform": Affine(10, 0, 0, 0, -10, 0), "spec": Spec(), "resolution": 10}
    stacked = cube.drop_vars("spatial_ref").assign_attrs(crs="epsg:32631", **objects)
    raster = predict_raster(forest, stacked, **options)
    assert raster.attrs["crs"] == "epsg:32631"
    assert not set(objects) & set(raster.attrs)
    write_map(raster, tmp_path / "map.zarr", progress=False)
    export_geotiff(tmp_path / "map.zarr", tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.crs.to_epsg() == 32631
        assert file.transform.almost_equals(Affine(10, 0, 399_995, 0, -10, 5_000_005))
    kept = {"sensors": ["A", "B"], "step": np.float32(2), "legend": {"wheat": 1}, "year": 2024}
    raster = raster.assign_attrs(spec=Spec(), affine=Affine(1, 0, 0, 0, 1, 0), **kept)
    with pytest.warns(UserWarning, match=r"attributes \['spec', 'affine'\] of raster are left out"):
        written = write_map(raster, tmp_path / "other.zarr", progress=False)
    assert {name: written.attrs[name] for name in kept} == kept
    assert "spec" in raster.attrs


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_resume(raster, tmp_path, scheduler, capsys):
    expected = write_map(raster, tmp_path / "whole.zarr", progress=False)
    path = tmp_path / "map.zarr"
    broken, first = breaking(raster, 4)
    with dask.config.set(scheduler=scheduler, num_workers=2):
        with pytest.raises(RuntimeError, match="interrupted"):
            write_map(broken, path, progress=False)
        assert not path.exists()
        with pytest.raises(FileNotFoundError, match="the map is not finished"):
            open_map(path)
        record = (tmp_path / "map.zarr.partial" / "finished_chunks").read_text().split()
        assert 0 < len(record) <= 4
        # What a kill may leave behind: half a file, half a line.
        store = tmp_path / "map.zarr.partial" / "store"
        (store / "predict_proba" / "0.0.0.1234.partial").write_bytes(b"half")
        with open(tmp_path / "map.zarr.partial" / "finished_chunks", "a") as file:
            file.write("8")
        going, second = breaking(raster, 100)
        written = write_map(going, path)
    assert len(second) == N_CHUNKS - len(record)
    done = [tuple(map(int, np.unravel_index(int(i), (1, 3, 3)))) for i in record]
    assert set(second).isdisjoint(done)
    assert set(second) | set(first) >= {(0, i, j) for i in range(3) for j in range(3)}
    assert f"{N_CHUNKS}/{N_CHUNKS}" in capsys.readouterr().err
    xr.testing.assert_identical(written, expected)
    assert files(path) == files(tmp_path / "whole.zarr")
    assert sorted(os.listdir(tmp_path)) == ["map.zarr", "whole.zarr"]
    # Finished: nothing is left to do.
    again, third = breaking(raster, 0)
    write_map(again, path, progress=False)
    assert third == []


def test_a_chunk_is_predicted_and_written_by_one_task(raster, tmp_path):
    """Of two tasks, another process could do the second, and the warnings of the first be lost."""
    keys = []
    with dask.callbacks.Callback(pretask=lambda key, dsk, state: keys.append(key)):
        write_map(raster, tmp_path / "map.zarr", progress=False)
    of_chunks = [key for key in keys if isinstance(key, tuple) and len(key) == 1 + raster.ndim]
    assert len(of_chunks) >= N_CHUNKS
    assert all("write-" in name for name, *_ in of_chunks)


def interrupt(raster, path):
    with pytest.raises(RuntimeError, match="interrupted"), dask.config.set(scheduler="synchronous"):
        write_map(breaking(raster, 2)[0], path, progress=False)


@pytest.mark.parametrize("finished", [True, False])
def test_another_map_is_refused(cube, options, forest, raster, tmp_path, finished):
    path = tmp_path / "map.zarr"
    if finished:
        write_map(raster, path, progress=False)
    else:
        interrupt(raster, path)
    other = {"method": "predict_proba", **options}
    shifted = cube.assign_coords(x=cube.x + 10)
    valid = options["valid"].assign_coords(x=shifted.x)
    changes = {
        "model than": predict_raster(fit(cube, options, seed=1), cube, **other),
        "model, ": predict_raster(forest, cube, **options),
        "coordinates than": predict_raster(forest, shifted, **{**other, "valid": valid}),
        "chunks than": predict_raster(forest, cube.chunk(x=5), **other),
        "shape, coordinates": raster.isel(x=slice(8)),
        r"attributes \(mask is missing instead of \"SCL 4\"\) than": raster.assign_attrs(
            mask="SCL 4"
        ),
    }
    for match, changed in changes.items():
        with pytest.raises(ValueError, match=f"was made with other .*{match}"):
            write_map(changed, path, progress=False)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_map(raster, path, resume=False, progress=False)
    changed = changes["model than"]
    written = write_map(changed, path, overwrite=True, progress=False)
    np.testing.assert_array_equal(written, changed)
    assert os.listdir(tmp_path) == ["map.zarr"]


def test_overwrite_starts_again_without_resume(raster, tmp_path):
    interrupt(raster, tmp_path / "map.zarr")
    going, begun = breaking(raster, 100)
    write_map(going, tmp_path / "map.zarr", overwrite=True, resume=False, progress=False)
    assert len(begun) == N_CHUNKS


def test_old_map_stays_until_the_new_one_is_complete(raster, tmp_path):
    path = tmp_path / "map.zarr"
    write_map(raster, path, progress=False)
    with pytest.raises(RuntimeError, match="interrupted"):
        write_map(breaking(raster, 2)[0], path, overwrite=True, progress=False)
    np.testing.assert_array_equal(open_map(path), raster)


def test_killed_before_anything_was_computed(raster, tmp_path):
    (tmp_path / "map.zarr.partial").mkdir()
    np.testing.assert_array_equal(write_map(raster, tmp_path / "map.zarr", progress=False), raster)


def test_bad_input(raster, tmp_path, monkeypatch):
    with pytest.raises(TypeError, match="raster must be an xarray DataArray, got ndarray"):
        write_map(raster.values, tmp_path / "map.zarr")
    with pytest.raises(TypeError, match="raster must hold numbers, got dtype bool"):
        write_map(raster > 0, tmp_path / "map.zarr")
    with pytest.raises(ValueError, match="chunks of different sizes along y: .*chunk.y=5"):
        write_map(raster.chunk(y=(2, 5, 2)), tmp_path / "map.zarr")
    with pytest.raises(ValueError, match="local or shared disk, got 's3://bucket/map.zarr'"):
        write_map(raster, "s3://bucket/map.zarr")
    with pytest.raises(ValueError, match="map.tif.*export_geotiff"):
        write_map(raster, tmp_path / "map.tif")
    with pytest.raises(FileNotFoundError, match="folder .*missing does not exist"):
        write_map(raster, tmp_path / "missing" / "map.zarr")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    for name in ("file", "folder"):
        with pytest.raises(FileExistsError, match="is not a map that write_map made"):
            write_map(raster, tmp_path / name, overwrite=True)
    with pytest.raises(FileNotFoundError, match="none.zarr does not exist.$"):
        open_map(tmp_path / "none.zarr")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="cannot be written"):
        write_map(raster, tmp_path / "map.zarr")


def slow_map():
    """Make a map that takes its time and notes every chunk that it begins."""
    cube = make_cube().chunk(x=2, y=2)
    raster = predict_raster(PerDate().fit(pack_cube(cube)), cube)
    log = Path(os.environ["LOG"])

    def block(values, block_info=None):
        if block_info:
            row, column = block_info[0]["chunk-location"][1:]
            with open(log, "a") as file:
                file.write(f"{row * 6 + column}\n")
            time.sleep(float(os.environ["PAUSE"]))
        return values

    meta = np.empty((0, 0, 0), np.float32)
    return raster.copy(data=raster.data.map_blocks(block, dtype=np.float32, meta=meta))


SCRIPT = """
import dask
from test_map_writer import slow_map
from sklearn_sits.raster import write_map
with dask.config.set(scheduler="threads", num_workers=2):
    write_map(slow_map(), "{}", progress=False)
"""


@pytest.mark.slow
def test_killed_five_times(tmp_path, monkeypatch):
    """Killed at any moment, a map becomes what it would have been, no chunk computed again."""
    path, record = tmp_path / "map.zarr", tmp_path / "map.zarr.partial" / "finished_chunks"
    command = [sys.executable, "-c", SCRIPT.format(path)]
    folder, rng = Path(__file__).parent, np.random.default_rng()
    helpers = str(Path(cubes.__file__).parent)
    environment = {**os.environ, "PAUSE": "0.2", "PYTHONPATH": helpers}

    def finished():
        lines = record.read_text().splitlines(keepends=True) if record.exists() else []
        return [line.strip() for line in lines if line.endswith("\n")]

    def check_begun(log, before):
        begun = log.read_text().split() if log.exists() else []
        assert len(begun) == len(set(begun))
        assert set(begun).isdisjoint(before)

    for i in range(5):
        before, log = finished(), tmp_path / f"log{i}"
        with subprocess.Popen(command, cwd=folder, env={**environment, "LOG": log}) as process:
            end = time.monotonic() + 240
            # From where it begins to compute, in half of the cases.
            while not (log.exists() if i % 2 else record.exists()):
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.5))
            assert process.poll() is None
            process.send_signal(signal.SIGKILL)
        assert not path.exists()
        check_begun(log, before)
    before = finished()
    assert len(before) == len(set(before)) < 30
    environment |= {"LOG": str(tmp_path / "last"), "PAUSE": "0"}
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=240)
    check_begun(tmp_path / "last", before)
    assert len((tmp_path / "last").read_text().split()) == 30 - len(before)
    monkeypatch.setenv("LOG", str(tmp_path / "whole"))
    monkeypatch.setenv("PAUSE", "0")
    whole = tmp_path / "whole.zarr"
    write_map(slow_map(), whole, progress=False)
    assert files(path) == files(whole)


class Loaded(RandomForestClassifier):
    """Forest that notes where it is loaded."""

    def __setstate__(self, state):
        super().__setstate__(state)
        with open(self.log, "a") as file:
            file.write(f"{os.getpid()}\n")


@pytest.mark.slow
def test_distributed(cube, options, tmp_path):
    from distributed import Client, LocalCluster

    cube = cube.chunk(x=2, y=2)
    model = Loaded(4, random_state=0)
    model.log = str(tmp_path / "log")
    X = pack_cube(cube, **{**options, "valid": None})
    model = make_pipeline(LinearInterpolator(static_channels=(-2, -1)), model)
    model.fit(X, np.arange(len(X)) % 3)
    raster = predict_raster(model, cube, method="predict_proba", **options)
    expected = write_map(raster, tmp_path / "local.zarr", progress=False)
    # The modules of the tests are not installed where the workers are.
    for module in (cubes, sys.modules[__name__]):
        cloudpickle.register_pickle_by_value(module)
    Path(model[-1].log).write_text("")
    cluster = LocalCluster(2, threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster):
        written = write_map(raster, tmp_path / "map.zarr", progress=False)
        xr.testing.assert_identical(written.compute(), expected.compute())
        broken, _ = breaking_everywhere(raster)
        with pytest.raises(RuntimeError, match="interrupted"):
            write_map(broken, tmp_path / "broken.zarr", progress=False)
    assert files(tmp_path / "map.zarr") == files(tmp_path / "local.zarr")
    loads = [pid for pid in Path(model[-1].log).read_text().split() if int(pid) != os.getpid()]
    # Once in every worker, for 30 chunks, and once more for the map that breaks.
    assert len(loads) <= 4
    assert len(set(loads)) == 2


def breaking_everywhere(raster):
    def block(values):
        raise RuntimeError("interrupted")

    meta = np.empty((0,) * raster.ndim, raster.dtype)
    return raster.copy(data=raster.data.map_blocks(block, dtype=raster.dtype, meta=meta)), None

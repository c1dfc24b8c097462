import os
import re
import subprocess
import sys

import joblib
import numpy as np
import pytest
import rasterio
import skops.io
import xarray as xr
from cubes import BANDS, N_DATES, ORIGIN, PerDate, make_cube, make_valid

import sklearn_sits
from sklearn_sits import MTANMLPClassifier
from sklearn_sits.__main__ import main
from sklearn_sits.cli.model_file import load_model
from sklearn_sits.raster import open_map, pack_cube, predict_raster


@pytest.fixture(scope="module")
def cube():
    raw = (make_cube().fillna(-1) * 10_000).round().astype("int16")
    raw.attrs = {"scale_factor": 1e-4, "add_offset": 0.0, "_FillValue": np.int16(-10_000)}
    return raw.rename("reflectance")


@pytest.fixture(scope="module")
def valid(cube):
    return make_valid(cube).rename("scl")


@pytest.fixture(scope="module")
def folder(cube, valid, tmp_path_factory):
    """A store, and models of it."""
    folder = tmp_path_factory.mktemp("command")
    sun = xr.DataArray(np.linspace(60, 30, N_DATES), {"time": cube.time}, ("time",), name="sun")
    scl = xr.where(valid, 4, 9).astype("uint8").drop_attrs().rename("scl")
    stored = cube.drop_attrs().to_dataset().assign(scl=scl, clear=valid.drop_attrs(), sun=sun)
    stored["reflectance"].attrs = cube.attrs | {"grid_mapping": "spatial_ref"}
    stored = stored.assign_coords(spatial_ref=((), 0, {"crs_wkt": "EPSG:32631"}))
    stored.to_zarr(folder / "cube.zarr", zarr_format=2, consolidated=True)
    bands = stored.drop_vars(["scl", "clear", "sun"])["reflectance"].to_dataset("band")
    for one in bands.values():
        one.attrs = stored["reflectance"].attrs
    bands.assign(scl=scl).to_zarr(folder / "bands.zarr", zarr_format=2, consolidated=True)
    options = {"bands": BANDS, "origin": ORIGIN, "decode": True}
    X = pack_cube(cube, static=["x", "y"], **options)
    y = np.array(["bare soil", "crop", "wood"])[np.arange(len(X)) % 3]
    mtan = MTANMLPClassifier(max_iter=1, n_hidden=8, position_channels=(-2, -1), random_state=0)
    skops.io.dump(mtan.fit(X, y), folder / "mtan.skops")
    joblib.dump(mtan, folder / "mtan.joblib")
    skops.io.dump({"not": "an estimator"}, folder / "dict.skops")
    (folder / "text.skops").write_text("text")
    return folder


def arguments(folder, model="mtan.skops", cube="cube.zarr", out="map.zarr", **changes):
    options = {
        "bands": BANDS,
        "mask": "scl",
        "clear": ["4", "5"],
        "static": ["x", "y"],
        "origin": ORIGIN,
        "chunk": "4",
        "quiet": [],
    }
    found = ["map", "--model", str(folder / model), "--cube", str(folder / cube), "--out", str(out)]
    for name, value in (options | changes).items():
        if value is not None:
            value = [value] if isinstance(value, str) else value
            found += ["--" + name.replace("_", "-"), *value]
    return found


@pytest.fixture(scope="module")
def expected(folder, cube, valid):
    options = {"static": ["x", "y"], "bands": BANDS, "origin": ORIGIN, "decode": True}
    model = load_model(folder / "mtan.skops")
    proba = predict_raster(model, cube, method="predict_proba", valid=valid, **options)
    return {"predict": predict_raster(model, cube, valid=valid, **options), "predict_proba": proba}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"decode": []},
        {"cube": "bands.zarr", "decode": []},
        {"cube": "bands.zarr"},
        {"variable": "reflectance", "threads": "2"},
        {"mask": "clear", "clear": None},
        {"model": "mtan.joblib", "trust_pickle": []},
    ],
    ids=str,
)
def test_labels(folder, expected, tmp_path, changes):
    out = tmp_path / "map.zarr"
    main(arguments(folder, out=out, **changes))
    written = open_map(out)
    np.testing.assert_array_equal(written, expected["predict"])
    assert written.attrs["flag_meanings"] == "bare_soil crop wood"
    assert written.attrs["mask"].startswith(changes.get("mask", "scl 4 5"))
    assert written.chunks[0] == (4, 4, 1)
    assert os.listdir(tmp_path) == ["map.zarr"]
    # Nothing is left to do.
    main(arguments(folder, out=out, **changes))


def test_geotiff(folder, expected, tmp_path):
    out = tmp_path / "map.tif"
    main(arguments(folder, out=out, method="predict_proba", threads="2"))
    with rasterio.open(out) as file:
        np.testing.assert_allclose(file.read(), expected["predict_proba"], rtol=3e-6)
        assert file.crs.to_epsg() == 32631
        assert file.descriptions == ("bare soil", "crop", "wood")
    assert os.listdir(tmp_path) == ["map.tif"]
    main(arguments(folder, out=out, method="predict_proba", overwrite=[]))


def test_trust(folder, cube, tmp_path, capsys):
    """skops trusts some types of scikit-learn, other ones in each version, and never this one."""
    X = pack_cube(cube, static=["x", "y"], bands=BANDS, origin=ORIGIN, decode=True)
    skops.io.dump(PerDate().fit(X), folder / "sum.skops")
    name = f"{PerDate.__module__}.{PerDate.__name__}"
    fails(arguments(folder, "sum.skops", out=tmp_path / "map.zarr"), f"--trust {name}$", capsys)
    main(arguments(folder, "sum.skops", out=tmp_path / "map.zarr", trust=name))


def test_std_and_layers_with_dates(folder, cube, tmp_path):
    sun = xr.open_zarr(folder / "cube.zarr")["sun"]
    options = {"static": [sun], "origin": ORIGIN, "decode": True}
    model = PerDate().fit(pack_cube(cube, **options))
    joblib.dump(model, folder / "sum.pkl")
    kept = {"bands": None, "mask": None, "clear": None, "static": "sun", "decode": [], "std": []}
    main(arguments(folder, "sum.pkl", out=tmp_path / "map.zarr", trust_pickle=[], **kept))
    expected = predict_raster(model, cube, return_std=True, **options)
    np.testing.assert_array_equal(open_map(tmp_path / "map.zarr"), expected)


def fails(command, match, capsys):
    with pytest.raises(SystemExit) as stop:
        main(command)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("python -m sklearn_sits map: error: ")
    assert error.count("\n") == 1
    assert re.search(match, error.strip()), error


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"model": "none.skops"}, "There is no model .*none.skops"),
        ({"model": "mtan.joblib"}, "A pickle can run any code .* --trust-pickle"),
        ({"model": "text.skops"}, "text.skops cannot be read: "),
        ({"model": "dict.skops"}, "holds a dict, expected an estimator"),
        ({"cube": "none.zarr"}, "There is no cube .*none.zarr"),
        ({"cube": "mtan.skops"}, "did not find a match|not a valid|found the following matches"),
        ({"variable": "B2"}, "cube.zarr has no variable 'B2', only"),
        ({"mask": "clouds"}, "no variable 'clouds'"),
        ({"clear": None}, "--mask scl has the dtype .* --clear 4 5 6"),
        ({"mask": None}, "--clear needs --mask"),
        (
            {"cube": "bands.zarr", "bands": None, "mask": None, "clear": None},
            "'scl' holds uint8, unlike the bands: name --bands, or is scl a --mask",
        ),
        ({"bands": ["B3"]}, r"no band \['B3'\]"),
        ({"origin": "2022-01-01"}, "8 of 8 dates of cube lie outside"),
        ({"origin": None}, "dates of cube lie outside"),
        ({"static": None}, "expecting 6 channels"),
        ({"method": "score_all"}, "has no such method"),
        ({"chunk": "0"}, "--chunk must be positive, got 0"),
        ({"crs": "EPSG:32631"}, "--crs is for GeoTIFF"),
        ({"out": "map.png"}, "--out must end in .zarr or .tif, got 'map.png'"),
        ({"out": "missing/map.zarr"}, "folder .*missing does not exist"),
        ({"out": "map.tif", "crs": "EPSG:1"}, "crs='EPSG:1' is not known"),
    ],
    ids=str,
)
def test_bad_input(folder, tmp_path, monkeypatch, capsys, changes, match):
    monkeypatch.chdir(tmp_path)
    fails(arguments(folder, **changes), match, capsys)
    assert os.listdir(tmp_path) == []


def test_another_map(folder, tmp_path, capsys):
    out = tmp_path / "map.zarr"
    main(arguments(folder, out=out))
    fails(
        arguments(folder, out=out, clear="4"),
        "other attributes .*, or --overwrite to replace it",
        capsys,
    )
    fails(arguments(folder, out=out, no_resume=[]), "--overwrite replaces it", capsys)
    main(arguments(folder, out=out, clear="4", overwrite=[]))
    assert open_map(out).attrs["mask"] == "scl 4"


def test_without_skops(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "skops.io", None)
    fails(arguments(folder), r"package skops.*sklearn-sits\[raster\]", capsys)


def test_interrupted(folder, tmp_path, monkeypatch, capsys):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("sklearn_sits.cli.map.write_map", interrupt)
    with pytest.raises(SystemExit) as stop:
        main(arguments(folder, out=tmp_path / "map.zarr"))
    assert stop.value.code == 130
    assert "The same command continues" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["--help"], ["map", "--help"], ["--version"]])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main(command)
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert (sklearn_sits.__version__ if command == ["--version"] else "usage: ") in out


@pytest.mark.slow
def test_process(folder, expected, tmp_path):
    def run(**changes):
        command = [sys.executable, "-m", "sklearn_sits", *arguments(folder, quiet=None, **changes)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    done = run()
    assert done.returncode == 0, done.stderr
    assert "9/9" in done.stderr
    np.testing.assert_array_equal(open_map(tmp_path / "map.zarr"), expected["predict"])
    failed = run(cube="none.zarr")
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (2, "", 1)

"""From tables and a cube to a map and a report, without Python."""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import skops.io
import xarray as xr
from landscape import (
    BANDS,
    CLASSES,
    N_COLUMNS,
    N_ROWS,
    ORIGIN,
    make_points,
    make_tables,
    write_landscape,
)
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score

from sklearn_sits import MTANSVGPClassifier
from sklearn_sits.__main__ import main
from sklearn_sits.metrics import accuracy_report, area_estimates

TABLES = ["--observations", "observations.csv", "--labels", "fields.csv", "--label", "crop"]
FIT = ["fit", *TABLES, "--bands", *BANDS, "--valid", "clear", "--origin", ORIGIN]
CUBE = ["--cube", "cube.zarr", "--mask", "SCL", "--clear", "4"]
MAP = ["map", "--model", "model.skops", *CUBE, "--quiet"]
POINTS = ["--points", "points.csv", "--label", "crop"]


@pytest.fixture(scope="module")
def landscape(tmp_path_factory):
    """The files, and a model and a map made of them."""
    folder = tmp_path_factory.mktemp("landscape")
    write_landscape(folder)
    before = os.getcwd()
    os.chdir(folder)
    try:
        main([*FIT, "--out", "model.skops"])
        main([*MAP, "--out", "map.tif", "--colors", "bare soil=#b08040", "maize=#e6c229"])
    finally:
        os.chdir(before)
    return folder


@pytest.fixture(autouse=True)
def _inside(landscape, monkeypatch):
    monkeypatch.chdir(landscape)


def read_trust(capsys):
    """Return the option that `fit` names; none if skops trusts all types of the model."""
    found = re.search(r"need (--trust .*)\n", capsys.readouterr().out)
    return found[1].split() if found else []


def read_map(path="map.tif"):
    with rasterio.open(path) as file:
        return file.read(1)


def read_commands():
    """Return the commands of the page about them, as lists of arguments."""
    text = (Path(__file__).parents[2] / "docs" / "command.md").read_text("utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    program = "python -m sklearn_sits "
    assert all(line.startswith(program) for line in lines)
    return [shlex.split(line.removeprefix(program)) for line in lines]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:191 series instead of n_pixels=192")
def test_documented_commands(tmp_path, monkeypatch, capsys):
    write_landscape(tmp_path)
    monkeypatch.chdir(tmp_path)
    commands = read_commands()
    assert [command[0] for command in commands[:3]] == ["fit", "map", "evaluate"]
    for command in commands:
        main(command)
    written = {"model.skops", "map.tif", "areas.csv", "points.skops", "report.csv", "tiles"}
    assert written <= set(os.listdir())
    assert "Overall accuracy" in capsys.readouterr().out


def test_model_knows_its_channels():
    model = skops.io.load("model.skops", trusted=["sklearn_sits.MTANSVGPClassifier"])
    assert model.channels_ == {"bands": BANDS, "static": None, "origin": ORIGIN}
    assert model.classes_.tolist() == CLASSES.tolist()


def test_map():
    found = read_map()
    truth = np.repeat(np.arange(N_ROWS) >= N_ROWS // 2, N_COLUMNS).reshape(N_ROWS, N_COLUMNS)
    assert found[0, 0] == 255
    assert accuracy_score(truth.ravel()[1:], found.ravel()[1:]) > 0.97
    with rasterio.open("map.tif") as file:
        assert file.colormap(1)[1] == (0xE6, 0xC2, 0x29, 255)


def test_areas_of_the_map(capsys, tmp_path):
    main(["evaluate", "--map", "map.tif", *POINTS, "--out", str(tmp_path / "areas.csv")])
    table = pd.read_csv(tmp_path / "areas.csv").set_index(["quantity", "class"])
    points, labels = make_points(), read_map()
    rows = ((5e6 - points["y"]) // 10).astype(int)
    columns = ((points["x"] - 4e5) // 10).astype(int)
    counted = {name: 0.01 * np.count_nonzero(labels == i) for i, name in enumerate(CLASSES)}
    expected = area_estimates(points["crop"], CLASSES[labels[rows, columns]], counted)
    assert 0.01 * (N_ROWS * N_COLUMNS - 1) == pytest.approx(table.loc["area_ha", "estimate"].sum())
    for quantity, other in {
        "area_ha": expected.area,
        "users_accuracy": expected.users_accuracy,
        "producers_accuracy": expected.producers_accuracy,
    }.items():
        np.testing.assert_allclose(table.loc[quantity], other, rtol=1e-12)
    out = capsys.readouterr().out
    assert out.startswith("60 points, taken as a random sample within each class of the map.")
    assert re.search(r"\nmaize +\d\.\d +\d\.\d \[\d\.\d, \d\.\d\] +\d+\.\d % \[", out)


def test_points_in_degrees(capsys, tmp_path):
    points = make_points()
    lon, lat = rasterio.warp.transform("EPSG:32631", "EPSG:4326", points["x"], points["y"])
    points.assign(x=lon, y=lat).to_csv(tmp_path / "points.csv", index=False)
    command = ["evaluate", "--map", "map.tif", "--label", "crop", "--points"]
    main([*command, str(tmp_path / "points.csv"), "--crs", "EPSG:4326"])
    found = capsys.readouterr().out
    main([*command, "points.csv"])
    assert found == capsys.readouterr().out


def test_accuracy_of_a_model(capsys, tmp_path):
    command = ["evaluate", "--model", "model.skops", *TABLES, "--valid", "clear"]
    main([*command, "--out", str(tmp_path / "report.csv")])
    out = capsys.readouterr().out
    assert out.startswith("40 series. The accuracy holds if none of these series was used to fit")
    assert "Overall accuracy 100.0 % [91.2, 100.0]" in out
    report = pd.read_csv(tmp_path / "report.csv")
    crops = make_tables()[1]["crop"]
    expected = accuracy_report(crops, crops)
    np.testing.assert_allclose(report["estimate"], expected["estimate"])


def test_accuracy_by_groups_and_folds(capsys, tmp_path):
    command = ["evaluate", "--model", "forest.skops", *TABLES, "--valid", "clear", "--folds", "2"]
    fit = [*FIT, "--out", "forest.skops", "--estimator", "random-forest"]
    main(fit)
    trust = read_trust(capsys)
    main([*command, *trust, "--groups", "region", "--out", str(tmp_path / "report.csv")])
    assert "fitted anew for each of 2 parts" in capsys.readouterr().out
    report = pd.read_csv(tmp_path / "report.csv")
    assert set(report["group"]) == {"all", *map(str, range(10))}
    overall = report[(report["group"] == "all") & (report["metric"] == "overall_accuracy")]
    assert overall["estimate"].item() > 0.9


def test_bands_of_the_cube_are_stored(capsys):
    fit = ["fit", *POINTS, *CUBE, "--unlabelled", "0", "--estimator", "random-forest"]
    main([*fit, "--out", "all.skops", "--overwrite"])
    trust = read_trust(capsys)
    main(["info", "all.skops", *trust])
    # In the order of the store, which may be any.
    assert re.search(r"\nbands +(B04, B08|B08, B04)\n", capsys.readouterr().out)


@pytest.mark.filterwarnings("ignore:.*series instead of n_pixels")
def test_labels_at_points_and_pixels_without_labels(capsys):
    """The encoder learns from pixels of the cube, and positions are no bands."""
    fit = ["fit", *POINTS, *CUBE, "--bands", *BANDS, "--static", "x", "y", "--unlabelled", "100"]
    main([*fit, "--out", "points.skops", "--overwrite"])
    assert capsys.readouterr().out == "points.skops: mtan-svgp, 60 series, 2 classes\n"
    model = skops.io.load(
        "points.skops",
        trusted=["sklearn_sits.MTANSVGPClassifier", "sklearn_sits.MTANEncoder"],
    )
    assert isinstance(model, MTANSVGPClassifier)
    assert isinstance(model.encoder, FrozenEstimator)
    assert model.position_channels == model.encoder.estimator.position_channels == (-2, -1)
    main(["map", "--model", "points.skops", *CUBE, "--quiet", "--out", "points.tif"])
    assert (read_map("points.tif") == read_map()).mean() > 0.9


def test_tiles(tmp_path):
    command = [*MAP, "--out", str(tmp_path / "tiles")]
    command.insert(command.index("cube.zarr") + 1, "east.zarr")
    main(command)
    assert sorted(os.listdir(tmp_path / "tiles")) == [
        "cube.tif",
        "cube.tif.aux.xml",
        "east.tif",
        "east.tif.aux.xml",
        "map.vrt",
    ]
    found = read_map(tmp_path / "tiles" / "map.vrt")
    np.testing.assert_array_equal(found[:, :N_COLUMNS], read_map())
    np.testing.assert_array_equal(found[:, N_COLUMNS:], read_map(tmp_path / "tiles" / "east.tif"))
    main(["evaluate", "--map", str(tmp_path / "tiles" / "map.vrt"), *POINTS])


@pytest.mark.parametrize(
    ("path", "match"),
    [
        (
            "model.skops",
            "classes +bare soil, maize\nbands +B04, B08\nday 0 +2023-01-01\n",
        ),
        ("map.tif", "nodata +255.0\ncrs +EPSG:32631\npixels counted +bare soil 1.0 ha, maize 1.0"),
        ("cube.zarr", r"(?s)dimensions .*time 10.*SCL \(uint8\).*dates +10, 2023-01-01 to 2023-09"),
    ],
)
def test_info(path, match, capsys):
    main(["info", path])
    assert re.search(match, capsys.readouterr().out)


@pytest.mark.filterwarnings("default::sklearn_sits.exceptions.DataQualityWarning")
def test_series_without_labels_are_left_out(capsys, tmp_path):
    _, fields = make_tables()
    fields.loc[:4, "crop"] = np.nan
    fields.to_csv(tmp_path / "fields.csv", index=False)
    command = [*FIT, "--estimator", "random-forest", "--out", str(tmp_path / "model.skops")]
    command[command.index("fields.csv")] = str(tmp_path / "fields.csv")
    main(command)
    found = capsys.readouterr()
    assert (
        "warning: 5 of 40 series without a label and 0 labels without a series are left out"
        in found.err
    )
    assert "35 series" in found.out


BAD_INPUTS = [
    ([*FIT, "--out", "new.pkl"], "--out must end in .skops, got 'new.pkl'"),
    ([*FIT, "--out", "model.skops"], "model.skops exists: --overwrite replaces it"),
    (["fit", *TABLES, "--out", "new.skops"], "--observations needs --bands"),
    (["fit", "--out", "new.skops"], "Labels come from --observations and --labels, or"),
    (["fit", *POINTS, "--out", "new.skops"], "--points needs --cube"),
    ([*FIT, *CUBE, "--out", "new.skops", "--unlabelled", "0"], "--cube is not used"),
    ([*FIT, "--out", "new.skops", "--id", "field"], "has no column 'field', only"),
    ([*FIT, "--out", "new.skops", "--date", "B04"], "dates|days"),
    ([*FIT, "--out", "new.skops", "--unlabelled", "-1"], "--unlabelled must not be negative"),
    ([*MAP, "--out", "map.png"], "--out must end in .zarr or .tif"),
    ([*MAP, "--out", "new.tif", "--bands", "B08", "B04"], "differs from the channels of the model"),
    ([*MAP, "--out", "new.tif", "--colors", "red"], "--colors must be like wheat=#e6c229"),
    ([*MAP, "--out", "new.tif", "--colors", "rye=#ffffff"], "rye"),
    (["evaluate", "--map", "map.tif"], "--map needs --points"),
    (["evaluate", *POINTS], "Give --model with --observations and --labels, or --map with"),
    (["evaluate", "--map", "none.tif", *POINTS], "There is no map none.tif"),
    (
        ["evaluate", "--map", "map.tif", *POINTS, "--crs", "EPSG:4326"],
        "60 of 60 points have no position in EPSG:32631",
    ),
    (["evaluate", "--map", "map.tif", *POINTS, "--confidence", "95"], "between 0 and 1, got 95"),
    (
        ["evaluate", "--model", "model.skops", *TABLES, "--folds", "2", "--groups", "farm"],
        "--groups farm is no column",
    ),
    (["evaluate", "--model", "model.skops", *TABLES, "--folds", "1"], "--folds must be at least 2"),
    (["info", "nothing.tif"], "There is no path nothing.tif"),
]


@pytest.mark.parametrize(("command", "match"), BAD_INPUTS)
def test_bad_input(command, match, capsys, tmp_path, landscape):
    before = sorted(os.listdir(landscape))
    with pytest.raises(SystemExit) as stop:
        main(command)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"python -m sklearn_sits {command[0]}: error: ")
    assert error.count("\n") == 1
    assert re.search(match, error), error
    assert sorted(os.listdir(landscape)) == before


def test_label_of_two_rows(capsys, tmp_path):
    _, fields = make_tables()
    pd.concat([fields, fields[:1]]).to_csv(tmp_path / "fields.csv", index=False)
    command = [*FIT, "--out", "new.skops"]
    command[command.index("fields.csv")] = str(tmp_path / "fields.csv")
    with pytest.raises(SystemExit):
        main(command)
    assert "has several rows for ['0']" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [["--help"], ["map", "--cubes", "x"], ["fit", "--out", "model.pkl"], ["evaluate"]],
    ids=lambda command: command[-1],
)
def test_wrong_options_are_answered_at_once(command):
    """No other package is imported first."""
    start = time.perf_counter()
    found = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "sklearn_sits", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    imported = re.findall(r"\| +(\w+)\n", found.stderr)
    assert "argparse" in imported
    assert not {"numpy", "sklearn", "torch", "xarray"} & set(imported)
    assert time.perf_counter() - start < 10


def test_cube_is_not_changed(landscape):
    with xr.open_zarr(landscape / "cube.zarr") as cube:
        assert set(cube) == {*BANDS, "SCL"}

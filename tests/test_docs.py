"""The examples of README and docs run, their commands exist, and their links lead somewhere."""

import ast
import re
import runpy
import shlex
import tomllib
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pystac
import pytest
import rioxarray  # noqa: F401  (gives Datasets their coordinate reference system)
import xarray as xr
import zarr
from docstrings import public_objects
from scenes import TOP, compute_reflectance, make_item

from sklearn_sits import MTANEncoder, MTANMLPClassifier, MTANSVGPClassifier, pack
from sklearn_sits.cli.parser import make_parser
from sklearn_sits.datasets import make_prosail, make_sits

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
# Pages that only the site has.
SITE = {"index.md", "get_started.md", "user_guide.md"}
BLOCK = re.compile(
    r"^(?:<!-- no-run: (?P<reason>[^\n]+) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"\[[^\]]*\]\((?!https?://)([^)\s]+)\)")
BANDS = ["B02", "B03", "B04", "B08"]
ORIGIN = np.datetime64("2023-01-01")


def _blocks(page, language):
    """Return pairs of first line and code, without the blocks that must not run."""
    text = page.read_text("utf-8")
    return [
        (text.count("\n", 0, block.start("code")), block["code"])
        for block in BLOCK.finditer(text)
        if block["language"] == language and block["reason"] is None
    ]


def _examples(page):
    return _blocks(page, "python")


# What the examples of each page find: files in the working directory, and names.


def _series(n_series=80, n_channels=4, **options):
    options = {"positions": False, "random_state": 0} | options
    return make_sits(n_series, 24, n_channels, 3, **options)


def _long_table(bands, clear=None):
    """Return a table with a row per series and date, and one with a row per series."""
    X, y = _series(n_channels=len(bands), aligned=True)
    n_series, n_dates, _ = X.shape
    table = pd.DataFrame(X[..., 1:].reshape(-1, len(bands)), columns=bands)
    table.insert(0, "id", np.repeat(np.arange(n_series), n_dates))
    table.insert(1, "date", pd.to_datetime(X[..., 0].ravel(), unit="D"))
    table.insert(2, "clear", table[bands].notna().all(axis=1))
    fields = pd.DataFrame({"id": np.arange(n_series), "block": np.arange(n_series) % 8})
    fields.insert(1, "crop", np.array(["maize", "meadow", "wheat"])[y])
    return table, fields


def _cube(n_dates=8, side=12):
    """Return a cube as STAC delivers it: integers with an offset, and scene classes."""
    rng = np.random.default_rng(0)
    coords = {
        "time": pd.date_range(ORIGIN, periods=n_dates, freq="45D"),
        "y": 5e6 - 10.0 * np.arange(side),
        "x": 4e5 + 10.0 * np.arange(side),
    }
    shape = (n_dates, side, side)
    layers = {band: rng.integers(1100, 5000, shape).astype("uint16") for band in BANDS}
    layers["SCL"] = rng.choice([4, 5, 8], shape).astype("uint8")
    data = xr.Dataset({name: (tuple(coords), layer) for name, layer in layers.items()}, coords)
    return data.rio.write_crs(32631).chunk(x=6, y=6)


def _simulated_cube(bands, origin="1970-01-01", side=80):
    """Return a cube of simulated series, and their classes by pixel."""
    X, y = _series(400, len(bands), n_orbits=1, cloud_cover=0.3, aligned=True)
    tiles = np.arange(side**2) % len(X)
    dates = (X[0, :, 0] - X[0, 0, 0]).astype("timedelta64[D]") + np.datetime64(origin, "ns")
    metres = 10.0 * np.arange(side)
    coords = {"y": metres, "x": metres, "time": dates, "band": bands}
    values = X[tiles, :, 1:].reshape(side, side, len(dates), len(bands))
    return xr.DataArray(values, coords).chunk(x=40, y=40), y[tiles]


def _prepare_readme():
    bands = ["B2", "B4", "B8", "B12"]
    table, fields = _long_table(bands)
    table.to_csv("observations.csv", index=False)
    fields.to_csv("fields.csv", index=False)
    cube, _ = _simulated_cube(bands, origin=table["date"].min())
    scl = xr.full_like(cube.isel(band=0, drop=True), 4, dtype=int)
    spectra, _ = make_prosail(100, random_state=0)
    return {"cube": cube, "scl": scl, "spectra": spectra}


def _prepare_array():
    table, _ = _long_table(["B4", "B8", "B11", "VV", "VH"])
    table.to_csv("composites.csv", index=False)


def _prepare_clusters():
    X, y = _series()
    np.save("X.npy", X)
    zarr.save_array("X.zarr", X)
    return {"y": y}


def _prepare_few_labels():
    cube, y = _simulated_cube(BANDS, ORIGIN)
    rows = np.concatenate([np.flatnonzero(y == label)[:10] for label in range(3)])
    row, column = np.divmod(rows, cube.sizes["x"])
    points = pd.DataFrame({"easting": cube["x"].to_numpy()[column]})
    points["northing"] = cube["y"].to_numpy()[row]
    points["crop"] = np.array(["maize", "meadow", "wheat"])[y[rows]]
    points.to_csv("points.csv", index=False)
    clear = xr.ones_like(cube.isel(band=0, drop=True), dtype=bool)
    return {"cube": cube, "clear": clear, "other_cube": cube}


def _prepare_maps():
    data = _cube()
    rng = np.random.default_rng(0)
    points = pd.DataFrame(
        {"easting": rng.choice(data["x"], 60), "northing": rng.choice(data["y"], 60)}
    )
    points["crop"] = np.array(["maize", "meadow", "wheat"])[np.arange(60) % 3]
    points.to_csv("points.csv", index=False)
    crop_map = data["SCL"].isel(time=0, drop=True).compute()
    zeniths = {"sun_zenith": 40.0, "view_zenith": 5.0, "relative_azimuth": 90.0}
    angles = xr.Dataset(
        {name: ("time", np.full(data.sizes["time"], angle)) for name, angle in zeniths.items()},
        {"time": data["time"]},
    )
    scaled = data[BANDS].to_dataarray("band", name="reflectance").astype("int16")
    scaled.attrs.update(scale_factor=1e-4, add_offset=-0.1, _FillValue=0)
    scaled.drop_encoding().to_dataset().to_zarr("cube.zarr", zarr_format=2, consolidated=True)
    return {"data": data, "crop_map": crop_map, "angles": angles}


def _prepare_inspection():
    cube, _ = _simulated_cube(["B2", "B4", "B8", "B12"], origin="2018-01-01", side=20)
    return {"cube": cube.compute()}


def _prepare_model():
    X, y = _series()
    return {"X": X, "y": y}


def _prepare_stac():
    """Write scenes before and after January 2022, their items, and points with labels."""
    scenes = Path("scenes")
    scenes.mkdir()
    moments = [
        f"{year}-{month:02}-15T09:30:00+00:00" for year in (2021, 2022) for month in (4, 6, 8)
    ]
    baselines = ["03.01"] * 3 + ["04.00"] * 3
    items = [
        make_item(scenes.absolute(), moment[:10], moment, baseline)
        for moment, baseline in zip(moments, baselines, strict=True)
    ]
    pystac.ItemCollection(items).save_object("items.json")
    rng = np.random.default_rng(0)
    points = gpd.points_from_xy(300_000 + rng.uniform(20, 220, 30), TOP - rng.uniform(20, 200, 30))
    crops = np.array(["maize", "winter wheat"])[np.arange(30) % 2]
    table = gpd.GeoDataFrame({"crop": crops}, geometry=points, crs=32635)
    table.to_crs(4326).to_file("points.geojson")


def _prepare_tables():
    """Make the cube of xee, and the GeoTIFF that Earth Engine exports from `toBands`."""
    data = _cube()[["B04", "B08"]].rename(B04="B4", B08="B8").compute()
    stack = xr.concat([data[band].isel(time=i) for i in range(3) for band in data], "band")
    moments = data["time"].dt.strftime("%Y%m%dT%H%M%S").values
    names = [f"{moments[i]}_{moments[i]}_T35TLM_{band}" for i in range(3) for band in data]
    stack = stack.drop_vars(["band", "time"], errors="ignore").assign_attrs(long_name=names)
    stack.rio.to_raster("stack.tif")
    return {"data": data.assign(cs_cdf=(data["B4"] / 5000).astype("float64")).chunk(x=6, y=6)}


def _prepare_traits():
    """Make series of spectra of one canopy each, with clouds."""
    X, _ = make_prosail(40, random_state=0)
    days = np.arange(0.0, 60, 10)
    spectra = np.repeat(X[:, None], len(days), axis=1)
    clear = np.random.default_rng(0).random(spectra.shape[:2]) > 0.3
    spectra[..., :10][~clear] = np.nan
    return {"series": pack(spectra, days)}


PREPARE = {
    "README": _prepare_readme,
    "array": _prepare_array,
    "clusters": _prepare_clusters,
    "few_labels": _prepare_few_labels,
    "inspection": _prepare_inspection,
    "maps": _prepare_maps,
    "model": _prepare_model,
    "stac": _prepare_stac,
    "tables": _prepare_tables,
    "traits": _prepare_traits,
}


@pytest.mark.parametrize("page", list(filter(_examples, PAGES)), ids=lambda page: page.stem)
def test_examples_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    # The pages show the defaults; fewer steps are enough to see that they run. README shows scores.
    for estimator in (MTANEncoder, MTANMLPClassifier, MTANSVGPClassifier):
        if page != README:
            monkeypatch.setitem(estimator.__init__.__kwdefaults__, "max_iter", 10)
    namespace = {"__name__": "example"} | (PREPARE.get(page.stem, dict)() or {})
    for line, code in _examples(page):
        # Tracebacks then name the page and its line.
        exec(compile("\n" * line + code, str(page), "exec"), namespace)
    if page.stem == "stac":
        # The same reflectance before and after the change of the stored values.
        band = namespace["cube"]["B04"]
        expected = compute_reflectance("B04", band["x"].values, band["y"].values[:, None])
        np.testing.assert_allclose(band[:, 1:].values, np.stack([expected[1:]] * 6), atol=1e-4)
    if page == README:
        ranking = capsys.readouterr().out
        code = _examples(page)[0][1]
        shown = [line.split() for line in re.findall(r"^# +(\w.*)$", code, re.MULTILINE)]
        printed = [line.split() for line in ranking.splitlines()]
        assert shown[0] == printed[0]
        scores = {name: np.float64(values) for name, *values in printed[1:]}
        assert scores.keys() == {name for name, *_ in shown[1:]}
        # One of 80 fields more or less, and other versions.
        for name, *values in shown[1:]:
            np.testing.assert_allclose(scores[name], np.float64(values), atol=0.03)
        assert (tmp_path / "crops.png").stat().st_size > 1000


def test_only_networks_and_clusters_are_left_out():
    text = "".join(page.read_text("utf-8") for page in PAGES)
    reasons = {block["reason"] for block in BLOCK.finditer(text)} - {None}
    assert reasons <= {"needs the network", "needs a cluster"}


def _commands():
    found = []
    for page in PAGES:
        for _, code in _blocks(page, "bash"):
            lines = code.replace("\\\n", " ").splitlines()
            found += [pytest.param(line, id=f"{page.stem}: {line[:60]}") for line in lines if line]
    return found


def _script_options(script):
    calls = [
        node
        for node in ast.walk(ast.parse(script.read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument"
    ]
    return {call.args[0].value for call in calls}


@pytest.mark.parametrize("line", _commands())
def test_commands_exist(line):
    program, *words = shlex.split(line, comments=True)
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert set(words) <= set(targets)
    elif words[:2] == ["-m", "sklearn_sits"]:
        make_parser("0").parse_args(words[2:])
    elif program == "python":
        script, *words = words
        assert {word for word in words if word.startswith("-")} <= _script_options(ROOT / script)
    else:
        assert program == "export"
        assert all(re.fullmatch(r"[A-Z_]+=\d+", word) for word in words)


def test_extras_exist():
    text = "".join(page.read_text("utf-8") for page in PAGES)
    extras = set(re.findall(r'pip install "\.\[(\w+)\]"', text))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert extras
    assert extras <= set(project["optional-dependencies"])


def _anchors(page):
    """Return the anchors of the titles, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), link
        if anchor:
            assert anchor in _anchors(target), link


def test_readme_is_short():
    assert len(README.read_text("utf-8").splitlines()) <= 150


def test_readme_links_to_every_page():
    text = README.read_text("utf-8")
    pages = {page.name for page in PAGES[1:]} - SITE
    assert [name for name in sorted(pages) if f"docs/{name}" not in text] == []


def test_reference_lists_all_public_objects():
    text = (ROOT / "docs" / "api" / "index.rst").read_text("utf-8")
    listed = set()
    for section in text.split(".. currentmodule:: ")[1:]:
        module = section.partition("\n")[0]
        listed |= {f"{module}.{name}" for name in re.findall(r"^   (\w+)$", section, re.MULTILINE)}
    assert listed == set(public_objects())


def test_table_of_capabilities():
    """`python docs/capabilities.py` prints it anew."""
    table = runpy.run_path(ROOT / "docs" / "capabilities.py")["make_table"]()
    assert table in (ROOT / "docs" / "choosing.md").read_text("utf-8")

import hashlib
import importlib.metadata
import importlib.util
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_sits.physics import _build_tables
from sklearn_sits.physics.tables import load_tables

FOLDER = Path(_build_tables.__file__).parent
# Folder of pyrsr and bands of each sensor.
_SENTINEL2 = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12"]
PYRSR = {
    "Sentinel-2A": ("Sentinel-2A/MSI", _SENTINEL2),
    "Sentinel-2B": ("Sentinel-2B/MSI", _SENTINEL2),
    "Landsat-8": ("Landsat-8/OLI_TIRS", [f"B{i}" for i in range(1, 10)]),
    "Landsat-9": ("Landsat-9/OLI_TIRS", [f"B{i}" for i in range(1, 10)]),
    "MODIS-Terra": ("Terra/MODIS", [f"B{i}" for i in range(1, 17)]),
    "MODIS-Aqua": ("Aqua/MODIS", [f"B{i}" for i in range(1, 17)]),
}
BANDS = {name: bands for name, (_, bands) in PYRSR.items()} | {
    "Sentinel-2C": ["B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"]
}


def _source(package, path):
    # Their code stays out of it: importing them raises warnings.
    return Path(importlib.util.find_spec(package).submodule_search_locations[0]) / path


def test_leaf_and_soil_are_those_of_prosail():
    tables = load_tables()
    leaf = np.loadtxt(_source("prosail", "prospect_d_spectra.txt"), encoding="utf-8").T
    soil = np.loadtxt(_source("prosail", "soil_reflectance.txt")).T
    assert_array_equal(tables.wavelengths, leaf[0])
    assert_array_equal(tables.refractive_index, leaf[1])
    assert_array_equal(tables.specific_absorption, leaf[2:])
    assert_array_equal([tables.dry_soil, tables.wet_soil], soil)


def test_sensors_and_bands():
    responses = load_tables().responses
    assert {name: list(bands) for name, bands in responses.items()} == BANDS


@pytest.mark.parametrize("name", PYRSR)
def test_responses_are_those_of_pyrsr(name):
    folder, bands = PYRSR[name]
    for band in bands:
        path = _source("pyrsr", f"data/{folder}/band_{band[1:]}")
        wavelengths, response = np.loadtxt(path, skiprows=1).T
        if name.startswith("Landsat"):
            wavelengths = wavelengths * 1000
        found = dict(
            zip(load_tables().wavelengths, load_tables().responses[name][band], strict=True)
        )
        inside = wavelengths.round() >= 400
        kept = [found.pop(w) for w in wavelengths.round()[inside]]
        assert_array_equal(np.float32(kept), np.float32(response[inside].clip(0)))
        assert set(found.values()) <= {0}
        # Nothing but tails was left out.
        assert response[~inside].sum() < 2e-3 * response.sum()
        assert response.min() > -4e-4


def test_responses_of_sentinel_2c():
    found = load_tables().responses["Sentinel-2C"]
    expected = {band: np.zeros(2101) for band in BANDS["Sentinel-2C"]}
    for line in (FOLDER / "sentinel_2c.txt").read_text("utf-8").splitlines():
        band, first, *values = line.split()
        start = int(first) - 400
        expected[band][start : start + len(values)] = values
    for band, response in expected.items():
        assert_array_equal(found[band], np.float32(response))
        assert response.max() == 1
        # No gap, and no value far from the mean of its neighbours.
        inside = np.flatnonzero(response)
        assert inside.size == np.ptp(inside) + 1
        between = (response[:-2] + response[2:]) / 2
        assert np.abs(response[1:-1] - between).max() < 0.15
    # Rows of the table of ESA, one of each band.
    for band, wavelength, value in [
        *[("B2", 504, 0.98090065), ("B3", 543, 0.54945111), ("B4", 652, 0.73522461)],
        *[("B5", 716, 0.13011195), ("B6", 748, 0.70439314), ("B7", 774, 0.32272011)],
        *[("B8", 897, 0.38666811), ("B8A", 877, 0.22648789), ("B11", 1662, 0.12500942)],
        ("B12", 2277, 0.88087509),
    ]:
        assert found[band][wavelength - 400] == np.float32(value)


def test_units():
    tables = load_tables()
    wavelengths = tables.wavelengths
    assert_array_equal(wavelengths, np.arange(400, 2501))
    cab, car, ant, cbrown, cw, cm = tables.specific_absorption
    assert 1.2 < tables.refractive_index.min() < tables.refractive_index.max() < 1.6
    assert (tables.specific_absorption >= 0).all()

    def peak(values, low, high):
        inside = (wavelengths >= low) & (wavelengths <= high)
        return wavelengths[inside][values[inside].argmax()]

    assert abs(peak(cab, 600, 750) - 675) <= 5
    assert abs(peak(car, 430, 600) - 445) <= 5
    assert abs(peak(ant, 500, 650) - 550) <= 20
    assert cbrown.argmax() == 0
    assert not cab[wavelengths > 800].any()
    # Water, per cm: minima and maxima of a medium that is known better than leaves.
    assert abs(peak(cw, 1800, 2100) - 1940) <= 15
    assert abs(peak(cw, 1300, 1600) - 1450) <= 15
    assert cw[wavelengths == 970] == pytest.approx(0.45, rel=0.1)
    # Dry matter, in cm2/g: a leaf of 0.01 g/cm2 absorbs some of the shortwave infrared.
    assert 1 < cm[wavelengths == 1600][0] < 20
    for soil in (tables.dry_soil, tables.wet_soil):
        assert 0 < soil.min() < soil.max() < 1
    assert (tables.dry_soil > tables.wet_soil).all()


def test_tables_are_read_only_and_loaded_once():
    tables = load_tables()
    assert tables is load_tables()
    arrays = [*tables[:-1], *(r for bands in tables.responses.values() for r in bands.values())]
    for array in arrays:
        assert array.dtype == np.float64
        assert not array.flags.writeable
    with pytest.raises(TypeError):
        tables.responses["Sentinel-2A"] = {}
    with pytest.raises(TypeError):
        tables.responses["Sentinel-2A"]["B2"] = arrays[0]


def test_file_is_small_and_plain():
    path = FOLDER / "tables.npz"
    assert path.stat().st_size < 300_000
    with np.load(path, allow_pickle=False) as npz:
        shapes = {name: npz[name].shape for name in npz.files}
        n_values = npz["sizes"].sum()
    n_bands = sum(map(len, BANDS.values()))
    assert shapes == {
        "wavelengths": (2101,),
        "refractive_index": (2101,),
        "specific_absorption": (6, 2101),
        "soils": (2, 2101),
        "bands": (n_bands,),
        "starts": (n_bands,),
        "sizes": (n_bands,),
        "responses": (n_values,),
    }
    with zipfile.ZipFile(path) as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {1980}


def test_rebuilding_changes_nothing(tmp_path, monkeypatch):
    for package in ("prosail", "pyrsr"):
        monkeypatch.delitem(sys.modules, package, raising=False)
    text, heading, _ = (FOLDER / "tables.md").read_text("utf-8").partition("## Checksums\n")
    (tmp_path / "tables.md").write_text(f"{text}{heading}outdated\n", "utf-8")
    _build_tables.main(tmp_path)
    assert {"prosail", "pyrsr"}.isdisjoint(sys.modules)
    for name in ("tables.npz", "tables.md"):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()


def test_checksums():
    note = (FOLDER / "tables.md").read_text("utf-8")
    sums = dict(reversed(line) for line in re.findall(r"^([0-9a-f]{64})  (\S+)$", note, re.M))
    # Two files of prosail, the bands and one reference for each sensor, those of Sentinel-2C, and
    # the tables.
    assert len(sums) == 2 + sum(len(bands) + 1 for _, bands in PYRSR.values()) + 1 + 1
    for path, expected in sums.items():
        package, _, rest = path.partition("/")
        file = _source(package, rest) if rest else FOLDER / path
        assert hashlib.sha256(file.read_bytes()).hexdigest() == expected, path


@pytest.mark.parametrize("package", ["prosail", "pyrsr"])
def test_build_needs_the_packages_in_their_versions(package, monkeypatch):
    version = importlib.metadata.version

    def missing(name):
        if name == package:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(RuntimeError, match=f"{package}.*found no installation: pip install"):
        _build_tables.build()
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9")
    with pytest.raises(RuntimeError, match=r"prosail 2\.0\.5, found 9\.9: pip install"):
        _build_tables.build()


@pytest.mark.parametrize("rows", ["500.5 1\n501.5 1", "500 1\n502 1", "501 1\n500 1"])
def test_build_takes_whole_nanometres_only(rows):
    with pytest.raises(ValueError, match="whole nanometres"):
        _build_tables._response("band", f"2 title\n{rows}\n")


def test_build_takes_no_gap():
    with pytest.raises(ValueError, match="Sentinel-2C/B2 must be on a grid of whole nanometres"):
        _build_tables._sentinel2c("B2 436 0.1 0.2\nB3 530 0.5 1\nB2 439 0.5 1\n")

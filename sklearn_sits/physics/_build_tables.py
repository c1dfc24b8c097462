"""Rebuild tables.npz and the checksums of tables.md from the packages prosail and pyrsr.

Run ``python -m sklearn_sits.physics._build_tables``. Only data files of the two packages are
read; none of their code is imported or run. The responses of Sentinel-2C are in this folder.
"""

import hashlib
import importlib.metadata
import importlib.util
import io
import itertools
import zipfile
from pathlib import Path

import numpy as np

__all__ = ["build", "main"]

_VERSIONS = {"prosail": "2.0.5", "pyrsr": "0.8.0"}
_LEAF, _SOIL = "prosail/prospect_d_spectra.txt", "prosail/soil_reflectance.txt"
# Folder of the responses and names of the reflective bands of each sensor.
_SENTINEL2 = ("1", "2", "3", "4", "5", "6", "7", "8", "8A", "9", "10", "11", "12")
_LANDSAT = tuple(str(i) for i in range(1, 10))
_MODIS = tuple(str(i) for i in range(1, 17))
_SOURCES = {
    "Sentinel-2A": ("pyrsr/data/Sentinel-2A/MSI", _SENTINEL2),
    "Sentinel-2B": ("pyrsr/data/Sentinel-2B/MSI", _SENTINEL2),
    "Landsat-8": ("pyrsr/data/Landsat-8/OLI_TIRS", _LANDSAT),
    "Landsat-9": ("pyrsr/data/Landsat-9/OLI_TIRS", _LANDSAT),
    "MODIS-Terra": ("pyrsr/data/Terra/MODIS", _MODIS),
    "MODIS-Aqua": ("pyrsr/data/Aqua/MODIS", _MODIS),
}
_SENTINEL2C = "sentinel_2c.txt"
_WAVELENGTHS = np.arange(400, 2501)
_FOLDER = Path(__file__).parent
_HEADING = "## Checksums\n"


def build() -> tuple[bytes, str]:
    """Make the tables from the installed packages.

    Returns
    -------
    tables : bytes
        Content of tables.npz, the same for the same sources on every platform.
    checksums : str
        SHA-256 of the source files and of the tables, a section of tables.md.

    Raises
    ------
    RuntimeError
        If a package is not installed, or not in the version that the tables are made from.
    ValueError
        If the content of a file is not as expected.
    """
    folders = {name: _folder(name, version) for name, version in _VERSIONS.items()}
    contents = {}

    def read(path):
        package, _, rest = path.partition("/")
        file = folders[package] / rest if rest else _FOLDER / path
        contents[path] = file.read_bytes()
        return contents[path].decode()

    leaf = np.loadtxt(io.StringIO(read(_LEAF)), unpack=True)
    soils = np.loadtxt(io.StringIO(read(_SOIL)), unpack=True)
    if leaf.shape != (8, 2101) or not np.array_equal(leaf[0], _WAVELENGTHS):
        raise ValueError(f"{_LEAF} must have 8 columns at 400, 401, ..., 2500 nm")
    if soils.shape != (2, 2101):
        raise ValueError(f"{_SOIL} must have 2 columns of 2101 rows, found {soils.T.shape}")

    bands = {}
    for sensor, (folder, numbers) in _SOURCES.items():
        read(f"{folder}/reference")
        for number in numbers:
            path = f"{folder}/band_{number}"
            bands[f"{sensor}/B{number}"] = _response(path, read(path))
    bands |= _sentinel2c(read(_SENTINEL2C))
    starts, responses = zip(*bands.values(), strict=True)

    tables = _npz(
        wavelengths=_WAVELENGTHS.astype("<i2"),
        refractive_index=leaf[1].astype("<f8"),
        # Columns of the file: chlorophylls, carotenoids, anthocyanins, brown, water, dry matter.
        specific_absorption=leaf[2:].astype("<f8"),
        soils=soils.astype("<f8"),
        bands=np.array(list(bands)).astype("<U16"),
        starts=np.array(starts, "<i2"),
        sizes=np.array([response.size for response in responses], "<i2"),
        responses=np.concatenate(responses),
    )
    lines = [f"{_sha256(content)}  {path}" for path, content in contents.items()]
    lines.append(f"{_sha256(tables)}  tables.npz")
    return tables, f"{_HEADING}\n```text\n" + "\n".join(lines) + "\n```\n"


def main(folder: Path = _FOLDER) -> None:
    """Write tables.npz and the last section of tables.md.

    Parameters
    ----------
    folder : Path, default=folder of the package
        Holds tables.md, whose text before the checksums is kept.
    """
    tables, checksums = build()
    note = folder / "tables.md"
    text = note.read_text(encoding="utf-8").partition(_HEADING)[0]
    (folder / "tables.npz").write_bytes(tables)
    note.write_text(text + checksums, encoding="utf-8", newline="\n")


def _folder(package, version):
    try:
        found = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        found = None
    spec = importlib.util.find_spec(package)
    if found != version or spec is None:
        raise RuntimeError(
            f"the tables are built from {package} {version}, found {found or 'no installation'}: "
            f"pip install {package}=={version}"
        )
    return Path(spec.submodule_search_locations[0])


def _response(path, text):
    # The first line holds the number of rows, not always right, and a title.
    wavelengths, response = np.loadtxt(io.StringIO(text), skiprows=1, unpack=True)
    if wavelengths.max() < 100:
        wavelengths = wavelengths * 1000  # Landsat is in micrometres
    return _on_grid(path, wavelengths, response)


def _sentinel2c(text):
    # A line has a band, a wavelength, and the responses from there on, every nanometre.
    bands = {}
    for line in text.splitlines():
        band, first, *values = line.split()
        response = zip(itertools.count(int(first)), map(float, values), strict=False)
        bands.setdefault(f"Sentinel-2C/{band}", []).extend(response)
    return {band: _on_grid(band, *np.transpose(rows)) for band, rows in bands.items()}


def _on_grid(path, wavelengths, response):
    grid = np.rint(wavelengths).astype(int)
    if np.abs(wavelengths - grid).max() > 1e-6 or not np.all(np.diff(grid) == 1):
        raise ValueError(f"{path} must be on a grid of whole nanometres, one apart")
    # Below 400 nm: tails of some MODIS bands. Negative: noise in the tails of Landsat 8.
    inside = (grid >= _WAVELENGTHS[0]) & (grid <= _WAVELENGTHS[-1])
    return grid[inside][0], np.maximum(response[inside], 0).astype("<f4")


def _npz(**arrays):
    # numpy.savez writes the time of day. Not compressed either: zlib differs between platforms.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, member.getvalue())
    return buffer.getvalue()


def _sha256(content):
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()

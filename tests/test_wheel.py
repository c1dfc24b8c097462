import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _run(*command, **kwargs):
    result = subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)
    assert result.returncode == 0, result.stdout + result.stderr


def _check_sdist(folder):
    """All that pyproject.toml lists is there, and nothing else of the checkout."""
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = [name.split("/", 1)[1] for name in archive.getnames()]
    with open(ROOT / "pyproject.toml", "rb") as file:
        build = tomllib.load(file)["tool"]["hatch"]["build"]
    listed = {path.removeprefix("/") for path in build["targets"]["sdist"]["include"]}
    # Added by the build backend.
    added = {".gitignore", "PKG-INFO", "pyproject.toml"}
    assert {name.split("/")[0] for name in names} == listed | added
    assert [name for name in names if "__pycache__" in name or name.startswith("docs/_build")] == []


@pytest.mark.slow
def test_sdist_and_its_wheel_work_away_from_the_checkout(tmp_path):
    # Not isolated: the build backend is pinned with everything else and needs no network.
    # Without "--wheel", the wheel is built from the sdist.
    build = ("-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist"))
    _run(sys.executable, *build, str(ROOT))
    _check_sdist(tmp_path / "dist")
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("py.typed", "physics/tables.npz", "physics/tables.md"):
        assert f"sklearn_sits/{name}" in names
    sources = (ROOT / "sklearn_sits").rglob("*")
    files = [path for path in sources if path.is_file() and "__pycache__" not in path.parts]
    assert {path.relative_to(ROOT).as_posix() for path in files} <= set(names)
    assert [name for name in names if not name.startswith(("sklearn_sits/", "sklearn_sits-"))] == []
    for name in ("LICENSE", "LICENSE-APACHE.txt"):
        assert any("dist-info/licenses" in n and n.endswith(name) for n in names)

    # The dependencies are borrowed through a .pth file: the .pth files of the borrowed folder
    # are not read in turn, so an editable install of the checkout is out of reach.
    env_dir = tmp_path / "env"
    venv.create(env_dir, with_pip=False, symlinks=os.name != "nt")
    scheme = {"base": str(env_dir), "platbase": str(env_dir)}
    site_packages = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site_packages / "borrowed.pth").write_text("\n".join(sorted(borrowed)), encoding="utf-8")
    python = Path(sysconfig.get_path("scripts", "venv", vars=scheme)) / "python"
    # --target never uninstalls: the borrowed environment may hold an editable install.
    install = ("install", "--quiet", "--no-deps", "--no-index", "--target", str(site_packages))
    _run(sys.executable, "-m", "pip", *install, str(wheel))

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    _run(str(python), str(ROOT / "tests" / "installed.py"), cwd=elsewhere, env=environ)

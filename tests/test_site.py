"""The documentation site builds without a warning; `make docs` also runs the gallery."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_site_builds(tmp_path):
    # A copy, because the build writes pages of the reference beside its sources.
    for name in ("docs", "examples"):
        ignored = shutil.ignore_patterns("_build", "gallery", "generated", "backreferences")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "README.md", tmp_path)
    options = ["-W", "--keep-going", "-q", "-D", "plot_gallery=0"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(tmp_path / "docs"), str(tmp_path / "html")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"MPLBACKEND": "Agg"},
    )
    assert done.returncode == 0, done.stderr
    index = (tmp_path / "html" / "searchindex.js").read_text("utf-8")
    for word in ("mtansvgpclassifi", "lai", "cloud"):
        assert f'"{word}":' in index or f"{word}:" in index, word

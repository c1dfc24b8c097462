"""Kernels are not slower than plain ways to do the same, and compute the same."""

import json
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose


@pytest.fixture(scope="module")
def kernels(scripts):
    import kernels

    return kernels


def find(kernels, name):
    return next(kernel for kernel in kernels.KERNELS if kernel.name.startswith(name))


# About a third of what they are on an idle machine.
@pytest.mark.parametrize(
    ("name", "least"), [("attention", 4.0), ("linear interpolation", 1.5), ("pack_frame", 5.0)]
)
def test_kernels_keep_their_lead(kernels, name, least):
    spent = kernels.time_kernel(find(kernels, name), rounds=3, seconds=0.05)
    assert np.median(spent[:, 1] / spent[:, 0]) > least


@pytest.mark.parametrize("name", ["linear interpolation", "pack_frame", "pack_cube"])
def test_baselines_compute_the_same(kernels, name):
    ours, theirs = (call() for call in find(kernels, name).make())
    assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_baseline_of_the_attention_computes_the_same(kernels):
    ours, theirs = (call() for call in find(kernels, "attention").make())
    assert_allclose(ours[0], theirs[0], rtol=0, atol=1e-5)
    assert (ours[1] - theirs[1]).norm() <= 1e-4 * ours[1].norm()


def test_kernels_that_a_version_lacks_are_dashes(kernels, capfd):
    def make():
        from sklearn_sits import NoSuchClassifier  # noqa: F401

    kernel = kernels.Kernel("classifier", "forest", make)
    assert kernels.time_present(kernel, 1, 0.01) is None
    assert "NoSuchClassifier" in capfd.readouterr().err
    assert kernels.describe(kernel, None) == ["classifier", "forest", "-", "-", "-"]


def test_table_over_commits(kernels, monkeypatch, tmp_path):
    spent = np.array([[1.0, 3.0], [1.0, 5.0]])
    monkeypatch.setattr(kernels, "list_commits", lambda names: ["a" * 40, "b" * 40])
    monkeypatch.setattr(kernels, "name_commit", lambda commit: commit[0])
    monkeypatch.setattr(
        kernels,
        "time_commit",
        lambda commit, *timing: [spent if commit[0] == "a" else None] * len(kernels.KERNELS),
    )
    path = tmp_path / "kernels.json"
    argv = ["kernels.py", "--commits", "one", "two", "--results", str(path)]
    monkeypatch.setattr(sys, "argv", argv)
    kernels.main()
    table = json.loads(path.read_text())["commits"]
    assert table["columns"] == ["kernel", "a", "b"]
    assert len(table["rows"]) == len(kernels.KERNELS)
    assert {tuple(row[1:]) for row in table["rows"]} == {("4.00 ± 1.00", "-")}

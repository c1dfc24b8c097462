"""The script for a GPU runs on a machine without one, on small data."""

import json
import sys

import pytest
import torch

# Those of the libraries, and of small data.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def gpu(scripts):
    import gpu

    return gpu


def run(gpu, part):
    columns, rows = gpu.PARTS[part].columns, list(gpu.PARTS[part].rows(["cpu"], gpu.QUICK))
    assert rows
    for row in rows:
        assert len(row) == len(columns)
        json.dumps(row)
    assert len({row[0] for row in rows}) == len(rows)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def number(text):
    return float(text.replace(",", ""))


def test_fit(gpu):
    for row in run(gpu, "fit"):
        assert row["series"] == "600"
        assert number(row["OA %"]) > 30
        assert number(row["s per epoch"]) <= number(row["fit s"])


def test_encoder(gpu):
    (row,) = run(gpu, "encoder")
    assert row["series"] == "2,000"
    assert number(row["transform s per million"]) > 0


def test_predictions(gpu):
    rows = run(gpu, "prediction")
    assert len(rows) == 3
    assert all(number(row["per second"]) > 100 for row in rows)


@pytest.mark.slow
def test_maps(gpu):
    rows = run(gpu, "maps")
    assert [row["pixels"] for row in rows] == ["65,536", "16,384"]


def test_the_tests_are_counted(gpu):
    (row,) = run(gpu, "tests")
    assert row["failed"] == 0
    assert row["passed"] + row["skipped"] > 10
    assert torch.cuda.is_available() or row["passed"] == 0


def test_a_part_ends_at_its_limit(gpu):
    assert gpu.run_part("maps", ["cpu"], True, 0.1) == ([], "over the limit of 0.1 s")


def test_a_part_that_fails_leaves_the_others(gpu, monkeypatch, capfd, tmp_path):
    outcomes = {"fit": ([["a", *"123456"]], "failed"), "encoder": ([["cpu", *"1234"]], None)}
    monkeypatch.setattr(gpu, "run_part", lambda name, *rest: outcomes[name])
    path = tmp_path / "gpu.json"
    argv = ["gpu.py", "--only", "fit", "encoder", "--device", "cpu", "--results", str(path)]
    monkeypatch.setattr(sys, "argv", argv)
    gpu.main()
    tables = json.loads(path.read_text())
    assert tables["fit"]["rows"] == [["a", *"123456"], ["failed", *"-" * 6]]
    assert tables["encoder"]["rows"] == [["cpu", *"1234"]]
    assert "failed" in capfd.readouterr().out


def test_failures_of_a_process_are_seen(gpu):
    assert gpu.run_part("encoder", ["abacus"], True, 600) == ([], "failed")


def test_nothing_is_written_without_a_gpu(gpu, monkeypatch, capfd):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "Report", None)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    gpu.main()
    assert "no CUDA device" in capfd.readouterr().out


def test_the_limits_fit_into_the_time(gpu):
    assert sum(part.limit for part in gpu.PARTS.values()) <= 8 * 60
    assert sum(part.quick_limit for part in gpu.PARTS.values()) <= 2 * 60

import ast
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from figures import assert_readable
from matplotlib.dates import date2num

from sklearn_sits import displays
from sklearn_sits.displays import axes as axes_module
from sklearn_sits.displays.axes import check_channel, check_series, show_dates, to_axis


def test_days_become_dates():
    np.testing.assert_array_equal(to_axis([1.5, 2], None), [1.5, 2])
    found = to_axis([0, 31.25], "2023-01-01")
    expected = date2num(np.array(["2023-01-01T00", "2023-02-01T06"], dtype="datetime64[h]"))
    np.testing.assert_allclose(found, expected)
    with pytest.raises(ValueError, match="origin must be an ISO 8601 date"):
        to_axis([1], "spring")


def test_dates_are_written():
    figure, ax = plt.subplots()
    ax.plot(to_axis([0, 364], "2023-01-01"), [0, 1])
    show_dates(ax, "2023-01-01")
    assert_readable(figure)
    assert "Mar" in [label.get_text() for label in ax.get_xticklabels()]
    assert ax.get_xlabel() == "Date"


def test_checks():
    assert check_series(np.zeros((4, 3))).shape == (1, 4, 3)
    with pytest.raises(ValueError, match=r"one packed series .* got shape \(5, 4, 3\)"):
        check_series(np.zeros((5, 4, 3)))
    assert check_channel(-1, 4) == 3
    for channel in (0, 4, -4):
        with pytest.raises(ValueError, match=f"channel={channel} is no band: X has 4"):
            check_channel(channel, 4)
    with pytest.raises(TypeError, match="channel must be an integer, got 'B4'"):
        check_channel("B4", 4)


def test_matplotlib_is_imported_when_a_figure_is_drawn():
    for path in Path(displays.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        # Without what only a type checker reads.
        tree.body = [node for node in tree.body if not isinstance(node, ast.If)]
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {getattr(node, "module", node.names[0].name) for node in imports}
        assert not [name for name in names if name.startswith(("matplotlib", "xarray"))], path


def test_missing_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'Displays need .* install "sklearn-sits\[plot\]"'):
        axes_module.open_axes(None)

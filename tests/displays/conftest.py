import matplotlib as mpl
import pytest

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    from matplotlib import pyplot as plt

    with mpl.rc_context():
        mpl.rcdefaults()
        yield
    plt.close("all")

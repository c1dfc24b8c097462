import subprocess
import sys
import threading
import time
from pathlib import Path

import dask.array as da
import joblib
import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from sklearn_sits.raster.thread_limits import one_thread


def limits():
    return [torch.get_num_threads(), *(library["num_threads"] for library in threadpool_info())]


def in_new_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def test_main_thread_keeps_its_settings():
    before = limits()
    with one_thread():
        assert limits() == before


SCRIPT = """
import torch
torch.set_num_threads(3)
from test_thread_limits import check_restored
check_restored()
"""


def check_restored():
    """Blocks that overlap and end in any order see one thread, and all is restored."""
    seen, rng = [], np.random.default_rng(0)
    pauses = iter(rng.uniform(0, 0.02, size=100))

    def block(values):
        with one_thread():
            time.sleep(next(pauses))
            np.ones((50, 50)) @ np.ones((50, 50))
            seen.append(limits() + [joblib.effective_n_jobs(4)])
        return values

    before, fresh = limits(), in_new_thread(limits)
    for n_workers in (2, 4):
        da.ones(12, chunks=1).map_blocks(block, meta=np.empty(0)).compute(
            scheduler="threads", num_workers=n_workers
        )
        assert limits() == before
        assert in_new_thread(limits) == fresh
    assert before[0] == fresh[0] == 3
    assert set(np.ravel(seen)) == {1}


@pytest.mark.slow
def test_limits_in_threads_are_restored():
    subprocess.run(
        [sys.executable, "-c", SCRIPT], check=True, cwd=Path(__file__).parent, timeout=300
    )


def test_error_in_a_block_restores():
    def fail():
        before = limits()
        with pytest.raises(KeyError), one_thread():
            raise KeyError
        return limits() == before

    assert in_new_thread(fail)

"""One computing thread per block where blocks are computed in parallel."""

import multiprocessing
import sys
import threading
from contextlib import contextmanager

import joblib
from threadpoolctl import ThreadpoolController

__all__ = ["one_thread"]

_lock = threading.Lock()
# Number of running blocks, and the settings that the last one of them restores.
_running = 0
_blas = None
_torch_threads = None


class _BlasLimit:
    """Limit of the threads of BLAS, whose number is that of the process.

    Only the thread that set the limit can remove it. Blocks end in another order than they start,
    so a thread of its own does both.
    """

    def __init__(self):
        self._limited, self._released = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold, daemon=True)
        self._thread.start()
        self._limited.wait()

    def _hold(self):
        try:
            with ThreadpoolController().select(user_api="blas").limit(limits=1):
                self._limited.set()
                self._released.wait()
        finally:
            self._limited.set()

    def release(self):
        self._released.set()
        self._thread.join()


@contextmanager
def one_thread():
    """Limit PyTorch, BLAS, OpenMP and joblib to one thread within a worker of dask.

    Nothing changes in the main thread of the main process, where one block is computed at a time
    and may use all cores. Elsewhere blocks run in parallel. When the last of them ends, the
    previous settings are restored.
    """
    global _running, _blas, _torch_threads
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and multiprocessing.parent_process() is None:
        yield
        return
    torch = sys.modules.get("torch")
    with _lock:
        if not _running:
            _blas = _BlasLimit()
            _torch_threads = torch.get_num_threads() if torch else None
        _running += 1
    # OpenMP and PyTorch have a number for each thread that calls them.
    openmp = ThreadpoolController().select(user_api="openmp").limit(limits=1)
    if torch:
        # Otherwise a new thread would take the number of another one at its first use.
        torch.get_num_threads()
        torch.set_num_threads(1)
    try:
        # For any n_jobs of an estimator.
        with joblib.parallel_config(backend="sequential"):
            yield
    finally:
        openmp.restore_original_limits()
        with _lock:
            _running -= 1
            if not _running:
                _blas.release()
            # Last, because OpenMP sets this number, too. Every new thread starts with it.
            if torch and _torch_threads:
                torch.set_num_threads(_torch_threads)

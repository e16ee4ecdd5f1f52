"""The same work on many machines, by a Dask cluster that somebody has started."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable
from typing import Any

from spotscan.batch.pool import Lost
from spotscan.errors import UsageError

_CONNECT_S = 20.0
_AHEAD = 3  # tasks a thread: one that runs, and some on their way, for the way to a worker and back takes a while
_COUNT_S = 5.0  # between counts of them
_RETRIES = 2  # where a task comes back with an error that is not the photo's, as of a network
_FLIGHT = 2_000  # the scheduler's patience with one client; a thousand cores are kept busy by it


class Cluster:
    """Tasks to the workers of a Dask scheduler. A worker that dies has its tasks done by others.

    A task that was with worker after worker that died is given up by the scheduler after its `allowed-failures`
    (3). It may have been the neighbour of the one that kills them: it is tried once more when nothing else runs.

    Parameters
    ----------
    function : callable
        Does a task; its module is installed on the workers.
    address : str
        ``tcp://host:8786``.

    Raises
    ------
    UsageError
        Dask is not installed, or there is no scheduler.
    """

    def __init__(self, function: Callable[[Any], Any], address: str) -> None:
        try:
            from distributed import Client, as_completed
        except ImportError as error:
            todo = "pip install 'spotscan[cluster]' here and on the workers"
            raise UsageError("a cluster needs packages that are not installed", "--scheduler", todo) from error
        self._function, self._address = function, ascii(address)[1:-1]
        try:
            self._client = Client(address, timeout=_CONNECT_S, set_as_default=False, name="spotscan-batch")
        except (OSError, ValueError) as error:
            raise UsageError("there is no Dask scheduler", self._address, "start one: dask scheduler") from error
        self._client.register_plugin(_one_thread_plugin(), name="spotscan-one-thread")
        self._done = as_completed(loop=self._client.loop)
        self._flying: dict[str, tuple[Any, Any]] = {}
        self._suspects: list[Any] = []
        self._alone = False  # one of them is being tried
        self._number = itertools.count()
        self._threads, self._counted = 1, -math.inf

    def free(self) -> int:
        """As many tasks as keep all workers busy; workers may come and go."""
        if time.monotonic() > self._counted + _COUNT_S:
            try:
                self._threads = max(1, sum(self._client.nthreads().values()))
            except (OSError, AttributeError) as error:  # the latter from a client that has lost its connection
                raise self._lost() from error
            self._counted = time.monotonic()
        return 0 if self._alone else min(_FLIGHT, _AHEAD * self._threads) - len(self._flying)

    def submit(self, task: Any) -> None:
        """Give it a task."""
        key = f"spotscan-{self._client.id}-{next(self._number)}"
        future = self._client.submit(self._function, task, key=key, pure=False, retries=_RETRIES)
        self._flying[key] = (task, future)
        self._done.add(future)

    def results(self) -> list[tuple[Any, Any]]:
        """Wait for something to be done; tasks and what came of them."""
        found: list[tuple[Any, Any]] = []
        while not found:
            if not self._flying:
                self._alone = True
                self.submit(self._suspects.pop())
            for task, value in self._ended():
                if isinstance(value, Lost) and not self._alone:
                    self._suspects.append(task)
                else:
                    found.append((task, value))
            self._alone = self._alone and bool(self._flying)
        return found

    def _ended(self) -> list[tuple[Any, Any]]:
        """What has ended since, at least one where none had to be done again."""
        ended: list[Any] = []
        for future in [next(self._done), *self._done.next_batch(block=False)]:
            if future.status in ("pending", "lost"):  # its worker died before it could tell: it is done again
                self._done.add(future)
            else:
                ended.append(future)
        try:
            values = self._client.gather(ended)  # all at once: a way there and back for each would take longest
        except Exception:  # one of them has no result, or the worker that held one has died
            values = [self._result(future) for future in ended]
        return [(self._flying.pop(future.key)[0], value) for future, value in zip(ended, values, strict=True)]

    def _result(self, future: Any) -> Any:
        from distributed import CancelledError, KilledWorker

        try:
            return future.result()
        except KilledWorker:
            return Lost("worker", "the workers that had it died")
        except (CancelledError, OSError) as error:  # nobody but a scheduler that went away cancels
            raise self._lost() from error
        except Exception as error:
            what = f"the workers cannot do it ({type(error).__name__}: {error})"
            raise UsageError(what, self._address, "install the same SpotScan on all of them") from error

    def _lost(self) -> UsageError:
        todo = "start it again; what was done stays, the same command goes on"
        return UsageError("the Dask scheduler went away", self._address, todo)

    def close(self) -> None:
        """Leave the cluster; it takes back what is not done."""
        with contextlib.suppress(Exception):  # it may have gone away
            self._client.cancel([future for _, future in self._flying.values()], force=True)
        self._client.close(timeout=5)


def _one_thread_plugin() -> Any:
    from distributed import WorkerPlugin

    class OneThread(WorkerPlugin):
        """A scan in each of a worker's threads; OpenCV's own would crowd them. Workers that come later get it, too."""

        def setup(self, worker: Any) -> None:
            import cv2

            cv2.setNumThreads(1)

    return OneThread()

"""A pool of worker processes in which a task that kills or hangs its worker costs that task and nothing else.

The pools of the standard library break, or wait for ever, when one worker dies.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Protocol

# A scan in each core is faster than a core for each loop of a scan, and threads beyond the cores slow all of them.
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_START_S = 300.0  # for a worker to import what it needs, on a machine that is busy
_STARTS = 3  # workers that may die in a row before their first task, before the fault is taken as not the photos'


@dataclass(frozen=True)
class Lost:
    """What comes back for a task whose worker was lost with it."""

    kind: str
    reason: str


class Runner(Protocol):
    """Something that does tasks: processes of this machine, or a cluster."""

    def free(self) -> int:
        """How many tasks it takes at the moment."""

    def submit(self, task: Any) -> None:
        """Give it a task."""

    def results(self) -> list[tuple[Any, Any]]:
        """Wait for something to be done; tasks and what came of them (a `Lost` where nothing did)."""

    def close(self) -> None:
        """End it at once."""


class _Worker:
    """A process, the driver's end of its pipe, and what it is doing."""

    def __init__(self, function: Callable[[Any], Any], prepare: Callable[[], None]) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_serve, args=(theirs, function, prepare), daemon=True)
        with _as_worker():
            self.process.start()
        theirs.close()  # so that its death ends our side
        self.ready = False
        self.task: Any = None
        self.deadline = time.monotonic() + _START_S

    def give(self, task: Any, time_limit_s: float) -> None:
        self.task, self.deadline = task, time.monotonic() + time_limit_s
        with contextlib.suppress(OSError):  # it died just now: its end of the pipe will say so
            self.pipe.send(task)

    def end(self) -> int | None:
        self.process.kill()
        self.process.join()
        code = self.process.exitcode
        self.pipe.close()
        self.process.close()
        return code


class Pool:
    """So many processes, each doing one task at a time.

    Parameters
    ----------
    function : callable
        Does a task; importable by name, as are its argument and result. What it raises is a fault of ours.
    n_workers : int
        Processes, each with one thread.
    time_limit_s : float
        For one task; a worker that takes longer is killed.
    prepare : callable
        Called once in each worker, before its first task and before the clock runs.
    """

    def __init__(
        self, function: Callable[[Any], Any], n_workers: int, time_limit_s: float, prepare: Callable[[], None]
    ) -> None:
        self._function, self._prepare = function, prepare
        self._limit = time_limit_s
        self._waiting: deque[Any] = deque()
        self._lost_at_start = 0
        self._workers = [self._new() for _ in range(n_workers)]

    def _new(self) -> _Worker:
        return _Worker(self._function, self._prepare)

    def free(self) -> int:
        """How many tasks it takes at the moment: one for each worker, so that none waits behind a slow one."""
        return sum(worker.task is None for worker in self._workers) - len(self._waiting)

    def submit(self, task: Any) -> None:
        """Give it a task."""
        self._waiting.append(task)
        self._hand_out()

    def _hand_out(self) -> None:
        for worker in self._workers:
            if self._waiting and worker.ready and worker.task is None:
                worker.give(self._waiting.popleft(), self._limit)

    def results(self) -> list[tuple[Any, Any]]:
        """Wait for something to be done; tasks and what came of them (a `Lost` where nothing did)."""
        found: list[tuple[Any, Any]] = []
        while not found:
            busy = [worker for worker in self._workers if worker.task is not None or not worker.ready]
            patience = min(worker.deadline for worker in busy) - time.monotonic()
            ready = wait([worker.pipe for worker in self._workers], timeout=max(0.0, patience))
            for i, worker in enumerate(self._workers):
                if worker.pipe in ready:
                    found += self._heard(i, worker)
                elif worker in busy and time.monotonic() > worker.deadline:
                    found += self._replace(i, worker, "time", f"it took longer than {self._limit:g} s")
            self._hand_out()
        return found

    def _heard(self, i: int, worker: _Worker) -> list[tuple[Any, Any]]:
        try:
            result = worker.pipe.recv()
        except Exception:  # its end is closed, or what it sent is torn
            return self._replace(i, worker, "worker", None)
        if not worker.ready:
            worker.ready, self._lost_at_start = True, 0
            return []
        task, worker.task = worker.task, None
        return [(task, result)]

    def _replace(self, i: int, worker: _Worker, kind: str, reason: str | None) -> list[tuple[Any, Any]]:
        if reason is None:
            worker.process.join(1.0)  # closing the pipe comes a moment before the end
        code = worker.end()
        self._lost_at_start += not worker.ready
        if self._lost_at_start >= _STARTS:
            del self._workers[i]
            raise RuntimeError(f"worker processes end before they can do anything ({_cause(code)})")
        self._workers[i] = self._new()
        if worker.task is None:
            return []
        return [(worker.task, Lost(kind, reason or f"its worker process died ({_cause(code)})"))]

    def close(self) -> None:
        """End all workers at once; what they write is whole or not there."""
        for worker in self._workers:
            worker.end()
        self._workers = []


class InProcess:
    """The same in this process, one task at a time: to find a fault with a debugger."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self._task: Any = None

    def free(self) -> int:
        """One task at a time."""
        return int(self._task is None)

    def submit(self, task: Any) -> None:
        """Give it a task."""
        self._task = task

    def results(self) -> list[tuple[Any, Any]]:
        """Do the task."""
        task, self._task = self._task, None
        return [(task, self._function(task))]

    def close(self) -> None:
        """End it."""


def _cause(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"{name}, perhaps out of memory" if name == "SIGKILL" else name


@contextlib.contextmanager
def _as_worker() -> Iterator[None]:
    """What is started within it has one thread a library (they read the environment when they are loaded) and
    leaves Ctrl-C to the driver, from its first moment on.
    """
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    mask = getattr(signal, "pthread_sigmask", None)  # Windows has none
    if mask:
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # where it starts with a worker, it lifts the mask
    blocked = mask and mask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited; ours comes when it is lifted
    try:
        yield
    finally:
        if mask:
            mask(signal.SIG_SETMASK, blocked)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Connection, function: Callable[[Any], Any], prepare: Callable[[], None]) -> None:
    """The life of a worker: until its driver is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides what Ctrl-C means
    prepare()
    with contextlib.suppress(EOFError, OSError):
        pipe.send(None)  # ready
        while True:
            pipe.send(function(pipe.recv()))

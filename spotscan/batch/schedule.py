"""Which photo is done next, and which waits because another with the same content is being done."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from spotscan.batch.index import Index
from spotscan.batch.listing import Entry
from spotscan.batch.places import Source, Store
from spotscan.batch.pool import Lost, Runner
from spotscan.batch.settings import PhotoSettings
from spotscan.batch.work import Failure, Outcome, Task


@dataclass(frozen=True)
class Job:
    """A photo that has to be done; its hash once that is known."""

    entry: Entry
    settings: PhotoSettings
    sha256: str = ""


class Schedule:
    """Does jobs with a runner; photos of the same content and settings are scanned once.

    Only files of equal size can be equal. The first of a size is scanned straight away. Every other is hashed
    first (a hundredth of the time of a scan), and then scanned unless its twin has a result, or is about to.

    Parameters
    ----------
    index : Index
        What has a result.
    runner : Runner
        Does the tasks.
    source, store : Source, Store
        Where photos are, and where results go.
    """

    def __init__(self, index: Index, runner: Runner, source: Source, store: Store) -> None:
        self._index, self._runner, self._source, self._store = index, runner, source, store
        self._ready: deque[Job] = deque()
        self._flight: dict[str, Job] = {}
        self._sizes: Counter[int] = Counter()  # of what is in flight
        self._first: set[int] = set()  # sizes of which the first is being scanned: its hash is not known yet
        self._scanning: set[tuple[str, str]] = set()  # content and settings that are being scanned
        self._held: defaultdict[Any, list[Job]] = defaultdict(list)  # what of the two above -> jobs that wait for it

    def run(self, jobs: Iterator[Job], finished: Callable[[Job, Outcome], None]) -> None:
        """Do all jobs; `finished` is told of each as it ends, in any order."""
        more = True
        while True:
            while self._runner.free() > 0 and (self._ready or more):
                job = self._ready.popleft() if self._ready else next(jobs, None)
                if job is None:
                    more = False
                else:
                    self._start(job)
            if not self._flight:
                return
            for task, result in self._runner.results():
                self._end(task, result, finished)

    def _start(self, job: Job) -> None:
        size, key = job.entry.size, (job.sha256, job.settings.digest)
        if not job.sha256:
            if self._sizes[size] or self._index.has_size(size):
                self._submit("hash", job)
            else:
                self._first.add(size)
                self._submit("scan", job)
        elif (twin := self._index.twin(size, *key)) is not None:
            self._submit("copy", job, twin)
        elif size in self._first:
            self._held[size].append(job)
        elif key in self._scanning:
            self._held[key].append(job)
        else:
            self._scanning.add(key)
            self._submit("scan", job)

    def _submit(self, what: Any, job: Job, twin: str = "") -> None:
        name = job.entry.name
        if what == "scan":
            self._index.forget(name)  # nobody copies from a result that is being written
        self._flight[name] = job
        self._sizes[job.entry.size] += 1
        self._runner.submit(Task(what, name, job.settings, self._source, self._store, twin, job.sha256))

    def _end(self, task: Task, result: Outcome | Lost, finished: Callable[[Job, Outcome], None]) -> None:
        job = self._flight.pop(task.name)
        self._sizes[job.entry.size] -= 1
        if isinstance(result, Lost):
            result = Outcome(
                job.sha256, Failure(result.kind, result.reason, "see whether it is a photo; --retry-failed")
            )
        if task.what == "hash" and result.failure is None:
            self._ready.append(Job(job.entry, job.settings, result.sha256))
            return
        finished(job, result)
        if task.what == "scan" and job.sha256:
            key = (job.sha256, job.settings.digest)
            self._scanning.discard(key)
            self._ready.extend(self._held.pop(key, ()))
        elif task.what == "scan":
            self._first.discard(job.entry.size)
            self._ready.extend(self._held.pop(job.entry.size, ()))

"""A batch from beginning to end: list, see what was done, do the rest, write the tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spotscan.batch.finish import write_results
from spotscan.batch.index import Index, Row
from spotscan.batch.journal import JOURNAL, open_journal, read_lines
from spotscan.batch.listing import Entry, shown
from spotscan.batch.places import SCANS, Folder, Url, reason_of
from spotscan.batch.pool import InProcess, Pool, Runner
from spotscan.batch.progress import Progress, Silent
from spotscan.batch.schedule import Job, Schedule
from spotscan.batch.settings import Settings, check_manifest
from spotscan.batch.work import Outcome, do, prepare
from spotscan.errors import InputError, UsageError

MANIFEST = "batch.json"


@dataclass(frozen=True)
class Options:
    """How a batch is done; nothing of it changes a result.

    Attributes
    ----------
    recursive, follow_links : bool
        See `spotscan.batch.listing.list_folder`.
    workers : int
        Processes of this machine; 0 does all in this one.
    scheduler : str or None
        Address of a Dask scheduler: its workers do the photos.
    retry_failed : bool
        Do again what failed before.
    time_limit_s : float
        For one photo.
    """

    recursive: bool = False
    follow_links: bool = False
    workers: int = 1
    scheduler: str | None = None
    retry_failed: bool = False
    time_limit_s: float = 300.0


@dataclass(frozen=True)
class Plan:
    """What a batch finds before it does anything; photos are counted.

    Attributes
    ----------
    photos, done, failed, to_do : int
        Photos there are; those that have a result; those that failed before and stay so; those to be done.
    others : list of (reason, number, names)
        What is no photo and is left alone.
    unknown : list of str
        Files that the references or answers name and that are not in the folder.
    """

    photos: int
    done: int
    failed: int
    to_do: int
    others: list[tuple[str, int, list[str]]]
    unknown: list[str]


@dataclass(frozen=True)
class Report:
    """What a batch has done.

    Attributes
    ----------
    photos, failed : int
        Photos there are, and those among them without a result.
    scanned : int
        Photos scanned in this run; copies of the results of equal photos are not among them.
    written : bool
        False where the tables were those of these results already.
    """

    photos: int
    failed: int
    scanned: int
    written: bool


class Batch:
    """A folder of photos, a place for results, and what is asked.

    Parameters
    ----------
    source : Folder or Url
        The photos.
    store : Folder or Url
        The results.
    settings : Settings
        What is asked for.
    options : Options
        How it is done.

    Raises
    ------
    InputError
        The folder cannot be read, or there is no photo in it.
    UsageError
        The place for results holds another batch, or cannot be written to.
    """

    def __init__(
        self, source: Folder | Url, store: Folder | Url, settings: Settings, options: Options = Options()
    ) -> None:
        self._source, self._store, self._settings, self._options = source, store, settings, options

    def plan(self) -> Plan:
        """What `run` would do; nothing is written."""
        self._check_place()
        with closing(Index()) as index:
            self._list(index)
            if self._store_is_there():
                index.add_done(read_lines(self._store))
                index.add_present(self._store.names(SCANS))
            return self._plan(index)

    def run(self, progress: Progress | None = None, planned: Callable[[Plan], None] | None = None) -> Report:
        """Do it. Stopped at any moment and started again, it goes on.

        Parameters
        ----------
        progress : Progress, optional
            Told of each photo as it is done.
        planned : callable, optional
            Told what there is to do, before it is begun.
        """
        self._check_place()
        with closing(Index()) as index:
            self._list(index)
            try:
                return self._go_on(index, progress or Silent(), planned or (lambda plan: None))
            except OSError as error:
                raise self._stopped(f"cannot write ({reason_of(error)})") from error

    def _go_on(self, index: Index, progress: Progress, planned: Callable[[Plan], None]) -> Report:
        with ExitStack() as ends:
            self._store.make()
            journal = ends.enter_context(closing(open_journal(self._store)))  # from here on nobody else writes there
            self._store.clear()
            self._store.write(MANIFEST, (json.dumps(self._settings.manifest(), indent=2) + "\n").encode())
            index.add_done(read_lines(self._store))
            index.add_present(self._store.names(SCANS))
            plan = self._plan(index)
            planned(plan)
            runner = _LazyRunner(self._runner)
            ends.callback(runner.close)
            scanned = 0

            def finished(job: Job, outcome: Outcome) -> None:
                nonlocal scanned
                if outcome.fatal:
                    raise self._stopped(outcome.fatal)
                journal.add(index.put(job.entry, job.settings.digest, outcome))
                scanned += outcome.scanned
                progress.step(outcome.failure is not None)

            if plan.to_do:
                progress.start(plan.to_do)
                try:
                    Schedule(index, runner, self._source, self._store).run(self._jobs(index), finished)
                finally:
                    progress.stop()
            n_failed, written = write_results(index, runner, self._source, self._store, self._settings)
            return Report(plan.photos, n_failed, scanned, written)

    def _check_place(self) -> None:
        if self._store == self._source:
            raise UsageError("the results cannot go among the photos", self._where(), "give another folder")
        try:
            found = self._store.read(MANIFEST)
        except (FileNotFoundError, NotADirectoryError):
            if isinstance(self._store, Folder):
                self._check_empty(Path(self._store.path))
            return
        except OSError as error:
            raise UsageError(f"the output folder cannot be read ({reason_of(error)})", self._where(), "") from error
        check_manifest(found, self._settings)

    def _check_empty(self, path: Path) -> None:
        try:
            ours = (JOURNAL,)  # of a run that was killed in its first moments
            names = (item.name for item in path.iterdir() if not item.name.startswith("."))
            strange = next((name for name in names if name not in ours), None)
        except FileNotFoundError:
            return
        except OSError as error:
            raise UsageError(f"the output folder cannot be used ({reason_of(error)})", self._where(), "") from error
        if strange is not None:
            what = f"the output folder holds something that is no batch ('{shown(strange)}')"
            raise UsageError(what, self._where(), "give an empty or a new folder")

    def _where(self) -> str:
        return shown(str(self._store))

    def _stopped(self, why: str) -> UsageError:
        return UsageError(why, self._where(), "mend that; what was done stays, the same command goes on")

    def _store_is_there(self) -> bool:
        try:
            self._store.read(MANIFEST)
        except OSError:
            return False
        return True

    def _list(self, index: Index) -> None:
        options = self._options
        index.add_listed(
            self._source.entries(recursive=options.recursive, follow_links=options.follow_links, leave_out=self._store)
        )
        if not index.count("photo") + index.count("refused"):
            raise InputError(
                "there is no photo in the folder",
                shown(str(self._source)),
                "see --recursive; JPEG, PNG, TIFF, WebP and HEIC are read",
            )

    def _plan(self, index: Index) -> Plan:
        n = n_done = n_failed = 0
        for row in index.rows():
            n += 1
            if not self._to_do(index, row):
                n_done += row.failure is None
                n_failed += row.failure is not None
        named = {*self._settings.references, *(self._settings.answers or {})}
        unknown = sorted(shown(name) for name in named if not index.is_listed(name))
        return Plan(n, n_done, n_failed, n - n_done - n_failed, index.others(), unknown)

    def _to_do(self, index: Index, row: Row) -> bool:
        if row.failure is not None and not row.settings:  # refused when it was listed; it is never opened
            return False
        if row.settings != self._settings.of(row.name).digest:
            return True
        if row.failure is not None:
            return self._options.retry_failed
        return not index.is_present(row.name)

    def _jobs(self, index: Index) -> Iterator[Job]:
        for row in index.rows():
            if self._to_do(index, row):
                yield Job(Entry(row.name, row.size, row.stamp), self._settings.of(row.name))

    def _runner(self) -> Runner:
        options = self._options
        if options.scheduler is not None:
            from spotscan.batch.cluster import Cluster

            return Cluster(do, options.scheduler)
        return Pool(do, options.workers, options.time_limit_s, prepare) if options.workers else InProcess(do)


class _LazyRunner:
    """A runner that is started with its first task: resuming what is finished needs none."""

    def __init__(self, start: Callable[[], Runner]) -> None:
        self._start = start
        self._runner: Runner | None = None

    def _started(self) -> Runner:
        if self._runner is None:
            self._runner = self._start()
        return self._runner

    def free(self) -> int:
        return self._started().free()

    def submit(self, task: Any) -> None:
        self._started().submit(task)

    def results(self) -> list[tuple[Any, Any]]:
        return self._started().results()

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()

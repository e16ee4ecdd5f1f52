"""The tables and the page, from the results of the single photos."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from typing import Any

from spotscan.batch.columns import FAILURES, PHOTOS, SPOTS, cells, spot_cells
from spotscan.batch.index import Index, Row
from spotscan.batch.places import Source, Store
from spotscan.batch.pool import Runner
from spotscan.batch.settings import Settings
from spotscan.batch.summary import Summary
from spotscan.batch.tables import open_table
from spotscan.batch.work import Outcome, Task, path_of
from spotscan.errors import UsageError

MARKER = "tables.json"
RESULTS = ("photos.csv", "photos.parquet", "spots.csv", "spots.parquet", "failures.csv", "summary.html")
_READERS = 16  # results fetched at the same time: the wait for an object store is long
_PAGE = 512  # results in memory


def write_results(index: Index, runner: Runner, source: Source, store: Store, settings: Settings) -> tuple[int, bool]:
    """Write the tables and the page, unless they were made from the same results.

    Returns
    -------
    n_failed : int
        Photos without a result.
    written : bool
        False where all was there.
    """
    digest, n_failed = hashlib.sha256(json.dumps(index.others()).encode()), 0
    for row in index.rows():
        failure = row.failure and [row.failure.kind, row.failure.reason, row.failure.todo]
        digest.update(json.dumps([row.name, row.size, row.settings, row.sha256, failure]).encode())
        n_failed += row.failure is not None
    marker = (json.dumps({**settings.manifest(), "made_from": digest.hexdigest()}, indent=2) + "\n").encode()
    if _read(store, MARKER) == marker and all(map(store.exists, RESULTS)):
        return n_failed, False
    store.remove(MARKER)
    summary = _write_tables(index, store)
    thumbnails = _thumbnails(summary.worst(), runner, source, store, settings)
    store.write("summary.html", summary.page(settings.manifest(), index.others(), thumbnails).encode())
    store.write(MARKER, marker)
    return n_failed, True


def _write_tables(index: Index, store: Store) -> Summary:
    summary = Summary()
    with ExitStack() as files:
        photos = files.enter_context(open_table(store, "photos", PHOTOS))
        spots = files.enter_context(open_table(store, "spots", SPOTS))
        failures = files.enter_context(open_table(store, "failures", FAILURES, parquet=False))
        for row, document in _documents(index, store):
            summary.add(row, document)
            photos.add(cells(PHOTOS, row, document))
            if row.failure is not None:
                failures.add(cells(FAILURES, row, document))
            for spot in document["spots"] if document else ():
                spots.add(spot_cells(row, spot))
    return summary


def _documents(index: Index, store: Store) -> Iterator[tuple[Row, dict[str, Any] | None]]:
    """Photos in the order of their names with their documents."""

    def document(row: Row) -> dict[str, Any] | None:
        if row.failure is not None:
            return None
        content = store.read(path_of(row.name))
        try:
            return dict(json.loads(content))
        except ValueError as error:
            raise UsageError("a result is damaged", path_of(row.name), "delete it and run the batch again") from error

    rows = index.rows()
    with ThreadPoolExecutor(_READERS) as readers:
        while page := list(islice(rows, _PAGE)):
            yield from zip(page, readers.map(document, page, chunksize=1), strict=True)


def _thumbnails(names: list[str], runner: Runner, source: Source, store: Store, settings: Settings) -> dict[str, str]:
    """Data URLs by name; drawn by the workers, like everything that opens a photo."""
    waiting = [Task("thumbnail", name, settings.of(name), source, store) for name in reversed(names)]
    found, n_flying = dict[str, str](), 0
    while waiting or n_flying:
        while waiting and runner.free() > 0:
            runner.submit(waiting.pop())
            n_flying += 1
        for task, result in runner.results():
            n_flying -= 1
            if isinstance(result, Outcome) and result.data_url:
                found[task.name] = result.data_url
    return {name: found[name] for name in names if name in found}


def _read(store: Store, name: str) -> bytes | None:
    try:
        return store.read(name)
    except FileNotFoundError:
        return None

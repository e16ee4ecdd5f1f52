"""What is in the folder and what was done, in a temporary database: memory stays bounded for millions of photos."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from spotscan.batch.listing import Entry
from spotscan.batch.work import Failure, Outcome, key_of

_NAMED = 20  # things left alone that are named; all are counted
_PAGE = 1_000

_TABLES = """
CREATE TABLE listed (name BLOB PRIMARY KEY, size INTEGER, stamp TEXT, kind TEXT, reason TEXT) WITHOUT ROWID;
CREATE TABLE done (name BLOB PRIMARY KEY, size INTEGER, stamp TEXT, settings TEXT, sha256 TEXT, failure TEXT)
  WITHOUT ROWID;
CREATE TABLE present (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE INDEX done_by_size ON done (size, sha256);
"""


@dataclass(frozen=True)
class Row:
    """A photo, and what came of it.

    Attributes
    ----------
    name, size, stamp
        As in `Entry`.
    settings : str
        Digest of the settings it was done with; empty where it was not done.
    sha256 : str
        Of its content; empty where unknown.
    failure : Failure or None
        Why there is no result.
    """

    name: str
    size: int
    stamp: str
    settings: str = ""
    sha256: str = ""
    failure: Failure | None = None


def journal_line(entry: Entry, settings: str, outcome: Outcome) -> bytes:
    """An outcome as a line of the journal: ASCII, whatever the name."""
    failure = outcome.failure and [outcome.failure.kind, outcome.failure.reason, outcome.failure.todo]
    return json.dumps(
        {"file": entry.name, "size": entry.size, "stamp": entry.stamp, "settings": settings,
         "sha256": outcome.sha256, "failure": failure}
    ).encode()  # fmt: skip


class Index:
    """See the module. Names are kept as bytes, which also gives an order that no locale changes."""

    def __init__(self) -> None:
        self._base = sqlite3.connect("", isolation_level=None)  # in memory, and on disk where it grows
        self._base.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -64000;" + _TABLES
        )
        self._base.execute("BEGIN")  # one transaction that never ends: nothing of it is to stay

    def close(self) -> None:
        """Nothing of it stays."""
        self._base.close()

    def add_listed(self, entries: Iterable[Entry]) -> None:
        """What lies in the folder."""
        rows = ((_key(e.name), e.size, e.stamp, e.kind, e.reason) for e in entries)
        for page in _pages(rows):
            self._base.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?, ?, ?, ?)", page)

    def add_done(self, lines: Iterable[bytes]) -> None:
        """Lines of the journal, oldest first; one that is torn is none."""
        for page in _pages(row for line in lines if (row := _parsed(line)) is not None):
            self._base.executemany("INSERT OR REPLACE INTO done VALUES (?, ?, ?, ?, ?, ?)", page)

    def add_present(self, paths: Iterable[str]) -> None:
        """Results that are in the store."""
        keys = (path.rpartition("-")[2].partition(".")[0] for path in paths)
        for page in _pages((key,) for key in keys):
            self._base.executemany("INSERT OR REPLACE INTO present VALUES (?)", page)

    def put(self, entry: Entry, settings: str, outcome: Outcome) -> bytes:
        """Note an outcome; gives its line for the journal."""
        line = journal_line(entry, settings, outcome)
        self.add_done([line])
        return line

    def forget(self, name: str) -> None:
        """A photo's result is about to be written anew."""
        self._base.execute("DELETE FROM done WHERE name = ?", (_key(name),))

    def is_present(self, name: str) -> bool:
        """Whether the result of a photo was in the store."""
        found = self._base.execute("SELECT 1 FROM present WHERE key = ?", (key_of(name),)).fetchone()
        return found is not None

    def rows(self) -> Iterator[Row]:
        """Photos in the folder, in the order of their names, and what came of them; may be written to meanwhile."""
        last = b""
        query = (
            "SELECT l.name, l.size, l.stamp, l.kind, l.reason, d.size, d.stamp, d.settings, d.sha256, d.failure"
            " FROM listed l LEFT JOIN done d ON d.name = l.name"
            f" WHERE l.name > ? AND l.kind != 'other' ORDER BY l.name LIMIT {_PAGE}"
        )
        while page := self._base.execute(query, (last,)).fetchall():
            yield from map(_row, page)
            last = page[-1][0]

    def has_size(self, size: int) -> bool:
        """Whether some photo of this size has a result."""
        return (
            self._base.execute("SELECT 1 FROM done WHERE size = ? AND failure = '' LIMIT 1", (size,)).fetchone()
            is not None
        )

    def twin(self, size: int, sha256: str, settings: str) -> str | None:
        """A photo that has a result, with this content and these settings."""
        found = self._base.execute(
            "SELECT name FROM done WHERE size = ? AND sha256 = ? AND settings = ? AND failure = '' LIMIT 1",
            (size, sha256, settings),
        ).fetchone()
        return None if found is None else _name(found[0])

    def count(self, kind: str) -> int:
        """How many things of a kind lie in the folder."""
        return int(self._base.execute("SELECT COUNT(*) FROM listed WHERE kind = ?", (kind,)).fetchone()[0])

    def others(self) -> list[tuple[str, int, list[str]]]:
        """Reason, number and the first names of what was left alone."""
        reasons = self._base.execute(
            "SELECT reason, COUNT(*) FROM listed WHERE kind = 'other' GROUP BY reason ORDER BY reason"
        )
        query = f"SELECT name FROM listed WHERE kind = 'other' AND reason = ? ORDER BY name LIMIT {_NAMED}"
        return [
            (reason, n, [_name(name) for (name,) in self._base.execute(query, (reason,))])
            for reason, n in reasons.fetchall()
        ]

    def is_listed(self, name: str) -> bool:
        """Whether a photo of this name lies in the folder."""
        return self._base.execute("SELECT 1 FROM listed WHERE name = ?", (_key(name),)).fetchone() is not None


def _key(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def _name(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")


def _pages(rows: Iterable[tuple[object, ...]]) -> Iterator[list[tuple[object, ...]]]:
    rows = iter(rows)
    while page := list(islice(rows, _PAGE)):
        yield page


def _parsed(line: bytes) -> tuple[object, ...] | None:
    try:
        found = json.loads(line)
        failure = found["failure"]
        return (_key(found["file"]), found["size"], found["stamp"], found["settings"], found["sha256"],
                "" if failure is None else json.dumps(failure))  # fmt: skip
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _row(found: tuple[object, ...]) -> Row:
    name, size, stamp, kind, reason, was_size, was_stamp, settings, sha256, failure = found
    row = (_name(name), size, stamp)  # type: ignore[arg-type]
    if kind == "refused":
        return Row(*row, failure=Failure("file", str(reason)))  # type: ignore[arg-type]
    if (size, stamp) != (was_size, was_stamp):
        return Row(*row)  # type: ignore[arg-type]
    return Row(*row, settings, sha256, Failure(*json.loads(failure)) if failure else None)  # type: ignore[arg-type]

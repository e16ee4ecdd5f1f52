"""What was done, line by line: the only thing a batch needs to go on after it was killed."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from uuid import uuid4

from spotscan.batch.places import Folder, Url
from spotscan.errors import UsageError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows: two runs at once are not noticed there
    fcntl = None

_NAME = "journal"
JOURNAL = f"{_NAME}.jsonl"
_SYNC_S = 5.0  # what a power cut can cost; a killed process costs nothing
_PART_S, _PART_LINES = 60.0, 5_000  # an object cannot be appended to: a part is put after so long, or so many lines


class FileJournal:
    """A file that is appended to, and held against a second run.

    Raises
    ------
    UsageError
        Another run holds it.
    """

    def __init__(self, folder: Folder) -> None:
        self._path = Path(folder.path, JOURNAL)
        self._file = self._path.open("ab", buffering=0)
        if fcntl is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                self._file.close()
                raise UsageError("another run is writing there", ascii(folder.path)[1:-1], "wait for it") from error
            except OSError:  # a network's file system without locks
                pass
        self._synced = time.monotonic()
        self._torn = self._ends_torn()

    def _ends_torn(self) -> bool:
        with self._path.open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"

    def add(self, line: bytes) -> None:
        """Append one, without a newline."""
        line = (b"\n" if self._torn else b"") + line + b"\n"
        self._torn = self._file.write(line) < len(line)
        if self._torn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if time.monotonic() > self._synced + _SYNC_S:
            self.sync()

    def sync(self) -> None:
        """Have it on the disk."""
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        """Nothing of it is in memory any more."""
        self._file.close()


class ObjectJournal:
    """Parts in an object store, each put whole; what is not put yet is done again after a kill."""

    def __init__(self, store: Url) -> None:
        self._store = store
        self._prefix = f"{_NAME}/{time.time_ns():020d}-{uuid4().hex[:8]}"
        self._n, self._lines, self._since = 0, list[bytes](), time.monotonic()

    def add(self, line: bytes) -> None:
        """Append one, without a newline."""
        self._lines.append(line)
        if len(self._lines) >= _PART_LINES or time.monotonic() > self._since + _PART_S:
            self._put()

    def _put(self) -> None:
        if self._lines:
            self._store.write(f"{self._prefix}-{self._n:06d}.jsonl", b"\n".join(self._lines) + b"\n")
            self._n, self._lines = self._n + 1, []
        self._since = time.monotonic()

    def close(self) -> None:
        """Nothing of it is in memory any more."""
        self._put()


def open_journal(store: Folder | Url) -> FileJournal | ObjectJournal:
    """The journal of a store."""
    return FileJournal(store) if isinstance(store, Folder) else ObjectJournal(store)


def read_lines(store: Folder | Url) -> Iterator[bytes]:
    """The lines of earlier runs, oldest first; a run that was killed may have left one torn."""
    if isinstance(store, Folder):
        try:
            with Path(store.path, JOURNAL).open("rb") as file:
                yield from file
        except FileNotFoundError:
            return
    else:
        for name in sorted(store.names(_NAME)):
            yield from store.read(name).splitlines()

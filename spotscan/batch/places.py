"""Where photos come from and results go: a folder of this machine, or a URL of fsspec (``s3://`` and others).

Both are small frozen values, which travel to the workers.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec, Protocol, TypeVar

from spotscan.batch.listing import Entry, list_folder, list_url
from spotscan.errors import UsageError
from spotscan.export import whole_file

P = ParamSpec("P")
R = TypeVar("R")
_PARTS = ".parts"
SCANS, OVERLAYS = FOLDERS = ("scans", "overlays")  # of the results of single photos


class Source(Protocol):
    """A folder of photos."""

    def entries(self, *, recursive: bool, follow_links: bool, leave_out: object) -> Iterator[Entry]:
        """What lies in it, but for the place of the results."""

    def read(self, name: str, max_bytes: int) -> bytes:
        """At most so many bytes of a file; OSError where it cannot be read."""


class Store(Protocol):
    """A place for results; every file in it is whole."""

    def make(self) -> None:
        """Make it."""

    def clear(self) -> None:
        """Remove what a run that was killed left unfinished."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file."""

    def writing(self, name: str) -> Any:
        """Write a large file: a context that gives a file open for writing."""

    def read(self, name: str) -> bytes:
        """Read a file; FileNotFoundError where there is none."""

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""

    def remove(self, name: str) -> None:
        """Remove a file, if there is one."""

    def names(self, folder: str) -> Iterator[str]:
        """Files in a folder and in those below it."""


@dataclass(frozen=True)
class Folder:
    """A folder of this machine, as source or store."""

    path: str

    def __str__(self) -> str:
        return self.path

    def entries(self, *, recursive: bool, follow_links: bool, leave_out: object) -> Iterator[Entry]:
        """What lies in it, but for the place of the results."""
        omitted = Path(leave_out.path) if isinstance(leave_out, Folder) else None
        return list_folder(Path(self.path), recursive=recursive, follow_links=follow_links, leave_out=omitted)

    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        """The bytes of an ordinary file; never waits for a pipe that took its place."""
        number = os.open(Path(self.path, name), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(number, "rb") as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise OSError(22, "Not an ordinary file")
            return file.read() if max_bytes is None else file.read(max_bytes)

    def make(self) -> None:
        """Make it."""
        for name in (_PARTS, *FOLDERS):
            Path(self.path, name).mkdir(parents=True, exist_ok=True)

    def clear(self) -> None:
        """Remove what a run that was killed left unfinished."""
        for part in Path(self.path, _PARTS).iterdir():
            part.unlink(missing_ok=True)

    def write(self, name: str, content: bytes) -> None:
        """Write a file; of its folders only the last is made: a store that is gone stays gone."""
        with self.writing(name) as file:
            file.write(content)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Write a large file."""
        path = Path(self.path, name)
        with whole_file(path, Path(self.path, _PARTS)) as file:
            path.parent.mkdir(exist_ok=True)
            yield file

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return Path(self.path, name).is_file()

    def remove(self, name: str) -> None:
        """Remove a file, if there is one."""
        Path(self.path, name).unlink(missing_ok=True)

    def names(self, folder: str) -> Iterator[str]:
        """Files in a folder and in those below it, empty ones left out."""
        folders = [folder]
        while folders:
            below = folders.pop()
            try:
                with os.scandir(Path(self.path, below)) as items:
                    for item in items:
                        if item.is_dir(follow_symlinks=False):
                            folders.append(f"{below}/{item.name}")
                        else:
                            yield f"{below}/{item.name}"
            except FileNotFoundError:
                continue


def _plainly(method: Callable[P, R]) -> Callable[P, R]:
    """Whatever the library of an object store raises becomes an OSError."""

    @wraps(method)
    def plain(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except OSError:
            raise
        except Exception as error:
            raise OSError(f"{type(error).__name__}: {error}") from error

    return plain


@dataclass(frozen=True)
class Url:
    """A place that fsspec knows, as source or store. A file put there appears whole."""

    url: str

    def _open(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        files, path = url_to_fs(self.url)  # cached by fsspec
        return files, path.rstrip("/")

    def __str__(self) -> str:
        return self.url

    def entries(self, *, recursive: bool, follow_links: bool, leave_out: object) -> Iterator[Entry]:
        """What lies in it, but for the place of the results; there are no links."""
        omitted = leave_out._open()[1] if isinstance(leave_out, Url) else None
        return list_url(*self._open(), recursive=recursive, leave_out=omitted)

    @_plainly
    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        """The bytes of an object."""
        files, path = self._open()
        return bytes(files.cat_file(f"{path}/{name}", start=None if max_bytes is None else 0, end=max_bytes))

    def make(self) -> None:
        """Nothing: a bucket must exist, and folders are no things there."""

    def clear(self) -> None:
        """Nothing: what is not whole is not there."""

    @_plainly
    def write(self, name: str, content: bytes) -> None:
        """Put an object."""
        files, path = self._open()
        files.pipe_file(f"{path}/{name}", content)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Put a large object, from a temporary file."""
        with tempfile.TemporaryDirectory(prefix="spotscan-") as folder:
            part = Path(folder, "part")
            with part.open("wb") as file:
                yield file
            self._put(part, name)

    @_plainly
    def _put(self, part: Path, name: str) -> None:
        files, path = self._open()
        files.put_file(str(part), f"{path}/{name}")

    @_plainly
    def exists(self, name: str) -> bool:
        """Whether there is such an object."""
        files, path = self._open()
        return bool(files.exists(f"{path}/{name}"))

    @_plainly
    def remove(self, name: str) -> None:
        """Remove an object, if there is one."""
        files, path = self._open()
        try:
            files.rm_file(f"{path}/{name}")
        except FileNotFoundError:
            return

    def names(self, folder: str) -> Iterator[str]:
        """Objects below a folder, one of its sub-folders at a time."""
        files, path = self._open()
        files.invalidate_cache()
        walk = files.walk(f"{path}/{folder}")
        while (found := self._next(walk)) is not None:
            below = found[0][len(path) + 1 :].rstrip("/")
            yield from (f"{below}/{name}" for name in found[2] if name)

    @_plainly
    def _next(self, walk: Iterator[tuple[str, Any, Any]]) -> tuple[str, Any, Any] | None:
        return next(walk, None)


def is_url(place: str) -> bool:
    """Whether a place is for fsspec, not a folder of this machine."""
    return "://" in place


def place_of(place: str) -> Folder | Url:
    """The folder or URL that somebody named.

    Raises
    ------
    UsageError
        fsspec does not know the URL, or what it needs for it is not installed.
    """
    if not is_url(place):
        return Folder(str(Path(place).absolute()))  # the workers may stand elsewhere
    try:
        from fsspec.core import url_to_fs

        url_to_fs(place)
    except (ImportError, ValueError, OSError) as error:
        raise UsageError(
            f"this URL cannot be used ({error})", ascii(place)[1:-1], "pip install 'spotscan[cluster]'"
        ) from error
    return Url(place)


def reason_of(error: OSError) -> str:
    """Why a file could not be read or written, in lower case, on one line."""
    text = error.strerror or str(error).partition("\n")[0] or type(error).__name__
    return text[:1].lower() + text[1:]

"""Files of a data set, in folders or still in the zip files in which they are published."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from spotscan.errors import InputError

# What operating systems leave behind in folders and zip files.
_LITTER = ("__MACOSX", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Entry:
    """A file, or a member of a zip file.

    Attributes
    ----------
    path : Path
        The file, or the zip file it lies in.
    inside : str
        Path below the data set's folder, with forward slashes; that of a member begins with its zip file's.
    n_bytes : int
        Size, unpacked.
    member : str
        Name inside the zip file; empty for an ordinary file.
    """

    path: Path
    inside: str
    n_bytes: int
    member: str = ""

    @property
    def stem(self) -> str:
        """Name without folder and ending."""
        return PurePosixPath(self.inside).stem

    @property
    def suffix(self) -> str:
        """Ending in lower case, with its dot."""
        return PurePosixPath(self.inside).suffix.lower()

    @property
    def folders(self) -> tuple[str, ...]:
        """Names of the folders (and zip files) above it, in lower case, outermost first."""
        return tuple(part.lower() for part in PurePosixPath(self.inside).parts[:-1])

    def read(self) -> bytes:
        """Its bytes; raises OSError, zipfile.BadZipFile and others where it is damaged."""
        return _archive(self.path).read(self.member) if self.member else self.path.read_bytes()


@lru_cache(maxsize=8)  # opening one reads the list of its ten thousand members
def _archive(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def list_files(folder: Path, *, what: str, todo: str) -> tuple[Entry, ...]:
    """Every file below a folder, zip files opened, sorted by path.

    Parameters
    ----------
    folder : Path
        A folder, or a zip file.
    what, todo : str
        Name of the data set and what to do where it is missing, for messages.

    Raises
    ------
    InputError
        Without the folder, with nothing in it, or with a zip file that is damaged.
    """
    if not folder.exists():
        raise InputError(f"the folder of {what} is missing", str(folder), todo)
    paths = [folder] if folder.is_file() else sorted(p for p in folder.rglob("*") if p.is_file())
    found: list[Entry] = []
    for path in paths:
        inside = path.name if path == folder else path.relative_to(folder).as_posix()
        if path.suffix.lower() == ".zip":
            found += _members(path, inside)
        else:
            found.append(Entry(path, inside, path.stat().st_size))
    found = [entry for entry in found if not _is_litter(entry)]
    if not found:
        raise InputError(f"the folder of {what} is empty", str(folder), todo)
    return tuple(sorted(found, key=lambda entry: entry.inside))


def _members(path: Path, inside: str) -> list[Entry]:
    try:
        infos = [info for info in _archive(path).infolist() if not info.is_dir()]
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError("this zip file is damaged", str(path), "download it again") from error
    prefix = inside.removesuffix(path.suffix)
    return [Entry(path, f"{prefix}/{info.filename}", info.file_size, info.filename) for info in infos]


def _is_litter(entry: Entry) -> bool:
    parts = PurePosixPath(entry.inside).parts
    return any(part in _LITTER or part.startswith(".") for part in parts)


def digest(entries: Iterable[Entry]) -> str:
    """SHA-256 over the names and sizes of files, sorted, and the bytes of tables (.csv, .tab and files without ending).

    Only base names count, so that a data set has one hash, unpacked or not. Photos are told by their sizes alone:
    reading gigabytes to start would tell little more.
    """
    total = hashlib.sha256()
    for entry in sorted(entries, key=lambda e: (PurePosixPath(e.inside).name, e.n_bytes)):
        total.update(f"{PurePosixPath(entry.inside).name}\t{entry.n_bytes}\n".encode())
        if entry.suffix in (".csv", ".tab", ""):
            total.update(entry.read())
    return total.hexdigest()


def read_table(entry: Entry, columns: tuple[str, ...], what: str) -> list[dict[str, str]]:
    """Rows of a table separated by commas or tabs; those that lack one of the columns' values are left out.

    Raises
    ------
    InputError
        If it is no text, or lacks a column.
    """
    try:
        text = entry.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"the table of {what} is no text in UTF-8", entry.inside, "download it again") from error
    reader = csv.DictReader(io.StringIO(text), delimiter="\t" if "\t" in text.partition("\n")[0] else ",")
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise InputError(f"the table of {what} has no column {', '.join(missing)}", entry.inside, "see data/README.md")
    return [row for row in reader if all(row[column] for column in columns)]

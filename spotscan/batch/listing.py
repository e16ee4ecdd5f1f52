"""What lies in the folder of photos: told by names and by what the system says of them, nothing is opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from spotscan.errors import InputError
from spotscan.photo import PhotoLimits

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".heic", ".heif", ".hif", ".bmp", ".gif")
)
MAX_BYTES = PhotoLimits().max_bytes


@dataclass(frozen=True)
class Entry:
    """One thing in the folder.

    Attributes
    ----------
    name : str
        Path below the folder, parts joined by ``/``; bytes that are not UTF-8 as lone surrogates.
    size : int
        Bytes.
    stamp : str
        Changes when the file is written: its time in ns, or an object's tag.
    kind : str
        ``photo``; ``refused``, which has a photo's name and is never opened; ``other``, which is left alone.
    reason : str
        Of the latter two.
    """

    name: str
    size: int = 0
    stamp: str = ""
    kind: Literal["photo", "refused", "other"] = "photo"
    reason: str = ""


def shown(name: str) -> str:
    """A file's name on one line, harmless on any screen and different for different names.

    What is not printable (control characters, turned writing, bytes that are not UTF-8) is escaped as in Python,
    and so is the backslash that escapes.
    """
    if name.isprintable() and "\\" not in name:
        return name
    escaped = (c if c.isprintable() and c != "\\" else c.encode("unicode_escape").decode("ascii") for c in name)
    return "".join(escaped)


def list_folder(
    root: Path, *, recursive: bool = False, follow_links: bool = False, leave_out: Path | None = None
) -> Iterator[Entry]:
    """What lies in a folder of this machine, one by one, in no order.

    Parameters
    ----------
    root : Path
        The folder.
    recursive : bool
        Its sub-folders, too.
    follow_links : bool
        Read photos that lie elsewhere and are linked to from the folder. Linked folders are never entered.
    leave_out : Path, optional
        A folder that is not entered: that of the results.

    Raises
    ------
    InputError
        The folder itself cannot be read.
    """
    base = os.path.realpath(root)
    omitted = None if leave_out is None else os.path.realpath(leave_out)
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(Path(base, folder)) as items:
                for item in items:
                    name = folder + item.name
                    if not item.is_dir(follow_symlinks=False):
                        yield _entry(item, name, base, follow_links)
                    elif item.name.startswith("."):
                        yield Entry(name + "/", kind="other", reason="hidden")
                    elif os.path.join(base, name) != omitted:  # noqa: PTH118  plain text: a Path costs as much as a stat
                        if recursive:
                            folders.append(name + "/")
                        else:
                            yield Entry(name + "/", kind="other", reason="a folder; --recursive looks into it")
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            if not folder:
                raise InputError(
                    f"the folder cannot be read ({reason})", shown(os.fspath(root)), "give a folder of photos"
                ) from error
            yield Entry(folder, kind="refused", reason=f"the folder cannot be read ({reason})")


def _entry(item: os.DirEntry[str], name: str, base: str, follow_links: bool) -> Entry:
    if (why := _no_photo(item.name)) is not None:
        return Entry(name, kind="other", reason=why)
    try:
        if item.is_symlink():
            target = os.path.realpath(item.path)
            if not follow_links and os.path.commonpath((base, target)) != base:
                return Entry(name, kind="refused", reason="a link out of the folder; --follow-links reads it")
        status = item.stat()
    except (OSError, ValueError) as error:  # a link to nothing, a loop of links; another drive on Windows
        reason = (getattr(error, "strerror", None) or "it leads nowhere").lower()
        return Entry(name, kind="refused", reason=f"the file cannot be read ({reason})")
    if not stat.S_ISREG(status.st_mode):  # a pipe or a device would never end
        return Entry(name, kind="refused", reason="not an ordinary file")
    return _photo(name, status.st_size, str(status.st_mtime_ns))


def _photo(name: str, size: int, stamp: str) -> Entry:
    if size > MAX_BYTES:  # nothing of it is fetched
        reason = f"the file is too large ({size / 1e6:.1f} MB where {MAX_BYTES / 1e6:g} MB is the limit)"
        return Entry(name, size, stamp, "refused", reason)
    return Entry(name, size, stamp)


def _no_photo(base_name: str) -> str | None:
    if base_name.startswith("."):  # macOS puts a ._IMG_1.jpg beside each photo on a foreign disk
        return "hidden"
    return None if os.path.splitext(base_name)[1].lower() in SUFFIXES else "not a photo by its name"  # noqa: PTH122


def list_url(files: Any, root: str, *, recursive: bool = False, leave_out: str | None = None) -> Iterator[Entry]:
    """What lies below a URL's path, folder by folder, through an fsspec file system; the rest as `list_folder`.

    Raises
    ------
    InputError
        It cannot be listed.
    """
    files.invalidate_cache()
    prefix = root.rstrip("/") + "/"
    try:
        for folder, inner, found in files.walk(root, maxdepth=None if recursive else 1, detail=True, on_error="raise"):
            below = (folder.rstrip("/") + "/")[len(prefix) :]
            for name in [name for name in inner if f"{prefix}{below}{name}" == leave_out]:
                del inner[name]  # the walk does not enter it
            if not recursive:
                for name in inner:
                    yield Entry(f"{below}{name}/", kind="other", reason="a folder; --recursive looks into it")
            for name, info in found.items():
                if not name:  # the marker of an empty folder in an object store
                    continue
                hidden = any(part.startswith(".") for part in (below + name).split("/"))
                why = "hidden" if hidden else _no_photo(name)
                if why is not None:
                    yield Entry(below + name, kind="other", reason=why)
                else:
                    yield _photo(below + name, int(info.get("size") or 0), _stamp(info))
    except Exception as error:  # each store's library has its own
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(
            f"the folder cannot be listed ({shown(reason)})", shown(root), "check the URL and your rights"
        ) from error


def _stamp(info: dict[str, Any]) -> str:
    names = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created")
    return next((str(info[name]) for name in names if info.get(name)), "")

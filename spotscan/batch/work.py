"""One photo, from its bytes to its files: what the workers do.

What is wrong with a photo is a result like another. Only where results cannot be written there is no use in
going on: the outcome then says so.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
from dataclasses import dataclass, replace
from typing import Literal

from spotscan._version import __version__
from spotscan.batch.listing import MAX_BYTES
from spotscan.batch.places import OVERLAYS, SCANS, Source, Store, reason_of
from spotscan.batch.settings import PhotoSettings
from spotscan.errors import InputError, ReferenceNotFoundError, SpotScanError
from spotscan.export import json_bytes, overlay_png, safe_stem, scan_to_dict

_THUMBNAIL_PX = 200


@dataclass(frozen=True)
class Failure:
    """Why there is no result for a photo.

    Attributes
    ----------
    kind : str
        See `KINDS`.
    reason, todo : str
        What was wrong, and what the person can do.
    """

    kind: str
    reason: str
    todo: str = ""


KINDS = {
    "file": "the file could not be read, or is none that may be opened",
    "photo": "not a photo, truncated, too large or too small",
    "reference": "the reference that was asked for is not in the photo",
    "memory": "there was not enough memory for it",
    "time": "it took longer than the time limit",
    "worker": "the process that worked on it died",
    "fault": "a fault of SpotScan: please report it",
}


@dataclass(frozen=True)
class Task:
    """Something to do with one photo.

    Attributes
    ----------
    what : str
        ``scan`` it; ``hash`` it; ``copy`` the result of `twin`, which has the same content; draw a ``thumbnail``.
    name : str
        The photo, below its source.
    settings : PhotoSettings
        Of this photo.
    source, store : Source, Store
        Where the photo is, and where its results go.
    twin, sha256 : str
        The photo with the same content, and the hash of that.
    version : str
        Of the SpotScan that asks; a worker of another one does nothing.
    """

    what: Literal["scan", "hash", "copy", "thumbnail"]
    name: str
    settings: PhotoSettings
    source: Source
    store: Store
    twin: str = ""
    sha256: str = ""
    version: str = __version__


@dataclass(frozen=True)
class Outcome:
    """What came of a task; small, for it travels.

    Attributes
    ----------
    sha256 : str
        Of the content; empty where it could not be read.
    failure : Failure or None
        Why there is no result.
    fatal : str
        Why there is no use in going on.
    scanned : bool
        False where the result is a copy.
    data_url : str
        The thumbnail.
    """

    sha256: str = ""
    failure: Failure | None = None
    fatal: str = ""
    scanned: bool = False
    data_url: str = ""


def key_of(name: str) -> str:
    """Sixteen hex digits that differ for different names."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def path_of(name: str, folder: str = SCANS) -> str:
    """Where the result of a photo lies in the store: different names have different places.

    ``scans/<2 hex>/<safe stem>-<16 hex>.scan.json``; a folder holds at most a 256th of the results.
    """
    key = key_of(name)
    stem = safe_stem(os.path.splitext(name.rpartition("/")[2])[0])  # noqa: PTH122  no Path: the name may be an object's
    suffix = "scan.json" if folder == SCANS else "overlay.png"
    return f"{folder}/{key[:2]}/{stem}-{key}.{suffix}"


def prepare() -> None:
    """Make a process a worker: load what a scan needs, one thread, nothing printed by decoders."""
    import cv2

    import spotscan.pipeline
    import spotscan.rules  # noqa: F401

    cv2.setNumThreads(1)
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what is wrong with a photo is said once, by us


def do(task: Task) -> Outcome:
    """Do a task; nothing about a photo makes it raise."""
    if task.version != __version__:
        return Outcome(fatal=f"a worker has SpotScan {__version__}, not {task.version}")
    try:
        return {"scan": _scan, "hash": _hash, "copy": _copy, "thumbnail": _thumbnail}[task.what](task)
    except MemoryError:
        return Outcome(failure=Failure("memory", KINDS["memory"], "use fewer workers"))
    except Exception as error:  # one photo must not stop the others
        text = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
        return Outcome(failure=Failure("fault", f"a fault of SpotScan ({text})", "please report it"))


def _read(task: Task) -> bytes | Failure:
    try:
        return task.source.read(task.name, MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that the system does not take
        reason = reason_of(error) if isinstance(error, OSError) else "not a file name"
        return Failure("file", f"the file cannot be read ({reason})", "check its name and permissions")


def _hash(task: Task) -> Outcome:
    data = _read(task)
    return _failed(task, data) if isinstance(data, Failure) else Outcome(hashlib.sha256(data).hexdigest())


def _scan(task: Task) -> Outcome:
    from spotscan.pipeline import scan

    data = _read(task)
    if isinstance(data, Failure):
        return _failed(task, data)
    asked = task.settings
    answers = None if asked.answers is None else json.loads(asked.answers)
    try:
        result = scan(data, asked.reference, answers, emergency_number=asked.emergency_number)
    except InputError as error:
        kind = "reference" if isinstance(error, ReferenceNotFoundError) else "photo"
        return _failed(task, Failure(kind, error.what, error.todo), hashlib.sha256(data).hexdigest())
    except SpotScanError as error:  # a reference that this photo cannot have
        return _failed(task, Failure("reference", str(error)))
    base_name = task.name.rpartition("/")[2].encode("utf-8", "backslashreplace").decode()
    result = replace(result, photo=replace(result.photo, file=base_name))
    files = {path_of(task.name): json_bytes(scan_to_dict(result))}
    if asked.overlays:
        files[path_of(task.name, OVERLAYS)] = overlay_png(result)
    return _written(task, files, Outcome(result.photo.sha256, scanned=True))


def _copy(task: Task) -> Outcome:
    """The result of the photo with the same content and settings, under this photo's name."""
    try:
        document = json.loads(task.store.read(path_of(task.twin)))
        if document["photo"]["sha256"] != task.sha256:
            return _scan(task)
        document["photo"]["file"] = task.name.rpartition("/")[2].encode("utf-8", "backslashreplace").decode()
        files = {path_of(task.name): json_bytes(document)}
        if task.settings.overlays:
            files[path_of(task.name, OVERLAYS)] = task.store.read(path_of(task.twin, OVERLAYS))
    except (OSError, ValueError, LookupError, TypeError):  # it is gone, or somebody changed it
        return _scan(task)
    return _written(task, files, Outcome(task.sha256))


def _written(task: Task, files: dict[str, bytes], outcome: Outcome) -> Outcome:
    try:
        for name, content in reversed(files.items()):  # the JSON last: where it is, all is
            task.store.write(name, content)
    except OSError as error:
        return Outcome(fatal=f"cannot write ({reason_of(error)})")
    return outcome


def _failed(task: Task, failure: Failure, sha256: str = "") -> Outcome:
    """No result of an earlier content of the file stays."""
    try:
        for folder in (SCANS, OVERLAYS):
            task.store.remove(path_of(task.name, folder))
    except OSError as error:
        return Outcome(fatal=f"cannot write ({reason_of(error)})")
    return Outcome(sha256, failure)


def _thumbnail(task: Task) -> Outcome:
    """A small JPEG of pixels only, for the summary."""
    import cv2

    from spotscan.photo import read_photo

    data = _read(task)
    if isinstance(data, Failure):
        return Outcome(failure=data)
    rgb = read_photo(data).rgb
    factor = min(1.0, _THUMBNAIL_PX / max(rgb.shape[:2]))
    small = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    jpeg = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return Outcome(data_url="data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode())

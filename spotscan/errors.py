"""Everything that can go wrong for a reason the person can act on.

The tree, and the exit code the command line gives each branch::

    SpotScanError
    ├── UsageError              2  the call itself is wrong (an unknown reference, a bad option)
    └── InputError              3  the input cannot be used
        ├── PhotoError             not a photo, truncated, too large
        ├── ReferenceNotFoundError      the reference asked for is not in the photo
        └── AnswersError           the answers cannot be read

Any other exception is a fault of ours (exit code 1).
"""

from __future__ import annotations

from typing import Any


class SpotScanError(Exception):
    """Base of every error a caller may want to catch.

    Parameters
    ----------
    what : str
        What was wrong, in plain words.
    where : str, optional
        The file, option or value concerned.
    todo : str, optional
        What the person can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, where: str = "", todo: str = "") -> None:
        self.what, self.where, self.todo = what, where, todo
        super().__init__(", ".join(part for part in (what, where, todo) if part))


class UsageError(SpotScanError):
    """The call itself is wrong."""

    exit_code = 2


class InputError(SpotScanError):
    """The input cannot be used."""

    exit_code = 3


class PhotoError(InputError):
    """The file is not a photo that can be read."""


class ReferenceNotFoundError(InputError):
    """A reference was asked for by name and is not in the photo, or several things could be it.

    Parameters
    ----------
    what, where, todo : str
        As in `SpotScanError`.
    candidates : tuple of (K, 2) arrays
        Outlines of the things that could be it, px of the upright photo.
    """

    def __init__(self, what: str, where: str = "", todo: str = "", candidates: tuple[Any, ...] = ()) -> None:
        super().__init__(what, where, todo)
        self.candidates = candidates


class AnswersError(InputError):
    """The answers cannot be read."""


def cannot_write(error: OSError, target: str) -> UsageError:
    """What to say where a file cannot be written."""
    return UsageError(
        f"cannot write ({error.strerror or 'unknown reason'})", ascii(target)[1:-1], "choose another place"
    )

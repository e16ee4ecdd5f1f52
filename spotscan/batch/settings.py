"""What a batch is asked to do, for all photos and for single ones."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from spotscan._version import __version__
from spotscan.batch.listing import shown
from spotscan.errors import AnswersError, SpotScanError, UsageError
from spotscan.references import parse_reference
from spotscan.rules.reading import read_answers_table
from spotscan.weights import NAME, PINNED

SCHEMA = "spotscan/batch/1"
_LARGEST_TABLE = 500_000_000  # bytes; a million rows of a name and a reference have 100 MB


@dataclass(frozen=True)
class PhotoSettings:
    """What concerns one photo: with its content, the key of its result.

    Attributes
    ----------
    reference : str
        What gives the scale.
    answers : str or None
        JSON of the answers for the triage; None for no triage.
    overlays : bool
        Write the overlay picture, too.
    emergency_number : str or None
        What the triage tells to call.
    rules_version : str or None
        Of the rules that judge the answers; None for no triage.
    """

    reference: str = "auto"
    answers: str | None = None
    overlays: bool = False
    emergency_number: str | None = None
    rules_version: str | None = None

    @property
    def digest(self) -> str:
        """Sixteen hex digits that differ where anything differs that could change the result."""
        return _digest(self)


@lru_cache(maxsize=64)  # nearly all photos of a batch have the same
def _digest(settings: PhotoSettings) -> str:
    text = json.dumps([__version__, PINNED[NAME], *vars(settings).values()])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Settings:
    """What a batch is asked to do.

    Attributes
    ----------
    reference : str
        For every photo that `references` does not name.
    references : Mapping
        File -> reference.
    answers : Mapping or None
        File -> answers; photos it does not name get no triage.
    overlays : bool
        Write overlay pictures.
    emergency_number : str or None
        What the triage tells to call.
    """

    reference: str = "auto"
    references: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, Mapping[Any, Any]] | None = None
    overlays: bool = False
    emergency_number: str | None = None

    def __post_init__(self) -> None:
        """Refuse references that do not exist before anything is done."""
        parse_reference(self.reference)
        for file, reference in self.references.items():
            try:
                parse_reference(reference)
            except SpotScanError as error:
                raise UsageError(error.what, f"{error.where} for {shown(file)}", error.todo) from error

    def of(self, name: str) -> PhotoSettings:
        """What concerns one photo."""
        answers = None if self.answers is None else self.answers.get(name)
        judged = None if answers is None else json.dumps(answers, sort_keys=True, default=str)
        return PhotoSettings(
            self.references.get(name, self.reference),
            judged,
            self.overlays,
            None if judged is None else self.emergency_number,
            None if judged is None else _rules_version(),
        )

    def manifest(self) -> dict[str, Any]:
        """What must be the same whenever a batch goes on; what concerns single photos may change."""
        return {
            "schema": SCHEMA,
            "spotscan": __version__,
            "weights": PINNED[NAME],
            "reference": self.reference,
            "overlays": self.overlays,
            "emergency_number": self.emergency_number,
            "rules_version": None if self.answers is None else _rules_version(),
        }


@lru_cache(maxsize=1)
def _rules_version() -> str:
    from spotscan.rules.loading import rulebook

    return rulebook().version


def check_manifest(found: bytes, settings: Settings) -> None:
    """Refuse a folder that was written with other settings or by another version.

    Raises
    ------
    UsageError
        With what differs.
    """
    todo = "use another folder, or the same settings"
    try:
        before = json.loads(found)
        if not isinstance(before, dict) or before.get("schema") != SCHEMA:
            raise ValueError
    except ValueError as error:
        raise UsageError("the output folder's batch.json is no manifest of a batch", "--out", todo) from error
    for name, value in settings.manifest().items():
        if before.get(name) != value:
            was = f"{name} was {before.get(name)!a} and is now {value!a}"
            raise UsageError(f"the output folder holds a batch of other settings ({was})", "--out", todo)


def read_references(path: str) -> dict[str, str]:
    """File -> reference, from a CSV with the columns ``file`` and ``reference``.

    Raises
    ------
    UsageError
        It cannot be read, lacks a column or names a file twice.
    """
    rows = _rows(path, "references")
    table: dict[str, str] = {}
    for line, row in enumerate(rows, start=2):
        file, reference = row.get("file"), row.get("reference")
        if not file or not reference:
            raise UsageError("a row of the references lacks its file or its reference", f"{_where(path)}:{line}", "")
        if file in table:
            raise UsageError(f"{shown(file)} is named twice", f"{_where(path)}:{line}", "leave one row")
        table[file] = reference
    return table


def read_answers(path: str) -> dict[str, Mapping[Any, Any]]:
    """File -> answers, from a CSV (``file`` and a column a question; lists joined by ``;``) or a YAML mapping.

    Raises
    ------
    UsageError
        The CSV lacks its column ``file`` or names a file twice.
    AnswersError
        The YAML cannot be read.
    """
    if not path.lower().endswith(".csv"):
        table = read_answers_table(path)
        wrong = next((file for file, answers in table.items() if not isinstance(answers, Mapping)), None)
        if wrong is not None:
            raise AnswersError(
                f"the answers for {str(wrong)[:80]!a} are no mapping", _where(path), "write one key: value a line"
            )
        return {str(file): answers for file, answers in table.items()}
    table = {}
    for line, row in enumerate(_rows(path, "answers"), start=2):
        file = row.pop("file", None)
        if not file:
            raise UsageError("a row of the answers lacks its file", f"{_where(path)}:{line}", "")
        if file in table:
            raise UsageError(f"{shown(file)} is named twice", f"{_where(path)}:{line}", "leave one row")
        table[file] = {key: _cell(key, text) for key, text in row.items() if key and text}
    return table


def _cell(key: str, text: str) -> Any:
    return [part.strip() for part in text.split(";") if part.strip()] if key == "body_regions" else text


def _rows(path: str, what: str) -> list[dict[str, str]]:
    todo = "give a CSV in UTF-8 with a header"
    try:
        file = Path(path)
        if not file.is_file() or file.stat().st_size > _LARGEST_TABLE:
            raise OSError(2, "no such file" if not file.exists() else "not an ordinary file, or too large")
        text = file.read_bytes().decode("utf-8-sig", "surrogateescape")  # names of files need not be UTF-8
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"the {what} cannot be read ({reason})", _where(path), todo) from error
    if "file" not in (reader.fieldnames or ()):
        raise UsageError(f"the {what} have no column 'file'", _where(path), todo)
    return rows


def _where(path: str) -> str:
    return ascii(path)[1:-1]

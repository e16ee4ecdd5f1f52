"""The columns of the tables: name, type, meaning, and where in a scan's JSON each comes from.

The page of documents is written from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spotscan.batch.index import Row
from spotscan.batch.listing import shown
from spotscan.batch.work import KINDS, path_of
from spotscan.export import SPOT_COLUMNS, spot_row

Document = Mapping[str, Any]
Kind = Literal["text", "number", "count", "yes_no"]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    name : str
        With its unit.
    kind : str
        ``text``, ``number`` (float64), ``count`` (int64) or ``yes_no`` (bool).
    meaning : str
        For the documents.
    get : callable
        Of a photo and its document (None where it has none), the cell; None is empty.
    """

    name: str
    kind: Kind
    meaning: str
    get: Callable[[Row, Document | None], Any]


def _at(*path: str) -> Callable[[Row, Document | None], Any]:
    """What stands in the document at a path; None where something on the way is null."""

    def get(row: Row, document: Document | None) -> Any:
        value: Any = document
        for name in path:
            if value is None:
                return None
            value = value[name]
        return value

    return get


def _field(name: str, kind: Kind, meaning: str, *path: str) -> Column:
    return Column(name, kind, f"{meaning} (`{'.'.join(path)}`)", _at(*path))


def _flags(row: Row, document: Document | None) -> str | None:
    return None if document is None else ";".join(document["quality"]["flags"])


def _n_clusters(row: Row, document: Document | None) -> int | None:
    return None if document is None else len(document["density"]["clusters"])


def _failure(name: str) -> Callable[[Row, Document | None], Any]:
    return lambda row, document: None if row.failure is None else shown(getattr(row.failure, name))


_FILE = Column("file", "text", "the photo, below the folder, parts joined by `/`; what is not printable is escaped",
               lambda row, document: shown(row.name))  # fmt: skip

PHOTOS: tuple[Column, ...] = (
    _FILE,
    Column("status", "text", "`done` or `failed`; a failed photo has no numbers, and its reason is in `failures.csv`",
           lambda row, document: "done" if row.failure is None else "failed"),
    Column("scan", "text", "its JSON, below the output folder",
           lambda row, document: None if document is None else path_of(row.name)),
    Column("sha256", "text", "hash of the file's bytes: photos that have the same are the same (`photo.sha256`)",
           lambda row, document: row.sha256 or None),
    _field("width_px", "count", "width of the upright photo", "photo", "width_px"),
    _field("height_px", "count", "height of the upright photo", "photo", "height_px"),
    _field("taken_at", "text", "EXIF date, ISO 8601 without zone", "photo", "taken_at"),
    _field("reference", "text", "what gave the scale; empty: no scale, nothing in mm", "scale", "reference"),
    _field("px_per_mm", "number", "scale at the reference", "scale", "px_per_mm"),
    _field("px_per_mm_err", "number", "its error, 1 sigma", "scale", "px_per_mm_err"),
    _field("tilt_deg", "number", "tilt of the reference's plane", "scale", "tilt_deg"),
    _field("usable", "yes_no", "false: the photo's numbers mean nothing", "quality", "usable"),
    _field("image_quality", "text", "`good`, `poor` or `unusable`", "findings", "image_quality"),
    Column("flags", "text", "what is wrong with the photo, joined by `;`, see flags.md (`quality.flags`)", _flags),
    _field("skin_fraction", "number", "share of the photo that shows skin", "quality", "skin_fraction"),
    _field("sharpness", "number", "1 is sharp", "quality", "sharpness"),
    _field("ita_deg", "number", "individual typology angle of the skin", "quality", "ita_deg"),
    _field("smallest_mm", "number", "smallest mark that could have been seen", "quality", "smallest_mm"),
    _field("smallest_px", "number", "the same in pixels", "quality", "smallest_px"),
    _field("count", "count", "marks found", "findings", "count"),
    _field("median_diameter_mm", "number", "median of their diameters", "findings", "median_diameter_mm"),
    _field("max_diameter_mm", "number", "largest diameter", "findings", "max_diameter_mm"),
    _field("max_diameter_mm_err", "number", "its error, 1 sigma", "findings", "max_diameter_mm_err"),
    _field("density_per_cm2", "number", "marks per cm2 of visible skin", "findings", "density_per_cm2"),
    _field("skin_area_cm2", "number", "visible skin", "density", "skin_area_cm2"),
    Column("n_clusters", "count", "groups denser than chance (`density.clusters`)", _n_clusters),
    _field("clark_evans", "number", "mean distance to the next mark over that of chance", "density", "clark_evans"),
    _field("p_random", "number", "probability of such a pattern by chance", "density", "p_random"),
    *(_field(f"share_{name}", "number", f"mean probability of {name} over the marks", "findings", "class_mix", name)
      for name in ("spot", "angioma", "lesion")),
    _field("urgency", "text", "urgency by the triage, where answers were given", "triage", "urgency"),
)  # fmt: skip

FAILURES: tuple[Column, ...] = (
    _FILE,
    Column("kind", "text", "; ".join(f"`{kind}`: {meaning}" for kind, meaning in KINDS.items()), _failure("kind")),
    Column("reason", "text", "what was wrong", _failure("reason")),
    Column("todo", "text", "what can be done about it", _failure("todo")),
    Column("size_bytes", "count", "size of the file", lambda row, document: row.size),
)  # fmt: skip

_SPOT_TEXT = {"colour", "flags", "class"}
_SPOT_COUNT = {"id", "cluster"}
_SPOT_MEANING = {
    "bbox": "box of its boundary, see conventions.md (`spots[].bbox_px`)",
    "flags": "what is wrong with the mark, joined by `;` (`spots[].flags`)",
    "probability": "of the class, null without classes (`spots[].probabilities`)",
}


def _spot_column(name: str) -> Column:
    kind: Kind = "text" if name in _SPOT_TEXT else "count" if name in _SPOT_COUNT else "number"
    meaning = _SPOT_MEANING.get(name.partition("_")[0], f"`spots[].{name}`")
    return Column(name, kind, meaning, lambda row, spot: spot_row(spot or {})[name])


SPOTS: tuple[Column, ...] = (_FILE, *map(_spot_column, SPOT_COLUMNS))


def cells(columns: tuple[Column, ...], row: Row, document: Document | None) -> list[Any]:
    """The cells of a row."""
    return [column.get(row, document) for column in columns]


def spot_cells(row: Row, spot: Mapping[str, Any]) -> list[Any]:
    """The cells of a spot's row."""
    flat = spot_row(spot)
    return [shown(row.name), *(flat.get(name) for name in SPOT_COLUMNS)]

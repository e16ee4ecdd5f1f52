"""The scan as the contract's JSON, CSV and overlay picture; files appear whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import cv2
import numpy as np

from spotscan.findings import CLASSES, summarise
from spotscan.groups import ColourBy
from spotscan.overlay import draw_overlay
from spotscan.types import Density, FloatArray, Photo, RGBArray, Scale, Scan

SCHEMA = "spotscan/scan/1"

# Windows refuses these as file names whatever the suffix.
_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{i}" for port in ("COM", "LPT") for i in range(10))}
# Room for a suffix and the name beside which a file is written, within the 255 bytes of common file systems.
_STEM_BYTES = 160


def scan_to_dict(scan: Scan) -> dict[str, Any]:
    """The scan as the JSON document of schema ``spotscan/scan/1``, fields in the contract's order.

    Plain Python values; NaN becomes None. Rounded to what the photo can tell: positions to 0.01 px, sizes and
    densities to 4 significant digits, errors and p-values to 2, so that equal scans are equal text.
    """
    findings = summarise(scan.spots, scan.density, scan.quality, scan.classes)
    return {
        "schema": SCHEMA,
        "photo": _photo(scan.photo),
        "scale": None if scan.scale is None else _scale(scan.scale),
        "quality": _quality(scan),
        "spots": [_spot(scan, i) for i in range(len(scan.spots))],
        "density": _density(scan.density),
        "findings": _rounded(findings),
        "triage": scan.triage,
    }


def write_json(scan: Scan, path: Path) -> None:
    """Write the scan's JSON (UTF-8, no NaN) to `path`, whole or not at all."""
    _write(path, json_bytes(scan_to_dict(scan)))


def json_bytes(document: Mapping[str, Any]) -> bytes:
    """A scan's document as the bytes of its file: read and written again, they are the same."""
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_spots_csv(scan: Scan, path: Path) -> None:
    """Write one row per mark to `path`, as `spots_csv`, whole or not at all."""
    _write(path, spots_csv(scan))


def spots_csv(scan: Scan) -> bytes:
    """One row per mark (UTF-8, comma, header).

    Columns are the JSON's fields of a spot, ``bbox_px`` and ``probabilities`` one column each; unknown is
    empty, flags are joined by ``;``. Every text in it is from our own registries, none from the photo.
    """
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, SPOT_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(spot_row(_spot(scan, i)) for i in range(len(scan.spots)))
    return table.getvalue().encode()


def write_overlay(scan: Scan, path: Path) -> None:
    """Write the overlay picture as PNG, which holds pixels only and no metadata, whole or not at all."""
    _write(path, overlay_png(scan))


def overlay_png(scan: Scan, colour_by: ColourBy = "cluster") -> bytes:
    """The overlay picture as the bytes of a PNG, which holds pixels only and no metadata."""
    return png_bytes(draw_overlay(scan, colour_by))


def png_bytes(rgb: RGBArray) -> bytes:
    """A picture (h, w, 3) as the bytes of a PNG, which holds pixels only and no metadata."""
    done, png = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if not done:
        raise RuntimeError("OpenCV could not encode the picture as PNG")
    return png.tobytes()


def write_outputs(scan: Scan, out_dir: Path, stem: str) -> list[Path]:
    """Write ``<stem>.scan.json``, ``<stem>.spots.csv`` and ``<stem>.overlay.png``; the folder is made.

    Parameters
    ----------
    scan : Scan
        What to write.
    out_dir : Path
        Where to.
    stem : str
        Name of the photo without suffix; from a stranger's file, made safe by `safe_stem`.

    Returns
    -------
    list of Path
        The three files.
    """
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    writers = {"scan.json": write_json, "spots.csv": write_spots_csv, "overlay.png": write_overlay}
    paths = [out_dir / f"{safe_stem(stem)}.{suffix}" for suffix in writers]
    for path, write in zip(paths, writers.values(), strict=True):
        write(scan, path)
    return paths


def safe_stem(stem: str) -> str:
    """`stem` as a file name that any system takes and no shell or folder misreads.

    Usual names stay as they are. Path separators, control and invisible characters and those Windows
    forbids become ``_``, and so do a dash, dot, tilde or space at the start and a dot or space at the end;
    names of devices get a ``_`` before them; long names are cut at 160 bytes of UTF-8; of nothing is made
    ``photo``.
    """
    safe = "".join(
        "_" if c in '/\\:*?"<>|' or unicodedata.category(c)[0] == "C" or (c.isspace() and c != " ") else c
        for c in unicodedata.normalize("NFC", stem)
    )
    safe = safe.encode()[:_STEM_BYTES].decode(errors="ignore")
    if safe[:1] in ("-", ".", "~", " "):
        safe = "_" + safe[1:]
    if safe[-1:] in (".", " "):
        safe = safe[:-1] + "_"
    if safe.split(".")[0].strip().upper() in _RESERVED:
        safe = "_" + safe
    return safe or "photo"


def _photo(photo: Photo) -> dict[str, Any]:
    # A name that is not UTF-8 reaches Python with lone surrogates, which no JSON reader takes.
    file = photo.file and photo.file.encode(errors="replace").decode()
    return {
        "file": file,
        "sha256": photo.sha256,
        "width_px": photo.width_px,
        "height_px": photo.height_px,
        "taken_at": photo.taken_at,
    }


def _scale(scale: Scale) -> dict[str, Any]:
    return {
        "reference": scale.reference,
        "px_per_mm": _significant(scale.px_per_mm, 6),
        "px_per_mm_err": _significant(scale.px_per_mm_err, 2),
        "tilt_deg": _fixed(scale.tilt_deg, 1),
        "outline_px": _points(scale.outline_px),
        # Ten digits: the small terms of the last row act over thousands of pixels.
        "px_to_mm": [[_significant(v, 10) for v in row] for row in scale.px_to_mm],
    }


def _quality(scan: Scan) -> dict[str, Any]:
    quality = scan.quality
    flags = dict.fromkeys(quality.flags + (scan.scale.flags if scan.scale else ()))  # each once, in order
    return {
        "usable": bool(quality.usable),
        "flags": list(flags),
        "skin_fraction": _fixed(scan.skin.fraction, 3),
        "sharpness": _fixed(quality.sharpness, 3),
        "ita_deg": _fixed(scan.skin.ita_deg, 1),
        "smallest_mm": _significant(quality.smallest_mm, 3),
        "smallest_px": _significant(quality.smallest_px, 3),
        "blur_px": _significant(quality.blur_px, 3),
        "n_no_marks": scan.n_no_marks,
    }


def _spot(scan: Scan, i: int) -> dict[str, Any]:
    spots, cluster = scan.spots, int(scan.density.membership[i])
    judged: Mapping[str, Any] = scan.classes[i] if scan.classes is not None else {}
    probabilities = judged.get("probabilities")
    return {
        "id": spots.ids[i],
        "cx_px": _fixed(spots.centre_px[i, 0], 2),
        "cy_px": _fixed(spots.centre_px[i, 1], 2),
        "bbox_px": [_fixed(v, 2) for v in spots.bbox_px[i]],
        "diameter_px": _significant(spots.diameter_px[i], 4),
        "diameter_mm": _significant(spots.diameter_mm[i], 4),
        "diameter_mm_err": _significant(spots.diameter_mm_err[i], 2),
        "longest_mm": _significant(spots.longest_mm[i], 4),
        "area_mm2": _significant(spots.area_mm2[i], 4),
        "circularity": _fixed(spots.circularity[i], 3),
        "colour": spots.colour[i],
        "contrast": _significant(spots.contrast[i], 3),
        "cluster": cluster or None,
        "flags": list(spots.flags[i]),
        "class": judged.get("class"),
        "probabilities": probabilities and {name: _fixed(probabilities[name], 4) for name in CLASSES},
    }


SPOT_COLUMNS = (
    *("id", "cx_px", "cy_px", "bbox_x_px", "bbox_y_px", "bbox_w_px", "bbox_h_px"),
    *("diameter_px", "diameter_mm", "diameter_mm_err", "longest_mm", "area_mm2", "circularity"),
    *("colour", "contrast", "cluster", "flags", "class"),
    *(f"probability_{name}" for name in CLASSES),
)


def spot_row(spot: Mapping[str, Any]) -> dict[str, Any]:
    """One of the JSON's spots as a row of `SPOT_COLUMNS`; None is an empty cell."""
    plain = {name: value for name, value in spot.items() if name not in ("bbox_px", "probabilities")}
    return {
        **{f"bbox_{side}_px": v for side, v in zip("xywh", spot["bbox_px"], strict=True)},
        **plain,
        "flags": ";".join(spot["flags"]),
        **{f"probability_{name}": v for name, v in (spot["probabilities"] or {}).items()},
    }


def _density(density: Density) -> dict[str, Any]:
    return {
        "skin_area_cm2": _significant(density.skin_area_cm2, 4),
        "spots_per_cm2": _significant(density.spots_per_cm2, 4),
        "clusters": [
            {
                "id": cluster.id,
                "n": cluster.n,
                "spots_per_cm2": _significant(cluster.spots_per_cm2, 4),
                "hull_px": _points(cluster.hull_px),
            }
            for cluster in density.clusters
        ],
        "clark_evans": _significant(density.clark_evans, 4),
        "p_random": _significant(density.p_random, 2),
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(v) for name, v in value.items()}
    return _significant(value, 4) if isinstance(value, float) else value


def _fixed(value: float | None, digits: int) -> float | None:
    if value is None or not np.isfinite(value):
        return None
    return round(float(value), digits) + 0.0  # no negative zero


def _significant(value: float | None, digits: int) -> float | None:
    if value is None or not np.isfinite(value):
        return None
    return float(f"{float(value):.{digits}g}") + 0.0


def _points(xy: FloatArray) -> list[list[float | None]]:
    return [[_fixed(v, 2) for v in point] for point in xy]


@contextmanager
def whole_file(path: Path, parts: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file that takes its place at `path` once it is whole, and never does where something goes wrong.

    It is on the disk before it is moved, so that a power cut leaves the old file or the new one.

    Parameters
    ----------
    path : Path
        Where it goes; its folder must exist.
    parts : Path, optional
        Folder for what is not whole yet, on the same file system; beside `path` by default.
    """
    part = (parts or Path(path).parent) / f".{uuid4().hex}.part"  # a move within one file system is atomic
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    with whole_file(Path(path)) as file:
        file.write(content)

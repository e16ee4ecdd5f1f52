"""Marks that a person has boxed: read, classified, explained, without a scan."""

from __future__ import annotations

import csv
import io
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from spotscan.classes import classify_marks
from spotscan.crops import in_boxes
from spotscan.errors import InputError, UsageError
from spotscan.photo import read_photo
from spotscan.types import FloatArray, RGBArray

if TYPE_CHECKING:
    from spotscan.occlusion import Saliency

_COLUMNS = ("x", "y", "w", "h")
_LARGEST = 2.0  # longer sides of the photo: a mark that the photo cuts may reach beyond it
_TODO = "give a CSV file with the header x,y,w,h"
_SMALLEST_PX = 2.0  # a box narrower than this holds nothing to be seen


def classify(photo: str | os.PathLike[str] | bytes | RGBArray, boxes: ArrayLike) -> list[dict[str, Any]]:
    """Classify the marks in boxes drawn by hand.

    Parameters
    ----------
    photo : path, bytes or (H, W, 3) uint8 array
        The photo, turned upright by its EXIF orientation.
    boxes : (N, 4)
        x, y, w, h in px of the upright photo: the rectangle around each mark.

    Returns
    -------
    list of N dicts
        ``class`` (spot, angioma, lesion or unsure) and ``probabilities`` over the three, which sum to 1.

    Raises
    ------
    UsageError
        The boxes are not N rows of four finite numbers.
    PhotoError
        The photo cannot be read.
    InputError
        A box lies outside the photo, or is too small to hold a mark; or the weights are missing or altered.
    """
    table = _table(boxes)
    picture = read_photo(photo)
    centre, diameter = _marks(table, picture.width_px, picture.height_px)
    return list(classify_marks(picture.rgb, centre, diameter).to_dicts())


def saliency(photo: str | os.PathLike[str] | bytes | RGBArray, box: ArrayLike) -> Saliency:
    """Which part of a boxed mark's picture its class rests on; arguments and errors as in `classify`."""
    from spotscan.occlusion import mark_saliency

    table = _table(box)
    picture = read_photo(photo)
    centre, diameter = _marks(table[:1], picture.width_px, picture.height_px)
    return mark_saliency(picture.rgb, centre[0], float(diameter[0]))


def read_boxes(path: str | os.PathLike[str]) -> FloatArray:
    """Boxes (N, 4) of a CSV file with the header x,y,w,h; further columns are ignored.

    Raises
    ------
    InputError
        The file cannot be read, lacks a column, or a row is not four numbers.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        what = f"the boxes cannot be read ({error.strerror or 'unknown reason'})"
        raise InputError(what, ascii(os.fspath(path))[1:-1], _TODO) from error
    except UnicodeDecodeError as error:
        raise InputError("the boxes are not text", os.fspath(path), _TODO) from error
    rows = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        names = [name.strip().lower() for name in rows.fieldnames or ()]
        rows.fieldnames = names
        missing = [name for name in _COLUMNS if names.count(name) != 1]
        if missing:
            raise InputError(f"the boxes lack the column {', '.join(missing)}, or have it twice", os.fspath(path),
                             _TODO)  # fmt: skip
        found = [[_number(row[name], os.fspath(path), rows.line_num) for name in _COLUMNS] for row in rows]
    except csv.Error as error:
        raise InputError(f"the boxes are not CSV ({error})", os.fspath(path), "save them as plain CSV") from error
    return np.array(found, float).reshape(-1, 4)


def _number(cell: str | None, path: str, line: int) -> float:
    try:
        value = float(cell or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{cell!a} is not a number", f"{path}, line {line}", "give x,y,w,h in px in every row")
    return value


def _table(boxes: ArrayLike) -> FloatArray:
    try:
        table = np.asarray(boxes, float)
    except (TypeError, ValueError) as error:
        raise UsageError("boxes must be numbers", "", "give rows of x, y, w, h in px") from error
    table = table.reshape(-1, 4) if table.size == 0 or table.shape == (4,) else table
    if table.ndim != 2 or table.shape[1] != 4 or not np.isfinite(table).all():
        raise UsageError("boxes must be N rows of four finite numbers", f"shape {table.shape}", "x, y, w, h in px")
    return table


def _marks(boxes: FloatArray, width: int, height: int) -> tuple[FloatArray, FloatArray]:
    """Centres (N, 2) and area-equivalent diameters (N,) of what the boxes hold, or an error that names one."""
    size = boxes[:, 2:]
    _refuse((size < _SMALLEST_PX).any(axis=1), "is smaller than 2 px", boxes, width, height)
    _refuse((size > _LARGEST * max(width, height)).any(axis=1), "is larger than the photo", boxes, width, height)
    centre, diameter = in_boxes(boxes)
    outside = (centre < -0.5).any(axis=1) | (centre > [width - 0.5, height - 0.5]).any(axis=1)
    _refuse(outside, "lies outside the photo", boxes, width, height)
    return centre, diameter


def _refuse(bad: ArrayLike, what: str, boxes: FloatArray, width: int, height: int) -> None:
    rows = np.flatnonzero(bad)
    if len(rows):
        row = int(rows[0])
        raise InputError(f"box {row + 1} {what}", f"{boxes[row].tolist()} in {width} x {height} px",
                         "give x, y, w, h in px of the photo turned upright")  # fmt: skip

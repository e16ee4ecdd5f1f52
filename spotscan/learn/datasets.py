"""Readers of what users can get: PAD-UFES-20, HAM10000, and a plain folder per class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spotscan.errors import InputError
from spotscan.learn.files import Entry, digest, list_files, read_table
from spotscan.learn.prepared import OUTPUTS
from spotscan.learn.sources import Record, Source

_PHOTOS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".heic", ".bmp")
_DATA_PAGE = "data/README.md says how to get it"


def pad_ufes_20(folder: Path | str, *, long_side_px: int = 400, draw_masks: bool = True) -> Source:
    """PAD-UFES-20 (Pacheco et al. 2020): phone photos of six kinds of lesions.

    Parameters
    ----------
    folder : path
        As published (`metadata.csv`, photos in `imgs_part_1` to `_3`, as folders or zip files, at any depth), or
        crops with masks (`images`, `masks`, `metadata.csv`).
    long_side_px : int, optional
        Photos are brought down to it. At 400 px a lesion is about 100 px wide, more than a phone photo of a body
        region shows of it.
    draw_masks : bool, optional
        Whether photos without a mask get a simple one.

    Raises
    ------
    InputError
        Without the folder, the table, its columns, a known diagnosis, or any photo.
    """
    what = "PAD-UFES-20"
    files = list_files(Path(folder), what=what, todo=_DATA_PAGE)
    table = _find(files, ("metadata.csv",), what, folder)
    rows = read_table(table, ("patient_id", "lesion_id", "diagnostic", "img_id"), what)
    lesion = OUTPUTS.index("lesion")
    diagnoses = dict.fromkeys(("BCC", "SCC", "BOD", "ACK", "SEK", "MEL", "NEV"), lesion)
    # Numbers of lesions are used again for other patients: only the patient is a group.
    keys = [(Path(row["img_id"]).stem, row["diagnostic"], f"pad:{row['patient_id']}") for row in rows]
    return _source("pad_ufes_20", what, folder, files, table, keys, diagnoses, {"": 2298}, long_side_px, draw_masks)


def ham10000(folder: Path | str, *, long_side_px: int = 300, draw_masks: bool = True) -> Source:
    """HAM10000 (Tschandl et al. 2018): dermoscopic images of seven kinds of lesions; `vasc` is the class angioma.

    Parameters
    ----------
    folder : path
        As published (`HAM10000_metadata`, with or without ending, `HAM10000_images_part_1` and `_2`,
        `HAM10000_segmentations_lesion_tschandl`, as folders or zip files), or smaller images with masks (`images`,
        `masks`, `metadata.csv`). Of two files of one image the larger is taken.
    long_side_px : int, optional
        Images are brought down to it. At 300 px a lesion is about 130 px wide, twice what is needed.
    draw_masks : bool, optional
        Whether images without a mask get a simple one.

    Raises
    ------
    InputError
        As `pad_ufes_20`.
    """
    what = "HAM10000"
    files = list_files(Path(folder), what=what, todo=_DATA_PAGE)
    names = ("HAM10000_metadata", "HAM10000_metadata.csv", "HAM10000_metadata.tab", "metadata.csv")
    table = _find(files, names, what, folder)
    rows = read_table(table, ("lesion_id", "image_id", "dx"), what)
    diagnoses = dict.fromkeys(("akiec", "bcc", "bkl", "df", "mel", "nv"), OUTPUTS.index("lesion"))
    diagnoses["vasc"] = OUTPUTS.index("angioma")
    keys = [(row["image_id"], row["dx"], f"ham:{row['lesion_id']}") for row in rows]
    published = {"": 10015, "vasc": 142}
    return _source("ham10000", what, folder, files, table, keys, diagnoses, published, long_side_px, draw_masks)


def _source(
    name: str,
    what: str,
    folder: Path | str,
    files: tuple[Entry, ...],
    table: Entry,
    keys: list[tuple[str, str, str]],
    diagnoses: Mapping[str, int],
    published: Mapping[str, int],
    long_side_px: int,
    draw_masks: bool,
) -> Source:
    """Join the table's (stem, diagnosis, group) with the photos and masks."""
    unknown = sorted({diagnosis for _, diagnosis, _ in keys} - set(diagnoses))
    if unknown:
        known = ", ".join(diagnoses)
        raise InputError(f"{what} has a diagnosis {unknown[0]!r}", table.inside, f"known are {known}")
    photos, masks = _by_stem(files)
    records = tuple(
        Record(photos[stem], masks.get(stem), diagnoses[diagnosis], group, diagnosis)
        for stem, diagnosis, group in sorted(set(keys))
        if stem in photos
    )
    if not records:
        raise InputError(f"no photo of {what} that its table names is there", str(folder), _DATA_PAGE)
    used = [table, *(r.image for r in records), *(r.mask for r in records if r.mask)]
    notes = [_beside_published(what, records, diagnosis, n) for diagnosis, n in published.items()]
    if len(records) < len(keys):
        notes.append(f"{len(keys) - len(records)} rows of the table have no photo of their own")
    return Source(name, str(folder), records, long_side_px, digest(used), tuple(notes), draw_masks)


def _beside_published(what: str, records: tuple[Record, ...], diagnosis: str, published: int) -> str:
    n = sum(record.diagnosis == diagnosis or not diagnosis for record in records)
    kind = f" of {diagnosis}" if diagnosis else ""
    tail = "as published" if n == published else f"published are {published}: a part of it, or another version"
    return f"{n} photos{kind} ({what}, {tail})"


def _find(files: tuple[Entry, ...], names: tuple[str, ...], what: str, folder: Path | str) -> Entry:
    """The table of a data set, by its names in order."""
    entry = next((e for name in names for e in files if Path(e.inside).name == name), None)
    if entry is None:
        raise InputError(f"{what} has no {' or '.join(names)}", str(folder), _DATA_PAGE)
    return entry


def _by_stem(files: tuple[Entry, ...]) -> tuple[dict[str, Entry], dict[str, Entry]]:
    """Photos and masks by the name they share."""
    photos: dict[str, Entry] = {}
    masks: dict[str, Entry] = {}
    for entry in files:
        if entry.suffix not in _PHOTOS:
            continue
        is_mask = any("mask" in f or "segmentation" in f for f in entry.folders) or entry.stem.endswith("_segmentation")
        found, stem = (masks, entry.stem.removesuffix("_segmentation")) if is_mask else (photos, entry.stem)
        if stem not in found or entry.n_bytes > found[stem].n_bytes:
            found[stem] = entry
    return photos, masks


def folder_per_class(folder: Path | str, *, long_side_px: int = 1600, draw_masks: bool = True) -> Source:
    """Own photos in folders `spot`, `angioma`, `lesion`, `none` (any of them may be absent).

    Parameters
    ----------
    folder : path
        Each photo shows one mark at its centre. Or a table `boxes.csv` beside the folders (columns `file`, `x`, `y`,
        `w`, `h`, and `group` if wanted) gives the marks of the photos it names, in px of the upright photo, one row
        each. A folder inside a class holds the photos of one person: its name is the group, and the same name in
        two classes is the same person. Otherwise a photo is a group of its own.
    long_side_px : int, optional
        Photos are brought down to it.
    draw_masks : bool, optional
        Whether photos without a box get a simple mask; without mask and box the mark is taken to fill the middle
        third.

    Raises
    ------
    InputError
        Without the folder, any photo in it, or a column; with a box that is no box or names no photo.
    """
    layout = f"make folders {', '.join(OUTPUTS)} in it"
    files = list_files(Path(folder), what="photos by class", todo=layout)
    photos = {e.inside: e for e in files if e.suffix in _PHOTOS and set(e.folders) & set(OUTPUTS)}
    if not photos:
        raise InputError("no photo lies in a folder named as a class", str(folder), layout)
    table = next((e for e in files if e.inside == "boxes.csv"), None)
    boxes = _boxes(table, photos) if table else {}
    records = [
        Record(image, None, *_class_and_group(image, group), box)
        for inside, image in photos.items()
        for box, group in boxes.get(inside, [(None, "")])
    ]
    used = [*photos.values(), *([table] if table else [])]
    note = f"{len(photos)} photos, {sum(r.box is not None for r in records)} boxes (own photos)"
    return Source("folder", str(folder), tuple(records), long_side_px, digest(used), (note,), draw_masks)


def _class_and_group(image: Entry, group: str) -> tuple[int, str, str]:
    at = next(i for i, name in enumerate(image.folders) if name in OUTPUTS)
    inner = image.folders[at + 1 :]
    group = group or (inner[0] if inner else image.inside)
    return OUTPUTS.index(image.folders[at]), f"folder:{group}", image.folders[at]


_Boxes = dict[str, list[tuple[tuple[float, float, float, float] | None, str]]]


def _boxes(table: Entry, photos: Mapping[str, Entry]) -> _Boxes:
    rows = read_table(table, ("file", "x", "y", "w", "h"), "photos by class")
    found: _Boxes = {}
    for number, row in enumerate(rows, start=2):
        where, file = f"boxes.csv, line {number}", row["file"].replace("\\", "/")
        try:
            x, y, w, h = (float(row[key]) for key in "xywh")
        except ValueError:
            w = h = x = y = float("nan")
        if not (w > 0 and h > 0 and np.isfinite([x, y, w, h]).all()):
            raise InputError("a box is x, y, w, h in px", where, "correct the line")
        if file not in photos:
            raise InputError(
                f"there is no photo {file!r}", where, "name it from the folder of boxes.csv, as lesion/a.jpg"
            )
        found.setdefault(file, []).append(((x, y, w, h), row.get("group") or ""))
    return found

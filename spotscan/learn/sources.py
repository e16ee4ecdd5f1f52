"""Photos to learn from, and which of them are kept for judging.

A `Source` lists a data set without reading its photos; `Source.patches` reads them one after the other. Which of
`train`, `validation` and `test` a photo belongs to is a matter of its group alone (`split`): the patient or the
lesion is never in two of them, whatever is added later.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from spotscan import colour
from spotscan.learn.files import Entry
from spotscan.learn.masks import simple_mask
from spotscan.learn.prepared import NONE
from spotscan.photo import read_photo
from spotscan.types import BoolArray, RGBArray

SPLITS = ("train", "validation", "test")
_SHARES = (0.70, 0.85)  # train up to the first, validation up to the second, test the rest


@dataclass(frozen=True, eq=False)
class Patch:
    """A close-up of one mark, at the size worked with.

    Attributes
    ----------
    rgb : (H, W, 3) uint8
    mask : (H, W) bool or None
        The mark; None where it is not known.
    label : int
        Index into `OUTPUTS`.
    group : str
        Patient, lesion or photo, with the source before it: never in two splits.
    source : str
        ``pad_ufes_20``, ``ham10000`` or ``folder``.
    ita_deg : float or None
        Individual typology angle of the skin outside the mark. Under a dermatoscope's light it is no measure of
        skin tone that compares with other photos.
    diagnosis : str
        As published.
    box_px : (x, y, w, h) or None
        The box around the mark, given by a person where there is no mask.
    """

    rgb: RGBArray
    mask: BoolArray | None
    label: int
    group: str
    source: str
    ita_deg: float | None
    diagnosis: str
    box_px: tuple[float, float, float, float] | None = None

    @property
    def route(self) -> str:
        """``dermoscopic`` or ``clinical``."""
        return "dermoscopic" if self.source == "ham10000" else "clinical"

    @cached_property
    def mark(self) -> tuple[float, float, float] | None:
        """Centre x, y and area-equivalent diameter of the mark in px; None where it is not known."""
        if self.mask is not None:
            ys, xs = np.nonzero(self.mask)
            return float(xs.mean()), float(ys.mean()), float(2 * np.sqrt(len(xs) / np.pi))
        if self.box_px is not None:
            x, y, w, h = self.box_px  # of the ellipse in the box, as `spotscan.classify` takes it
            return x + w / 2, y + h / 2, float(np.sqrt(w * h))
        return None


@dataclass(frozen=True)
class Record:
    """A photo of a source that has not been read."""

    image: Entry
    mask: Entry | None
    label: int
    group: str
    diagnosis: str
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Source:
    """A data set, listed.

    Attributes
    ----------
    name : str
    folder : str
    records : tuple of Record
    long_side_px : int
        Photos are area-averaged down to it; smaller ones stay as they are.
    sha256 : str
        `spotscan.learn.files.digest` of the files used and of the table.
    notes : tuple of str
        What a person should know: counts beside the published ones, rows without a photo.
    draw_masks : bool
        Whether photos without a mask get a simple one, or none.
    """

    name: str
    folder: str
    records: tuple[Record, ...]
    long_side_px: int
    sha256: str
    notes: tuple[str, ...]
    draw_masks: bool = True

    @property
    def counts(self) -> dict[str, int]:
        """Photos by diagnosis."""
        return dict(sorted(Counter(record.diagnosis for record in self.records).items()))

    def patches(
        self, tally: Counter[str] | None = None, wanted: Callable[[Record], bool] = lambda record: True
    ) -> Iterator[Patch]:
        """Read the photos, one at a time.

        Parameters
        ----------
        tally : Counter, optional
            Is added to: ``read``, ``broken`` (skipped), ``mask published``, ``mask drawn``, ``mask refused``.
        wanted : function of a Record, optional
            Others are passed over unread.
        """
        tally = Counter() if tally is None else tally
        for record in self.records:
            if wanted(record):
                patch = self._read(record, tally)
                if patch is not None:
                    yield patch

    def _read(self, record: Record, tally: Counter[str]) -> Patch | None:
        try:
            whole = read_photo(record.image.read()).rgb
        except Exception:  # zip files and decoders raise nearly anything on damaged bytes
            tally["broken"] += 1
            return None
        tally["read"] += 1
        height, width = whole.shape[:2]
        factor = min(1.0, self.long_side_px / max(height, width))
        rgb = whole if factor == 1.0 else _shrunk(whole, factor)
        mask = _read_mask(record.mask, rgb.shape[:2])
        if mask is not None:
            tally["mask published"] += 1
        elif self.draw_masks and record.box is None and record.label != NONE:
            mask = simple_mask(rgb)
            tally["mask refused" if mask is None else "mask drawn"] += 1
        box = record.box and _scaled(record.box, rgb.shape[1] / width)
        if box is None and mask is None and self.name == "folder":
            box = _middle(rgb.shape[1], rgb.shape[0])
        tone = skin_ita_deg(rgb, mask)
        return Patch(rgb, mask, record.label, record.group, self.name, tone, record.diagnosis, box)


def split(group: str, seed: int = 0) -> str:
    """Train, validation or test (70 : 15 : 15) by a hash of the group and the seed, whatever other groups there are."""
    number = int.from_bytes(hashlib.sha256(f"{seed}:{group}".encode()).digest()[:8], "big") / 2**64
    return SPLITS[sum(number >= share for share in _SHARES)]


def skin_ita_deg(rgb: RGBArray, mask: BoolArray | None) -> float | None:
    """Individual typology angle of the skin outside a mark.

    The median over the middle half by lightness, which leaves out shade, shine, hair and the black corners of
    dermatoscopes. None where less than a twentieth of the photo is outside.
    """
    outside = np.ones(rgb.shape[:2], np.bool_)
    if mask is not None:
        reach = 2 * max(1, round(0.06 * np.sqrt(mask.sum()))) + 1
        outside = cv2.dilate(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))) == 0
    if outside.mean() < 0.05:
        return None
    pixels = colour.lab(rgb)[outside]
    low, high = np.percentile(pixels[:, 0], [25, 75])
    middle = pixels[(pixels[:, 0] >= low) & (pixels[:, 0] <= high)]
    return colour.ita_deg(float(np.median(middle[:, 0])), float(np.median(middle[:, 2])))


def _shrunk(rgb: RGBArray, factor: float) -> RGBArray:
    size = (max(1, round(rgb.shape[1] * factor)), max(1, round(rgb.shape[0] * factor)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _read_mask(entry: Entry | None, shape: tuple[int, int]) -> BoolArray | None:
    """A mask at the photo's size; None where it is absent, damaged, empty or everything."""
    if entry is None:
        return None
    try:
        grey = read_photo(entry.read()).rgb[..., 0]
    except Exception:  # as with photos
        return None
    size = (shape[1], shape[0])
    smaller = grey.shape[0] > shape[0]
    soft = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    mask = soft > 127
    return np.asarray(mask, np.bool_) if 0 < mask.mean() < 0.95 else None


def _scaled(box: tuple[float, float, float, float], factor: float) -> tuple[float, float, float, float]:
    x, y, w, h = box  # the edge of the photo lies half a pixel before the centre of its first pixel
    return (x + 0.5) * factor - 0.5, (y + 0.5) * factor - 0.5, w * factor, h * factor


def _middle(width: int, height: int) -> tuple[float, float, float, float]:
    """Where the mark of a close-up is expected: the middle third."""
    side = min(width, height) / 3
    return (width - 1 - side) / 2, (height - 1 - side) / 2, side, side

"""The printed SpotScan card as data, in millimetres; the PDF and the drawn picture are both made from it.

Axes: origin at the top-left corner of the card, x to the right, y down. The card has the size of a bank
card, so it lies beside marks on a forearm or a child's leg. Four AprilTag 36h11 markers stand at the
corners: any one of them gives the scale, two or more show tilt and bending. The family has a Hamming
distance of 11 and white quiet zones, so a chance match on skin or text is practically excluded; the ids are
from its end, which other uses of the family rarely reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.colour import SRGB_TO_LINEAR
from spotscan.types import FloatArray, RGBArray

Rect = tuple[float, float, float, float]
RGB = tuple[int, int, int]

CARD_SIZE_MM = (85.6, 54.0)
MARKER_DICTIONARY = cv2.aruco.DICT_APRILTAG_36H11
MARKER_MM = 12.8  # eight modules of 1.6 mm: 16 px a module at 10 px/mm
MODULE_MM = MARKER_MM / 8
_INSET = 3.0  # white to the cut line; with the white of the card it is the quiet zone, at least 1.6 mm
_BLACK: RGB = (0, 0, 0)
_GREY: RGB = (110, 110, 110)


def _square(x: float, y: float, side: float) -> FloatArray:
    return np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)])


_FAR_X, _FAR_Y = CARD_SIZE_MM[0] - _INSET - MARKER_MM, CARD_SIZE_MM[1] - _INSET - MARKER_MM
MARKERS: dict[int, FloatArray] = {
    570: _square(_INSET, _INSET, MARKER_MM),
    571: _square(_FAR_X, _INSET, MARKER_MM),
    572: _square(_FAR_X, _FAR_Y, MARKER_MM),
    573: _square(_INSET, _FAR_Y, MARKER_MM),
}
"""Marker id -> (4, 2) mm, the corners of its black square in OpenCV's order (top-left, then clockwise)."""


@dataclass(frozen=True)
class Patch:
    """A patch of known colour.

    Attributes
    ----------
    name : str
        What it is.
    rect : (x, y, width, height)
        Where, mm.
    srgb : (r, g, b)
        Nominal sRGB, 0 to 255 (D65). An office printer misses it visibly: the greys serve white balance, the
        colours serve comparison between photos of the same print.
    """

    name: str
    rect: Rect
    srgb: RGB

    @property
    def reflectance(self) -> FloatArray:
        """Nominal linear reflectance per channel: (3,), 0 to 1."""
        return SRGB_TO_LINEAR[list(self.srgb)].astype(float)


# Greys in nearly even steps of lightness; colours of skin, blood and pigment, and primaries beside them
# (most are those of the ColorChecker).
_SWATCHES: tuple[tuple[tuple[str, RGB], ...], ...] = (
    (
        ("grey 1", (243, 243, 243)),
        ("grey 2", (212, 212, 212)),
        ("grey 3", (181, 181, 181)),
        ("grey 4", (151, 151, 151)),
        ("grey 5", (122, 122, 122)),
        ("grey 6", (94, 94, 94)),
        ("grey 7", (68, 68, 68)),
        ("grey 8", (43, 43, 43)),
    ),
    (
        ("light skin", (194, 150, 130)),
        ("dark skin", (115, 82, 68)),
        ("red", (175, 54, 60)),
        ("rose", (193, 90, 99)),
        ("purple", (94, 60, 108)),
        ("green", (70, 148, 73)),
        ("blue", (56, 61, 150)),
        ("yellow", (231, 199, 31)),
    ),
)
PATCHES: tuple[Patch, ...] = tuple(
    Patch(name, (round(4.4 + 9.7 * column, 3), 18.6 + 9.0 * row, 8.9, 8.0), srgb)
    for row, swatches in enumerate(_SWATCHES)
    for column, (name, srgb) in enumerate(swatches)
)

RULER_MM = 50
RULER_START_MM = ((CARD_SIZE_MM[0] - RULER_MM) / 2, CARD_SIZE_MM[1])
"""Where the ruler's zero stands on the card's lower edge, mm."""


@dataclass(frozen=True)
class Fill:
    """Rectangles filled with one colour, as one shape (no seams between neighbours)."""

    rects: tuple[Rect, ...]
    rgb: RGB


@dataclass(frozen=True)
class Text:
    """A line of text, centred at `x` on the baseline `y`; `height` is that of its capitals. All mm."""

    x: float
    y: float
    height: float
    words: str
    rgb: RGB


def marker_cells(marker_id: int) -> NDArray[np.bool_]:
    """The marker's modules, black border included: (8, 8) bool, True is white."""
    dictionary = cv2.aruco.getPredefinedDictionary(MARKER_DICTIONARY)
    return np.asarray(cv2.aruco.generateImageMarker(dictionary, marker_id, 8) > 127)


def _marker_items(marker_id: int, corners: FloatArray) -> tuple[Fill, Fill]:
    x, y = corners[0]
    white = tuple(
        (float(x + column * MODULE_MM), float(y + row * MODULE_MM), MODULE_MM, MODULE_MM)
        for row, column in zip(*np.nonzero(marker_cells(marker_id)), strict=True)
    )
    return Fill(((float(x), float(y), MARKER_MM, MARKER_MM),), _BLACK), Fill(white, (255, 255, 255))


def _ruler_items() -> tuple[Fill | Text, ...]:
    x0, bottom = RULER_START_MM
    width = 0.15  # a tick: 0.15 mm prints clean at 300 dpi

    def tick(mm: int) -> Rect:
        length = 4.0 if mm % 10 == 0 else 3.0 if mm % 5 == 0 else 2.0
        return x0 + mm - width / 2, bottom - length, width, length

    # No number at the ends: it would stand in the quiet zone of a marker.
    numbers = (Text(x0 + mm, bottom - 5.0, 1.8, str(mm), _BLACK) for mm in range(10, RULER_MM, 10))
    unit = Text(x0 + RULER_MM - 5, bottom - 5.0, 1.8, "mm", _BLACK)
    return (Fill(tuple(tick(mm) for mm in range(RULER_MM + 1)), _BLACK), *numbers, unit)


def card_items() -> tuple[Fill | Text, ...]:
    """Everything printed on the white card, in drawing order."""
    middle = CARD_SIZE_MM[0] / 2
    markers = (item for marker_id, corners in MARKERS.items() for item in _marker_items(marker_id, corners))
    patches = (Fill((patch.rect,), patch.srgb) for patch in PATCHES)
    words = (
        Text(middle, 7.6, 3.2, "SpotScan", _BLACK),
        Text(middle, 11.6, 1.6, "lay flat beside the marks", _GREY),
        Text(middle, 14.6, 1.6, "all four squares in the photo", _GREY),
    )
    return (*markers, *patches, *words, *_ruler_items())


def _edge_cover(start: float, length: float, px_per_mm: float) -> tuple[slice, FloatArray]:
    """Pixels of a row touched by `start` to `start + length` mm, and the share of each that is covered."""
    low, high = start * px_per_mm, (start + length) * px_per_mm
    first, last = int(np.floor(low)), int(np.ceil(high))
    return slice(first, last), np.diff(np.clip(np.arange(first, last + 1), low, high))


def _cover_fill(fill: Fill, cover: NDArray[np.float32], px_per_mm: float) -> None:
    for x, y, w, h in fill.rects:
        (columns, across), (rows, down) = _edge_cover(x, w, px_per_mm), _edge_cover(y, h, px_per_mm)
        target = cover[rows, columns]
        target += np.outer(down, across)[: target.shape[0], : target.shape[1]]


def _cover_text(text: Text, cover: NDArray[np.float32], px_per_mm: float) -> None:
    fine = 4  # drawn finer and averaged: Hershey letters have hard edges
    scale = fine * px_per_mm
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(text.height * scale / 8))
    size = cv2.getFontScaleFromHeight(font, max(2, round(text.height * scale)), thickness)
    (width, _), _ = cv2.getTextSize(text.words, font, size, thickness)
    top, bottom = (int((text.y + d * text.height) * px_per_mm) for d in (-1.5, 1.0))
    canvas = np.zeros((fine * (bottom - top), fine * cover.shape[1]), np.uint8)
    origin = round(text.x * scale - width / 2), round(text.y * scale) - fine * top
    cv2.putText(canvas, text.words, origin, font, size, 255, thickness)
    cover[top:bottom] = cv2.resize(canvas, (cover.shape[1], bottom - top), interpolation=cv2.INTER_AREA) / 255.0


def card_image(px_per_mm: float) -> RGBArray:
    """Draw the card from the description that the PDF is drawn from.

    Edges carry the exact area they cover, mixed in linear light, as a camera without blur would see them.

    Parameters
    ----------
    px_per_mm : float
        Resolution, > 0. The point (x, y) mm of the card stands at pixel (x, y) * px_per_mm - 0.5, pixel
        centres being whole numbers.

    Returns
    -------
    (h, w, 3) uint8
        sRGB; h and w are the card's size in px, rounded up, white beyond it.
    """
    shape = (int(np.ceil(CARD_SIZE_MM[1] * px_per_mm)), int(np.ceil(CARD_SIZE_MM[0] * px_per_mm)))
    light = np.ones((*shape, 3), np.float32)
    for item in card_items():
        cover = np.zeros(shape, np.float32)
        if isinstance(item, Text):
            _cover_text(item, cover, px_per_mm)
        else:
            _cover_fill(item, cover, px_per_mm)
        rows, columns = np.nonzero(cover)
        ink = SRGB_TO_LINEAR[list(item.rgb)]
        light[rows, columns] += np.minimum(cover[rows, columns, None], 1) * (ink - light[rows, columns])
    # The sRGB code whose linear value is nearest.
    middles = (SRGB_TO_LINEAR[1:] + SRGB_TO_LINEAR[:-1]) / 2
    return np.searchsorted(middles, light).astype(np.uint8)

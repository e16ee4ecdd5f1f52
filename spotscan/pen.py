"""What the pictures have in common: font, lines, scale bar, and what none of them may show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.groups import DARK, GREY, RGB, WHITE
from spotscan.types import FloatArray, RGBArray, Scale

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

Box = tuple[float, float, float, float]
_COVERED = 0.95  # of a bank card: 1.3 to 2.1 mm of rim are left, less than names and numbers are away from it


def cover_private(rgb: RGBArray, scale: Scale | None, zoom: float = 1.0, corner_px: FloatArray | None = None) -> None:
    """Paint over what is printed on a bank card, in place; its rim stays, for the outline to be checked by.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
        The photo or a part of it.
    scale : Scale or None
        Its `private_px` is covered.
    zoom : float
        Pixels of the picture per photo px.
    corner_px : (2,), optional
        Photo px at which the upper left pixel of the part lies.
    """
    for outline_px in scale.private_px if scale is not None else ():
        middle = outline_px.mean(axis=0)
        inner = middle + (outline_px - middle) * _COVERED
        inner = (inner - (0 if corner_px is None else corner_px) + 0.5) * zoom - 0.5
        cv2.fillPoly(rgb, [np.rint(inner * 16).astype(np.int32)], GREY, cv2.LINE_AA, shift=4)


def double_line(rgb: RGBArray, taken: NDArray[np.uint8] | None, xy: FloatArray, colour: RGB, u: float) -> None:
    """A closed line with dark edges, in place; `taken` notes where it is (1)."""
    points, wide, narrow = [np.rint(xy * 16).astype(np.int32)], max(2, round(2 * u)), max(1, round(u))
    cv2.polylines(rgb, points, True, DARK, wide, cv2.LINE_AA, shift=4)
    cv2.polylines(rgb, points, True, colour, narrow, cv2.LINE_AA, shift=4)
    if taken is not None:
        cv2.polylines(taken, points, True, 1, wide, cv2.LINE_8, shift=4)


def font(size_px: float) -> ImageFont.FreeTypeFont:
    """The font that Pillow brings; it has ASCII and a few more characters only."""
    from PIL import ImageFont

    font = ImageFont.load_default(max(6.0, size_px))
    assert isinstance(font, ImageFont.FreeTypeFont)  # the other kind comes without a size only
    return font


@dataclass(frozen=True)
class Bar:
    """A scale bar: its length, px of the picture, and in words."""

    length: float
    text: str

    def size(self, u: float) -> tuple[float, float]:
        """Width and height with its text, px."""
        return max(self.length, 30 * u) + 14 * u, 26 * u

    def draw(self, draw: ImageDraw.ImageDraw, box: Box, u: float) -> None:
        """Draw it into a box of that size."""
        x0, y0, x1, y1 = box
        draw.rounded_rectangle(box, 3 * u, fill=(*DARK, 190))
        middle, y, tick, width = (x0 + x1) / 2, y1 - 7 * u, 2.5 * u, max(1, round(1.5 * u))
        left, right = middle - self.length / 2, middle + self.length / 2
        draw.line((left, y, right, y), WHITE, width)
        for x in (left, right):
            draw.line((x, y - tick, x, y + tick), WHITE, width)
        draw.text((middle, y0 + 9 * u), self.text, WHITE, font(11 * u), "mm")


def bar_for(px_per_mm: float, longest_px: float) -> Bar:
    """The scale bar of a round length that is at most so long."""
    length = round_length(longest_px / px_per_mm)
    return Bar(length * px_per_mm, f"{length:g} mm" if length < 100 else f"{length / 10:g} cm")


def round_length(longest: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not longer than `longest`."""
    power = 10.0 ** np.floor(np.log10(longest))
    return float(max(step * power for step in (1, 2, 5) if step * power <= longest))

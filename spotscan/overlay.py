"""The overlay picture: what was found, drawn on the photo so that a person can check it on a phone.

Every length is a multiple of the unit u, 1/400 of the picture's width: about one CSS pixel on a phone.
Outlines lie outside the marks and texts beside them, so that no pixel of a mark is painted over. What needs
words stands in a caption below the photo.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.findings import image_quality, median_diameter
from spotscan.flags import FLAGS
from spotscan.groups import CLUSTER_COLOURS, DARK, ORANGE, RGB, SKY, WHITE, ColourBy, Group, group_marks
from spotscan.pen import Bar, Box, bar_for, cover_private, double_line, font
from spotscan.types import FloatArray, Measurements, Photo, RGBArray, Scan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import ImageDraw, ImageFont

_MIN_WIDTH_PX = 1000  # smaller photos are enlarged, or letters would be a few pixels high
_MAX_ENLARGE = 4.0
_MAX_LABELS = 400
_MAX_FLAGS = 4
# Right, left, above, below, then the corners.
_PLACES = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1))
# Where the colour, the white and the dark line around a mark end, u from its boundary; wider for large marks.
_LINE_ENDS = np.array([1.0, 1.35, 1.7])


@dataclass(frozen=True, eq=False)
class _Page:
    """The picture in the making, with what stands where."""

    rgb: RGBArray
    zoom: float
    contours: tuple[FloatArray, ...]

    @property
    def unit(self) -> float:
        return float(self.rgb.shape[1] / 400)

    def to_page(self, xy_px: FloatArray) -> FloatArray:
        return (np.asarray(xy_px, float) + 0.5) * self.zoom - 0.5


class _Room:
    """Which parts of the picture are taken: by marks from the start, by texts as they are placed."""

    def __init__(self, taken: NDArray[np.uint8]) -> None:
        self.shape = taken.shape
        self.integral = cv2.integral(taken)
        self.boxes = np.zeros((0, 4))

    def is_free(self, box: Box) -> bool:
        """True where the box (x0, y0, x1, y1) lies in the picture and on nothing."""
        x0, y0, x1, y1 = box
        if min(x0, y0) < 0 or x1 > self.shape[1] or y1 > self.shape[0]:
            return False
        left, top, right, bottom = int(x0), int(y0), int(np.ceil(x1)), int(np.ceil(y1))
        s = self.integral
        if s[bottom, right] - s[top, right] - s[bottom, left] + s[top, left]:
            return False
        b = self.boxes
        return not np.any((b[:, 0] < x1) & (b[:, 2] > x0) & (b[:, 1] < y1) & (b[:, 3] > y0))

    def take(self, box: Box) -> None:
        """Note that the box is used."""
        self.boxes = np.vstack([self.boxes, box])


def draw_overlay(scan: Scan, colour_by: ColourBy = "cluster", max_side_px: int = 2400) -> RGBArray:
    """The photo with the marks outlined and numbered, the reference, a scale bar, and a caption below.

    Parameters
    ----------
    scan : Scan
        What to draw.
    colour_by : {"cluster", "class", "size"}
        What the outlines' colour tells.
    max_side_px : int
        The photo is drawn with at most so many pixels on its long side. Photos less than 1000 px wide are
        enlarged, four times at most.

    Returns
    -------
    (h, w, 3) uint8
        sRGB. The photo starts at the top left; the caption adds to the height.

    Notes ----- The inner edge of an outline is the measured boundary. A number stands beside its mark where
    there is room that no mark and no other text takes, and is left out elsewhere. The scale bar holds at
    the middle of the marks (at the reference where there are none); it stands in a corner free of marks, or
    in the caption.
    """
    page = _open_page(scan, max_side_px)
    photo = page.rgb.copy()  # with a bank card already covered
    groups = group_marks(scan, colour_by)
    taken = _draw_lines(page, photo, scan, groups)
    return _draw_texts(page, scan, groups, _Room(taken))


def draw_candidates(photo: Photo, outlines: Sequence[FloatArray], max_side_px: int = 2400) -> RGBArray:
    """The photo with numbered outlines of what could be the reference: (h, w, 3) uint8.

    Parameters
    ----------
    photo : Photo
        Where the reference was sought.
    outlines : sequence of (K, 2)
        Photo px.
    max_side_px : int
        As in `draw_overlay`.
    """
    from PIL import Image, ImageDraw

    rgb, zoom = _resized(photo, max_side_px)
    page, taken = _Page(rgb, zoom, ()), np.zeros(rgb.shape[:2], np.uint8)
    for k, outline in enumerate(outlines):
        double_line(rgb, taken, page.to_page(outline), CLUSTER_COLOURS[k % len(CLUSTER_COLOURS)], page.unit)
    picture = Image.fromarray(rgb)
    draw, u = ImageDraw.Draw(picture), page.unit
    for k, outline in enumerate(outlines):
        x, y = page.to_page(outline).mean(axis=0)
        draw.text((x, y), str(k + 1), WHITE, font(12 * u), "mm", stroke_width=max(1, round(u)), stroke_fill=DARK)
    return np.asarray(picture)


def _open_page(scan: Scan, max_side_px: int) -> _Page:
    rgb, zoom = _resized(scan.photo, max_side_px)
    contours = tuple((_outline(scan.spots, i) + 0.5) * zoom - 0.5 for i in range(len(scan.spots)))
    page = _Page(rgb, zoom, contours)
    cover_private(page.rgb, scan.scale, page.zoom)
    return page


def _resized(photo: Photo, max_side_px: int) -> tuple[RGBArray, float]:
    """A copy of the photo at the size of the picture, and page px per photo px."""
    w, h = photo.width_px, photo.height_px
    zoom = min(max_side_px / max(w, h), min(_MAX_ENLARGE, max(1.0, _MIN_WIDTH_PX / w)))
    size = max(1, round(w * zoom)), max(1, round(h * zoom))
    kind = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    rgb = photo.rgb.copy() if zoom == 1 else cv2.resize(photo.rgb, size, interpolation=kind)
    return np.asarray(rgb, np.uint8), zoom


def _outline(spots: Measurements, i: int) -> FloatArray:
    """The boundary, or an ellipse of the size of its box where a mark has none."""
    if len(spots.contours_px[i]) >= 3:
        return spots.contours_px[i]
    turn = np.arange(16) * (2 * np.pi / 16)
    size = np.maximum(np.nan_to_num(spots.bbox_px[i, 2:]), 1.0)
    return np.asarray(spots.centre_px[i] + size / 2 * np.column_stack([np.cos(turn), np.sin(turn)]))


# ---- lines ----


def _draw_lines(page: _Page, photo: RGBArray, scan: Scan, groups: list[Group]) -> NDArray[np.uint8]:
    """Draw the outlines of reference, groups and marks; return the (h, w) map, 0 or 1, of what they take."""
    u = page.unit
    inside, taken = np.zeros(photo.shape[:2], np.uint8), np.zeros(photo.shape[:2], np.uint8)
    if scan.scale is not None and len(scan.scale.outline_px):
        double_line(page.rgb, taken, page.to_page(scan.scale.outline_px), WHITE, u)
    colours: list[RGB] = [SKY] * len(page.contours)
    for group in groups:
        members = np.flatnonzero(group.member).tolist()
        for i in members:
            colours[i] = group.colour
        if group.outlined:
            hull = _grown_hull([page.contours[i] for i in members], 7 * u)
            double_line(page.rgb, taken, hull, group.colour, u)
    for contour, colour in zip(page.contours, colours, strict=True):
        _ring(page.rgb, inside, taken, contour, colour, u)
    # Marks stay as they were photographed, whatever line came by.
    at = inside > 0
    share = inside[at][:, None] / np.float32(255)
    page.rgb[at] = np.rint(page.rgb[at] * (1 - share) + photo[at] * share)
    for i, flags in enumerate(scan.spots.flags):
        if "touching" in flags:  # the line between two marks has no place outside both
            line = [np.rint(page.contours[i] * 16).astype(np.int32)]
            cv2.polylines(page.rgb, line, True, colours[i], max(1, round(0.4 * u)), cv2.LINE_AA, shift=4)
    return taken


def _ring(
    rgb: RGBArray,
    inside: NDArray[np.uint8],
    taken: NDArray[np.uint8],
    contour: FloatArray,
    colour: RGB,
    u: float,
) -> None:
    """A line around one mark: colour, white, dark from within.

    `inside` gathers the cover of the marks (0 to 255), `taken` where they or their lines are (1).
    """
    low, high = contour.min(axis=0), contour.max(axis=0)
    edges = _LINE_ENDS * u * np.clip(np.sqrt((high - low).mean() / (10 * u)), 0.8, 1.5)
    pad = int(edges[-1]) + 3
    low = np.maximum(np.floor(low).astype(int) - pad, 0)
    high = np.minimum(np.ceil(high).astype(int) + pad + 1, rgb.shape[1::-1])
    if (high <= low).any():
        return
    window = slice(low[1], high[1]), slice(low[0], high[0])
    # Filled at twice the size and averaged: OpenCV's own anti-aliased fill is half a pixel too wide.
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    fine = np.zeros((2 * size[1], 2 * size[0]), np.uint8)
    cv2.fillPoly(fine, [np.rint(((contour - low + 0.5) * 2 - 0.5) * 16).astype(np.int32)], 255, shift=4)
    cover = cv2.resize(fine, size, interpolation=cv2.INTER_AREA)
    outside = cv2.distanceTransform(255 - fine, cv2.DIST_L2, cv2.DIST_MASK_5)
    outside = cv2.resize(outside, size, interpolation=cv2.INTER_AREA) / 2  # px of the picture from the boundary
    near = outside < edges[-1] + 0.5
    at = near & (cover < 255)
    reach = np.clip(edges + 0.5 - outside[at][:, None], 0, 1)  # nested covers: to the end of each line
    tones = np.array([colour, WHITE, DARK], float)
    weights = np.diff(reach, axis=1, prepend=0)
    view = rgb[window]
    view[at] = np.rint(view[at] * (1 - reach[:, -1:]) + weights @ tones)
    np.maximum(inside[window], cover, out=inside[window])
    taken[window][near] = 1


def _grown_hull(contours: list[FloatArray], pad: float) -> FloatArray:
    turn = np.arange(24) * (2 * np.pi / 24)
    circle = pad * np.column_stack([np.cos(turn), np.sin(turn)])
    hull = cv2.convexHull(np.vstack(contours).astype(np.float32))[:, 0]
    return np.asarray(cv2.convexHull((hull[:, None] + circle).reshape(-1, 2).astype(np.float32))[:, 0], float)


# ---- texts ----


def _draw_texts(page: _Page, scan: Scan, groups: list[Group], room: _Room) -> RGBArray:
    from PIL import Image, ImageDraw

    picture = Image.fromarray(page.rgb)
    draw = ImageDraw.Draw(picture, "RGBA")
    bar = _scale_bar(page, scan)
    corner = _free_corner(page, scan, room, bar) if bar else None
    if bar and corner:
        room.take(corner)
        bar.draw(draw, corner, page.unit)
    _number(draw, page, room, scan.spots.ids)
    caption = _caption(scan, groups, page.rgb.shape[1], page.unit, None if corner else bar)
    return np.vstack([np.asarray(picture), caption])


def _number(draw: ImageDraw.ImageDraw, page: _Page, room: _Room, ids: Sequence[int]) -> None:
    """Number the marks, largest first, each at the first of eight places that is free and nearest to it.

    Where none is, in smaller figures, which a finger's zoom makes legible.
    """
    u = page.unit
    fonts, edge, gap = (font(10 * u), font(7.5 * u)), max(1, round(0.8 * u)), 3.0 * u
    low = np.array([c.min(axis=0) for c in page.contours]).reshape(-1, 2)
    high = np.array([c.max(axis=0) for c in page.contours]).reshape(-1, 2)
    centre, radius = (low + high) / 2, (high - low).mean(axis=1) / 2
    for i in np.argsort(-radius, kind="stable")[:_MAX_LABELS]:
        text = str(ids[i])
        for letters, place in product(fonts, _PLACES):
            x0, y0, x1, y1 = letters.getbbox(text, anchor="mm", stroke_width=edge)
            half = np.array([x1 - x0, y1 - y0]) / 2
            away = np.array(place) * (1.0 if 0 in place else 0.75)  # a disc's corners lie nearer
            middle = centre[i] + away * ((high[i] - low[i]) / 2 + gap) + place * half
            box = (*(middle - half), *(middle + half))
            beside = np.maximum(np.abs(centre - middle) - half, 0)  # from the box to each mark's centre
            if room.is_free(box) and np.argmin(np.hypot(*beside.T) - radius) == i:
                room.take(box)
                x, y = middle - [(x0 + x1) / 2, (y0 + y1) / 2]
                draw.text((x, y), text, WHITE, letters, "mm", stroke_width=edge, stroke_fill=DARK)
                break


def _scale_bar(page: _Page, scan: Scan) -> Bar | None:
    if scan.scale is None:
        return None
    at = np.median(scan.spots.centre_px, axis=0) if len(scan.spots) else scan.scale.centre_px
    px_per_mm = float(scan.scale.px_per_mm_at(at[None])[0]) * page.zoom
    return bar_for(px_per_mm, 0.25 * page.rgb.shape[1])


def _free_corner(page: _Page, scan: Scan, room: _Room, bar: Bar) -> Box | None:
    """A corner without marks for the bar, and without the reference if there is one."""
    h, w = room.shape
    margin = 6 * page.unit
    bw, bh = bar.size(page.unit)
    xs, ys = (margin, w - margin - bw), (h - margin - bh, margin)
    corners = [(x, y, x + bw, y + bh) for y in ys for x in xs]
    free = [box for box in corners if room.is_free(box)]
    outline = page.to_page(scan.scale.outline_px) if scan.scale else np.zeros((0, 2))
    clear = [box for box in free if not _touches(outline, box)]
    return next(iter(clear or free), None)


def _touches(xy: FloatArray, box: Box) -> bool:
    """True where the bounding box of points meets the box."""
    if not len(xy):
        return False
    (x0, y0), (x1, y1) = xy.min(axis=0), xy.max(axis=0)
    return bool(x0 < box[2] and x1 > box[0] and y0 < box[3] and y1 > box[1])


# ---- caption ----


def _caption(scan: Scan, groups: list[Group], width: int, u: float, bar: Bar | None) -> RGBArray:
    """The band below the photo: headline, what the colours mean, what to mind."""
    from PIL import Image, ImageDraw

    left, line = 10 * u, 17 * u
    notes = flags_in_words(scan)
    image = Image.new("RGB", (width, round((12 + len(groups) + 4 * len(notes)) * 20 * u)), DARK)
    draw = ImageDraw.Draw(image)
    large, small = font(16 * u), font(12.5 * u)
    y = 8 * u
    for text in _wrapped(headline(scan), large, width - 2 * left):
        draw.text((left, y + 10 * u), text, WHITE, large, "lm")
        y += 21 * u
    x, y = left, y + 3 * u
    for group in groups if len(groups) > 1 else ():
        text = f"{group.name}: {np.count_nonzero(group.member)}"
        wide = 14 * u + small.getlength(text)
        if x > left and x + wide > width - left:
            x, y = left, y + line
        _dot(draw, x + 5 * u, y + 8 * u, 4 * u, group.colour)
        draw.text((x + 14 * u, y + 8 * u), text, WHITE, small, "lm")
        x += wide + 14 * u
    y += line + 3 * u if len(groups) > 1 else 0
    for note in notes:
        _dot(draw, left + 5 * u, y + 8 * u, 5 * u, ORANGE)
        draw.text((left + 5 * u, y + 8 * u), "!", DARK, small, "mm")
        for text in _wrapped(note, small, width - 2 * left - 14 * u):
            draw.text((left + 14 * u, y + 8 * u), text, WHITE, small, "lm")
            y += line
        y += 2 * u
    if bar:
        bw, bh = bar.size(u)
        bar.draw(draw, (left, y, left + bw, y + bh), u)
        y += bh
    return np.asarray(image.crop((0, 0, width, round(y + 8 * u))))


def _dot(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: RGB) -> None:
    draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def _wrapped(text: str, letters: ImageFont.FreeTypeFont, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and letters.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def headline(scan: Scan) -> str:
    """How many marks and how large, in one line of plain words."""
    n = len(scan.spots)
    if image_quality(scan.quality) == "unusable":
        return "This photo cannot be used"
    if n == 0:
        return "No marks found"
    count = "1 mark" if n == 1 else f"{n} marks"
    measure = "diameter" if n == 1 else "median diameter"
    in_mm = median_diameter(scan.spots, scan.spots.diameter_mm)
    if in_mm is not None:
        return f"{count} · {measure} {in_mm:.2g} mm"
    in_px = median_diameter(scan.spots, scan.spots.diameter_px)
    return count if in_px is None else f"{count} · {measure} {in_px:.1f} px"


def flags_in_words(scan: Scan) -> list[str]:
    """What the flags of photo and scale mean, the gravest first and with what to do about it."""
    names = dict.fromkeys(scan.quality.flags + (scan.scale.flags if scan.scale else ()))
    flags = sorted((FLAGS[name] for name in names), key=lambda flag: not flag.unusable)
    notes = [f"{flag.meaning} {flag.todo}" if flag.unusable else flag.meaning for flag in flags]
    more = len(notes) - _MAX_FLAGS
    return notes if more <= 0 else [*notes[:_MAX_FLAGS], f"And {more} more."]

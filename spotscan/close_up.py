"""One mark, enlarged, with its outline and a scale bar."""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np

from spotscan.errors import UsageError
from spotscan.groups import GREY, RGB, SKY
from spotscan.pen import bar_for, cover_private, double_line
from spotscan.types import FloatArray, RGBArray, Scan

_AROUND = 1.7  # of the mark: as much skin is shown as the eye needs to compare
_LEAST_PX, _LEAST_MM = 24.0, 2.0  # side of what is shown: more would show pixels only
_DIM = 0.25  # brightness of what the class does not rest on


class Saliency(Protocol):
    """Where a class rests on: `box_px` (x, y, w, h), photo px; `weights` (S, S), 0 to 1."""

    @property
    def box_px(self) -> Any:
        """The region looked at."""

    @property
    def weights(self) -> Any:
        """How much the class rests on each part of it."""


def close_up(
    scan: Scan, spot_id: int, side_px: int = 480, *, contour: bool = True, saliency: Saliency | None = None,
    colour: RGB = SKY,
) -> RGBArray:  # fmt: skip
    """The mark in the middle of a square, enlarged.

    Parameters
    ----------
    scan : Scan
        With the photo.
    spot_id : int
        The mark's number, see `Measurements.ids`.
    side_px : int
        Of the picture.
    contour : bool
        Draw the measured outline, and thinner those of its neighbours.
    saliency : Saliency, optional
        What the mark's class does not rest on is darkened; all of the region looked at is shown.
    colour : (r, g, b)
        Of the outline.

    Returns
    -------
    (side_px, side_px, 3) uint8
        What lies beyond the photo is grey; there is a scale bar where there is a scale.

    Raises
    ------
    UsageError
        If no mark has that number.
    """
    if spot_id not in scan.spots.ids:
        raise UsageError("no mark has that number", str(spot_id), "take one of the scan's ids")
    row = scan.spots.ids.index(spot_id)
    centre, side = _window(scan, row, saliency)
    zoom = side_px / side
    corner = centre - (side - 1) / 2  # photo px of the middle of the first of `side` px
    picture = _cut(scan.photo.rgb, corner, side, side_px)
    cover_private(picture, scan.scale, zoom, corner)
    if saliency is not None:
        picture = _spotlight(picture, saliency, corner, zoom)
    if contour:
        for i in np.flatnonzero((np.abs(scan.spots.centre_px - centre) < side).all(axis=1)):
            _outline(picture, scan.spots.contours_px[i], corner, zoom, colour if i == row else GREY, i == row)
    return _with_bar(picture, scan, centre, zoom)


def _window(scan: Scan, row: int, saliency: Saliency | None) -> tuple[FloatArray, float]:
    """Middle and side, photo px, of what is shown."""
    centre = scan.spots.centre_px[row]
    bbox = scan.spots.bbox_px[row]
    least = _LEAST_PX if scan.scale is None else _LEAST_MM * float(scan.scale.px_per_mm_at(centre[None])[0])
    reach = [least / 2]
    boxes = [bbox[:4]] if np.isfinite(bbox).all() else []
    scaled = [_AROUND * np.abs([box[:2] - centre, box[:2] + box[2:] - centre]).max() for box in boxes]
    if saliency is not None:
        x, y, w, h = np.asarray(saliency.box_px, float)
        reach.append(float(np.abs([x - centre[0], x + w - centre[0], y - centre[1], y + h - centre[1]]).max()))
    return centre, 2 * float(max(*reach, *scaled, 4.0))


def _cut(rgb: RGBArray, corner: FloatArray, side: float, side_px: int) -> RGBArray:
    """That part of the photo, resampled; shrunk first where it is much larger than its picture."""
    step = max(1, int(side / side_px))
    low = np.floor(corner).astype(int) - step
    high = np.ceil(corner + side).astype(int) + step
    inside_low, inside_high = np.maximum(low, 0), np.minimum(high, rgb.shape[1::-1])
    part = rgb[inside_low[1] : inside_high[1], inside_low[0] : inside_high[0]]
    pads = (inside_low - low, high - inside_high)
    (left, top), (right, bottom) = (pad.tolist() for pad in pads)
    whole = cv2.copyMakeBorder(part, top, bottom, left, right, cv2.BORDER_CONSTANT, value=GREY)
    if step > 1:
        height, width = whole.shape[0] // step, whole.shape[1] // step
        whole = cv2.resize(whole[: height * step, : width * step], (width, height), interpolation=cv2.INTER_AREA)
    scale = side / side_px / step  # px of the part per px of the picture
    start = ((corner - low) + 0.5) / step - 0.5 + (scale - 1 / step) / 2
    matrix = np.array([[scale, 0, start[0]], [0, scale, start[1]]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(whole, matrix, (side_px, side_px), flags=flags, borderValue=GREY), np.uint8)


def _spotlight(picture: RGBArray, saliency: Saliency, corner: FloatArray, zoom: float) -> RGBArray:
    """Bright and in its colours where the class rests on it, dark elsewhere."""
    side = picture.shape[0]
    weights = np.clip(np.asarray(saliency.weights, np.float32), 0, 1)
    x, y, w, h = np.asarray(saliency.box_px, float)
    per = np.array([weights.shape[1] / w, weights.shape[0] / h]) / zoom
    start = (corner - 0.5 + 0.5 / zoom - [x, y]) * per * zoom - 0.5
    matrix = np.array([[per[0], 0, start[0]], [0, per[1], start[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    light = np.asarray(
        cv2.warpAffine(weights, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32
    )
    across, down = (start[axis] + per[axis] * np.arange(side) for axis in (0, 1))
    light[(down < -0.5) | (down > weights.shape[0] - 0.5)] = 0
    light[:, (across < -0.5) | (across > weights.shape[1] - 0.5)] = 0
    return np.asarray(np.rint(picture * (_DIM + (1 - _DIM) * light[..., None])), np.uint8)


def _outline(picture: RGBArray, contour: FloatArray, corner: FloatArray, zoom: float, colour: RGB, own: bool) -> None:
    if len(contour):
        xy = (contour - corner + 0.5) * zoom - 0.5
        double_line(picture, None, xy, colour, picture.shape[0] / (150 if own else 300))


def _with_bar(picture: RGBArray, scan: Scan, centre: FloatArray, zoom: float) -> RGBArray:
    if scan.scale is None:
        return picture
    from PIL import Image, ImageDraw

    side = picture.shape[0]
    unit = side / 240
    bar = bar_for(float(scan.scale.px_per_mm_at(centre[None])[0]) * zoom, 0.3 * side)
    width, height = bar.size(unit)
    image = Image.fromarray(picture)
    margin = 4 * unit
    box = (side - margin - width, side - margin - height, side - margin, side - margin)
    bar.draw(ImageDraw.Draw(image, "RGBA"), box, unit)
    return np.asarray(image)

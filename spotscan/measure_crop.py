"""A mark and the skin around it, cut out of the photo in linear light, hairs and glints filled (part of `measure`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.colour import linear
from spotscan.types import Photo, RGBArray, Scale, Skin, Spots

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # x0, y0, x1, y1 (exclusive), label px


@dataclass(frozen=True)
class MeasureParams:
    """How marks are measured.

    Attributes
    ----------
    samples_across : px
        A mark at least twice as large is measured on a picture shrunk by a whole factor to about this many pixels
        across: a boundary's mean place is found to 0.05 pixel, so the diameter to 0.3 %.
    fewest_across : px
        A mark smaller than this is measured on a picture enlarged (bicubic) up to four times.
    margin : diameters
        Width of the skin looked at around a mark.
    hair_share : diameters
        Hairs are thinner than this share of the mark; what is thicker cannot be told from it.
    hair_mm, hair_px : mm, px
        And thinner than this: a coarse hair of 0.1 mm with its shadow and blur; the second without a scale.
    hair_depth : 1
        Darker than the skin beside by this share in red.
    glint_height : 1
        A glint is brighter than the skin beside by this share of its own code in blue.
    smooth_px : px
        Blur (1 sigma) that takes off the sensor's noise; it is taken out of the sizes with the rest of the blur.
    noisy : 1
        Noise over contrast beyond which the profile is blurred further.
    noisy_smooth : radii
        By this much.
    regularisation : 1
        Share of the mean variance of the skin added to each channel, so that none is trusted for being merely smooth.
    core : radii
        Inner part of the mark that gives its level.
    opening, opening_noisy : radii
        What is narrower than twice this is no part of the mark: hairs, creases, gaps between glints. The second where
        the profile is noisy.
    most_growth, most_growth_clear : 1
        A region larger than its label by more than this, in diameter, is the flush around the mark; one smaller by as
        much a speck within it. The label's own outline then stands for it. The second where the mark stands clearly
        above the noise.
    points : count
        Of the outline.
    smallest_px : px
        Below this many pixels across a boundary is a guess: the mark is counted, not measured.
    """

    samples_across: int = 36
    fewest_across: float = 24.0
    margin: float = 0.5
    hair_share: float = 0.5
    hair_mm: float = 0.3
    hair_px: float = 12.0
    hair_depth: float = 0.08
    glint_height: float = 0.2
    smooth_px: float = 0.7
    noisy: float = 0.2
    noisy_smooth: float = 0.1
    regularisation: float = 0.05
    core: float = 0.55
    opening: float = 0.18
    opening_noisy: float = 0.25
    most_growth: float = 1.6
    most_growth_clear: float = 2.2
    points: int = 96
    smallest_px: float = 4.0


@dataclass(frozen=True, eq=False)
class Crop:
    """A mark and the skin around it.

    Attributes
    ----------
    light : (h, w, 3) float32
        Linear light, hairs and glints filled.
    own, others, skin, white : (h, w) uint8
        Not 0 on the mark's label, on other marks, on skin, where the photo is saturated.
    corner : (int, int)
        x and y of its upper left pixel on the photo.
    step : float
        Photo px per pixel.
    whole : 4 bool
        Its left, upper, right, lower side is that of the photo.
    smooth : float
        Blur added, 1 sigma, photo px.
    """

    light: F32
    own: U8
    others: U8
    skin: U8
    white: U8
    corner: tuple[int, int]
    step: float
    whole: tuple[bool, bool, bool, bool]
    smooth: float


def cut_out(
    photo: Photo, spots: Spots, skin: Skin, scale: Scale | None, label: int, box: Box, p: MeasureParams
) -> Crop:
    """Cut a mark out of the photo, with the skin around it, at about `samples_across` pixels across."""
    across = max(box[2] - box[0], box[3] - box[1]) * spots.factor
    shrink = max(1, int(across / p.samples_across))
    grow = int(np.clip(round(p.fewest_across / across), 1, 4))
    margin = p.margin * across + 8 * shrink
    x0, y0 = (max(0, int(low * spots.factor - margin)) for low in box[:2])
    x1, y1 = (
        min(size, int(high * spots.factor + margin))
        for size, high in zip((photo.width_px, photo.height_px), box[2:], strict=True)
    )
    width, height = max(1, (x1 - x0) // shrink), max(1, (y1 - y0) // shrink)
    rgb = photo.rgb[y0 : y0 + height * shrink, x0 : x0 + width * shrink]
    rgb = np.ascontiguousarray(rgb if shrink == 1 else cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA))
    white = cv2.inRange(rgb, (250, 250, 250), (255, 255, 255))
    widest = p.hair_px if scale is None else p.hair_mm * scale.px_per_mm
    light: NDArray[Any] = _comb_out(linear(rgb), rgb, min(p.hair_share * across, widest) / shrink, p)
    if grow > 1:
        width, height = width * grow, height * grow
        light = cv2.resize(light, (width, height), interpolation=cv2.INTER_CUBIC)
        white = cv2.resize(white, (width, height), interpolation=cv2.INTER_NEAREST)
    step = shrink / grow
    sigma = max(p.smooth_px / step, 0.4)
    light = cv2.GaussianBlur(light, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    x, y = x0 + (np.arange(width) + 0.5) * step, y0 + (np.arange(height) + 0.5) * step
    labels = _sample(spots.labels, x, y, spots.factor)
    own = (labels == label).astype(np.uint8)
    return Crop(
        np.asarray(light, np.float32), own, np.not_equal(labels, 0).astype(np.uint8) - own,
        _sample(skin.mask.view(np.uint8), x, y, skin.factor), np.asarray(white, np.uint8), (x0, y0), step,
        (x0 == 0, y0 == 0, x1 == photo.width_px, y1 == photo.height_px),
        float(np.sqrt(sigma**2 + (shrink > 1) / 12)) * step,
    )  # fmt: skip


def _sample(grid: NDArray[Any], x: NDArray[Any], y: NDArray[Any], factor: float) -> NDArray[Any]:
    """The grid's value at photo places (ascending), nearest."""
    column = np.minimum((x / factor).astype(np.intp), grid.shape[1] - 1)
    row = np.minimum((y / factor).astype(np.intp), grid.shape[0] - 1)
    window = grid[row[0] : row[-1] + 1, column[0] : column[-1] + 1]
    return np.asarray(window[row - row[0]].take(column - column[0], axis=1))


def _comb_out(light: F32, rgb: RGBArray, width: float, p: MeasureParams) -> F32:
    """Replace hairs and glints by what lies beside them.

    Hairs are thin, long and dark in red, where blood is pale (black-hat; DullRazor, Lee et al. 1997). Glints are
    thin and add white light, most against the blue that skin hardly returns. The gaps are filled by normalised
    convolution (Knutsson & Westin 1993).
    """
    side = max(3, 2 * int(width / 2) + 1)
    square = np.ones((side, side), np.uint8)
    red, blue = np.ascontiguousarray(rgb[..., 0]), np.ascontiguousarray(rgb[..., 2])
    dip = cv2.morphologyEx(red, cv2.MORPH_BLACKHAT, square)
    gap = _long(cv2.compare(dip, cv2.addWeighted(red, p.hair_depth, dip, p.hair_depth, 4.0), cv2.CMP_GT), side)
    glint = cv2.morphologyEx(blue, cv2.MORPH_TOPHAT, square)
    gap = gap | np.asarray(
        cv2.compare(glint, cv2.addWeighted(blue, p.glint_height, blue, 0.0, 6.0), cv2.CMP_GT), np.uint8
    )
    if not cv2.countNonZero(gap):
        return light
    reach = 2 * ((side + 2) // 4) + 1  # with their shadow and blur
    bare = (cv2.dilate(gap, np.ones((reach, reach), np.uint8)) == 0).astype(np.float32)[..., None]
    sigma = max(1.0, 0.5 * side)
    near = np.maximum(cv2.GaussianBlur(bare, (0, 0), sigma), 1e-3)[..., None]
    return np.where(bare > 0, light, cv2.GaussianBlur(light * bare, (0, 0), sigma) / near)


def _long(thin: NDArray[Any], side: int) -> U8:
    """Of the thin things those that are long."""
    if cv2.countNonZero(thin) < 3 * side:
        return np.zeros_like(thin)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(thin, connectivity=8)
    length = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    long = (length >= max(3 * side, 0.35 * min(thin.shape))) & (stats[:, cv2.CC_STAT_AREA] <= 0.8 * side * length)
    long[0] = False
    return np.asarray(long[parts].astype(np.uint8) * 255, np.uint8)

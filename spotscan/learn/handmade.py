"""Features that people would name, from the crops: what the network has to beat.

The mark is cut out of the tight crop at half its contrast, as the pipeline does, then measured: colour above the
skin, spread, edge, gloss, dome, shape; from the wide crop what else there is around it.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.crops import CROP_PX, TIGHT, WIDE
from spotscan.learn.metrics import FloatArray
from spotscan.learn.prepared import Crops

NAMES = (
    "red", "green", "blue",  # median absorbance above the skin
    "log_diameter_px",
    "erythema", "melanin",  # green - red; blue - green: blood adds to the first, pigment to both
    "spread_red", "spread_green", "spread_blue",  # standard deviation inside
    "edge",  # steepest change of green across the boundary, per contrast
    "gloss",  # how far the brightest pixels lie below the median
    "dome",  # centre minus rim
    "filled",  # area over that of the disc of the diameter given
    "circularity", "elongation", "solidity",
    "around", "around_green",  # spread of the skin close to the mark
    "neighbours", "alike", "covered",  # other marks in the wide crop, how like, and their share of it
)  # fmt: skip
COLOUR_AND_SIZE = (0, 1, 2, 3)  # of NAMES
_RADIUS = CROP_PX / TIGHT / 2  # of the mark in the tight crop, px
_WIDE_RADIUS = CROP_PX / WIDE / 2
_LEAST_NEIGHBOUR = 4  # px of area in the wide crop, about half a diameter: less is noise
_Y, _X = np.mgrid[:CROP_PX, :CROP_PX] - (CROP_PX - 1) / 2
_FROM_CENTRE = np.hypot(_X, _Y)


def features(crops: Crops) -> FloatArray:
    """Hand-made features (n, len(NAMES)), finite everywhere."""
    rows = [_of_one(crop.astype(np.float32)) for crop in crops.crops]
    found = np.array(rows, float).reshape(len(crops), len(NAMES))
    found[:, NAMES.index("log_diameter_px")] = np.log(np.maximum(crops.diameter_px, 0.5))
    return np.asarray(np.nan_to_num(found))


def _of_one(crop: NDArray[np.float32]) -> list[float]:
    tight, wide = crop[:3], crop[3:]
    core = tight[:, _FROM_CENTRE < _RADIUS / 2]
    red, green, blue = np.median(core, axis=1)
    mark = _mark(tight)
    inside = tight[:, mark]
    ring = (_FROM_CENTRE > 1.25 * _RADIUS) & ~mark
    outside = tight[1, ring] if ring.any() else np.zeros(1)
    contrast = max(float(np.mean(inside)), 0.02)
    rim = tight[1, (_FROM_CENTRE > 0.6 * _RADIUS) & mark]
    smooth = cv2.GaussianBlur(np.ascontiguousarray(tight[1]), (0, 0), 1.0)
    steep = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)) / 8
    near_edge = np.abs(_FROM_CENTRE - _RADIUS) < _RADIUS / 2
    return [
        red, green, blue, 0.0, green - red, blue - green,
        *inside.std(1),
        float(np.percentile(steep[near_edge], 90)) / contrast,
        green - float(np.percentile(core[1], 2)),
        green - (float(np.median(rim)) if rim.size else green),
        float(mark.sum()) / (math.pi * _RADIUS**2),
        *_shape(mark),
        float(outside.std()), float(np.median(outside)),
        *_neighbours(wide, np.array([red, green, blue])),
    ]  # fmt: skip


def _mark(tight: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The connected region at half contrast that the centre lies in; the disc of the diameter where there is none."""
    disc = _FROM_CENTRE < _RADIUS
    level = tight.mean(0)
    half = float(np.median(level[_FROM_CENTRE < _RADIUS / 2])) / 2
    if half <= 0:
        return np.asarray(disc)
    _, labels = cv2.connectedComponents((level > half).astype(np.uint8), connectivity=4)
    near = labels[_FROM_CENTRE < _RADIUS / 2]
    near = near[near > 0]
    return np.asarray(labels == np.bincount(near).argmax()) if near.size else np.asarray(disc)


def _shape(mark: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Circularity, elongation and solidity of a region."""
    outlines, _ = cv2.findContours(mark.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=len)
    if len(outline) < 5:
        return 1.0, 1.0, 1.0
    length, area = cv2.arcLength(outline, True), cv2.contourArea(outline)
    hull = cv2.contourArea(cv2.convexHull(outline))
    (_, (a, b), _) = cv2.fitEllipse(outline)
    return (
        4 * math.pi * area / length**2 if length else 1.0,
        max(a, b) / max(min(a, b), 0.5),
        area / hull if hull else 1.0,
    )


def _neighbours(wide: NDArray[np.float32], colour: FloatArray) -> tuple[float, float, float]:
    """How many other marks of at least half the contrast, how like in colour (0 to 1), and their share of the crop."""
    half = max(float(colour.mean()) / 2, 0.03)
    level = wide.mean(0)
    n, labels, stats, _ = cv2.connectedComponentsWithStats((level > half).astype(np.uint8), connectivity=4)
    own = set(np.unique(labels[_FROM_CENTRE < _WIDE_RADIUS]))
    others = [i for i in range(1, n) if i not in own and stats[i, cv2.CC_STAT_AREA] >= _LEAST_NEIGHBOUR]
    if not others:
        return 0.0, 0.0, 0.0
    region = np.isin(labels, others)
    theirs: NDArray[Any] = np.median(wide[:, region], axis=1)
    alike = math.exp(-float(np.linalg.norm(theirs - colour)) / 0.2)
    return float(len(others)), alike, float(region.mean())

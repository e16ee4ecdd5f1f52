"""Labels: each mark's region, cut at half of its contrast; touching marks part at the saddle between them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.regions import boxes, set_pixels
from spotscan.segment.contrast import F32, Mask, blur
from spotscan.segment.marks import half_levels
from spotscan.segment.params import SegmentParams
from spotscan.segment.peaks import Peaks
from spotscan.types import FloatArray, Scale, Spots, View

Labels = NDArray[np.int32]


def label_marks(peaks: Peaks, smooth: F32, mask: Mask) -> Labels:
    """Regions 1..n of the n peaks; 0 elsewhere."""
    labels = np.zeros(smooth.shape, np.int32)
    levels = half_levels(peaks, smooth)
    domain = np.zeros(smooth.shape, np.uint8)
    for (x, y), radius, level in zip(np.rint(peaks.xy).astype(int), peaks.radius, levels, strict=True):
        reach = int(np.ceil(2.0 * radius)) + 1
        window = np.s_[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        domain[window] |= smooth[window] > level
    domain &= mask
    for i in np.argsort(peaks.score, kind="stable"):
        x, y = np.rint(peaks.xy[i]).astype(int)
        size = max(0, int(0.3 * peaks.radius[i]))
        labels[max(0, y - size) : y + size + 1, max(0, x - size) : x + size + 1] = i + 1
    domain[labels > 0] = 1
    _flood(labels, domain, smooth, peaks.radius)
    x, y = set_pixels(domain)
    rank = labels[y, x]
    low = smooth[y, x] <= np.r_[np.inf, levels][rank]
    labels[y[low], x[low]] = 0
    return labels


def _flood(labels: Labels, domain: Mask, smooth: F32, radius: FloatArray) -> None:
    """Grow the seeds in `labels` over the domain, in place: watershed where a part holds several, else all of it."""
    count, parts = cv2.connectedComponents(domain, connectivity=8)
    x, y = set_pixels(labels)
    pairs = np.unique(np.c_[parts[y, x], labels[y, x]], axis=0)
    part, held = np.unique(pairs[:, 0], return_counts=True)
    alone = np.zeros(count, np.int32)
    alone[part[held == 1]] = pairs[np.isin(pairs[:, 0], part[held == 1]), 1]
    x, y = set_pixels(domain)
    whole = alone[parts[y, x]]
    labels[y[whole > 0], x[whole > 0]] = whole[whole > 0]
    low, high = boxes(x, y, parts[y, x], count)
    crowded = part[held > 1]
    if not len(crowded):
        return
    from skimage.segmentation import watershed

    for i in crowded:
        window = np.s_[low[1, i] : high[1, i] + 1, low[0, i] : high[0, i] + 1]
        here = parts[window] == i
        grown = watershed(
            -_relief(smooth[window], here, float(radius[pairs[pairs[:, 0] == i, 1] - 1].min())),
            np.where(here, labels[window], 0),
            mask=here,
        )
        labels[window][here] = grown[here]


def _relief(smooth: F32, here: NDArray[np.bool_], radius: float) -> F32:
    """Where marks part: at dips of contrast, and at necks where their contrasts are alike. Both count from 0 to 1."""
    depth = cv2.distanceTransform(np.pad(here, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    height = blur(smooth, 0.35 * radius)
    low, high = float(height[here].min()), float(height[here].max())
    return np.asarray(depth / depth.max() + (height - low) / max(high - low, 1e-6), np.float32)


def keep_compact(labels: Labels, mask: Mask, peaks: Peaks, view: View, scale: Scale | None, p: SegmentParams) -> Spots:
    """Drop what is too long, too small or too much part of the skin's edge to be a mark; number the rest from 1."""
    n = len(peaks)
    x, y = set_pixels(labels)
    rank = labels[y, x]
    count = np.bincount(rank, minlength=n + 1)[1:].astype(float)
    safe = np.maximum(count, 1)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(rank, values, minlength=n + 1)[1:] / safe)

    mx, my = mean(x.astype(float)), mean(y.astype(float))
    dx, dy = x - mx[rank - 1], y - my[rank - 1]
    xx, yy, xy = mean(dx * dx) + 1 / 12, mean(dy * dy) + 1 / 12, mean(dx * dy)
    half, off = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    minor, major = np.sqrt(np.maximum(half - off, 1e-9)), np.sqrt(half + off)
    # A solid ellipse has an area of 4 pi times its two standard deviations; lace, rings and combs have less.
    solidity = count / (4 * np.pi * minor * major)
    rim = cv2.dilate(1 - mask, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    rim[_beside_reference(view, scale) > 0] = 0
    # The rim is two pixels wide, the perimeter that of a disc.
    rim_share = mean(rim[y, x].astype(float)) * safe / 2 / (2 * np.sqrt(np.pi * safe))
    keep = (
        (count >= 4)
        & (minor / major >= p.min_aspect)
        & (solidity >= p.min_region_solidity)
        & (rim_share <= p.max_on_rim)
    )
    if scale is not None:
        diameter_px = 2 * np.sqrt(count / np.pi) * view.factor
        px_per_mm = scale.px_per_mm_at(view.to_photo(np.c_[mx, my]))
        keep &= (diameter_px >= p.min_diameter_mm * px_per_mm) & (diameter_px <= p.max_diameter_mm * px_per_mm)
    renumber = np.zeros(n + 1, np.int32)
    renumber[1:][keep] = np.arange(1, keep.sum() + 1)
    kept = np.zeros_like(labels)
    kept[y, x] = renumber[rank]
    return Spots(kept, view.factor, peaks.score[keep])


def _beside_reference(view: View, scale: Scale | None) -> Mask:
    """The reference and a margin around it: it may cover part of a mark, and throws no limb's shadow."""
    out = np.zeros(view.rgb.shape[:2], np.uint8)
    if scale is None:
        return out
    margin = 2.0 * scale.px_per_mm / view.factor  # twice the margin that the skin leaves
    for polygon in scale.keep_out_px:
        corners = view.from_photo(polygon).astype(np.float32)
        cv2.fillPoly(out, [np.rint(corners).astype(np.int32)], 1)
        cv2.polylines(out, [np.rint(corners).astype(np.int32)], True, 1, max(1, round(2 * margin)))
    return out

"""A simple mask of the one lesion in a close-up, for photos published without one."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan import colour
from spotscan.types import BoolArray, RGBArray


@dataclass(frozen=True)
class MaskParams:
    """Parameters of `simple_mask`; shares are of the photo, contrast in absorbance (log10).

    With these values 55 % of the 681 PAD-UFES-20 crops with a published mask get a simple one; its median overlap
    (intersection over union) with the published is 0.88, and 5 % of them overlap by less than 0.4.
    """

    # The mask is found at this long side: finer detail only adds hairs and gloss.
    work_px: int = 160
    # Width of the rim taken for skin: close-ups leave some around the lesion.
    rim: float = 0.12
    # Below this contrast of the whole region the lesion cannot be told from blotchy skin.
    least_contrast: float = 0.07
    # The same over the scatter (1 sigma) of the rim: freckled and hairy skin is full of regions.
    over_rim: float = 1.5
    # Area of the region: smaller is a hair or a scab, larger is shade or the whole photo.
    area: tuple[float, float] = (0.004, 0.55)
    # How far the region's middle may lie from the photo's, per side: people aim.
    off_centre: float = 0.25
    # Share of the photo's rim that the region may cover: more, and its outline lies outside the photo.
    on_rim: float = 0.05
    # Area over that of the convex hull: circles of ink and creases are rings and lines.
    solidity: float = 0.78


def simple_mask(rgb: RGBArray, params: MaskParams | None = None) -> BoolArray | None:
    """Outline the lesion of a close-up.

    Otsu's threshold (Otsu 1979) on the absorbance of green and blue above that of the rim, a plane of shading
    taken off; of the regions, the largest and most central one, holes filled.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        Close-up of one lesion, near its middle.
    params : MaskParams, optional

    Returns
    -------
    (H, W) bool or None
        None where no region can be believed: a wrong outline teaches worse than none.
    """
    params = params or MaskParams()
    height, width = rgb.shape[:2]
    factor = min(1.0, params.work_px / max(height, width))
    size = (max(16, round(width * factor)), max(16, round(height * factor)))
    contrast = _contrast(np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8), params.rim)
    region = _central_region(contrast, _otsu(contrast))
    if region is None or not _credible(region, contrast, params):
        return None
    soft = cv2.resize(region.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(soft > 0.5, np.bool_)


def _rim(shape: tuple[int, ...], share: float) -> BoolArray:
    height, width = shape
    rim = np.ones((height, width), np.bool_)
    y, x = max(1, round(share * height)), max(1, round(share * width))
    rim[y : height - y, x : width - x] = False
    return rim


def _contrast(rgb: RGBArray, rim_share: float) -> NDArray[np.float32]:
    """Absorbance of green and blue above the rim's, without the plane of shading that best fits the rim."""
    absorbed = colour.absorbance(np.asarray(cv2.medianBlur(rgb, 5), np.uint8))[..., 1:].mean(axis=-1)
    rim = _rim(absorbed.shape, rim_share)
    y, x = np.mgrid[: absorbed.shape[0], : absorbed.shape[1]].astype(np.float32)
    design = np.stack([np.ones_like(x), x, y], axis=-1)
    keep = rim & (np.abs(absorbed - np.median(absorbed[rim])) < 0.3)  # ink, hair and vignettes lie in rims too
    if keep.sum() < 16:
        keep = rim
    plane, *_ = np.linalg.lstsq(design[keep], absorbed[keep], rcond=None)
    return np.asarray(absorbed - design @ plane, np.float32)


def _otsu(contrast: NDArray[np.float32]) -> float:
    codes = np.clip(contrast, -0.2, 1.0) + 0.2
    threshold, _ = cv2.threshold((codes * (255 / 1.2)).astype(np.uint8), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return float(threshold) * 1.2 / 255 - 0.2


def _central_region(contrast: NDArray[np.float32], threshold: float) -> BoolArray | None:
    """The largest region, those away from the middle counting less; holes filled."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    above = cv2.morphologyEx((contrast > threshold).astype(np.uint8), cv2.MORPH_OPEN, disc)
    n, labels, stats, centres = cv2.connectedComponentsWithStats(above, connectivity=4)
    if n < 2:
        return None
    height, width = contrast.shape
    away = (centres[1:] - [(width - 1) / 2, (height - 1) / 2]) / [width, height]
    worth = stats[1:, cv2.CC_STAT_AREA] * np.exp(-(away**2).sum(axis=1) / (2 * 0.15**2))
    largest = np.asarray(labels == 1 + int(np.argmax(worth)), np.uint8)
    outlines, _ = cv2.findContours(largest, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(contrast.shape, np.uint8)
    cv2.drawContours(filled, outlines, -1, (1.0,), cv2.FILLED)
    return np.asarray(filled > 0, np.bool_)


def _credible(region: BoolArray, contrast: NDArray[np.float32], params: MaskParams) -> bool:
    height, width = region.shape
    ys, xs = np.nonzero(region)
    away = max(abs(xs.mean() / (width - 1) - 0.5), abs(ys.mean() / (height - 1) - 0.5))
    edge = np.zeros_like(region)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    hull = cv2.contourArea(cv2.convexHull(np.stack([xs, ys], axis=-1).astype(np.float32)))
    around = cv2.dilate(region.astype(np.uint8), np.ones((15, 15), np.uint8)).astype(bool) & ~region
    step = float(np.median(contrast[region]) - np.median(contrast[around])) if around.any() else 0.0
    return bool(
        params.area[0] <= region.mean() <= params.area[1]
        and away <= params.off_centre
        and region[edge].mean() <= params.on_rim
        and len(xs) >= params.solidity * hull
        and step
        >= max(params.least_contrast, params.over_rim * float(np.std(contrast[_rim(region.shape, params.rim)])))
    )

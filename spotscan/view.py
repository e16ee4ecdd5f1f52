"""The photo at the resolutions at which the stages look at it."""

from __future__ import annotations

import math

import cv2
import numpy as np

from spotscan.types import Photo, Scale, View

# Skin is a matter of regions: this many pixels show it, and more only cost time.
SKIN_MEGAPIXELS = 0.3
# A mark of 0.5 mm is at least 4.2 px across at this resolution; the finest scale of the segmentation answers to 5 px.
SPOTS_PX_PER_MM = 8.5
# Beyond this the time for one photo leaves the budget; the finest marks are then nearer to 3 px.
SPOTS_MEGAPIXELS = 3.2


def shrink(photo: Photo, factor: int) -> View:
    """The photo area-averaged by a whole factor (>= 1)."""
    if factor <= 1:
        return View(photo.rgb, 1.0)
    height, width = photo.height_px // factor, photo.width_px // factor
    whole = photo.rgb[: height * factor, : width * factor]
    small = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    return View(np.asarray(small, np.uint8), float(factor))


def view_for_skin(photo: Photo) -> View:
    """The photo at about 0.3 megapixels."""
    return shrink(photo, _factor_for_megapixels(photo, SKIN_MEGAPIXELS))


def view_for_spots(photo: Photo, scale: Scale | None) -> View:
    """The photo at the coarsest resolution that shows a mark of 0.5 mm; without a scale, as fine as time allows."""
    factor = _factor_for_megapixels(photo, SPOTS_MEGAPIXELS)
    if scale is not None:
        factor = max(factor, math.floor(scale.px_per_mm / SPOTS_PX_PER_MM))
    return shrink(photo, max(1, min(factor, min(photo.width_px, photo.height_px) // 64)))


def _factor_for_megapixels(photo: Photo, megapixels: float) -> int:
    return max(1, math.ceil(math.sqrt(photo.width_px * photo.height_px / (megapixels * 1e6)) - 0.15))

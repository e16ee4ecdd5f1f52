"""The photo at the resolutions at which the stages look at it."""

from __future__ import annotations

import math

import cv2
import numpy as np

from spotscan.types import Photo, RGBArray, Scale, View

# Skin is a matter of regions: this many pixels show it, and more only cost time.
SKIN_MEGAPIXELS = 0.3
# A mark of 0.5 mm is at least 4.2 px across at this resolution; the finest scale of the segmentation answers to 5 px.
SPOTS_PX_PER_MM = 8.5
# Beyond this the time for one photo leaves the budget; the finest marks are then nearer to 3 px.
SPOTS_MEGAPIXELS = 3.2


def view_for_spots(photo: Photo, scale: Scale | None) -> View:
    """The photo at the coarsest resolution that shows a mark of 0.5 mm; without a scale, as fine as time allows."""
    factor = _factor_for_megapixels(photo.rgb, SPOTS_MEGAPIXELS)
    if scale is not None:
        factor = max(factor, math.floor(scale.px_per_mm / SPOTS_PX_PER_MM))
    return _shrink(View(photo.rgb, 1.0), max(1, min(factor, min(photo.width_px, photo.height_px) // 64)))


def view_for_skin(view: View) -> View:
    """A view shrunk further, to about 0.3 megapixels."""
    return _shrink(view, _factor_for_megapixels(view.rgb, SKIN_MEGAPIXELS))


def _shrink(view: View, factor: int) -> View:
    """Area-averaged by a whole factor (>= 1); a remainder at the right and lower edges is left out."""
    if factor <= 1:
        return view
    height, width = view.rgb.shape[0] // factor, view.rgb.shape[1] // factor
    whole = view.rgb[: height * factor, : width * factor]
    small = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    return View(np.asarray(small, np.uint8), view.factor * factor)


def _factor_for_megapixels(rgb: RGBArray, megapixels: float) -> int:
    return max(1, math.ceil(math.sqrt(rgb.shape[0] * rgb.shape[1] / (megapixels * 1e6)) - 0.15))

"""Spots: every discrete red, purple, brown or black mark, segmented against the skin around it.

1. *Mark contrast* (`contrast`): one channel in which blood and pigment stand out from this photo's skin, its shading
   and its noise; hairs and shine are taken out.
2. *Candidates* (`peaks`): maxima over place and scale of a difference-of-Gaussians pyramid, each compared with the
   noise of the skin at its own scale and place, and with its roundness (hairs and creases are ridges, not peaks).
3. *Marks* (`marks`): one peak a mark, large and small.
4. *Labels* (`labels`): each mark's region at half its contrast, touching ones parted; what is no mark by its shape is
   dropped.
5. *Dark marks* (`dark`): black and blue ones, sought again in red light.
"""

from __future__ import annotations

import cv2
import numpy as np

from spotscan.segment.contrast import blur, mark_contrast
from spotscan.segment.dark import add_dark_marks
from spotscan.segment.labels import keep_compact, label_marks
from spotscan.segment.marks import cover, on_hair, select_marks
from spotscan.segment.params import SegmentParams
from spotscan.segment.peaks import find_peaks, pyramid
from spotscan.types import Scale, Skin, Spots, View

__all__ = ["SegmentParams", "find_spots"]


def find_spots(view: View, skin: Skin, scale: Scale | None, params: SegmentParams | None = None) -> Spots:
    """Segment every mark on the skin.

    Parameters
    ----------
    view : View
        The photo at the resolution of the smallest mark (`spotscan.view`).
    skin : Skin
        Where to look; any resolution.
    scale : Scale or None
        With it, sizes are limited in mm; without, in px only.

    Returns
    -------
    Spots
        Labels at the resolution of the view; empty where nothing was found.
    """
    p = params or SegmentParams()
    height, width = view.rgb.shape[:2]
    mask = np.asarray(
        cv2.resize(skin.mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST), np.uint8
    )
    if not mask.any():
        return Spots(np.zeros((height, width), np.int32), view.factor, np.zeros(0))
    contrast, hairs = mark_contrast(view, mask, p, sized=scale is not None)
    smooth = blur(contrast, 0.7 * p.first_sigma_px)
    levels = pyramid(contrast, mask, p)
    marks = np.zeros_like(mask)
    for _ in range(p.passes):  # each pass leaves the marks of the one before out of the noise
        peaks = find_peaks(levels, marks, p)
        peaks = select_marks(peaks[~on_hair(peaks, hairs, p)], smooth, p)
        marks = cover(peaks, mask.shape)
    spots = keep_compact(label_marks(peaks, smooth, mask), mask, peaks, view, scale, p)
    return add_dark_marks(spots, view, mask, hairs, scale, p)

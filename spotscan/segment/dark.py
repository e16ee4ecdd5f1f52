"""Black and blue marks: they take red light too, so that a filter made for blood takes them for shadow.

They are sought again in the red absorbance, where blood is pale and shadow is as strong as they are: only large ones,
solid, and with a sharp edge all around, which shadows and folds have not.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from spotscan.colour import SRGB_TO_ABSORBANCE
from spotscan.regions import set_pixels
from spotscan.segment.contrast import Mask, blur, comb_out, fill_outside
from spotscan.segment.labels import Labels, keep_compact, label_marks
from spotscan.segment.marks import is_sharp, select_marks
from spotscan.segment.params import SegmentParams
from spotscan.segment.peaks import find_peaks, pyramid
from spotscan.types import Scale, Spots, View


def add_dark_marks(spots: Spots, view: View, mask: Mask, hairs: Mask, scale: Scale | None, p: SegmentParams) -> Spots:
    """`spots` with the dark marks that were missed, or of which only a part was found."""
    size = (view.rgb.shape[1] // 2, view.rgb.shape[0] // 2)
    red = cv2.resize(
        np.ascontiguousarray(view.rgb[: 2 * size[1], : 2 * size[0], 0]), size, interpolation=cv2.INTER_AREA
    )
    skin = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    if not skin.any():
        return spots
    hair = np.asarray(cv2.resize(hairs, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    absorbed = comb_out(fill_outside(np.asarray(cv2.LUT(red, SRGB_TO_ABSORBANCE), np.float32), skin), hair)
    smooth = blur(absorbed, 0.7 * p.first_sigma_px)
    strict = replace(
        p,
        min_contrast=p.min_dark_contrast,
        min_edge_share=p.min_dark_edge_share,
        faint_radius_px=0.0,
        min_snr_sharp=p.min_snr,
    )
    peaks = find_peaks(pyramid(absorbed, skin, strict), np.zeros_like(skin), strict)
    peaks = select_marks(peaks, smooth, strict)
    peaks = peaks[is_sharp(peaks, smooth, strict)]
    if not len(peaks):
        return spots
    half = View(view.rgb[::2, ::2][: size[1], : size[0]], 2 * view.factor)
    found = keep_compact(label_marks(peaks, smooth, skin), skin, peaks, half, scale, strict)
    if not len(found):
        return spots
    whole = cv2.resize(found.labels, view.rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return _merge(spots, np.asarray(whole, np.int32), found)


def _merge(spots: Spots, dark: Labels, found: Spots) -> Spots:
    """Add each dark region that no spot covers by half; the spots that lie mostly in it are parts of it."""
    labels, snr = spots.labels.copy(), list(spots.snr)
    x, y = set_pixels(labels)
    area = np.bincount(labels[y, x], minlength=len(snr) + 1)
    gone = np.zeros(len(snr) + 1, bool)
    x, y = set_pixels(dark)
    for i in range(1, len(found) + 1):
        region = dark[y, x] == i
        region = y[region], x[region]
        shared = np.bincount(spots.labels[region], minlength=len(area))[1:]
        if shared.max(initial=0) >= 0.5 * len(region[0]):
            continue
        gone[1:] |= shared > 0.5 * area[1:]
        labels[region] = len(snr) + 1
        snr.append(found.snr[i - 1])
    renumber = np.zeros(len(snr) + 1, np.int32)
    keep = np.flatnonzero(~np.r_[gone, np.zeros(len(snr) + 1 - len(gone), bool)])[1:]
    renumber[keep] = np.arange(1, len(keep) + 1)
    return Spots(renumber[labels], spots.factor, np.array(snr)[keep - 1])

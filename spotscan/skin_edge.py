"""Where exactly skin ends: the boundary of a coarse skin mask, put right at the resolution of the view.

Part of `spotscan.skin`. Near the boundary each pixel is taken as a mixture of the colour of the skin and of
the background beside it, and is skin where skin is the greater part.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.skin_colour import WEIGHTS, Float, chroma
from spotscan.types import BoolArray, RGBArray


@dataclass(frozen=True)
class EdgeParams:
    """Parameters of `refine_edge`."""

    # Radius within which the colours beside the boundary are taken, px of the coarse mask; shade changes
    # little over it.
    reach: int = 4
    # Colours nearer than this (absorbance) cannot tell where one ends.
    least_contrast: float = 0.05
    # How far the mask stays inside, px of 0.3 megapixels: the pixel of the edge is a mixture, and its dark
    # rim would look like a mark.
    inset: float = 1.2


def refine_edge(coarse: BoolArray, colours: Float, rgb: RGBArray, flare: float, params: EdgeParams) -> BoolArray:
    """Put the boundary where the colour turns from the skin's to the background's, and a little inside.

    Parameters
    ----------
    coarse : (k, l) bool
        Skin.
    colours : (k, l, 3) float32
        `spotscan.skin_colour.chroma` of the photo at the resolution of `coarse`.
    rgb : (h, w, 3) uint8
        The view.
    flare : float
        As for `chroma`.
    params : EdgeParams

    Returns
    -------
    (h, w) bool
        Where skin meets the frame it reaches the frame.
    """
    h, w = rgb.shape[:2]
    inside = coarse.astype(np.uint8)
    mask = cv2.resize(inside.astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR) > 0.5
    if coarse.all() or not coarse.any():
        return np.asarray(mask)
    sure_skin = np.asarray(cv2.erode(inside, np.ones((3, 3), np.uint8)), np.uint8)
    sure_back = np.asarray(1 - cv2.dilate(inside, np.ones((3, 3), np.uint8)), np.uint8)
    skin, near_skin = _beside(colours, sure_skin, params.reach)
    back, near_back = _beside(colours, sure_back, params.reach)
    band = cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8))
    known = (band > 0) & (near_skin > 0.02) & (near_back > 0.02)
    y, x = np.nonzero(cv2.resize(known.astype(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST))
    cell = (y * coarse.shape[0] // h, x * coarse.shape[1] // w)
    here = chroma(np.asarray(cv2.blur(rgb, (3, 3)), np.uint8)[y, x][:, None], flare)[:, 0] * WEIGHTS
    skin, back = skin[cell], back[cell]
    axis = skin - back
    contrast = (axis * axis).sum(axis=1)
    share = ((here - back) * axis).sum(axis=1)
    # Redder than the skin beside it is a mark, unless the background is red.
    is_mark = (skin[:, 0] > back[:, 0]) & (here[:, 0] > skin[:, 0])
    sure = contrast > params.least_contrast**2
    mask[y[sure], x[sure]] = (is_mark | (share > 0.5 * contrast))[sure]
    inset = round(params.inset * float(np.sqrt(h * w / 3e5)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * inset + 1, 2 * inset + 1))
    smooth = cv2.medianBlur(mask.astype(np.uint8), 5)
    return np.asarray(cv2.erode(smooth, disc, borderType=cv2.BORDER_REPLICATE) > 0)


def _beside(colours: Float, where: NDArray[np.uint8], reach: int) -> tuple[Float, Float]:
    """Weighted mean colour over `where` around each pixel, and how much of it there is."""
    weight = where.astype(np.float32)
    side = (2 * reach + 1, 2 * reach + 1)
    amount = np.asarray(cv2.blur(weight, side), np.float32)
    total = cv2.blur(colours * WEIGHTS * weight[..., None], side)
    return np.asarray(total / np.maximum(amount, 1e-4)[..., None], np.float32), amount

"""Why: which part of a mark's picture its class rests on (occlusion, Zeiler & Fergus 2014)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

from spotscan.classes import softmax
from spotscan.crops import CROP_PX, crop_box, mark_crops
from spotscan.types import RGBArray
from spotscan.weights import F32, Weights, load_weights

_PATCH, _STEP = 8, 4  # crop px: half a mark's diameter, moved by a quarter


@dataclass(frozen=True, eq=False)
class Saliency:
    """What the probability of a class rests on, of the mark by itself.

    Attributes
    ----------
    box_px : (x, y, w, h)
        The square of the photo that `weights` covers.
    weights : (CROP_PX, CROP_PX) float32
        How much the probability falls when this part is replaced by plain skin: 1 where it falls most, 0 where it
        does not; all 0 where no part matters by itself.
    surroundings : float
        How much it falls when all around the mark, its neighbours too, is replaced by plain skin; 0 to 1.
    """

    box_px: tuple[float, float, float, float]
    weights: F32
    surroundings: float


def mark_saliency(
    rgb: RGBArray,
    centre_px: ArrayLike,
    diameter_px: float,
    weights: Weights | None = None,
    class_index: int | None = None,
) -> Saliency:
    """Saliency of one mark, about 0.1 s.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
    centre_px : (2,)
    diameter_px : float
    weights : Weights, optional
        Default the pinned ones.
    class_index : int, optional
        Of the class to explain (spot, angioma, lesion); by default the likeliest of this mark alone, which marks that
        look alike may have overruled.
    """
    weights = weights or load_weights()
    centre = np.asarray(centre_px, float).reshape(2)
    crop = mark_crops(rgb, centre, [diameter_px])[0]
    starts = [(y, x) for y in range(0, CROP_PX - _PATCH + 1, _STEP) for x in range(0, CROP_PX - _PATCH + 1, _STEP)]
    covered = np.repeat(crop[None], len(starts) + 2, axis=0)
    for one, (y, x) in zip(covered, starts, strict=False):
        one[:3, y : y + _PATCH, x : x + _PATCH] = 0  # 0 is plain skin
    covered[-2, 3:] = 0
    chance = softmax(np.asarray(weights.logits(covered), float)[:, :3] / weights.temperature)
    chance = chance[:, chance[-1].argmax() if class_index is None else class_index]
    falls = np.maximum(chance[-1] - chance, 0)
    total, times = np.zeros((CROP_PX, CROP_PX)), np.zeros((CROP_PX, CROP_PX))
    for fall, (y, x) in zip(falls, starts, strict=False):
        total[y : y + _PATCH, x : x + _PATCH] += fall
        times[y : y + _PATCH, x : x + _PATCH] += 1
    mean = cv2.GaussianBlur((total / times).astype(np.float32), (0, 0), _STEP / 2)
    peak = float(mean.max())
    share = mean / peak if peak > 1e-6 else np.zeros_like(mean)
    return Saliency(crop_box(centre, diameter_px), np.asarray(share, np.float32), float(falls[-2]))

"""The colours in which skin is told from other things. Part of `spotscan.skin`."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.colour import SRGB_TO_LINEAR
from spotscan.types import RGBArray

Float = NDArray[np.float32]
# Distances of colours: lightness, which shade changes too, counts half.
WEIGHTS = np.array([1.0, 1.0, 0.5], np.float32)


def chroma(rgb: RGBArray, flare: float) -> Float:
    """A_green - A_red, A_blue - A_green and the mean absorbance of sRGB pixels: (h, w, 3) float32.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
    flare : float
        Reflectance added to all: colours darker than this fade to grey.
    """
    table = -np.log10(SRGB_TO_LINEAR + np.float32(flare)).astype(np.float32)
    to_chroma = np.array([[-1, 1, 0], [0, -1, 1], [1 / 3, 1 / 3, 1 / 3]], np.float32)
    return np.asarray(cv2.transform(cv2.LUT(rgb, table), to_chroma), np.float32)


def central(shape: tuple[int, ...]) -> Float:
    """1 in the middle of the frame, 0.02 in its corners: where people aim."""
    y = (np.arange(shape[0], dtype=np.float32)[:, None] + 0.5) / shape[0] - 0.5
    x = (np.arange(shape[1], dtype=np.float32)[None] + 0.5) / shape[1] - 0.5
    return np.asarray(np.exp(-8.0 * (x * x + y * y)), np.float32)

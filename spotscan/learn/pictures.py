"""Crops as pictures that a person can look at."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SKIN = np.array([0.16, 0.34, 0.46], np.float32)  # absorbance of light skin, red, green, blue: what 0 is shown as


def crop_pictures(crops: NDArray[Any]) -> NDArray[np.uint8]:
    """Tight and wide crop side by side, (n, h, 2 w, 3) sRGB, of crops (n, 6, h, w), as if all on one light skin."""
    pairs = np.concatenate([crops[:, :3], crops[:, 3:]], 3).transpose(0, 2, 3, 1).astype(np.float32)
    light = np.clip(10 ** -(pairs + _SKIN), 0, 1)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(255 * srgb), np.uint8)


def sheet(pictures: NDArray[np.uint8], columns: int = 10, gap: int = 2) -> NDArray[np.uint8]:
    """One picture (H, W, 3) of many (n, h, w, 3), row by row on white."""
    n, height, width = pictures.shape[:3]
    rows = max(math.ceil(n / columns), 1)
    page = np.full((rows * (height + gap), columns * (width + gap), 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = (i // columns) * (height + gap), (i % columns) * (width + gap)
        page[y : y + height, x : x + width] = picture
    return page

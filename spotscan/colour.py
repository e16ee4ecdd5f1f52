"""Colour spaces made for blood and pigment in skin.

Absorbance: A = -log10(reflectance) per channel of linear sRGB. Shading multiplies all channels alike, so it adds the
same number to all three; blood adds most to green and blue, melanin to blue, green and red in falling order.
The erythema index is A_green - A_red (Dawson et al. 1980; Takiwaki 1998), which shading cancels out of.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.types import RGBArray

_SRGB = np.arange(256) / 255.0
SRGB_TO_LINEAR = np.where(_SRGB <= 0.04045, _SRGB / 12.92, ((_SRGB + 0.055) / 1.055) ** 2.4).astype(np.float32)
# Below this reflectance (about code 6 of 255) a phone's pixel is noise and flare, not absorbance.
_FLOOR = 0.002
SRGB_TO_ABSORBANCE = -np.log10(np.maximum(SRGB_TO_LINEAR, _FLOOR)).astype(np.float32)


def linear(rgb: RGBArray) -> NDArray[np.float32]:
    """Linear light of sRGB pixels: (..., 3) float32, 0 to 1 (IEC 61966-2-1)."""
    return np.asarray(cv2.LUT(rgb, SRGB_TO_LINEAR), dtype=np.float32)


def encoded(light: NDArray[Any]) -> NDArray[Any]:
    """SRGB codes, 0 to 1, of linear light 0 to 1, as floating point (IEC 61966-2-1)."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def absorbance(rgb: RGBArray) -> NDArray[np.float32]:
    """Absorbance of sRGB pixels: (..., 3) float32, 0 (white) to 2.7 (black), in log10 units."""
    return np.asarray(cv2.LUT(rgb, SRGB_TO_ABSORBANCE), dtype=np.float32)


def lab(rgb: RGBArray) -> NDArray[np.float32]:
    """CIE L*a*b* (D65) of sRGB pixels: (..., 3) float32; L* 0 to 100."""
    return np.asarray(cv2.cvtColor(rgb.astype(np.float32) / 255.0, cv2.COLOR_RGB2Lab), dtype=np.float32)


def ita_deg(lightness: float, b_star: float) -> float:
    """Individual typology angle, atan2(L* - 50, b*) in degrees (Chardon et al. 1991)."""
    return float(np.degrees(np.arctan2(lightness - 50.0, b_star)))


def skin_tone(ita: float | None) -> str | None:
    """Light (ITA > 41), medium (10 to 41) or dark (< 10): Chardon's six groups taken in pairs."""
    if ita is None:
        return None
    return "light" if ita > 41 else "medium" if ita >= 10 else "dark"

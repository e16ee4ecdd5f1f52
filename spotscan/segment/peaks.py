"""Candidates: maxima over place and scale of a difference-of-Gaussians pyramid, each against the noise around it.

Lowe (2004), Lindeberg (1998). For a disc of radius r the difference of Gaussians G(s) - G(2s) is strongest at
s = r / 1.92, with 0.4725 of the contrast: the maximum of exp(-t/4) - exp(-t), t = r^2 / 2s^2.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.regions import set_pixels
from spotscan.segment.contrast import F32, Mask, blur
from spotscan.segment.params import SegmentParams
from spotscan.types import BoolArray, FloatArray

RADIUS_PER_SIGMA = 1.92
PEAK_PER_CONTRAST = 0.4725
# Responses are smooth over sigma, at least 1.3 px: every third of them tells the noise.
_NOISE_STRIDE = 3


@dataclass(frozen=True, eq=False)
class Peaks:
    """Candidates, as parallel arrays: place (view px), radius (view px), contrast (absorbance), score (SNR)."""

    xy: FloatArray
    radius: FloatArray
    contrast: FloatArray
    score: FloatArray

    def __getitem__(self, rows: NDArray[np.int64] | BoolArray) -> Peaks:
        return Peaks(self.xy[rows], self.radius[rows], self.contrast[rows], self.score[rows])

    def __len__(self) -> int:
        return len(self.radius)


@dataclass(frozen=True, eq=False)
class Level:
    """The maxima of one scale, and a sparse sample of its response to take the noise from.

    `xy` in view px, `place` in px of the sample, `radius` in view px, `value` the response, `sample` and `skin` sparse.
    """

    xy: FloatArray
    place: FloatArray
    radius: float
    value: FloatArray
    roundness: FloatArray
    sample: F32
    skin: Mask
    window: float


def pyramid(contrast: F32, mask: Mask, p: SegmentParams) -> list[Level]:
    """Difference-of-Gaussians pyramid, two scales to the octave."""
    image, step, sigma = blur(contrast, p.first_sigma_px), 1.0, p.first_sigma_px
    levels = []
    while min(image.shape) >= 12 and cv2.countNonZero(mask) >= 50:
        stack = [image]
        for k in range(3):  # sigma * sqrt(2)^k, each blurred from the one before
            stack.append(blur(stack[-1], sigma * np.sqrt(2.0**k)))
        for k in range(2):
            response = np.asarray(cv2.subtract(stack[k], stack[k + 2]), np.float32)
            levels.append(_level(response, mask, sigma * np.sqrt(2.0) ** k, step, p))
        size = (image.shape[1] // 2, image.shape[0] // 2)
        image = np.asarray(cv2.resize(stack[2], size, interpolation=cv2.INTER_AREA), np.float32)
        mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        step *= 2
    return levels


def _level(response: F32, mask: Mask, sigma: float, step: float, p: SegmentParams) -> Level:
    top = cv2.compare(response, cv2.dilate(response, np.ones((3, 3), np.uint8)), cv2.CMP_GE)
    radius = RADIUS_PER_SIGMA * sigma * step
    floor = p.min_contrast * (1 + p.faint_radius_px / radius)
    high = (response >= floor * PEAK_PER_CONTRAST).view(np.uint8)
    x, y = set_pixels(cv2.bitwise_and(top, high, mask=mask))
    roundness = _roundness(response, x, y)
    keep = roundness >= p.min_roundness
    x, y, roundness = x[keep], y[keep], roundness[keep]
    xy = np.stack([x, y], axis=1).astype(float)
    sparse = np.s_[::_NOISE_STRIDE, ::_NOISE_STRIDE]
    return Level(
        xy=(xy + 0.5) * step - 0.5,
        place=xy / _NOISE_STRIDE,
        radius=radius,
        value=response[y, x].astype(float),
        roundness=roundness,
        sample=np.ascontiguousarray(response[sparse]),
        skin=np.ascontiguousarray(mask[sparse]),
        window=sigma * p.noise_window / _NOISE_STRIDE,
    )


def find_peaks(levels: list[Level], marks: Mask, p: SegmentParams) -> Peaks:
    """All maxima, scored against the noise around them; `marks` (view px) are left out of the noise."""
    parts = [(lv.value / _noise(lv, marks, p) * np.sqrt(lv.roundness), lv) for lv in levels if len(lv.value)]
    if not parts:
        return Peaks(np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0))
    peaks = Peaks(
        np.concatenate([lv.xy for _, lv in parts]),
        np.concatenate([np.full(len(lv.xy), lv.radius) for _, lv in parts]),
        np.concatenate([lv.value for _, lv in parts]) / PEAK_PER_CONTRAST,
        np.concatenate([score for score, _ in parts]),
    )
    return peaks[peaks.score >= p.min_snr_sharp]


def _noise(level: Level, marks: Mask, p: SegmentParams) -> FloatArray:
    """1-sigma noise of the skin at one scale, at each maximum: local where it can be, robust against the marks.

    Only what lies below the skin's level counts: marks rise above it, texture and shine go both ways.
    """
    height, width = level.sample.shape
    taken = np.asarray(cv2.resize(marks, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    skin = level.skin & (1 - taken)
    if cv2.countNonZero(skin) < 0.1 * cv2.countNonZero(level.skin):
        skin = level.skin
    values = level.sample[skin > 0]
    values = values[:: max(1, len(values) // 6_000)]
    centre = float(np.median(values))
    spread = max(1.4826 * float(np.median(np.abs(values - centre))), 1e-6)
    below = np.clip(centre - level.sample, 0, p.noise_clip * spread) * skin
    shrink = max(1, int(level.window / 4))
    size = (max(1, width // shrink), max(1, height // shrink))
    near = blur(np.asarray(cv2.resize(below, size, interpolation=cv2.INTER_AREA), np.float32), level.window / shrink)
    free = np.asarray(cv2.resize(skin.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32)
    # Few free pixels near by say little: lean on the whole skin as they get fewer.
    local = (np.sqrt(2 * np.pi) * near + 0.05 * spread) / (blur(free, level.window / shrink) + 0.05)
    column = np.minimum((level.place[:, 0] * size[0] / width).astype(int), size[0] - 1)
    row = np.minimum((level.place[:, 1] * size[1] / height).astype(int), size[1] - 1)
    return np.asarray(np.maximum(local[row, column], 0.5 * spread), float)


def _roundness(image: F32, x: NDArray[np.int64], y: NDArray[np.int64]) -> FloatArray:
    """Smaller over larger principal curvature at each peak, 0 (ridge) to 1 (round)."""
    x, y = np.clip(x, 1, image.shape[1] - 2), np.clip(y, 1, image.shape[0] - 2)
    centre = image[y, x]
    xx = image[y, x + 1] - 2 * centre + image[y, x - 1]
    yy = image[y + 1, x] - 2 * centre + image[y - 1, x]
    xy = (image[y + 1, x + 1] + image[y - 1, x - 1] - image[y + 1, x - 1] - image[y - 1, x + 1]) / 4
    mean, difference = -(xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    return np.asarray(np.clip((mean - difference) / (mean + difference + 1e-9), 0, 1), float)

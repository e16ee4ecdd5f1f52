"""Steep places across a rough ellipse, at full resolution and in linear light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.colour import SRGB_TO_LINEAR
from spotscan.types import FloatArray, RGBArray


@dataclass(frozen=True)
class RimParams:
    """How rims are measured.

    Attributes
    ----------
    reach : tuple of float
        Half the length of the profiles in each round, as a share of the radius.
    least_reach_px : float
        The same in px: blur takes its place.
    profiles : tuple of int
        At most so many profiles in each round; fewer where the rim has fewer pixels.
    draws : int
        Ellipses drawn through five places each.
    smooth_px : float
        1-sigma of the smoothing of profiles.
    weak : float
        A steep place counts from this share of its profile's steepest, relative to the light around it ...
    strong : float
        ... and in full where it is the steepest and this share of what is common on this rim.
    noise : float
        Nothing counts below this many times what is common around the coin.
    tolerance, tolerance_px : float
        Distance from the ellipse at which a steep place is on it, share of the radius or px, the larger.
    least : float
        Share of the profiles that must agree with the best ellipse.
    nearly, outer : float
        Share of the best ellipse's agreement that another must have to be the rim: one that touches it from
        within; one around it.
    outside : float
        How far steep places outside an ellipse speak against it.
    floor_px : float
        Least 1-sigma error of the rim as a whole: blur that mixes it with its bright border.
    """

    reach: tuple[float, float] = (0.12, 0.04)
    least_reach_px: float = 3.0
    profiles: tuple[int, int] = (120, 240)
    draws: int = 200
    smooth_px: float = 0.7
    weak: float = 0.12
    strong: float = 0.7
    noise: float = 2.0
    tolerance: float = 0.0035
    tolerance_px: float = 0.5
    least: float = 0.25
    nearly: float = 0.97
    outer: float = 0.5
    outside: float = 0.5
    floor_px: float = 0.5


def circle_angles(n: int) -> FloatArray:
    """Angles (n,) evenly around a circle."""
    return np.asarray(np.arange(n) * (2 * np.pi / n), float)


def on_ellipse(ellipse: FloatArray, angle: FloatArray, size: FloatArray | float = 1.0) -> FloatArray:
    """Points (..., 2) at angles (of the circle it was) and relative sizes."""
    cx, cy, a, b, turn = ellipse[:5]
    u, v = size * a * np.cos(angle), size * b * np.sin(angle)
    return np.stack([cx + np.cos(turn) * u - np.sin(turn) * v, cy + np.sin(turn) * u + np.cos(turn) * v], axis=-1)


@dataclass(frozen=True, eq=False)
class Steps:
    """Steep places: the profile each is on, its angle, its relative radius, and how far it is believed."""

    profile: NDArray[np.intp]
    angle: FloatArray
    radius: FloatArray
    belief: FloatArray
    n_profiles: int


def steps_across(rgb: RGBArray, ellipse: FloatArray, reach: float, most: int, params: RimParams) -> tuple[Steps, float]:
    """Steep places within `reach` of the ellipse, and the tolerance there, share of the radius."""
    radius = float(np.sqrt(ellipse[2] * ellipse[3]))
    tolerance = max(params.tolerance, params.tolerance_px / radius)
    reach = min(max(reach, params.least_reach_px / radius), 0.3)
    n = int(np.clip(2 * np.pi * radius / 1.5, 72, most))
    step = max(0.5, reach * radius / 40)  # px
    m = 2 * int(np.ceil(reach * radius / step)) + 1
    size = 1 + np.linspace(-reach, reach, m)
    step = 2 * reach * radius / (m - 1)
    angle = circle_angles(n)
    xy = on_ellipse(ellipse, angle[:, None], size[None, :]).astype(np.float32)
    inside = (xy[..., 0] > 0) & (xy[..., 1] > 0) & (xy[..., 0] < rgb.shape[1] - 1) & (xy[..., 1] < rgb.shape[0] - 1)
    codes = cv2.remap(rgb, xy[..., 0], xy[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    light = cv2.LUT(codes, SRGB_TO_LINEAR)
    # Along the rim, over a few pixels or half a degree; across it, by the given blur.
    light = np.concatenate([light[-2:], light, light[:2]])
    light = cv2.GaussianBlur(light, (0, 0), sigmaX=max(params.smooth_px / step, 0.3), sigmaY=0.7)[2:-2]
    slope = np.gradient(light, axis=1)
    steep = np.sqrt((slope**2).sum(axis=2))
    level = cv2.blur(light.sum(axis=2), (max(3, int(3 / step) | 1), 1)) + np.float32(0.05)
    relative = np.where(inside, steep / level, 0)
    top = relative.max(axis=1, keepdims=True)
    noise = np.quantile(relative[:, m - max(3, m // 6) :].mean(axis=1), 0.3)  # of skin or cloth around it
    peak = (relative > np.maximum(params.noise * noise, params.weak * top))[:, 1:-1]
    peak &= (steep[:, 1:-1] >= steep[:, :-2]) & (steep[:, 1:-1] > steep[:, 2:])
    i, j = np.nonzero(peak)
    before, here, after = (steep[i, j + k].astype(float) for k in (0, 1, 2))
    part = 0.5 * (before - after) / np.minimum(before - 2 * here + after, -1e-9)
    belief = relative[i, j + 1] / np.maximum(top[i, 0], params.strong * np.median(top))
    return Steps(i, angle[i], size[j + 1] + part * (size[1] - size[0]), np.asarray(belief, float), n), tolerance

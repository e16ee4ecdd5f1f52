"""Where a coin's metal ends: its colour against that of what it lies on.

The steepest places across a rim are often not its outline but the inner edge of its raised border, or the end of its
shadow. Relief, shade and shadow change how light a place is, but metal and skin differ in hue. Light there is a sum of
the two (linear unmixing, Keshava & Mustard 2002), each as bright as it may be: their shares tell where one ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from spotscan.colour import SRGB_TO_LINEAR
from spotscan.references.coins_rim import Rim, moved, rim_of, settled
from spotscan.references.coins_steps import RimParams, Steps, circle_angles, on_ellipse
from spotscan.types import FloatArray, RGBArray


@dataclass(frozen=True)
class SilhouetteParams:
    """When the end of the metal's hue is taken for the rim.

    Attributes
    ----------
    told_apart : float
        Least separation of metal and ground.
    alike : float
        Most contrast, log10 light: beyond it the steepest place is the rim, and JPEG spreads the darker one's hue.
    reach, reach_px : float
        Half the length of the profiles, share of the radius or px, the larger.
    border, border_px : (float, float)
        The coin's border, whose hue is taken, lies so far within the rim, share of the radius or px, the larger.
    clear : float
        Least difference of both ends of a profile in their shares.
    tolerance_px : float
        Distance from the ellipse at which an end is on it: JPEG's hues are exact to a pixel.
    ends : float
        Least share of the profiles with a clear end, and with one on the ellipse.
    """

    told_apart: float = 3.0
    alike: float = 0.35
    reach: float = 0.06
    reach_px: float = 6.0
    clear: float = 0.3
    ends: float = 0.7
    tolerance_px: float = 1.2
    border: tuple[float, float] = (0.17, 0.06)
    border_px: tuple[float, float] = (5.0, 3.0)


_PARAMS = SilhouetteParams()
_DARK = 0.06  # of either: where it is darker, neither hue can be seen


@dataclass(frozen=True, eq=False)
class Material:
    """The light of metal and ground.

    Attributes
    ----------
    unmix : (2, 3)
        From linear light to how much there is of each, 1 where it is as bright as usual.
    separation : float
        Between the two in their shares, in their 1 sigma.
    contrast : float
        Between the two in log10 light.
    """

    unmix: FloatArray
    separation: float
    contrast: float

    def share(self, light: FloatArray) -> FloatArray:
        """How far linear light (..., 3) is the metal's, 0 to 1; a half where it is dark."""
        parts = np.maximum(light @ self.unmix.T, 0) + _DARK
        return np.asarray(parts[..., 0] / parts.sum(axis=-1), float)


def tell_apart(rgb: RGBArray, inside: FloatArray, outside: FloatArray) -> Material:
    """Metal and ground at places (n, 2) on the coin and (m, 2) beside it, px."""
    lights, means = [], []
    for places in (inside, outside):
        x, y = places.astype(np.float32).reshape(1, -1, 2).transpose(2, 0, 1).copy()
        codes = cv2.remap(rgb, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
        lights.append(SRGB_TO_LINEAR[codes].astype(float))
        means.append(np.median(lights[-1], axis=0) + 1e-4)
    mixed = np.array(means).T
    # A little of the identity keeps hues that are alike from being told apart by noise.
    small = 1e-4 * np.trace(mixed.T @ mixed) * np.eye(2)
    material = Material(np.linalg.solve(mixed.T @ mixed + small, mixed.T), 0.0, 0.0)
    metal, ground = (material.share(light) for light in lights)
    scatter = 0.5 * sum(float(np.ptp(np.quantile(part, [0.16, 0.84]))) for part in (metal, ground)) / 2
    separation = float(np.median(metal) - np.median(ground)) / max(scatter, 0.02)
    return Material(material.unmix, separation, abs(math.log10(means[0].sum() / means[1].sum())))


def ends_of_metal(share: FloatArray, near: int) -> tuple[FloatArray, FloatArray]:
    """Where along each of n profiles (n, m) of `Material.share` the metal ends: sample number; and how clearly.

    The step of least squares says about where, the half of it exactly; clear is 1 where the next `near` samples
    before and after it are all metal and all ground.
    """
    n, m = share.shape
    high, low = np.median(share[:, : m // 4]), np.median(share[:, -(m // 4) :])
    level = np.clip((share - low) / max(float(high - low), 0.1), -0.5, 1.5)
    total = np.cumsum(level, axis=1)
    gain = 2 * total - np.arange(1, m + 1)  # a step after sample k costs the squares of 1 - level before, level behind
    last = np.clip(np.argmax(gain, axis=1), near, m - 2 - near)
    row = np.arange(n)
    before, after = level[row, last], level[row, last + 1]
    part = np.clip((before - 0.5) / np.maximum(before - after, 1e-3), 0, 1)
    inner = (total[row, last] - total[row, last - near]) / near
    outer = (total[row, last + near] - total[row, last]) / near
    return last + part, np.clip(inner - outer, 0, 1)


def at_end_of_metal(rgb: RGBArray, rim: Rim, params: SilhouetteParams = _PARAMS) -> Rim | None:
    """The rim moved to where the coin's hue ends; None where hues do not tell, or not all around."""
    fine = RimParams()
    reach = min(max(params.reach, params.reach_px / rim.radius_px), 0.25)
    ellipse, angle = rim.ellipse, circle_angles(60)[:, None]
    for _ in range(2):
        first, last = (max(a, b / rim.radius_px) for a, b in zip(params.border, params.border_px, strict=True))
        inside = on_ellipse(ellipse, angle, np.linspace(1 - first, 1 - last, 5)[None])
        outside = on_ellipse(ellipse, angle, np.linspace(1 + reach, 1 + 2.5 * reach, 6)[None])
        material = tell_apart(rgb, inside, outside)
        # Much darker than what it lies on, its rim is steep enough; and hues, which JPEG blurs, spread over the ground.
        if material.separation < params.told_apart or material.contrast > params.alike:
            return None
        radius = float(np.sqrt(ellipse[2] * ellipse[3]))
        n = int(np.clip(2 * np.pi * radius / 1.5, 72, fine.profiles[1]))
        m = 2 * int(np.ceil(2 * reach * radius)) + 1  # every half pixel
        size = np.linspace(1 - reach, 1 + reach, m)
        turn = circle_angles(n)
        xy = on_ellipse(ellipse, turn[:, None], size[None, :]).astype(np.float32)
        codes = cv2.remap(rgb, xy[..., 0], xy[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        light = SRGB_TO_LINEAR[codes]
        light = cv2.GaussianBlur(np.concatenate([light[-3:], light, light[:3]]), (0, 0), sigmaX=1.4, sigmaY=1.0)[3:-3]
        end, clear = ends_of_metal(material.share(light.astype(float)), m // 4)
        seen = np.flatnonzero(clear > params.clear)
        if len(seen) < params.ends * n:
            return None
        ends = Steps(seen, turn[seen], size[0] + end[seen] * (size[1] - size[0]), clear[seen], n)
        start = np.array([float(np.median(ends.radius)), 0, 0, 0, 0])
        tolerance = max(fine.tolerance, params.tolerance_px / radius)
        model = settled(ends, settled(ends, start, 2 * tolerance), tolerance)
        ellipse = moved(ellipse, model)
    found = rim_of(ellipse, ends, model, tolerance, fine)
    # `found.coverage` is of those ends that lie on the ellipse.
    if found.coverage < params.ends:
        return None
    return replace(rim, ellipse=ellipse, covariance=found.covariance, silhouette=True)

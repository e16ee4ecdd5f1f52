"""What the face of a round thing says: of which metal a coin it may be, or that it is a button, a cap or a mole.

A coin has relief all over its face, and the colour of its metal, or of two of them. A button's face is smooth but for
two or four holes about its middle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from spotscan.colour import SRGB_TO_LINEAR
from spotscan.references.coins_steps import circle_angles, on_ellipse
from spotscan.types import FloatArray, RGBArray


@dataclass(frozen=True)
class FaceParams:
    """What faces coins have.

    Attributes
    ----------
    green, blue : tuple of float
        Of any metal: green as a share of red, and blue of green, in linear light.
    copper, brass, silver : float
        Most green as a share of red of copper; most blue as a share of green of brass; least of silver. They leave
        room for the light of lamps, which makes silver yellowish, and for tarnish.
    two : float
        Least ratio of the blue shares of ring and core where they are of two metals.
    figured : float
        Least relief along circles about the middle, 1 sigma of log10 light, over half of the face.
    middle, hole : float
        Holes lie within this relative radius; their own.
    hole_depth, next_hole : float
        Log10 light by which a hole is darker than around it; most of that of another dark spot, relative.
    uneven : float
        Most by which holes may lie unevenly: relative to the radius, to their distance, to their angle.
    """

    green: tuple[float, float] = (0.25, 1.25)
    blue: tuple[float, float] = (0.18, 1.25)
    copper: float = 0.9
    brass: float = 0.75
    silver: float = 0.42
    two: float = 1.35
    figured: float = 0.0038
    middle: float = 0.7
    hole: float = 0.05
    hole_depth: float = 0.05
    next_hole: float = 0.4
    uneven: float = 0.2


_PARAMS = FaceParams()
METALS = ("copper", "brass", "silver", "gold-in-silver", "silver-in-gold", "two", "")  # of the table; "" is unknown


def is_metal(colour: FloatArray) -> bool:
    """Whether linear light (3,) has the colour of a coin: silver, brass or copper, shining or dark.

    Copper is the reddest: its green is half its red, a third when worn, and its blue half its green. Blood takes
    more green than blue, so its blue is not less than its green.
    """
    red, green, blue = np.maximum(colour, 1e-4)
    p = _PARAMS
    return bool(p.green[0] < green / red < p.green[1] and p.blue[0] < blue / green < min(p.blue[1], green / red + 0.25))


def could_be_of(metal: str, rgb: RGBArray, ellipse: FloatArray) -> bool:
    """Whether what lies within the rim can be of this metal (one of `METALS`), under any usual light."""
    core, ring = (_colour(rgb, ellipse, part) for part in ((0.1, 0.6), (0.82, 0.93)))
    face, p = _colour(rgb, ellipse, (0.1, 0.93)), _PARAMS
    yellow = (ring[2] / ring[1]) / (core[2] / core[1])  # how much bluer the ring is than the core
    checks = {
        "copper": face[1] / face[0] < p.copper,
        "brass": face[2] / face[1] < p.brass,
        "silver": face[2] / face[1] > p.silver,
        "gold-in-silver": yellow > p.two,
        "silver-in-gold": yellow < 1 / p.two,
        "two": abs(math.log(yellow)) > math.log(p.two),
        "": True,
    }
    return bool(checks[metal])


def _colour(rgb: RGBArray, ellipse: FloatArray, part: tuple[float, float]) -> FloatArray:
    """Median linear light (3,) between two relative radii."""
    size = np.sqrt(np.linspace(part[0] ** 2, part[1] ** 2, 8))
    light = SRGB_TO_LINEAR[_sampled(rgb, ellipse, circle_angles(60), size)].reshape(-1, 3)
    return np.asarray(np.maximum(np.median(light, axis=0), 1e-4), float)


def _sampled(rgb: RGBArray, ellipse: FloatArray, angle: FloatArray, size: FloatArray) -> RGBArray:
    xy = on_ellipse(ellipse, angle[:, None], size[None, :]).astype(np.float32)
    codes = cv2.remap(rgb, xy[..., 0], xy[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(codes, np.uint8)


def _smooth_light(
    rgb: RGBArray, ellipse: FloatArray, angle: FloatArray, size: FloatArray, blur: tuple[float, float]
) -> FloatArray:
    """Log10 light at angles and relative sizes, blurred against noise: share of the radius or px, the larger."""
    sigma = max(blur[0] * math.sqrt(ellipse[2] * ellipse[3]), blur[1])
    reach = math.ceil(1.1 * ellipse[2] + 4 * sigma)
    x0, y0 = (max(0, int(c) - reach) for c in ellipse[:2])
    patch = rgb[y0 : int(ellipse[1]) + reach, x0 : int(ellipse[0]) + reach].mean(axis=2, dtype=np.float32)
    patch = cv2.GaussianBlur(patch, (0, 0), sigma)
    xy = (on_ellipse(ellipse, angle, size) - (x0, y0)).astype(np.float32)
    light = cv2.remap(patch, xy[..., 0], xy[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.log10(light + 4.0), float)


def is_button(rgb: RGBArray, ellipse: FloatArray) -> bool:
    """Whether the face is smooth, or has two or four holes evenly about its middle."""
    light = _smooth_light(rgb, ellipse, circle_angles(72)[:, None], np.linspace(0.12, 0.84, 19)[None], (0.02, 1.2))
    waves = np.fft.rfft(light, axis=0)
    waves[:4] = 0  # shade and shine
    relief = np.median(np.abs(np.fft.irfft(waves, 72, axis=0)), axis=0)
    return 1.4826 * float(np.median(relief)) < _PARAMS.figured or _has_holes(rgb, ellipse)


def _has_holes(rgb: RGBArray, ellipse: FloatArray) -> bool:
    """Whether two or four dark spots, and no others, lie evenly about the middle."""
    p, n = _PARAMS, 64
    axis = ((np.arange(n) + 0.5) / n * 2 - 1) * p.middle
    u, v = np.meshgrid(axis, axis)
    size = np.hypot(u, v)
    light = _smooth_light(rgb, ellipse, np.arctan2(v, u), size, (0.013, 0.8)).astype(np.float32)
    spot = p.hole / p.middle * n / 2
    depth = cv2.GaussianBlur(light, (0, 0), 3 * spot) - cv2.GaussianBlur(light, (0, 0), spot)
    # The one hole that some coins have is in the middle itself.
    peak = (depth >= cv2.dilate(depth, np.ones((5, 5)))) & (size > 0.08) & (size < 0.5)
    j, i = np.nonzero(peak)
    order = np.argsort(-depth[j, i])
    at, depths = np.column_stack([u[j, i], v[j, i]])[order], np.append(depth[j, i][order], 0.0)
    for count in (2, 4):
        if len(at) < count or depths[count - 1] < p.hole_depth or depths[count] > p.next_hole * depths[count - 1]:
            continue
        centre = at[:count].mean(axis=0)
        away = np.hypot(*(at[:count] - centre).T)
        angle = np.sort(np.arctan2(*(at[:count] - centre).T))
        gap = np.diff(np.append(angle, angle[0] + 2 * np.pi)).max() * count / (2 * np.pi)
        if max(float(np.hypot(*centre)), float(away.std() / away.mean()), float(gap) - 1) < p.uneven:
            return True
    return False


def face_of(rgb: RGBArray, ellipse: FloatArray) -> tuple[float, FloatArray, float]:
    """What lies within the rim: relief, median linear light (3,), and how much of the middle is holes.

    Relief is light and dark besides slow shading, 1 sigma of log10 light. The holes of a button lie about its middle;
    the one hole that coins have lies in it.
    """
    size = np.sqrt((np.arange(14) + 0.5) / 14) * 0.85
    angle = circle_angles(60)
    codes = _sampled(rgb, ellipse, angle, size)
    light = np.log10(codes.astype(float).mean(axis=2) + 4.0).ravel()
    u, v = (size * np.cos(angle[:, None])).ravel(), (size * np.sin(angle[:, None])).ravel()
    slow = np.column_stack([np.ones_like(u), u, v, u * u, u * v, v * v])
    rest = light - slow @ np.linalg.solve(slow.T @ slow, slow.T @ light)
    colour = np.median(SRGB_TO_LINEAR[codes].reshape(-1, 3), axis=0)
    middle = SRGB_TO_LINEAR[codes[:, (size > 0.13) & (size < 0.4)]].sum(axis=2)
    holes = float((middle < 0.25 * np.median(middle)).mean())
    return float(1.4826 * np.median(np.abs(rest))), np.asarray(colour, float), holes


def ground_of(rgb: RGBArray, ellipse: FloatArray) -> float:
    """Light and dark around the rim as `face_of` gives it within, in the smoother parts: other things lie there too."""
    codes = _sampled(rgb, ellipse, circle_angles(96), np.linspace(1.2, 1.55, 8))
    light = np.log10(codes.astype(float).mean(axis=2) + 4.0).reshape(12, 64)
    rest = light - np.median(light, axis=1, keepdims=True)
    return float(1.4826 * np.quantile(np.median(np.abs(rest), axis=1), 0.3))

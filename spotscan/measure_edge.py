"""Boundaries at half contrast, their blur and their error, from the fans of all marks at once (part of `measure`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import erf, sqrt
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.measure_crop import F32
from spotscan.measure_fan import OFFSETS, Fan, Points, smooth_closed
from spotscan.types import BoolArray, FloatArray

# The boundary is looked for within this of the first outline (at least two pixels); radii.
REACH = 0.12
# Smoothing along the outline: radii, and radii per unit of noise.
ALONG, ALONG_NOISY = 0.04, 0.3
# Where the skin and the mark are compared with themselves, beyond the soft edge; radii.
OUTER, INNER = np.array([0.10, 0.22, 0.34]), np.array([-0.25, -0.40])
# A sixth of a small mark's outline is longer than a cell of skin texture, so that the means of sectors are independent.
SECTORS = 6
# Two sigma are to hold for 95 %: Student's 2.65 for the scatter of six, instead of 2.
STUDENT = 1.32
# The lens blurs all marks alike; the sharpest fifth of their edges show by how much, the others are soft themselves.
LENS_QUANTILE = 0.2
# Blur over radius beyond which the slope of an edge says little about the blur.
BLUR_SEEN = 0.25
# What is in doubt, 1 sigma, as a share of: the shift by blur; how much of an edge's softness is the mark's own;
# noise / contrast squared (beyond first order: cells of texture joining or leaving the mark; drawn scenes); the part
# of the outline that is shared with another mark; the diameter where no boundary was found.
BLUR_DOUBT, SOFT_DOUBT, NOISE_DOUBT, SHARED_DOUBT, LOST_DOUBT = 0.6, 0.7, 0.4, 0.2, 0.2
# What remains of the error of a radius on noise-free drawings, px.
SHAPE_ERR = 0.03


@dataclass(frozen=True, eq=False)
class Edges:
    """Boundaries of N marks, in photo px.

    Attributes
    ----------
    outline : (N, P) complex
        x + iy of the half-contrast boundary, closed, sub-pixel.
    raw_diameter : (N,)
        2 sqrt(area / pi) of it.
    blur_ratio : (N,)
        True over measured diameter: what blur did to it.
    err : (N,)
        1-sigma error of the diameter, scale left out.
    sure : (N,) bool
        The boundary was met along most of the outline.
    """

    outline: Points
    raw_diameter: FloatArray
    blur_ratio: FloatArray
    err: FloatArray
    sure: BoolArray


def read_edges(fans: list[Fan], core: float) -> Edges:
    """Boundaries from fans; `core` is the share of the radius over which the mark's level was taken."""
    line, normal = np.array([fan.line for fan in fans]), np.array([fan.normal for fan in fans])
    value, free = np.array([fan.profile for fan in fans]), np.array([fan.free for fan in fans])
    radius, pixel, smooth, noise = (
        np.array([getattr(fan, name) for fan in fans]) for name in ("radius", "pixel", "smooth", "noise")
    )
    found = np.array([fan.found for fan in fans])

    shift, met = _crossing(value, np.maximum(REACH, 2 * pixel / radius))
    spacing = np.abs(np.diff(line, append=line[:, :1])).mean(axis=1) / radius
    along = np.maximum(ALONG + ALONG_NOISY * np.minimum(noise, 1), pixel / radius) / np.maximum(spacing, 1e-6)
    shift = np.where(found[:, None], smooth_closed(shift, along).real, 0.0)
    outline = line + normal * (shift * radius[:, None])
    raw = 2 * np.sqrt(areas(outline) / np.pi)

    soft = _softness(value, shift, pixel / radius) * radius
    own, blur = _blurs(soft, raw / 2, smooth, found & (noise < 0.25), core)
    ratio, ratio_own = blurred_disc(core).ratio(blur), blurred_disc(core).ratio(own)

    gap = np.minimum(1.5 * soft / radius + 0.1, 0.35)[:, None]
    out_line, out_level = _scatter(value, free, shift, gap + OUTER)
    in_line, in_level = _scatter(value, np.ones_like(free), shift, np.broadcast_to(INNER, (len(fans), len(INNER))))
    width = np.sqrt(2 * np.pi) * soft  # contrast over slope
    shared = 1 - _nearest(free, shift[..., None] + 0.1).mean(axis=(1, 2))
    terms = (
        STUDENT
        * (out_line + in_line)
        * width,  # texture along the boundary, mean of both sides, twice for the diameter
        STUDENT * np.hypot(out_level, in_level) * width,  # the level is the mean of mark and skin, twice
        BLUR_DOUBT * np.square(blur) / 2 * raw,
        SOFT_DOUBT * np.abs(ratio_own - ratio) * raw,
        NOISE_DOUBT * np.square(noise) * raw,
        SHARED_DOUBT * shared * raw,
        np.where(found, 0.0, LOST_DOUBT * raw),
        2 * SHAPE_ERR * np.maximum(1, pixel),
    )
    return Edges(outline, raw, ratio, np.sqrt(np.square(terms).sum(axis=0)), found & (met > 0.7))


def _crossing(value: F32, reach: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Where each ray falls through one half, nearest to the first outline and within `reach` (N,), in radii: (N, P).

    Rays that do not are filled in from their neighbours; the share of rays that do is returned too.
    """
    above = value > 0.5
    middle = np.abs(OFFSETS[:-1] + OFFSETS[1:]) / 2
    allowed = middle <= reach[:, None, None]
    distance = np.where(above[..., :-1] & ~above[..., 1:] & allowed, middle, np.inf)
    k = distance.argmin(axis=2)[..., None]
    met = np.isfinite(np.take_along_axis(distance, k, 2)[..., 0])
    high, low = (np.take_along_axis(value, k + i, 2)[..., 0] for i in (0, 1))
    shift = OFFSETS[k[..., 0]] + (OFFSETS[1] - OFFSETS[0]) * (high - 0.5) / np.maximum(high - low, 1e-6)
    points = np.arange(value.shape[1])
    for row in np.flatnonzero(~met.all(axis=1)):
        hits = points[met[row]]
        shift[row] = np.interp(points, hits, shift[row, hits], period=len(points)) if len(hits) else 0.0
    return shift, met.mean(axis=1)


def _softness(value: F32, shift: FloatArray, pixel: FloatArray) -> FloatArray:
    """1-sigma width of the edge, from the share of the contrast taken within a pixel on both sides of it."""
    inner, outer = (_linear(value, shift + side * pixel[:, None]) for side in (-1, 1))
    taken = np.clip((inner - outer).mean(axis=1), 0.05, 0.98)
    z = np.linspace(0, 3, 301)
    return np.asarray(pixel / np.interp(taken, [erf(t / sqrt(2)) for t in z], z))


def _blurs(
    soft: FloatArray, half: FloatArray, smooth: FloatArray, good: BoolArray, core: float
) -> tuple[FloatArray, FloatArray]:
    """Blur as each mark's own edge shows it, and blur by the lens (and our smoothing), both over the radius."""
    half = np.maximum(half, 1e-6)
    own = blurred_disc(core).blur(soft / half)
    seen = own < BLUR_SEEN
    witnesses = good & seen
    if witnesses.sum() < 4:
        return own, own
    lens = np.sqrt(np.maximum(np.square(own * half) - np.square(smooth), 0))[witnesses]
    common = np.hypot(np.quantile(lens, LENS_QUANTILE), smooth) / half
    return own, np.where(seen, np.minimum(own, common), common)


def _scatter(value: F32, free: BoolArray, shift: FloatArray, offsets: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Standard error of the mean of the profile along one line beside the outline, and over all the lines: (N,), (N,).

    Both from the scatter of the sectors' means, so that they hold for texture and mottling of any correlation length
    up to a sector's.
    """
    n, points = shift.shape
    at = shift[..., None] + offsets[:, None, :]
    ok = _nearest(free, at)
    shape = (n, SECTORS, points // SECTORS, offsets.shape[1])
    count = ok.reshape(shape).sum(axis=2)
    mean = np.where(ok, _nearest(value, at), 0.0).reshape(shape).sum(axis=2) / np.maximum(count, 1)
    good = count >= points // SECTORS // 2
    lines = np.maximum(good.sum(axis=(1, 2)) / offsets.shape[1], 1)
    line = np.sqrt(_variance(mean.reshape(n, -1), good.reshape(n, -1)) / lines)
    level = np.where(good, mean, 0).sum(axis=2) / np.maximum(good.sum(axis=2), 1)
    known = good.any(axis=2)
    return line, np.sqrt(_variance(level, known) / np.maximum(known.sum(axis=1), 1))


def _variance(x: FloatArray, good: BoolArray) -> FloatArray:
    """Variance of the good ones of each row; where they are too few, as if half the contrast were noise."""
    n = good.sum(axis=1)
    mean = np.where(good, x, 0).sum(axis=1) / np.maximum(n, 1)
    squares = np.where(good, np.square(x - mean[:, None]), 0).sum(axis=1)
    return np.where(n >= 4, squares / np.maximum(n - 1, 1), 0.25)


def _place(at: FloatArray) -> FloatArray:
    return np.asarray(np.clip((at - OFFSETS[0]) / (OFFSETS[1] - OFFSETS[0]), 0, len(OFFSETS) - 1.001))


def _nearest(values: NDArray[Any], at: FloatArray) -> NDArray[Any]:
    """(N, P, K) at offsets (N, P, M)."""
    return np.asarray(np.take_along_axis(values, np.rint(_place(at)).astype(np.intp), 2))


def _linear(values: F32, at: FloatArray) -> FloatArray:
    """(N, P, K) at offsets (N, P)."""
    place = _place(at)
    k = place.astype(np.intp)
    low, high = (np.take_along_axis(values, (k + i)[..., None], 2)[..., 0] for i in (0, 1))
    return np.asarray(low + (high - low) * (place - k))


def areas(outline: Points) -> FloatArray:
    """Areas (N,) of closed polygons (N, P), x + iy (shoelace)."""
    z = outline - outline.mean(axis=1, keepdims=True)
    return np.asarray(np.abs((z.conj() * np.roll(z, -1, axis=1)).imag.sum(axis=1)) / 2)


def centroids(outline: Points) -> Points:
    """Centroids (N,) of the areas of closed polygons (N, P), x + iy."""
    origin = outline.mean(axis=1, keepdims=True)
    z = outline - origin
    ahead = np.roll(z, -1, axis=1)
    cross = (z.conj() * ahead).imag
    total = cross.sum(axis=1)
    total = np.where(np.abs(total) < 1e-12, np.inf, total)
    return np.asarray(origin[:, 0] + ((z + ahead) * cross).sum(axis=1) / (3 * total))


@dataclass(frozen=True, eq=False)
class BlurredDisc:
    """What a Gaussian blur does to the half-contrast radius of a disc; all lengths over the measured radius.

    Attributes
    ----------
    apparent : (B,)
        The blur that the slope of the edge shows, rising.
    true_blur : (B,)
        The blur.
    true_radius : (B,)
        The radius before the blur.
    """

    apparent: FloatArray
    true_blur: FloatArray
    true_radius: FloatArray

    def blur(self, apparent: FloatArray) -> FloatArray:
        """Blur from the slope of the edge."""
        return np.interp(apparent, self.apparent, self.true_blur)

    def ratio(self, blur: FloatArray) -> FloatArray:
        """True over measured radius."""
        return np.interp(blur, self.true_blur, self.true_radius)


@lru_cache(maxsize=4)
def blurred_disc(core: float) -> BlurredDisc:
    """The table, from discs blurred and measured as marks are; computed once a process, in a few ms."""
    radius = 40.0
    grid = np.arange(-130, 131)
    disc = np.clip(radius + 0.5 - np.hypot(grid[:, None], grid[None]), 0, 1).astype(np.float32)
    place = np.arange(131)
    rows = [(0.0, 0.0, 1.0)]
    for blur in radius * np.array([0.06, 0.12, 0.18, 0.25, 0.32, 0.4, 0.5, 0.6, 0.7]):
        light = cv2.GaussianBlur(disc, (0, 0), blur)[130, 130:].astype(float)
        half = radius
        for _ in range(6):
            n = int(core * half) + 1
            plateau = float(np.average(light[:n], weights=place[:n] + 0.25))
            half = float(np.interp(-0.5 * plateau, -light, place))
        slope = -float(np.interp(half, place, np.gradient(light))) / plateau
        rows.append((1 / (sqrt(2 * np.pi) * slope) / half, blur / half, radius / half))
    return BlurredDisc(*np.array(rows).T)

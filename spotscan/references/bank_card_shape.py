"""What a card of ISO/IEC 7810 ID-1 looks like to a camera: its sides, its angles and its round corners."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.colour import SRGB_TO_LINEAR
from spotscan.geometry import FOCAL_PER_DIAGONAL, FOCAL_SPREAD, matrix, project, square_to_quads
from spotscan.types import FloatArray, RGBArray

CARD_MM = (85.60, 53.98)
RADIUS_MM = 3.18
TO_SQUARE = np.diag([2 / CARD_MM[0], 2 / CARD_MM[1], 1.0])  # mm about the card's middle to the square -1 to 1
_F32 = NDArray[np.float32]
_CORNERS = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
_RADII_MM = np.array([0.0, 0.8, 1.6, 2.4, RADIUS_MM, 4.0, 5.0, 6.2, 7.5])
_CORNER_MM = 8.0


def _misfits(mm_to_px: FloatArray, shape: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """How far homographies (N, 3, 3) are from a plane seen by a camera, for each of F focal lengths.

    Returns the focal lengths' distance from an ordinary lens's, sigma (F,), and for each the difference in length
    of the plane's axes and the cosine between them, both 0 in truth (F, N, 2).
    """
    height, width = shape
    centred = np.array([(1, 0, -(width - 1) / 2), (0, 1, -(height - 1) / 2), (0, 0, 1.0)])
    seen = centred @ mm_to_px
    away = np.linspace(-2.5, 2.5, 11)
    focal = FOCAL_PER_DIAGONAL * np.hypot(height, width) * np.exp(FOCAL_SPREAD * away)
    lens = np.stack([focal, focal, np.ones_like(focal)], axis=-1)[:, None]
    a, b = seen[None, :, :, 0] / lens, seen[None, :, :, 1] / lens
    aa, bb, ab = (a * a).sum(-1), (b * b).sum(-1), (a * b).sum(-1)
    with np.errstate(all="ignore"):
        return away, np.nan_to_num(np.stack([0.5 * np.log(aa / bb), ab / np.sqrt(aa * bb)], axis=-1), nan=9.0)


def shape_cost(quads: FloatArray, shape: tuple[int, int], tolerance: float) -> FloatArray:
    """How far quadrilaterals (N, 4, 2) are from being a card seen by an ordinary camera: (N,), a chi^2.

    The first side is the long one. For the focal length that suits best, the squared deviations of the ratio of the
    sides and of the angle between them in units of `tolerance`, and of the focal length in units of its spread.
    """
    away, misfit = _misfits(square_to_quads(quads) @ TO_SQUARE, shape)
    cost = ((misfit / tolerance) ** 2).sum(axis=-1) + away[:, None] ** 2
    return np.asarray(cost.min(axis=0))


def drawn_shape_cost(mm_to_px: FloatArray, draws: FloatArray, shape: tuple[int, int], tolerance: float) -> float:
    """The same for one homography whose errors are known, by their draws (S, 3, 3).

    Perspective magnifies the errors of the corners, more for some tilts than for others; the draws know.
    """
    away, misfit = _misfits(np.concatenate([mm_to_px[None], draws]), shape)
    rest = misfit[:, 1:] - misfit[:, 1:].mean(axis=1, keepdims=True)
    scatter = np.einsum("fsi,fsj->fij", rest, rest) / (len(draws) - 1) + tolerance**2 * np.eye(2)
    best = misfit[:, 0]
    cost = np.einsum("fi,fi->f", best, np.linalg.solve(scatter, best[..., None])[..., 0]) + away**2
    return float(cost.min())


def sample_light(rgb: RGBArray, xy: FloatArray) -> _F32:
    """Linear light (..., 3) at (..., 2) px; the border's colour goes on outside."""
    flat = xy.reshape(xy.shape[0], -1, 2).astype(np.float32)
    codes = cv2.remap(rgb, flat[..., 0], flat[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.LUT(codes, SRGB_TO_LINEAR).reshape(*xy.shape[:-1], 3), np.float32)


def round_gain(rgb: RGBArray, quads: FloatArray) -> FloatArray:
    """How much more edge there is along the card's round corners than along sharp ones: (N,), -1 to 1."""
    angle = np.radians([9, 27, 45, 63, 81])
    radial = -np.column_stack([np.cos(angle), np.sin(angle)])
    leg = np.array([0.3, 0.9, 1.5, 2.1])
    side = np.array([4.5, 6.0, 7.5, 9.0])

    def legs(at: FloatArray) -> tuple[FloatArray, FloatArray]:
        zero, one = np.zeros_like(at), np.ones_like(at)
        places = np.r_[np.c_[at, zero], np.c_[zero, at]]
        return places, np.r_[np.c_[zero, -one], np.c_[-one, zero]]

    parts = [(RADIUS_MM + RADIUS_MM * radial, radial), legs(leg), legs(side)]
    places, normals = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    points = np.concatenate([c * np.array(CARD_MM) / 2 - c * places for c in _CORNERS])
    outward = np.concatenate([-c * normals for c in _CORNERS])
    to_px = square_to_quads(quads) @ TO_SQUARE
    px_per_mm = np.sqrt(np.abs([cv2.contourArea(q.astype(np.float32)) for q in quads]) / (CARD_MM[0] * CARD_MM[1]))
    delta = np.maximum(0.3, 0.8 / np.maximum(px_per_mm, 0.1))[:, None, None]
    tone = []
    for sign in (-1, 1):
        moved = points + sign * delta * outward
        homogeneous = np.concatenate([moved, np.ones_like(moved[..., :1])], axis=-1) @ np.swapaxes(to_px, 1, 2)
        xy = (homogeneous[..., :2] / homogeneous[..., 2:]).astype(np.float32)
        tone.append(cv2.remap(rgb, xy[..., 0], xy[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    step = np.linalg.norm(tone[0].astype(np.float32) - tone[1], axis=-1).reshape(len(quads), 4, -1)
    usual = np.maximum(np.median(step[..., 13:], axis=-1, keepdims=True), 4.0)
    share = np.minimum(step / usual, 1.0)
    return np.asarray((share[..., :5].mean(-1) - share[..., 5:13].mean(-1)).mean(-1))


def _corner_path(radius: float, n: int = 40) -> tuple[FloatArray, FloatArray]:
    """Evenly spaced places (n, 2) along a rounded corner and their outward normals, mm from where the sides meet."""
    straight, arc = _CORNER_MM - radius, np.pi / 2 * radius
    s = np.linspace(0, 2 * straight + arc, n)
    angle = np.clip((s - straight) / max(arc, 1e-9), 0, 1) * np.pi / 2
    normal = np.column_stack([-np.sin(angle), -np.cos(angle)])
    middle = radius + radius * normal
    before, after = s < straight, s > straight + arc
    middle[before] = np.column_stack([_CORNER_MM - s[before], np.zeros(before.sum())])
    middle[after] = np.column_stack([np.zeros(after.sum()), s[after] - straight - arc + radius])
    normal[s <= straight] = (0, -1)
    normal[s >= straight + arc] = (-1, 0)
    return middle, normal


def roundness(rgb: RGBArray, h: FloatArray, px_per_mm: float) -> tuple[float, FloatArray, float]:
    """Corner radius (mm) that edges follow best; by how much a card's better than a sharp one (4,); how well."""
    to_px = matrix(h) @ TO_SQUARE
    half = np.array(CARD_MM) / 2
    delta = max(0.22, 1.0 / px_per_mm)
    own = int(np.argmin(np.abs(_RADII_MM - RADIUS_MM)))
    paths = [_corner_path(radius) for radius in _RADII_MM]
    places = np.stack([half * c - c * path for c in _CORNERS for path, _ in paths])
    normals = np.stack([-c * normal for c in _CORNERS for _, normal in paths])
    away = np.array([-1, 1, 3, 5]) * delta
    xy = np.stack([project(to_px, (places + step * normals).reshape(-1, 2)) for step in away])
    tone = np.sqrt(sample_light(rgb, xy)).reshape(4, 4, len(paths), -1, 3)  # roots: even noise
    step, ground, more = np.linalg.norm(np.diff(tone, axis=0), axis=-1)  # (4, radii, n) each
    sides = np.concatenate([step[:, 0, :10], step[:, 0, -10:]], axis=-1)  # 4 mm and more from the corner
    noise = np.median(np.stack([ground, more])[:, :, own], axis=(0, 2))
    usual = np.maximum(np.minimum(np.median(sides, axis=-1), 6 * noise), 0.02)
    follows = np.minimum(step / usual[:, None, None], 1.0).mean(-1)  # (4, radii)
    total = follows.mean(axis=0)
    best = int(total.argmax())
    radius = float(_RADII_MM[best])
    if 0 < best < len(_RADII_MM) - 1:
        radius = _vertex(_RADII_MM[best - 1 : best + 2], total[best - 1 : best + 2])
    return radius, np.asarray(follows[:, own] - follows[:, 0]), float(total[own])


def _vertex(x: FloatArray, y: FloatArray) -> float:
    a, b, _ = np.polyfit(x, y, 2)
    return float(-b / (2 * a)) if a < 0 else float(x[1])

"""A bank card's four sides to sub-pixel, at full resolution, and its rounded corners.

Profiles across each side are taken in linear light, all colours; where they are steepest is where the edge is. A side
is first sought among all straight lines near its place (print, rim and shadow run beside it, fingers interrupt it),
then fitted to the profiles' steepest places by robust least squares. The corners of the fit are where the sides meet;
the real card is rounded there, which is what tells it from a note, a book or a box.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations, product

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.geometry import UNIT_CORNERS, parameter_jacobian, square_to_quads
from spotscan.references.bank_card_shape import CARD_MM, round_gain, roundness, sample_light, shape_cost
from spotscan.types import FloatArray, RGBArray

_Line = tuple[float, float, float]  # score; offset and tilt (at the end) from a side, px outward


@dataclass(frozen=True)
class SideParams:
    """How sides are measured.

    Attributes
    ----------
    px_per_mm : float
        Resolution beyond which the photo is area-averaged first: at 8 px/mm a tenth of a pixel is 0.02 % of the short
        side, and phones' sharpest 12 megapixels are soft.
    places : int
        Profiles across each side.
    samples : int
        Samples of a profile.
    trim_mm : float
        Left out at both ends: the rounded corner and what blur makes of it.
    coarse_view_px : float
        Half the length of the profiles in the first round, in px of the reduced photo the card was found in.
    rival, rivals, apart : float, int, int
        Lines beside a side (print, rim, shadow) are tried as well, where their score is this share of the best;
        so many of them, so many samples apart.
    coarse_tolerance : float
        1-sigma error of the shape after that round.
    shadow_mm : float
        Widest shadow: of a card 0.76 mm thick in light from 30 degrees above the skin, and not all flat on it.
    shade, shade_tint : (float, float), float
        Light in a shadow over that beside it, and the largest ratio of that between colours: the light that is left
        comes from other lamps and from the skin.
    doubt : float
        Score of such a line, relative.
    fine_px, fine_mm, fine_blurs : float
        Half their length in the last rounds, the largest of all; the last in units of the edges' own blur.
    steep : float
        Times the slope at the calmer end of a profile that its edge must have.
    floor : float
        Least slope counted as noise, in linear light per px.
    outlier : float
        Tukey's biweight, robust sigmas.
    blocks : int
        Neighbouring profiles share the print and the wear beside them: so many independent groups to a side.
    edge_mm, edge_px, edge_blurs : float
        1-sigma error of a whole side's place, all three together: the edge of the plastic is rounded by about 0.1 mm
        and its flank is seen where it faces the camera; the camera's sharpening; where the blur mixes the edge with
        the rim and the shadow beside it, the steepest place moves by a part of the blur.
    """

    px_per_mm: float = 8.0
    places: int = 96
    samples: int = 41
    trim_mm: float = 4.8
    coarse_view_px: float = 3.0
    rival: float = 0.3
    rivals: int = 3
    apart: int = 4
    coarse_tolerance: float = 0.01
    shadow_mm: float = 1.6
    shade: tuple[float, float] = (0.2, 0.97)
    shade_tint: float = 1.15
    doubt: float = 0.75
    fine_px: float = 6.0
    fine_mm: float = 0.35
    fine_blurs: float = 4.0
    steep: float = 3.0
    floor: float = 0.0015
    outlier: float = 4.7
    blocks: int = 12
    edge_mm: float = 0.05
    edge_px: float = 0.15
    edge_blurs: float = 0.25


@dataclass(frozen=True, eq=False)
class MeasuredCard:
    """Four sides that were measured.

    Attributes
    ----------
    h : (8,)
        Homography from the square -1 to 1, x along the long sides, to px.
    covariance : (8, 8)
        Of `h`.
    corners_px : (4, 2)
        Where the sides meet.
    seen : (4,)
        Share of each side where an edge is in its place.
    radius_mm : float
        Corner radius that fits best.
    rounded : (4,)
        How much better the edge follows each corner of a bank card than a sharp one, -1 to 1.
    corner_fit : float
        Share of the corners' arcs at which there is an edge, 0 to 1.
    """

    h: FloatArray
    covariance: FloatArray
    corners_px: FloatArray
    seen: FloatArray
    radius_mm: float
    rounded: FloatArray
    corner_fit: float


@dataclass(frozen=True, eq=False)
class _Part:
    """A part of the photo, perhaps reduced: its pixels, where its corner is, and the size (h, w) of the whole."""

    rgb: RGBArray
    corner: FloatArray
    whole: tuple[int, int]


def _slopes(rgb: RGBArray, quad: FloatArray, reach: float, params: SideParams) -> tuple[FloatArray, FloatArray]:
    """Steepness (4, T, S) across the sides over its median; places of the profiles along them (4, T), -1 to 1."""
    start, end = quad, np.roll(quad, -1, axis=0)
    length = np.array([CARD_MM[0], CARD_MM[1]] * 2)
    most = 1 - 2 * params.trim_mm / length
    along = most[:, None] * np.linspace(-1, 1, params.places)
    points = (start + end)[:, None] / 2 + along[..., None] * ((end - start) / 2)[:, None]
    normal = _normals(quad)
    steps = np.linspace(-reach, reach, params.samples)
    xy = points[:, :, None] + steps[:, None] * normal[:, None, None]
    light = sample_light(rgb, xy)
    step_px = steps[1] - steps[0]
    sigma = max(0.6 / step_px, 1.0)  # samples: a sharp photo's own blur
    flat = light.reshape(-1, params.samples, 3)
    smooth = cv2.GaussianBlur(flat, (0, 0), sigmaX=sigma, sigmaY=1e-3, borderType=cv2.BORDER_REPLICATE)
    slope = np.linalg.norm(np.gradient(smooth, axis=1), axis=-1).reshape(xy.shape[:3])
    outside = np.asarray(((xy < 0) | (xy > np.array(rgb.shape[1::-1]) - 1)).any(-1), np.bool_)
    # The noise is that of the calmer end: print may lie on the one side, cloth on the other.
    ends = params.samples // 4
    calm = [
        np.where(outside[..., end].any(-1), np.inf, np.median(slope[..., end], axis=2))
        for end in (slice(ends), slice(-ends, None))
    ]
    noise = np.minimum(*calm)
    slope[outside] = 0
    return np.asarray(slope / np.maximum(noise, params.floor * step_px)[..., None], float), along


def _normals(quad: FloatArray) -> FloatArray:
    """Outward unit normals (..., 4, 2) of the sides of clockwise quadrilaterals."""
    edge = np.roll(quad, -1, axis=-2) - quad
    return np.asarray(np.stack([edge[..., 1], -edge[..., 0]], axis=-1) / np.linalg.norm(edge, axis=-1)[..., None])


def _coarse(steep: FloatArray, along: FloatArray, reach: float, params: SideParams) -> list[list[_Line]]:
    """For each side the best straight lines across its profiles."""
    middle = (params.samples - 1) / 2
    capped = np.minimum(steep, 8.0)
    near = np.maximum(capped, np.maximum(np.roll(capped, 1, axis=2), np.roll(capped, -1, axis=2)))
    tilts = np.linspace(-0.5, 0.5, 13) * middle
    offsets = np.arange(-middle * 0.8, middle * 0.8 + 1)
    result = []
    for k in range(4):
        at = np.rint(middle + offsets[None, :, None] + tilts[:, None, None] * along[k]).astype(int)
        inside = (at >= 0) & (at < params.samples)
        score = (near[k][np.arange(params.places), np.where(inside, at, 0)] * inside).mean(-1)
        best, tilt = score.max(axis=0), tilts[score.argmax(axis=0)]
        best *= 1 - 0.15 * np.abs(offsets) / middle  # where the search saw it, unless another is clearly better
        lines: list[_Line] = []
        for i in np.argsort(-best, kind="stable"):
            if best[i] < params.rival * best.max() or len(lines) == params.rivals:
                break
            if all(abs(offsets[i] - line[1]) >= params.apart for line in lines):
                lines.append((float(best[i]), float(offsets[i]), float(tilt[i])))
        result.append([(s, offset * reach / middle, tilt * reach / middle) for s, offset, tilt in lines])
    return result


def _doubt_shadows(
    rgb: RGBArray, quad: FloatArray, along: FloatArray, lines: list[list[_Line]], params: SideParams
) -> list[list[_Line]]:
    """Lower the score of lines that look like the outline of a shadow beside another line, the card's.

    Between the two, a shadow is what lies outside, darker by one factor in all colours. So may be the card's flank.
    """
    middle, half = (quad + np.roll(quad, -1, axis=0)) / 2, (np.roll(quad, -1, axis=0) - quad) / 2
    widest, beyond = params.shadow_mm * _px_per_mm(quad), max(2.0, 0.25 * _px_per_mm(quad))
    kept = []
    for k, normal in enumerate(_normals(quad)):
        shadows = []
        for outer, inner in permutations(lines[k], 2):
            if not 1.0 < outer[1] - inner[1] < widest:
                continue
            ways = [
                outer[1] + outer[2] * along[k] + beyond,
                np.add(outer, inner)[1:] @ [np.ones_like(along[k]), along[k]] / 2,
            ]
            xy = np.stack([middle[k] + along[k][:, None] * half[k] + way[:, None] * normal for way in ways])
            lit, shaded = sample_light(rgb, xy)
            share = np.median(shaded / np.maximum(lit, 1e-3), axis=0)
            least, most = params.shade
            if least < share.min() and share.max() < most and share.max() < params.shade_tint * share.min():
                shadows.append(outer)
        kept.append([(line[0] * (params.doubt if line in shadows else 1.0), *line[1:]) for line in lines[k]])
    return kept


def _best_lines(part: _Part, quad: FloatArray, lines: list[list[_Line]], tolerance: float) -> FloatArray:
    """Of all ways to take one line for each side the one that makes a card, its round corners first: (4, 2)."""
    fours = np.array(list(product(*lines)))  # (N, 4, score offset tilt)
    quads = _moved(quad, fours[..., 1:])
    strength = (fours[..., 0] / [max(side[0][0], 1e-9) for side in lines]).mean(-1)
    cost = shape_cost(quads + part.corner, part.whole, tolerance)
    total = 3.0 * strength + round_gain(part.rgb, quads) - 0.05 * np.minimum(cost, 25.0)
    return np.asarray(fours[total.argmax(), :, 1:])


def _blur(steep: FloatArray, along: FloatArray, line: FloatArray, reach: float) -> float:
    """1-sigma width of the edges on four lines, px, from the width of their mean steepness at half its height."""
    samples = steep.shape[2]
    step = 2 * reach / (samples - 1)
    at = (line[:, :1] + line[:, 1:] * along + reach) / step
    near = np.rint(at[..., None] + np.arange(-(samples // 3), samples // 3 + 1)).astype(int)
    mean = np.take_along_axis(steep, np.clip(near, 0, samples - 1), axis=2).mean(axis=1)
    least = mean.min(axis=1, keepdims=True)
    wide = (mean - least > (mean.max(axis=1, keepdims=True) - least) / 2).sum(axis=1)
    return float(np.median(wide) * step / 2.355)


def _fine(
    steep: FloatArray, along: FloatArray, reach: float, slack: float, params: SideParams
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Robust line through each side's steepest places.

    Returns offset and tilt (4, 2) px, their covariances (4, 2, 2), the share seen (4,).
    """
    step = 2 * reach / (params.samples - 1)
    peak = (steep > np.roll(steep, 1, axis=2)) & (steep >= np.roll(steep, -1, axis=2)) & (steep > params.steep)
    peak[..., [0, -1]] = False
    place = np.arange(params.samples) * step - reach
    value = np.where(peak, steep, 0) * np.maximum(1 - (place / slack) ** 2, 0)
    best = value.argmax(axis=2)[..., None]
    known = np.take_along_axis(value, best, axis=2)[..., 0] > 0
    left, mid, right = (
        np.take_along_axis(steep, np.clip(best + d, 0, params.samples - 1), 2)[..., 0] for d in (-1, 0, 1)
    )
    bend = np.where(known, left - 2 * mid + right, -1.0)
    offset = (best[..., 0] + 0.5 * (left - right) / np.minimum(bend, -1e-9)) * step - reach
    base = np.where(known, np.minimum(mid, 8.0), 0.0)
    weight, half = base, np.maximum(known.sum(axis=1) // 2, 1) - 1
    for _ in range(8):
        line, covariance = _weighted_lines(along, offset, weight)
        residual = offset - line[:, :1] - line[:, 1:] * along
        ranked = np.sort(np.where(known, np.abs(residual), np.inf), axis=1)
        sigma = np.maximum(1.4826 * np.take_along_axis(ranked, half[:, None], axis=1), 0.05)
        weight = base * np.maximum(1 - (residual / (params.outlier * sigma)) ** 2, 0) ** 2
    seen = known & (np.abs(residual) < max(1.0, 0.25 * slack))
    share = np.where(known.sum(axis=1) >= 8, seen.mean(axis=1), 0.0)
    blocks = weight.reshape(4, params.blocks, -1).sum(-1)
    mean = (weight * residual).reshape(4, params.blocks, -1).sum(-1) / np.maximum(blocks, 1e-9)
    some = blocks > 0.1 * blocks.max(axis=1, keepdims=True)
    used = np.maximum(some.sum(axis=1), 1)
    variance = (some * blocks * mean**2).sum(1) / np.maximum(used - 2, 1)  # of a block of unit weight
    return line, covariance * variance[:, None, None], share


def _weighted_lines(x: FloatArray, y: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Offset and slope (4, 2) of weighted least squares, and their covariances (4, 2, 2) for unit variance."""
    s0, s1, s2 = weight.sum(1) + 1e-9, (weight * x).sum(1), (weight * x * x).sum(1) + 1e-9
    sy, sxy = (weight * y).sum(1), (weight * x * y).sum(1)
    det = np.maximum(s0 * s2 - s1 * s1, 1e-12)
    line = np.stack([s2 * sy - s1 * sxy, s0 * sxy - s1 * sy], axis=-1) / det[:, None]
    inverse = np.stack([np.stack([s2, -s1], -1), np.stack([-s1, s0], -1)], axis=1) / det[:, None, None]
    return line, inverse


def _moved(quad: FloatArray, line: FloatArray) -> FloatArray:
    """Corners (..., 4, 2) after each side moved by its offset and tilt, (..., 4, 2)."""
    normal, following = _normals(quad), np.roll(quad, -1, axis=-2)
    start = quad + normal * (line[..., :1] - line[..., 1:])
    way = following + normal * (line[..., :1] + line[..., 1:]) - start
    before, way_before = np.roll(start, 1, axis=-2), np.roll(way, 1, axis=-2)
    sine = way_before[..., 0] * way[..., 1] - way_before[..., 1] * way[..., 0]
    gap = start - before
    part = (gap[..., 0] * way[..., 1] - gap[..., 1] * way[..., 0]) / sine
    return np.asarray(before + part[..., None] * way_before)


def measure_card(
    rgb: RGBArray, quad: FloatArray, factor: float, params: SideParams = SideParams()
) -> MeasuredCard | None:
    """Measure a candidate, at full resolution or where that has more than `SideParams.px_per_mm`, near to it.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        The photo, full resolution.
    quad : (4, 2)
        Its corners to a few px of the reduced photo, clockwise, the first side a long one.
    factor : float
        Photo px per px of the reduced photo.

    Returns
    -------
    MeasuredCard or None
        None where a side cannot be seen.
    """
    finer = max(1, int(_px_per_mm(quad) / params.px_per_mm))
    low = np.maximum(np.floor(quad.min(axis=0) - 4 * factor - finer).astype(int), 0)
    high = np.maximum(np.ceil(quad.max(axis=0) + 4 * factor + finer).astype(int), low + 2 * finer)
    part = rgb[low[1] : high[1], low[0] : high[0]]
    size = (part.shape[1] // finer, part.shape[0] // finer)
    if min(size) < 16:
        return None
    whole = part[: size[1] * finer, : size[0] * finer]
    fine = whole if finer == 1 else np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)
    whole_size = (rgb.shape[0] // finer, rgb.shape[1] // finer)
    card = _measure(_Part(fine, low / finer, whole_size), (quad - low + 0.5) / finer - 0.5, factor / finer, params)
    return None if card is None else _enlarged(card, finer, low)


def _enlarged(card: MeasuredCard, finer: int, low: NDArray[np.int64]) -> MeasuredCard:
    """The card measured in a part of the photo, reduced by a whole factor, in px of the photo."""
    corners = (card.corners_px + 0.5) * finer - 0.5 + low
    to_h = [np.linalg.inv(_corner_slope(h)) for h in (card.h, _square_to(corners))]
    root = to_h[1] @ np.linalg.inv(to_h[0]) * finer
    return replace(
        card,
        h=_square_to(corners),
        covariance=root @ card.covariance @ root.T,
        corners_px=corners,
    )


def _square_to(quad: FloatArray) -> FloatArray:
    return np.asarray(square_to_quads(quad[None])[0].ravel()[:8])


def _corner_slope(h: FloatArray) -> FloatArray:
    """Derivative (8, 8) of the corners' coordinates by the homography's numbers."""
    return parameter_jacobian(h, UNIT_CORNERS).reshape(8, 8)


def _px_per_mm(quad: FloatArray) -> float:
    return float(np.sqrt(cv2.contourArea(quad.astype(np.float32)) / (CARD_MM[0] * CARD_MM[1])))


def _measure(part: _Part, quad: FloatArray, factor: float, params: SideParams) -> MeasuredCard | None:
    rgb = part.rgb
    reach = params.coarse_view_px * max(factor, 1.5)
    steep, along = _slopes(rgb, quad, reach, params)
    rivals = _doubt_shadows(rgb, quad, along, _coarse(steep, along, reach, params), params)
    line = _best_lines(part, quad, rivals, params.coarse_tolerance)
    blur = _blur(steep, along, line, reach)
    quad = _moved(quad, line)
    px_per_mm = _px_per_mm(quad)
    if not px_per_mm > 0:
        return None
    reach = max(params.fine_px, params.fine_mm * px_per_mm, params.fine_blurs * blur)
    for slack in (0.5, 0.4, 0.3):
        line, cov, share = _fine(*_slopes(rgb, quad, reach, params), reach, slack * reach, params)
        if share.min() == 0:
            return None
        before, quad = quad, _moved(quad, line)
    cov[:, 0, 0] += (params.edge_mm * px_per_mm) ** 2 + params.edge_px**2 + (params.edge_blurs * blur) ** 2
    corners = _corner_covariance(before, line, cov)
    h = _square_to(quad)
    to_h = np.linalg.inv(_corner_slope(h))
    radius, rounded, fit = roundness(rgb, h, px_per_mm)
    return MeasuredCard(h, to_h @ corners @ to_h.T, quad, share, radius, rounded, fit)


def _corner_covariance(quad: FloatArray, line: FloatArray, cov: FloatArray) -> FloatArray:
    """(8, 8) of the corners' coordinates from the (4, 2, 2) of the lines."""
    derivative = np.zeros((8, 8))
    for k in range(8):
        step = np.zeros(8)
        step[k] = 0.01
        moved = [_moved(quad, line + sign * step.reshape(4, 2)) for sign in (1, -1)]
        derivative[:, k] = (moved[0] - moved[1]).ravel() / 0.02
    whole = np.zeros((8, 8))
    for k in range(4):
        whole[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = cov[k]
    return np.asarray(derivative @ whole @ derivative.T)

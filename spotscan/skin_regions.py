"""Regions of the skin mask, and which of them are another thing: table, cloth, wall.

Part of `spotscan.skin`. What looks like skin is parted at its edges; from the most skin-like region outwards,
regions join it unless a thing's outline lies between. An outline is smooth and has the same step of hue all
along it; the borders of lesions, folds and shadows are ragged, fade, or change lightness alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.skin_colour import WEIGHTS, Float, central
from spotscan.types import BoolArray, FloatArray

_NEAR = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class RegionParams:
    """Parameters of regions; colours in absorbance (log10), lengths in work px (about 1/160 of the photo)."""

    # Step of colour over 4 px that parts regions: this many times the median step within the skin, within
    # these limits; rough skin is parted only at stronger edges than smooth skin.
    rough: float = 2.0
    step: tuple[float, float] = (0.05, 0.15)
    # Least region worth comparing, share of the photo.
    region_share: float = 0.004
    # Step below which skin fades into shine; the relief of skin itself makes about 0.03.
    fade: float = 0.06
    # Chroma below which a colour is pale.
    pale: float = 0.08
    # Hue of skin at its most typical and its spread, degrees: median and (widened for lamps) scatter over
    # the photos of PAD-UFES-20; chroma that cloth seldom has.
    typical_hue_deg: tuple[float, float] = (35.0, 25.0)
    typical_chroma: float = 0.2
    # Range (10th to 90th percentile) of A_green - A_red over skin, whose blood varies from place to place;
    # over dyed cloth and sheets it is 0.01 to 0.02.
    alive: float = 0.05
    # A region as varied as the main one (this share of its range) and of its hue (degrees) is skin as well.
    as_alive: float = 0.5
    like_hue_deg: float = 10.0
    # Outline of a thing: share of its pixels that smoothing moves (object outlines: 0.05 or less; borders on
    # skin: 0.14 and more in 95 % of 194), least step of chroma, and least step anywhere on it as a share of
    # the mean step.
    ragged: float = 0.25
    outline_step: float = 0.05
    steady: float = 0.5
    # A strong edge: step over 80 % of its length. Behind it a region may differ from the main skin in these
    # bounds: down to this share of its chroma, this much darker (twice as much lighter), this far off in hue
    # (degrees), the three together as an ellipsoid. What is redder by `redder` (three times that within the
    # hue) stays: bruises are skin.
    strong: float = 0.1
    paler: float = 0.6
    darker: float = 0.4
    other_hue_deg: float = 30.0
    redder: float = 0.05
    # An island of skin smaller than this share of the photo is rather a mark on skin.
    island: float = 0.35


@dataclass(frozen=True, eq=False)
class _Regions:
    """Parallel over regions 1..n of `labels`; colours are medians."""

    labels: NDArray[np.int32]
    members: list[BoolArray]
    u: FloatArray
    v: FloatArray
    a: FloatArray
    spread: FloatArray  # of u
    is_mark: BoolArray  # enclosed by another region


def accept_shine(p: Float, colours: Float, params: RegionParams) -> Float:
    """Add to `p` pale regions into which skin fades: shine pales skin gently, cloth begins at an edge.

    Parameters
    ----------
    p : (h, w) float32
        Probability of skin.
    colours : (h, w, 3) float32
        A_green - A_red, A_blue - A_green and the mean absorbance.
    params : RegionParams
    """
    mask = (p > 0.5).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    rim = (cv2.dilate(mask, _NEAR) > 0) & (mask == 0)
    large = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] >= params.region_share * mask.size)
    step, result = _step(colours), p
    for i in large[large > 0]:
        region = labels == i
        mid_u, mid_v, mid_a = np.median(colours[region], axis=0)
        border = region & rim
        if not border.any() or np.hypot(mid_u, mid_v) > params.pale or mid_a > 1.0:
            continue
        if np.median(step[border]) < params.fade:
            result = np.where(region, np.float32(1.0), result)
    return result


def reject_strangers(p: Float, colours: Float, params: RegionParams) -> Float:
    """Take from `p` the regions that are other things than the most skin-like region.

    Parameters and shapes as in `accept_shine`.
    """
    inside = p > 0.5
    if not inside.any():
        return p
    step = _step(colours)
    labels, n = _part(inside, step, params)
    if n < 2:
        return p
    regions = _describe(labels, n, colours)
    main = _main(regions, p, colours, params)
    kept = _grow(regions, main, step, colours, params)
    # A dark lesion is the most skin-like region of pale skin: where only an island is left, all is skin.
    frame = np.concatenate([kept[0], kept[-1], kept[:, 0], kept[:, -1]])
    if frame.mean() < 0.02 and kept.mean() < params.island:
        return p
    return np.where((labels > 0) & ~kept, np.float32(0.0), p)


def _step(colours: Float) -> Float:
    """Step of colour over 4 px."""
    smooth = cv2.GaussianBlur(colours * WEIGHTS, (5, 5), 0.8)
    across = np.array([[-1.0, 0.0, 0.0, 0.0, 1.0]], np.float32)
    x, y = cv2.filter2D(smooth, -1, across), cv2.filter2D(smooth, -1, across.T)
    return np.asarray(np.sqrt(cv2.transform(x * x + y * y, np.ones((1, 3), np.float32))), np.float32)


def _part(mask: BoolArray, step: Float, params: RegionParams) -> tuple[NDArray[np.int32], int]:
    """Regions 1..n of the mask, parted by edges (watershed from the flat parts), and n; 0 elsewhere."""
    limit = np.clip(params.rough * np.median(step[mask]), *params.step)
    flat = cv2.morphologyEx((mask & (step < limit)).astype(np.uint8), cv2.MORPH_OPEN, _NEAR)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(flat, connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= params.region_share * mask.size
    large[0] = False
    n = int(large.sum())
    if n < 2:
        return mask.astype(np.int32), n
    seeds = (np.cumsum(large) * large)[labels].astype(np.int32)
    seeds[~mask & (seeds == 0)] = n + 1
    relief = np.clip(step * 400.0, 0, 255).astype(np.uint8)
    flooded = cv2.watershed(cv2.cvtColor(relief, cv2.COLOR_GRAY2RGB), seeds)
    flooded[(flooded < 0) | (flooded > n)] = 0
    lines = mask & (flooded == 0)
    flooded[lines] = cv2.dilate(flooded.astype(np.float32), _NEAR)[lines].astype(np.int32)
    return np.asarray(np.where(mask, flooded, 0), np.int32), n


def _describe(labels: NDArray[np.int32], n: int, colours: Float) -> _Regions:
    members = [labels == i for i in range(1, n + 1)]
    middle = np.array([np.median(colours[m], axis=0) for m in members], float)
    low, high = np.array([np.percentile(colours[m, 0], (10, 90)) for m in members]).T
    is_mark = np.zeros(n, bool)
    for i, m in enumerate(members):
        if not (m[0].any() or m[-1].any() or m[:, 0].any() or m[:, -1].any()):
            around = labels[_rim(m)]
            is_mark[i] = np.bincount(around, minlength=n + 1)[1:].max() > 0.8 * len(around)
    u, v, a = middle.T
    return _Regions(labels, members, u, v, a, spread=high - low, is_mark=is_mark)


def _rim(mask: BoolArray) -> BoolArray:
    return np.asarray((cv2.dilate(mask.astype(np.uint8), _NEAR) > 0) & ~mask)


def _main(regions: _Regions, p: Float, colours: Float, params: RegionParams) -> int:
    """The most skin-like region: of typical hue, in the middle, large, and with blood that varies."""
    u, v = colours[..., 0], colours[..., 1]
    typical, scatter = params.typical_hue_deg
    weight = p * central(p.shape) * np.exp(-0.5 * ((np.degrees(np.arctan2(v, u)) - typical) / scatter) ** 2)
    weight *= 1.0 - np.exp(-(u * u + v * v) / params.typical_chroma**2)
    n = len(regions.members)
    total = np.bincount(regions.labels.ravel(), weight.ravel(), minlength=n + 1)[1:]
    alive = np.minimum(regions.spread / params.alive, 1.0) ** 2
    return int(np.argmax(total * (0.1 + alive) * np.where(regions.is_mark, 0.01, 1.0)))


def _grow(regions: _Regions, main: int, step: Float, colours: Float, params: RegionParams) -> BoolArray:
    """The main region and all that joins it, the largest first."""
    is_kin, is_unlike = _compare(regions, main, params)
    inside, kept = regions.labels > 0, regions.members[main].copy()
    area = np.array([m.sum() for m in regions.members])
    waiting = [int(i) for i in np.argsort(-area) if i != main]
    for last in (False, False, False, True):
        for i in list(waiting):
            member = regions.members[i]
            shared = _rim(member) & kept
            if shared.sum() >= 8:
                border = shared | (_rim(kept) & member)
                other = is_unlike[i] and np.percentile(step[border], 20) > params.strong
                other = other or (not is_kin[i] and _is_outline(border, member, kept, inside, colours, params))
            elif is_unlike[i] or last:
                other = bool(is_unlike[i])
            else:
                continue
            waiting.remove(i)
            if not other:
                kept |= member
    return kept


def _compare(regions: _Regions, main: int, params: RegionParams) -> tuple[BoolArray, BoolArray]:
    """Which regions are skin whatever lies between, and which are too different behind a strong edge."""
    chroma, hue = np.hypot(regions.u, regions.v), np.degrees(np.arctan2(regions.v, regions.u))
    turned = hue - hue[main]
    darker = (regions.a - regions.a[main]) / params.darker
    paler = np.log(np.maximum(chroma, 1e-3) / chroma[main]) / np.log(params.paler)
    # Near clipping all colours pale: a lit flank of skin is no cloth as long as it has some chroma left.
    lit = (regions.a < 0.25) & (chroma > 1.5 * params.pale)
    tone = np.where(lit, 0.0, np.where(darker > 0, darker, 0.5 * darker))
    wash = np.where(lit, 0.0, np.maximum(paler, 0.0))
    same_hue = np.abs(turned) < params.other_hue_deg
    redder = regions.u > regions.u[main] + params.redder * (1 + 2 * same_hue)
    unlike = ((turned / params.other_hue_deg) ** 2 + tone**2 + wash**2 > 1.0) & ~redder & ~regions.is_mark
    alike = (np.abs(turned) < params.like_hue_deg) & (regions.spread > params.as_alive * regions.spread[main])
    kin = regions.is_mark | alike | (redder & (regions.spread >= params.alive))
    return kin, unlike


def _is_outline(
    border: BoolArray,
    one: BoolArray,
    other: BoolArray,
    inside: BoolArray,
    colours: Float,
    params: RegionParams,
) -> bool:
    """Whether a border between two regions is the outline of a thing."""
    zone = (cv2.dilate(border.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0) & inside
    zone[:4] = zone[-4:] = zone[:, :4] = zone[:, -4:] = False
    share = _blur(one, 9) / np.maximum(_blur(inside, 9), 1e-3)
    if (((share > 0.5) != one) & zone).sum() > params.ragged * border.sum() / 2:
        return False
    # Colours of the two sides, 2 to 5 px off the border, along it.
    away = cv2.distanceTransform((~border).astype(np.uint8), cv2.DIST_L2, 3)
    beside = (away > 1.5) & (away < 5)
    sides, known = [], border.copy()
    for side in (beside & one, beside & other):
        weight = _blur(side, 13)
        sides.append(_blur(colours * WEIGHTS * side[..., None], 13) / np.maximum(weight, 1e-4)[..., None])
        known &= weight > 0.03
    steps = (sides[0] - sides[1])[known]
    if len(steps) < 8:
        return False
    mean = steps.mean(axis=0)
    least = np.percentile(steps @ mean, 10)
    return bool(np.hypot(mean[0], mean[1]) > params.outline_step and least > params.steady * (mean @ mean))


def _blur(x: NDArray[Any], side: int) -> Float:
    return np.asarray(cv2.blur(x.astype(np.float32), (side, side)), np.float32)

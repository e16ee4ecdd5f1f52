"""Ticks measured: where exactly, how long, how much they lean.

Each tick of a chain is measured at full resolution, row by row along its length. All lean alike but for the
perspective, by which they fan out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from spotscan.references.ruler_chains import F32, Chain, fit_places
from spotscan.references.ruler_rows import Grey
from spotscan.types import FloatArray


@dataclass(frozen=True)
class TickParams:
    """How ticks are measured.

    Attributes
    ----------
    ticks : int
        Fewest that must be left.
    seen : float
        Least share of the chain's ticks that must be seen.
    depth : float
        Ticks are followed so many gaps to both sides of the line.
    rounds : int
        Of measuring; after each, more of the ticks' length is used.
    """

    ticks: int = 10
    seen: float = 0.6
    depth: float = 12.0
    rounds: int = 4


@dataclass(frozen=True, eq=False)
class Ticks:
    """Ticks measured.

    Attributes
    ----------
    chain : Chain
        With refined places.
    lean : (2,)
        Ticks cross a height h (px) above the line at place + h (lean[0] + lean[1] place).
    error_px : float
        1-sigma scatter of a place.
    below, above : (n,)
        How far each tick reaches from the line, px, against and along `chain.up`.
    contrast : (n,)
        Of each tick on the line to what is between, codes, positive.
    width : float
        Share of the gap that a tick takes: full width at half contrast.
    fan_err : float
        1-sigma error of lean[1], by which parallel ticks are seen to fan out.
    """

    chain: Chain
    lean: FloatArray
    error_px: float
    below: FloatArray
    above: FloatArray
    contrast: FloatArray
    width: float
    fan_err: float = np.inf


def measure_ticks(grey: Grey, chain: Chain, params: TickParams = TickParams()) -> Ticks | None:
    """Measure the ticks of a chain at full resolution; None where they cannot be followed."""
    across = np.linspace(-0.5, 0.5, 17)
    lean, fan_err = np.zeros(2), np.inf
    low, high = -0.5, 0.5  # rows that all ticks reach, in gaps
    for step in range(params.rounds):
        place, gap = chain.place_px, chain.gap_px
        height = np.linspace(low, high, 12) * gap
        seen = samples(grey, chain, place, lean, height, across * gap)
        mark = _above_gaps(seen * chain.sign, across)
        weight = mark.sum(axis=2) + 1e-6
        centre = (mark * across).sum(axis=2) / weight * gap
        strong = np.median(weight)
        weight = np.minimum(weight, 2 * strong) * (weight > 0.3 * strong)
        good = weight.sum(axis=1) > 0
        if good.mean() < params.seen:
            return None
        total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-6)
        shift = (centre * weight).sum(axis=1, keepdims=True) / total
        mean = (height * weight).sum(axis=1, keepdims=True) / total
        change, fan_err = _lean(centre - shift, height - mean, place, weight)
        shift = (shift - mean * (change[0] + change[1] * place[:, None]))[:, 0]
        lean = lean + change
        place = place + np.clip(shift, -0.3 * gap, 0.3 * gap)
        good &= fit_places(place, chain.index)[2]
        index = chain.index[good] - chain.index[good][0]
        chain = replace(chain, place_px=place[good], index=index // max(1, int(np.gcd.reduce(index))))
        if len(chain.index) < params.ticks:
            return None
        if step < params.rounds - 1:
            low, high = _common(grey, chain, lean, params)
    return replace(_follow(grey, chain, lean, (low, high), params), fan_err=float(fan_err))


def _rows(grey: Grey, chain: Chain, lean: FloatArray, gap: float, params: TickParams) -> tuple[FloatArray, FloatArray]:
    """Heights, in gaps, and the contrast of each tick to its two gaps at each: (rows,), (n, rows)."""
    n = round(params.depth * _PER_GAP)
    height = np.arange(-n, n + 1) / _PER_GAP
    across = np.linspace(-0.5, 0.5, 13)
    seen = samples(grey, chain, chain.place_px, lean, height * gap, across * gap) * chain.sign
    middle = seen[..., 5:8].mean(axis=-1)
    gaps = (seen[..., :2].sum(axis=-1) + seen[..., -2:].sum(axis=-1)) / 4
    return height, np.asarray(np.nan_to_num(middle - gaps), float)


def _common(grey: Grey, chain: Chain, lean: FloatArray, params: TickParams) -> tuple[float, float]:
    """Heights, in gaps, between which most ticks are seen; some forty ticks tell."""
    some = slice(None, None, max(1, len(chain.index) // 40))
    height, contrast = _rows(grey, replace(chain, place_px=chain.place_px[some]), lean, chain.gap_px, params)
    usual = np.median(contrast, axis=0)
    n = len(height) // 2
    reach = 0.6 * usual[n - 2 : n + 3].mean()
    up, down = usual[n:] < reach, usual[n::-1] < reach
    above = np.argmax(up) if up.any() else n
    below = np.argmax(down) if down.any() else n
    return -max(float(below) - 1, 1.0) / _PER_GAP, max(float(above) - 1, 1.0) / _PER_GAP


def samples(
    grey: Grey, chain: Chain, place: FloatArray, lean: FloatArray, height: FloatArray, across: FloatArray
) -> F32:
    """Codes (n, rows, across) at heights and distances (px) about places on the row; NaN outside the photo."""
    u = place[:, None] + height * (lean[0] + lean[1] * place[:, None])
    u = u[..., None] + across
    v = height[None, :, None]
    x = (chain.origin_px[0] + u * chain.along[0] + v * chain.up[0]).astype(np.float32)
    y = (chain.origin_px[1] + u * chain.along[1] + v * chain.up[1]).astype(np.float32)
    flat = x.reshape(len(place), -1), y.reshape(len(place), -1)
    seen = cv2.remap(grey.astype(np.float32) if grey.dtype != np.uint8 else grey, *flat, cv2.INTER_LINEAR)
    codes = seen.astype(np.float32).reshape(x.shape)
    codes[(x < 0) | (y < 0) | (x > grey.shape[1] - 1) | (y > grey.shape[0] - 1)] = np.nan
    return codes


def _above_gaps(signal: F32, across: FloatArray) -> F32:
    """What stands out of the line through the two gaps beside a tick, 0 and more; 0 outside the photo."""
    left, right = signal[..., :3].mean(axis=-1), signal[..., -3:].mean(axis=-1)
    base = left[..., None] + (right - left)[..., None] * (across + 0.5)
    return np.asarray(np.nan_to_num(np.maximum(signal - base, 0)), np.float32)


def _lean(centre: FloatArray, height: FloatArray, place: FloatArray, weight: FloatArray) -> tuple[FloatArray, float]:
    """Fit centre = height (a + b place) robustly: each tick's own slope, then the line through the slopes.

    Returns
    -------
    (2,), float
        a and b, and the error of b: ticks err each by itself.
    """
    own = (weight * height**2).sum(axis=1) + 1e-9
    slope = (weight * height * centre).sum(axis=1) / own
    design = np.column_stack([np.ones_like(place), place])
    w, solution, normal, spread = own, np.zeros(2), np.eye(2), 0.0
    for _ in range(5):
        normal = design.T @ (design * w[:, None]) + np.diag([1e-9, 1e-3])
        solution = np.linalg.solve(normal, design.T @ (w * slope))
        off = slope - design @ solution
        usual = 1.4826 * float(np.median(np.abs(off[own > 1e-6]))) + 1e-5
        w = own * np.maximum(1 - (off / (5 * usual)) ** 2, 0) ** 2
        spread = float((w * off**2).sum()) / max(float((w > 0).sum()) - 2, 1.0)  # of unit weight
    return solution, float(np.sqrt(spread * np.linalg.inv(normal)[1, 1]))


def _follow(grey: Grey, chain: Chain, lean: FloatArray, common: tuple[float, float], params: TickParams) -> Ticks:
    """Lengths, contrasts and width of ticks."""
    gap = chain.gap_px
    height, contrast = _rows(grey, chain, lean, gap, params)
    n = len(height) // 2
    own = np.median(contrast[:, (height >= common[0]) & (height <= common[1])], axis=1)
    share = contrast / np.maximum(own, max(0.3 * float(np.median(own)), 0.5))[:, None]
    share = np.asarray(cv2.blur(share, (3, 1)), float)
    above, below = _reach(share[:, n:]) / _PER_GAP, _reach(share[:, n::-1]) / _PER_GAP
    across = np.linspace(-0.5, 0.5, 33)
    middle = samples(grey, chain, chain.place_px, lean, np.linspace(*common, 5) * gap, across * gap) * chain.sign
    mark = np.median(_above_gaps(middle, across).mean(axis=1), axis=0)
    width = float((mark > 0.5 * mark.max()).mean()) if mark.max() > 0 else 1.0
    scatter = fit_places(chain.place_px, chain.index)[1]
    return Ticks(chain, lean, scatter, below * gap, above * gap, own, width)


def straighten(ticks: Ticks) -> Chain:
    """The chain on the line through the middles of its ticks (least absolute error)."""
    chain = ticks.chain
    height = (ticks.above - ticks.below) / 2
    design = np.column_stack([np.ones_like(height), chain.place_px / np.abs(chain.place_px).max()])
    weight = np.ones_like(height)
    for _ in range(12):
        middle = design @ np.linalg.lstsq(design * weight[:, None], height * weight, rcond=None)[0]
        weight = 1 / np.sqrt(np.maximum(np.abs(height - middle), 0.1))
    points = points_at(ticks, chain.place_px, middle)
    along = points[-1] - points[0]
    along = along / np.linalg.norm(along)
    return replace(chain, origin_px=points[0], along=along, place_px=(points - points[0]) @ along)


def points_at(ticks: Ticks, place: FloatArray, height: FloatArray) -> FloatArray:
    """Points of the photo at these places along the row and heights along the ticks."""
    chain = ticks.chain
    u = place + height * (ticks.lean[0] + ticks.lean[1] * place)
    return np.asarray(chain.origin_px + u[:, None] * chain.along + height[:, None] * chain.up)


def _reach(share: FloatArray) -> FloatArray:
    """Rows over which a mark goes on, from the first: (n, rows) shares of its contrast -> (n,)."""
    on = share > 0.5
    on[:, 0] = True
    gone = ~(on[:, :-1] | on[:, 1:])  # two rows in a row
    end = np.where(gone.any(axis=1), gone.argmax(axis=1), share.shape[1] - 1)
    rows = np.arange(share.shape[1])
    return np.asarray((np.clip(share, 0, 1) * (rows <= end[:, None])).sum(axis=1) - 0.5)


_PER_GAP = 6  # rows per gap in which a tick is followed

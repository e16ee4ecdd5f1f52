"""Quadrilaterals in a reduced photo that could be a bank card.

Long straight sides are the one thing that print, skin and table have less of than a card, and they may be faint,
broken by fingers and without corners. So lines are sought first, and all fours of them that could be a card in
perspective are tried at once: by how much of the sides is seen, whether they end at the corners, and whether those are
round.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spotscan.references.bank_card_lines import Lines, find_lines
from spotscan.references.bank_card_shape import round_gain, shape_cost
from spotscan.types import BoolArray, FloatArray, RGBArray


@dataclass(frozen=True)
class SearchParams:
    """Which fours of lines are candidates; px are those of the reduced photo.

    Attributes
    ----------
    pixels : int
        Of the reduced photo. A card that spans a fifth of its length has sides of 80 and 130 px.
    min_side_px : float
        Shortest side.
    parallel_deg, across_deg : float
        Largest angle between opposite sides, and least between neighbours: a card tilted by 45 degrees, from near.
    seen, past : float
        Share of a side that must be seen for it to count in favour; share of the lines beyond its ends that counts
        against.
    min_seen, min_mean_seen : float
        Share of each side that must be seen, and of all four.
    misfit : float
        Largest cost of shape (see `shape_cost`) at the accuracy of the reduced photo, `tolerance`.
    tolerance : float
        1-sigma error of the ratio of sides and of the angle there: a pixel in 80, and then the lens.
    n_looked_at, n_quads : int
        Candidates whose corners are looked at, and given back.
    """

    pixels: int = 300_000
    min_side_px: float = 36.0
    parallel_deg: float = 28.0
    across_deg: float = 50.0
    seen: float = 0.45
    past: float = 0.3
    min_seen: float = 0.18
    min_mean_seen: float = 0.5
    misfit: float = 12.0
    tolerance: float = 0.02
    n_looked_at: int = 400
    n_quads: int = 5


def find_quads(rgb: RGBArray, params: SearchParams = SearchParams()) -> FloatArray:
    """Candidates (N, 4, 2) in px of this (reduced) photo, best first; clockwise, the first side a long one."""
    lines = find_lines(rgb)
    if len(lines.theta) < 4:
        return np.zeros((0, 4, 2))
    quads, score = _combine(lines, rgb.shape[:2], params)
    if not len(quads):
        return quads
    best = np.argsort(-score, kind="stable")[: params.n_looked_at]
    quads, score = quads[best], score[best]
    # A frame printed near the edge, and a stripe: of all fours of their lines only one set has the round corners.
    gain = round_gain(rgb, quads)
    return _distinct(quads, np.sqrt(score) * (0.1 + np.maximum(gain, 0)), params.n_quads)


def _combine(lines: Lines, shape: tuple[int, int], params: SearchParams) -> tuple[FloatArray, FloatArray]:
    """All fours of lines that could be a card: quads (N, 4, 2) and their scores (N,)."""
    n = len(lines.theta)
    i, j = np.triu_indices(n, 1)
    turn = np.abs(np.sin(lines.theta[i] - lines.theta[j]))
    pairs = np.column_stack([i, j])[turn < np.sin(np.radians(params.parallel_deg))]
    p, q = np.triu_indices(len(pairs), 1)
    cross = np.abs(np.sin(lines.theta[pairs[p, 0]] - lines.theta[pairs[q, 0]]))
    ok = cross > np.sin(np.radians(params.across_deg))
    first, second = pairs[p[ok]], pairs[q[ok]]
    # Corners in order: first[0] meets second[0], second[1]; first[1] meets second[1], second[0].
    ring = np.stack([first[:, 0], second[:, 0], first[:, 1], second[:, 1]], axis=1)
    corners = np.stack([_meet(lines, ring[:, k - 1], ring[:, k]) for k in range(4)], axis=1)
    keep = _plausible(corners, shape, params)
    ring, corners = ring[keep], corners[keep]
    seen, beyond, length = [], [], []
    for k in range(4):  # the side on line ring[k] runs from corner k to corner k + 1
        theta = lines.theta[ring[:, k]]
        along = np.stack([-np.sin(theta), np.cos(theta)], axis=-1)
        low, high = ((corners[:, m] * along).sum(-1) for m in (k, (k + 1) % 4))
        side = high - low
        seen.append(lines.seen_between(ring[:, k], low + 0.08 * side, high - 0.08 * side))
        past = [(low - 0.04 * side, low - 0.24 * side), (high + 0.04 * side, high + 0.24 * side)]
        beyond.append(np.mean([lines.seen_between(ring[:, k], a, b) for a, b in past], axis=0))
        length.append(np.abs(side))
    share, past_share, sides = np.stack(seen, 1), np.stack(beyond, 1), np.stack(length, 1)
    score = (sides * (share - params.seen)).sum(1) - 0.3 * (sides * np.maximum(past_share - params.past, 0)).sum(1)
    middle = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    good = (share.min(1) > params.min_seen) & (share.mean(1) > params.min_mean_seen) & (score > 0)
    quads, score = _long_first(corners[good]) + middle, score[good]
    best = np.argsort(-score, kind="stable")[:3000]
    quads, score = quads[best], score[best]
    cost = shape_cost(quads, shape, params.tolerance)
    return quads[cost < params.misfit], (score * np.exp(-0.02 * np.minimum(cost, 50)))[cost < params.misfit]


def _meet(lines: Lines, i: NDArray[np.int64], j: NDArray[np.int64]) -> FloatArray:
    a, b, u, v = lines.theta[i], lines.theta[j], lines.rho[i], lines.rho[j]
    sine = np.sin(b - a)
    sine = np.where(np.abs(sine) < 1e-6, 1e-6, sine)
    return np.stack([(u * np.sin(b) - v * np.sin(a)) / sine, (v * np.cos(a) - u * np.cos(b)) / sine], axis=-1)


def _plausible(corners: FloatArray, shape: tuple[int, int], params: SearchParams) -> BoolArray:
    """Convex, in the photo or little beyond it, and of sides that a card has at any tilt up to 50 degrees."""
    edge = np.roll(corners, -1, axis=1) - corners
    following = np.roll(edge, -1, axis=1)
    turn = edge[..., 0] * following[..., 1] - edge[..., 1] * following[..., 0]
    convex = (turn > 0).all(1) | (turn < 0).all(1)
    side = np.linalg.norm(edge, axis=-1)
    limit = np.array([shape[1], shape[0]]) / 2 + 0.04 * max(shape)
    inside = (np.abs(corners) < limit).all((1, 2))
    a, b = side[:, 0] + side[:, 2], side[:, 1] + side[:, 3]
    ratio = np.maximum(a, b) / np.maximum(np.minimum(a, b), 1e-9)
    return np.asarray(convex & inside & (side.min(1) > params.min_side_px) & (ratio < 2.5))


def _long_first(corners: FloatArray) -> FloatArray:
    """Clockwise (y down), and the first side one of the two that are longer for their place in perspective."""
    x, y = corners[..., 0], corners[..., 1]
    area = (x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)).sum(1)
    clockwise = np.where((area > 0)[:, None, None], corners, corners[:, ::-1])
    side = np.linalg.norm(np.roll(clockwise, -1, axis=1) - clockwise, axis=-1)
    long = side[:, 0] + side[:, 2] >= side[:, 1] + side[:, 3]
    return np.asarray(np.where(long[:, None, None], clockwise, np.roll(clockwise, -1, axis=1)))


def _distinct(quads: FloatArray, score: FloatArray, n: int) -> FloatArray:
    """The best ones, none within 1.5 px of a better one."""
    keep: list[int] = []
    either = np.stack([quads, np.roll(quads, 2, axis=1)])
    for i in np.argsort(-score, kind="stable"):
        if not keep or np.abs(either[:, keep] - quads[i]).max((2, 3)).min() > 1.5:
            keep.append(int(i))
        if len(keep) >= n:
            break
    return np.asarray(quads[keep])

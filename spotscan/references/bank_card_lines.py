"""Long straight lines in a reduced photo, faint ones too.

A Hough transform in which every edge pixel votes along its own direction only (O'Gorman and Clowes 1976), with a weight
that counts how far it stands out of its neighbourhood, not how strong it is: a faint side on plain skin counts as much
as a bold one. Channels are brightness and two opponent colours, each in units of its own texture (the gradient of
Di Zenzo 1986): skin has its texture in brightness. In rounds: the edges on the lines found vote no more, for the votes
of a bold line drown those of a fainter one beside it (Matas, Galambos and Kittler 2000).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.types import BoolArray, FloatArray, RGBArray

_F32 = NDArray[np.float32]


@dataclass(frozen=True)
class LineParams:
    """How lines are looked for; px are those of the reduced photo.

    Attributes
    ----------
    blur_px : float
        Smoothing before the gradient, 1 sigma: about the sampling's own.
    around_px : int
        Side of the neighbourhood an edge must stand out of.
    stands_out : float
        Edge strength over the neighbourhood's mean that counts at all; pure noise has a tenth of its ridges there.
    spread_deg : int
        Votes go this far to both sides of an edge's own direction: the direction of a faint edge is that unsure.
    aligned_deg : float
        An edge pixel supports a line whose direction it has to this.
    rounds, n_peaks, n_lines : int
        Rounds of voting, lines looked at in each, and kept of all.
    min_gain_px : float
        Least length of a line's best stretch, less twice its gaps.
    """

    blur_px: float = 0.8
    around_px: int = 31
    stands_out: float = 1.3
    spread_deg: int = 4
    aligned_deg: float = 14.0
    rounds: int = 3
    n_peaks: int = 40
    n_lines: int = 40
    min_gain_px: float = 6.0


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines x cos + y sin = rho about the photo's middle, and where along them edges support them.

    Attributes
    ----------
    theta, rho : (n,)
    seen : (n, m + 1)
        Running sum of the support along each line, from `start` in steps of 1 px.
    start : float
    """

    theta: FloatArray
    rho: FloatArray
    seen: FloatArray
    start: float

    def seen_between(self, index: NDArray[np.int64], low: FloatArray, high: FloatArray) -> FloatArray:
        """Share of supported px on lines between two places along them (all (N,))."""
        last = self.seen.shape[1] - 1
        first = np.clip(np.rint(np.minimum(low, high) - self.start), 0, last).astype(np.int64)
        stop = np.clip(np.rint(np.maximum(low, high) - self.start), 0, last).astype(np.int64)
        return np.asarray((self.seen[index, stop] - self.seen[index, first]) / np.maximum(np.abs(high - low), 1.0))


@dataclass(frozen=True, eq=False)
class _Edges:
    """Edge pixels: weight (h, w), 0 where there is none; direction of the gradient, degrees, 255 for none, (h, w)."""

    weight: _F32
    code: NDArray[np.uint8]


def find_lines(rgb: RGBArray, params: LineParams = LineParams()) -> Lines:
    """The lines with the longest supported stretches, the longest first."""
    edges = _find_edges(rgb, params)
    left = _Edges(edges.weight.copy(), edges.code.copy())
    theta, rho, gain = np.zeros(0), np.zeros(0), np.zeros(0)
    for _ in range(params.rounds):
        new_theta, new_rho = _vote(left, params)
        if not len(new_theta):
            break
        new_theta, new_rho, new_gain, stretch = _straightened(left, new_theta, new_rho, params)
        keep: list[int] = []
        for i in np.argsort(-new_gain, kind="stable"):
            if new_gain[i] <= params.min_gain_px:
                break
            if not any(_same(new_theta[i], new_rho[i], stretch[i], new_theta[j], new_rho[j]) for j in keep):
                keep.append(int(i))
        if not keep:
            break
        _erase(left, new_theta[keep], new_rho[keep], stretch[keep], params)
        theta, rho, gain = np.r_[theta, new_theta[keep]], np.r_[rho, new_rho[keep]], np.r_[gain, new_gain[keep]]
    if not len(theta):
        return Lines(theta, rho, np.zeros((0, 1)), 0.0)
    best = np.argsort(-gain, kind="stable")[: params.n_lines]
    t, seen, _ = _support(edges, theta[best], rho[best], 1, params)
    return Lines(theta[best], rho[best], np.pad(np.cumsum(seen, axis=1), ((0, 0), (1, 0))), float(t[0]))


def _find_edges(rgb: RGBArray, params: LineParams) -> _Edges:
    """Pixels that stand out of their neighbourhood, on ridges of the gradient."""
    mix = np.array([(1 / 3, 1 / 3, 1 / 3), (0.7, -0.7, 0), (0.4, 0.4, -0.8)], np.float32)
    smooth: _F32 = np.asarray(cv2.GaussianBlur(rgb.astype(np.float32), (0, 0), params.blur_px), np.float32)
    channels = cv2.transform(smooth, mix)
    gx, gy = cv2.Sobel(channels, cv2.CV_32F, 1, 0), cv2.Sobel(channels, cv2.CV_32F, 0, 1)
    power = gx * gx + gy * gy
    texture = np.sqrt(np.median(power[::4, ::4].reshape(-1, 3), axis=0))
    unit = (1 / np.maximum(texture, 0.35 * texture[0] + 1.0)) ** 2  # colour that hardly varies has its own rounding
    xx, yy, xy = (cv2.transform(g, unit[None].astype(np.float32)) for g in (gx * gx, gy * gy, gx * gy))
    half, mixed = (xx - yy) / 2, xy
    strength = cv2.sqrt((xx + yy) / 2 + cv2.magnitude(half, mixed))
    direction = (0.5 * cv2.phase(half, mixed)).astype(np.float32)  # 0 to pi
    mean = cv2.blur(strength, (params.around_px, params.around_px), borderType=cv2.BORDER_REFLECT)
    out = strength / (mean + 1.0)
    weight = np.clip(out - params.stands_out, 0, 1.5) * _ridge(np.asarray(strength, np.float32), direction)
    weight[[0, -1]], weight[:, [0, -1]] = 0, 0
    code = np.where(weight > 0, np.rint(np.degrees(direction)) % 180, 255)
    return _Edges(np.asarray(weight, np.float32), code.astype(np.uint8))


def _ridge(strength: _F32, direction: _F32) -> BoolArray:
    """True where the strength is largest across the edge (non-maximum suppression in four directions)."""
    sector = np.rint(direction / (np.pi / 4)).astype(np.uint8) % 4
    padded = np.pad(strength, 1)
    h, w = strength.shape
    ridge = np.zeros((h, w), bool)
    for k, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ahead = padded[1 + dy : 1 + dy + h, 1 + dx : 1 + dx + w]
        behind = padded[1 - dy : 1 - dy + h, 1 - dx : 1 - dx + w]
        ridge |= (sector == k) & (strength >= ahead) & (strength > behind)
    return ridge


def _vote(edges: _Edges, params: LineParams) -> tuple[FloatArray, FloatArray]:
    """The lines with most votes: direction of their normal (n,) and distance from the middle (n,)."""
    h, w = edges.weight.shape
    y, x = np.divmod(np.flatnonzero(edges.weight), w)
    value = np.minimum(edges.weight[y, x], 1.0)
    reach = int(np.hypot(h, w) / 2) + 4
    bin_ = edges.code[y, x].astype(np.int32)
    angle = np.radians(np.arange(180))
    cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    xc, yc = (x - (w - 1) / 2).astype(np.float32), (y - (h - 1) / 2).astype(np.float32)
    votes = np.zeros(180 * 2 * reach, np.float64)
    for step in range(-params.spread_deg, params.spread_deg + 1):
        at = (bin_ + step) % 180
        rho = np.rint(xc * cos[at] + yc * sin[at]).astype(np.int32) + reach
        votes += np.bincount(at * (2 * reach) + rho, value, votes.size)
    table = votes.reshape(180, 2 * reach).astype(np.float32)
    wrapped = np.concatenate([table[-4:, ::-1], table, table[:4, ::-1]])  # a turn by pi changes the sign of rho
    smooth = cv2.GaussianBlur(wrapped, (3, 3), 0.7)
    peak = (smooth == cv2.dilate(smooth, np.ones((5, 5), np.uint8)))[4:-4] & (smooth[4:-4] > 0)
    where = np.flatnonzero(peak)
    where = where[np.argsort(-smooth[4:-4].ravel()[where], kind="stable")[: params.n_peaks]]
    row, column = np.divmod(where, 2 * reach)
    return np.radians(row.astype(float)), column - float(reach)


def _support(
    edges: _Edges, theta: FloatArray, rho: FloatArray, reach: int, params: LineParams
) -> tuple[FloatArray, NDArray[np.bool_], NDArray[np.int8]]:
    """Along (t), whether there is an edge (n, m), and its offset (n, m) from the line, at most `reach` px."""
    h, w = edges.weight.shape
    half = np.ceil(np.hypot(h, w) / 2)
    t = np.arange(-half, half + 1)
    cos, sin = np.cos(theta)[:, None], np.sin(theta)[:, None]
    # Off the halves by a little: rounded to even, a line between two columns would miss one of them.
    x, y = (rho[:, None] * cos - t * sin + w / 2 - 0.49), (rho[:, None] * sin + t * cos + h / 2 - 0.49)
    turn = np.abs((np.arange(180) - np.degrees(theta)[:, None] + 90) % 180 - 90)
    fits = np.pad(turn < params.aligned_deg, ((0, 0), (0, 256 - 180)))  # by direction; 255 is no edge
    seen, offset = np.zeros(x.shape, bool), np.zeros(x.shape, np.int8)
    for off in sorted(range(-reach, reach + 1), key=abs, reverse=True):
        there = (x + off * cos).astype(np.float32), (y + off * sin).astype(np.float32)
        code = cv2.remap(edges.code, *there, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=(255,))
        hit = np.take_along_axis(fits, np.asarray(code, np.uint8), axis=1)
        seen |= hit
        offset[hit] = off  # the nearest comes last
    return t, seen, offset


def _straightened(
    edges: _Edges, theta: FloatArray, rho: FloatArray, params: LineParams
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Lines fitted to their best stretch: theta, rho, its gain (n,) and where it starts and ends (n, 2)."""
    for reach in (2, 1):  # a vote's bin is a degree wide; a printed frame may be 3 px away
        t, seen, offset = _support(edges, theta, rho, reach, params)
        total = np.cumsum(seen - 0.5, axis=1)
        lowest = np.minimum.accumulate(np.minimum(total, 0), axis=1)
        gain = total - lowest
        end = gain.argmax(axis=1)
        column = np.arange(len(t))
        start = (total > np.take_along_axis(lowest, end[:, None], 1)) | (column > end[:, None])
        start = len(t) - np.argmin(start[:, ::-1], axis=1)  # just after the lowest total before the end
        start[start > end] = 0
        on = seen * ((column >= start[:, None]) & (column <= end[:, None]))
        n = np.maximum(on.sum(1), 1)
        mean_t, mean_o = (on * t).sum(1) / n, (on * offset).sum(1) / n
        arm = t - mean_t[:, None]
        slope = (on * arm * (offset - mean_o[:, None])).sum(1) / np.maximum((on * arm**2).sum(1), 1.0)
        # The offsets are mean_o + slope (t - mean_t): the normal of the line through them is turned back by it.
        turn = -np.arctan(slope)
        rho = (rho + mean_o - slope * mean_t) * np.cos(turn)
        theta = theta + turn
    return theta, rho, gain.max(axis=1), np.column_stack([t[start], t[end]])


def _erase(edges: _Edges, theta: FloatArray, rho: FloatArray, stretch: FloatArray, params: LineParams) -> None:
    """Take the edges on stretches of lines out of the vote, in place."""
    h, w = edges.weight.shape
    for angle, distance, (low, high) in zip(theta, rho, stretch, strict=True):
        t = np.arange(low, high + 1)
        off = np.array([[-1.0], [0.0], [1.0]])
        x = np.rint((distance + off) * np.cos(angle) - t * np.sin(angle) + w / 2 - 0.49).astype(int)
        y = np.rint((distance + off) * np.sin(angle) + t * np.cos(angle) + h / 2 - 0.49).astype(int)
        inside = (x >= 0) & (y >= 0) & (x < w) & (y < h)
        x, y = x[inside], y[inside]
        turn = np.abs((edges.code[y, x] - np.degrees(angle) + 90) % 180 - 90)
        x, y = x[turn < params.aligned_deg], y[turn < params.aligned_deg]
        edges.weight[y, x], edges.code[y, x] = 0, 255


def _same(theta: float, rho: float, stretch: FloatArray, other: float, other_rho: float) -> bool:
    """Whether the stretch of a line lies within 1.5 px of another line."""
    away = rho * np.cos(theta - other) - stretch * np.sin(theta - other) - other_rho
    return bool(np.abs(away).max() < 1.5)

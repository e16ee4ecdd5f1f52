"""From candidates to marks: one peak a mark.

A large solid mark absorbs the texture inside it; a large loose one gives way to the small marks it blurs together; two
peaks without a dip or a neck between them are one mark.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.segment.contrast import F32, Mask, blur
from spotscan.segment.params import SegmentParams
from spotscan.segment.peaks import RADIUS_PER_SIGMA, Peaks
from spotscan.types import BoolArray, FloatArray


def clear_peaks(peaks: Peaks, p: SegmentParams) -> Peaks:
    """The peaks beyond doubt, each place once."""
    peaks = peaks[peaks.score >= p.min_snr]
    return peaks[_distinct(peaks, np.ones(len(peaks), bool))]


def cover(peaks: Peaks, shape: tuple[int, ...], radii: float = 2.2) -> Mask:
    """Discs over the marks; 2.2 radii take in the moats that the filter digs around them."""
    out = np.zeros(shape, np.uint8)
    for (x, y), radius in zip(peaks.xy, peaks.radius, strict=True):
        cv2.circle(out, (round(x), round(y)), round(radii * radius), 1, -1)
    return out


def select_marks(peaks: Peaks, smooth: F32, p: SegmentParams) -> Peaks:
    """One peak a mark; `smooth` is the lightly blurred contrast."""
    large = _large(peaks, p)
    clear = peaks.score >= p.min_snr
    taken = cover(clear_peaks(peaks, p), smooth.shape, radii=1.2)
    solid = np.zeros(len(peaks), bool)
    solid[large] = _may_be_solid(peaks[large], smooth, taken)
    keep = clear | solid
    peaks, large, clear, solid = peaks[keep], large[keep], clear[keep], solid[keep]
    if not len(peaks):
        return peaks
    alive = np.ones(len(peaks), bool)
    kept = _absorb(peaks, smooth, taken, large, clear, solid, alive, p)
    kept |= _distinct(peaks, alive)
    return _join(peaks[kept], smooth, p)


def _large(peaks: Peaks, p: SegmentParams) -> BoolArray:
    """Large enough to have an inside: from the fourth scale on."""
    return np.asarray(peaks.radius > 2.7 * RADIUS_PER_SIGMA * p.first_sigma_px)


def _absorb(
    peaks: Peaks, smooth: F32, taken: Mask, large: BoolArray, clear: BoolArray, solid: BoolArray, alive: BoolArray,
    p: SegmentParams,
) -> BoolArray:  # fmt: skip
    """Keep the large solid marks and drop what lies in them; drop large loose ones. Clears `alive` of both."""
    from scipy.spatial import cKDTree

    tree = cKDTree(peaks.xy)
    kept = np.zeros(len(peaks), bool)
    order = np.flatnonzero(large)
    for i in order[np.argsort(-(peaks.contrast * peaks.radius)[order], kind="stable")]:
        if not alive[i]:
            continue
        solidity, edge_share = _solidity(smooth, taken, peaks.xy[i], peaks.radius[i]) if solid[i] else (0.0, 0.0)
        believed = solidity >= p.min_solidity and (clear[i] or edge_share >= p.min_edge_share)
        if not believed and not clear[i]:
            alive[i] = False
            continue
        inside = np.array(tree.query_ball_point(peaks.xy[i], 1.15 * peaks.radius[i]), int)
        inside = inside[alive[inside] & (inside != i)]
        smaller = clear[inside] & (peaks.radius[inside] < peaks.radius[i])
        rivals = smaller & (peaks.radius[inside] < 0.6 * peaks.radius[i])
        rivals &= peaks.contrast[inside] > p.absorb_ratio * peaks.contrast[i]
        if believed and not rivals.any():
            kept[i], alive[inside], alive[i] = True, False, False
        elif not clear[i] or smaller.any():
            alive[i] = False
    return kept


def _distinct(peaks: Peaks, alive: BoolArray) -> BoolArray:
    """Of the peaks alive, the strongest at each place: it silences those close to it and the wider ones over it."""
    from scipy.spatial import cKDTree

    kept = np.zeros(len(peaks), bool)
    if not alive.any():
        return kept
    alive = alive.copy()
    around = cKDTree(peaks.xy).query_ball_point(peaks.xy, 4 * peaks.radius)
    rest = np.flatnonzero(alive)
    for i in rest[np.argsort(-peaks.contrast[rest], kind="stable")]:
        if not alive[i]:
            continue
        kept[i] = True
        near = np.array(around[i], int)
        apart = np.hypot(*(peaks.xy[near] - peaks.xy[i]).T)
        same = apart < max(0.55 * peaks.radius[i], 1.5)
        wider = (peaks.radius[near] > peaks.radius[i]) & (apart < 0.52 * peaks.radius[near])
        alive[near[same | wider]] = False
    return kept


def _may_be_solid(peaks: Peaks, smooth: F32, taken: Mask) -> BoolArray:
    """A quick look at rings of 16 places each, to spare the slow one (`_solidity`) for what may pass it."""
    angle = np.arange(16) * (np.pi / 8)
    share = np.array([0.4, 0.75, 1.35, 1.75])[:, None]
    x = peaks.xy[:, 0, None, None] + peaks.radius[:, None, None] * share * np.cos(angle)
    y = peaks.xy[:, 1, None, None] + peaks.radius[:, None, None] * share * np.sin(angle)
    column = np.clip(np.rint(x).astype(int), 0, smooth.shape[1] - 1)
    row = np.clip(np.rint(y).astype(int), 0, smooth.shape[0] - 1)
    value = smooth[row, column]
    inside, outside = value[:, :2].reshape(-1, 32), value[:, 2:].reshape(-1, 32)
    free = taken[row, column][:, 2:].reshape(-1, 32) == 0
    free[free.sum(axis=1) < 8] = True
    low = (outside * free).sum(axis=1) / free.sum(axis=1)
    half = (inside.mean(axis=1) + low) / 2
    full = (inside > half[:, None]).mean(axis=1) >= 0.75
    return np.asarray(full & (((outside > half[:, None]) & free).sum(axis=1) <= 0.4 * free.sum(axis=1)))


def is_sharp(peaks: Peaks, smooth: F32, p: SegmentParams) -> BoolArray:
    """Large, solid, and with a sharp edge all around."""
    taken = np.zeros(smooth.shape, np.uint8)
    out = _large(peaks, p)
    for i in np.flatnonzero(out):
        solidity, edge_share = _solidity(smooth, taken, peaks.xy[i], peaks.radius[i])
        out[i] = solidity >= p.min_solidity and edge_share >= p.min_edge_share
    return out


def _solidity(smooth: F32, taken: Mask, centre: FloatArray, radius: float) -> tuple[float, float]:
    """How solid and how sharp a large mark is.

    Its outline is drawn on a smoothed patch, so that noise cannot draw the edge that it is then asked for. Returns the
    share of the outlined region above half of its contrast (less where the region is much smaller than the disc), and
    the share of that contrast that is crossed within about a tenth of the radius on either side of the outline, less
    what lies as high outside.
    """
    (x, y), reach, step = centre, int(np.ceil(2.2 * radius)), max(1, int(radius / 12))
    rows = np.arange(max(0, int(y) - reach), min(smooth.shape[0], int(y) + reach + 1), step)
    columns = np.arange(max(0, int(x) - reach), min(smooth.shape[1], int(x) + reach + 1), step)
    window = np.s_[rows[0] : rows[-1] + 1 : step, columns[0] : columns[-1] + 1 : step]
    patch, free = np.ascontiguousarray(smooth[window]), taken[window] == 0
    distance = np.sqrt(np.square(columns - x)[None] + np.square(rows - y)[:, None]) / radius
    disc, ring = distance < 0.85, patch[(distance > 1.5) & free]
    if np.count_nonzero(disc) < 5 or len(ring) < 5:
        return 0.0, 0.0
    level = (_mean(patch, disc) + _median(ring)) / 2
    calm = blur(patch, 0.15 * radius / step)
    drawn = ((calm > level) & (distance < 1.9)).view(np.uint8)
    region = _largest_filled(drawn)
    width = np.ones((3, 3) if radius / step < 10 else (5, 5), np.uint8)
    wide = cv2.dilate(region, width)
    inner, outer = region - cv2.erode(region, width), wide - region
    beyond = (cv2.dilate(wide, width) == 0) & free
    if not inner.any() or not outer.any() or np.count_nonzero(beyond) < 5:
        return 0.0, 0.0
    high, low = _mean(patch, region), _median(patch[beyond])
    if high <= low:
        return 0.0, 0.0
    above = (calm > (high + low) / 2).view(np.uint8)
    size = cv2.countNonZero(region) * step**2 / (np.pi * radius**2)
    solidity = _mean(above, region) * min(1.0, size / 0.5)
    crossed = (_mean(patch, inner) - _mean(patch, outer)) / (high - low)
    return solidity, crossed - 2 * max(0.0, _mean(above, beyond) - 0.1)


def _mean(values: NDArray[Any], mask: NDArray[Any]) -> float:
    """Mean over the pixels set; indexing by the mask takes three times as long."""
    return float(cv2.mean(values, mask.view(np.uint8))[0])


def _largest_filled(region: Mask) -> Mask:
    """The largest part of a region, its holes filled."""
    lines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    out = np.zeros_like(region)
    if lines:
        cv2.drawContours(out, [max(lines, key=cv2.contourArea)], -1, 1, -1)
    return out


def _join(peaks: Peaks, smooth: F32, p: SegmentParams) -> Peaks:
    """Join peaks that share one mark."""
    from scipy.spatial import cKDTree

    if len(peaks) < 2:
        return peaks
    xy, radius, contrast, score = (a.copy() for a in (peaks.xy, peaks.radius, peaks.contrast, peaks.score))
    levels = half_levels(peaks, smooth)
    alive = np.ones(len(peaks), bool)
    pairs = cKDTree(xy).query_pairs(2.6 * float(radius.max()), output_type="ndarray")
    apart = np.hypot(*(xy[pairs[:, 0]] - xy[pairs[:, 1]]).T)
    near = apart <= 1.3 * (radius[pairs[:, 0]] + radius[pairs[:, 1]])
    pairs, apart = pairs[near], apart[near]
    for i, j in pairs[np.argsort(apart, kind="stable")]:
        keep, drop = (i, j) if contrast[i] * radius[i] >= contrast[j] * radius[j] else (j, i)
        if not (alive[i] and alive[j]) or not _same_mark(smooth, xy[i], xy[j], levels[keep], p):
            continue
        share = radius[keep] ** 2 / (radius[keep] ** 2 + radius[drop] ** 2)
        radius[keep] = max(radius[i], radius[j], (np.hypot(*(xy[i] - xy[j])) + radius[i] + radius[j]) / 2)
        xy[keep] = share * xy[keep] + (1 - share) * xy[drop]
        score[keep] = max(score[i], score[j])
        alive[drop] = False
    return Peaks(xy, radius, contrast, score)[alive]


def _same_mark(smooth: F32, a: FloatArray, b: FloatArray, level: float, p: SegmentParams) -> bool:
    """Whether the way from a to b dips little, and is nowhere much narrower than at its ends."""
    length = float(np.hypot(*(b - a)))
    along = (b - a) / max(length, 1e-9)
    t = np.linspace(0.0, length, max(5, min(25, int(2 * length))))
    w = np.linspace(-1.3, 1.3, 41) * max(length, 4.0)
    x = (a[0] + t[:, None] * along[0] - w[None] * along[1]).astype(np.float32)
    y = (a[1] + t[:, None] * along[1] + w[None] * along[0]).astype(np.float32)
    value = cv2.remap(smooth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    middle = value[:, 20]
    top = min(middle[0], middle[-1])
    if top <= level or middle.min() < level + p.max_dip * (top - level):
        return False
    above = value > level
    width = np.cumprod(above[:, 20::-1], axis=1).sum(axis=1) + np.cumprod(above[:, 20:], axis=1).sum(axis=1) - 1
    return bool(width.min() >= p.min_neck * min(width[0], width[-1]))


def half_levels(peaks: Peaks, smooth: F32) -> FloatArray:
    """Level (n,) halfway between each mark's middle and the skin around it, other marks left out."""
    taken = np.zeros(smooth.shape, np.uint8)
    for (x, y), radius in zip(peaks.xy, peaks.radius, strict=True):
        cv2.circle(taken, (round(x), round(y)), round(1.3 * radius), 1, -1)
    levels = np.empty(len(peaks))
    for i, (window, middle) in enumerate(_windows(peaks)):
        patch, free = smooth[window], taken[window] == 0
        ring = patch[free] if np.count_nonzero(free) >= 12 else np.sort(patch, axis=None)[: max(1, patch.size // 4)]
        levels[i] = (smooth[middle].mean() + _median(ring)) / 2
    return levels


def _median(values: NDArray[np.float32]) -> float:
    """The upper median; `np.median` takes five times as long on a few hundred values."""
    middle = values.size // 2
    return float(np.partition(values, middle, axis=None)[middle])


def _windows(peaks: Peaks) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """For each peak, the window with the skin around it (sparse where large), and that of its middle."""
    for (x, y), radius in zip(np.rint(peaks.xy).astype(int).tolist(), peaks.radius.tolist(), strict=True):
        reach, core, step = int(np.ceil(2.4 * radius)) + 2, round(0.4 * radius), max(1, int(radius / 8))
        yield (
            (slice(max(0, y - reach), y + reach + 1, step), slice(max(0, x - reach), x + reach + 1, step)),
            (slice(max(0, y - core), y + core + 1), slice(max(0, x - core), x + core + 1)),
        )


def on_hair(peaks: Peaks, hairs: NDArray[np.uint8], p: SegmentParams) -> BoolArray:
    """Peaks no wider than a hair that lie on one, or at the end of one."""
    if not hairs.any():
        return np.zeros(len(peaks), bool)
    near = cv2.dilate(hairs, np.ones((3, 3), np.uint8))
    x, y = np.rint(peaks.xy).astype(int).T
    x, y = np.clip(x, 0, hairs.shape[1] - 1), np.clip(y, 0, hairs.shape[0] - 1)
    return np.asarray((near[y, x] > 0) & (peaks.radius < 0.8 * p.hair_px))

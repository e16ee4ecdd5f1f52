"""Even chains of marks on a line: which peak is which tick.

Along a line of `ruler_rows` the photo is cut into a strip; thin marks are its peaks after a band-pass, and a
chain of them is grown from where their gaps are most alike. A gap in the chain is a whole number of ticks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.references.ruler_rows import Grey, Row
from spotscan.types import FloatArray

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class ChainParams:
    """What counts as a row of ticks.

    Attributes
    ----------
    reach : int
        The strip reaches so many px of the reduced photo to both sides of the line.
    band : int
        Rows averaged to find peaks.
    widths : tuple of float
        1-sigma widths of the band-pass, strip px; ticks stand at least four widths apart.
    alike : float
        Neighbouring gaps are alike within this ratio; a next tick is looked for within this share of a gap.
    tries : int
        So many bands of a strip are tried, those with the most and strongest even peaks.
    seed : int
        Gaps alike in a row to start a chain from.
    ticks : int
        Fewest ticks of a chain: a scale of 10 mm has 11.
    full : float
        Least share of its places where a chain has ticks; fingers and shine may hide some.
    leap : float
        A chain is looked for beyond its ends by this share of its length.
    even : float
        Largest 1-sigma scatter of the ticks about their places, in gaps.
    """

    reach: int = 40
    band: int = 5
    widths: tuple[float, ...] = (0.8, 2.0, 5.0)
    alike: float = 0.2
    tries: int = 24
    seed: int = 5
    ticks: int = 10
    full: float = 0.5
    leap: float = 0.6
    even: float = 0.07


@dataclass(frozen=True, eq=False)
class Chain:
    """Ticks found on a line.

    Attributes
    ----------
    origin_px, along, up : (2,)
        The line and the direction of its ticks; unit vectors.
    place_px : (n,)
        Where the ticks cross the line, px along it from the origin, rising.
    index : (n,) int64
        Which tick each one is, from 0.
    sign : int
        1 for marks lighter than what is between them, -1 for darker.
    """

    origin_px: FloatArray
    along: FloatArray
    up: FloatArray
    place_px: FloatArray
    index: NDArray[np.int64]
    sign: int

    @property
    def gap_px(self) -> float:
        """Median distance of neighbouring ticks."""
        return float(np.median(np.diff(self.place_px) / np.diff(self.index)))


def find_chains(grey: Grey, row: Row, params: ChainParams = ChainParams()) -> Iterator[Chain]:
    """Even chains of ticks on or beside a line, the longest and strongest first: ticks, digits, two edges.

    Parameters
    ----------
    grey : (H, W) uint8
        The photo.
    row : Row
        Where to look.
    params : ChainParams
        What counts.

    Yields
    ------
    Chain
        No two of one sign and one gap.
    """
    strip, low = _strip(grey, row, params)
    if strip.shape[1] < 4 * params.ticks:  # no tick is seen that is closer to the next
        return
    bands = np.asarray(cv2.blur(strip, (1, params.band))[params.band // 2 :: 4], np.float32)
    tried: list[tuple[int, float]] = []
    for _, peaks, band, sign in _promising(bands, params)[: params.tries]:
        gap = _seed_gap(peaks, params)
        if sum(sign == other and abs(math.log(gap / size)) < 0.15 for other, size in tried) >= 2:
            continue
        tried.append((sign, gap))
        grown = _grow(peaks, params)
        if grown is None:
            continue
        tried.append((sign, gap))  # found once is enough, not found may be another band's luck
        height = (params.band // 2 + 4 * band - params.reach) * row.step_px
        yield Chain(row.middle_px + height * row.up, row.along, row.up, grown[0] + low, grown[1], sign)


def _seed_gap(places: FloatArray, params: ChainParams) -> float:
    """Mean gap of the longest run of like gaps."""
    runs = _runs(places, params.alike)
    last = int(runs.argmax())
    return float(places[last + 1] - places[last + 1 - runs[last]]) / int(runs[last])


def _strip(grey: Grey, row: Row, params: ChainParams) -> tuple[F32, float]:
    """The photo along the line, (2 reach + 1, length) float32, and where along the line it starts."""
    extra = 40 * row.step_px
    low, high = _inside(row, grey.shape, row.low_px - extra, row.high_px + extra)
    v = np.arange(-params.reach, params.reach + 1, dtype=np.float32)[:, None] * row.step_px
    u = np.arange(low, high, dtype=np.float32)[None, :]
    if not u.size:
        return np.zeros((len(v), 0), np.float32), low
    x = (row.middle_px[0] + u * row.along[0] + v * row.up[0]).astype(np.float32)
    y = (row.middle_px[1] + u * row.along[1] + v * row.up[1]).astype(np.float32)
    seen = cv2.remap(grey, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return seen.astype(np.float32), low


def _inside(row: Row, shape: tuple[int, ...], low: float, high: float) -> tuple[float, float]:
    """The part of the line that lies in the photo."""
    for at, way, size in zip(row.middle_px, row.along, shape[::-1], strict=True):
        if abs(way) > 1e-6:
            ends = sorted([(0 - at) / way, (size - 1 - at) / way])
            low, high = max(low, ends[0]), min(high, ends[1])
    return low, high


def _promising(bands: F32, params: ChainParams) -> list[tuple[float, FloatArray, int, int]]:
    """Peaks of the bands with the most gaps alike: (weight, places, band, sign), the best first.

    The weight is gaps times contrast: beside each tick a band-pass leaves two lesser peaks of the other sign.
    """
    found = []
    for width in params.widths:
        size = 2 * round(3 * width) + 1
        fine = cv2.GaussianBlur(bands, (size, 1), width)
        wide = 2 * round(5 * width) + 1
        passed = fine - cv2.blur(fine, (wide, 1))
        for sign in (-1, 1):
            signal = passed * sign
            peak = (signal[:, 1:-1] > signal[:, :-2]) & (signal[:, 1:-1] >= signal[:, 2:]) & (signal[:, 1:-1] > 0.5)
            for band in range(len(bands)):
                at = np.flatnonzero(peak[band]) + 1
                if len(at) <= params.seed:
                    continue
                at = _strong(signal[band], at)
                places = _vertex(signal[band], at)
                run = int(_runs(places, params.alike).max()) if len(places) > params.seed else 0
                if run >= params.seed:
                    found.append((run * float(np.median(signal[band, at])), places, band, sign))
    found.sort(key=lambda entry: entry[0], reverse=True)
    return found


def _strong(signal: F32, at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those peaks that are no ripple beside their neighbours."""
    high = signal[at]
    pad = np.pad(high, 4, mode="edge")
    near = np.partition(np.lib.stride_tricks.sliding_window_view(pad, 9), 6, axis=1)[:, 6]
    return np.asarray(at[high > 0.5 * near])


def _vertex(signal: F32, at: NDArray[np.int64]) -> FloatArray:
    """Peaks to sub-pixel: the vertex of the parabola through three pixels."""
    left, middle, right = signal[at - 1], signal[at], signal[at + 1]
    return np.asarray(at + 0.5 * (left - right) / np.minimum(left - 2 * middle + right, -1e-6), float)


def _runs(places: FloatArray, alike: float) -> NDArray[np.int64]:
    """For each gap, how many up to and with it are alike."""
    gaps = np.diff(places)
    same = np.abs(np.log(gaps[1:] / gaps[:-1])) < alike
    count = np.arange(1, len(same) + 1)
    return np.append(1, 1 + count - np.maximum.accumulate(np.where(same, 0, count)))


def _grow(places: FloatArray, params: ChainParams) -> tuple[FloatArray, NDArray[np.int64]] | None:
    """A chain from the longest run of like gaps: places and indices.

    The run is fitted and the fit tells which tick each peak beyond its ends would be; those that are in place
    join, and so on. A finger over the ruler is crossed, and what shines or wrinkles on it is outvoted.
    """
    runs = _runs(places, params.alike)
    last = int(runs.argmax())
    first = last - int(runs[last]) + 1
    chosen = np.arange(first, last + 2)
    index = chosen - first
    for _ in range(12):
        fit, _, good = fit_places(places[chosen], index)
        if good.sum() < params.seed:
            return None
        span = int(index[-1] - index[0])
        middle = (index[0] + index[-1]) / 2
        t = (places - fit[0]) / (fit[1] - fit[2] * (places - fit[0])) + middle
        nearest = np.rint(t).astype(np.int64)
        reach = max(4, round(params.leap * span))
        off = np.abs(t - nearest)
        fits = (off < 0.75 * params.alike) & (nearest >= index[0] - reach) & (nearest <= index[-1] + reach)
        order = np.flatnonzero(fits)
        order = order[np.lexsort((off[order], nearest[order]))]
        again = order[np.unique(nearest[order], return_index=True)[1]]
        if len(again) < params.seed or np.array_equal(again, chosen):
            break
        chosen, index = again, nearest[again]
    fit, scatter, good = fit_places(places[chosen], index)
    place, index = places[chosen][good], index[good]
    if len(place) < params.ticks:
        return None
    index = index - index[0]
    index //= int(np.gcd.reduce(index))
    if len(place) < params.full * (index[-1] + 1) or scatter > params.even * np.median(np.diff(place) / np.diff(index)):
        return None
    return place, index


def fit_places(place: FloatArray, index: NDArray[np.int64]) -> tuple[FloatArray, float, NDArray[np.bool_]]:
    """Fit place = b + a t / (1 + c t), t from the middle index, robustly: (b, a, c), scatter and inliers.

    The second number is the gap in the middle, the third the drift of the gaps.
    """
    t = index - (index[0] + index[-1]) / 2.0
    reach = max(1.0, float(np.abs(t).max()))
    t = t / reach
    good = np.ones(len(t), bool)
    scatter = math.inf
    solution = np.zeros(3)
    for _ in range(6):
        known = 3 if good.sum() >= 12 else 2  # the drift over a few ticks is but noise
        design = np.column_stack([np.ones_like(t), t, -place * t])[:, :known]
        if good.sum() < 4:
            break
        solution = np.append(np.linalg.lstsq(design[good], place[good], rcond=None)[0], np.zeros(3 - known))
        at = (solution[0] + solution[1] * t) / (1 + solution[2] * t)
        off = place - at
        scatter = max(1.4826 * float(np.median(np.abs(off[good]))), 0.02)
        again = np.abs(off) < max(4 * scatter, 0.05 * abs(solution[1]) / reach)
        if (again == good).all():
            break
        good = again
    gap = (solution[1] - solution[0] * solution[2]) / reach
    return np.array([solution[0], gap, solution[2] / reach]), scatter, good

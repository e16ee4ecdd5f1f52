"""What a row of ticks is divided into, told by the pattern of long and short ones.

A row of evenly spaced marks is no ruler yet. Every fifth tick longer and every tenth longer still is a metric
scale; twos, fours and eights are an inch scale; one length, or one kind of longer tick, could be several
things, and is refused. Digits are not read. Only in the round field of a dermoscope, whose width is known to
be one or two centimetres, two plain scales are known: eleven equal bars, and fifths of a mm across an axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spotscan.references.ruler_rows import Grey
from spotscan.references.ruler_ticks import Ticks, measure_ticks, samples, straighten
from spotscan.types import FloatArray


@dataclass(frozen=True)
class MarkParams:
    """What is believed of divisions.

    Attributes
    ----------
    even : float
        Largest 1-sigma scatter of measured ticks, in gaps.
    shortest_mm : float
        The shortest ticks of a ruler are longer than this.
    step : float
        Least step in length from one kind of tick to the next longer, of the short one's length.
    sure : float
        ... and in standard errors of their means.
    fits : float
        Least share of ticks whose length is nearest to that of their own kind.
    margin : float
        By how much the metric pattern must explain the lengths better than any other, log likelihood.
    ticks : int
        Fewest ticks in which a pattern can be read.
    field_mm : (float, float)
        Width of a dermoscope's round field.
    bars : int
        Bars of the plain scale of dermoscopes, 10 mm long.
    bar : (float, float)
        Their length, in gaps; and how far, relatively, they differ in length.
    """

    even: float = 0.05
    shortest_mm: float = 0.9
    step: float = 0.12
    sure: float = 5.0
    fits: float = 0.8
    margin: float = 6.0
    ticks: int = 12
    field_mm: tuple[float, float] = (7.0, 35.0)
    bars: int = 11
    bar: tuple[float, float] = (0.25, 0.9)


@dataclass(frozen=True, eq=False)
class Division:
    """Ticks whose division is known.

    Attributes
    ----------
    ticks : Ticks
        Those used.
    mm : float
        From tick to tick.
    lead : float
        By how much their pattern explains the lengths better than the next, log likelihood.
    dermoscope : bool
        Seen in a dermoscope's field.
    """

    ticks: Ticks
    mm: float
    lead: float
    dermoscope: bool = False


@dataclass(frozen=True)
class _Pattern:
    """A way to divide a scale: which ticks are longer.

    Attributes
    ----------
    mm : float
        From tick to tick; NaN for scales that are not metric, or not told from others.
    periods : tuple of int
        Of the longer ticks, each a multiple of the one before, the longest ticks last.
    """

    mm: float
    periods: tuple[int, ...]

    def kinds(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """0 for the shortest ticks, rising."""
        return np.asarray(np.sum([index % period == 0 for period in self.periods], axis=0), np.int64)

    def contains(self, other: _Pattern) -> bool:
        """Whether the other is this one with kinds of ticks left out."""
        return set(other.periods) < set(self.periods)


_PATTERNS = (
    _Pattern(1.0, (5, 10)),
    _Pattern(0.5, (2, 10, 20)),
    _Pattern(0.5, (2, 10)),
    *(_Pattern(math.nan, (2, 4, 8, 16, 32)[:n]) for n in (1, 2, 3, 4, 5)),
    *(_Pattern(math.nan, (4, 8, 16)[:n]) for n in (1, 2, 3)),
    *(_Pattern(math.nan, (period,)) for period in (3, 5, 6, 7, 8, 9, 10, 12)),
    _Pattern(math.nan, (3, 6)),
    _Pattern(math.nan, (6, 12)),
)
_PARAMS = MarkParams()


def divide(grey: Grey, ticks: Ticks, field_px: float | None) -> Division | None:
    """Tell the division of a row of ticks.

    Parameters
    ----------
    grey : (H, W) uint8
        The photo.
    ticks : Ticks
        The row.
    field_px : float or None
        Width of the round field of a dermoscope, where the photo shows one.

    Returns
    -------
    Division or None
        None where it could be more than one.
    """
    found = _ruler(ticks)
    if field_px is None:
        return found
    if found is None:
        found = _axis(grey, ticks) or _bars(grey, ticks)  # rare: only in a dermoscope's field
    if found is None:
        return None
    low, high = _PARAMS.field_mm
    fits = low < field_px / found.ticks.chain.gap_px * found.mm < high
    return replace(found, dermoscope=True) if fits else None


def round_field(grey: Grey) -> float | None:
    """Width, px, of a round field of view: the corners are plain black or white, the middle is not."""
    h, w = grey.shape
    side = max(2, min(h, w) // 32)
    corners = [grey[y, x] for y in (np.s_[:side], np.s_[-side:]) for x in (np.s_[:side], np.s_[-side:])]
    levels = np.array([np.quantile(corner, (0.1, 0.5, 0.9)) for corner in corners])
    middle = float(np.median(grey[h // 3 : h - h // 3 : 4, w // 3 : w - w // 3 : 4]))
    dark = (levels[:, 1] < 45).all() and middle > 80
    white = (levels[:, 0] > 245).all() and middle < 235
    return float(min(h, w)) if dark or white else None


def _ruler(ticks: Ticks) -> Division | None:
    """A scale of mm or half mm, by its fives and tens."""
    gap = ticks.chain.gap_px
    if ticks.error_px > max(_PARAMS.even * gap, 0.15):
        return None
    seen = ticks.contrast > 0.3 * np.median(ticks.contrast)
    if seen.sum() < _PARAMS.ticks:
        return None
    index = ticks.chain.index[seen]
    length = _level((ticks.above + ticks.below)[seen] / gap, index)
    fits = sorted(_fits(length, index), key=lambda fit: fit[0])
    best, pattern, phase = fits[0]
    kind = pattern.kinds(index - phase)
    counts = np.bincount(kind)
    # A pattern with fewer kinds of ticks is ruled out by the steps between them, if each is seen twice.
    nested = counts[-2:].min() >= 2
    rivals = [other for other in fits if other[1].mm != pattern.mm and not (nested and pattern.contains(other[1]))]
    lead = rivals[0][0] - best
    if math.isnan(pattern.mm) or lead < _PARAMS.margin or not _distinct(length, kind):
        return None
    if np.median(length[kind == 0]) * pattern.mm < _PARAMS.shortest_mm:
        return None
    return Division(ticks, pattern.mm, lead)


def _level(length: FloatArray, index: NDArray[np.int64]) -> FloatArray:
    """Lengths with their trend along the row taken out: what is further away is shorter (least absolute error)."""
    t = (index - index.mean()) / max(1.0, float(np.ptp(index)))
    design = np.column_stack([np.ones_like(t), t])
    logs = np.log(np.maximum(length, 0.1))
    weight = np.ones_like(t)
    for _ in range(12):
        trend = design @ np.linalg.lstsq(design * weight[:, None], logs * weight, rcond=None)[0]
        weight = 1 / np.sqrt(np.maximum(np.abs(logs - trend), 0.01))
    return np.asarray(length / np.exp(trend - trend.mean()))


def _fits(length: FloatArray, index: NDArray[np.int64]) -> Iterator[tuple[float, _Pattern, int]]:
    """How badly each pattern, best placed, explains the lengths: (minus log likelihood, pattern, phase)."""
    order = np.argsort(length)
    rising = length[order]
    short = float(rising[len(rising) // 2])
    for pattern in _PATTERNS:
        best = (math.inf, pattern, 0)
        for phase in range(pattern.periods[-1]):
            kind = pattern.kinds(index - phase)
            groups = [rising[kind[order] == k] for k in range(len(pattern.periods) + 1)]
            if not all(len(group) for group in groups):
                continue
            middles = np.array([group[len(group) // 2] for group in groups])
            if (np.diff(middles) < 0).any():
                continue
            off = np.minimum(np.abs(length - middles[kind]), 0.5 * short)
            cost = len(length) * math.log(off.mean() + 0.02 * short) + len(middles) * math.log(len(length))
            best = min(best, (cost, pattern, phase), key=lambda fit: fit[0])
        yield best


def _distinct(length: FloatArray, kind: NDArray[np.int64]) -> bool:
    """Whether each kind of tick is truly longer than the next shorter, and the ticks keep to their kinds."""
    groups = [length[kind == k] for k in range(kind.max() + 1)]
    middles = np.array([np.median(group) for group in groups])
    if len(groups) < 3 or sum(len(group) for group in groups[-2:]) < 3:
        return False
    nearest = np.abs(length[:, None] - middles).argmin(axis=1)
    spread = 1.4826 * np.median(np.abs(length - middles[kind])) + 0.02 * middles[0]
    errors = spread / np.sqrt([len(group) for group in groups])
    steps = np.diff(middles)
    return bool(
        (nearest == kind).mean() >= _PARAMS.fits
        and all((nearest == kind)[kind == k].mean() >= 0.5 for k in range(len(groups)))
        and (steps > _PARAMS.step * middles[0]).all()
        and (steps > _PARAMS.sure * np.hypot(errors[1:], errors[:-1])).all()
    )


def _axis(grey: Grey, ticks: Ticks) -> Division | None:
    """A drawn axis with ticks of 0.2 mm across it, every fifth longer: a dermoscope's reticle."""
    if len(ticks.chain.index) < 2 * _PARAMS.ticks or ticks.error_px > _PARAMS.even * ticks.chain.gap_px:
        return None
    straight = measure_ticks(grey, straighten(ticks))
    if straight is None or straight.width > 0.35:
        return None
    ticks, chain, gap = straight, straight.chain, straight.chain.gap_px
    height = np.linspace(-0.6, 0.6, 49)
    between = (chain.place_px[1:] + chain.place_px[:-1])[np.diff(chain.index) == 1] / 2
    seen = samples(grey, chain, between, ticks.lean, height * gap, np.zeros(1))[..., 0] * chain.sign
    line = np.nanmedian(seen - np.nanmedian(seen, axis=1, keepdims=True), axis=0)
    at = int(line.argmax())
    if line[at] < 0.3 * np.median(ticks.contrast) or (line > 0.5 * line[at]).mean() > 0.35:
        return None
    above, below = ticks.above / gap - height[at], ticks.below / gap + height[at]
    both = (above > 0.05) & (below > 0.05)  # across the axis, not on one side of it
    length = above + below
    phases = [chain.index % 5 == phase for phase in range(5)]
    long = max(phases, key=lambda on: float(np.median(length[on])))
    short, tall = length[~long], length[long]
    if both.mean() < _PARAMS.fits or len(tall) < 4:
        return None
    if np.median(tall) < 1.25 * np.median(short) or np.quantile(tall, 0.2) < np.quantile(short, 0.8):
        return None
    return Division(ticks, 0.2, 0.0)


def _bars(grey: Grey, ticks: Ticks) -> Division | None:
    """Eleven equal bars, 10 mm."""
    gap = ticks.chain.gap_px
    length = (ticks.above + ticks.below) / gap
    usual, strong = np.median(length), np.median(ticks.contrast)
    like = (np.abs(np.log(np.maximum(length, 0.01) / usual)) < 0.4) & (ticks.contrast > 0.5 * strong)
    if not _PARAMS.bar[0] < usual < _PARAMS.bar[1] or ticks.width > 0.25 or strong < 15:
        return None
    apart = (np.diff(ticks.chain.index) != 1) | ~like[1:] | ~like[:-1]
    run = max(np.split(np.arange(len(like)), np.flatnonzero(apart) + 1), key=len)
    if len(run) != _PARAMS.bars:
        return None
    chain = replace(ticks.chain, place_px=ticks.chain.place_px[run], index=ticks.chain.index[run])
    again = measure_ticks(grey, chain)
    again = measure_ticks(grey, straighten(again)) if again is not None else None
    if again is None or len(again.chain.index) != _PARAMS.bars or again.error_px > _PARAMS.even * gap:
        return None
    length = (again.above + again.below) / gap
    return Division(again, 1.0, 0.0) if length.std() < 0.15 * length.mean() else None

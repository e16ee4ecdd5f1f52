"""The distribution of diameters: its numbers, and a drawing of them as SVG of our own."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spotscan.groups import SIZE_LIMITS_MM
from spotscan.types import FloatArray, Scan

_MOST_BARS = 20
_STEPS_MM = (0.25, 0.5, 1.0, 2.0, 4.0)  # 2 mm is an edge between two bars in each but the last
_STEPS_PX = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)


@dataclass(frozen=True, eq=False)
class Histogram:
    """How many marks have which diameter.

    Attributes
    ----------
    edges : (b + 1,)
        Of the bars, from 0, in `unit`.
    counts : (b,)
        A mark on an edge counts in the bar above it.
    unit : {"mm", "px"}
        px where the photo has no scale.
    limit : float or None
        2 mm, where petechiae end; None in px, of which nobody knows how long they are.
    n_unmeasured : int
        Marks without a size.
    """

    edges: FloatArray
    counts: NDArray[np.int64]
    unit: Literal["mm", "px"]
    limit: float | None
    n_unmeasured: int

    def rows(self) -> list[tuple[str, int]]:
        """Every bar in words, with its count."""
        return [
            (f"{low:g} to {high:g} {self.unit}", int(n))
            for low, high, n in zip(self.edges[:-1], self.edges[1:], self.counts, strict=True)
        ]


def diameter_histogram(scan: Scan) -> Histogram:
    """The distribution of the marks' diameters, in mm where there is a scale; 20 bars at most, none without a size."""
    sized = scan.scale is not None
    diameter = scan.spots.diameter_mm if sized else scan.spots.diameter_px
    known = diameter[np.isfinite(diameter)]
    largest = float(known.max(initial=0.0))
    steps = _STEPS_MM if sized else _STEPS_PX
    step = next((step for step in steps if largest < _MOST_BARS * step), largest / (_MOST_BARS - 1))
    bars = int(largest / step) + 1 if len(known) else 0
    edges = np.asarray(step * np.arange(bars + 1), float)
    counts = np.bincount((known / step).astype(int), minlength=bars)
    return Histogram(
        edges, counts.astype(np.int64), "mm" if sized else "px", SIZE_LIMITS_MM[0] if sized else None,
        len(diameter) - len(known),
    )  # fmt: skip


# Width, height, and where the bars stand.
_W, _H, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 260, 46, 624, 26, 208
_INKS = {False: ("#1c2430", "#c9d0d8", "#0072b2", "#8a1c00"), True: ("#e8edf2", "#4a5563", "#56b4e9", "#ffb08a")}


def histogram_svg(
    histogram: Histogram, dark: bool = False, title: str = "Diameters of the marks", axis: str = "diameter"
) -> str:
    """The histogram as SVG, 640 x 260 and as wide as its place, with a title and all its numbers as description.

    Parameters
    ----------
    histogram : Histogram
        Of `diameter_histogram`.
    dark : bool
        For a dark ground.
    title, axis : str
        What it and its horizontal axis are called.
    """
    ink, faint, bar, line = _INKS[dark]
    h = histogram
    said = "; ".join(f"{name}: {n}" for name, n in h.rows() if n) or "No mark was measured."
    limit = "" if h.limit is None else f" The dashed line stands at {h.limit:g} {h.unit}."
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_W} {_H}" width="100%" role="img"'
        f' aria-label="{escape(title, quote=True)}" font-family="system-ui,sans-serif" font-size="13" fill="{ink}">'
        f"<title>{escape(title)}</title><desc>{escape(said + limit)}</desc>"
    ]
    top = _round_up(int(h.counts.max(initial=0)))
    span = max(float(h.edges[-1]), (h.limit or 0) * 1.25) or 1.0

    def x(value: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * value / span

    def y(count: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * count / top

    for count in sorted({0, top // 2, top}):
        parts.append(f'<path d="M{_LEFT} {y(count):.1f}H{_RIGHT}" stroke="{faint}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y(count) + 4.5:.1f}" text-anchor="end">{count}</text>')
    for low, high, n in zip(h.edges[:-1], h.edges[1:], h.counts, strict=True):
        if n:
            left, right = x(low) + 1, x(high) - 1
            parts.append(f'<path d="M{left:.1f} {_BOTTOM}V{y(n):.1f}H{right:.1f}V{_BOTTOM}z" fill="{bar}"/>')
    for value in _ticks(span):
        parts.append(f'<text x="{x(value):.1f}" y="{_BOTTOM + 19}" text-anchor="middle">{value:g}</text>')
    middle = (_LEFT + _RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{_H - 10}" text-anchor="middle">{escape(axis)}, {h.unit}</text>')
    if h.limit is not None:
        at = x(h.limit)
        parts.append(
            f'<path d="M{at:.1f} {_TOP - 8}V{_BOTTOM}" stroke="{line}" stroke-width="2" stroke-dasharray="6 4"/>'
            f'<text x="{at + 6:.1f}" y="{_TOP - 6}" fill="{line}">{h.limit:g} {h.unit}</text>'
        )
    return "".join(parts) + "</svg>"


def _round_up(count: int) -> int:
    """The least of 1, 2, 4, 6, 8, 10 times a power of ten that is not less."""
    power = int(10 ** (len(str(max(count, 1))) - 1))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= count)


def _ticks(span: float) -> list[float]:
    """Round numbers from 0, at most nine."""
    step = next(step for step in (0.5, *_STEPS_PX, *(10.0**k for k in range(3, 9))) if span / step <= 8)
    return [float(value) for value in step * np.arange(int(span / step + 1e-9) + 1)]

"""Lettering: white text and logos put on a photo (names of the clinic, of the library, watermarks).

Shine is white as well; but the letters of a line stand on one baseline, side by side, of like height and of
the same white. What is of the same white above and below a line of text is taken as its logo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.types import BoolArray, RGBArray

_Array = NDArray[np.int64]


@dataclass(frozen=True)
class LetteringParams:
    """Parameters of `find_lettering`; codes are sRGB, 0 to 255; px are of a photo of about 0.3 megapixels."""

    # Strokes are thinner than this (px), above their surroundings by this, and white: at least this code,
    # with channels this close (print is often laid on half transparent).
    stroke_px: int = 13
    above: int = 22
    white: int = 170
    grey: int = 45
    # Height of letters, px: below, they cannot be read; above, they are headlines.
    height_px: tuple[int, int] = (5, 40)
    # Letters of one line: baselines this close (share of height, at least 1 px), heights within this ratio
    # (capitals over small letters), gaps up to this share of the height, whites this close.
    baseline: float = 0.1
    ratio: float = 1.7
    gap: float = 0.7
    same_white: int = 14
    # Whites above this are one: sharpening overshoots at strokes.
    full_white: int = 240
    # So many letters in a row are no chance: none in 783 close-ups of skin, full of shine.
    letters: int = 5
    # A logo is looked for up to so many letter heights above and below the line.
    logo: float = 5.0


class _Letters(NamedTuple):
    """Strokes that may be letters, by the height of their feet: parallel arrays, px and codes."""

    x: _Array
    y: _Array
    width: _Array
    height: _Array
    white: _Array


def find_lettering(rgb: RGBArray, params: LetteringParams | None = None) -> BoolArray:
    """Find level lines of white text, and the logo beside them.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
        The photo at about 0.3 megapixels.
    params : LetteringParams, optional

    Returns
    -------
    (h, w) bool
        The boxes of the lines and the hull of the logo, with a margin.
    """
    p = params or LetteringParams()
    red, green, blue = cv2.split(rgb)
    low = np.asarray(cv2.min(cv2.min(red, green), blue), np.uint8)
    high = cv2.max(cv2.max(red, green), blue)
    thin = cv2.morphologyEx(low, cv2.MORPH_TOPHAT, np.ones((p.stroke_px, p.stroke_px), np.uint8))
    strokes = ((thin > p.above) & (low > p.white) & (cv2.subtract(high, low) < p.grey)).astype(np.uint8)
    found = np.zeros(low.shape, np.uint8)
    if cv2.countNonZero(strokes) < p.letters * p.height_px[0]:
        return found > 0
    letters = _letters(strokes, low, p)
    for line in _lines(letters, p):
        _mark_line(found, strokes, low, letters, line, p)
    return found > 0


def _letters(strokes: NDArray[np.uint8], low: NDArray[np.uint8], p: LetteringParams) -> _Letters:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(strokes, connectivity=4)
    x, y, w, h, area = stats.astype(np.int64).T
    on = np.flatnonzero(strokes)
    white = np.zeros(len(area), np.int64)
    np.maximum.at(white, np.asarray(labels, np.int32).ravel()[on], low.ravel()[on])
    fits = (area >= 6) & (h >= p.height_px[0]) & (h <= p.height_px[1]) & (w <= 2.5 * h + 4)
    fits[0] = False
    chosen = np.flatnonzero(fits)
    chosen = chosen[np.argsort((y + h)[chosen], kind="stable")]
    return _Letters(x[chosen], y[chosen], w[chosen], h[chosen], np.minimum(white[chosen], p.full_white))


def _lines(letters: _Letters, p: LetteringParams) -> list[_Array]:
    """Rows of at least `params.letters` letters, as indices."""
    x, y, w, h, white = letters
    foot = y + h
    line = np.arange(len(x))
    lowest = np.searchsorted(foot, foot + max(1.0, p.baseline * p.height_px[1]), side="right")
    # Letters come sorted by their feet: partners on one baseline are few places apart.
    for apart in range(1, int((lowest - line).max(initial=1))):
        i, j = np.arange(len(x) - apart), np.arange(apart, len(x))
        tall, short = np.maximum(h[i], h[j]), np.minimum(h[i], h[j])
        gap = np.maximum(x[i], x[j]) - np.minimum(x[i] + w[i], x[j] + w[j])
        beside = (gap > -0.3 * tall) & (gap < p.gap * tall) & (tall <= p.ratio * short)
        level = foot[j] - foot[i] <= np.maximum(1, p.baseline * tall)
        for k in np.flatnonzero(beside & level & (np.abs(white[i] - white[j]) <= p.same_white)):
            line[line == line[j[k]]] = line[i[k]]
    names, count = np.unique(line, return_counts=True)
    return [np.flatnonzero(line == name) for name in names[count >= p.letters]]


def _mark_line(
    found: NDArray[np.uint8],
    strokes: NDArray[np.uint8],
    low: NDArray[np.uint8],
    letters: _Letters,
    line: _Array,
    p: LetteringParams,
) -> None:
    """Mark, in place, a line's box and what is of the same white above and below it."""
    x, y, w, h, white = (values[line] for values in letters)
    left, right, top, foot = x.min(), (x + w).max(), y.min(), (y + h).max()
    margin = int(np.median(h)) // 2 + 1
    found[max(0, top - margin) : foot + margin, max(0, left - margin) : right + margin] = 1
    reach = int(p.logo * np.median(h))
    box = np.s_[max(0, top - reach) : foot + reach, max(0, left - margin) : right + margin]
    same = strokes[box] * (low[box] >= np.median(white) - 2 * p.same_white).astype(np.uint8)
    # Stripes and letters lie close together; single glints are opened away.
    patch = cv2.morphologyEx(same, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    patch = cv2.morphologyEx(patch, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    found[box][cv2.dilate(patch, np.ones((9, 9), np.uint8)) > 0] = 1

"""Where rows of ticks may lie: lines along which the edges are crossed squarely.

A Hough transform the other way round: an edge pixel does not vote for the line it lies on but for the line
that runs through it along its gradient. The ticks of a ruler agree on one such line; edges of bodies, hairs
and folds scatter over many. Stripes agree on a whole family of neighbouring lines, so what counts is how far
a line stands out from the lines beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.types import FloatArray

Grey = NDArray[np.uint8]


@dataclass(frozen=True)
class RowParams:
    """How lines are searched.

    Attributes
    ----------
    pixels : int
        The photo is searched at this size; ticks too close for it are looked for at full resolution, in a
        sample of the pixels.
    contrast, noise : float
        An edge is this many times the mean gradient around it, and at least this (codes per pixel).
    around_px : int
        Size of that surrounding, px of the reduced photo.
    voters : int
        At most so many edge pixels vote.
    lean_deg : int
        Ticks are seen up to this far from square to their row: perspective at 40 degrees of tilt leans them by 8.
    rho_px : float
        Width of a bin of lines, px of the reduced photo.
    lines : int
        So many lines are looked at.
    """

    pixels: int = 1_600_000
    contrast: float = 1.5
    noise: float = 6.0
    around_px: int = 41
    voters: int = 60_000
    lean_deg: int = 7
    rho_px: float = 8.0
    lines: int = 10


@dataclass(frozen=True, eq=False)
class Row:
    """A line that may carry ticks.

    Attributes
    ----------
    middle_px : (2,)
        On the line, nearest to the middle of the photo.
    along, up : (2,)
        Unit vectors along the line and along its ticks.
    step_px : float
        Photo px per px of the reduced photo.
    low_px, high_px : float
        Where along the line, from its middle, edges were seen.
    """

    middle_px: FloatArray
    along: FloatArray
    up: FloatArray
    step_px: float
    low_px: float
    high_px: float


@dataclass(frozen=True, eq=False)
class _Voters:
    """Edge pixels: place about the middle of the reduced photo, gradient's direction (degrees) and weight."""

    x: FloatArray
    y: FloatArray
    angle: FloatArray
    weight: FloatArray


def find_rows(grey: Grey, params: RowParams = RowParams()) -> Iterator[Row]:
    """The lines most likely to carry ticks, the likeliest first.

    Parameters
    ----------
    grey : (H, W) uint8
        The photo.
    params : RowParams
        How.

    Yields
    ------
    Row
        First those seen in the reduced photo, then those of ticks too close for it.
    """
    factor = max(1, math.ceil(math.sqrt(grey.size / params.pixels) - 0.05))
    h, w = grey.shape[0] // factor, grey.shape[1] // factor
    if min(h, w) < 16:
        return
    small = grey
    if factor > 1:
        small = np.asarray(cv2.resize(grey[: h * factor, : w * factor], (w, h), interpolation=cv2.INTER_AREA))
    yield from _peaks(_voters(*_gradient(small), params), (h, w), factor, params)
    if factor > 1:
        yield from _peaks(_voters(*_sampled_gradient(grey, factor, (h, w)), params), (h, w), factor, params)


def _gradient(grey: Grey) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    gx, gy = cv2.spatialGradient(grey)
    # Sobel sums to four central differences.
    return np.asarray(gx, np.int16) >> 2, np.asarray(gy, np.int16) >> 2


def _sampled_gradient(grey: Grey, factor: int, shape: tuple[int, int]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Central differences at every factor-th pixel of every factor-th row."""
    h, w = shape[0] - 1, shape[1] - 1
    at = max(1, factor // 2)
    rows = [grey[at + k : at + k + (h - 1) * factor + 1 : factor] for k in (-1, 0, 1)]
    columns = [np.s_[at + k : at + k + (w - 1) * factor + 1 : factor] for k in (-1, 0, 1)]
    gx = np.subtract(rows[1][:, columns[2]], rows[1][:, columns[0]], dtype=np.int16)
    gy = np.subtract(rows[2][:, columns[1]], rows[0][:, columns[1]], dtype=np.int16)
    return gx, gy


def _voters(gx: NDArray[np.int16], gy: NDArray[np.int16], params: RowParams) -> _Voters:
    size = np.minimum(np.abs(gx) + np.abs(gy), 255).astype(np.uint8)
    around = cv2.blur(size, (params.around_px, params.around_px))
    edge = (size > params.noise) & (size > params.contrast * around)
    at = np.flatnonzero(edge)
    if len(at) > params.voters:  # evenly, so that faint rows keep their share
        at = at[:: math.ceil(len(at) / params.voters)]
    y, x = np.divmod(at, size.shape[1])
    angle = np.degrees(np.arctan2(gy.ravel()[at], gx.ravel()[at])) % 180
    strength = size.ravel()[at] / np.maximum(around.ravel()[at], 1.0)
    return _Voters(
        x - (size.shape[1] - 1) / 2, y - (size.shape[0] - 1) / 2, angle, np.minimum(strength, 5.0).astype(float)
    )


def _peaks(voters: _Voters, shape: tuple[int, int], factor: int, params: RowParams) -> Iterator[Row]:
    """Lines that stand out of the lines beside them."""
    reach = math.ceil(math.hypot(*shape) / 2 / params.rho_px) + 1
    n_rho = 2 * reach + 1
    votes = np.zeros(180 * n_rho)
    base = np.floor(voters.angle).astype(int)
    for lean in range(-params.lean_deg, params.lean_deg + 1):
        way = (base + lean) % 180
        rho = voters.y * _COS[way] - voters.x * _SIN[way]
        place = way * n_rho + np.rint(rho / params.rho_px).astype(int) + reach
        votes += np.bincount(place, voters.weight, 180 * n_rho)
    table = votes.reshape(180, n_rho)
    beside = cv2.blur(table, (13, 1), borderType=cv2.BORDER_CONSTANT)
    table = (table - beside) / np.sqrt(beside + 4.0)
    for _ in range(params.lines):
        angle, column = divmod(int(table.argmax()), n_rho)
        if table[angle, column] < 5:
            break
        row = _row(voters, angle, (column - reach) * params.rho_px, factor, shape, params)
        if row is not None:
            yield row
        for turn in range(-8, 9):  # the same line once
            over = (angle + turn) % 180
            flip = -1 if not 0 <= angle + turn < 180 else 1
            at = flip * (column - reach) + reach
            wide = 2 + abs(turn)
            table[over, max(0, at - wide) : at + wide + 1] = -np.inf


def _row(voters: _Voters, angle: int, rho: float, factor: int, shape: tuple[int, int], params: RowParams) -> Row | None:
    """The row with the mean direction of its voters."""
    along = np.array([_COS[angle], _SIN[angle]])
    across = np.array([-along[1], along[0]])
    off = voters.y * along[0] - voters.x * along[1] - rho
    turned = (voters.angle - angle + 90) % 180 - 90
    own = (np.abs(off) <= params.rho_px) & (np.abs(turned) <= params.lean_deg + 1)
    if own.sum() < 12:
        return None
    lean = math.radians(float(np.average(turned[own], weights=voters.weight[own])))
    place = voters.x[own] * along[0] + voters.y[own] * along[1]
    low, high = np.quantile(place, [0.01, 0.99])
    middle = (across * rho + (np.array(shape[::-1]) - 1) / 2 + 0.5) * factor - 0.5
    up = np.array([-math.sin(math.radians(angle) + lean), math.cos(math.radians(angle) + lean)])
    return Row(middle, along, up, float(factor), float(low) * factor, float(high) * factor)


_COS = np.cos(np.radians(np.arange(180)))
_SIN = np.sin(np.radians(np.arange(180)))

"""Scale from a ruler: ticks of 1 mm, told by the pattern of long and short ones.

A row of ticks gives the scale along itself and, by the drift of the gaps, how the plane recedes along itself.
How it leans about the row is seen by how the ticks, which are parallel, fan out; where they are too short to
tell, `Scale.draws` holds planes that lean as far as a photo taken by hand does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.geometry import FOCAL_PER_DIAGONAL, FOCAL_SPREAD, jacobian
from spotscan.references.ruler_chains import Chain, find_chains
from spotscan.references.ruler_marks import Division, divide, round_field
from spotscan.references.ruler_rows import Grey, find_rows
from spotscan.references.ruler_ticks import Ticks, measure_ticks, points_at, straighten
from spotscan.types import FloatArray, Photo, Scale


@dataclass(frozen=True)
class RulerParams:
    """What is believed of rulers.

    Attributes
    ----------
    systematic : float
        1-sigma relative error common to all lengths: rulers of class II are true to 0.1 %, printed and
        adhesive scales to 0.3 %; the ticks lie up to 1 mm above the skin, at 200 mm a further 0.4 %.
    slope : float
        1-sigma of the plane's slope along and about the row before it is seen: tan 10 degrees each way, a
        tilt of 14 degrees: photos taken by hand lean by up to 20 or 25.
    plate_slope : float
        The same of a dermoscope: its plate is square to its lens, the phone on it nearly.
    lens : float
        1-sigma slope that is feigned, along and across, by a lens that distorts by 1 % towards the corners.
    lean_known : float
        The tilt is stated where both slopes are known this well (1 sigma), else it is not known.
    tilted_deg : float
        Beyond it lengths along the tilt shrink by 13 % and marks that stand out of the skin mislead.
    irregular : float
        1-sigma scatter of the ticks about the fit, in gaps, beyond which it is print, bending and lens that err
        and no more the pixels: each gap errs by itself, and the mean gap tells most.
    small_err : float
        Random relative error along the row beyond which the reference is too small in the photo.
    n_draws : int
        Homographies drawn for the error.
    """

    systematic: float = 0.005
    slope: float = 0.18
    plate_slope: float = 0.05
    lens: float = 0.04
    lean_known: float = 0.08
    tilted_deg: float = 30.0
    irregular: float = 0.015
    small_err: float = 0.005
    n_draws: int = 32


_PARAMS = RulerParams()


def scale_from_ruler(photo: Photo) -> Scale | None:
    """Scale from a ruler or adhesive scale with 1 mm (or 1/2 mm) ticks, or a dermoscope's reticle.

    Parameters
    ----------
    photo : Photo
        Where to look.

    Returns
    -------
    Scale or None
        None where no row of ticks is found whose division is beyond doubt. `tilt_deg` is None
        where the ticks are too few or too short to tell; `outline_px` follows the ticks used like a comb.
    """
    grey = np.asarray(cv2.cvtColor(photo.rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    reading = read_ruler(grey)
    return None if reading is None else _scale(photo, reading)


def read_ruler(grey: Grey) -> Division | None:
    """The best row of ticks of known division in a photo."""
    field_px = round_field(grey)
    for row in find_rows(grey):
        for chain in find_chains(grey, row):
            readings = [divide(grey, ticks, field_px) for ticks in _both_ways(grey, chain)]
            sure = [reading for reading in readings if reading is not None]
            if sure:
                return max(sure, key=lambda reading: reading.lead)
    return None


def _both_ways(grey: Grey, chain: Chain) -> Iterator[Ticks]:
    """The chain measured; where ticks are as wide as what is between, also that."""
    ticks = measure_ticks(grey, chain)
    if ticks is not None:
        yield ticks
    if ticks is None or ticks.width > 0.35:
        half = np.interp(chain.index[:-1] + 0.5, chain.index, chain.place_px)
        other = measure_ticks(grey, replace(chain, place_px=half, index=chain.index[:-1], sign=-chain.sign))
        if other is not None:
            yield other


def _scale(photo: Photo, reading: Division) -> Scale:
    """The plane of the ticks, and planes scattered about it as it may lean."""
    chain = straighten(reading.ticks)
    shape = (photo.height_px, photo.width_px)
    focal = FOCAL_PER_DIAGONAL * math.hypot(*shape)
    index, place = chain.index.astype(float), chain.place_px
    index = index - (index[0] + index[-1]) / 2
    prior = _PARAMS.plate_slope if reading.dermoscope else _PARAMS.slope
    fit, covariance, at = _fit_line(place, index * reading.mm, prior / focal)
    covariance[1, 1] += (_PARAMS.lens / focal) ** 2
    centre = chain.origin_px + at * chain.along
    frame = (centre, chain.along, (np.array(shape[::-1]) - 1) / 2)
    lean, lean_err = _lean_across(reading.ticks, chain, fit, focal, frame)
    share = prior**2 / (prior**2 + lean_err**2)
    lean, lean_err = share * lean, math.sqrt(share) * lean_err
    normal = _normals(_PARAMS.n_draws)
    drawn = fit + normal[:, :2] @ np.linalg.cholesky(covariance).T
    focals = focal * np.exp(FOCAL_SPREAD * normal[:, 3])
    leans = lean * focals / focal + lean_err * normal[:, 2]  # what is seen is the slope over the focal length
    draws = np.array([_plane(p, k, g, f, *frame) for (p, k), g, f in zip(drawn, leans, focals, strict=True)])
    tilt = math.degrees(math.atan(math.hypot(fit[1] * focal, lean)))
    known = lean_err < _PARAMS.lean_known and math.sqrt(covariance[1, 1]) * focal < _PARAMS.lean_known
    flags = ("reference_small",) * bool(math.sqrt(covariance[0, 0]) / fit[0] > _PARAMS.small_err)
    flags += ("tilted",) * (known and tilt > _PARAMS.tilted_deg)
    return Scale(
        reference="ruler",
        px_to_mm=_plane(fit[0], fit[1], lean, focal, *frame),
        centre_px=centre,
        tilt_deg=tilt if known else None,
        outline_px=_comb(reading.ticks),
        draws=draws,
        systematic=_PARAMS.systematic,
        keep_out_px=(_band(reading.ticks),),
        flags=flags,
    )


def _lean_across(
    ticks: Ticks, chain: Chain, fit: FloatArray, focal: float, frame: tuple[FloatArray, FloatArray, FloatArray]
) -> tuple[float, float]:
    """Slope of the plane about the row, by the fan of the ticks, and its 1-sigma error."""
    ends = np.array([ticks.chain.place_px[0], ticks.chain.place_px[-1]])
    points = points_at(ticks, ends, np.zeros(2))
    seen = points_at(ticks, ends, np.ones(2)) - points

    def fan(ways: NDArray[Any]) -> float:
        """By how much the second of two directions leans more along the row than the first."""
        slope = np.linalg.solve(np.column_stack([chain.along, ticks.chain.up]), ways.T)
        return float(np.diff(slope[0] / slope[1])[0])

    def predicted(lean: float) -> float:
        slopes = jacobian(_plane(fit[0], fit[1], lean, focal, *frame), points)
        row = slopes @ chain.along
        square = np.stack([-row[:, 1], row[:, 0]], axis=-1)
        return fan(np.linalg.solve(slopes, square[..., None])[..., 0])

    lean = 0.0
    for _ in range(4):
        rate = (predicted(lean + 0.01) - predicted(lean - 0.01)) / 0.02
        lean = float(np.clip(lean + (fan(seen) - predicted(lean)) / rate, -1.5, 1.5))
    error = math.hypot(ticks.fan_err * float(np.ptp(ends)) / rate, _PARAMS.lens)
    return lean, error


def _fit_line(place: FloatArray, mm: FloatArray, drift: float) -> tuple[FloatArray, FloatArray, float]:
    """Fit u = p s / (1 + k p s), s the mm from the middle tick and u the px from its place.

    Robust Gauss-Newton; k, the drift of the scale per px, has a prior of 1-sigma width `drift`.

    Returns
    -------
    (2,), (2, 2), float
        p (px per mm) and k (per px), their covariance, and the place of the middle.
    """
    p, u0 = np.polyfit(mm, place, 1)
    solution = np.array([u0, p, 0.0])
    weight, normal, variance = np.ones(len(mm)), np.eye(3), 1.0
    for _ in range(12):
        u0, p, k = solution
        below = 1 + k * p * mm
        off = place - (u0 + p * mm / below)
        design = np.column_stack([np.ones_like(mm), mm / below**2, -((p * mm / below) ** 2)])
        sigma = max(1.4826 * float(np.median(np.abs(off))), 0.02)
        weight = np.maximum(1 - (off / (5 * sigma)) ** 2, 0) ** 2
        degrees = max(float(weight.sum()) - 3, 1.0)
        variance = max(float((weight * off**2).sum()) / degrees, 0.02**2)
        normal = design.T @ (design * weight[:, None]) / variance + np.diag([0, 0, drift**-2])
        right = design.T @ (weight * off) / variance - np.array([0, 0, k * drift**-2])
        step = np.linalg.solve(normal, right)
        solution = solution + step
        if abs(step[1]) < 1e-9 * abs(p):
            break
    gaps = np.diff(place) / np.diff(mm)
    if math.sqrt(variance) > _PARAMS.irregular * abs(p) * np.diff(mm).min():
        p = (place[-1] - place[0]) / (mm[-1] - mm[0])
        spread = np.var(gaps, ddof=1) / len(gaps)
        return np.array([p, 0.0]), np.diag([spread, drift**2]), float((place[0] + place[-1]) / 2)
    covariance = np.linalg.inv(normal)[1:, 1:]
    # Neighbouring ticks share pixels, paint and lens: their errors are not independent.
    return solution[1:], np.asarray(4 * covariance), float(solution[0])


def _plane(
    px_per_mm: float,
    drift: float,
    lean: float,
    focal: float,
    centre: FloatArray,
    along: FloatArray,
    principal: FloatArray,
) -> FloatArray:
    """Homography px -> mm of the plane with this scale and drift along a line, and this slope across it.

    A plane z = z0 + g (x, y) seen by a pinhole camera of focal length f has depth z0 / (1 - g (x, y) / f);
    the drift along the line fixes the slope along it.
    """
    across = np.array([-along[1], along[0]])
    off = centre - principal
    slope_along = (drift * focal - lean * drift * (across @ off)) / (1 + drift * (along @ off))
    slope = slope_along * along + lean * across
    steep = math.hypot(*slope)
    way = slope / steep if steep > 1e-12 else along
    side = np.array([-way[1], way[0]])
    flat = np.outer(way, way) * math.sqrt(1 + steep**2) + np.outer(side, side)
    h = np.eye(3)
    h[2, :2] = -slope / focal
    h[:2] = np.column_stack([flat, np.zeros(2)])
    h = h @ np.array([(1, 0, -principal[0]), (0, 1, -principal[1]), (0, 0, 1.0)])
    ends = np.column_stack([centre + 0.5 * np.outer([-1, 1], along), np.ones(2)]) @ h.T
    mm = ends[:, :2] / ends[:, 2:]
    h[:2] /= px_per_mm * np.linalg.norm(mm[1] - mm[0])
    return np.asarray(h / h[2, 2])


def _normals(n: int) -> FloatArray:
    """(n, 4) numbers with exactly zero mean and unit covariance, always the same."""
    normal = np.random.default_rng(20240601).standard_normal((n, 4))
    normal -= normal.mean(axis=0)
    return np.asarray(np.linalg.qr(normal)[0] * math.sqrt(n - 1))


def _comb(ticks: Ticks) -> FloatArray:
    """A comb that goes up and down each tick that was used."""
    place = ticks.chain.place_px
    foot = np.full(len(place), -float(np.median(ticks.below)))
    low, high = points_at(ticks, place, foot), points_at(ticks, place, ticks.above)
    deep = points_at(ticks, place, -ticks.below)
    return np.asarray(np.stack([low, high, deep, low], axis=1).reshape(-1, 2))


def _band(ticks: Ticks) -> FloatArray:
    """The ticks and the digits beside them: as far again as the longest ticks reach.

    Where the ticks stand on one line and end at different heights, the digits lie beyond their ends, and beyond
    their feet, a gap away, lies the edge and then skin, whose marks count.
    """
    place, gap = ticks.chain.place_px, ticks.chain.gap_px
    ends = np.array([place[0] - 2 * gap, place[-1] + 2 * gap])
    below, above = (_straight(place, reach) for reach in (ticks.below, ticks.above))
    tall = float(np.quantile(ticks.above + ticks.below, 0.95))
    feet = [gap if side.spread < 0.3 * other.spread else tall for side, other in ((below, above), (above, below))]
    low, high = (side.at(ends) + side.longest + more for side, more in zip((below, above), feet, strict=True))
    return np.concatenate([points_at(ticks, ends, -low), points_at(ticks, ends, high)[::-1]])


@dataclass(frozen=True)
class _Straight:
    """A straight line through most of the ticks' ends, and how they scatter about it."""

    slope: float
    start: float
    spread: float
    longest: float

    def at(self, place: FloatArray) -> FloatArray:
        return self.start + self.slope * place


def _straight(place: FloatArray, reach: FloatArray) -> _Straight:
    """Median slope between the two halves: a few longer ticks do not move it."""
    half = len(place) // 2
    slope = float(np.median((reach[-half:] - reach[:half]) / (place[-half:] - place[:half])))
    rest = reach - slope * place
    start = float(np.median(rest))
    low, high = np.quantile(rest, [0.05, 0.95])
    return _Straight(slope, start, float(high - low), float(high - start))

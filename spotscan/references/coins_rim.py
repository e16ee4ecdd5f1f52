"""The rim of a round thing to a fraction of a pixel, and what speaks for it being a coin's.

Profiles across a rough ellipse, at full resolution and in linear light, have their steepest places at the rim, at
its inner border, at letters, at shadows. An ellipse is annealed to them from several sizes; of those that nearly
as many profiles agree with as with the best, the outermost is the rim: what lies inside is on the coin, and a
shadow's edge is soft, one-sided and no ellipse about it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spotscan.references.coins_search import fit_conic
from spotscan.references.coins_steps import RimParams, Steps, circle_angles, on_ellipse, steps_across
from spotscan.types import BoolArray, FloatArray, RGBArray

_PARAMS = RimParams()


@dataclass(frozen=True, eq=False)
class Rim:
    """A measured rim.

    Attributes
    ----------
    ellipse : (5,)
        Centre x, y, semi-axes a >= b, px, and direction of a, radians.
    covariance : (5, 5)
        Of the ellipse's relative changes: size, shift along a and b, stretch along a and at 45 degrees to it.
    coverage : float
        Share of profiles with a steep place on the ellipse.
    gap_deg : float
        Longest stretch of the rim without one.
    scatter : float
        RMS distance of those places from the ellipse, share of the radius.
    agreement : float
        How far its profiles agree, 1 at most; less where it is not the steepest place, or one lies outside it.
    silhouette : bool
        Whether it lies where the metal's hue ends: the edge itself, and the coin's side where that is seen.
    """

    ellipse: FloatArray
    covariance: FloatArray
    coverage: float
    gap_deg: float
    scatter: float
    agreement: float
    silhouette: bool = False

    @property
    def radius_px(self) -> float:
        """Root of the product of the semi-axes."""
        return float(np.sqrt(self.ellipse[2] * self.ellipse[3]))

    def outline(self, n: int = 72) -> FloatArray:
        """The ellipse as (n, 2) points, px."""
        return on_ellipse(self.ellipse, np.linspace(0, 2 * np.pi, n, endpoint=False))


def measure_rim(rgb: RGBArray, ellipse: FloatArray, params: RimParams = _PARAMS) -> Rim | None:
    """Measure the rim near a rough ellipse (at least 5 numbers); None where there is none."""
    ellipse = np.asarray(ellipse[:5], float)
    first, second = params.reach
    steps, tolerance = steps_across(rgb, ellipse, first, params.profiles[0], params)
    model = _choose(steps, tolerance, params)
    if model is None:
        return None
    ellipse = moved(ellipse, model)
    steps, tolerance = steps_across(rgb, ellipse, second, params.profiles[1], params)
    if len(steps.radius) < 20:
        return None
    model = settled(steps, np.array([1.0, 0, 0, 0, 0]), tolerance)
    return rim_of(moved(ellipse, model), steps, model, tolerance, params)


def harmonics(angle: FloatArray) -> FloatArray:
    """How the radius of a circle changes as it becomes another ellipse, to first order: (n, 5)."""
    return np.column_stack([np.ones_like(angle), np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)])


_CIRCLE = harmonics(circle_angles(72))


def _candidates(steps: Steps, tolerance: float, params: RimParams) -> list[tuple[float, FloatArray]]:
    """Ellipses (agreement, harmonics) through steep places, all different, the best first.

    RANSAC (Fischler & Bolles 1981) with one place from each of five sectors, steeper ones more often.
    """
    rng = np.random.default_rng(20240601)
    design = harmonics(steps.angle)
    sector = (rng.random((params.draws, 1)) + np.arange(5) / 5 + rng.uniform(-0.06, 0.06, (params.draws, 5))) % 1
    # One place each: steps are sorted by profile, and their summed belief is the wheel of fortune.
    first = np.searchsorted(steps.profile, sector * steps.n_profiles)
    wheel = np.append(0, np.cumsum(steps.belief))
    span = np.minimum(first + max(2, len(steps.radius) // 24), len(steps.radius))
    pick = wheel[first] + rng.random(first.shape) * (wheel[span] - wheel[first])
    chosen = np.clip(np.searchsorted(wheel, pick, side="right") - 1, 0, len(steps.radius) - 1)
    square = design[chosen]
    good = np.abs(np.linalg.det(square)) > 1e-2
    models = np.linalg.solve(square[good], steps.radius[chosen][good][..., None])[..., 0]
    reach = max(params.reach[0], 4 * tolerance)
    models = models[(np.abs(models[:, 0] - 1) < reach) & (np.abs(models[:, 1:]) < 1.5 * reach).all(axis=1)]
    agreement = _agreement(steps, design, models, tolerance, params.outside)
    found: list[tuple[float, FloatArray]] = []
    for index in np.argsort(-agreement, kind="stable")[:40]:
        model = models[index]
        if all(np.abs(_CIRCLE @ (model - other)).max() > 2.5 * tolerance for _, other in found):
            model = settled(steps, model, tolerance)
            if all(np.abs(_CIRCLE @ (model - other)).max() > 2.5 * tolerance for _, other in found):
                found.append((float(_agreement(steps, design, model[None], tolerance, params.outside)[0]), model))
        if len(found) == 6:
            break
    return sorted(found, key=lambda fit: -fit[0])


def settled(steps: Steps, model: FloatArray, tolerance: float) -> FloatArray:
    """The model moved to the steep places near it: robust least squares (Tukey's biweight)."""
    design = harmonics(steps.angle)
    for width in (3 * tolerance, 2 * tolerance, 2 * tolerance):
        off = steps.radius - design @ model
        weight = np.maximum(1 - (off / width) ** 2, 0) ** 2 * steps.belief
        normal = design.T @ (design * weight[:, None]) + 1e-6 * np.eye(5)
        model = model + np.linalg.solve(normal, design.T @ (weight * off))
    return model


def _agreement(steps: Steps, design: FloatArray, models: FloatArray, tolerance: float, outside: float) -> FloatArray:
    """How far the profiles agree with each of (m, 5) models, 1 at most; steep places outside it speak against it."""
    off = (steps.radius[:, None] - design @ models.T) / (2 * tolerance)
    inside = steps.belief @ np.maximum(1 - off**2, 0)
    return np.asarray((inside - outside * (steps.belief**2 @ (off > 1.5))) / steps.n_profiles)


def _choose(steps: Steps, tolerance: float, params: RimParams) -> FloatArray | None:
    """Of the ellipses that fit well, the rim: its harmonics."""
    if len(steps.radius) < 20:
        return None
    fits = _candidates(steps, tolerance, params)
    if not fits or fits[0][0] < params.least:
        return None
    rim = fits[0]
    for fit in fits[1:]:
        gap = _CIRCLE @ (fit[1] - rim[1])  # how far it lies outside ours
        touching = float((np.abs(gap) < tolerance).mean()) > 0.1
        # An outer one that touches ours is the outline with the coin's side or shadow; one all around ours is the
        # rim, and ours its inner border. An inner one that touches ours is the rim, and ours the outline.
        if touching and gap.mean() < -tolerance / 2 and fit[0] > params.nearly * fits[0][0]:
            rim = fit
        if gap.min() > tolerance and fit[0] > params.outer * fits[0][0]:
            rim = fit
    return rim[1]


def moved(ellipse: FloatArray, model: FloatArray) -> FloatArray:
    """The ellipse after its radius has become that of the model, relative."""
    angle = circle_angles(32)
    return fit_conic(on_ellipse(ellipse, angle, harmonics(angle) @ model), ellipse)


def rim_of(ellipse: FloatArray, steps: Steps, model: FloatArray, tolerance: float, params: RimParams) -> Rim:
    """The rim that this ellipse is, with its error, from the steps near it."""
    radius = float(np.sqrt(ellipse[2] * ellipse[3]))
    off = steps.radius - harmonics(steps.angle) @ model
    weight = np.maximum(1 - (off / (2 * tolerance)) ** 2, 0) ** 2 * steps.belief
    on = np.abs(off) < 2 * tolerance
    seen = np.zeros(steps.n_profiles, bool)
    seen[steps.profile[on]] = True
    scatter = float(np.sqrt((weight[on] * off[on] ** 2).sum() / max(weight[on].sum(), 1e-9)))
    # Errors go along the rim together (shadow, border, milling): 24 sectors are the independent measurements.
    sector = steps.profile * 24 // steps.n_profiles
    share = np.bincount(sector[on], weight[on], 24)
    mean = np.bincount(sector[on], weight[on] * off[on], 24) / np.maximum(share, 1e-9)
    known = share > 0.1 * max(float(np.median(share)), 1e-9)
    middle = circle_angles(24)[known] + np.pi / 24
    spread = np.hypot(float(np.sqrt((mean[known] ** 2).mean())) * np.sqrt(24 / 19), 0.1 / radius)
    design = harmonics(middle)
    covariance = spread**2 * np.linalg.pinv(design.T @ design)
    covariance[0, 0] += (params.floor_px / radius) ** 2
    agreement = float(_agreement(steps, harmonics(steps.angle), model[None], tolerance, params.outside)[0])
    return Rim(ellipse, covariance, float(seen.mean()), _longest_gap(seen), scatter, agreement)


def _longest_gap(seen: BoolArray) -> float:
    """Longest run of False around the circle, degrees."""
    at = np.flatnonzero(seen)
    if not len(at):
        return 360.0
    return float(np.diff(np.append(at, at[0] + len(seen))).max() - 1) * 360 / len(seen)

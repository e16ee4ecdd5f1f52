"""From a coin's rim to the plane it lies on: scale, tilt, and the error of both."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from spotscan.geometry import FOCAL_PER_DIAGONAL, FOCAL_SPREAD, jacobian, project
from spotscan.references.coins_rim import Rim
from spotscan.references.coins_search import fit_conic
from spotscan.references.coins_steps import circle_angles, on_ellipse
from spotscan.types import FloatArray, Photo, Scale


@dataclass(frozen=True)
class PoseParams:
    """What coins are, and how they are photographed.

    Attributes
    ----------
    tolerance_mm : float
        1-sigma error of the diameter: mints allow about 0.1 mm, and coins wear.
    thickness_mm, thickness_err_mm : float
        Its upper edge stands so far above the skin and is nearer to the camera; coins are 1.4 to 2.8 mm thick.
    side, side_err : float
        How much of its side counts to the outline: 0 where the upper edge alone is seen as the rim, 1 where all of it.
    edge_mm : (float, float)
        Its edge is rounded: what is steepest there lies so far within it; a silhouette ends at the edge itself.
    edge_err_mm : (float, float)
        1-sigma errors of both, of which the light at the edge is the cause: shade, shine, a dark foot.
    tilt_deg : float
        1-sigma of the tilt at which skin is photographed; it tells which of the two poses of a circle is likelier.
    told_deg : float
        The tilt is stated where it is known to so many degrees.
    tilted_deg, small_err : float
        Beyond them the scale is flagged.
    n_draws : int
        Homographies drawn for the error.
    """

    tolerance_mm: float = 0.08
    thickness_mm: float = 1.9
    thickness_err_mm: float = 0.3
    side: float = 0.25
    side_err: float = 0.4
    edge_mm: tuple[float, float] = (0.07, 0.0)
    edge_err_mm: tuple[float, float] = (0.1, 0.08)
    tilt_deg: float = 15.0
    told_deg: float = 6.0
    tilted_deg: float = 30.0
    small_err: float = 0.03
    n_draws: int = 48


_PARAMS = PoseParams()


def scale_from_rim(photo: Photo, name: str, diameter_mm: float, rim: Rim) -> Scale:
    """The scale that a measured rim gives, if it is that of a coin of this name and diameter.

    Notes
    -----
    A circle seen in perspective is an ellipse whose centre is not that of the circle. With a known focal length it
    leaves two poses of the plane (Forsyth et al. 1991; Kanatani & Liu 1993) that are tilted to opposite sides of
    the line of sight: they agree about the scale and its stretch at the coin, and differ about which way the scale
    changes from there. `px_to_mm` is the mean of the two, weighted by how likely their tilts are; where they are
    alike likely, it is affine. The draws scatter over both, over the focal lengths of phones, over the rim's
    error, and over how much of the coin's side was taken for its face; so the error grows away from the coin as it
    should. Length is taken from the ellipse's longer axis seen along the line of sight, which neither tilt nor the
    coin's side changes. The rim is nearer to the camera than the skin by the thickness of the coin; this is
    corrected for.
    """
    p, rng = _PARAMS, np.random.default_rng(20240601)
    height, width = photo.height_px, photo.width_px
    focal = FOCAL_PER_DIAGONAL * math.hypot(height, width)
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    kind = int(rim.silhouette)
    radius = diameter_mm / 2 - p.edge_mm[kind]

    both = [pose(rim.ellipse, focal, middle, radius, p.thickness_mm, p.side, sign) for sign in (1, -1)]
    chance = np.exp(-0.5 * (np.array([tilt for _, tilt in both]) / p.tilt_deg) ** 2)
    chance /= chance.sum()
    # One frame of mm for both: upright as the photo, so that their mean is one.
    centre = rim.ellipse[:2]
    mean = np.tensordot(chance, np.array([_upright(h, centre) for h, _ in both]), axes=1)

    root = np.linalg.cholesky(rim.covariance + 1e-14 * np.eye(5))
    draws, tilts = [], []
    n = p.n_draws
    # The poses' shares are met exactly; the rest is drawn.
    signs = np.where((np.arange(n) + 0.5) / n < chance[0], 1, -1)
    for sign in signs:
        ellipse = _changed(rim.ellipse, root @ rng.standard_normal(5))
        f = focal * math.exp(FOCAL_SPREAD * float(np.clip(rng.standard_normal(), -2, 2)))
        thickness = p.thickness_mm + p.thickness_err_mm * rng.standard_normal()
        side = p.side + p.side_err * rng.standard_normal()
        h, tilt = pose(ellipse, f, middle, radius, max(thickness, 0.5), side, int(sign))
        draws.append(h)
        tilts.append(tilt)
    told = float(np.std(tilts)) < p.told_deg
    tilt = float(np.mean(tilts))
    outline = rim.outline()
    scale = Scale(
        reference=f"coin:{name}",
        px_to_mm=mean,
        centre_px=centre.copy(),
        tilt_deg=tilt if told else None,
        outline_px=outline,
        draws=np.array(draws),
        systematic=math.hypot(p.tolerance_mm, 2 * p.edge_err_mm[kind]) / diameter_mm,
        keep_out_px=(centre + 1.12 * (outline - centre),),  # with its side and the shadow at its foot
    )
    flags = ("tilted",) * (told and tilt > p.tilted_deg)
    flags += ("reference_small",) * (scale.px_per_mm_err > p.small_err * scale.px_per_mm)
    return replace(scale, flags=flags)


def _changed(ellipse: FloatArray, change: FloatArray) -> FloatArray:
    """The ellipse after relative changes as in `Rim.covariance`."""
    angle = circle_angles(16)
    wave = change @ [np.ones(16), np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)]
    return fit_conic(on_ellipse(ellipse, angle, 1 + wave), ellipse)


def pose(
    ellipse: FloatArray,
    focal: float,
    middle: FloatArray,
    radius_mm: float,
    thickness_mm: float,
    side: float,
    sign: int,
) -> tuple[FloatArray, float]:
    """Homography px -> mm in the plane the coin lies on, for one of its two poses, and its tilt, degrees."""
    angle = circle_angles(32)
    rays = np.column_stack([(on_ellipse(ellipse, angle) - middle) / focal, np.ones(32)])
    # Look straight at the coin: there its ellipse tells the angle between the normal and the line of sight.
    ahead = np.append((ellipse[:2] - middle) / focal, 1.0)
    ahead /= np.linalg.norm(ahead)
    right = np.cross([0.0, 1.0, 0.0], ahead)
    right /= np.linalg.norm(right)
    look = np.array([right, np.cross(ahead, right), ahead])
    seen = rays @ look.T
    seen = seen[:, :2] / seen[:, 2:]
    extent = float(np.ptp(seen, axis=0).max() / 2)
    x, y, a, b, turn = fit_conic(seen, np.array([*seen.mean(axis=0), extent, extent, 0.0]))
    # The outline is as wide as cos(view) and, in part, as high as the side: thickness times sin(view).
    part = side * thickness_mm / (2 * radius_mm)
    view = math.atan(part) + math.acos(min(1.0, b / a / math.hypot(1.0, part)))
    view = max(view, 0.0)
    distance = radius_mm / a
    along = np.array([math.cos(turn), math.sin(turn), 0.0])
    across = np.array([-math.sin(turn), math.cos(turn), 0.0])
    normal = sign * math.sin(view) * across + np.array([0.0, 0.0, math.cos(view)])  # away from the camera
    place = distance * np.array([x, y, 1.0]) + thickness_mm * normal
    plane = np.column_stack([along, np.cross(normal, along), place])
    lens = np.array([[focal, 0, middle[0]], [0, focal, middle[1]], [0, 0, 1.0]])
    px_to_mm = np.linalg.inv(lens @ look.T @ plane)
    tilt = math.degrees(math.acos(min(1.0, abs(float((look.T @ normal)[2])))))
    return px_to_mm / px_to_mm[2, 2], tilt


def _upright(px_to_mm: FloatArray, centre: FloatArray) -> FloatArray:
    """The same plane with its frame turned so that, at the coin, x and y run as in the photo; w is 1 there."""
    slope = jacobian(px_to_mm, centre[None])[0]
    u, _, vt = np.linalg.svd(slope)
    turn = np.eye(3)
    turn[:2, :2] = (u @ vt).T
    turned = turn @ px_to_mm
    shift = np.eye(3)
    shift[:2, 2] = -project(turned, centre[None])[0]
    turned = shift @ turned
    return np.asarray(turned / (turned[2] @ [*centre, 1.0]))

"""Scale from a coin of known diameter (`coin:NAME`).

A coin is taken only where one thing in the photo, and no other, can be it: a round rim, sharp and whole, with relief
within it. Its outline gives the scale at its place; what lies beside it is extrapolated, and the error says so.
"""

from __future__ import annotations

import csv
import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

import cv2
import numpy as np

from spotscan.colour import SRGB_TO_LINEAR
from spotscan.errors import ReferenceNotFoundError, UsageError
from spotscan.geometry import FOCAL_PER_DIAGONAL, FOCAL_SPREAD, jacobian, project
from spotscan.references.coins_rim import Rim, circle_angles, measure_rim, on_ellipse
from spotscan.references.coins_search import find_edges, fit_conic, rough_ellipses, to_circle
from spotscan.types import FloatArray, Photo, RGBArray, Scale


@dataclass(frozen=True)
class CoinParams:
    """What is believed of coins.

    Attributes
    ----------
    smallest, largest : float
        Diameter as a share of the photo's shorter side. Beyond them the coin cannot be measured, or is a plate.
    smallest_px : float
        Least diameter, px: in less, a coin cannot be told from a mark, a letter or a patch of shine.
    coverage, gap_deg : float
        Least share of the rim that is seen, and longest part that is not, of a coin beyond doubt.
    exact : float
        Scatter of a rim so near to its ellipse that it is none by chance.
    faint : float
        Least agreement of the profiles of a ring that may be around a core.
    possible : tuple of float
        ... of a thing that might be the coin: of an exact rim, and of one that may be there by chance.
    margin, clear : float
        So much more of a coin beyond doubt; and of one on which nothing else is looked for.
    max_rings : int
        At most so many rims are found.
    tolerance_mm : float
        1-sigma error of the diameter: mints allow about 0.1 mm, and coins wear.
    thickness_mm, thickness_err_mm : float
        Its upper edge stands so far above the skin and is nearer to the camera; coins are 1.4 to 2.8 mm thick.
    side, side_err : float
        How much of its side counts to the outline: 0 where the upper edge alone is seen as the rim, 1 where all of it.
    edge_mm : float
        Its edge is rounded: what looks like its edge lies so far within it ...
    edge_err_mm : float
        ... with this 1-sigma error, of which the light at the edge is the cause: shade, shine, a dark foot.
    tilt_deg : float
        1-sigma of the tilt at which skin is photographed; it tells which of the two poses of a circle is likelier.
    told_deg : float
        The tilt is stated where it is known to so many degrees.
    tilted_deg, small_err : float
        Beyond them the scale is flagged.
    n_draws : int
        Homographies drawn for the error.
    """

    smallest: float = 0.022
    smallest_px: float = 40.0
    largest: float = 0.62
    coverage: float = 0.7
    gap_deg: float = 100.0
    faint: float = 0.35
    possible: tuple[float, float] = (0.45, 0.56)
    margin: float = 0.04
    clear: float = 0.6
    exact: float = 0.004
    scatter: float = 0.006
    scatter_px: float = 0.3
    relief: float = 0.015
    stands_out: float = 1.6
    holes: float = 0.035
    green: tuple[float, float] = (0.25, 1.25)
    blue: tuple[float, float] = (0.18, 1.25)
    core: float = 1.12
    outer: float = 0.4
    within: float = 0.9
    max_rings: int = 12
    tolerance_mm: float = 0.08
    thickness_mm: float = 1.9
    thickness_err_mm: float = 0.3
    side: float = 0.25
    side_err: float = 0.4
    edge_mm: float = 0.07
    edge_err_mm: float = 0.1
    tilt_deg: float = 15.0
    told_deg: float = 6.0
    tilted_deg: float = 30.0
    small_err: float = 0.03
    n_draws: int = 48


_PARAMS = CoinParams()


@dataclass(frozen=True)
class Coin:
    """A row of the table: what a coin is called and how large its mint makes it."""

    name: str
    currency: str
    words: str
    diameter_mm: float
    note: str
    source: str
    checked: str


@cache
def coin_table() -> dict[str, Coin]:
    """All known coins by name, in the order of the table `coins.csv`."""
    text = files("spotscan.references").joinpath("coins.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    coins = (
        Coin(r["name"], r["currency"], r["words"], float(r["diameter_mm"]), r["note"], r["source"], r["checked"])
        for r in rows
    )
    return {coin.name: coin for coin in coins}


def find_coin(name: str) -> Coin:
    """The coin of this name.

    Raises
    ------
    UsageError
        There is none; the nearest names are suggested.
    """
    table, key = coin_table(), name.strip().lower()
    if key in table:
        return table[key]
    near = difflib.get_close_matches(key, table, n=3, cutoff=0.5) or ["eur-1", "us-quarter", "gb-1p"]
    todo = f"did you mean {' or '.join(near)}? 'spotscan references' lists all"
    raise UsageError(f"the coin '{name}' is not in the table", f"--reference coin:{name}", todo)


@dataclass(frozen=True, eq=False)
class Disc:
    """A round thing in a photo: its rim, and whether it is a coin beyond doubt."""

    rim: Rim
    sure: bool


def scale_from_coin(photo: Photo, name: str) -> Scale | None:
    """Scale from the coin of this name.

    Parameters
    ----------
    photo : Photo
        Where to look.
    name : str
        As in the table.

    Returns
    -------
    Scale or None
        None where nothing in the photo could be a coin.

    Raises
    ------
    UsageError
        The coin is unknown.
    ReferenceNotFoundError
        Several things could be the coin, or one could be but not beyond doubt; it carries their outlines.

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
    coin = find_coin(name)
    discs = find_discs(photo.rgb)
    if not discs:
        return None
    if len(discs) > 1 or not discs[0].sure:
        where = f"reference coin:{coin.name}" + (f" in {photo.file}" if photo.file else "")
        if len(discs) > 1:
            what = f"{len(discs)} things in the photo could be the coin"
            todo = "leave one coin and nothing else round in the photo"
        else:
            what = "what is round in the photo is not a coin beyond doubt"
            todo = "photograph the whole coin, sharp, from above and without shine"
        raise ReferenceNotFoundError(what, where, todo, tuple(disc.rim.outline() for disc in discs))
    return scale_from_rim(photo, coin, discs[0].rim)


def find_discs(rgb: RGBArray) -> list[Disc]:
    """Everything in the photo that could be a coin, the surest first; rings about one centre are one thing."""
    short = min(rgb.shape[:2])
    smallest = max(_PARAMS.smallest * short, _PARAMS.smallest_px)
    rings: list[Rim] = []
    for rough in rough_ellipses(find_edges(rgb)):
        # What lies on a thing whose rim is found already is not looked at again, but for a ring around it.
        if len(rings) == _PARAMS.max_rings:
            break
        if face_of(rgb, rough)[0] > 0.5 * _PARAMS.relief and not any(_is_on(rough, ring) for ring in rings):
            rim = measure_rim(rgb, rough)
            if rim is not None and rim.agreement >= _PARAMS.faint:
                rings.append(rim)
    discs = []
    for group in _groups(rings):
        rim = _outer(group)
        least = _PARAMS.possible[0 if rim.scatter < _PARAMS.exact else 1]
        if rim.agreement < least:
            continue
        if not smallest < 2 * rim.radius_px < _PARAMS.largest * short or not _is_round(rim):
            continue
        whole = _inside(rim, rgb.shape)
        relief, colour, holes = face_of(rgb, rim.ellipse)
        if relief < max(_PARAMS.relief, _PARAMS.stands_out * ground_of(rgb, rim.ellipse)):
            continue
        if holes > _PARAMS.holes or not _is_metal(colour) or not whole > 0.6:
            continue
        sure = rim.agreement >= least + _PARAMS.margin and rim.coverage >= _PARAMS.coverage
        discs.append(Disc(rim, sure and rim.gap_deg <= _PARAMS.gap_deg and whole == 1))
    return sorted(discs, key=lambda disc: (-disc.sure, -disc.rim.coverage))


def _is_on(rough: FloatArray, ring: Rim) -> bool:
    on = to_circle(rough[None, :2], ring.ellipse)[1][0] < _PARAMS.within
    size = math.sqrt(rough[2] * rough[3])
    return bool(on and ring.agreement > _PARAMS.clear and size < _PARAMS.core * ring.radius_px)


def _groups(rings: Sequence[Rim]) -> list[list[Rim]]:
    """Rings whose centres lie within a larger one, with it: what is seen on a coin is no other thing."""
    groups: list[list[Rim]] = []
    for ring in sorted(rings, key=lambda rim: -rim.radius_px):
        for group in groups:
            if to_circle(ring.ellipse[None, :2], group[0].ellipse)[1][0] < _PARAMS.within:
                group.append(ring)
                break
        else:
            groups.append([ring])
    return groups


def _outer(group: Sequence[Rim]) -> Rim:
    """The rim of the thing that rings are on: that of a coin's core agrees no less than the coin's own."""
    best = max(group, key=lambda ring: ring.agreement)
    sound = (ring for ring in group if _is_round(ring) and ring.coverage > 0.5)
    around = [ring for ring in sound if _is_around(ring, best)]
    return max(around, key=lambda ring: ring.agreement, default=best)


def _is_around(ring: Rim, core: Rim) -> bool:
    near = np.hypot(*(ring.ellipse[:2] - core.ellipse[:2])) < 0.1 * core.radius_px
    larger = ring.radius_px > _PARAMS.core * core.radius_px
    return bool(near and larger and ring.agreement > _PARAMS.outer * core.agreement)


def _is_round(rim: Rim) -> bool:
    return rim.scatter < max(_PARAMS.scatter, _PARAMS.scatter_px / rim.radius_px)


def _inside(rim: Rim, shape: tuple[int, ...]) -> float:
    """Share of the outline that lies in the photo."""
    x, y = rim.outline().T
    return float(((x >= 1) & (y >= 1) & (x <= shape[1] - 2) & (y <= shape[0] - 2)).mean())


def _is_metal(colour: FloatArray) -> bool:
    """Whether linear light (3,) has the colour of a coin: silver, brass or copper, shining or dark.

    Copper is the reddest: its green is half its red, a third when worn, and its blue half its green. Blood takes
    more green than blue, so its blue is not less than its green.
    """
    red, green, blue = np.maximum(colour, 1e-4)
    p = _PARAMS
    return bool(p.green[0] < green / red < p.green[1] and p.blue[0] < blue / green < min(p.blue[1], green / red + 0.25))


def face_of(rgb: RGBArray, ellipse: FloatArray) -> tuple[float, FloatArray, float]:
    """What lies within the rim: relief, median linear light (3,), and how much of the middle is holes.

    Relief is light and dark besides slow shading, 1 sigma of log10 light. The holes of a button lie about its middle;
    the one hole that coins have lies in it.
    """
    size = np.sqrt((np.arange(14) + 0.5) / 14) * 0.85
    angle = circle_angles(60)
    xy = on_ellipse(ellipse, angle[:, None], size[None, :]).astype(np.float32)
    codes = cv2.remap(rgb, xy[..., 0], xy[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    light = np.log10(codes.astype(float).mean(axis=2) + 4.0).ravel()
    u, v = (size * np.cos(angle[:, None])).ravel(), (size * np.sin(angle[:, None])).ravel()
    slow = np.column_stack([np.ones_like(u), u, v, u * u, u * v, v * v])
    rest = light - slow @ np.linalg.solve(slow.T @ slow, slow.T @ light)
    colour = np.median(SRGB_TO_LINEAR[codes].reshape(-1, 3), axis=0)
    middle = SRGB_TO_LINEAR[codes[:, (size > 0.13) & (size < 0.4)]].sum(axis=2)
    holes = float((middle < 0.25 * np.median(middle)).mean())
    return float(1.4826 * np.median(np.abs(rest))), np.asarray(colour, float), holes


def ground_of(rgb: RGBArray, ellipse: FloatArray) -> float:
    """Light and dark around the rim as `face_of` gives it within, in the smoother parts: other things lie there too."""
    angle, size = circle_angles(96), np.linspace(1.2, 1.55, 8)
    xy = on_ellipse(ellipse, angle[:, None], size[None, :]).astype(np.float32)
    codes = cv2.remap(rgb, xy[..., 0], xy[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    light = np.log10(codes.astype(float).mean(axis=2) + 4.0).reshape(12, 64)
    rest = light - np.median(light, axis=1, keepdims=True)
    return float(1.4826 * np.quantile(np.median(np.abs(rest), axis=1), 0.3))


# ---- from rim to plane ----


def scale_from_rim(photo: Photo, coin: Coin, rim: Rim) -> Scale:
    """The scale that a measured rim gives, if it is that of this coin."""
    p, rng = _PARAMS, np.random.default_rng(20240601)
    height, width = photo.height_px, photo.width_px
    focal = FOCAL_PER_DIAGONAL * math.hypot(height, width)
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    radius = coin.diameter_mm / 2 - p.edge_mm

    both = [_pose(rim.ellipse, focal, middle, radius, p.thickness_mm, p.side, sign) for sign in (1, -1)]
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
        h, tilt = _pose(ellipse, f, middle, radius, max(thickness, 0.5), side, int(sign))
        draws.append(h)
        tilts.append(tilt)
    told = float(np.std(tilts)) < p.told_deg
    tilt = float(np.mean(tilts))
    outline = rim.outline()
    scale = Scale(
        reference=f"coin:{coin.name}",
        px_to_mm=mean,
        centre_px=centre.copy(),
        tilt_deg=tilt if told else None,
        outline_px=outline,
        draws=np.array(draws),
        systematic=math.hypot(p.tolerance_mm, 2 * p.edge_err_mm) / coin.diameter_mm,
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


def _pose(
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

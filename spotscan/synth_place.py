"""Where things lie in a scene of `spotscan.synth`: limb, reference, spots."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from spotscan import synth_geometry as geo
from spotscan.synth_scene import SceneParams, Span
from spotscan.synth_skin import Skin, absorbance_below
from spotscan.types import BoolArray, FloatArray

# Added absorbance: direction in (red, green, blue), green = 1, and the contrast in green on light skin. Fresh
# blood is nearly clear in red; deoxygenated, deeper blood (purpura) is not; melanin is dark in all, most in
# blue.
KINDS: dict[str, tuple[tuple[float, float, float], Span]] = {
    "petechia": ((0.20, 1.0, 0.82), (0.08, 0.35)),
    "purpura": ((0.48, 1.0, 0.78), (0.15, 0.60)),
    "angioma": ((0.16, 1.0, 0.76), (0.25, 0.80)),
    "naevus": ((0.62, 1.0, 1.25), (0.12, 0.55)),
    "black": ((0.92, 1.0, 1.02), (0.50, 1.10)),
}


@dataclass(frozen=True, eq=False)
class Spot:
    """A spot before it is painted: outline in mm about its pole, added absorbance, softness."""

    pole_mm: FloatArray
    angles: FloatArray  # (K,) rising from 0 to 2 pi
    radii_mm: FloatArray  # (K,)
    kind: str
    absorbance: FloatArray  # (3,)
    edge_mm: float
    unevenness: float

    @property
    def outline_mm(self) -> FloatArray:
        """Outline in the skin plane, (K, 2)."""
        directions = np.c_[np.cos(self.angles), np.sin(self.angles)]
        return np.asarray(self.pole_mm + self.radii_mm[:, None] * directions)


@dataclass(frozen=True, eq=False)
class PlacedReference:
    """A marker or card on the skin: corners in mm of itself and of all it covers."""

    corners_mm: FloatArray
    area_mm: FloatArray
    from_own: FloatArray  # (3, 3): from mm on itself, origin at its top left, to mm in the skin plane


@dataclass(frozen=True, eq=False)
class Limb:
    """A limb across the picture: a band about a slightly bent axis.

    Attributes
    ----------
    across : (H, W) float32
        Signed distance from the axis, as a share of the half width: skin where it is within -1 and 1.
    half_px : float
        Half the width.
    """

    across: geo.F32
    half_px: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, width: int, height: int) -> Limb:
        """A limb along the longer side of the picture, more or less."""
        half = rng.uniform(0.33, 0.42) * min(width, height)
        angle = rng.uniform(-0.2, 0.2) + (0.0 if width > height else math.pi / 2)
        taper, bend = rng.uniform(-0.15, 0.15), rng.uniform(-0.12, 0.12)
        x = np.arange(width, dtype=np.float32)[None, :] - (width - 1) / 2
        y = np.arange(height, dtype=np.float32)[:, None] - (height - 1) / 2
        along = (x * math.cos(angle) + y * math.sin(angle)) / max(width, height) * 2
        off = y * math.cos(angle) - x * math.sin(angle) - bend * half * along**2
        return cls((off / (half * (1 + taper * along))).astype(np.float32), half)

    @property
    def share(self) -> geo.F32:
        """How much of each pixel is skin."""
        return np.clip((1 - np.abs(self.across)) * self.half_px + 0.5, 0, 1)


def place_reference(params: SceneParams, mm_to_px: FloatArray, rng: np.random.Generator) -> PlacedReference | None:
    """Lay the marker or card on the skin, if one is asked for."""
    if params.reference is None:
        return None
    own, area = _own_outlines(params)
    turn = math.radians(params.reference_turn_deg)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    local = (area - own.mean(axis=0)) @ rotation.T
    centre = _free_corner(params, mm_to_px, local, rng)
    from_own = np.eye(3)
    from_own[:2, :2] = rotation
    from_own[:2, 2] = centre - rotation @ own.mean(axis=0)
    return PlacedReference(geo.project(from_own, own), geo.project(from_own, area), from_own)


def _own_outlines(params: SceneParams) -> tuple[FloatArray, FloatArray]:
    """What is measured and all that covers the skin, in mm on the reference itself."""
    if params.reference == "card":
        from spotscan.card_layout import CARD_SIZE_MM

        w, h = CARD_SIZE_MM
        own = np.array([[0.0, 0], [w, 0], [w, h], [0, h]])
        return own, own
    if params.reference == "aruco":
        side = params.side_mm
        quiet = 1.5 * side / len(geo.marker_cells(params.dictionary, params.marker_id))
        return geo.square(0.0, side), geo.square(-quiet, side + quiet)
    own, area = prop(params).outlines(params)
    return own, area


def prop(params: SceneParams) -> Any:
    """The module that draws this reference: `outlines(params)` and `texture(params, rng, texels_per_mm)`."""
    return importlib.import_module(f"spotscan.synth_{params.reference}")


def _free_corner(params: SceneParams, mm_to_px: FloatArray, local: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Centre (mm) of a reference with this outline about it: as asked, or in a corner of the picture."""
    px_to_mm = geo.inverse(mm_to_px)
    size = np.array([params.width_px, params.height_px])
    if params.reference_at is not None:
        return np.asarray(geo.project(px_to_mm, np.array([params.reference_at]) * size - 0.5)[0])
    for step in range(40):
        sign = rng.choice([-1.0, 1.0], 2)
        start = 0.5 + sign * (0.48 - 0.01 * step)
        centre = geo.project(px_to_mm, start[None] * size - 0.5)[0]
        seen = geo.project(mm_to_px, centre + local)
        if seen.min() > 8 and (seen < size - 9).all():
            return np.asarray(centre)
    raise ValueError("the reference is larger than the picture: ask for a smaller one or fewer px_per_mm")


def place_spots(
    params: SceneParams,
    skin: Skin,
    mm_to_px: FloatArray,
    reference: PlacedReference | None,
    limb: Limb | None,
    rng: np.random.Generator,
) -> list[Spot]:
    """Throw spots at the skin, the largest first; those that find no room in 200 throws are left out."""
    free = _room(params, mm_to_px, reference, limb)
    names, weights = zip(*params.kinds, strict=True)
    low, high = np.log(params.diameter_mm)
    diameters = np.sort(np.exp(rng.uniform(low, high, params.n_spots)))[::-1]
    spots: list[Spot] = []
    for diameter in diameters:
        kind = str(rng.choice(names, p=np.array(weights) / sum(weights)))
        angles, radii = _outline(params, diameter, rng)
        added = _added_absorbance(params, kind, skin, rng)
        edge = min(rng.uniform(*params.edge_mm), diameter / 12)
        partner = int(rng.integers(len(spots))) if spots and rng.random() < params.touching else None
        if partner is None:
            corner = [params.width_px - 1, params.height_px - 1]
            poles = geo.project(geo.inverse(mm_to_px), rng.uniform([0, 0], corner, (200, 2)))
        else:
            poles = _beside(spots[partner], angles, radii, rng.uniform([0, 0], [2 * np.pi, 0.1], (200, 2)))
        for pole in poles[_apart(poles, radii.max(), spots, partner, params.min_gap_mm)]:
            spot = Spot(pole, angles, radii, kind, added, edge, params.unevenness)
            if _inside(free, geo.project(mm_to_px, spot.outline_mm)):
                spots.append(spot)
                break
    return spots


def _apart(poles: FloatArray, radius: float, spots: list[Spot], partner: int | None, gap_mm: float) -> BoolArray:
    """At which poles (m, 2) a spot of this radius keeps the gap to all but its partner: (m,) bool."""
    others = [spot for k, spot in enumerate(spots) if k != partner]
    if not others:
        return np.ones(len(poles), bool)
    centres = np.array([spot.pole_mm for spot in others])
    reach = np.array([spot.radii_mm.max() for spot in others]) + radius + gap_mm
    return np.asarray((((poles[:, None] - centres) ** 2).sum(-1) >= reach**2).all(axis=1))


def _beside(other: Spot, angles: FloatArray, radii: FloatArray, draws: FloatArray) -> FloatArray:
    """Poles (m, 2) from which this outline touches the other.

    Each of the (m, 2) draws is a direction and an overlap, as a share of the smaller radius: 0 just touches.
    """
    direction, overlap = draws.T
    reach = np.interp(direction, other.angles, other.radii_mm, period=2 * np.pi)
    own = np.interp(direction + np.pi, angles, radii, period=2 * np.pi)
    length = reach + own - overlap * min(radii.min(), other.radii_mm.min())
    return np.asarray(other.pole_mm + length[:, None] * np.c_[np.cos(direction), np.sin(direction)])


def _outline(params: SceneParams, diameter: float, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Angles and radii of an ellipse with a few harmonics, of exactly this area-equivalent diameter."""
    angles = np.linspace(0, 2 * np.pi, 128, endpoint=False)
    stretch = math.sqrt(rng.uniform(*params.elongation))
    turn = rng.uniform(0, np.pi)
    radii = 1 / np.hypot(np.cos(angles - turn) / stretch, np.sin(angles - turn) * stretch)
    orders = np.arange(2, 7)
    size = params.irregularity * rng.standard_normal(5) * 4 / orders**2
    radii *= np.exp((size[:, None] * np.cos(orders[:, None] * angles + rng.uniform(0, 6.3, 5)[:, None])).sum(0))
    area = 0.5 * math.sin(angles[1]) * (radii * np.roll(radii, -1)).sum()
    return angles, radii * diameter / 2 * math.sqrt(math.pi / area)


def _added_absorbance(params: SceneParams, kind: str, skin: Skin, rng: np.random.Generator) -> FloatArray:
    """Absorbance (3,) that a spot adds in the skin, so that its contrast is seen through the surface light.

    Melanin lies above the blood, and the surface light changes with neither: less shows on dark skin.
    """
    direction, span = KINDS[kind]
    contrast = math.exp(rng.uniform(*np.log(params.contrast or span)))
    if params.contrast is None:
        contrast *= min(1.0, max(0.4, 0.4 + 0.6 * (skin.ita_deg + 50) / 90))
        # Rose's criterion: nobody sees what stands out by less than three sigma of the texture, averaged over
        # the few cells of skin that a mark of 1 mm covers.
        contrast = max(contrast, 1.5 * params.relief / math.log(10))
    return absorbance_below(skin.depth[1], contrast) * np.array(direction)


def _room(params: SceneParams, mm_to_px: FloatArray, reference: PlacedReference | None, limb: Limb | None) -> BoolArray:
    """Where spots may lie: on the skin, off the reference, and off every border by the gap. (H, W) bool."""
    free = np.zeros((params.height_px, params.width_px), np.uint8)
    free[1:-1, 1:-1] = 1
    if limb is not None:
        free[np.abs(limb.across) > 0.85] = 0
    if reference is not None:
        cv2.fillConvexPoly(free, np.round(geo.project(mm_to_px, reference.area_mm)).astype(np.int32), 0)
    distance = cv2.distanceTransform(free, cv2.DIST_L2, 5)
    return np.asarray(distance > max(2.0, params.min_gap_mm * params.px_per_mm))


def _inside(free: BoolArray, outline_px: FloatArray) -> bool:
    """Whether a whole outline lies where there is room (the reference is convex and larger than a gap)."""
    column, row = np.round(outline_px).astype(int).T
    h, w = free.shape
    return bool(((column >= 0) & (row >= 0) & (column < w) & (row < h)).all() and free[row, column].all())

"""Scale from a coin of known diameter (`coin:NAME`).

A coin is taken only where one thing in the photo, and no other, can be it: a round rim, sharp and whole, with relief
within it. Its outline gives the scale at its place; what lies beside it is extrapolated, and the error says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spotscan.errors import ReferenceNotFoundError
from spotscan.references.coins_face import could_be_of, face_of, ground_of, is_button, is_metal
from spotscan.references.coins_material import at_end_of_metal
from spotscan.references.coins_pose import scale_from_rim
from spotscan.references.coins_rim import Rim, measure_rim
from spotscan.references.coins_search import find_edges, rough_ellipses, to_circle
from spotscan.references.coins_table import Coin as Coin
from spotscan.references.coins_table import coin_table as coin_table
from spotscan.references.coins_table import find_coin as find_coin
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
    scatter, scatter_px : float
        Most scatter of a round rim, share of the radius or px, the larger.
    relief : float
        Least relief of a face, as `face_of` gives it: spots on the skin have up to 0.013.
    stands_out : float
        It has so many times the relief of what lies around it.
    holes : float
        Most of the middle that may be holes.
    core, outer : float
        What lies around a core is so many times larger, and agrees so far relative to it.
    within : float
        Rings whose centre lies within this share of a larger one are on the same thing.
    max_rings : int
        At most so many rims are found.
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
    core: float = 1.12
    outer: float = 0.4
    within: float = 0.9
    max_rings: int = 12


_PARAMS = CoinParams()


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
    """
    coin = find_coin(name)
    discs = find_discs(photo.rgb, coin.metal)
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
    return scale_from_rim(photo, coin.name, coin.diameter_mm, discs[0].rim)


def find_discs(rgb: RGBArray, metal: str = "") -> list[Disc]:
    """Everything in the photo that could be a coin, the surest first; rings about one centre are one thing.

    What is not of this metal (one of `coins_face.METALS`), or could be a button, is none beyond doubt.
    """
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
        rim = at_end_of_metal(rgb, rim) or rim
        whole = _inside(rim, rgb.shape)
        relief, colour, holes = face_of(rgb, rim.ellipse)
        if relief < max(_PARAMS.relief, _PARAMS.stands_out * ground_of(rgb, rim.ellipse)):
            continue
        if holes > _PARAMS.holes or not is_metal(colour) or not whole > 0.6:
            continue
        sure = rim.agreement >= least + _PARAMS.margin and rim.coverage >= _PARAMS.coverage and whole == 1
        sure = sure and rim.gap_deg <= _PARAMS.gap_deg and could_be_of(metal, rgb, rim.ellipse)
        discs.append(Disc(rim, sure and not is_button(rgb, rim.ellipse)))
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

"""Scale from a bank card (`card`): any card of ISO/IEC 7810 ID-1, 85.60 x 53.98 mm with corners of radius 3.18 mm.

A quadrilateral is taken for one only if all of these agree: there is an edge along most of its four sides; its
shape is that of the card seen by an ordinary camera; its corners are round, and with the radius of the standard. What
is printed on it is not looked at, kept or written out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spotscan.errors import ReferenceNotFoundError
from spotscan.geometry import FOCAL_PER_DIAGONAL, draw_homographies, jacobian, last_one, matrix, project, tilt_deg
from spotscan.references.bank_card_search import SearchParams, find_quads
from spotscan.references.bank_card_shape import CARD_MM, RADIUS_MM, TO_SQUARE, drawn_shape_cost
from spotscan.references.bank_card_sides import MeasuredCard, measure_card
from spotscan.references.detect import reduced
from spotscan.types import FloatArray, Photo, RGBArray, Scale


@dataclass(frozen=True)
class Belief:
    """What a quadrilateral must show to be taken for a bank card; see `MeasuredCard` for what is measured.

    Attributes
    ----------
    seen, mean_seen : float
        Least share of a side that is seen, and of all four: fingers cover the rest.
    rounded : float
        Least gain of the card's round corners over sharp ones. All four corners in full view give 0.2.
    corners, round_corner : int, float
        At least so many corners must gain so much each. A hidden corner gains nothing, nor do the two at the end of a
        side that is none (a printed line, a stripe, a shadow): three corners leave no room for such a side.
    corner_fit : float
        Least share of the corners' outline with an edge.
    radius_mm : float
        Largest deviation of the corner radius. The standard allows 0.30; the rest is measuring, and corners that are
        worn white or covered.
    shape : float
        Largest cost of shape: chi^2 of ratio, angle and focal length (three numbers, one free).
    """

    seen: float = 0.2
    mean_seen: float = 0.55
    rounded: float = 0.06
    corners: int = 3
    round_corner: float = 0.025
    corner_fit: float = 0.7
    radius_mm: float = 2.0
    shape: float = 12.0


ASKED_FOR = Belief()
BEYOND_DOUBT = Belief(seen=0.5, mean_seen=0.8, rounded=0.11, corners=4, corner_fit=0.8, radius_mm=0.6, shape=5.0)


@dataclass(frozen=True)
class BankCardParams:
    """What is known of bank cards.

    Attributes
    ----------
    shape_tolerance : float
        1-sigma error of the ratio of sides and of the angle, apart from the fit's own: lenses bend straight lines by
        up to half a per cent.
    unsure_shape : float
        The fit's own error counts so many times there: a side taken at its rim or its shadow is off by 0.2 mm.
    standard : float
        1-sigma relative error of the size: ISO/IEC 7810 allows 85.47 to 85.72 and 53.92 to 54.03 mm.
    thickness_mm : float
        The face lies so far above the skin.
    unsure_thickness : float
        1-sigma relative error of what that changes: the focal length is a guess, and skin gives way.
    rival : float
        A second card that shows its round corners this well, as a share of the best, is not passed over ...
    disagree : float
        ... where its scale differs by more than this.
    tilted_deg, small_err, n_draws
        As for markers.
    """

    shape_tolerance: float = 0.006
    unsure_shape: float = 2.0
    standard: float = 0.0008
    thickness_mm: float = 0.76
    unsure_thickness: float = 0.4
    rival: float = 0.7
    disagree: float = 0.02
    tilted_deg: float = 30.0
    small_err: float = 0.005
    n_draws: int = 32


_PARAMS = BankCardParams()


def scale_from_bank_card(photo: Photo, beyond_doubt: bool = False) -> Scale | None:
    """Scale from a bank card.

    Parameters
    ----------
    photo : Photo
        Where to look.
    beyond_doubt : bool
        True where nobody said that there is one: only a card in nearly full view is taken.

    Returns
    -------
    Scale or None
        None where no card is seen, or none for certain. One that nobody asked for carries `reference_assumed`.

    Raises
    ------
    ReferenceNotFoundError
        Where it was asked for and several things could be the card that give different scales; with their outlines.
    """
    found = find_bank_cards(photo.rgb, BEYOND_DOUBT if beyond_doubt else ASKED_FOR)
    if not found:
        return None
    rivals = [card for card in found if _disagrees(card, found[0])]
    if not rivals:
        scale = _scale(photo, found[0])
        return replace(scale, flags=(*scale.flags, "reference_assumed")) if beyond_doubt else scale
    if beyond_doubt:
        return None
    outlines = tuple(project(matrix(card.h) @ TO_SQUARE, outline_mm()) for card in (found[0], *rivals))
    where = "reference card" + (f" in {photo.file}" if photo.file else "")
    what = f"{len(outlines)} things in the photo could be the card, and they give different scales"
    todo = "leave one card and nothing else of its shape in the photo, or use 'none'"
    raise ReferenceNotFoundError(what, where, todo, outlines)


def find_bank_cards(rgb: RGBArray, belief: Belief = ASKED_FOR) -> list[MeasuredCard]:
    """All that can be believed to be a card, what shows its round corners best first."""
    view, factor = reduced(rgb, SearchParams().pixels)
    measured = (measure_card(rgb, (quad + 0.5) * factor - 0.5, factor) for quad in find_quads(view))
    found = [card for card in measured if card is not None and _believed(card, rgb.shape[:2], belief)]
    return sorted(found, key=lambda card: -float(card.rounded.mean()))


def _disagrees(card: MeasuredCard, best: MeasuredCard) -> bool:
    """Whether a card nearly as good as the best would give another scale: two cards, or a panel within one."""
    nearly_as_good = float(card.rounded.mean()) >= _PARAMS.rival * float(best.rounded.mean())
    sizes = [
        Scale("", np.asarray(np.linalg.inv(matrix(c.h) @ TO_SQUARE), float), c.corners_px.mean(axis=0)).px_per_mm
        for c in (card, best)
    ]
    return nearly_as_good and abs(float(np.log(sizes[0] / sizes[1]))) > _PARAMS.disagree


def _believed(card: MeasuredCard, shape: tuple[int, int], belief: Belief) -> bool:
    drawn = draw_homographies(card.h, _PARAMS.unsure_shape**2 * card.covariance, _PARAMS.n_draws)
    cost = drawn_shape_cost(matrix(card.h) @ TO_SQUARE, drawn @ TO_SQUARE, shape, _PARAMS.shape_tolerance)
    return bool(
        card.seen.min() >= belief.seen
        and card.seen.mean() >= belief.mean_seen
        and card.rounded.mean() >= belief.rounded
        and np.count_nonzero(card.rounded >= belief.round_corner) >= belief.corners
        and card.corner_fit >= belief.corner_fit
        and abs(card.radius_mm - RADIUS_MM) <= belief.radius_mm
        and cost <= belief.shape
    )


def outline_mm() -> FloatArray:
    """The card's outline about its middle, (K, 2) mm, clockwise, corners rounded."""
    turn = np.linspace(0, np.pi / 2, 7)
    corner = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    middle = corner * (np.array(CARD_MM) / 2 - RADIUS_MM)
    angle = np.pi + np.arange(4)[:, None] * np.pi / 2 + turn
    arcs = middle[:, None] + RADIUS_MM * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.asarray(arcs.reshape(-1, 2))


def _scale(photo: Photo, card: MeasuredCard) -> Scale:
    mm_to_px = matrix(card.h) @ TO_SQUARE
    drawn = draw_homographies(card.h, card.covariance, _PARAMS.n_draws) @ TO_SQUARE
    outline = project(mm_to_px, outline_mm())
    shape = (photo.height_px, photo.width_px)
    tilt = tilt_deg(mm_to_px, drawn, shape)
    # The skin is farther from the camera than the card's face, by its thickness: lengths there are larger.
    px_per_mm = np.sqrt(abs(np.linalg.det(jacobian(mm_to_px, np.zeros((1, 2)))[0])))
    farther = _PARAMS.thickness_mm * float(px_per_mm) / (FOCAL_PER_DIAGONAL * float(np.hypot(*shape)))
    to_skin = np.diag([1 + farther, 1 + farther, 1.0])
    scale = Scale(
        reference="card",
        px_to_mm=last_one(to_skin @ np.linalg.inv(mm_to_px)),
        centre_px=project(mm_to_px, np.zeros((1, 2)))[0],
        tilt_deg=tilt,
        outline_px=outline,
        draws=last_one(to_skin @ np.linalg.inv(drawn)),
        systematic=float(np.hypot(_PARAMS.standard, _PARAMS.unsure_thickness * farther)),
        keep_out_px=(outline,),
        private_px=(outline,),
    )
    random = np.sqrt(max((scale.px_per_mm_err / scale.px_per_mm) ** 2 - scale.systematic**2, 0.0))
    flags = ("tilted",) * (tilt > _PARAMS.tilted_deg) + ("reference_small",) * bool(random > _PARAMS.small_err)
    return replace(scale, flags=flags)

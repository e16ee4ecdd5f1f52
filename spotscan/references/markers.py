"""Scale from square markers: SpotScan's own card (`auto`), or any marker of known side (`aruco:SIDE_MM`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from spotscan.card_layout import CARD_SIZE_MM, MARKER_MM, MARKERS
from spotscan.geometry import UNIT_CORNERS, draw_homographies, last_one, matrix, project, tilt_deg
from spotscan.references.detect import FAMILIES, DetectParams, Marker, find_markers
from spotscan.references.edges import Square, measure_square
from spotscan.references.plane import Plane, fit_plane
from spotscan.types import FloatArray, Photo, Scale

_CARD_FAMILY = "APRILTAG_36h11"


@dataclass(frozen=True)
class MarkerParams:
    """What is believed of markers.

    Attributes
    ----------
    systematic : float
        1-sigma relative error of the print. The check line on the card's sheet is read to half a millimetre
        in 100: evenly spread within that, 0.3 %. Of other markers the user states the side; it is taken to be
        measured as well.
    same_plane : float
        RMS residual of a joint fit over the mean side beyond which markers are not in one plane: 1 % is
        several times the measuring error, and less than a tilt of 10 degrees between two markers does.
    same_plane_sigma : float
        ... unless it is within this many times what the corners' own errors explain.
    bent_mm : float
        RMS residual of the card's markers beyond which it is called bent; a flat print stays below 0.1 mm.
    one_card_mm : float
        ... and beyond which the markers are not those of one card (two cards, or one cut up): the largest
        alone is used.
    weak_fit, strong_fit : float
        Least share of a pattern's edges that must be in place, for families so small that a letter or an
        icon can spell a marker (those of which no wrong bit is accepted), and for the others.
    tilted_deg : float
        Beyond it lengths along the tilt shrink by 13 % and marks that stand out of the skin mislead.
    small_err : float
        Random relative error of the scale beyond which the reference is too small in the photo.
    max_markers : int
        At most so many are used, the largest: more add time, not accuracy.
    n_draws : int
        Homographies drawn for the error.
    """

    systematic: float = 0.003
    same_plane: float = 0.01
    same_plane_sigma: float = 2.5
    bent_mm: float = 0.2
    one_card_mm: float = 3.0
    weak_fit: float = 0.9
    strong_fit: float = 0.5
    tilted_deg: float = 30.0
    small_err: float = 0.005
    max_markers: int = 24
    n_draws: int = 32


_PARAMS = MarkerParams()
# Coarse only: what is found no more at 1.5 megapixels has under 3 px/mm, too few to measure marks by.
_CARD_DETECTION = DetectParams(pixels=(1_500_000,))


def scale_from_card(photo: Photo) -> Scale | None:
    """Scale from the printed SpotScan card; any one of its markers is enough, more are used together."""
    found = find_markers(photo, (_CARD_FAMILY,), tuple(MARKERS), _CARD_DETECTION)
    best = {marker.id: marker for marker in reversed(found)}  # a second card in the photo: the larger one's
    if not best:
        return None
    squares = [measure_square(photo.rgb, marker) for marker in best.values()]
    squares.sort(key=_size, reverse=True)
    layout = np.array([MARKERS[square.marker.id] for square in squares])
    plane = fit_plane(squares, layout, MARKER_MM)
    px_per_mm = _size(squares[0]) / MARKER_MM
    residual_mm = plane.residual_px / px_per_mm
    flags = ("bent",) if plane.misfit > 2 and residual_mm > _PARAMS.bent_mm else ()
    if flags and residual_mm > _PARAMS.one_card_mm:
        plane = fit_plane(squares[:1], layout[:1], MARKER_MM)
    width, height = CARD_SIZE_MM
    card = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    return _scale(photo, "auto", plane, card, (card,), flags)


def scale_from_side(photo: Photo, side_mm: float) -> Scale | None:
    """Scale from any markers of black side `side_mm`.

    Several are used together where they lie in one plane. Where they do not, the largest alone is used: it is
    the nearest to the camera, and which of the others lies in the plane of the skin cannot be known.
    """
    markers = _one_family(find_markers(photo))[: _PARAMS.max_markers]
    measured = (measure_square(photo.rgb, marker) for marker in markers)
    squares = sorted((square for square in measured if _credible(square)), key=_size, reverse=True)
    if not squares:
        return None
    plane = fit_plane(squares, side_mm=side_mm)
    if not _in_one_plane(squares, plane):
        squares = squares[:1]
        plane = fit_plane(squares, side_mm=side_mm)
    to_mm = plane.to_mm @ np.linalg.inv(matrix(plane.h))
    outline = UNIT_CORNERS * side_mm / 2
    covered = tuple(_with_margin(square, project(to_mm, square.corners_px)) for square in squares)
    return _scale(photo, f"aruco:{side_mm:g}", plane, outline, covered, ())


def printed_markers(photo: Photo) -> tuple[FloatArray, ...]:
    """Outlines (4, 2) in px of all markers of any family, with their white margin: no spot lies on them."""
    squares = (measure_square(photo.rgb, marker) for marker in find_markers(photo, params=_CARD_DETECTION))
    return tuple(_with_margin(square, square.corners_px, 2.0) for square in squares if _credible(square))


def _with_margin(square: Square, corners: FloatArray, modules: float = 1.0) -> FloatArray:
    """The corners moved out by the white zone: at least one module, commonly cut at two."""
    return np.asarray(corners.mean(0) + (corners - corners.mean(0)) * (1 + 2 * modules / len(square.marker.cells)))


def _scale(
    photo: Photo,
    reference: str,
    plane: Plane,
    outline_mm: FloatArray,
    covered_mm: tuple[FloatArray, ...],
    flags: tuple[str, ...],
) -> Scale:
    from_mm = np.linalg.inv(plane.to_mm)
    mm_to_px = matrix(plane.h) @ from_mm
    drawn = draw_homographies(plane.h, plane.covariance, _PARAMS.n_draws) @ from_mm
    centre_mm = outline_mm.mean(axis=0)
    tilt = tilt_deg(mm_to_px, drawn, (photo.height_px, photo.width_px))
    scale = Scale(
        reference=reference,
        px_to_mm=last_one(np.linalg.inv(mm_to_px)),
        centre_px=project(mm_to_px, centre_mm[None])[0],
        tilt_deg=tilt,
        outline_px=project(mm_to_px, outline_mm),
        draws=last_one(np.linalg.inv(drawn)),
        systematic=_PARAMS.systematic,
        keep_out_px=tuple(project(mm_to_px, polygon) for polygon in covered_mm),
    )
    random = np.sqrt(max((scale.px_per_mm_err / scale.px_per_mm) ** 2 - scale.systematic**2, 0.0))
    flags += ("tilted",) * (tilt > _PARAMS.tilted_deg)
    flags += ("reference_small",) * bool(random > _PARAMS.small_err)
    return replace(scale, flags=flags)


def _size(square: Square) -> float:
    """Side of the square in the photo: the root of its area, px."""
    x, y = square.corners_px.T
    return float(np.sqrt(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2))


def _one_family(markers: Sequence[Marker]) -> list[Marker]:
    """Those of the family that chance explains least: most modules read, over all its markers."""
    weight: dict[str, int] = {}
    for marker in markers:
        weight[marker.family] = weight.get(marker.family, 0) + marker.cells.size
    best = max(weight, key=weight.__getitem__, default="")
    return [marker for marker in markers if marker.family == best]


def _credible(square: Square) -> bool:
    if FAMILIES[square.marker.family] == 0:
        return square.fit >= _PARAMS.weak_fit
    return not square.fit < _PARAMS.strong_fit  # too small in the photo to tell: the code itself is proof


def _in_one_plane(squares: Sequence[Square], plane: Plane) -> bool:
    side = float(np.mean([_size(square) for square in squares]))
    explained = plane.misfit <= _PARAMS.same_plane_sigma
    return explained or plane.residual_px <= _PARAMS.same_plane * side

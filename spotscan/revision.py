"""A scan corrected by hand: marks removed and added, the scale set; what follows from them follows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spotscan.errors import UsageError
from spotscan.measure import in_plane, measure_spots
from spotscan.pipeline import assemble, classify_found
from spotscan.quality import judge_quality
from spotscan.references.by_hand import scale_by_hand
from spotscan.segment.by_hand import label_by_hand, relabel
from spotscan.types import FloatArray, Measurements, Photo, Scale, Scan, Spots
from spotscan.view import view_for_spots

Point = Sequence[float]
# Known marks measured again beside those added: their edges tell the blur of the lens, and this many tell it well.
_WITNESSES = 12
# An outline becomes the label of the next try: each finds some more marks of real photos, a fourth hardly any.
_TRIES = 3
# 1-sigma error of a circle drawn by eye, as a share: that of a mark of which no boundary was found.
_DRAWN_ERR = 0.2


def revise(
    scan: Scan,
    *,
    removed: Collection[int] = (),
    added: Sequence[Point] = (),
    scale: tuple[Point, Point, float] | None = None,
    click_err_px: float = 1.0,
) -> Scan:
    """Correct a scan by hand.

    Parameters
    ----------
    scan : Scan
        As it came from `spotscan.scan`: with all corrections so far given each time, they can be taken back.
    removed : collection of int
        Ids of marks that are none; those of added marks, too.
    added : sequence of (x, y) or (x, y, diameter)
        Where marks were missed, photo px, pointed to or drawn as circles. The k-th, from 0, has the id n + 1 + k, n
        being the last id of `scan`, whatever else was corrected.
    scale : ((x, y), (x, y), length_mm), optional
        Two points, photo px, and the length between them.
    click_err_px : float
        1-sigma error of a point set by hand, photo px; on a small screen it is more than one.

    Returns
    -------
    Scan
        Density, clusters, quality and classes follow. `triage` is None: it is to be asked anew.

    Raises
    ------
    UsageError
        A point is no place in the photo, or the scale cannot be.

    Notes
    -----
    An added mark is measured as the others are. Where none stands out with an edge, it has the size of the circle drawn
    (flag `drawn_by_hand`) or none (`not_measured`). A place inside a mark that stays adds nothing. Outlines are kept
    when the scale changes; only their millimetres are new.
    """
    places = [_checked(scan.photo, place) for place in added]
    plane, quality = scan.scale, scan.quality
    if scale is not None:
        plane = scale_by_hand(scan.photo, *scale, click_err_px=click_err_px, before=scan.scale)
        quality = judge_quality(scan.photo, scan.skin, plane)
    kept = np.flatnonzero(~np.isin(scan.spots.ids, list(removed)))
    marks = in_plane(scan.spots.take(kept), plane)
    first = max(scan.spots.ids, default=0) + 1
    wanted = {first + k: place for k, place in enumerate(places) if first + k not in set(removed)}
    if wanted:
        marks = _joined(marks, _measured(scan, plane, marks, wanted))
    classes = None if scan.classes is None else _classes(scan.photo, marks)
    revised = assemble(scan.photo, plane, quality, scan.skin, marks, classes)
    return replace(revised, n_no_marks=scan.n_no_marks)


def _checked(photo: Photo, place: Point) -> tuple[float, ...]:
    values = tuple(float(value) for value in place)
    sized = len(values) == 2 or (len(values) == 3 and 0 < values[2] < np.inf)
    last = (photo.width_px - 0.5, photo.height_px - 0.5)
    if not sized or not all(-0.5 <= value <= most for value, most in zip(values[:2], last, strict=True)):
        raise UsageError("a mark cannot be added there", str(values), "give x, y and perhaps a diameter, photo px")
    return values


def _measured(
    scan: Scan, scale: Scale | None, marks: Measurements, wanted: dict[int, tuple[float, ...]]
) -> Measurements:
    """The marks pointed to, by id, measured as the pipeline does it where one stands out; else as they were drawn."""
    places, ids, known = list(wanted.values()), np.array(list(wanted)), len(marks)
    labelled = label_by_hand(view_for_spots(scan.photo, scale), scan.skin, scale, marks.contours_px, places)
    answer = labelled.snr[known:]
    seen, witnesses = np.flatnonzero(answer > 0), _witnesses(marks, np.array([place[:2] for place in places]))
    measured, sure = _measured_again(scan, scale, labelled, known + seen, witnesses)
    drawn = np.concatenate([np.flatnonzero(answer == 0), seen[~sure]])
    both = _joined(measured.take(np.flatnonzero(sure)), in_plane(_as_drawn([places[k] for k in drawn]), scale))
    flags = tuple((*flags, "added_by_hand") for flags in both.flags)
    both = replace(both, flags=flags, numbers=tuple(ids[np.concatenate([seen[sure], drawn])].tolist()))
    return both.take(np.argsort(both.ids))


def _measured_again(
    scan: Scan, scale: Scale | None, labelled: Spots, rows: NDArray[np.intp], witnesses: Sequence[int]
) -> tuple[Measurements, NDArray[np.bool_]]:
    """Measure these rows, each again from its own outline where its label meant another mark; and which have an edge.

    Texture, too, answers where a person points, but it has no edge.
    """
    for _ in range(_TRIES):
        wanted = {*rows.tolist(), *witnesses} if len(rows) else ()
        measured = measure_spots(scan.photo, labelled, scan.skin, scale, rows=wanted)
        measured = measured.take(np.arange(len(measured) - len(rows), len(measured)))  # after the witnesses
        sure = np.array(["low_contrast" not in f and "too_small" not in f for f in measured.flags], bool)
        if sure.all():
            break
        unsure = np.flatnonzero(~sure)
        labelled = relabel(labelled, {int(rows[k]) + 1: measured.contours_px[k] for k in unsure})
    return measured, sure


def _witnesses(marks: Measurements, places_px: FloatArray) -> list[int]:
    """Rows of well measured marks near the places."""
    clear = np.array([not flags for flags in marks.flags], bool)
    good = np.flatnonzero(clear & np.isfinite(marks.diameter_px))
    apart = np.hypot(*(marks.centre_px[good, None] - places_px).T).min(axis=0) if len(good) else np.zeros(0)
    return [int(row) for row in good[np.argsort(apart, kind="stable")[:_WITNESSES]]]


def _as_drawn(places: Sequence[tuple[float, ...]]) -> Measurements:
    """Circles as a person drew them; a place alone has no size. Nothing else is known of such marks."""
    n = len(places)
    centre = np.array([place[:2] for place in places], float).reshape(n, 2)
    diameter = np.array([place[2] if len(place) > 2 else np.nan for place in places], float)
    turn = 2 * np.pi * np.arange(96) / 96
    circle = np.column_stack([np.cos(turn), np.sin(turn)]) / 2
    unknown = np.full(n, np.nan)
    return Measurements(
        centre_px=centre,
        bbox_px=np.column_stack([centre - diameter[:, None] / 2, diameter, diameter]) + 0 * diameter[:, None],
        contours_px=tuple(
            c + d * circle if np.isfinite(d) else np.zeros((0, 2)) for c, d in zip(centre, diameter, strict=True)
        ),
        diameter_px=diameter,
        diameter_mm=unknown,
        diameter_mm_err=unknown,
        longest_mm=unknown,
        area_mm2=unknown,
        circularity=unknown,
        contrast=unknown,
        colour=(None,) * n,
        flags=tuple(("drawn_by_hand" if np.isfinite(d) else "not_measured",) for d in diameter),
        diameter_px_err=_DRAWN_ERR * diameter,
    )


def _joined(first: Measurements, second: Measurements) -> Measurements:
    """The marks of both, in their order."""
    if not len(second):
        return first
    parts: dict[str, Any] = {
        field.name: (getattr(first, field.name), getattr(second, field.name)) for field in fields(first)
    }
    parts["numbers"] = (first.ids, second.ids)
    if first.diameter_px_err is None:  # measured before that error was kept
        parts["diameter_px_err"] = (np.full(len(first), np.nan), parts["diameter_px_err"][1])
    both: dict[str, Any] = {
        name: np.concatenate(pair) if isinstance(pair[0], np.ndarray) else (*pair[0], *pair[1])
        for name, pair in parts.items()
    }
    return Measurements(**both)


def _classes(photo: Photo, marks: Measurements) -> tuple[dict[str, Any], ...]:
    """What the marks look like, each with the others in mind; nothing of those without a size."""
    sized = np.flatnonzero(np.isfinite(marks.bbox_px).all(axis=1))
    said = dict(zip(sized.tolist(), classify_found(photo, marks.take(sized)).to_dicts(), strict=True))
    return tuple(said.get(i, {"class": None, "probabilities": None}) for i in range(len(marks)))

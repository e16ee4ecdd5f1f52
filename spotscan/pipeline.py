"""The way of a photo, one direction only; each line is one stage."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from spotscan.classes import Classes, classify_marks
from spotscan.crops import in_boxes
from spotscan.density import measure_density
from spotscan.findings import summarise
from spotscan.measure import measure_spots
from spotscan.photo import read_photo
from spotscan.quality import judge_quality
from spotscan.references import find_prints, find_scale, flag_place, parse_reference
from spotscan.segment import find_spots
from spotscan.skin import find_skin
from spotscan.types import Measurements, Photo, Quality, RGBArray, Scale, Scan, Skin
from spotscan.view import view_for_skin, view_for_spots

_ALWAYS_KEPT_MM = 2.0  # petechiae end here (S2-59, S3-57)


def scan(
    photo: str | os.PathLike[str] | bytes | RGBArray,
    reference: str = "auto",
    answers: Mapping[Any, Any] | None = None,
    *,
    emergency_number: str | None = None,
    keep_no_marks: bool = False,
) -> Scan:
    """Measure the spots in one photo.

    Parameters
    ----------
    photo : path, bytes or (H, W, 3) uint8 array
        The photo; an array is taken as upright sRGB.
    reference : str
        What gives the scale: ``auto``, ``aruco:SIDE_MM``, ``card``, ``coin:NAME``, ``ruler``, ``px-per-mm:VALUE`` or
        ``none``.
    answers : Mapping, optional
        Answers for the triage, see `spotscan.triage`; an empty mapping asks for the photo's word alone.
    emergency_number : str, optional
        What the triage tells to call.
    keep_no_marks : bool
        Keep also what the network takes for no mark at all (hair, pore, crease, shadow, glare, cloth, print); marks of
        2 mm and more are always kept.

    Returns
    -------
    Scan
        `triage` is None without answers.

    Raises
    ------
    UsageError
        If `reference` is not one of the above.
    PhotoError
        If `photo` cannot be read.
    ReferenceNotFoundError
        If a reference was asked for by name and is not in the photo.
    InputError
        If the network's weights are missing or altered.
    """
    parse_reference(reference)  # a wrong call is said before a photo is read
    picture = read_photo(photo)
    scale = find_scale(picture, reference)
    view = view_for_spots(picture, scale)
    skin = find_skin(view_for_skin(view), scale, prints=find_prints(picture, scale))
    quality = judge_quality(picture, skin, scale)
    spots = find_spots(view, skin, scale)
    measurements = measure_spots(picture, spots, skin, scale)
    found = classify_found(picture, measurements)
    n_found = len(measurements)
    if not keep_no_marks:
        # A mark beyond the size of petechiae is for a person to judge: it is not taken away unseen.
        rows = np.flatnonzero(found.is_mark | (measurements.diameter_mm >= _ALWAYS_KEPT_MM))
        found, measurements = found.take(rows), replace(measurements.take(rows), numbers=())
    result = assemble(picture, scale, quality, skin, measurements, found.to_dicts())
    result = replace(result, n_no_marks=n_found - len(measurements))
    return result if answers is None else replace(result, triage=_judge(result, answers, emergency_number))


def classify_found(photo: Photo, marks: Measurements) -> Classes:
    """What measured marks look like, by the boxes of their boundaries, as a person would draw them."""
    return classify_marks(photo.rgb, *in_boxes(marks.bbox_px))


def assemble(
    photo: Photo,
    scale: Scale | None,
    quality: Quality,
    skin: Skin,
    measurements: Measurements,
    classes: tuple[dict[str, Any], ...] | None = None,
) -> Scan:
    """What follows from the marks, found or corrected by hand: the reference's place among them, their density."""
    scale = flag_place(scale, photo, skin, measurements.centre_px)
    density = measure_density(measurements.centre_px, skin, scale)
    return Scan(photo, scale, quality, skin, measurements, density, classes)


def _judge(scan: Scan, answers: Mapping[Any, Any], emergency_number: str | None) -> dict[str, Any]:
    """The triage of a scan; rules are loaded only where they are asked."""
    from spotscan.rules import triage

    seen = {
        "findings": summarise(scan.spots, scan.density, scan.quality, scan.classes),
        "quality": {"flags": list(scan.quality.flags)},
        "spots": list(scan.classes or ()),
    }
    return triage(answers, seen, emergency_number=emergency_number).to_dict()

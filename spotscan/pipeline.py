"""The way of a photo, one direction only; each line is one stage."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

from spotscan.density import measure_density
from spotscan.measure import measure_spots
from spotscan.photo import read_photo
from spotscan.quality import judge_quality
from spotscan.references import find_prints, find_scale, parse_reference
from spotscan.segment import find_spots
from spotscan.skin import find_skin
from spotscan.types import RGBArray, Scan
from spotscan.view import view_for_skin, view_for_spots


def scan(
    photo: str | os.PathLike[str] | bytes | RGBArray,
    reference: str = "auto",
    answers: Mapping[str, Any] | None = None,
) -> Scan:
    """Measure the spots in one photo.

    Parameters
    ----------
    photo : path, bytes or (H, W, 3) uint8 array
        The photo; an array is taken as upright sRGB.
    reference : str
        What gives the scale: ``auto``, ``aruco:SIDE_MM``, ``px-per-mm:VALUE`` or ``none``.
    answers : Mapping, optional
        Answers for the triage. This version has no triage: they are not used, and a warning says so.

    Returns
    -------
    Scan
        `classes` and `triage` are None in this version.

    Raises
    ------
    UsageError
        If `reference` is not one of the above.
    PhotoError
        If `photo` cannot be read.
    ReferenceNotFoundError
        If a reference was asked for by name and is not in the photo.
    """
    if answers is not None:
        warnings.warn("this version has no triage: the answers were not used", stacklevel=2)
    parse_reference(reference)  # a wrong call is said before a photo is read
    picture = read_photo(photo)
    scale = find_scale(picture, reference)
    view = view_for_spots(picture, scale)
    skin = find_skin(view_for_skin(view), scale, prints=find_prints(picture, scale))
    quality = judge_quality(picture, skin, scale)
    spots = find_spots(view, skin, scale)
    measurements = measure_spots(picture, spots, skin, scale)
    density = measure_density(measurements.centre_px, skin, scale)
    return Scan(picture, scale, quality, skin, measurements, density)

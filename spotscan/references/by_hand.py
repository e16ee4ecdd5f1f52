"""The scale from two points that a person set on the photo, and the length between them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from spotscan.errors import UsageError
from spotscan.types import Photo, Scale

_PX_PER_MM = (0.1, 2000.0)  # as for `px-per-mm`: beyond is no photo of skin


def scale_by_hand(
    photo: Photo,
    first_px: Sequence[float],
    second_px: Sequence[float],
    length_mm: float,
    click_err_px: float = 1.0,
    before: Scale | None = None,
) -> Scale:
    """A similarity: two points tell nothing of the tilt.

    Parameters
    ----------
    photo : Photo
        On which the points were set.
    first_px, second_px : (x, y)
        The points, photo px.
    length_mm : float
        Between them.
    click_err_px : float
        1-sigma error of each point along the line, photo px.
    before : Scale, optional
        What it takes the place of: where no spot can be, and what no picture may show, stays.

    Returns
    -------
    Scale
        Its reference is ``by-hand``. The length itself is taken to be exact.

    Raises
    ------
    UsageError
        The points coincide or lie outside the photo, or the length cannot be.
    """
    where = "scale by hand"
    ends = np.array([first_px, second_px], float).reshape(2, 2)
    if not np.isfinite(ends).all() or (ends < -0.5).any() or (ends > [photo.width_px, photo.height_px]).any():
        raise UsageError("a point lies outside the photo", where, "set both points on the photo")
    apart = float(np.hypot(*(ends[1] - ends[0])))
    if apart < 2:
        raise UsageError("the two points lie on the same place", where, "set them as far apart as you can")
    low, high = (apart / limit for limit in reversed(_PX_PER_MM))
    if not (math.isfinite(length_mm) and low <= length_mm <= high):
        todo = f"give the millimetres between the two points, {low:.2g} to {high:.2g}"
        raise UsageError(f"{length_mm:g} mm cannot be the length", where, todo)
    return Scale(
        reference="by-hand",
        px_to_mm=np.diag([length_mm / apart, length_mm / apart, 1.0]),
        centre_px=ends.mean(axis=0),
        systematic=math.sqrt(2) * click_err_px / apart,
        keep_out_px=before.keep_out_px if before else (),
        private_px=before.private_px if before else (),
    )

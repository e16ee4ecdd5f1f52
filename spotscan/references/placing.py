"""Where the reference lies in the photo, compared with the marks it is to measure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spotscan.types import FloatArray, Photo, Scale

# What a lens does to the scale grows with the square of the distance from the photo's middle: some 1.5 % from there to
# the corner in phones, after their own correction. Half of that would be more than all other errors together.
_FARTHER_OUT = 0.5


def flag_place(scale: Scale | None, photo: Photo, spots_px: FloatArray) -> Scale | None:
    """Add the flag `reference_at_edge` where the reference lies much nearer to the photo's edge than the marks.

    Parameters
    ----------
    scale : Scale or None
        Of any kind; one without an outline (the user gave the scale) lies nowhere.
    photo : Photo
    spots_px : (n, 2)
        Centres of the marks.

    Returns
    -------
    Scale or None
        The same, but for its flags.
    """
    if scale is None or not len(scale.outline_px) or not len(spots_px):
        return scale
    middle = np.array([photo.width_px - 1, photo.height_px - 1]) / 2
    out = [
        float(((xy - middle) ** 2).sum() / (middle**2).sum()) for xy in (scale.centre_px, np.median(spots_px, axis=0))
    ]
    if out[0] - out[1] <= _FARTHER_OUT or "reference_at_edge" in scale.flags:
        return scale
    return replace(scale, flags=(*scale.flags, "reference_at_edge"))

"""Where the reference lies in the photo, compared with the marks it is to measure."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from spotscan.types import FloatArray, Photo, Scale, Skin

# What a lens does to the scale grows with the square of the distance from the photo's middle: some 1.5 % from there to
# the corner in phones, after their own correction. Half of that would be more than all other errors together.
_FARTHER_OUT = 0.5


# The skin stage leaves a margin free about the reference; beyond it, and not far from it, there is skin or not.
_RING = (1.3, 1.45, 1.6)
_LEAST_SKIN = 0.15


def flag_place(scale: Scale | None, photo: Photo, skin: Skin, spots_px: FloatArray) -> Scale | None:
    """Add flags that say where the reference's plane may not be that of the marks.

    `reference_at_edge` where it lies much nearer to the photo's edge than the marks; `reference_off_skin` where
    hardly any skin is around it.

    Parameters
    ----------
    scale : Scale or None
        Of any kind; one without an outline (the user gave the scale) lies nowhere.
    photo : Photo
    skin : Skin
        Where skin was seen.
    spots_px : (n, 2)
        Centres of the marks.

    Returns
    -------
    Scale or None
        The same, but for these two flags.
    """
    if scale is None or not len(scale.outline_px):
        return scale
    flags = {
        "reference_at_edge": len(spots_px) > 0 and _farther_out(scale, photo, spots_px),
        "reference_off_skin": _off_skin(scale, photo, skin),
    }
    others = (name for name in scale.flags if name not in flags)
    return replace(scale, flags=(*others, *(name for name, is_so in flags.items() if is_so)))


def _farther_out(scale: Scale, photo: Photo, spots_px: FloatArray) -> bool:
    middle = np.array([photo.width_px - 1, photo.height_px - 1]) / 2
    places = (scale.centre_px, np.median(spots_px, axis=0))
    out = [float(((xy - middle) ** 2).sum() / (middle**2).sum()) for xy in places]
    return out[0] - out[1] > _FARTHER_OUT


def _off_skin(scale: Scale, photo: Photo, skin: Skin) -> bool:
    """Whether hardly any of the ring about the reference that the photo shows is skin."""
    covered = np.concatenate([*scale.keep_out_px, scale.outline_px])
    hull = cv2.convexHull(covered.astype(np.float32))[:, 0].astype(float)
    closed = np.concatenate([hull, hull[:1]])
    steps = np.linspace(0, len(hull), 240, endpoint=False)
    round_it = np.column_stack([np.interp(steps, np.arange(len(closed)), closed[:, k]) for k in (0, 1)])
    middle = (hull.min(axis=0) + hull.max(axis=0)) / 2
    ring = np.concatenate([middle + grown * (round_it - middle) for grown in _RING])
    ring = ring[((ring >= 0) & (ring <= [photo.width_px - 1, photo.height_px - 1])).all(axis=1)]
    if len(ring) < 60:  # the reference fills the photo
        return False
    column, row = ((ring + 0.5) / skin.factor - 0.5).round().astype(int).T
    height, width = skin.mask.shape
    seen = skin.mask[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return float(seen.mean()) < _LEAST_SKIN

"""Marks of a photo that look alike are mostly of one kind: each is judged with the others in mind.

A dermatologist looks around: many alike, or one different? The wide crop shows the nearest neighbours; this takes all
marks of the photo, each by how much it looks like this one. A mark of another colour or size keeps its own judgement,
and so does what is a lesion for sure (`spotscan.classes.judge`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spotscan.crops import CROP_PX, TIGHT
from spotscan.types import FloatArray

F32 = NDArray[np.float32]

# What counts as one step of difference: seen well, but common among petechiae of one photo.
_COLOUR_STEP = 0.10  # absorbance above the skin, each of red, green and blue
_SIZE_STEP = 0.5  # natural log of the diameter
_REACH = 1.5  # steps over which the likeness falls to 61 %; chosen with `share` on validation scenes
_CORE = 0.35  # diameters from the centre: the mark without its edge
_ROWS = 512  # marks at once, for memory


def appearance(crops: NDArray[np.floating], diameter_px: FloatArray) -> FloatArray:
    """Mean colour of each mark's core above the skin, and its log size, in steps of difference: (n, 4)."""
    at = (np.arange(CROP_PX) + 0.5) / CROP_PX * TIGHT - TIGHT / 2
    core = np.hypot(at[:, None], at) < _CORE
    colour = np.asarray(crops[:, :3][:, :, core], float).mean(axis=2)
    return np.column_stack([colour / _COLOUR_STEP, np.log(diameter_px) / _SIZE_STEP])


def with_alike(logits: NDArray[np.floating], looks: FloatArray, share: float) -> FloatArray:
    """Logits (n, k) of the marks of one photo, a `share` of each replaced by the mean over the marks that look alike.

    Parameters
    ----------
    logits : (n, k)
    looks : (n, m)
        From `appearance`.
    share : float
        0 (each alone) to 1.
    """
    own = np.asarray(logits, float)
    mean = np.empty_like(own)
    for first in range(0, len(own), _ROWS):
        part = looks[first : first + _ROWS]
        apart = np.square(part[:, None] - looks[None]).sum(axis=2)
        weight = np.exp(-apart / (2 * _REACH**2))
        mean[first : first + _ROWS] = weight @ own / weight.sum(axis=1, keepdims=True)
    return np.asarray((1 - share) * own + share * mean)

"""What the network sees of a mark: itself and the skin around it, as absorbance above that skin.

One function cuts for training and for use, so that the two cannot differ. Dividing by the skin's own colour takes the
light's colour and strength out (von Kries): what is left is what blood or pigment adds.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from spotscan.colour import absorbance
from spotscan.types import FloatArray, RGBArray

F32 = NDArray[np.float32]

CROP_PX = 40  # a mark in an ordinary photo is 5 to 20 px wide; the tight crop shows it 17 px wide
TIGHT = 2.4  # side of the tight crop, in diameters: the mark and its edge
WIDE = 9.0  # side of the wide crop, in diameters: the neighbours, many alike or none
LOW, HIGH = -1.0, 1.5  # absorbance kept: glare to black
_BESIDE = 0.6  # diameters from the centre, beyond which is skin
_ENOUGH = 20  # pixels that the median of the skin needs


def mark_crops(rgb: RGBArray, centre_px: ArrayLike, diameter_px: ArrayLike) -> F32:
    """Cut the crops of n marks.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        Photo, sRGB.
    centre_px : (n, 2)
        Centres, x and y.
    diameter_px : (n,)
        Diameters, > 0.

    Returns
    -------
    (n, 6, CROP_PX, CROP_PX) float32
        Tight crop in red, green, blue, then the wide one: absorbance (log10) above that of the skin, which is the
        median of the wide crop beside the mark (of the tight one in a close-up), -1 to 1.5; 0 outside the photo.
    """
    centres = np.asarray(centre_px, float).reshape(-1, 2)
    diameters = np.asarray(diameter_px, float).reshape(-1)
    crops = np.zeros((len(centres), 6, CROP_PX, CROP_PX), np.float32)
    for crop, centre, diameter in zip(crops, centres, diameters, strict=True):
        wide, tight = (_cut(rgb, centre, side * diameter) for side in (WIDE, TIGHT))
        skin = _skin(*wide, WIDE)
        skin = _skin(*tight, TIGHT) if skin is None else skin
        if skin is None:
            skin = np.median(tight[0].reshape(-1, 3), axis=0)
        crop[:3], crop[3:] = _relative(*tight, skin), _relative(*wide, skin)
    return crops


def in_boxes(boxes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Centres (n, 2) and area-equivalent diameters (n,) of the ellipses in boxes (n, 4) of x, y, w, h."""
    size = boxes[:, 2:]
    return boxes[:, :2] + size / 2, np.sqrt(size.prod(axis=1))


def crop_box(centre_px: FloatArray, diameter_px: float) -> tuple[float, float, float, float]:
    """Where the tight crop lies in the photo: x, y, w, h."""
    side = TIGHT * diameter_px
    return float(centre_px[0] - side / 2), float(centre_px[1] - side / 2), side, side


def _skin(values: F32, inside: NDArray[np.bool_], side: float) -> F32 | None:
    """Median (3,) of what lies beside the mark; None where too little of it is in the photo."""
    at = (np.arange(CROP_PX) + 0.5) / CROP_PX - 0.5
    beside = inside & (np.hypot(at[:, None], at) * side > _BESIDE)
    return np.asarray(np.median(values[beside], axis=0)) if beside.sum() >= _ENOUGH else None


def _relative(values: F32, inside: NDArray[np.bool_], skin: F32) -> F32:
    above = np.clip(values - skin, LOW, HIGH)
    above[~inside] = 0
    return np.asarray(above.transpose(2, 0, 1))


def _cut(rgb: RGBArray, centre: FloatArray, side: float) -> tuple[F32, NDArray[np.bool_]]:
    """A square about `centre` as absorbance (CROP_PX, CROP_PX, 3), and which of its pixels lie in the photo."""
    height, width = rgb.shape[:2]
    step = side / CROP_PX  # photo pixels a crop pixel
    fold = max(1, int(step))  # shrunk by area first, so that nothing fine is lost between the samples
    low = np.floor((centre - side / 2) / fold).astype(int) - 1
    high = np.ceil((centre + side / 2) / fold).astype(int) + 2
    x0, y0 = np.clip(low * fold, 0, [(width - 1) // fold * fold, (height - 1) // fold * fold])
    x1, y1 = np.maximum(np.minimum(high * fold, [width, height]), [x0 + 1, y0 + 1])
    part = rgb[y0:y1, x0:x1]
    if fold > 1:
        rest = [-part.shape[1] % fold, -part.shape[0] % fold]
        part = _u8(cv2.copyMakeBorder(part, 0, rest[1], 0, rest[0], cv2.BORDER_REPLICATE))
        part = _u8(cv2.resize(part, (part.shape[1] // fold, part.shape[0] // fold), interpolation=cv2.INTER_AREA))
    # Crop pixel k lies at centre - side / 2 + (k + 0.5) step in the photo.
    first = centre - side / 2 + 0.5 * step
    origin = (first - [x0, y0] + 0.5) / fold - 0.5
    lens = np.array([[step / fold, 0, origin[0]], [0, step / fold, origin[1]]])
    seen = cv2.warpAffine(
        np.ascontiguousarray(part), lens, (CROP_PX, CROP_PX),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    at = first[:, None] + step * np.arange(CROP_PX)
    inside = ((at > -0.5) & (at < np.array([[width], [height]]) - 0.5)).astype(bool)
    return absorbance(_u8(seen)), inside[1][:, None] & inside[0][None, :]


def _u8(picture: ArrayLike) -> RGBArray:
    return np.asarray(picture, np.uint8)

"""What scenes are made of: skin without its marks, and marks without their skin, out of real photos of one split."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from spotscan.colour import absorbance
from spotscan.learn.marks import F32, Drawn
from spotscan.learn.prepared import ANGIOMA, LESION
from spotscan.learn.sources import Patch
from spotscan.types import BoolArray, RGBArray


@dataclass(frozen=True, eq=False)
class Cutout:
    """A real mark lifted off its skin.

    Attributes
    ----------
    absorbance : (h, w, 3) float32
        Above that of the skin around it, fading to 0 outside.
    diameter_px : float
        Area-equivalent.
    group : str
        Patient or lesion.
    is_round : bool
        About as wide as high.
    """

    absorbance: F32
    diameter_px: float
    group: str
    is_round: bool

    def at(self, rng: np.random.Generator, diameter: float) -> Drawn:
        """The mark at another size, turned and flipped."""
        factor = diameter / self.diameter_px
        size = [max(3, round(n * factor)) for n in self.absorbance.shape[1::-1]]
        how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        mark = np.asarray(cv2.resize(self.absorbance, size, interpolation=how), np.float32)
        mark = np.rot90(mark[:, ::-1] if rng.random() < 0.5 else mark, int(rng.integers(4)))
        return Drawn(np.ascontiguousarray(mark, np.float32), np.zeros(mark.shape[:2], np.float32))


@dataclass(frozen=True, eq=False)
class Palette:
    """Skin and marks of the photos of one split.

    Attributes
    ----------
    skins : tuple of (h, w, 3) uint8
        Real skin with its marks painted over, of phone photos only: a dermatoscope's skin looks different.
    angiomas, lesions : tuple of Cutout
    """

    skins: tuple[RGBArray, ...]
    angiomas: tuple[Cutout, ...]
    lesions: tuple[Cutout, ...]

    @classmethod
    def from_patches(cls, patches: Iterable[Patch]) -> Palette:
        """Sort the patches of one split into skin and marks.

        Raises
        ------
        ValueError
            If there is no phone photo of skin, or no mark of a class, among them.
        """
        kept = [patch for patch in patches if patch.mask is not None]
        skins = tuple(c for c in (bare_skin(p) for p in kept if p.route == "clinical") if c is not None)
        lifted = [(patch.label, cutout(patch)) for patch in kept]
        angiomas = tuple(c for label, c in lifted if c is not None and label == ANGIOMA)
        lesions = tuple(c for label, c in lifted if c is not None and label == LESION)
        for what, there in (("skin", skins), ("angiomas", angiomas), ("lesions", lesions)):
            if not there:
                raise ValueError(f"no {what} among the photos of this split: more photos are needed")
        return cls(skins, angiomas, lesions)


def cutout(patch: Patch, margin: float = 0.35) -> Cutout | None:
    """Lift the mark off; None where the photo cuts it or shows too little skin around it."""
    mask = patch.mask
    if mask is None or mask.sum() < 60:
        return None
    ys, xs = np.nonzero(mask)
    height, width = mask.shape
    if min(ys.min(), xs.min()) < 2 or ys.max() > height - 3 or xs.max() > width - 3:
        return None
    diameter = 2 * math.sqrt(mask.sum() / math.pi)
    pad = int(margin * diameter) + 2
    part = np.s_[max(0, ys.min() - pad) : ys.max() + pad + 1, max(0, xs.min() - pad) : xs.max() + pad + 1]
    inner = np.ascontiguousarray(mask[part]).astype(np.uint8)
    reach = 2 * max(1, int(0.12 * diameter)) + 1
    skin = cv2.dilate(inner, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))) == 0
    if skin.sum() < 80:
        return None
    light = absorbance(np.ascontiguousarray(patch.rgb[part]))
    grown = cv2.dilate(inner, np.ones((3, 3), np.uint8)).astype(np.float32)
    alpha = cv2.GaussianBlur(grown, (0, 0), max(1.0, 0.04 * diameter))
    above = (light - np.median(light[skin], axis=0)) * alpha[..., None]
    is_round = 0.75 < (np.ptp(xs) + 1) / (np.ptp(ys) + 1) < 1.33
    return Cutout(above.astype(np.float32), diameter, patch.group, bool(is_round))


def bare_skin(patch: Patch) -> RGBArray | None:
    """The photo with its mark painted over; None where the mark fills too much of it."""
    mask = patch.mask
    if mask is None or mask.mean() > 0.3:
        return None
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (25, 25))
    cover = cv2.dilate(mask.astype(np.uint8), kernel)
    if cover.mean() > 0.3:
        return None
    return _painted_over(patch.rgb, cover)


def _painted_over(rgb: RGBArray, cover: np.ndarray) -> RGBArray:
    """Colour from the rim inwards (Telea 2004), texture from half a photo away."""
    height, width = cover.shape
    half = (width // 2, height // 2)
    small = cv2.inpaint(
        cv2.resize(rgb, half, interpolation=cv2.INTER_AREA),
        cv2.resize(cover, half, interpolation=cv2.INTER_NEAREST), 4, cv2.INPAINT_TELEA,
    )  # fmt: skip
    smooth = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    texture = rgb.astype(np.float32) - cv2.GaussianBlur(rgb.astype(np.float32), (0, 0), 4)
    near: BoolArray = cv2.GaussianBlur(cover.astype(np.float32), (0, 0), 3) > 0.02
    # Marks lie in the middle: half a photo on, both ways, is skin.
    shift = (height // 2, width // 2)
    grain = np.where(np.roll(near, shift, (0, 1))[..., None], 0, np.roll(texture, shift, (0, 1)))
    painted = np.where((cover > 0)[..., None], smooth + grain, rgb)
    return np.asarray(np.clip(painted, 0, 255).astype(np.uint8))

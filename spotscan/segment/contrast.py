"""The mark contrast: one channel in which blood and pigment stand out, and shading, hair and shine do not."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.colour import absorbance
from spotscan.regions import boxes, set_pixels
from spotscan.segment.params import SegmentParams
from spotscan.types import View

F32 = NDArray[np.float32]
Mask = NDArray[np.uint8]


def blur(image: F32, sigma: float) -> F32:
    """Gaussian blur; the border mirrors."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101), np.float32)


def mark_contrast(view: View, mask: Mask, p: SegmentParams, sized: bool = True) -> tuple[F32, Mask]:
    """Contrast in units of green absorbance, free of hair and shine, and the hairs that were combed out.

    Outside the skin the contrast goes on smoothly, so that the skin's edge makes no marks. `sized` says that the view
    was made for a known scale; hairs are else looked for at half its resolution too.
    """
    contrast = fill_outside(_matched_filter(absorbance(view.rgb), mask, p), mask)
    hairs = _find_hairs(np.ascontiguousarray(view.rgb[..., 0]), mask, p)
    if not sized and min(mask.shape) >= p.close_up_px:
        hairs |= _find_wide_hairs(view, mask, p)
    return _clip_shine(comb_out(contrast, hairs), mask, p), hairs


def _matched_filter(absorbed: F32, mask: Mask, p: SegmentParams) -> F32:
    """The combination of channels in which marks stand out most from this photo's own skin.

    The weights are C^-1 t (Reed & Yu 1990), with t what a mark adds to the three absorbances and C the covariance of
    the skin's fine structure in this photo, so that a noisy blue channel, hairs or creases weigh less where there are
    any.
    """
    rest = _fine_structure(absorbed, mask, p.first_sigma_px)
    size = np.square(rest) @ np.ones(3)
    usual = rest[size <= np.quantile(size, 0.7)] if len(rest) >= 100 else np.eye(3) * 1e-2
    usual = usual - usual.mean(axis=0)
    covariance = usual.T @ usual / (len(usual) - 1) + 1e-9 * np.eye(3)
    covariance += p.regularisation * np.trace(covariance) / 3 * np.eye(3)
    target = np.array(p.target)
    weights = np.linalg.solve(covariance, target)
    return np.asarray(cv2.transform(absorbed, (weights / (weights @ target))[None].astype(np.float32)), np.float32)


def _fine_structure(absorbed: F32, mask: Mask, sigma: float) -> NDArray[np.float64]:
    """Band-passed absorbances (N, 3) of the skin, from sixteen tiles spread over the photo."""
    height, width = mask.shape
    side = (min(64, height // 4), min(64, width // 4))
    found = []
    for y in range(4):
        for x in range(4):
            top, left = (2 * y + 1) * height // 8 - side[0] // 2, (2 * x + 1) * width // 8 - side[1] // 2
            window = np.s_[max(0, top) : top + side[0], max(0, left) : left + side[1]]
            fine = blur(absorbed[window], sigma)
            found.append((fine - blur(fine, np.sqrt(3.0) * sigma))[mask[window] > 0])
    rest = np.concatenate(found).astype(float)
    return rest - np.median(rest, axis=0) if len(rest) else rest


def fill_outside(image: F32, mask: Mask) -> F32:
    """Replace what is not skin by the skin near it: normalised convolution (Knutsson & Westin 1993), wide to narrow."""
    if mask.all():
        return image
    height, width = image.shape
    size = (max(1, width * 160 // max(height, width)), max(1, height * 160 // max(height, width)))
    value = cv2.resize(image * mask, size, interpolation=cv2.INTER_AREA)
    weight = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    filled = np.full(value.shape, value.sum() / weight.sum(), np.float32)
    for sigma in (32.0, 8.0, 2.0):
        near = blur(np.asarray(weight, np.float32), sigma)
        trust = np.clip((near - 0.02) / 0.2, 0, 1)
        filled += trust * (blur(np.asarray(value, np.float32), sigma) / np.maximum(near, 1e-6) - filled)
    out = np.asarray(cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    cv2.copyTo(image, mask, out)
    return out


def _find_wide_hairs(view: View, mask: Mask, p: SegmentParams) -> Mask:
    """Hairs twice as wide."""
    size, half = mask.shape[::-1], (mask.shape[1] // 2, mask.shape[0] // 2)
    red = cv2.resize(np.ascontiguousarray(view.rgb[..., 0]), half, interpolation=cv2.INTER_AREA)
    skin = np.asarray(cv2.resize(mask, half, interpolation=cv2.INTER_NEAREST), np.uint8)
    hairs = _find_hairs(np.asarray(red, np.uint8), skin, p)
    return np.asarray(cv2.resize(hairs, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _find_hairs(red: Mask, mask: Mask, p: SegmentParams) -> Mask:
    """Dark hairs: thin, long and dark in red, where blood is pale (black-hat, after DullRazor, Lee et al. 1997)."""
    dip = cv2.morphologyEx(red, cv2.MORPH_BLACKHAT, np.ones((p.hair_px, p.hair_px), np.uint8))
    thin = cv2.bitwise_and(
        cv2.compare(dip, cv2.addWeighted(red, p.hair_depth, dip, p.hair_depth, 3.0), cv2.CMP_GT), mask
    )
    count, parts = cv2.connectedComponents(thin, connectivity=8)
    x, y = set_pixels(thin)
    part = parts[y, x]
    low, high = boxes(x, y, part, count)
    length = np.hypot(*(high - low + 1))
    hair = (length >= 2.5 * p.hair_px) & (np.bincount(part, minlength=count) <= 0.6 * p.hair_px * length)
    out = np.zeros_like(mask)
    out[y, x] = hair[part]
    return np.asarray(cv2.dilate(out, np.ones((3, 3), np.uint8)), np.uint8) if hair.any() else out


def comb_out(contrast: F32, hairs: Mask) -> F32:
    """Replace hairs by what lies beside them."""
    x, y = set_pixels(hairs)
    if not len(x):
        return contrast
    bare = (1 - hairs).astype(np.float32)
    size = (11, 11)
    share = np.asarray(cv2.blur(bare, size))[y, x]
    out = contrast.copy()
    out[y, x] = np.asarray(cv2.blur(np.multiply(contrast, bare, out=bare), size))[y, x] / np.maximum(share, 1e-3)
    return out


def _clip_shine(contrast: F32, mask: Mask, p: SegmentParams) -> F32:
    """Clip what is paler than the skin around it by more than noise can be: the gaps between glints are no marks."""
    around = np.asarray(cv2.blur(contrast, (11, 11)), np.float32)
    stride = max(1, int(np.sqrt(contrast.size / 50_000)))
    sample = (contrast[::stride, ::stride] - around[::stride, ::stride])[mask[::stride, ::stride] > 0]
    if not len(sample):
        return contrast
    deepest = p.shine_clip * 1.4826 * float(np.median(np.abs(sample - np.median(sample))))
    around -= np.float32(deepest)
    return np.maximum(contrast, around, out=around)

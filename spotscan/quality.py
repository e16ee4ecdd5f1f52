"""Quality: how far a photo can be trusted, before anything found in it is believed.

Everything is measured at full resolution on a few tiles of skin, so that 12 megapixels cost no more than one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan import colour
from spotscan.flags import FLAGS
from spotscan.types import BoolArray, FloatArray, Photo, Quality, RGBArray, Scale, Skin

_Float = NDArray[np.float32]
_Tile = tuple[_Float, BoolArray]
# White noise of 1 makes this rms of one gradient component after smoothing by sigma = 1: 1 / sqrt(8 pi).
_GRADIENT_OF_NOISE = 0.2
# Extra smoothings, px, at which edges are looked at: one shift of the blur of a sharp photo each.
_LADDER = (1.0, 1.6, 2.4)
# Variance of the central difference (two px apart) as a blur along its own direction.
_DIFFERENCE_VAR = 1.0 / 3.0
# No camera blurs less: the pixel itself is a box of one px.
_LEAST_VAR = 1.0 / 12.0
# References whose lightest part is plastic or metal of any colour: it says nothing about the light.
_NO_WHITE = ("card", "coin", "ruler")


@dataclass(frozen=True)
class QualityParams:
    """Limits of `judge_quality`."""

    # Tiles looked at, and their side in photo px: enough edges of skin, little time.
    tiles: int = 8
    tile_px: int = 192
    # Pixels of the photo, evenly taken, that light is judged by.
    sample_px: int = 60_000
    # Smallest step of an edge per px, in codes of 255, and in multiples of the noise, after the last
    # smoothing: below it JPEG and noise decide.
    least_gradient: float = 0.7
    least_snr: float = 8.0
    # Edges needed in a tile, and the share of tiles sharper than the estimate: shadows and folds are soft
    # in nature.
    least_edges: int = 20
    sharpest: float = 0.3
    # Crests below this quantile of steepness are left out.
    steepest: float = 0.6
    # Blur up to which a level of the pyramid is trusted, in its px; beyond, the next coarser one is asked.
    trusted: float = 1.3
    # Blur of a sharp photo, px: optics, demosaicing and the pixel itself.
    sharp_px: float = 0.6
    # Times the skin's blur at which the reference is out of focus: on one plane both are measured to some 30 %, and
    # the flanks of a card and the relief of a coin may double it.
    softer: float = 3.0
    # Diameter that can be measured: at least this many px, and this many sigma of blur (a disc of 3 sigma
    # keeps 1 - exp(-9/8) = 68 % of its contrast), and this signal-to-noise ratio over its area (Rose
    # criterion).
    least_px: float = 4.0
    blurs: float = 3.0
    rose: float = 5.0
    # Typical contrast of a petechia in A_green by skin tone: melanin above the blood veils it.
    contrast: tuple[float, float, float] = (0.10, 0.07, 0.04)
    # Blur that hides marks of 2 mm (1 mm) makes a photo too blurred (blurred); without a scale the same is
    # said of sigma against the long side, taking it for a close-up of 7 cm: more than 1 % (0.5 %).
    too_blurred_mm: float = 2.0
    blurred_mm: float = 1.0
    field_mm: float = 70.0
    # Noise that hides marks of 2 mm, or that leaves the light of one px unsure by a factor of two (noise in
    # A_green, log10 2), makes a photo too noisy: that is no camera's noise.
    too_noisy_mm: float = 2.0
    too_noisy: float = 0.3
    # Exposure: median green code of skin below which shadows drown it, code of the reference's white below
    # which the photo is three stops under, and noise of one px in A_green.
    dark_code: float = 22.0
    dark_white: float = 97.0
    dark_noise: float = 0.08
    # Share of skin whose green is near clipping (code 245); share of the skin's area lost to shine.
    bright_share: float = 0.25
    glare_share: float = 0.02
    # Share of the photo.
    little_skin: float = 0.2
    no_skin: float = 0.005
    # Smallest mark of interest, mm; without a scale, megapixels that surely are too few.
    smallest_mark_mm: float = 0.5
    least_megapixels: float = 0.2
    # Hue (degrees, as in the skin stage) and chroma of skin in daylight; chroma of the reference's white.
    hue_deg: tuple[float, float] = (-10.0, 72.0)
    vivid: float = 0.55
    white_chroma: float = 0.12
    # ITA below which small bleeding is hard to see (Chardon: brown and dark).
    dark_ita_deg: float = 10.0


def judge_quality(photo: Photo, skin: Skin, scale: Scale | None, params: QualityParams | None = None) -> Quality:
    """Judge blur, exposure, shine, resolution and the share of skin.

    Blur is the sigma of a Gaussian, measured at edges on skin and around the reference by how much further
    blurring weakens their gradient (after Zhuo & Sim 2011); see `blur_sigma`. Sharpness is ``min(1,
    sharp_px / sigma)``. Where no edge tells the blur, both are None, and the flag `focus_unknown` says so.

    The smallest mark that can be seen and measured has the diameter, in px::

        max(least_px, hypot(blurs * sigma, rose * 2 / sqrt(pi) * noise / contrast))

    where noise is the 1-sigma noise of one pixel in A_green and contrast that of a petechia on this tone of
    skin. It is None in an unusable photo, or where no edge tells the blur.

    Parameters
    ----------
    photo : Photo
    skin : Skin
    scale : Scale or None
        Its flags join those of the photo.
    params : QualityParams, optional

    Returns
    -------
    Quality
    """
    params = params or QualityParams()
    structure = _structure(photo, skin)
    tiles = _tiles(photo, skin, structure, 1, params)
    sigma = _sigma(photo, skin, scale, structure, tiles, params)
    noise = _noise(tiles)
    stride = max(1, round(np.sqrt(photo.width_px * photo.height_px / params.sample_px)))
    sample = np.ascontiguousarray(photo.rgb[stride // 2 :: stride, stride // 2 :: stride])
    raised = _raised_by_content(skin, scale, photo, params)
    raised |= {"reference_blurred"} if _reference_out_of_focus(photo, skin, scale, tiles, params) else set()
    smallest = None
    has_skin = "no_skin" not in raised
    mask = _resize(skin.mask, sample.shape[:2]) if has_skin else np.ones(sample.shape[:2], np.bool_)
    green = float(np.median(sample[..., 1][mask]))
    noise_a = noise * _absorbance_per_code(green)
    light = _raised_by_light(sample, mask, green, noise_a, _white(photo, scale), params)
    if has_skin:
        by_noise = _smallest_by_noise_px(noise_a, skin.ita_deg, params)
        if sigma is not None:
            smallest = max(params.least_px, float(np.hypot(params.blurs * sigma, by_noise)))
        raised |= light | _raised_by_noise(noise_a, by_noise, _px_per_mm(photo, scale, params), params)
        raised |= _raised_by_blur(sigma, _px_per_mm(photo, scale, params), params)
    else:
        # Too little or too much light may be why no skin was found; shine and colour are those of other things.
        raised |= light & {"too_dark", "too_bright"}
    # In the order of the registry, so that the same photo always gives the same document.
    flags = tuple(name for name in FLAGS if name in raised)
    usable = not any(FLAGS[name].unusable for name in flags)
    smallest = smallest if usable else None
    return Quality(
        usable=usable,
        flags=flags,
        sharpness=None if sigma is None else min(1.0, params.sharp_px / max(sigma, 1e-6)),
        blur_px=sigma,
        smallest_px=smallest,
        smallest_mm=None if smallest is None or scale is None else smallest / scale.px_per_mm,
    )


def blur_sigma(
    photo: Photo, skin: Skin, scale: Scale | None = None, params: QualityParams | None = None
) -> float | None:
    """1-sigma blur of the photo in px, at the steeper edges on skin and reference; None without an edge.

    The gradient on the crest of an edge of width s, smoothed by t, is h / sqrt(s^2 + t^2); so its inverse
    square is a line in t^2 that crosses zero at -s^2, whatever the contrast. The crests and their
    directions are picked at the coarsest t, where noise is least, and the gradients along them are averaged
    with their sign, so that noise averages out instead of passing for sharpness. Wide blur is measured on a
    photo averaged down. Lines (hairs) and marks smaller than the blur read sharper than they are.
    """
    params, structure = params or QualityParams(), _structure(photo, skin)
    return _sigma(photo, skin, scale, structure, _tiles(photo, skin, structure, 1, params), params)


def _sigma(
    photo: Photo, skin: Skin, scale: Scale | None, structure: _Float, finest: list[_Tile], params: QualityParams
) -> float | None:
    found = None
    for level in (1, 2, 4, 8):
        if level == 1:
            tiles = finest + _corners(photo, skin, scale, params)
        else:
            tiles = _tiles(photo, skin, structure, level, params)
        variances = [_edge_variance(green, mask, params) for green, mask in tiles if min(green.shape) >= 24]
        known = [v for v in variances if v is not None]
        if not known:
            continue
        variance = float(np.quantile(known, params.sharpest))
        # Averaging over `level` px is itself a blur.
        variance = level**2 * variance - (level**2 - 1) / 12.0
        sigma = float(np.sqrt(max(variance, _LEAST_VAR)))
        # Averaged down too far, marks become points and read sharp: a coarser level may only add blur.
        found = max(sigma, found or 0.0)
        if sigma <= params.trusted * level:
            break
    return found


def _edge_variance(green: _Float, mask: BoolArray, params: QualityParams) -> float | None:
    """s^2 of the steeper edges of one tile in px^2 (see `blur_sigma`); None where there are too few."""
    slopes, last = [], 0.0
    blurred: NDArray[Any] = green
    for t in _LADDER:
        blurred = cv2.GaussianBlur(blurred, (0, 0), float(np.sqrt(t * t - last * last)))
        slopes.append(_gradient(blurred))
        last = t
    dx, dy = slopes[-1]
    coarse = cv2.magnitude(dx, dy)
    noise = _GRADIENT_OF_NOISE / last**2 * _noise([(green, mask)])
    least = max(params.least_gradient, params.least_snr * noise)
    inside = cv2.erode(mask.astype(np.uint8), np.ones((7, 7), np.uint8), borderValue=0) > 0
    crest = inside & (coarse >= least) & (coarse >= cv2.dilate(coarse, np.ones((3, 3), np.uint8)))
    if int(crest.sum()) < params.least_edges:
        return None
    # The steepest crests are the longest and straightest; small marks, lines and soft things are not among
    # them.
    crest &= coarse >= np.quantile(coarse[crest], params.steepest)
    nx, ny = dx[crest] / coarse[crest], dy[crest] / coarse[crest]
    heights = np.array([float(np.mean(x[crest] * nx + y[crest] * ny)) for x, y in slopes])
    slope, intercept = np.polyfit(np.square(_LADDER), np.maximum(heights, 1e-3) ** -2.0, 1)
    return None if slope <= 0 else float(intercept / slope) - _DIFFERENCE_VAR


def _gradient(image: NDArray[Any]) -> tuple[_Float, _Float]:
    half, one = np.array([-0.5, 0, 0.5], np.float32), np.ones(1, np.float32)
    return (
        np.asarray(cv2.sepFilter2D(image, -1, half, one), np.float32),
        np.asarray(cv2.sepFilter2D(image, -1, one, half), np.float32),
    )


def _noise(tiles: list[_Tile]) -> float:
    """1-sigma noise of a pixel in codes: Immerkaer's (1996) mask, median instead of mean against texture."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    rough = [np.abs(cv2.filter2D(green, -1, kernel))[mask][::13] for green, mask in tiles]
    values = np.concatenate(rough) if rough else np.zeros(0, np.float32)
    # Rounding to whole codes alone makes 0.29.
    return max(0.29, float(np.median(values)) / (6.0 * 0.6745)) if values.size else 0.29


def _structure(photo: Photo, skin: Skin) -> _Float:
    """How much the skin differs from its surroundings, at about the resolution of the skin mask."""
    stride = max(1, round(skin.factor))
    sample = photo.rgb[::stride, ::stride, 1].astype(np.float32)
    return np.asarray(cv2.absdiff(sample, cv2.blur(sample, (7, 7))) * _resize(skin.mask, sample.shape), np.float32)


def _tiles(photo: Photo, skin: Skin, structure: _Float, level: int, params: QualityParams) -> list[_Tile]:
    """Green, averaged down by `level`, and where to look: the skin with most structure."""
    side = params.tile_px * level
    rows, cols = max(1, photo.height_px // side), max(1, photo.width_px // side)
    score = cv2.resize(structure, (cols, rows), interpolation=cv2.INTER_AREA).ravel()
    best = [i for i in np.argsort(score)[::-1][: max(1, params.tiles // level)] if score[i] > 0]
    places = [((i % cols + 0.5) * photo.width_px / cols, (i // cols + 0.5) * photo.height_px / rows) for i in best]
    return [_tile(photo, skin, x, y, side, level) for x, y in places]


def _corners(photo: Photo, skin: Skin, scale: Scale | None, params: QualityParams, level: int = 1) -> list[_Tile]:
    """The reference: green around its corners, averaged down by `level`, all of which counts."""
    if scale is None:
        return []
    side = params.tile_px // 2 * level
    tiles = [_tile(photo, skin, float(x), float(y), side, level) for x, y in _around(scale.outline_px)]
    return [(green, np.ones_like(mask)) for green, mask in tiles]


def _around(outline_px: FloatArray) -> FloatArray:
    """Four places evenly around an outline: the corners of a square, and of a card with round ones."""
    return outline_px[np.arange(min(4, len(outline_px))) * len(outline_px) // 4]


def _reference_out_of_focus(
    photo: Photo, skin: Skin, scale: Scale | None, tiles: list[_Tile], params: QualityParams
) -> bool:
    """True where the sharpest edge around the reference is far softer than those on the skin.

    False where either has no edge to tell. Something that lies on the skin is as sharp as the skin around it.
    """
    seen = [_edge_variance(green, mask, params) for green, mask in tiles if min(green.shape) >= 24]
    on_skin = [v for v in seen if v is not None]
    if scale is None or not on_skin:
        return False
    skin_blur = float(np.sqrt(max(np.quantile(on_skin, params.sharpest), 0.0)))
    for level in (1, 2, 4):  # wide blur shows on the photo averaged down
        around = [_edge_variance(green, mask, params) for green, mask in _corners(photo, skin, scale, params, level)]
        known = [v for v in around if v is not None]
        if known:
            return level * float(np.sqrt(max(min(known), 0.0))) > params.softer * max(skin_blur, params.sharp_px)
    return False


def _tile(photo: Photo, skin: Skin, x: float, y: float, side: int, level: int) -> _Tile:
    """Green and skin mask of a tile around (x, y), shifted to lie inside the photo."""
    x0 = int(np.clip(round(x - side / 2), 0, max(0, photo.width_px - side)))
    y0 = int(np.clip(round(y - side / 2), 0, max(0, photo.height_px - side)))
    crop = cv2.extractChannel(photo.rgb[y0 : y0 + side, x0 : x0 + side], 1)
    h, w = crop.shape[0] // level, crop.shape[1] // level
    if level > 1 and min(h, w) > 0:
        crop = cv2.resize(crop[: h * level, : w * level], (w, h), interpolation=cv2.INTER_AREA)
    mh, mw = skin.mask.shape
    rows = ((np.arange(h) + 0.5) * level + y0) / photo.height_px * mh
    cols = ((np.arange(w) + 0.5) * level + x0) / photo.width_px * mw
    row, col = np.minimum(rows.astype(int), mh - 1), np.minimum(cols.astype(int), mw - 1)
    return np.asarray(crop, np.float32), skin.mask[row].take(col, axis=1)


def _resize(mask: BoolArray, shape: tuple[int, ...]) -> BoolArray:
    if mask.shape == shape:
        return mask
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0)


def _absorbance_per_code(code: float) -> float:
    """Change of absorbance for one code of sRGB, around `code`."""
    low, high = int(np.clip(code - 2, 7, 250)), int(np.clip(code + 2, 11, 255))
    table = colour.SRGB_TO_ABSORBANCE
    return float(table[low] - table[high]) / (high - low)


def _smallest_by_noise_px(noise_a: float, ita: float | None, params: QualityParams) -> float:
    """Diameter of the smallest mark that stands out of the noise (Rose criterion)."""
    tone = ("light", "medium", "dark").index(colour.skin_tone(ita) or "dark")
    return float(params.rose * 2.0 / np.sqrt(np.pi) * noise_a / params.contrast[tone])


def _px_per_mm(photo: Photo, scale: Scale | None, params: QualityParams) -> float:
    """The scale, or without one that of a close-up."""
    return scale.px_per_mm if scale is not None else max(photo.rgb.shape[:2]) / params.field_mm


def _white(photo: Photo, scale: Scale | None) -> _Float | None:
    """Median RGB of the reference's lightest quarter, its paper; None without a reference."""
    if scale is None or len(scale.outline_px) < 3 or scale.reference.startswith(_NO_WHITE):
        return None
    low = np.maximum(np.floor(scale.outline_px.min(axis=0)).astype(int), 0)
    high = np.ceil(scale.outline_px.max(axis=0)).astype(int) + 1
    stride = max(1, int(max(high - low)) // 100)
    box: RGBArray = photo.rgb[low[1] : high[1] : stride, low[0] : high[0] : stride]
    if box.size == 0:
        return None
    pixels = box.reshape(-1, 3)
    light = pixels[pixels[:, 1] >= np.percentile(pixels[:, 1], 75)]
    return np.asarray(np.median(light, axis=0), np.float32)


def _raised_by_content(skin: Skin, scale: Scale | None, photo: Photo, params: QualityParams) -> set[str]:
    raised = set(scale.flags) if scale is not None else {"no_scale"}
    if skin.fraction < params.no_skin:
        raised.add("no_skin")
    elif skin.fraction < params.little_skin:
        raised.add("little_skin")
    if skin.ita_deg is not None and skin.ita_deg < params.dark_ita_deg:
        raised.add("dark_skin")
    if scale is not None:
        low = scale.px_per_mm * params.smallest_mark_mm < params.least_px
    else:
        low = photo.width_px * photo.height_px < params.least_megapixels * 1e6
    return raised | ({"low_resolution"} if low else set())


def _raised_by_light(
    sample: RGBArray,
    mask: BoolArray,
    green: float,
    noise_a: float,
    white: _Float | None,
    params: QualityParams,
) -> set[str]:
    # Dark skin in good light is dark too; what tells under-exposure is noise, drowned shadows or a grey
    # "white".
    raised = set()
    if green < params.dark_code or noise_a > params.dark_noise or (white is not None and white[1] < params.dark_white):
        raised.add("too_dark")
    # The skin mask leaves shine out: closing it brings back shine inside skin.
    around = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8)) > 0
    pixels = sample[around]
    if float((pixels[:, 1] >= 245).mean()) > params.bright_share:
        raised.add("too_bright")
    shine = cv2.inRange(sample, (250, 250, 250), (255, 255, 255)) > 0
    if float(shine[around].mean()) > params.glare_share:
        raised.add("glare")
    reference = white if white is not None else np.median(sample[mask], axis=0)
    red, grn, blue = -np.log10(colour.SRGB_TO_LINEAR[np.clip(reference, 0, 255).astype(int)] + 0.006)
    chroma, hue = float(np.hypot(grn - red, blue - grn)), float(np.degrees(np.arctan2(blue - grn, grn - red)))
    if white is not None:
        cast = chroma > params.white_chroma
    else:
        cast = chroma > params.vivid or (chroma > 0.06 and not params.hue_deg[0] <= hue <= params.hue_deg[1])
    return raised | ({"colour_cast"} if cast else set())


def _raised_by_noise(noise_a: float, by_noise_px: float, px_per_mm: float, params: QualityParams) -> set[str]:
    # Few pixels are no noise: they have their own flag.
    hidden = by_noise_px > params.least_px and by_noise_px / px_per_mm > params.too_noisy_mm
    return {"too_noisy"} if hidden or noise_a > params.too_noisy else set()


def _raised_by_blur(sigma: float | None, px_per_mm: float, params: QualityParams) -> set[str]:
    if sigma is None:
        return {"focus_unknown"}
    hidden_mm = params.blurs * sigma / px_per_mm
    # A blur of one pixel is the camera's own; then the resolution is at fault, which has its own flag.
    if sigma < 2 * params.sharp_px or hidden_mm <= params.blurred_mm:
        return set()
    return {"too_blurred"} if hidden_mm > params.too_blurred_mm else {"blurred"}

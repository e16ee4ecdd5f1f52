"""Skin: which pixels of a photo are skin, whatever its tone.

Melanin and haemoglobin are the pigments of all skin, so the hue of skin lies in one wedge of the plane
(A_green - A_red, A_blue - A_green) of absorbance differences, out of which shading cancels; tone and lamp
move it along and inside the wedge. The wedge gives every pixel a weak first opinion. Colours of the same
photo then share their opinions (a colour histogram) and so do neighbours inside edges (a guided filter), a
few times over, so that the whole photo's skin is found even where single pixels are pale, shaded or
reddened. What an outline cuts off from the most skin-like region is then taken out (`skin_regions`), and the
boundary is put right at the resolution of the view (`skin_edge`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan import colour
from spotscan.lettering import LetteringParams, find_lettering
from spotscan.skin_colour import Float, central, chroma
from spotscan.skin_edge import EdgeParams, refine_edge
from spotscan.skin_regions import RegionParams, accept_shine, reject_strangers
from spotscan.types import BoolArray, FloatArray, RGBArray, Scale, Skin, View


@dataclass(frozen=True)
class SkinParams:
    """Parameters of `find_skin`; chroma in absorbance (log10) units, opinions in logits.

    The numbers on hue are from the skin around the lesions of the 681 phone photos of PAD-UFES-20 with a
    lesion mask (median of each photo): chroma is at least 0.06 in 629 of them, and 99 % of these lie inside
    the wedge.
    """

    # Pixels at which skin is decided: cloth edges and fingers are still seen, hairs and pores no longer.
    work_px: int = 20_000
    # Reflectance of flare and sensor noise: colours darker than this fade to grey, which says nothing about
    # skin.
    flare: float = 0.01
    # Hue of skin, degrees from the A_green - A_red axis: from bluish red (blood) to olive.
    hue_deg: tuple[float, float] = (-22.0, 80.0)
    # Chroma at which hue becomes certain; paler than this may be cloth as well as skin.
    pale: float = 0.08
    # Chroma above which paint and cloth are likelier than skin, even bloodied.
    vivid: float = 1.0
    # Opinion on grey, on a hue inside the wedge and on one outside.
    grey_logit: float = -1.0
    skin_logit: float = 3.3
    other_logit: float = -3.5
    # How much more the middle of the frame is expected to be skin than its corners: people aim.
    centre_logit: float = 1.0
    # Rounds of sharing opinions; four settle (two to eight score the same).
    rounds: int = 4
    # Guided filter: radius in work px (a finger), and the variance of absorbance that counts as an edge.
    radius: int = 4
    edge: float = 0.01
    # Lamp: how far the skin of a photo that is all one surface may lie from the wedge, in chroma.
    cast: float = 0.15
    # Spread (5th to 95th percentile) of A_green - A_red over skin; paper and sheets stay below.
    alive: float = 0.03
    # Regions smaller than this share of the photo, or of the largest region, are not believed.
    least_share: float = 0.003
    least_of_largest: float = 0.15
    # Enclosed holes up to this share of the photo are marks on the skin, not background seen through.
    hole_share: float = 0.3
    rim_share: float = 0.004
    # Margin around the reference, as a share of its size: its paper and its shadow.
    margin_mm: float = 1.0
    regions: RegionParams = field(default_factory=RegionParams)
    boundary: EdgeParams = field(default_factory=EdgeParams)
    lettering: LetteringParams = field(default_factory=LetteringParams)


def find_skin(
    view: View,
    scale: Scale | None = None,
    params: SkinParams | None = None,
    prints: Sequence[FloatArray] = (),
) -> Skin:
    """Find the skin.

    Parameters
    ----------
    view : View
        The photo, area-averaged to about 0.3 megapixels; any size works.
    scale : Scale, optional
        Its `keep_out_px` polygons are not skin.
    params : SkinParams, optional
    prints : sequence of (K, 2) float64
        Polygons in photo px of other printed things that are not skin.

    Returns
    -------
    Skin
        Marks on the skin belong to it; the reference, cloth, background, print and shine do not. Without
        skin the mask is empty, `fraction` 0 and `ita_deg` None. `ita_deg` is the median over the skin
        without its darkest and lightest quarter (marks, shade, shine), which for even skin equals the plain
        median.
    """
    params = params or SkinParams()
    colours = chroma(_small(view.rgb, params), params.flare)
    mask = _clean(_decide(colours, params), params)
    mask = refine_edge(mask, colours, view.rgb, params.flare, params.boundary)
    if scale is not None:
        mask &= ~_covered(view, scale.keep_out_px, params.margin_mm * scale.px_per_mm)
    mask &= ~_covered(view, prints, 0.0)
    mask &= ~_shine(view.rgb) & ~find_lettering(view.rgb, params.lettering)
    fraction = float(mask.mean())
    return Skin(mask=mask, factor=view.factor, fraction=fraction, ita_deg=_ita(view.rgb, mask))


def _small(rgb: RGBArray, params: SkinParams) -> RGBArray:
    h, w = rgb.shape[:2]
    f = min(1.0, float(np.sqrt(params.work_px / (h * w))))
    size = (max(1, round(w * f)), max(1, round(h * f)))
    return np.asarray(cv2.medianBlur(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), 5), np.uint8)


def _decide(colours: Float, params: SkinParams) -> BoolArray:
    u, v, a = (np.ascontiguousarray(colours[..., i]) for i in range(3))
    p = _share(_opinion(u, v, a, params), u, v, a, params)
    shift = _lamp(p, u, v, params)
    if shift is None:
        p = reject_strangers(accept_shine(p, colours, params.regions), colours, params.regions)
    else:
        p = _share(_opinion(u + shift[0], v + shift[1], a, params), u, v, a, params)
    return np.asarray(p > 0.5)


def _sigmoid(x: NDArray[Any]) -> Float:
    return np.asarray(1.0 / (1.0 + np.exp(-x)), np.float32)


def _logit(p: Float) -> Float:
    return np.asarray(np.log(p / (1.0 - p)), np.float32)


def _opinion(u: Float, v: Float, a: Float, params: SkinParams) -> Float:
    """Logit of skin from the colour and the place of each pixel alone."""
    chroma, hue = np.hypot(u, v), np.degrees(np.arctan2(v, u))
    lo, hi = params.hue_deg
    inside = _sigmoid((hue - lo) / 8.0) * _sigmoid((hi - hue) / 6.0)
    sure = 1.0 - np.exp(-((chroma / params.pale) ** 2))
    logit = params.grey_logit + sure * (inside * params.skin_logit + (1.0 - inside) * params.other_logit)
    logit -= 2.5 * _sigmoid((chroma - params.vivid) / 0.08)
    # Black is background more often than skin, paper white more often than pale skin.
    logit -= 2.0 * np.clip((a - 1.7) / 0.3, 0.0, 1.0) + (1.0 - sure) * np.clip((0.1 - a) / 0.1, 0.0, 1.0)
    return np.asarray(logit + params.centre_logit * (central(u.shape) ** 0.5 - 0.6), np.float32)


def _share(first: Float, u: Float, v: Float, a: Float, params: SkinParams) -> Float:
    """Probability of skin after pixels of like colour and like place have shared their opinions."""
    bins = (12, 24, 24)
    edges = zip((a, u, v), (0.0, -0.4, -0.4), (2.2, 1.2, 1.2), bins, strict=True)
    i, j, k = (np.clip((x - lo) / span * n, 0, n - 1).astype(np.intp) for x, lo, span, n in edges)
    index = (i * bins[1] + j) * bins[2] + k
    total = _histogram(index, np.ones_like(first), bins)
    logit = first
    for _ in range(params.rounds):
        p = np.clip(_guided(a, _sigmoid(logit), params.radius, params.edge), 0.001, 0.999)
        share = (_histogram(index, p, bins) + 0.01) / (total + 0.02)
        by_colour = _logit(np.clip(share, 0.01, 0.99))[index]
        logit = 0.35 * first + by_colour + 0.3 * _logit(p)
    return _guided(a, _sigmoid(logit), params.radius - 1, params.edge)


def _histogram(index: NDArray[np.intp], weight: Float, bins: tuple[int, int, int]) -> Float:
    """Colour histogram, smoothed by one bin in chroma."""
    count = np.bincount(index.ravel(), weight.ravel(), minlength=int(np.prod(bins))).astype(np.float32)
    planes = count.reshape(bins).transpose(1, 2, 0)
    smooth = cv2.GaussianBlur(np.ascontiguousarray(planes), (5, 5), 1.0, borderType=cv2.BORDER_CONSTANT)
    along = cv2.GaussianBlur(smooth.reshape(-1, bins[0]), (5, 1), 1.0, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(along.reshape(bins[1], bins[2], bins[0]).transpose(2, 0, 1).ravel(), np.float32)


def _guided(guide: Float, p: Float, radius: int, eps: float) -> Float:
    """Smooth `p` inside the edges of `guide` (guided filter, He et al. 2013)."""
    side = 2 * radius + 1

    def mean(x: NDArray[Any]) -> Float:
        return np.asarray(cv2.blur(x, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)

    mean_g, mean_p = mean(guide), mean(p)
    slope = (mean(guide * p) - mean_g * mean_p) / (mean(guide * guide) - mean_g * mean_g + eps)
    return mean(slope) * guide + mean(mean_p - slope * mean_g)


def _lamp(p: Float, u: Float, v: Float, params: SkinParams) -> tuple[float, float] | None:
    """Shift of chroma that brings skin under a coloured lamp into the wedge; None where none is called for.

    Called for where little skin was found although the photo is one surface: what was found is an island (a
    mark) or fades into the rest without an edge of colour, and redness varies as it does on skin and not on
    paper.
    """
    found = p > 0.5
    if found.mean() > 0.5:
        return None
    mid_u, mid_v = float(np.median(u[~found])), float(np.median(v[~found]))
    if not (-params.cast / 2 < mid_u < 3 * params.cast and -params.cast < mid_v < params.cast):
        return None
    low, high = np.percentile(u[~found], (5, 95))
    if high - low < params.alive:
        return None
    rim = np.concatenate([found[0], found[-1], found[:, 0], found[:, -1]])
    centre = central(u.shape)
    aimed_at = float(centre[found].sum() / centre.sum()) > 0.3
    if aimed_at and (found.mean() > 0.15 or rim.mean() > 0.05):
        kernel = np.ones((9, 9), np.uint8)
        mask = found.astype(np.uint8)
        inner, outer = found & (cv2.erode(mask, kernel) == 0), ~found & (cv2.dilate(mask, kernel) > 0)
        step = np.hypot(np.median(u[inner]) - np.median(u[outer]), np.median(v[inner]) - np.median(v[outer]))
        if step > 0.08:
            return None
    return 0.14 - mid_u, 0.08 - mid_v


def _clean(mask: BoolArray, params: SkinParams) -> BoolArray:
    """Drop crumbs and fill what is enclosed by skin."""
    n, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if n == 1:
        return mask
    area = stats[:, cv2.CC_STAT_AREA]
    least = max(params.least_of_largest * area[1:].max(), params.least_share * mask.size)
    mask = np.isin(labels, np.flatnonzero(area >= least)[1 if area[0] >= least else 0 :])
    n, labels, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    x, y, w, h, area = stats.T
    enclosed = (x > 0) & (y > 0) & (x + w < mask.shape[1]) & (y + h < mask.shape[0])
    # A small one at the rim is a mark cut by the frame.
    enclosed = (enclosed & (area <= params.hole_share * mask.size)) | (area <= params.rim_share * mask.size)
    enclosed[0] = True
    return np.asarray(enclosed[labels])


def _covered(view: View, polygons: Sequence[FloatArray], margin_px: float) -> BoolArray:
    """Pixels under the polygons and a margin around them (photo px)."""
    mask = np.zeros(view.rgb.shape[:2], np.uint8)
    margin = margin_px / view.factor
    for polygon in polygons:
        xy = np.round(view.from_photo(polygon)).astype(np.int32)
        cv2.fillPoly(mask, [xy], 1)
        cv2.polylines(mask, [xy], True, 1, thickness=max(1, round(2 * margin)))
    return mask > 0


def _shine(rgb: RGBArray) -> BoolArray:
    """Clipped in all three channels, where the colour beneath cannot be known."""
    return np.asarray(cv2.inRange(rgb, (250, 250, 250), (255, 255, 255)) > 0)


def _ita(rgb: RGBArray, mask: BoolArray) -> float | None:
    if not mask.any():
        return None
    inside = np.flatnonzero(mask)
    pixels = rgb.reshape(-1, 3)[inside[:: max(1, len(inside) // 20_000)]]
    lab = colour.lab(pixels[None])[0]
    low, high = np.percentile(lab[:, 0], (25, 75))
    lab = lab[(lab[:, 0] >= low) & (lab[:, 0] <= high)]
    return float(np.median(np.degrees(np.arctan2(lab[:, 0] - 50.0, lab[:, 2]))))

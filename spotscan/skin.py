"""Skin: which pixels of a photo are skin, whatever its tone.

Melanin and haemoglobin are the pigments of all skin, so the hue of skin lies in one wedge of the plane
(A_green - A_red, A_blue - A_green) of absorbance differences, out of which shading cancels; tone and lamp
move it along and inside the wedge. The wedge gives every pixel a weak first opinion. Colours of the same
photo then share their opinions (a colour histogram) and so do neighbours inside edges (a guided filter), a
few times over, so that the whole photo's skin is found even where single pixels are pale, shaded or
reddened. What edges cut off from the most skin-like region is then compared with it: paler, much darker or
of another hue, it is cloth or wall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan import colour
from spotscan.types import BoolArray, RGBArray, Scale, Skin, View

_Float = NDArray[np.float32]


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
    # Edge between two regions: step of colour over 4 work px; and the least region worth comparing, share
    # of photo.
    step: float = 0.15
    region_share: float = 0.004
    # Step below which skin fades into shine; the relief of skin itself makes about 0.03.
    fade: float = 0.06
    # How a region behind an edge may differ from the main skin: down to this share of its chroma, this much
    # darker (twice as much lighter), this far off in hue (degrees), the three together as an ellipsoid.
    # What is redder by `redder` (three times that within the hue) stays: bruises are skin.
    paler: float = 0.6
    darker: float = 0.4
    other_hue_deg: float = 30.0
    redder: float = 0.05
    # Hue of skin at its most typical, median of the same photos, and its spread (there 19; lamps
    # differ more at large); chroma that cloth seldom has.
    typical_hue_deg: tuple[float, float] = (35.0, 25.0)
    typical_chroma: float = 0.2
    # An island of skin smaller than this share of the photo is rather a mark on skin.
    island: float = 0.35
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
    # Print: white strokes (codes at least, and above what lies within `stroke_px`), with edges this steep,
    # that cover this share of a patch; shine is softer, and paper is broader.
    stroke_px: int = 15
    print_white: int = 205
    print_step: int = 50
    print_cover: float = 0.27
    print_share: tuple[float, float] = (0.0008, 0.05)
    # Margin around the reference, as a share of its size: its paper and its shadow.
    margin: float = 0.08


def find_skin(view: View, scale: Scale | None = None, params: SkinParams | None = None) -> Skin:
    """Find the skin.

    Parameters
    ----------
    view : View
        The photo, area-averaged to about 0.3 megapixels; any size works.
    scale : Scale, optional
        Its `keep_out_px` polygons are not skin.
    params : SkinParams, optional

    Returns
    -------
    Skin
        Marks on the skin belong to it; the reference, cloth, background, print and shine do not. Without
        skin the mask is empty, `fraction` 0 and `ita_deg` None. `ita_deg` is the median over the skin
        without its darkest and lightest quarter (marks, shade, shine), which for even skin equals the plain
        median.
    """
    params = params or SkinParams()
    mask = _clean(_decide(view.rgb, params), params)
    if scale is not None:
        mask &= ~_covered(view, scale, params)
    mask &= ~_shine(view.rgb) & ~_print(view.rgb, params)
    fraction = float(mask.mean())
    return Skin(mask=mask, factor=view.factor, fraction=fraction, ita_deg=_ita(view.rgb, mask))


def _decide(rgb: RGBArray, params: SkinParams) -> BoolArray:
    h, w = rgb.shape[:2]
    f = min(1.0, float(np.sqrt(params.work_px / (h * w))))
    size = (max(1, round(w * f)), max(1, round(h * f)))
    small = np.asarray(cv2.medianBlur(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), 5), np.uint8)
    u, v, a = _chroma(small, params)
    p = _share(_opinion(u, v, a, params), u, v, a, params)
    shift = _lamp(p, u, v, params)
    if shift is not None:
        p = _share(_opinion(u + shift[0], v + shift[1], a, params), u, v, a, params)
    else:
        p = _reject_strangers(_accept_shine(p, u, v, a, params), u, v, a, params)
    return np.asarray(cv2.resize(p, (w, h), interpolation=cv2.INTER_LINEAR) > 0.5)


def _chroma(rgb: RGBArray, params: SkinParams) -> tuple[_Float, _Float, _Float]:
    """A_green - A_red, A_blue - A_green and the mean absorbance, each (h, w)."""
    a = -np.log10(colour.linear(rgb) + np.float32(params.flare))
    return a[..., 1] - a[..., 0], a[..., 2] - a[..., 1], a.mean(axis=-1)


def _sigmoid(x: NDArray[Any]) -> _Float:
    return np.asarray(1.0 / (1.0 + np.exp(-x)), np.float32)


def _logit(p: _Float) -> _Float:
    return np.asarray(np.log(p / (1.0 - p)), np.float32)


def _opinion(u: _Float, v: _Float, a: _Float, params: SkinParams) -> _Float:
    """Logit of skin from the colour and the place of each pixel alone."""
    chroma, hue = np.hypot(u, v), np.degrees(np.arctan2(v, u))
    lo, hi = params.hue_deg
    inside = _sigmoid((hue - lo) / 8.0) * _sigmoid((hi - hue) / 6.0)
    sure = 1.0 - np.exp(-((chroma / params.pale) ** 2))
    logit = params.grey_logit + sure * (inside * params.skin_logit + (1.0 - inside) * params.other_logit)
    logit -= 2.5 * _sigmoid((chroma - params.vivid) / 0.08)
    # Black is background more often than skin, paper white more often than pale skin.
    logit -= 2.0 * np.clip((a - 1.7) / 0.3, 0.0, 1.0) + (1.0 - sure) * np.clip((0.1 - a) / 0.1, 0.0, 1.0)
    return np.asarray(logit + params.centre_logit * (_central(u.shape) ** 0.5 - 0.6), np.float32)


def _central(shape: tuple[int, ...]) -> _Float:
    """1 in the middle of the frame, 0.02 in its corners."""
    y = (np.arange(shape[0], dtype=np.float32)[:, None] + 0.5) / shape[0] - 0.5
    x = (np.arange(shape[1], dtype=np.float32)[None] + 0.5) / shape[1] - 0.5
    return np.asarray(np.exp(-8.0 * (x * x + y * y)), np.float32)


def _share(first: _Float, u: _Float, v: _Float, a: _Float, params: SkinParams) -> _Float:
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


def _histogram(index: NDArray[np.intp], weight: _Float, bins: tuple[int, int, int]) -> _Float:
    """Colour histogram, smoothed by one bin in chroma."""
    count = np.bincount(index.ravel(), weight.ravel(), minlength=int(np.prod(bins))).astype(np.float32)
    planes = count.reshape(bins).transpose(1, 2, 0)
    smooth = cv2.GaussianBlur(np.ascontiguousarray(planes), (5, 5), 1.0, borderType=cv2.BORDER_CONSTANT)
    along = cv2.GaussianBlur(smooth.reshape(-1, bins[0]), (5, 1), 1.0, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(along.reshape(bins[1], bins[2], bins[0]).transpose(2, 0, 1).ravel(), np.float32)


def _guided(guide: _Float, p: _Float, radius: int, eps: float) -> _Float:
    """Smooth `p` inside the edges of `guide` (guided filter, He et al. 2013)."""
    side = 2 * radius + 1

    def mean(x: NDArray[Any]) -> _Float:
        return np.asarray(cv2.blur(x, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)

    mean_g, mean_p = mean(guide), mean(p)
    slope = (mean(guide * p) - mean_g * mean_p) / (mean(guide * guide) - mean_g * mean_g + eps)
    return mean(slope) * guide + mean(mean_p - slope * mean_g)


def _reject_strangers(p: _Float, u: _Float, v: _Float, a: _Float, params: SkinParams) -> _Float:
    """Take from `p` the regions behind an edge that do not look like the most skin-like region."""
    labels, n = _regions(p > 0.5, _step(u, v, a), params)
    if n < 2:
        return p
    typical, spread = params.typical_hue_deg
    hue = np.degrees(np.arctan2(v, u))
    weight = p * _central(u.shape) * np.exp(-0.5 * ((hue - typical) / spread) ** 2)
    weight *= 1.0 - np.exp(-(u * u + v * v) / params.typical_chroma**2)
    main = 1 + int(np.argmax(np.bincount(labels.ravel(), weight.ravel(), minlength=n + 1)[1:]))
    medians = [[float(np.median(x[labels == i])) for x in (u, v, a)] for i in range(1, n + 1)]
    mid_u, mid_v, mid_a = np.array(medians).T
    chroma, hue = np.hypot(mid_u, mid_v), np.degrees(np.arctan2(mid_v, mid_u))
    here = main - 1
    turned = (hue - hue[here]) / params.other_hue_deg
    darker = (mid_a - mid_a[here]) / params.darker
    paler = np.log(np.maximum(chroma, 1e-3) / chroma[here]) / np.log(params.paler)
    # Near clipping all colours pale: a lit flank of skin is no cloth as long as it has some chroma left.
    lit = (mid_a < 0.25) & (chroma > 1.5 * params.pale)
    tone = np.where(lit, 0.0, np.where(darker > 0, darker, 0.5 * darker))
    unlike = turned**2 + tone**2 + np.where(lit, 0.0, np.maximum(paler, 0.0)) ** 2 > 1.0
    redder = mid_u > mid_u[here] + params.redder * (1 + 2 * (np.abs(turned) < 1))
    stranger = np.concatenate([[False], unlike & ~redder])
    rest = np.where(stranger[labels], np.float32(0.0), p)
    # A dark lesion is the most skin-like region of pale skin: where only an island would be left, all is
    # skin.
    frame = np.concatenate([rest[0], rest[-1], rest[:, 0], rest[:, -1]]) > 0.5
    return p if frame.mean() < 0.02 and (rest > 0.5).mean() < params.island else rest


def _accept_shine(p: _Float, u: _Float, v: _Float, a: _Float, params: SkinParams) -> _Float:
    """Add to `p` pale regions into which skin fades: shine pales skin gently, cloth begins at an edge."""
    mask = (p > 0.5).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    rim = (cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0) & (mask == 0)
    step, result = _step(u, v, a), p
    for i in range(1, len(stats)):
        region = labels == i
        border = region & rim
        if stats[i, cv2.CC_STAT_AREA] < params.region_share * mask.size or not border.any():
            continue
        mid_u, mid_v, mid_a = (float(np.median(x[region])) for x in (u, v, a))
        pale = np.hypot(mid_u, mid_v) < params.pale and mid_a < 1.0
        if pale and np.median(step[border]) < params.fade:
            result = np.where(region, np.float32(1.0), result)
    return result


def _step(u: _Float, v: _Float, a: _Float) -> _Float:
    """Step of colour over 4 px; lightness, which shade changes too, counts half."""
    across = np.array([[-1.0, 0.0, 0.0, 0.0, 1.0]], np.float32)
    total = np.zeros_like(u)
    for channel in (0.5 * a, u, v):
        smooth = cv2.GaussianBlur(channel, (5, 5), 0.8)
        total += cv2.filter2D(smooth, -1, across) ** 2 + cv2.filter2D(smooth, -1, across.T) ** 2
    return np.asarray(np.sqrt(total), np.float32)


def _regions(mask: BoolArray, step: _Float, params: SkinParams) -> tuple[NDArray[np.int32], int]:
    """Regions 1..n of the mask, parted by edges (watershed from the flat parts), and n; 0 elsewhere."""
    flat = cv2.morphologyEx(
        (mask & (step < params.step)).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)
    )
    _, labels, stats, _ = cv2.connectedComponentsWithStats(flat, connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= params.region_share * mask.size
    large[0] = False
    n = int(large.sum())
    if n < 2:
        return mask.astype(np.int32), n
    seeds = (np.cumsum(large) * large)[labels].astype(np.int32)
    seeds[~mask & (seeds == 0)] = n + 1
    relief = np.clip(step * 400.0, 0, 255).astype(np.uint8)
    flooded = cv2.watershed(cv2.cvtColor(relief, cv2.COLOR_GRAY2RGB), seeds)
    flooded[(flooded < 0) | (flooded > n)] = 0
    lines = mask & (flooded == 0)
    flooded[lines] = cv2.dilate(flooded.astype(np.float32), np.ones((3, 3), np.uint8))[lines].astype(np.int32)
    return np.asarray(np.where(mask, flooded, 0), np.int32), n


def _lamp(p: _Float, u: _Float, v: _Float, params: SkinParams) -> tuple[float, float] | None:
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
    centre = _central(u.shape)
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


def _covered(view: View, scale: Scale, params: SkinParams) -> BoolArray:
    """Pixels under the reference and its margin."""
    mask = np.zeros(view.rgb.shape[:2], np.uint8)
    for polygon in scale.keep_out_px:
        xy = np.round(view.from_photo(polygon)).astype(np.int32)
        margin = params.margin * float(np.sqrt(max(cv2.contourArea(xy), 1.0)))
        cv2.fillPoly(mask, [xy], 1)
        cv2.polylines(mask, [xy], True, 1, thickness=max(1, round(2 * margin)))
    return mask > 0


def _shine(rgb: RGBArray) -> BoolArray:
    """Clipped in all three channels, where the colour beneath cannot be known."""
    return np.asarray(cv2.inRange(rgb, (250, 250, 250), (255, 255, 255)) > 0)


def _print(rgb: RGBArray, params: SkinParams) -> BoolArray:
    """White lettering and logos put on the photo: the hulls of patches of steep, white, thin strokes."""
    low = np.asarray(cv2.min(cv2.min(rgb[..., 0], rgb[..., 1]), rgb[..., 2]), np.uint8)
    high = cv2.max(cv2.max(rgb[..., 0], rgb[..., 1]), rgb[..., 2])
    thin = cv2.morphologyEx(low, cv2.MORPH_TOPHAT, np.ones((params.stroke_px, params.stroke_px), np.uint8))
    strokes = (thin > 30) & (low > params.print_white - 25) & (cv2.subtract(high, low) < 40)
    found = np.zeros(low.shape, np.uint8)
    if strokes.mean() < params.print_cover * params.print_share[0]:
        return found > 0
    patch = cv2.morphologyEx(strokes.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    patch = cv2.morphologyEx(patch, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    step = cv2.morphologyEx(low, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(patch)
    least, most = (share * low.size for share in params.print_share)
    for i, (x, y, w, h, area) in enumerate(stats):
        if i == 0 or not least <= area <= most or area < 0.5 * w * h:
            continue
        box = np.s_[y : y + h, x : x + w]
        inside = labels[box] == i
        stroke = inside & strokes[box]
        white = stroke.any() and np.median(low[box][stroke]) >= params.print_white
        if (
            white
            and stroke.sum() >= params.print_cover * area
            and np.median(step[box][stroke]) >= params.print_step
        ):
            points = np.argwhere(inside)[:, ::-1] + (x, y)
            cv2.fillConvexPoly(found, cv2.convexHull(points.astype(np.int32)), 1)
    # The parts of one logo belong together.
    whole = cv2.morphologyEx(found, cv2.MORPH_CLOSE, np.ones((21, 21), np.uint8))
    return np.asarray(cv2.dilate(whole, np.ones((9, 9), np.uint8)) > 0)


def _ita(rgb: RGBArray, mask: BoolArray) -> float | None:
    if not mask.any():
        return None
    inside = np.flatnonzero(mask)
    pixels = rgb.reshape(-1, 3)[inside[:: max(1, len(inside) // 20_000)]]
    lab = colour.lab(pixels[None])[0]
    low, high = np.percentile(lab[:, 0], (25, 75))
    lab = lab[(lab[:, 0] >= low) & (lab[:, 0] <= high)]
    return float(np.median(np.degrees(np.arctan2(lab[:, 0] - 50.0, lab[:, 2]))))

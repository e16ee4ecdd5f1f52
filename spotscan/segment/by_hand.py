"""Marks that a person pointed to: the label of what stands there, sought with the same filter but with less proof.

A person who points leaves some tens of places and scales to look at instead of the photo's 10^5, so that a peak of
3 sigma is there as rare by chance as one of 4.5 sigma in the whole photo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.colour import SRGB_TO_ABSORBANCE
from spotscan.segment.contrast import F32, Mask, blur, mark_contrast
from spotscan.segment.labels import label_marks
from spotscan.segment.params import SegmentParams
from spotscan.segment.peaks import PEAK_PER_CONTRAST, RADIUS_PER_SIGMA, Peaks
from spotscan.types import FloatArray, Scale, Skin, Spots, View


@dataclass(frozen=True)
class PointedParams:
    """How a mark is sought where a person pointed.

    Attributes
    ----------
    min_snr : 1
        Of a peak, over the noise of the skin around it; see above.
    min_contrast : absorbance, log10
        Two fifths of what a mark must have that nobody pointed to: 2 % darker is the least an eye can see.
    reach : radii
        The middle of a mark lies within this of the place, and at least within `reach_px`.
    reach_px : view px
        The width of a fingertip's error, 1 mm at the view's resolution.
    largest : view px
        Radius beyond which a person has to draw the circle: 7.5 mm across at 8.5 px/mm. Larger marks are seldom missed.
    off : 1
        A drawn circle is too large or too small by this factor at most.
    window : radii
        Half the side of the window that is looked at, of the largest radius, for the skin around to be seen.
    """

    min_snr: float = 3.0
    min_contrast: float = 0.01
    reach: float = 0.7
    reach_px: float = 8.0
    largest: float = 32.0
    off: float = 1.7
    window: float = 3.0


def label_by_hand(
    view: View,
    skin: Skin,
    scale: Scale | None,
    outlines_px: Sequence[FloatArray],
    places_px: Sequence[Sequence[float]],
    params: PointedParams | None = None,
) -> Spots:
    """Labels of marks that are known, and of those that a person pointed to.

    Parameters
    ----------
    view : View
        The photo at the resolution of the smallest mark.
    skin : Skin
        Where it does not know of skin, the person is believed.
    scale : Scale or None
        Only whether there is one matters: hairs are else sought at two resolutions.
    outlines_px : m arrays of (k, 2)
        Boundaries of the known marks, photo px; empty ones have no label.
    places_px : sequence of (x, y) or (x, y, diameter)
        Where a person pointed, or drew a circle; photo px.

    Returns
    -------
    Spots
        Labels 1..m of the known marks, and m+1, m+2 ... of the places in their order. A place that lies in a mark
        already labelled, and one where no mark stands out, have no pixel; the latter's `snr` is 0, the former's NaN.
    """
    p, sizes = params or PointedParams(), SegmentParams()
    labels = np.zeros(view.rgb.shape[:2], np.int32)
    for i, outline in enumerate(outlines_px):
        _fill(labels, outline, view.factor, i + 1)
    mask = np.asarray(
        cv2.resize(skin.mask.astype(np.uint8), labels.shape[::-1], interpolation=cv2.INTER_NEAREST), np.uint8
    )
    snr = np.full(len(places_px), np.nan)
    for k, place in enumerate(places_px):
        at = view.from_photo(np.array(place[:2], float))
        column, row = np.clip(np.rint(at).astype(int), 0, np.array(labels.shape[::-1]) - 1)
        if labels[row, column]:
            continue
        radius = place[2] / 2 / view.factor if len(place) > 2 else None
        snr[k] = _label_one(labels, len(outlines_px) + k + 1, view, mask, at, radius, scale is not None, p, sizes)
    return Spots(labels, view.factor, np.concatenate([np.full(len(outlines_px), np.nan), snr]))


def relabel(spots: Spots, outlines_px: Mapping[int, FloatArray]) -> Spots:
    """The labels with some of them, from 1, given new outlines (photo px); other labels stay whole."""
    labels = np.where(np.isin(spots.labels, list(outlines_px)), 0, spots.labels)
    new = np.zeros_like(labels)
    for label, outline in outlines_px.items():
        _fill(new, outline, spots.factor, label)
    return Spots(np.where(labels > 0, labels, new), spots.factor, spots.snr)


def _fill(labels: NDArray[np.int32], outline_px: FloatArray, factor: float, label: int) -> None:
    """Fill a polygon, in place; an empty one is nothing."""
    if len(outline_px):
        points = np.rint(((outline_px + 0.5) / factor - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(labels, [points], label, shift=4)


def _label_one(
    labels: NDArray[np.int32], label: int, view: View, mask: Mask, at: FloatArray, drawn: float | None, sized: bool,
    p: PointedParams, sizes: SegmentParams,
) -> float:  # fmt: skip
    """Label what stands at a place (view px), in place; return its SNR, 0 where nothing does."""
    radii = _radii(drawn, p, sizes)
    half = max(48, int(np.ceil(p.window * radii[-1])))
    low = np.maximum(np.rint(at).astype(int) - half, 0)
    window = np.s_[low[1] : int(at[1]) + half, low[0] : int(at[0]) + half]
    here, allowed, centre = labels[window], mask[window].copy(), at - low
    if min(here.shape) < 24:
        return 0.0
    if not allowed[tuple(np.minimum(np.rint(centre[::-1]).astype(int), np.array(here.shape) - 1))]:
        allowed[:] = 1  # the skin was not seen for skin there
    near = View(np.ascontiguousarray(view.rgb[window]), view.factor)
    contrast, _ = mark_contrast(near, allowed, sizes, sized=sized)
    # Black and blue marks stand out in red light, where blood is pale.
    red = np.asarray(cv2.LUT(np.ascontiguousarray(near.rgb[..., 0]), SRGB_TO_ABSORBANCE), np.float32)
    free = np.asarray(allowed * (here == 0), np.uint8)
    peak, image = max(
        ((_best_peak(image, free, centre, radii, p), image) for image in (contrast, red)),
        key=lambda found: float(found[0].score[0]),
    )
    if peak.score[0] < p.min_snr or peak.contrast[0] < p.min_contrast:
        return 0.0
    region = (label_marks(peak, blur(image, 0.7 * sizes.first_sigma_px), free) > 0) & (here == 0)
    if np.count_nonzero(region) < 4:
        return 0.0
    here[region] = label
    return float(peak.score[0])


def _radii(drawn: float | None, p: PointedParams, sizes: SegmentParams) -> FloatArray:
    """Radii to try, two to the octave as in `pyramid`, view px."""
    least = RADIUS_PER_SIGMA * sizes.first_sigma_px
    low, high = (least, p.largest) if drawn is None else (max(least, drawn / p.off), max(least, drawn * p.off))
    return np.asarray(low * 2.0 ** (np.arange(int(2 * np.log2(high / low) + 1.5)) / 2))


def _best_peak(image: F32, free: Mask, centre: FloatArray, radii: FloatArray, p: PointedParams) -> Peaks:
    """The radius and place within reach at which the difference of Gaussians answers most (Lindeberg 1998).

    Larger radii are looked at on a picture shrunk by whole octaves. The score is the answer over the scatter of those
    of the free skin around, at the same scale.
    """
    best = Peaks(np.zeros((1, 2)), np.ones(1), np.zeros(1), np.zeros(1))
    for radius in radii:
        step = 2 ** max(0, int(np.log2(radius / radii[0])))
        small, skin, low = _shrunk(image, free, centre, step, radius, p)
        y, x = np.mgrid[: small.shape[0], : small.shape[1]]
        x, y = (x + 0.5) * step - 0.5 + low[0], (y + 0.5) * step - 0.5 + low[1]
        away = np.hypot(x - centre[0], y - centre[1])
        sigma = radius / RADIUS_PER_SIGMA / step
        response = blur(small, sigma) - blur(small, 2 * sigma)
        reach = (away <= max(p.reach * radius, p.reach_px)) & (skin > 0)
        if not reach.any():
            continue
        i = int(np.argmax(np.where(reach, response, -np.inf)))
        value = float(response.flat[i])
        if value <= best.contrast[0] * PEAK_PER_CONTRAST:
            continue
        around = response[(skin > 0) & (away > 2 * radius)]
        rest = around if around.size >= 50 else response[skin > 0]
        noise = 1.4826 * float(np.median(np.abs(rest - np.median(rest))))
        xy = np.array([[x.flat[i], y.flat[i]]])
        score = np.array([value / max(noise, 1e-6)])
        best = Peaks(xy, np.array([radius]), np.array([value / PEAK_PER_CONTRAST]), score)
    return best


def _shrunk(
    image: F32, free: Mask, centre: FloatArray, step: int, radius: float, p: PointedParams
) -> tuple[F32, Mask, FloatArray]:
    """The picture and its skin around the place, by a whole step; and the place of its corner."""
    half = max(48, int(np.ceil(p.window * radius)))
    low = np.maximum(np.rint(centre).astype(int) - half, 0)
    window = np.s_[low[1] : int(centre[1]) + half, low[0] : int(centre[0]) + half]
    height, width = (side // step for side in image[window].shape)
    if step == 1:
        return image[window], free[window], low.astype(float)
    whole = np.s_[: height * step, : width * step]
    small = cv2.resize(image[window][whole], (width, height), interpolation=cv2.INTER_AREA)
    skin = cv2.resize(free[window][whole], (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(small, np.float32), np.asarray(skin, np.uint8), low.astype(float)

"""Measures of each mark, at the photo's full resolution.

1. *Crop* (`measure_crop`): the mark and the skin around it in linear light, hairs and glints filled. A lens blurs
   light, not sRGB codes or absorbance, so only there does a blurred edge keep its place.
2. *Fan* (`measure_fan`): one channel in which the mark stands out most from the texture of its own skin, 0 on the
   skin and 1 in the mark; the region above one half, opened so that nothing leaks along a hair; the channel is read
   along the normals of that region's outline.
3. *Boundary* (`measure_edge`): where the fan falls through one half, to sub-pixel, near the first outline.
4. *Blur*: it moves the boundary of a small mark (the middle fades, the edge is curved). The shift of a blurred disc is
   taken out, with the blur of the photo's sharpest edges: what is softer than those is soft itself.
5. *Error*: texture along the boundary and levels of skin and mark from the scatter of sectors, blur, noise, scale.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spotscan.flags import FLAGS
from spotscan.measure_crop import Box, MeasureParams
from spotscan.measure_edge import Edges, areas, centroids, read_edges
from spotscan.measure_fan import Fan, Points, read_fan
from spotscan.regions import boxes, set_pixels
from spotscan.types import BoolArray, FloatArray, Measurements, Photo, Scale, Skin, Spots

__all__ = ["MeasureParams", "in_plane", "measure_spots"]

# Directions in which a mark's width is taken: the largest falls short by less than 1 - cos(1.5 degrees) = 0.03 %.
_ANGLE = np.pi * np.arange(60) / 60
_DIRECTIONS = np.stack([np.cos(_ANGLE), np.sin(_ANGLE)])


def measure_spots(
    photo: Photo,
    spots: Spots,
    skin: Skin,
    scale: Scale | None,
    params: MeasureParams | None = None,
    rows: Collection[int] | None = None,
) -> Measurements:
    """Measure every segmented mark.

    Parameters
    ----------
    photo : Photo
        At full resolution.
    spots : Spots
        The labels say which mark is meant and where its neighbours are; the boundary is found anew.
    skin : Skin
        Where skin is, for the level of the skin around each mark.
    scale : Scale or None
        Without it every length in mm is NaN.
    rows : collection of int, optional
        Measure only these (label - 1). The lens' blur is then taken from their edges alone.

    Returns
    -------
    Measurements
        One row per label, in the order of the labels.
    """
    p = params or MeasureParams()
    fans = [
        read_fan(photo, spots, skin, scale, i + 1, box, p)
        for i, box in enumerate(_boxes(spots.labels))
        if rows is None or i in rows
    ]
    if not fans:
        return _nothing()
    edges = read_edges(fans, p.core)
    centre = _xy(centroids(edges.outline))
    contour = _xy(edges.outline)
    diameter = edges.raw_diameter * edges.blur_ratio
    small = ~(diameter >= p.smallest_px)
    perimeter = _perimeters(edges.outline)
    unknown = np.full(len(fans), np.nan)
    measured = Measurements(
        centre_px=centre,
        bbox_px=np.concatenate([contour.min(axis=1), np.ptp(contour, axis=1)], axis=1),
        contours_px=tuple(contour),
        diameter_px=np.where(small, np.nan, diameter),
        diameter_mm=unknown,
        diameter_mm_err=unknown,
        longest_mm=unknown,
        area_mm2=unknown,
        circularity=np.where(
            small, np.nan, np.minimum(1, np.square(np.pi * edges.raw_diameter / np.maximum(perimeter, 1e-9)))
        ),
        contrast=np.array([fan.absorbed[1] for fan in fans]),
        colour=tuple(colour_name(fan.absorbed) for fan in fans),
        flags=_flags(photo, fans, edges, contour, diameter, small),
        # An error as large as the mark says that its size is not known; a larger one says no more.
        diameter_px_err=np.where(small, np.nan, np.minimum(edges.err, diameter)),
    )
    return in_plane(measured, scale)


def _boxes(labels: NDArray[np.int32]) -> list[Box]:
    """x0, y0, x1, y1 (exclusive) of the labels 1, 2 ..."""
    x, y = set_pixels(labels)
    label = labels[y, x]
    low, high = boxes(x, y, label, int(label.max(initial=0)) + 1)
    x0, y0, x1, y1 = np.concatenate([low, high + 1])[:, 1:].tolist()
    return list(zip(x0, y0, x1, y1, strict=True))


def in_plane(measured: Measurements, scale: Scale | None) -> Measurements:
    """The same marks, with their lengths in mm in the plane of a scale (NaN without one)."""
    n = len(measured)
    mm = np.full((n, 3), np.nan)
    rows = np.array([i for i, contour in enumerate(measured.contours_px) if len(contour)], int)
    if scale is not None and len(rows):
        mm[rows] = _in_mm(measured, rows, scale)
    off = _off_plane(measured.centre_px, scale)
    return replace(
        measured,
        diameter_mm=mm[:, 0],
        diameter_mm_err=mm[:, 1],
        longest_mm=mm[:, 2],
        area_mm2=np.pi / 4 * mm[:, 0] ** 2,
        flags=tuple(_with_flag(flags, "off_reference_plane", bool(off[i])) for i, flags in enumerate(measured.flags)),
    )


def _in_mm(measured: Measurements, rows: NDArray[np.int64], scale: Scale) -> FloatArray:
    """Diameter, its 1-sigma error and the largest Feret diameter, in mm: (N, 3). What blur did in px it did in mm."""
    contour = np.array([measured.contours_px[i] for i in rows])
    diameter_px = measured.diameter_px[rows]
    err_px = np.full(len(rows), np.nan) if measured.diameter_px_err is None else measured.diameter_px_err[rows]
    xy = scale.to_mm(contour.reshape(-1, 2)).reshape(contour.shape)
    raw_px, raw = (2 * np.sqrt(areas(z @ np.array([1, 1j])) / np.pi) for z in (contour, xy))
    diameter = raw * (diameter_px / np.maximum(raw_px, 1e-9))
    err = diameter * np.hypot(err_px / np.maximum(diameter_px, 1e-9), scale.relative_err_at(measured.centre_px[rows]))
    feret = np.ptp(xy @ _DIRECTIONS, axis=1).max(axis=1)
    return np.stack([diameter, err, feret + diameter - raw], axis=1)


def _with_flag(flags: tuple[str, ...], name: str, raised: bool) -> tuple[str, ...]:
    """The flags with this one raised or not, in the order of the registry."""
    names = {*flags, name} if raised else {*flags} - {name}
    return tuple(known for known in FLAGS if known in names)


def _off_plane(centre: FloatArray, scale: Scale | None) -> BoolArray:
    """Where the scale is less sure than at the reference, by a factor and by an amount that matter."""
    if scale is None:
        return np.zeros(len(centre), bool)
    err = scale.relative_err_at(centre)
    return np.asarray((err > 3 * scale.relative_err_at(scale.centre_px[None])[0]) & (err > 0.02))


def _flags(
    photo: Photo,
    fans: list[Fan],
    edges: Edges,
    contour: FloatArray,
    diameter: FloatArray,
    small: BoolArray,
) -> tuple[tuple[str, ...], ...]:
    last = np.array([photo.width_px - 1, photo.height_px - 1])
    # A boundary drawn on pixels of the crop ends about one of them before the frame.
    reach = 1.5 * np.array([max(1.0, fan.pixel) for fan in fans])[:, None, None]
    columns = {
        "at_edge": ((contour < reach) | (contour > last - reach)).any(axis=(1, 2)),
        "too_small": small,
        "saturated": np.array([fan.saturated for fan in fans]),
        "touching": np.array([fan.touching for fan in fans]),
        "low_contrast": ~edges.sure | np.array([fan.noise > 0.3 for fan in fans]) | _unlike_label(fans, diameter),
    }
    return tuple(tuple(name for name, column in columns.items() if column[i]) for i in range(len(fans)))


def _unlike_label(fans: list[Fan], diameter: FloatArray) -> BoolArray:
    """Segmentation and measurement do not mean the same mark."""
    ratio = diameter / np.array([max(fan.label_diameter, 1e-9) for fan in fans])
    return np.asarray((ratio < 0.5) | (ratio > 1.6))


def colour_name(absorbed: FloatArray) -> str:
    """Name of a colour by what the mark absorbs more than the skin around it (red, green, blue; log10).

    Blood takes green and blue and leaves red; melanin takes blue, green and red in falling order; blood seen deep, or
    in dense purpura, also takes red but less blue (it looks purple); what takes all alike is black. On dark
    skin the light returned by the surface hides what is taken of blue: red and blue together tell brown from purple.
    """
    red, green, blue = absorbed
    if green < 0.03:
        return "pink"
    red, blue = red / green, blue / green
    if red > 0.75 and green > 0.45:
        return "black"
    if red < 0.38:
        return "pink" if green < 0.07 else "red"
    return "brown" if red + 0.35 * blue > 0.9 else "purple"


def _perimeters(outline: Points) -> FloatArray:
    return np.asarray(np.abs(np.diff(outline, append=outline[:, :1])).sum(axis=1))


def _xy(z: Points) -> FloatArray:
    return np.stack([z.real, z.imag], axis=-1)


def _nothing() -> Measurements:
    n = np.zeros(0)
    return Measurements(np.zeros((0, 2)), np.zeros((0, 4)), (), n, n, n, n, n, n, n, (), ())

"""The values that travel through the pipeline: frozen, plain, with units in their names.

Pixel convention (docs/conventions.md): the origin is the centre of the top-left pixel of the upright photo,
x to the right, y down. What could not be measured is NaN (in arrays) or None (elsewhere), with a flag that says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
RGBArray = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo, upright and in sRGB.

    Attributes
    ----------
    rgb : (H, W, 3) uint8
        Pixels in sRGB.
    sha256 : str
        Hash of the file's bytes (of the pixels when the photo came as an array).
    file : str or None
        Base name of the file; never its folder.
    taken_at : str or None
        EXIF date as ISO 8601 without zone; the only metadata kept.
    """

    rgb: RGBArray
    sha256: str
    file: str | None = None
    taken_at: str | None = None

    @property
    def width_px(self) -> int:
        """Width of the upright photo."""
        return int(self.rgb.shape[1])

    @property
    def height_px(self) -> int:
        """Height of the upright photo."""
        return int(self.rgb.shape[0])


@dataclass(frozen=True, eq=False)
class View:
    """The photo at the resolution at which a stage looks at it.

    Attributes
    ----------
    rgb : (h, w, 3) uint8
        The photo, area-averaged down.
    factor : float
        Photo pixels per view pixel, >= 1.
    """

    rgb: RGBArray
    factor: float

    def to_photo(self, xy: FloatArray) -> FloatArray:
        """View pixels to photo pixels; pixel centres are whole numbers in both."""
        return (np.asarray(xy, float) + 0.5) * self.factor - 0.5

    def from_photo(self, xy: FloatArray) -> FloatArray:
        """Photo pixels to view pixels."""
        return (np.asarray(xy, float) + 0.5) / self.factor - 0.5


@dataclass(frozen=True, eq=False)
class Scale:
    """Pixels to millimetres in the plane of the reference.

    Attributes
    ----------
    reference : str
        What gave the scale, as in the contract: ``auto``, ``aruco:20``, ``px-per-mm:31.5`` ...
    px_to_mm : (3, 3) float64
        Homography, rows; homogeneous pixel -> mm. A similarity where tilt is unknown.
    centre_px : (2,) float64
        Where on the photo `px_per_mm` is stated: the middle of the reference.
    tilt_deg : float or None
        Angle between the reference's normal and the camera's axis (an ordinary lens assumed); None where the
        reference cannot tell.
    outline_px : (K, 2) float64
        The reference's outline, to draw and to keep spots off it. (0, 2) where there is none.
    draws : (S, 3, 3) float64
        Homographies drawn from the errors of the reference's points; their scatter is the error of the scale
        anywhere in the photo. (0, 3, 3) where the user gave the scale.
    systematic : float
        1-sigma relative error that is common to all lengths (printing, thickness of the card).
    keep_out_px : tuple of (K, 2) float64
        Polygons covered by the reference, where no spot can be.
    flags : tuple of str
        Names from `spotscan.flags`.
    private_px : tuple of (K, 2) float64
        Polygons that no picture may show: bank cards, with what is printed on them.
    """

    reference: str
    px_to_mm: FloatArray
    centre_px: FloatArray
    tilt_deg: float | None = None
    outline_px: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    draws: FloatArray = field(default_factory=lambda: np.zeros((0, 3, 3)))
    systematic: float = 0.0
    keep_out_px: tuple[FloatArray, ...] = ()
    flags: tuple[str, ...] = ()
    private_px: tuple[FloatArray, ...] = ()

    @cached_property
    def px_per_mm(self) -> float:
        """Scale at the reference: square root of the area ratio."""
        return float(self.px_per_mm_at(self.centre_px[None])[0])

    @cached_property
    def px_per_mm_err(self) -> float:
        """1-sigma error of `px_per_mm`."""
        return float(self.px_per_mm * self.relative_err_at(self.centre_px[None])[0])

    def to_mm(self, xy_px: FloatArray) -> FloatArray:
        """Map (N, 2) pixels to (N, 2) mm in the reference's plane."""
        return _project(self.px_to_mm, xy_px)

    def px_per_mm_at(self, xy_px: FloatArray) -> FloatArray:
        """Local scale at (N, 2) pixels: (N,) px per mm, square root of the local area ratio."""
        return _local_px_per_mm(self.px_to_mm, xy_px)

    def relative_err_at(self, xy_px: FloatArray) -> FloatArray:
        """1-sigma relative error of the local scale at (N, 2) pixels: (N,)."""
        xy_px = np.asarray(xy_px, float).reshape(-1, 2)
        spread = np.zeros(len(xy_px))
        if len(self.draws):
            logs = np.log([_local_px_per_mm(draw, xy_px) for draw in self.draws])
            spread = logs.std(axis=0, ddof=1)
        return np.hypot(spread, self.systematic)


def _project(h: FloatArray, xy: FloatArray) -> FloatArray:
    xy = np.asarray(xy, float).reshape(-1, 2)
    w = xy @ h[:2, :2].T + h[:2, 2]
    return np.asarray(w / (xy @ h[2, :2] + h[2, 2])[:, None])


def _local_px_per_mm(h: FloatArray, xy: FloatArray) -> FloatArray:
    # The Jacobian of a homography has determinant det(H) / w^3.
    w = np.asarray(xy, float).reshape(-1, 2) @ h[2, :2] + h[2, 2]
    return np.asarray(np.sqrt(np.abs(w) ** 3 / abs(np.linalg.det(h))))


@dataclass(frozen=True, eq=False)
class Skin:
    """Which pixels of a view are skin.

    Attributes
    ----------
    mask : (h, w) bool
        Skin, marks on it included; reference, cloth, background, print, frame not.
    factor : float
        Photo pixels per mask pixel (as `View.factor`).
    fraction : float
        Share of the photo that is skin, 0 to 1.
    ita_deg : float or None
        Individual typology angle of the skin (Chardon et al. 1991), the median over it.
    """

    mask: BoolArray
    factor: float
    fraction: float
    ita_deg: float | None


@dataclass(frozen=True, eq=False)
class Quality:
    """How far the photo can be trusted.

    Attributes
    ----------
    usable : bool
        False: nothing found in this photo should be believed.
    flags : tuple of str
        Names from `spotscan.flags`.
    sharpness : float or None
        0 (nothing but blur) to 1 (edges as sharp as the pixels allow); None where no edge tells.
    blur_px : float or None
        1-sigma width of the blur, in photo px.
    smallest_px, smallest_mm : float or None
        Diameter of the smallest mark that could have been seen and measured.
    """

    usable: bool
    flags: tuple[str, ...]
    sharpness: float | None
    blur_px: float | None
    smallest_px: float | None
    smallest_mm: float | None


@dataclass(frozen=True, eq=False)
class Spots:
    """Segmented marks, before they are measured.

    Attributes
    ----------
    labels : (h, w) int32
        0 is skin, 1..n the marks, at the resolution of the view.
    factor : float
        Photo pixels per label pixel.
    snr : (n,) float64
        Contrast of each mark over the local noise at its own size.
    """

    labels: NDArray[np.int32]
    factor: float
    snr: FloatArray

    def __len__(self) -> int:
        return len(self.snr)


@dataclass(frozen=True, eq=False)
class Measurements:
    """One row per mark, as parallel arrays of length n; NaN where it could not be measured.

    Attributes
    ----------
    centre_px : (n, 2)
        Centroid of the region inside the boundary.
    bbox_px : (n, 4)
        x, y, w, h of the boundary.
    contours_px : n arrays of (k, 2)
        The half-contrast boundary, closed (first point not repeated), sub-pixel.
    diameter_px, diameter_mm, diameter_mm_err : (n,)
        Area-equivalent diameter, 2 sqrt(area / pi), and its 1-sigma error.
    longest_mm : (n,)
        Largest Feret diameter.
    area_mm2, circularity, contrast : (n,)
        Area; 4 pi area / perimeter^2, at most 1; absorbance (green, log10) above the skin around it.
    colour : n of red | purple | brown | black | pink, or None
    flags : n tuples of names from `spotscan.flags`
    diameter_px_err : (n,), optional
        1-sigma error of `diameter_px`: what is left of that in mm where the scale is exact.
    numbers : n int
        By which the person knows the marks; () stands for 1..n. A correction by hand leaves the others' as they are.
    """

    centre_px: FloatArray
    bbox_px: FloatArray
    contours_px: tuple[FloatArray, ...]
    diameter_px: FloatArray
    diameter_mm: FloatArray
    diameter_mm_err: FloatArray
    longest_mm: FloatArray
    area_mm2: FloatArray
    circularity: FloatArray
    contrast: FloatArray
    colour: tuple[str | None, ...]
    flags: tuple[tuple[str, ...], ...]
    diameter_px_err: FloatArray | None = None
    numbers: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.contours_px)

    @property
    def ids(self) -> tuple[int, ...]:
        """The number of each mark, rising."""
        return self.numbers or tuple(range(1, len(self) + 1))

    def take(self, rows: NDArray[np.intp]) -> Measurements:
        """Some of the marks, by row, with their numbers."""
        picked: dict[str, Any] = {}
        for column in fields(self):
            values = self.ids if column.name == "numbers" else getattr(self, column.name)
            if values is not None:
                picked[column.name] = values[rows] if isinstance(values, np.ndarray) else tuple(values[i] for i in rows)
        return Measurements(**picked)


@dataclass(frozen=True, eq=False)
class Cluster:
    """A group of marks closer together than chance.

    Attributes
    ----------
    id : int
        From 1.
    n : int
        Marks in it.
    spots_per_cm2 : float or None
        Over the area of its hull, grown by half the neighbour distance.
    hull_px : (k, 2)
        Convex hull of the marks' centres.
    """

    id: int
    n: int
    spots_per_cm2: float | None
    hull_px: FloatArray


@dataclass(frozen=True, eq=False)
class Density:
    """How many marks per area of skin, and whether they cluster.

    Attributes
    ----------
    skin_area_cm2, spots_per_cm2 : float or None
        None without a scale or without skin.
    clusters : tuple of Cluster
    membership : (n,) int64
        Cluster id per mark; 0 where it is in none.
    clark_evans : float or None
        Mean nearest-neighbour distance over that of chance in the same window; < 1 clustered, > 1 regular.
    p_random : float or None
        Two-sided permutation p-value of `clark_evans` under complete spatial randomness.
    """

    skin_area_cm2: float | None
    spots_per_cm2: float | None
    clusters: tuple[Cluster, ...]
    membership: NDArray[np.int64]
    clark_evans: float | None
    p_random: float | None


@dataclass(frozen=True, eq=False)
class Scan:
    """Everything found in one photo.

    `classes` and `triage` are None until those stages are run. `n_no_marks` candidates were left out, since they look
    like no mark at all.
    """

    photo: Photo
    scale: Scale | None
    quality: Quality
    skin: Skin
    spots: Measurements
    density: Density
    classes: tuple[dict[str, Any], ...] | None = None
    triage: dict[str, Any] | None = None
    n_no_marks: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The scan as the JSON document of schema ``spotscan/scan/1``."""
        from spotscan.export import scan_to_dict

        return scan_to_dict(self)

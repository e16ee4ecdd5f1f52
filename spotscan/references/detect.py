"""Finding and reading square markers of every predefined dictionary of OpenCV, AprilTag families included.

`cv2.aruco.ArucoDetector` reads one dictionary in about 70 ms and all of them in 750 ms on 1.3 megapixels,
most of it in reading the same candidates again for each dictionary. Here the candidates (dark
quadrilaterals, found the way OpenCV does: adaptive threshold, contours, polygons) are sampled once for each
grid size, all together, and looked up in one table. The black ring, the white zone around it and clean
cells are demanded, because small dictionaries hold so many words that any square would be one of them: of
the 65,536 patterns of 4x4 modules 6 % are a marker.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.geometry import project, square_to_quads
from spotscan.types import BoolArray, FloatArray, Photo

# Family -> wrong bits accepted. OpenCV's `_1000` dictionaries begin with the `_50`, `_100` and `_250` ones.
# None where a wrong bit would make chance matches likely, else well below half the distance of the family.
FAMILIES: dict[str, int] = {
    "4X4_1000": 0,
    "5X5_1000": 0,
    "6X6_1000": 2,
    "7X7_1000": 3,
    "ARUCO_ORIGINAL": 0,
    "APRILTAG_16h5": 0,
    "APRILTAG_25h9": 1,
    "APRILTAG_36h10": 2,
    "APRILTAG_36h11": 3,
    "ARUCO_MIP_36h12": 2,
}


@dataclass(frozen=True)
class DetectParams:
    """How markers are looked for.

    Attributes
    ----------
    pixels : tuple of int
        Resolutions tried in turn until something is found, in pixels of the reduced photo. 1.5 megapixels
        costs 15 ms and leaves 10 px to the side of a marker that has 30 px in a 12-megapixel photo; the
        second is for those that are smaller.
    windows_px : tuple of int
        Windows of the adaptive threshold, all used at each resolution: wide for blur, narrow for markers
        crowded by other dark things.
    offset : float
        Grey levels (of 255) below the mean of the window that count as dark; above sensor noise after
        reduction.
    min_side_px : float
        Shortest side looked at, reduced px: 6 modules of 1.7 px.
    max_slant : float
        Longest over shortest side; 4 is a tilt of 75 degrees.
    contrast : float
        Least difference of white and black, grey levels of 255.
    separation : float
        The same over the scatter of the cells of one colour.
    crisp : float
        Share of the samples that must lie on their cell's side of the threshold.
    """

    pixels: tuple[int, ...] = (1_500_000, 6_000_000)
    windows_px: tuple[int, ...] = (23, 11)
    offset: float = 7.0
    min_side_px: float = 10.0
    max_slant: float = 4.0
    contrast: float = 25.0
    separation: float = 3.0
    crisp: float = 0.85


@dataclass(frozen=True, eq=False)
class Marker:
    """A marker that was read.

    Attributes
    ----------
    family : str
        Key of `FAMILIES`.
    id : int
        Its number in the family.
    corners_px : (4, 2)
        Corners of the black square in the photo, from the marker's own top-left, clockwise.
    cells : (m, m) bool
        Its modules with the black ring; True is white.
    precision_px : float
        Photo pixels per pixel of the reduced photo it was found in.
    """

    family: str
    id: int
    corners_px: FloatArray
    cells: BoolArray
    precision_px: float


@dataclass(frozen=True, eq=False)
class _Words:
    """All markers of one grid size: their bits as one number each."""

    code: NDArray[np.uint64]
    family: tuple[str, ...]
    family_index: NDArray[np.int64]
    id: NDArray[np.int64]
    tolerance: NDArray[np.int64]
    cells: BoolArray


def _pack(bits: BoolArray) -> NDArray[np.uint64]:
    """(..., n, n) bits to numbers, row by row."""
    flat = bits.reshape(*bits.shape[:-2], -1)
    weights = np.uint64(1) << np.arange(flat.shape[-1], dtype=np.uint64)
    return np.asarray((flat * weights).sum(axis=-1, dtype=np.uint64))


def _family_bits(name: str) -> BoolArray:
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, f"DICT_{name}"))
    n = dictionary.markerSize
    count, n_bytes, _ = dictionary.bytesList.shape
    upright = dictionary.bytesList.reshape(count, -1)[:, :n_bytes]  # then three more, the turned ones
    bits = np.unpackbits(upright.astype(np.uint8), axis=1)
    last = n * n - 8 * (n_bytes - 1)  # the last byte is filled from its low end
    return np.concatenate([bits[:, :-8], bits[:, -last:]], axis=1).reshape(count, n, n).astype(bool)


@lru_cache(maxsize=8)
def _words(bits: int, families: tuple[str, ...], ids: tuple[int, ...] | None) -> _Words | None:
    tables = {name: _family_bits(name) for name in families}
    tables = {name: table for name, table in tables.items() if table.shape[1] == bits}
    if not tables:
        return None
    numbers = {name: np.arange(len(t)) if ids is None else np.array(ids) for name, t in tables.items()}
    sizes = [len(number) for number in numbers.values()]
    inner = np.concatenate([tables[name][number] for name, number in numbers.items()])
    return _Words(
        code=_pack(inner),
        family=tuple(tables),
        family_index=np.repeat(np.arange(len(sizes)), sizes),
        id=np.concatenate(list(numbers.values())),
        tolerance=np.repeat([FAMILIES[name] for name in tables], sizes),
        cells=np.pad(inner, ((0, 0), (1, 1), (1, 1))),
    )


def reduced(picture: NDArray[np.uint8], pixels: int) -> tuple[NDArray[np.uint8], int]:
    """A grey or colour picture, area-averaged by the smallest whole factor that leaves at most `pixels`."""
    height, width = picture.shape[:2]
    factor = int(np.ceil(np.sqrt(height * width / pixels)))
    if factor > 1:
        whole = picture[: height // factor * factor, : width // factor * factor]
        picture = np.asarray(
            cv2.resize(whole, (width // factor, height // factor), interpolation=cv2.INTER_AREA), np.uint8
        )
    return picture, factor


def _quads(grey: NDArray[np.uint8], window: int, params: DetectParams) -> FloatArray:
    """Dark convex quadrilaterals, clockwise: (N, 4, 2) px."""
    dark = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, window, params.offset)
    contours, _ = cv2.findContours(dark, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    shortest = 4 * params.min_side_px * 0.7  # a contour counts a diagonal step once
    quads = []
    for contour in contours:
        if len(contour) < shortest:
            continue
        polygon = cv2.approxPolyDP(contour, 0.03 * len(contour), True)
        if len(polygon) == 4 and cv2.isContourConvex(polygon):
            quads.append(polygon[:, 0])
    if not quads:
        return np.zeros((0, 4, 2))
    corners = np.array(quads, float)
    sides = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)
    fit = (sides.min(1) >= params.min_side_px / 2) & (sides.max(1) <= params.max_slant * sides.min(1))
    corners = corners[fit]
    diagonals = corners[:, 2:] - corners[:, :2]
    flipped = diagonals[:, 0, 0] * diagonals[:, 1, 1] < diagonals[:, 0, 1] * diagonals[:, 1, 0]
    corners[flipped] = corners[flipped, ::-1]
    # Contours run through the outermost dark pixels: the edge is half a pixel further out.
    outward = corners - corners.mean(axis=1, keepdims=True)
    return np.asarray(corners + outward * (np.sqrt(0.5) / np.linalg.norm(outward, axis=2, keepdims=True)))


def _cells(grey: NDArray[np.uint8], quads: FloatArray, modules: int) -> FloatArray:
    """Nine samples in each module and in the zone around: (N, modules + 2, modules + 2, 9) grey levels."""
    middles = np.arange(-1, modules + 1) + 0.5
    middles[[0, -1]] = -0.45, modules + 0.45  # the white zone may be narrow
    spread = np.array([-0.22, 0.0, 0.22])
    lines = (middles[:, None] + spread).ravel() * 2 / modules - 1
    grid = np.stack(np.meshgrid(lines, lines), axis=-1).reshape(-1, 2)
    xy = project(square_to_quads(quads), grid).astype(np.float32)
    values = _remap(grey, xy)
    side = modules + 2
    values = values.reshape(-1, side, 3, side, 3).transpose(0, 1, 3, 2, 4)
    return np.asarray(values.reshape(-1, side, side, 9))


def _remap(grey: NDArray[np.uint8], xy: NDArray[np.float32]) -> FloatArray:
    values = cv2.remap(grey, xy[..., 0], xy[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return values.astype(float)


def _bits(samples: FloatArray, params: DetectParams) -> tuple[BoolArray, BoolArray, FloatArray]:
    """Inner bits (N, n, n), whether the frame is a marker's (N,), and the share of clean samples (N,)."""
    cells = samples.mean(axis=-1)
    n, side = cells.shape[:2]
    index = np.arange(side)
    depth = np.minimum(np.minimum.outer(index, index), np.minimum.outer(side - 1 - index, side - 1 - index))
    zone, ring = depth == 0, depth == 1
    zone[[0, 0, -1, -1], [0, -1, 0, -1]] = False  # its corners are the first to be cut off or shaded
    body = cells[:, depth >= 1]
    threshold = (cells[:, zone].mean(1) + cells[:, ring].mean(1)) / 2
    for _ in range(2):  # two-means: shading moves the best threshold off the middle
        white = body > threshold[:, None]
        n_white = np.maximum(white.sum(1), 1)
        high = (body * white).sum(1) / n_white
        low = (body * ~white).sum(1) / np.maximum((~white).sum(1), 1)
        threshold = (high + low) / 2
    scatter = np.sqrt(((body - np.where(white, high[:, None], low[:, None])) ** 2).mean(1))
    clean = ((samples[:, depth >= 1] > threshold[:, None, None]) == white[..., None]).mean((1, 2))
    ring_black = (cells[:, ring] < threshold[:, None]).mean(1)
    # Nearer black than white is enough for the zone: in small markers its samples share pixels with the ring.
    zone_white = (cells[:, zone] > (0.7 * low + 0.3 * high)[:, None]).mean(1)
    frame = (ring_black > 0.95) & (zone_white > 0.85) & white.any(1)
    frame &= (high - low > params.contrast) & (high - low > params.separation * scatter)
    bits = (cells > threshold[:, None, None])[:, 2:-2, 2:-2].reshape(n, side - 4, side - 4)
    return bits, frame & (clean > params.crisp), clean


def _read(
    grey: NDArray[np.uint8],
    quads: FloatArray,
    families: tuple[str, ...],
    ids: tuple[int, ...] | None,
    params: DetectParams,
) -> list[tuple[FloatArray, _Words, int]]:
    """Read quadrilaterals: (corners, words, row of the word) of those that are markers."""
    found = []
    for n_bits in (4, 5, 6, 7):
        words = _words(n_bits, families, ids)
        if words is None or not len(quads):
            continue
        bits, frame, _ = _bits(_cells(grey, quads, n_bits + 2), params)
        for index in np.flatnonzero(frame):
            turns = np.stack([np.rot90(bits[index], turn) for turn in range(4)])
            distance = np.bitwise_count(_pack(turns)[:, None] ^ words.code).astype(int)
            excess = distance - words.tolerance
            turn, row = np.unravel_index(np.argmin(np.where(excess <= 0, distance, 99)), distance.shape)
            if excess[turn, row] <= 0:
                found.append((np.roll(quads[index], -int(turn), axis=0), words, int(row)))
    return found


def find_markers(
    photo: Photo,
    families: tuple[str, ...] = tuple(FAMILIES),
    ids: tuple[int, ...] | None = None,
    params: DetectParams = DetectParams(),
) -> list[Marker]:
    """Find markers, to about a pixel of the reduced photo.

    Parameters
    ----------
    photo : Photo
        Where to look.
    families : tuple of str
        Keys of `FAMILIES`.
    ids : tuple of int, optional
        Only these numbers; all by default.
    params : DetectParams
        How.

    Returns
    -------
    list of Marker
        Largest first; empty where there is none. White-on-black markers are not read.
    """
    last_factor = 0
    for pixels in params.pixels:
        grey, factor = reduced(np.asarray(cv2.cvtColor(photo.rgb, cv2.COLOR_RGB2GRAY), np.uint8), pixels)
        if factor == last_factor:
            break
        last_factor = factor
        quads = np.concatenate([_quads(grey, window, params) for window in params.windows_px])
        found = _read(grey, quads, families, ids, params)
        if found:
            return _distinct(found, factor)
    return []


def _distinct(found: list[tuple[FloatArray, _Words, int]], factor: int) -> list[Marker]:
    """Largest first, and none inside another: there the one with more modules, which chance would hit
    least.
    """
    markers: list[Marker] = []
    for corners, words, row in sorted(found, key=lambda item: (-item[1].cells.shape[1], -_area(item[0]))):
        xy = (corners + 0.5) * factor - 0.5
        if any(cv2.pointPolygonTest(m.corners_px.astype(np.float32), xy.mean(0), False) > 0 for m in markers):
            continue
        family = words.family[words.family_index[row]]
        markers.append(Marker(family, int(words.id[row]), xy, words.cells[row], float(factor)))
    return sorted(markers, key=lambda marker: -_area(marker.corners_px))


def _area(corners: FloatArray) -> float:
    return float(cv2.contourArea(corners.astype(np.float32)))

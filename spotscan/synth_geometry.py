"""The geometry of `spotscan.synth`: camera, outlines, and exact coverage of pixels by outlines.

Pixel convention of `spotscan.types`: the origin is the centre of the top-left pixel, x right, y down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spotscan.types import FloatArray

F32 = NDArray[np.float32]
Window = tuple[slice, slice]


def camera(size: tuple[int, int], px_per_mm: float, focal_px: float, tilt_deg: float, azimuth_deg: float) -> FloatArray:
    """Homography from mm in the skin plane to pixels, of a pinhole camera that looks at (0, 0) mm.

    Parameters
    ----------
    size : (int, int)
        Width and height of the picture; its middle is the principal point.
    px_per_mm : float
        Wanted at the middle: square root of the area ratio.
    focal_px : float
        Focal length; the shorter, the stronger the perspective.
    tilt_deg, azimuth_deg : float
        Angle between the plane's normal and the line of sight, and the direction in the picture in which the
        plane recedes (0 right, 90 down).
    """
    tilt, azimuth = np.radians([tilt_deg, azimuth_deg])
    turn = np.array([[np.cos(azimuth), -np.sin(azimuth)], [np.sin(azimuth), np.cos(azimuth)]])
    # Along the direction of tilt a length shrinks by the cosine, across it does not: area by the cosine.
    distance = focal_px * np.sqrt(np.cos(tilt)) / px_per_mm
    plane = np.eye(3)
    plane[:2, :2] = turn @ np.diag([np.cos(tilt), 1.0]) @ turn.T
    plane[2, :2] = np.sin(tilt) * turn[:, 0]
    plane[2, 2] = distance
    width, height = size
    lens = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1.0]])
    h = lens @ plane
    return np.asarray(h / h[2, 2])


def marker_cells(dictionary: str, marker_id: int) -> NDArray[np.bool_]:
    """Black cells of an ArUco or AprilTag marker, border included: (n, n) bool."""
    from cv2 import aruco

    table = aruco.getPredefinedDictionary(getattr(aruco, dictionary))
    return np.asarray(aruco.generateImageMarker(table, marker_id, int(table.markerSize) + 2) == 0)


def square(low: float, high: float) -> FloatArray:
    """Corners of an upright square, clockwise in a picture from the top left: (4, 2)."""
    return np.array([[low, low], [high, low], [high, high], [low, high]])


def project(h: FloatArray, xy: FloatArray) -> FloatArray:
    """Map (N, 2) points by a 3x3 homography."""
    w = xy @ h[:2, :2].T + h[:2, 2]
    return np.asarray(w / (xy @ h[2, :2] + h[2, 2])[:, None])


def inverse(h: FloatArray) -> FloatArray:
    """Inverse of a homography."""
    return np.asarray(np.linalg.inv(h), dtype=np.float64)


def area_centroid(polygon: FloatArray) -> tuple[float, FloatArray]:
    """Unsigned area and centroid of a simple (K, 2) polygon (shoelace formula)."""
    origin = polygon.mean(axis=0)
    a = polygon - origin
    b = np.roll(a, -1, axis=0)
    cross = a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1]
    area = cross.sum() / 2
    return abs(float(area)), origin + ((a + b) * cross[:, None]).sum(axis=0) / (6 * area)


def areas_centroids(polygons: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Areas (n,) and centroids (n, 2) of n polygons."""
    both = [area_centroid(polygon) for polygon in polygons]
    return np.array([area for area, _ in both]), np.array([centre for _, centre in both]).reshape(-1, 2)


def longest(polygon: FloatArray) -> float:
    """Largest Feret diameter of a (K, 2) polygon."""
    return float(np.sqrt(((polygon[:, None] - polygon[None]) ** 2).sum(-1).max()))


def window(polygon: FloatArray, shape: tuple[int, int], margin: float = 1.0) -> Window:
    """The part of the picture that a (K, 2) polygon of pixels touches."""
    low = np.floor(polygon.min(axis=0) - margin).astype(int)
    high = np.ceil(polygon.max(axis=0) + margin).astype(int) + 1
    (x0, y0), (x1, y1) = np.maximum(low, 0), np.maximum(high, 0)
    return slice(min(y0, shape[0]), min(y1, shape[0])), slice(min(x0, shape[1]), min(x1, shape[1]))


def coverage(polygons: list[FloatArray], where: Window) -> F32:
    """Exact share of each pixel that lies inside disjoint polygons of one orientation.

    The signed-area accumulation of font rasterisers: an edge inside one pixel adds its height to every pixel
    on its right, and to its own pixel that share of it which lies on the edge's right.

    Parameters
    ----------
    polygons : list of (K, 2)
        Vertices in pixels; pixel centres at whole numbers.
    where : pair of slices
        Rows and columns wanted.

    Returns
    -------
    (h, w) float32
        0 to 1.
    """
    rows, columns = where
    h, w = rows.stop - rows.start, columns.stop - columns.start
    shift = np.array([0.5 - columns.start, 0.5 - rows.start])
    start = np.concatenate(polygons) + shift
    end = np.concatenate([np.roll(p, -1, axis=0) for p in polygons]) + shift
    a, b = _cut_at_grid(start, end)
    middle = (a + b) / 2
    column, row = np.floor(middle).astype(int).T
    height = b[:, 1] - a[:, 1]
    right = np.where(column < 0, 1.0, 1.0 - (middle[:, 0] - column))
    column = np.maximum(column, 0)
    keep = (row >= 0) & (row < h) & (column < w)
    flat = (row * (w + 1) + column)[keep]
    total = np.bincount(flat, (height * right)[keep], h * (w + 1) + 1)
    total += np.bincount(flat + 1, (height * (1 - right))[keep], h * (w + 1) + 1)
    share = np.abs(np.cumsum(total[:-1].reshape(h, w + 1), axis=1)[:, :w])
    return np.asarray(np.minimum(share, 1.0), dtype=np.float32)


def _cut_at_grid(start: FloatArray, end: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Cut edges where they cross whole coordinates: every piece lies in one cell."""
    edges = [np.arange(len(start)), np.arange(len(start))]
    ts = [np.zeros(len(start)), np.ones(len(start))]
    for axis in (0, 1):
        u, v = start[:, axis], end[:, axis]
        first = np.floor(np.minimum(u, v)).astype(int) + 1
        n = np.maximum(np.ceil(np.maximum(u, v)).astype(int) - first, 0)
        edge = np.repeat(np.arange(len(start)), n)
        line = first[edge] + np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
        edges.append(edge)
        ts.append((line - u[edge]) / (v - u)[edge])
    edge, t = np.concatenate(edges), np.concatenate(ts)
    order = np.lexsort((t, edge))
    edge, t = edge[order], t[order]
    points = start[edge] + (end - start)[edge] * t[:, None]
    same = edge[1:] == edge[:-1]
    return points[:-1][same], points[1:][same]

"""Where round things may lie: rough ellipses in a reduced view of the photo.

Edges vote for the centres of circles through them, along their normals and for a ladder of radii (the gradient
Hough transform of Kimme, Ballard & Sklansky 1975). The bins are as wide as a circle tilted by 35 degrees needs.
Around each well-voted centre, an ellipse is annealed to the edges that look at it: robust least squares whose
tolerance shrinks from an eighth of the radius to a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from spotscan.types import FloatArray, RGBArray


@dataclass(frozen=True)
class SearchParams:
    """How round things are searched for.

    Attributes
    ----------
    short_px : int
        Shorter side of the view: 3 % of it, the smallest coin, are 18 px.
    smallest, largest : float
        Radii, as shares of the shorter side.
    step : float
        Ratio of neighbouring radii.
    edges_per_ring : int
        About so many edges of a whole ring vote; more cost time.
    max_edges : int
        At most so many edges are kept, the strongest.
    votes : float
        Least share of a ring's edges that meet in its centre, above what the surroundings give.
    max_centres : int
        So many centres are looked at, the best voted.
    max_points : int
        At most so many edges are used for one ellipse.
    facing : float
        Cosine between an edge's normal and the way to the centre; 0.85 lets ellipses of axis ratio 0.6 pass.
    tolerance_px : float
        Distance from the ellipse at which an edge of the view still belongs to it.
    coverage : float
        Least share of the ring's sectors with an edge that belongs to it.
    """

    short_px: int = 600
    smallest: float = 0.0125
    largest: float = 0.33
    step: float = 1.2
    edges_per_ring: int = 90
    max_edges: int = 40_000
    votes: float = 0.25
    max_centres: int = 40
    max_points: int = 1500
    facing: float = 0.85
    tolerance_px: float = 1.2
    coverage: float = 0.5


@dataclass(frozen=True, eq=False)
class Edges:
    """Edge pixels of a view, n of them.

    Attributes
    ----------
    xy : (n, 2)
        Their places, px of the view.
    normal : (n, 2)
        Unit vectors across them.
    factor : float
        Photo px per view px.
    shape : (h, w)
        Of the view.
    """

    xy: FloatArray
    normal: FloatArray
    factor: float
    shape: tuple[int, int]


def find_edges(rgb: RGBArray, params: SearchParams = SearchParams()) -> Edges:
    """Edges of the reduced photo, in whichever colour they are strongest: copper on skin differs little in light."""
    factor = max(1, round(min(rgb.shape[:2]) / params.short_px))
    h, w = rgb.shape[0] // factor, rgb.shape[1] // factor
    small = cv2.resize(rgb[: h * factor, : w * factor], (w, h), interpolation=cv2.INTER_AREA) if factor > 1 else rgb
    small = cv2.GaussianBlur(small, (0, 0), 1.0)
    dx, dy = cv2.Sobel(small, cv2.CV_16S, 1, 0), cv2.Sobel(small, cv2.CV_16S, 0, 1)
    common = np.median((np.abs(dx[::4, ::4]) + np.abs(dy[::4, ::4])).max(axis=2))
    high = max(24.0, 3.0 * float(common))
    y, x = np.nonzero(cv2.Canny(small, high / 2, high))  # of several channels it takes the steepest
    dx, dy = dx[y, x].astype(float), dy[y, x].astype(float)
    steepest = np.arange(len(x)), (np.abs(dx) + np.abs(dy)).argmax(axis=1)
    normal = np.column_stack([dx[steepest], dy[steepest]])
    strength = np.hypot(*normal.T)
    if len(x) > params.max_edges:
        strongest = np.sort(np.argpartition(strength, -params.max_edges)[-params.max_edges :])
        y, x, normal, strength = y[strongest], x[strongest], normal[strongest], strength[strongest]
    normal /= np.maximum(strength, 1e-9)[:, None]
    return Edges(np.column_stack([x, y]).astype(float), normal, float(factor), (h, w))


def rough_ellipses(edges: Edges, params: SearchParams = SearchParams()) -> FloatArray:
    """Ellipses that many edges lie on.

    Parameters
    ----------
    edges : Edges
        Of the view.
    params : SearchParams
        How.

    Returns
    -------
    (n, 6)
        Centre x, y, semi-axes a >= b (photo px), direction of a (radians), and share of the ring with edges;
        the best covered first.
    """
    found = []
    for x, y, radius in _centres(edges, params):
        away = edges.xy - (x, y)
        distance = np.hypot(*away.T)
        near = (distance > 0.6 * radius) & (distance < 1.55 * radius)
        away, distance, normal = away[near], distance[near], edges.normal[near]
        looks = np.abs((away * normal).sum(axis=1)) > params.facing * distance
        points = away[looks] / radius
        points = points[:: 1 + len(points) // params.max_points]
        for start in (1.0, 1.2):
            ellipse = _anneal(points, start, params.tolerance_px / radius)
            if ellipse is None:
                continue
            share = _coverage(points, ellipse, params.tolerance_px / radius)
            if share >= params.coverage:
                cx, cy, a, b, angle = ellipse
                place = np.array([x + cx * radius, y + cy * radius])
                px, py = (place + 0.5) * edges.factor - 0.5
                size = radius * edges.factor
                found.append((px, py, a * size, b * size, angle, share))
    rings = np.array(found).reshape(-1, 6)
    return _distinct(rings[np.argsort(-rings[:, 5], kind="stable")])


def _centres(edges: Edges, params: SearchParams) -> FloatArray:
    """Centres that edges vote for: (n, 3) x, y and radius in view px, the best voted first."""
    h, w = edges.shape
    radius, short = params.smallest * min(h, w) * 1.1, min(h, w)
    found = []
    while radius < params.largest * short * 1.1:
        every = max(1, int(2 * np.pi * radius / params.edges_per_ring))
        cell = max(1.0, radius / 7)
        xy, normal = edges.xy[::every] / cell, edges.normal[::every] / cell
        rows, columns = int(h / cell) + 1, int(w / cell) + 1
        votes = np.zeros(rows * columns)
        for reach in (-1.06, -0.96, 0.96, 1.06):
            at = (xy + reach * radius * normal + 0.5).astype(int)
            ok = (at[:, 0] >= 0) & (at[:, 1] >= 0) & (at[:, 0] < columns) & (at[:, 1] < rows)
            votes += np.bincount(at[ok, 1] * columns + at[ok, 0], minlength=rows * columns)
        whole = 2 * 2 * np.pi * radius / every
        field = (votes / whole).reshape(rows, columns).astype(np.float32)
        close = cv2.boxFilter(field, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
        around = cv2.blur(close, (11, 11))
        score = close - around
        peak = (score > params.votes) & (score >= cv2.dilate(score, np.ones((3, 3), np.uint8)))
        y, x = np.nonzero(peak)
        found += [(score[j, i], i * cell, j * cell, radius) for j, i in zip(y, x, strict=True)]
        radius *= params.step
    if not found:
        return np.zeros((0, 3))
    order = sorted(found, reverse=True)[: params.max_centres]
    return np.array(order)[:, 1:]


def _design(xy: FloatArray) -> FloatArray:
    x, y = xy.T
    return np.column_stack([x * x - y * y, 2 * x * y, x, y, np.ones_like(x)])


def _anneal(xy: FloatArray, start: float, tolerance: float) -> FloatArray | None:
    """Ellipse (cx, cy, a, b, angle) through points near the circle of radius `start`; all in units of the radius.

    Conics scaled to x^2 + y^2 + p (x^2 - y^2) + 2 q x y + r x + s y + t = 0: linear, and a circle is p = q = 0.
    """
    if len(xy) < 12:
        return None
    level = xy[:, 0] ** 2 + xy[:, 1] ** 2
    design = _design(xy)
    conic = np.array([0, 0, 0, 0, -(start**2)])
    # Sectors with many edges (text, milling) must not outweigh those with few.
    sector = ((np.arctan2(xy[:, 1], xy[:, 0]) / (2 * np.pi) + 0.5) * 36).astype(int) % 36
    for width in (0.13, 0.10, 0.07, 0.05, 0.035, 0.025, 0.02):
        width = max(width, tolerance)
        off = (level + design @ conic) / (2 * np.sqrt(level))
        weight = np.maximum(1 - (off / width) ** 2, 0) ** 2
        share = np.bincount(sector, weight, 36)
        if (share > 0).sum() < 14:
            return None
        weight = weight / np.sqrt(share + 1e-9)[sector]
        normal = design.T @ (design * weight[:, None]) + 1e-6 * np.eye(5)
        conic = -np.linalg.solve(normal, design.T @ (weight * level))
    return from_conic(conic)


def from_conic(conic: FloatArray) -> FloatArray | None:
    """Centre, semi-axes a >= b and direction of a, of the conic of `_anneal`; None where it is no fair ellipse."""
    p, q, r, s, t = conic
    matrix = np.array([[1 + p, q], [q, 1 - p]])
    values, vectors = np.linalg.eigh(matrix)
    if values[0] <= 0.05:
        return None
    centre = -0.5 * np.linalg.solve(matrix, [r, s])
    level = centre @ matrix @ centre - t
    if level <= 0:
        return None
    a, b = np.sqrt(level / values)
    if b < 0.55 * a:
        return None
    return np.array([*centre, a, b, np.arctan2(vectors[1, 0], vectors[0, 0]) % np.pi])


def fit_conic(xy: FloatArray, near: FloatArray) -> FloatArray:
    """The ellipse through points (n, 2) that lie on one, not far from an ellipse `near`."""
    size = near[2]
    scaled = (xy - near[:2]) / size
    conic = -np.linalg.lstsq(_design(scaled), (scaled**2).sum(axis=1), rcond=None)[0]
    fitted = from_conic(conic)
    if fitted is None:
        return near
    return np.concatenate([near[:2] + size * fitted[:2], size * fitted[2:4], fitted[4:]])


def to_circle(xy: FloatArray, ellipse: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Points (n, 2) as seen with the ellipse made a unit circle: angles (n,) about its centre, and radii (n,)."""
    cx, cy, a, b, angle = ellipse[:5]
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = (xy - (cx, cy)).T
    u, v = (cos * x + sin * y) / a, (cos * y - sin * x) / b
    return np.arctan2(v, u), np.hypot(u, v)


def _coverage(xy: FloatArray, ellipse: FloatArray, tolerance: float) -> float:
    """Share of 48 sectors of the ellipse with an edge on it."""
    angle, radius = to_circle(xy, ellipse)
    width = max(1.5 * tolerance / ellipse[3], 0.02)
    on = np.abs(radius - 1) < width
    sectors = ((angle[on] / (2 * np.pi) + 0.5) * 48).astype(int) % 48
    return len(np.unique(sectors)) / 48


def _distinct(rings: FloatArray) -> FloatArray:
    """Drop ellipses that are an earlier one again, to 4 % of its radius."""
    kept = np.zeros((0, 6))
    for ring in rings:
        size = np.sqrt(kept[:, 2] * kept[:, 3]) - np.sqrt(ring[2] * ring[3])
        apart = np.hypot(*(kept[:, :2] - ring[:2]).T) + np.abs(size)
        if not (apart < 0.04 * kept[:, 2]).any():
            kept = np.vstack([kept, ring])
    return kept

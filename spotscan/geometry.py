"""Homographies: projecting, their Jacobian, the tilt they imply, and drawing them from their errors.

A homography is a (3, 3) array (or a stack, (..., 3, 3)) acting on homogeneous columns. Fits work on its eight
free numbers `h`, row by row, the ninth being 1, so the origin must not map to infinity.
"""

from __future__ import annotations

import numpy as np

from spotscan.types import FloatArray

# Corners of the square from -1 to 1 in the order of OpenCV's markers: top-left, then clockwise (y down).
UNIT_CORNERS: FloatArray = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])

# Focal length over the diagonal of the photo. Main cameras of phones are 24 to 28 mm on the 43.3 mm diagonal
# of small film; 2x crops and zooms reach twice that, so the prior is wide.
FOCAL_PER_DIAGONAL = 0.62
FOCAL_SPREAD = 0.3


def matrix(h: FloatArray) -> FloatArray:
    """Eight numbers (..., 8) to homographies (..., 3, 3)."""
    return np.concatenate([h, np.ones((*h.shape[:-1], 1))], axis=-1).reshape(*h.shape[:-1], 3, 3)


def project(homography: FloatArray, xy: FloatArray) -> FloatArray:
    """Map points.

    Parameters
    ----------
    homography : (..., 3, 3)
        One homography, or a stack of S of them.
    xy : (N, 2)
        Points.

    Returns
    -------
    (..., N, 2)
        Mapped points, for each homography of the stack.
    """
    xy = np.asarray(xy, float)
    mapped = xy @ np.swapaxes(homography[..., :2], -1, -2) + homography[..., None, :, 2]
    return np.asarray(mapped[..., :2] / mapped[..., 2:])


def jacobian(homography: FloatArray, xy: FloatArray) -> FloatArray:
    """Derivative of the mapped point by the point: (N, 2, 2) at (N, 2), for one (3, 3) homography."""
    depth = xy @ homography[2, :2] + homography[2, 2]
    image = project(homography, xy)
    return np.asarray((homography[None, :2, :2] - image[:, :, None] * homography[2, :2]) / depth[:, None, None])


def parameter_jacobian(h: FloatArray, xy: FloatArray) -> FloatArray:
    """Derivative of the mapped points by the eight numbers of the homography: (N, 2, 8) at (N, 2)."""
    homography = matrix(h)
    ones, zeros = np.ones(len(xy)), np.zeros(len(xy))
    image = project(homography, xy)
    depth = xy @ homography[2, :2] + 1
    u, v = xy.T
    rows = [
        np.stack([u, v, ones, zeros, zeros, zeros, -image[:, 0] * u, -image[:, 0] * v], axis=-1),
        np.stack([zeros, zeros, zeros, u, v, ones, -image[:, 1] * u, -image[:, 1] * v], axis=-1),
    ]
    return np.asarray(np.stack(rows, axis=1) / depth[:, None, None])


def square_to_quads(quads: FloatArray) -> FloatArray:
    """Homographies from `UNIT_CORNERS` to quadrilaterals (Heckbert 1989): (N, 4, 2) -> (N, 3, 3)."""
    p0, p1, p2, p3 = np.moveaxis(np.asarray(quads, float), 1, 0)
    d1, d2, s = p1 - p2, p3 - p2, p0 - p1 + p2 - p3
    det = d1[:, 0] * d2[:, 1] - d2[:, 0] * d1[:, 1]
    g = (s[:, 0] * d2[:, 1] - d2[:, 0] * s[:, 1]) / det
    k = (d1[:, 0] * s[:, 1] - s[:, 0] * d1[:, 1]) / det
    top = np.stack([p1 - p0 + g[:, None] * p1, p3 - p0 + k[:, None] * p3, p0], axis=-1)
    unit = np.concatenate([top, np.stack([g, k, np.ones_like(g)], axis=-1)[:, None]], axis=1)
    from_square = np.array([(0.5, 0, 0.5), (0, 0.5, 0.5), (0, 0, 1.0)])
    homographies = unit @ from_square
    return np.asarray(homographies / homographies[:, 2:, 2:])


def draw_homographies(h: FloatArray, covariance: FloatArray, n: int = 32) -> FloatArray:
    """Homographies scattered as their error says.

    Moments are matched: the draws have exactly the given mean and covariance, so that few of them suffice.

    Parameters
    ----------
    h : (8,)
        The estimate.
    covariance : (8, 8)
        Its covariance.
    n : int
        How many, > 9.

    Returns
    -------
    (n, 3, 3)
        The same ones at every call (fixed local seed).
    """
    normal = np.random.default_rng(20240601).standard_normal((n, 8))
    normal -= normal.mean(axis=0)
    normal = np.linalg.qr(normal)[0] * np.sqrt(n - 1)
    size = np.sqrt(np.maximum(np.diag(covariance), 1e-30))  # the numbers differ by orders of magnitude
    values, vectors = np.linalg.eigh(covariance / np.outer(size, size))
    root = size[:, None] * vectors * np.sqrt(np.maximum(values, 0))
    return matrix(h + normal @ root.T)


def tilt_deg(mm_to_px: FloatArray, draws: FloatArray, shape: tuple[int, int]) -> float:
    """Angle between the plane's normal and the camera's axis.

    The first two columns of K^-1 H are the plane's axes as the camera sees them, and their cross product is its normal
    (Zhang 2000). The focal length in K is not known: every one within `FOCAL_SPREAD` of a phone's is tried, weighted by
    how far it makes the axes perpendicular and of one length, against the scatter of that over the draws. The principal
    point is taken to be the middle of the photo.

    Parameters
    ----------
    mm_to_px : (3, 3)
        The estimate.
    draws : (S, 3, 3)
        The same, scattered by its errors.
    shape : (height, width)
        Of the photo, px.

    Returns
    -------
    float
        Degrees, 0 to 90.
    """
    height, width = shape
    centred = np.array([(1, 0, -(width - 1) / 2), (0, 1, -(height - 1) / 2), (0, 0, 1.0)])
    seen = centred @ np.concatenate([mm_to_px[None], draws])
    away = np.linspace(-3, 3, 61)  # sigma
    focal = FOCAL_PER_DIAGONAL * np.hypot(height, width) * np.exp(FOCAL_SPREAD * away)
    lens = np.stack([focal, focal, np.ones_like(focal)], axis=-1)
    axes = seen[:, :, :2] / lens[:, None, :, None]  # (focal, draw, xyz, axis)
    a, b = axes[..., 0], axes[..., 1]
    aa, bb, ab = (a * a).sum(axis=-1), (b * b).sum(axis=-1), (a * b).sum(axis=-1)
    misfit = np.stack([(aa - bb) / 2, ab], axis=-1) / np.sqrt(aa * bb)[..., None]
    rest = misfit[:, 1:] - misfit[:, 1:].mean(axis=1, keepdims=True)
    scatter = np.einsum("fsi,fsj->fij", rest, rest) / (len(draws) - 1) + 1e-8 * np.eye(2)
    best = misfit[:, 0]
    cost = np.einsum("fi,fi->f", best, np.linalg.solve(scatter, best[..., None])[..., 0]) + away**2
    normal = np.cross(a[:, 0], b[:, 0])
    tilts = np.arccos(np.minimum(1.0, np.abs(normal[:, 2]) / np.linalg.norm(normal, axis=-1)))
    return float(np.degrees(np.average(tilts, weights=np.exp(-0.5 * (cost - cost.min())))))


def last_one(homography: FloatArray) -> FloatArray:
    """The same homography, or homographies (..., 3, 3), scaled so that the last element is 1."""
    return np.asarray(homography / homography[..., 2:, 2:])

"""The plane that several squares lie in.

One square fixes a homography, but over its own length only: its perspective is weak and what lies beside it
is extrapolated. Squares of one known side in one plane, wherever they lie and however they are turned, fix
it over all of them: each adds eight numbers and three unknowns. With a known layout each adds eight and
none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spotscan.geometry import (
    UNIT_CORNERS,
    jacobian,
    matrix,
    parameter_jacobian,
    project,
    square_to_quads,
)
from spotscan.references.edges import Square
from spotscan.types import FloatArray


@dataclass(frozen=True, eq=False)
class Plane:
    """A fitted plane.

    Attributes
    ----------
    h : (8,)
        Homography mm -> px, in units of half a side about the first square's centre (or the layout's).
    covariance : (8, 8)
        Of `h`, already enlarged by `misfit`.
    to_mm : (3, 3)
        From those units to mm.
    shift_px : float
        Common displacement of all edges towards white.
    misfit : float
        Square root of chi^2 per degree of freedom, at least 1 (Birge ratio); 1 without degrees of freedom.
    residual_px : float
        RMS distance of the corners from the fit.
    """

    h: FloatArray
    covariance: FloatArray
    to_mm: FloatArray
    shift_px: float
    misfit: float
    residual_px: float


def _poses(pose: FloatArray) -> FloatArray:
    """Corners of squares of half side 1 at (x, y, angle): (N, 3) -> (N, 4, 2)."""
    cos, sin = np.cos(pose[:, 2]), np.sin(pose[:, 2])
    turn = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], axis=1)
    return np.asarray(np.einsum("nij,kj->nki", turn, UNIT_CORNERS) + pose[:, None, :2])


def _pose_of(corners: FloatArray) -> FloatArray:
    """Poses (N, 3) of squares seen as (N, 4, 2), by least squares."""
    centre = corners.mean(axis=1)
    along = (corners[:, 1] - corners[:, 0] + corners[:, 2] - corners[:, 3]) / 4
    return np.column_stack([centre, np.arctan2(along[:, 1], along[:, 0])])


def _model(parameters: FloatArray, fixed: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Predicted measurements (N, 9), and their derivatives by h, shift and (unless fixed) the poses: (N, 9,
    P).
    """
    h, shift, pose = parameters[:8], parameters[8], parameters[9:].reshape(-1, 3)
    corners = _poses(pose) if fixed is None else fixed
    n, points = len(corners), corners.reshape(-1, 2)
    predicted = np.column_stack([project(matrix(h), points).reshape(n, 8), np.full(n, shift)])
    derivative = np.zeros((n, 9, len(parameters)))
    derivative[:, :8, :8] = parameter_jacobian(h, points).reshape(n, 8, 8)
    derivative[:, 8, 8] = 1
    if fixed is None:
        slope = jacobian(matrix(h), points).reshape(n, 4, 2, 2)
        arm = corners - pose[:, None, :2]
        by_angle = np.einsum("nkij,nkj->nki", slope, np.stack([-arm[..., 1], arm[..., 0]], axis=-1))
        by_pose = np.concatenate([slope, by_angle[..., None]], axis=-1).reshape(n, 8, 3)
        for index in range(1, n):  # the first square is the frame
            derivative[index, :8, 9 + 3 * index : 12 + 3 * index] = by_pose[index]
    return predicted, derivative


def fit_plane(squares: Sequence[Square], layout: FloatArray | None = None, side_mm: float = 1.0) -> Plane:
    """Fit the homography that makes all squares what they are known to be.

    Least squares (Levenberg-Marquardt) weighted by the full covariances of the squares; the shift of the
    edges, which the camera gives all squares alike, is common.

    Parameters
    ----------
    squares : sequence of Square
        At least one.
    layout : (N, 4, 2), optional
        Where their corners are, mm. By default anywhere: squares of side `side_mm`, any place, any rotation.
    side_mm : float
        Their side.

    Returns
    -------
    Plane
        The fit; look at `residual_px` before believing that the squares lie in one plane.
    """
    measured: FloatArray = np.array([[*square.corners_px.ravel(), square.shift_px] for square in squares])
    whiten = np.linalg.inv(np.linalg.cholesky([_regular(square.covariance) for square in squares]))
    seen = measured[:, :8].reshape(-1, 4, 2)
    unit = side_mm / 2
    origin = np.zeros(2) if layout is None else layout.mean(axis=(0, 1))
    if layout is None:
        start = _rectify(seen)
        flat = project(np.asarray(np.linalg.inv(start)), seen.reshape(-1, 2))
        pose = _pose_of(flat.reshape(-1, 4, 2))
        pose[0] = 0
        fixed = None
    else:
        fixed = (layout - origin) / unit
        start = _homography(fixed.reshape(-1, 2), seen.reshape(-1, 2))
        pose = np.zeros((0, 3))
    first = np.concatenate([start.ravel()[:8], [measured[:, 8].mean()], pose.ravel()])
    solution, white, normal = _levenberg_marquardt(first, measured, whiten, fixed)
    predicted, _ = _model(solution, fixed)
    degrees = 9 * len(squares) - 9 - 3 * max(len(pose) - 1, 0)
    misfit = max(1.0, float(np.sqrt((white**2).sum() / degrees))) if degrees else 1.0
    rms = float(np.sqrt(((measured - predicted)[:, :8] ** 2).sum() / (4 * len(squares))))
    to_mm = np.array([(unit, 0, origin[0]), (0, unit, origin[1]), (0, 0, 1.0)])
    return Plane(solution[:8], normal[:8, :8] * misfit**2, to_mm, float(solution[8]), misfit, rms)


def _levenberg_marquardt(
    first: FloatArray, measured: FloatArray, whiten: FloatArray, fixed: FloatArray | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Least squares: the solution (P,), its whitened residuals and its covariance (P, P)."""

    def whitened(parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        predicted, derivative = _model(parameters, fixed)
        residual = np.einsum("nij,nj->ni", whiten, measured - predicted).ravel()
        return residual, np.einsum("nij,njp->nip", whiten, derivative).reshape(len(residual), -1)

    now, damping = first, 1e-4
    residual, design = whitened(now)
    for _ in range(30):
        size = np.maximum(np.linalg.norm(design, axis=0), 1e-9)
        scaled = design / size
        step = np.linalg.solve(scaled.T @ scaled + damping * np.eye(len(now)), scaled.T @ residual) / size
        tried, tried_design = whitened(now + step)
        if not (tried @ tried <= residual @ residual):
            damping *= 10
            if damping > 1e6:
                break
            continue
        gain = residual @ residual - tried @ tried
        now, residual, design, damping = now + step, tried, tried_design, damping / 10
        if gain < 1e-4:
            break
    size = np.maximum(np.linalg.norm(design, axis=0), 1e-9)
    inverse = np.linalg.pinv((design / size).T @ (design / size), hermitian=True)
    return now, residual, inverse / np.outer(size, size)


def _rectify(seen: FloatArray) -> FloatArray:
    """Start: homography from half sides of the first square to px, from equal squares seen as (N, 4, 2).

    The area of a small figure of the plane goes with the cube of a linear function of its place in the
    photo, the one that vanishes on the horizon; and once the horizon is at infinity, the squares are
    parallelograms of one metric.
    """
    if len(seen) == 1:
        return np.asarray(square_to_quads(seen)[0])
    centre, spread = seen.mean(axis=(0, 1)), seen.std()
    normalise = np.array([(1 / spread, 0, -centre[0] / spread), (0, 1 / spread, -centre[1] / spread), (0, 0, 1)])
    corners = (seen - centre) / spread
    diagonals = corners[:, 2:] - corners[:, :2]
    areas = diagonals[:, 0, 0] * diagonals[:, 1, 1] - diagonals[:, 0, 1] * diagonals[:, 1, 0]
    places = np.column_stack([corners.mean(axis=1), np.ones(len(seen))])
    # The cut-off leaves perspective across a row of squares at zero instead of at chance.
    horizon = np.linalg.lstsq(places, np.cbrt(areas), rcond=0.05)[0]
    flatten = np.eye(3)
    flatten[2] = horizon / horizon[2]
    flat = project(flatten, corners.reshape(-1, 2)).reshape(-1, 4, 2)
    right = (flat[:, 1] - flat[:, 0] + flat[:, 2] - flat[:, 3]) / 4
    down = (flat[:, 3] - flat[:, 0] + flat[:, 2] - flat[:, 1]) / 4
    rows = [
        np.column_stack([a[:, 0] * b[:, 0], a[:, 0] * b[:, 1] + a[:, 1] * b[:, 0], a[:, 1] * b[:, 1]])
        for a, b in ((right, right), (down, down), (right, down))
    ]
    target = np.repeat([1.0, 1.0, 0.0], len(seen))
    xx, xy, yy = np.linalg.lstsq(np.concatenate(rows), target, rcond=None)[0]
    values, vectors = np.linalg.eigh(np.array([(xx, xy), (xy, yy)]))
    metric = np.eye(3)
    metric[:2, :2] = (vectors * np.sqrt(np.maximum(values, 1e-6 * abs(values[1])))) @ vectors.T
    to_plane = metric @ flatten @ normalise
    x, y, angle = _pose_of(project(to_plane, seen[0])[None])[0]
    cos, sin = np.cos(angle), np.sin(angle)
    place = np.array([(cos, -sin, x), (sin, cos, y), (0, 0, 1.0)])
    start = np.linalg.inv(to_plane) @ place
    return np.asarray(start / start[2, 2])


def _regular(covariance: FloatArray) -> FloatArray:
    """Keep a covariance invertible where the edges left a direction almost exact."""
    return np.asarray(covariance + np.eye(9) * (1e-6 + 1e-4 * np.trace(covariance) / 9))


def _homography(source: FloatArray, target: FloatArray) -> FloatArray:
    """Direct linear transform (Hartley and Zisserman 2004, 4.1) with the target normalised: (3, 3)."""
    mean, spread = target.mean(axis=0), target.std()
    u, v = source.T
    x, y = ((target - mean) / spread).T
    one, zero = np.ones_like(u), np.zeros_like(u)
    rows = np.concatenate(
        [
            np.column_stack([u, v, one, zero, zero, zero, -x * u, -x * v, -x]),
            np.column_stack([zero, zero, zero, u, v, one, -y * u, -y * v, -y]),
        ]
    )
    normalised = np.linalg.svd(rows)[2][-1].reshape(3, 3)
    scale = np.array([(spread, 0, mean[0]), (0, spread, mean[1]), (0, 0, 1.0)])
    homography = scale @ normalised
    return np.asarray(homography / homography[2, 2])

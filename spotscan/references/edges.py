"""A marker's place to a few hundredths of a pixel, from all edges of its pattern at full resolution.

The pattern is known once the marker is read, so every edge between a black and a white module is a
measurement of the homography: profiles across it, in linear light, cross the level half-way between the two
modules somewhere, and least squares move the homography there. The crossing is off the true edge by an
amount `shift_px` that depends on the camera's tone curve, on sharpening and blur, and on how far the ink
spread; it enlarges all black areas alike. Edges of both polarities tell it apart from the scale, so it is
solved for. On real photos it reached 0.3 px, which from the outer square alone (as with `cornerSubPix`) would
have been an error of 1 % on a marker of 60 px.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spotscan.colour import SRGB_TO_LINEAR
from spotscan.geometry import (
    UNIT_CORNERS,
    jacobian,
    matrix,
    parameter_jacobian,
    project,
    square_to_quads,
)
from spotscan.references.detect import Marker
from spotscan.types import BoolArray, FloatArray, RGBArray


@dataclass(frozen=True)
class EdgeParams:
    """How edges are measured.

    Attributes
    ----------
    along : tuple of float
        Where along a module's edge profiles are taken, 0 to 1; away from its ends, which blur rounds.
    samples : int
        Samples of a profile.
    reach_px : float
        Half the length of a profile in the last rounds, px; half a module where that is less.
    rounds : int
        Rounds of least squares; the first reaches half a module far, as the detection may be off.
    outlier : float
        Residuals beyond this many robust sigmas lose weight (Tukey's biweight; 4.7 keeps 95 % efficiency).
    floor_px : float
        Least 1-sigma error of one module's edge: interpolation, paper and ink.
    line_modules : float
        1-sigma displacement of the lines between modules from their even spacing, in modules. Markers are
        often drawn as pictures whose modules are not whole pixels, or snapped to the printer's dots (0.04
        mm of 1.6 mm).
    fit_modules : float
        An edge this near to its place, in modules, is where it should be; blur and noise stay within half
        of it.
    crowded_module_px, crowded_px : float
        In modules smaller than this the blur of a sharp photo (0.7 px) reaches from edge to edge and the
        middles are neither black nor white. Drawn markers then come out wrong by up to 0.1 px at 2 px per
        module and 0.02 at 3; 1-sigma error of the edges at half that size of module.
    min_edges : int
        Fewer measured edges than this: the marker is not refined.
    """

    along: tuple[float, ...] = (0.25, 0.5, 0.75)
    samples: int = 17
    reach_px: float = 4.0
    rounds: int = 4
    outlier: float = 4.7
    floor_px: float = 0.02
    line_modules: float = 0.02
    fit_modules: float = 0.1
    crowded_module_px: float = 3.5
    crowded_px: float = 0.1
    min_edges: int = 24


@dataclass(frozen=True, eq=False)
class Square:
    """A measured marker.

    Attributes
    ----------
    marker : Marker
        As it was read.
    corners_px : (4, 2)
        Corners of its black square.
    shift_px : float
        How far all its edges stand towards white.
    covariance : (9, 9)
        Of the eight coordinates x0, y0, x1 ... and `shift_px`, px^2.
    fit : float
        Share of the pattern's edges that are where they should be, 0 to 1, inner or outer, the lesser; NaN
        where they could not be measured.
    """

    marker: Marker
    corners_px: FloatArray
    shift_px: float
    covariance: FloatArray
    fit: float


@dataclass(frozen=True, eq=False)
class _Edges:
    """The E edges of a pattern, in the square from -1 to 1, each with K places for profiles.

    Attributes
    ----------
    points : (E * K, 2)
        The places.
    along, across : (E * K, 2)
        One module along the edge; one module across it, towards white.
    lines : (E, 2 (m - 1))
        Which inner line of the pattern an edge lies on: 1 where white is on the side of larger coordinates,
        else -1; all 0 for the outer square.
    """

    points: FloatArray
    along: FloatArray
    across: FloatArray
    lines: FloatArray


def _edges(cells: BoolArray, places: FloatArray) -> _Edges:
    modules = len(cells)
    padded = np.pad(cells, 1, constant_values=True).astype(int)
    points, alongs, acrosses, lines = [], [], [], []
    for axis in (0, 1):  # between rows: edges along x; between columns: along y
        step = np.diff(padded, axis=axis)
        index = np.argwhere(step)
        sign = step[index[:, 0], index[:, 1]]
        start = index[:, ::-1] - 1.0  # (x, y) of the module before the edge, without the padding
        start[:, 1 - axis] += 1
        along, across = np.zeros((len(index), 2)), np.zeros((len(index), 2))
        along[:, axis], across[:, 1 - axis] = 1, sign
        line = index[:, axis]
        inner = np.flatnonzero((line > 0) & (line < modules))
        on = np.zeros((len(index), 2, modules + 1))
        on[inner, axis, line[inner]] = sign[inner]
        points.append(start[:, None] + places[:, None] * along[:, None])
        alongs.append(along)
        acrosses.append(across)
        lines.append(on[:, :, 1:-1].reshape(len(index), -1))
    along, across = (np.concatenate(parts) * 2 / modules for parts in (alongs, acrosses))
    return _Edges(
        points=np.concatenate(points).reshape(-1, 2) * 2 / modules - 1,
        along=np.repeat(along, len(places), axis=0),
        across=np.repeat(across, len(places), axis=0),
        lines=np.concatenate(lines),
    )


def sample_linear(rgb: RGBArray, xy: FloatArray) -> FloatArray:
    """Linear light of the green channel at (..., 2) px, bilinear; NaN outside the photo.

    Green alone: it has most of the light and half of the sensor's pixels, and no colour fringes between
    channels.
    """
    height, width = rgb.shape[:2]
    x, y = xy[..., 0], xy[..., 1]
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    x, y = np.where(inside, x, 0), np.where(inside, y, 0)
    column, row = np.minimum(x.astype(int), width - 2), np.minimum(y.astype(int), height - 2)
    fx, fy = x - column, y - row
    green = rgb[..., 1]

    def at(dy: int, dx: int) -> NDArray[np.float32]:
        return np.asarray(SRGB_TO_LINEAR[green[row + dy, column + dx]])

    top = at(0, 0) * (1 - fx) + at(0, 1) * fx
    bottom = at(1, 0) * (1 - fx) + at(1, 1) * fx
    return np.asarray(np.where(inside, top * (1 - fy) + bottom * fy, np.nan))


def _crossings(profiles: FloatArray, level: FloatArray, steps: FloatArray) -> FloatArray:
    """Where rising profiles (N, K) cross their level (N,), the crossing nearest the middle; NaN where none
    does.
    """
    below = profiles - level[:, None]
    rising = (below[:, :-1] < 0) & (below[:, 1:] >= 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        place = np.arange(profiles.shape[1] - 1) - below[:, :-1] / np.diff(below, axis=1)
    distance = np.where(rising, np.abs(place - (profiles.shape[1] - 1) / 2), np.inf)
    nearest = distance.argmin(axis=1)[:, None]
    crossing = np.take_along_axis(place, nearest, axis=1)[:, 0] * (steps[1] - steps[0]) + steps[0]
    return np.asarray(np.where(np.isfinite(distance.min(axis=1)), crossing, np.nan))


def _measure(
    rgb: RGBArray, h: FloatArray, edges: _Edges, reach_px: float, params: EdgeParams
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Look where the edges are.

    Returns their offsets from where `h` puts them, px towards white (E,), NaN where not seen; the
    derivatives of these by h, by the shift and by the displacements of the inner lines, in modules (E, 9 +
    2 (m - 1)); and the size of a module across each edge, px (E,).
    """
    homography = matrix(h)
    xy, slope = project(homography, edges.points), jacobian(homography, edges.points)
    tangent = np.einsum("nij,nj->ni", slope, edges.along)
    to_white = np.einsum("nij,nj->ni", slope, edges.across)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=-1)
    normal *= (np.sign((normal * to_white).sum(1)) / np.linalg.norm(normal, axis=1))[:, None]
    module = (normal * to_white).sum(1)
    # Profiles run from the middle of one module to that of the other, aslant where the marker is seen so:
    # straight across they would leave a slanted module. The levels come from the middles, just short of the
    # white zone's.
    way = to_white / 2
    dark, bright = (sample_linear(rgb, xy + part * way) for part in (-0.9, 0.9))
    reach = np.minimum(1, reach_px / (module / 2))
    steps = np.linspace(-1, 1, params.samples)
    profiles = sample_linear(rgb, xy[:, None] + (reach[:, None] * steps)[..., None] * way[:, None])
    offset = _crossings(profiles, (dark + bright) / 2, steps) * reach * module / 2
    offset[~(bright > dark)] = np.nan
    by_h = np.einsum("ni,nij->nj", normal, parameter_jacobian(h, edges.points))
    rows = np.column_stack([np.nan_to_num(offset), by_h, np.ones(len(module)), module])
    # The profiles of one edge share pixels and their module's neighbours: they are one measurement.
    known = np.isfinite(offset).reshape(len(edges.lines), -1)
    weight = known / np.maximum(known.sum(1, keepdims=True), 1)
    rows = (rows.reshape(*known.shape, -1) * weight[..., None]).sum(1)
    offset, module = np.where(known.mean(1) > 0.5, rows[:, 0], np.nan), rows[:, -1]
    return offset, np.column_stack([rows[:, 1:-1], edges.lines * module[:, None]]), module


def _solve(
    offset: FloatArray, design: FloatArray, outlier: float, params: EdgeParams
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Robust least squares for the change of h and the shift: (9,), its covariance (9, 9), residuals (E,)."""
    size = np.maximum(np.linalg.norm(design, axis=0), 1e-9)
    size[9:] = 1.0
    scaled = design / size
    prior = np.full(len(size), 1e-12)  # keeps the equations solvable
    weight = np.ones(len(offset))
    for _ in range(5):
        normal = scaled.T @ (scaled * weight[:, None]) + np.diag(prior)
        solution = np.linalg.solve(normal, scaled.T @ (weight * offset))
        residual = offset - scaled @ solution
        sigma = max(1.4826 * float(np.median(np.abs(residual))), params.floor_px)
        weight = np.maximum(1 - (residual / (outlier * sigma)) ** 2, 0) ** 2
        prior[9:] = (sigma / params.line_modules) ** 2
    inverse = np.linalg.pinv(scaled.T @ (scaled * weight[:, None]) + np.diag(prior), hermitian=True)
    used = 9 + float((1 - prior[9:] * np.diag(inverse)[9:]).sum())  # a line held by its prior uses no freedom
    degrees = max(float(weight.sum()) - used, 1.0)
    variance = max(float((weight * residual**2).sum()) / degrees, params.floor_px**2)
    return solution[:9] / size[:9], variance * inverse[:9, :9] / np.outer(size[:9], size[:9]), residual


def measure_square(rgb: RGBArray, marker: Marker, params: EdgeParams = EdgeParams()) -> Square:
    """Measure a marker that was read.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        The photo, full resolution.
    marker : Marker
        What to measure.
    params : EdgeParams
        How.

    Returns
    -------
    Square
        Where too few edges can be seen (modules of less than about 2 px), the corners of the detection with
        their error.
    """
    edges = _edges(marker.cells, np.array(params.along))
    h = square_to_quads(marker.corners_px[None])[0].ravel()[:8]
    for round_ in range(params.rounds):
        reach = params.reach_px if round_ else np.inf
        offset, design, module = _measure(rgb, h, edges, reach, params)
        seen = np.isfinite(offset)
        if seen.sum() < params.min_edges:
            return _unrefined(marker)
        # At first a corner may be off by pixels: no edge is an outlier yet.
        outlier = params.outlier if round_ else np.inf
        change, covariance, residual = _solve(offset[seen], design[seen], outlier, params)
        h = h + change[:8]
        moved = np.abs(project(matrix(h), UNIT_CORNERS) - marker.corners_px).max()
        if not moved < np.ptp(marker.corners_px, axis=0).max() / len(marker.cells):
            return _unrefined(marker)
        if round_ and np.abs(parameter_jacobian(h, UNIT_CORNERS) @ change[:8]).max() < 0.005:
            break
    placed = np.zeros(len(module))
    placed[seen] = np.abs(residual) < params.fit_modules * module[seen]
    outer = ~edges.lines.any(axis=1)
    fit = float(min(placed[outer].mean(), placed[~outer].mean()))  # a sound frame does not make a marker
    to_corners = np.zeros((9, 9))
    to_corners[:8, :8] = parameter_jacobian(h, UNIT_CORNERS).reshape(8, 8)
    to_corners[8, 8] = 1
    corners = project(matrix(h), UNIT_CORNERS)
    # What crowding adds grows or shrinks the whole square.
    outward = np.append((UNIT_CORNERS @ jacobian(matrix(h), np.zeros((1, 2)))[0].T).ravel(), 0)
    outward *= 2 * params.crowded_px * max(0.0, 1 - float(module.min()) / params.crowded_module_px)
    outward /= np.sqrt(abs(np.linalg.det(jacobian(matrix(h), np.zeros((1, 2)))[0])))
    total = to_corners @ covariance @ to_corners.T + np.outer(outward, outward)
    return Square(marker, corners, float(change[8]), total, fit)


def _unrefined(marker: Marker) -> Square:
    variances = np.full(9, (0.5 * marker.precision_px) ** 2)
    return Square(marker, marker.corners_px, 0.0, np.diag(variances), float("nan"))

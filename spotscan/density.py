"""How many marks per area of skin, and whether they stand in groups.

Everything is measured in the plane of the reference (mm) where there is a scale, and in photo pixels
otherwise; the window of every statement about chance is the visible skin itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.types import Cluster, Density, FloatArray, Scale, Skin


@dataclass(frozen=True)
class DensityParams:
    """Parameters of the density stage.

    Attributes
    ----------
    false_alarm : float
        Chance, at most, that marks scattered at random over the skin show any cluster: 5 %, the usual level.
    min_cluster : int
        Smallest number of marks within reach of one (itself counted) that is called a cluster. To stand out
        from chance, four would have to lie closer together than marks are wide.
    max_radius_mm : float
        Marks further apart than this, mm, are never neighbours: nobody would see a group.
    min_relative_scale : float
        Marks and skin where the local scale is less than this share of the scale at the reference are left
        out: that far off, the plane of the reference says nothing about the body. Only steep tilt comes
        near it.
    simulations : int
        Random patterns for the Clark-Evans index; 199 give p-values down to 0.005.
    simulated_points : int
        Fewer simulations (39 at least: p down to 0.025) once they would need more points than this in all,
        for time.
    grid : int
        Cells on the long side of the grid on which skin area is summed; each counts with its share of skin,
        so that 128 err by less than 0.1 % (tested).
    seed : int
        Of the local random generator: equal input, equal output.
    """

    false_alarm: float = 0.05
    min_cluster: int = 5
    max_radius_mm: float = 10.0
    min_relative_scale: float = 0.2
    simulations: int = 199
    simulated_points: int = 200_000
    grid: int = 128
    seed: int = 20240917


@dataclass(frozen=True, eq=False)
class _Window:
    """The visible skin as grid cells: upper left corners (c, 2), size (2,), photo px; skin (c,), unit^2."""

    corner_px: FloatArray
    cell_px: FloatArray
    area: FloatArray

    def scatter(self, rng: np.random.Generator, n: int) -> FloatArray:
        """`n` positions, photo px, uniform over the area of the skin."""
        cumulative = np.cumsum(self.area)
        cell = np.searchsorted(cumulative, rng.random(n) * cumulative[-1], side="right")
        cell = np.minimum(cell, len(self.area) - 1)
        return np.asarray(self.corner_px[cell] + rng.random((n, 2)) * self.cell_px)


def measure_density(
    centre_px: FloatArray, skin: Skin, scale: Scale | None, params: DensityParams | None = None
) -> Density:
    """Density of the marks on the visible skin, their clusters, and the Clark-Evans index.

    Parameters
    ----------
    centre_px : (n, 2) float64
        Centres of the marks, photo px.
    skin : Skin
        The visible skin; its mask is the window of the pattern.
    scale : Scale or None
        With it all distances are mm in the reference's plane, without it photo px.
    params : DensityParams, optional
        Defaults to ``DensityParams()``.

    Returns
    -------
    Density
        `skin_area_cm2` and densities are None without a scale or skin. `clark_evans` and `p_random` are
        None for fewer than 3 marks (two share one distance: no pattern) and without skin. Clusters are
        numbered by falling size.

    Notes ----- Clusters are those of DBSCAN (Ester et al. 1996). Its two parameters follow from complete
    spatial randomness: among n marks at random on area A, the number of others within r of one is
    Binomial(n - 1, pi r^2 / A) at most (less at the edge). r is the distance at which `min_samples` - 1 or
    more others have probability ``false_alarm / n``, so that by Bonferroni's inequality a random pattern
    shows any cluster with probability ``false_alarm`` at most. `min_samples` grows as 2 ln n (5 for 10
    marks, 9 for 80, 17 for 5000): more marks in all make larger groups the rule by chance, and let fainter
    ones be seen.

    The Clark-Evans index (1954) is corrected for the edge by simulation in the same window (Donnelly 1978
    has the formula for rectangles only): mean nearest-neighbour distance over that of n marks uniform on
    this skin.
    """
    params = params or DensityParams()
    centre_px = np.asarray(centre_px, float).reshape(-1, 2)
    window = _skin_window(skin, scale, params)
    area = float(window.area.sum())
    member = np.zeros(len(centre_px), np.int64)
    if area == 0:
        return Density(None, None, (), member, None, None)
    believed = np.flatnonzero(_believed(centre_px, scale, params))
    xy = _to_plane(centre_px[believed], scale)
    member[believed] = find_clusters(xy, *_reach(len(xy), area, scale, params))
    index, p_random = _clark_evans(xy, window, scale, params)
    return Density(
        skin_area_cm2=area / 100 if scale else None,
        spots_per_cm2=len(xy) / (area / 100) if scale else None,
        clusters=tuple(_describe(i, centre_px[member == i], scale) for i in range(1, member.max(initial=0) + 1)),
        membership=member,
        clark_evans=index,
        p_random=p_random,
    )


def _to_plane(xy_px: FloatArray, scale: Scale | None) -> FloatArray:
    return scale.to_mm(xy_px) if scale else xy_px


def _believed(xy_px: FloatArray, scale: Scale | None, params: DensityParams) -> NDArray[np.bool_]:
    """Where the plane of the reference holds: (n,) bool. Beyond its horizon nothing has a place in it."""
    if scale is None:
        return np.asarray(np.isfinite(xy_px).all(axis=1))
    row = scale.px_to_mm[2]
    depth = (xy_px @ row[:2] + row[2]) / (scale.centre_px @ row[:2] + row[2])
    # The local scale goes as the power 3/2 of the homogeneous coordinate (see `types._local_px_per_mm`).
    return np.asarray(depth > params.min_relative_scale ** (2 / 3))


def _skin_window(skin: Skin, scale: Scale | None, params: DensityParams) -> _Window:
    h, w = skin.mask.shape
    shrink = max(1.0, max(h, w) / params.grid)
    cols, rows = max(1, round(w / shrink)), max(1, round(h / shrink))
    share = cv2.resize(skin.mask.astype(np.float32), (cols, rows), interpolation=cv2.INTER_AREA)
    cell_px = np.array([w / cols, h / rows]) * skin.factor
    row, col = np.nonzero(share)
    corner = np.column_stack([col, row]) * cell_px - 0.5
    middle = corner + cell_px / 2
    area = share[row, col] * cell_px.prod()
    if scale:
        keep = _believed(middle, scale, params)
        corner, area = corner[keep], area[keep] / scale.px_per_mm_at(middle[keep]) ** 2
    return _Window(corner, cell_px, np.asarray(area, float))


def _reach(n: int, area: float, scale: Scale | None, params: DensityParams) -> tuple[float, int]:
    """Radius (mm or px) and `min_samples` of DBSCAN; see the notes of `measure_density`."""
    min_samples = max(params.min_cluster, round(2 * np.log(max(n, 1))))
    if n < min_samples:
        return 0.0, min_samples
    from scipy.special import betaincinv  # 0.1 s to import

    # P(Binomial(n - 1, q) >= k) is the regularised incomplete beta function I_q(k, n - k).
    k = min_samples - 1
    share = float(betaincinv(k, n - k, params.false_alarm / n))
    radius = float(np.sqrt(share * area / np.pi))
    return (min(radius, params.max_radius_mm) if scale else radius), min_samples


def find_clusters(xy: FloatArray, radius: float, min_samples: int) -> NDArray[np.int64]:
    """DBSCAN (Ester et al. 1996) of points in the plane.

    Parameters
    ----------
    xy : (n, 2) float64
        Points.
    radius : float
        Points at this distance or nearer are neighbours; same unit as `xy`.
    min_samples : int
        A point with so many neighbours, itself counted, is a core point.

    Returns
    -------
    (n,) int64
        Cluster of each point from 1, by falling size and then by first point; 0 in none. Core points within
        `radius` of each other share a cluster; other points join that of the nearest core point within
        `radius` (the original leaves the choice to the order of the points).
    """
    label = np.zeros(len(xy), np.int64)
    if len(xy) < min_samples:
        return label
    # Imported here: 0.3 s that a photo with few marks need not pay; sklearn's DBSCAN would cost 1.2 s.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    pairs = cKDTree(xy).query_pairs(radius, output_type="ndarray")
    core = 1 + np.bincount(pairs.ravel(), minlength=len(xy)) >= min_samples
    if not core.any():
        return label
    a, b = pairs[core[pairs].all(axis=1)].T
    links = coo_array((np.ones(len(a), bool), (a, b)), shape=(len(xy), len(xy)))
    label[core] = 1 + connected_components(links, directed=False)[1][core]
    distance, nearest = cKDTree(xy[core]).query(xy[~core])
    label[~core] = np.where(distance <= radius, label[core][nearest], 0)
    return _by_size(label)


def _by_size(label: NDArray[np.int64]) -> NDArray[np.int64]:
    names, first, inverse, size = np.unique(label, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -size, names != 0))  # 0, which is no cluster, stays first
    new = np.empty(len(names), np.int64)
    new[order] = np.arange(len(names)) + (names[0] != 0)
    return new[inverse]


def _describe(number: int, xy_px: FloatArray, scale: Scale | None) -> Cluster:
    hull = cv2.convexHull(xy_px.astype(np.float32))[:, 0].astype(float)
    density = _hull_density(_to_plane(xy_px, scale)) if scale else None
    return Cluster(number, len(xy_px), density, hull)


def _hull_density(xy_mm: FloatArray) -> float | None:
    """Marks per cm2 over the hull grown by half the mean neighbour distance; None where all coincide."""
    hull = cv2.convexHull(xy_mm.astype(np.float32))
    grow = _mean_neighbour_distance(xy_mm) / 2
    # Steiner's formula: the area of a convex set grown by a disc.
    area = cv2.contourArea(hull) + cv2.arcLength(hull, closed=True) * grow + np.pi * grow**2
    return float(len(xy_mm) / area * 100) if area > 0 else None


def _mean_neighbour_distance(xy: FloatArray) -> float:
    from scipy.spatial import cKDTree, distance

    if len(xy) <= 200:  # all distances, in less time than a tree takes to grow
        apart = distance.cdist(xy, xy)
        np.fill_diagonal(apart, np.inf)
        return float(apart.min(axis=1).mean())
    # A plain tree: building a balanced one takes longer than the one query it is for.
    tree = cKDTree(xy, balanced_tree=False, compact_nodes=False)
    return float(tree.query(xy, k=2)[0][:, 1].mean())


def _clark_evans(
    xy: FloatArray, window: _Window, scale: Scale | None, params: DensityParams
) -> tuple[float | None, float | None]:
    """Clark-Evans index and its two-sided Monte Carlo p-value (Besag & Diggle 1977)."""
    if len(xy) < 3:
        return None, None
    rng = np.random.default_rng(params.seed)
    m = int(np.clip(params.simulated_points // len(xy), 39, params.simulations))
    patterns = _to_plane(window.scatter(rng, m * len(xy)), scale).reshape(m, len(xy), 2)
    chance = [_mean_neighbour_distance(pattern) for pattern in patterns]
    observed = _mean_neighbour_distance(xy)
    # Centred on the mean of all m + 1 values, which chance makes exchangeable: the p-value is exact.
    deviation = np.abs(np.array([observed, *chance]) - np.mean([observed, *chance]))
    p_random = np.count_nonzero(deviation >= deviation[0]) / (m + 1)
    return observed / float(np.mean(chance)), p_random

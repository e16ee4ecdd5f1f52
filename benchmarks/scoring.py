"""How benchmarks count: hits on drawn marks, false alarms on photos, coverage of stated errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

FloatArray = NDArray[np.float64]


def pair_up(found: FloatArray, truth: FloatArray, diameter: FloatArray) -> NDArray[np.int64]:
    """Which detection is which mark: rows of (truth, found), one to one, nearest first.

    Parameters
    ----------
    found, truth : (n, 2), (m, 2) px
        Centres.
    diameter : (m,) px
        A detection can be a mark's when its centre lies within 0.65 diameters of the mark's centre (0.5
        is the outline if round) and never has to be nearer than 2 px.
    """
    found, truth = np.reshape(found, (-1, 2)), np.reshape(truth, (-1, 2))
    if not len(found) or not len(truth):
        return np.zeros((0, 2), np.int64)
    reach = np.maximum(2.0, 0.65 * diameter)
    near = cKDTree(found).query_ball_point(truth, reach)
    pairs = np.array([(i, j) for i, row in enumerate(near) for j in row], np.int64).reshape(-1, 2)
    order = np.argsort(np.linalg.norm(truth[pairs[:, 0]] - found[pairs[:, 1]], axis=1))
    used_truth, used_found, kept = set(), set(), []
    for i, j in pairs[order]:
        if i not in used_truth and j not in used_found:
            used_truth.add(i)
            used_found.add(j)
            kept.append((i, j))
    return np.array(sorted(kept), np.int64).reshape(-1, 2)


def f1(tp: float, fp: float, fn: float) -> float:
    """2 tp / (2 tp + fp + fn); 1 where there was nothing to find and nothing was found."""
    return 1.0 if tp + fp + fn == 0 else 2 * tp / (2 * tp + fp + fn)


def false_alarms(record: Mapping[str, Any], detections: Iterable[Sequence[float]]) -> int:
    """Detections in the roi, off its ignored parts, that lie in no mark's box.

    Boxes are grown as the shared scorer grows them: 2 px or 15 % of the longer side. Unsure marks are marks.
    """
    boxes = np.array([(s["cx"], s["cy"], s["w"], s["h"]) for s in record["spots"]], float).reshape(-1, 4)
    half = boxes[:, 2:] / 2 + np.maximum(2.0, 0.15 * boxes[:, 2:].max(axis=1, initial=0))[:, None]
    count = 0
    for x, y, *_ in detections:
        inside = _within(x, y, record["roi"]) and not any(_within(x, y, i) for i in record.get("ignore") or [])
        count += inside and not bool((np.abs(boxes[:, :2] - (x, y)) <= half).all(axis=1).any())
    return int(count)


def _within(x: float, y: float, box: Sequence[float]) -> bool:
    return box[0] <= x <= box[0] + box[2] and box[1] <= y <= box[1] + box[3]


def coverage(value: FloatArray, err: FloatArray, truth: FloatArray, sigmas: float = 2.0) -> float:
    """Share of truths within so many stated sigma of the value; 0.954 for honest Gaussian errors at 2."""
    return float(np.mean(np.abs(value - truth) <= sigmas * err))

"""How right a classifier is, and how sure one may be of that; numpy only.

Everywhere ``label`` (n,) are true class indices, ``probabilities`` (n, k) what was given, and ``weight`` (n,) what each
mark counts (default alike): with `group_weights`, each photo counts the same however many marks it has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[Any]
FloatArray = NDArray[np.float64]


def confusion(label: IntArray, chosen: IntArray, k: int, weight: FloatArray | None = None) -> FloatArray:
    """Weights (k, k) of marks of class i (row) that were called j (column)."""
    w = np.ones(len(label)) if weight is None else weight
    counts = np.bincount(label.astype(int) * k + chosen.astype(int), w, k * k)
    return np.asarray(counts, float).reshape(k, k)


def recalls(label: IntArray, chosen: IntArray, k: int, weight: FloatArray | None = None) -> FloatArray:
    """Share (k,) of each class that was called so; NaN where there is none of it."""
    table = confusion(label, chosen, k, weight)
    total = table.sum(1)
    return np.asarray(np.divide(np.diag(table), total, out=np.full(k, np.nan), where=total > 0))


def balanced_accuracy(label: IntArray, chosen: IntArray, k: int, weight: FloatArray | None = None) -> float:
    """Mean recall of the classes that are there; NaN where there is nothing."""
    each = recalls(label, chosen, k, weight)
    return float(np.mean(each[~np.isnan(each)])) if np.any(~np.isnan(each)) else float("nan")


class Roc:
    """A ROC curve's area under many weightings: scores are sorted once."""

    def __init__(self, positive: IntArray, score: FloatArray) -> None:
        self._positive = positive.astype(bool)
        self._tie = np.unique(score, return_inverse=True)[1]

    def area(self, weight: FloatArray) -> float:
        """The chance that a positive scores above a negative, ties half; NaN without either."""
        up = np.bincount(self._tie, weight * self._positive)
        down = np.bincount(self._tie, weight * ~self._positive)
        if not up.sum() > 0 or not down.sum() > 0:
            return float("nan")
        below = np.cumsum(down) - down
        return float(np.sum(up * (below + down / 2)) / up.sum() / down.sum())


def auc(positive: IntArray, score: FloatArray, weight: FloatArray | None = None) -> float:
    """Area under the ROC curve; see `Roc.area`."""
    return Roc(positive, score).area(np.ones(len(score)) if weight is None else weight)


def aucs(label: IntArray, probabilities: FloatArray, weight: FloatArray | None = None) -> FloatArray:
    """One class against the rest, (k,)."""
    return np.array([auc(label == c, probabilities[:, c], weight) for c in range(probabilities.shape[1])])


def ece(label: IntArray, probabilities: FloatArray, weight: FloatArray | None = None, bins: int = 15) -> float:
    """Expected calibration error of the class chosen (Guo et al. 2017), in `bins` of equal width.

    The mean, over marks, of how far a bin's mean confidence is from its share of right answers.
    """
    rows = reliability(label, probabilities, weight, bins)
    total = rows[:, 0].sum()
    return float(np.sum(rows[:, 0] * np.abs(rows[:, 1] - rows[:, 2])) / total) if total > 0 else float("nan")


def reliability(
    label: IntArray, probabilities: FloatArray, weight: FloatArray | None = None, bins: int = 15
) -> FloatArray:
    """Weight, mean confidence and share of right answers (bins, 3) by confidence; 0 in bins that are empty."""
    w = np.ones(len(label)) if weight is None else weight
    sure = probabilities.max(1)
    right = probabilities.argmax(1) == label
    which = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    sums = np.stack([np.bincount(which, value, bins) for value in (w, w * sure, w * right)], 1)
    return np.column_stack([sums[:, 0], sums[:, 1:] / np.where(sums[:, :1] > 0, sums[:, :1], 1)])


def risk_coverage(
    wrong: IntArray, sureness: FloatArray, weight: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Share of marks kept, and share of errors among them, keeping the surest first: two (n,) arrays."""
    w = np.ones(len(wrong)) if weight is None else weight
    order = np.argsort(-sureness, kind="stable")
    kept = np.cumsum(w[order])
    return kept / kept[-1], np.cumsum(w[order] * wrong[order]) / kept


def surest(sureness: FloatArray, coverage: float, weight: FloatArray | None = None) -> float:
    """The lowest sureness among the `coverage` share of marks that are surest."""
    w = np.ones(len(sureness)) if weight is None else weight
    order = np.argsort(-sureness, kind="stable")
    kept = np.cumsum(w[order])
    last = int(np.searchsorted(kept, coverage * kept[-1] * (1 - 1e-9)))
    return float(sureness[order[min(last, len(order) - 1)]])


def group_weights(group: NDArray[Any]) -> FloatArray:
    """Weight (n,) of each mark such that every group (photo, patient) counts 1."""
    _, which, n = np.unique(group, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / n[which])


def bootstrap(
    statistic: Callable[[FloatArray], Any],
    group: NDArray[Any],
    resamples: int = 2000,
    seed: int = 0,
    strata: NDArray[Any] | None = None,
) -> FloatArray:
    """95 % interval of a statistic, drawing whole groups with replacement (cluster bootstrap, percentiles).

    Marks of one photo are alike, and drawing single marks would make intervals far too narrow.

    Parameters
    ----------
    statistic : callable
        From a multiplicity (n,) of each mark to a number or an (m,) array.
    group : (n,) array
        What is drawn as a whole: photo or patient.
    resamples : int
        How often.
    seed : int
        Of the drawing.
    strata : (n,) array, optional
        Groups are drawn within each stratum (of a group's first mark), so that no class vanishes.

    Returns
    -------
    (2,) or (2, m) array
        2.5 and 97.5 percentile; draws in which a number is NaN do not count towards it.
    """
    names, first, which = np.unique(group, return_index=True, return_inverse=True)
    stratum = np.zeros(len(names)) if strata is None else np.unique(strata, return_inverse=True)[1][first]
    members = [np.flatnonzero(stratum == s) for s in np.unique(stratum)]
    random = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        chosen = np.concatenate([random.choice(pool, len(pool)) for pool in members])
        counts = np.bincount(chosen, minlength=len(names)).astype(float)
        drawn.append(np.asarray(statistic(counts[which]), float))
    return percentiles(np.array(drawn))


def percentiles(drawn: FloatArray) -> FloatArray:
    """2.5 and 97.5 percentile along the first axis; NaN where nothing is finite."""
    rows = np.moveaxis(drawn, 0, -1)
    flat = rows.reshape(-1, rows.shape[-1])
    known = [row[np.isfinite(row)] for row in flat]
    both = [np.percentile(row, [2.5, 97.5]) if len(row) else np.full(2, np.nan) for row in known]
    return np.array(both).T.reshape(2, *rows.shape[:-1])

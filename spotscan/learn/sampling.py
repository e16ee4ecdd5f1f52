"""Which crops an epoch shows: drawn so that classes, and within them routes, weigh alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spotscan.errors import InputError, UsageError


def sampling_weights(label: NDArray[Any], route: NDArray[Any], balance: str) -> NDArray[np.float64]:
    """Chance (n,) of each crop to be drawn, so that classes, or classes and within them routes, weigh alike.

    Raises
    ------
    UsageError
        There is no such balance.
    InputError
        There is nothing to draw from.
    """
    if not len(label):
        raise InputError("no crops are left to train on", "", "check data and holdout_routes")
    if balance == "none":
        return np.full(len(label), 1 / len(label))
    if balance not in ("class", "class_route"):
        raise UsageError("there is no such balance", balance, "choose none, class or class_route")
    _, c, n_class = np.unique(label, return_inverse=True, return_counts=True)
    if balance == "class":
        return np.asarray(1 / n_class[c] / len(n_class))
    r = np.unique(route, return_inverse=True)[1]
    counts = np.zeros((len(n_class), r.max() + 1))
    np.add.at(counts, (c, r), 1)
    return np.asarray(1 / counts[c, r] / np.count_nonzero(counts, axis=1)[c] / len(n_class))


def drawn(weights: NDArray[np.float64], n: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Indices (n,) drawn by weight, in steps as even as can be: each comes as often as its weight says, give or take 1.

    Systematic sampling (Madow 1949) of a shuffled list, then shuffled.
    """
    order = random.permutation(len(weights))
    steps = (np.arange(n) + random.random()) / n
    sums = np.cumsum(weights[order])
    chosen = np.minimum(np.searchsorted(sums / sums[-1], steps, side="right"), len(weights) - 1)
    return np.asarray(order[random.permutation(chosen)])

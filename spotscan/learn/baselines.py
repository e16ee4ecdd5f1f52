"""What the network has to beat, and the probe for the shortcut. Needs scikit-learn (extra ``train``).

A baseline is a function of the training split and a seed to a function of marks to logits (n, 4); it is calibrated
and judged as the network is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spotscan.learn.calibration import class_weights
from spotscan.learn.handmade import COLOUR_AND_SIZE, features
from spotscan.learn.metrics import FloatArray, balanced_accuracy
from spotscan.learn.prepared import OUTPUTS, Crops

Logits = Callable[[Crops], NDArray[Any]]  # of n marks: (n, 4)
_AT_MOST = 20_000  # crops a baseline learns from: more changes nothing and takes minutes
_TREES = 300
_LEAST = 20  # marks of a route that a probe can say something about
_FOLDS = 5


def nearest_mean(training: Crops, seed: int) -> Logits:
    """The class whose mean colour above the skin and log size is nearest, in standard deviations within classes."""
    x, y = features(training)[:, COLOUR_AND_SIZE], training.label
    present = np.unique(y)
    means = np.array([x[y == c].mean(0) for c in present])
    scale = np.sqrt(np.mean([x[y == c].var(0) for c in present], axis=0)) + 1e-6

    def logits(crops: Crops) -> FloatArray:
        z = features(crops)[:, COLOUR_AND_SIZE]
        found = np.full((len(crops), len(OUTPUTS)), -30.0)
        found[:, present] = -0.5 * (((z[:, None] - means) / scale) ** 2).sum(2)
        return found

    return logits


def random_forest(training: Crops, seed: int) -> Logits:
    """A random forest on all hand-made features, classes weighing alike."""
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(
        _TREES, min_samples_leaf=3, class_weight="balanced", n_jobs=1, random_state=seed
    ).fit(features(training), training.label)

    def logits(crops: Crops) -> FloatArray:
        found = np.zeros((len(crops), len(OUTPUTS)))
        if len(crops):
            found[:, forest.classes_.astype(int)] = forest.predict_proba(features(crops))
        return np.asarray(np.log((found + 0.5 / _TREES) / (1 + 0.5 * len(OUTPUTS) / _TREES)))

    return logits


BASELINES: dict[str, Callable[[Crops, int], Logits]] = {"nearest_mean": nearest_mean, "random_forest": random_forest}


def learned(name: str, training: Crops, seed: int) -> Logits:
    """A baseline of `BASELINES`, learned on at most 20,000 crops, drawn so that classes count alike."""
    if len(training) > _AT_MOST:
        weight = class_weights(training.label)
        random = np.random.default_rng(seed)
        training = training.take(
            np.sort(random.choice(len(training), _AT_MOST, replace=False, p=weight / weight.sum()))
        )
    return BASELINES[name](training, seed)


def route_probe(
    seen: NDArray[Any], label: NDArray[Any], route: NDArray[Any], group: NDArray[Any], seed: int = 0
) -> dict[str, dict[str, float]]:
    """How well a linear probe tells the route from what a network sees, within each class.

    What a class looks like differs between routes for honest reasons, too; but a network whose features tell routes
    apart as well as the hand-made ones do has at least not thrown the route away.

    Parameters
    ----------
    seen : (n, m)
        Features of the marks.
    label, route, group : (n,)
        As in `Crops`; groups are never in two folds.

    Returns
    -------
    dict
        Class -> ``balanced_accuracy`` (5 folds), ``chance`` (1 / routes), ``routes`` and ``marks``; classes of one
        route are left out.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=500))
    found = {}
    for c, name in enumerate(OUTPUTS):
        names, n = np.unique(route[label == c], return_counts=True)
        chosen = (label == c) & np.isin(route, names[n >= _LEAST])
        names, which = np.unique(route[chosen], return_inverse=True)
        if len(names) < 2 or len(np.unique(group[chosen])) < _FOLDS:
            continue
        folds = GroupKFold(_FOLDS, shuffle=True, random_state=seed)
        told = cross_val_predict(probe, seen[chosen], which, groups=group[chosen], cv=folds)
        found[name] = {
            "balanced_accuracy": balanced_accuracy(which, told, len(names)),
            "chance": 1 / len(names),
            "routes": float(len(names)),
            "marks": float(chosen.sum()),
        }
    return found

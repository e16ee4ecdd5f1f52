"""From logits to probabilities that can be believed, and to what is `unsure` or no mark at all.

One temperature (Guo et al. 2017) divides the logits; the three classes' probabilities are the softmax over their own
logits, so that they sum to 1 whatever is thought of `none`. A mark is `unsure` where the top one lies below a
threshold: the stated rule is the share of validation marks that is kept, or the share of errors among them.
Validation marks weigh so that classes count alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spotscan.classes import judge
from spotscan.learn.metrics import FloatArray, balanced_accuracy, ece, risk_coverage, surest
from spotscan.learn.prepared import NONE

_TEMPERATURES = (0.05, 20.0)  # sought between; a temperature at an end means that something else is wrong


@dataclass(frozen=True)
class Calibration:
    """How logits are read.

    Attributes
    ----------
    temperature : float
        Divides the logits.
    unsure_below : float
        A mark whose top probability of the three is lower is `unsure`.
    none_above : float
        A candidate whose probability of `none`, over all four, is higher is no mark.
    alike_share : float
        How much of a mark's judgement comes from the marks of its photo that look alike.
    rule : str
        What the thresholds keep to, in words.
    measured : dict
        On the validation split: calibration error before and after, coverage, errors, conformal sets.
    """

    temperature: float
    unsure_below: float
    none_above: float
    alike_share: float
    rule: str
    measured: dict[str, float] = field(default_factory=dict)


def class_weights(label: NDArray[Any]) -> FloatArray:
    """Weight (n,) such that classes count alike."""
    _, which, n = np.unique(label, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / n[which])


def calibrate(
    logits: NDArray[Any],
    label: NDArray[Any],
    coverage: float = 0.8,
    max_error: float | None = None,
    none_cost: float = 0.02,
    together: NDArray[Any] | None = None,
    alike_share: float = 0.0,
) -> Calibration:
    """Calibrate on marks that nothing was trained on.

    Parameters
    ----------
    logits : (n, 4)
        Of the network.
    label : (n,) int
        Index into `OUTPUTS`; those of none are used for `measured` only.
    coverage : float
        Share of marks that get a class.
    max_error : float, optional
        Share of errors allowed among marks that get a class, instead.
    none_cost : float
        Largest share of any class's marks that may be taken for no mark.
    together : (n, 3), optional
        Logits of the classes with the alike marks of a photo in mind (`alike_share` of them); else each alone.
    """
    is_mark = label != NONE
    marks, truth = np.asarray(logits)[is_mark], label[is_mark].astype(int)
    weight = class_weights(truth)
    shared = marks[:, :NONE] if together is None else np.asarray(together)[is_mark]
    t = best_temperature(shared, truth, weight)
    read = judge(marks, t, 0.0, 1.0, shared)
    none_above = max(
        float(np.quantile(read.no_mark[truth == c], 1 - none_cost, method="higher")) for c in np.unique(truth)
    )
    probabilities = read.probabilities
    sure = np.where(read.no_mark <= none_above, probabilities.max(1), 0.0)
    if max_error is None:
        unsure_below = surest(sure, coverage, weight)
        rule = f"the {coverage:.0%} of validation marks with the highest top probability get a class"
    else:
        unsure_below = _within_error(truth != probabilities.argmax(1), sure, weight, max_error)
        rule = f"as many validation marks get a class as keep the errors among them to {max_error:.1%}"
    rule += f"; above none_above there is no mark, which costs at most {none_cost:.0%} of any class's validation marks"
    kept = sure >= unsure_below
    measured = {
        "ece_before": ece(truth, judge(marks, 1.0, 0.0, 1.0, shared).probabilities, weight),
        "ece": ece(truth, probabilities, weight),
        "balanced_accuracy": balanced_accuracy(truth, probabilities.argmax(1), NONE),
        "coverage": float(weight[kept].sum() / weight.sum()),
        "balanced_accuracy_covered": balanced_accuracy(truth[kept], probabilities[kept].argmax(1), NONE),
    }
    if (~is_mark).any():
        others = judge(np.asarray(logits)[~is_mark], t, 0.0, none_above)
        measured["none_dropped"] = float(np.mean(~others.is_mark))
    return Calibration(t, unsure_below, none_above, alike_share, rule, measured)


def best_temperature(logits: NDArray[Any], label: NDArray[Any], weight: FloatArray | None = None) -> float:
    """The temperature of least negative log likelihood."""
    from scipy.optimize import minimize_scalar

    w = np.ones(len(label)) if weight is None else weight
    rows = np.arange(len(label))

    def cost(log_t: float) -> float:
        x = logits / math.exp(log_t)
        top = x.max(1, keepdims=True)
        log_sum = top[:, 0] + np.log(np.exp(x - top).sum(1))
        return float(np.sum(w * (log_sum - x[rows, label])) / w.sum())

    found = minimize_scalar(cost, bounds=[math.log(t) for t in _TEMPERATURES], method="bounded")
    return math.exp(float(found.x))


def _within_error(wrong: NDArray[Any], sure: FloatArray, weight: FloatArray, max_error: float) -> float:
    """The lowest top probability down to which errors are not too many; above 1 where they always are."""
    _, errors = risk_coverage(wrong, sure, weight)
    within = np.flatnonzero(errors <= max_error)
    return float(np.sort(sure)[::-1][within[-1]]) if len(within) else math.nextafter(1, 2)


@dataclass(frozen=True)
class Conformal:
    """Split-conformal sets of classes (Vovk et al. 2005; Sadinle et al. 2019): the other way to say `unsure`.

    A set holds every class of a probability of at least `threshold`; it holds the true one with probability
    1 - alpha, as long as marks are drawn as those it was set on: which photos are not.
    """

    threshold: float
    alpha: float

    def sets(self, probabilities: FloatArray) -> NDArray[np.bool_]:
        """Which classes (n, k) are in each mark's set."""
        return np.asarray(probabilities >= self.threshold)

    def measured(self, label: NDArray[Any], probabilities: FloatArray) -> dict[str, float]:
        """Share of sets that hold the true class, share of sets of one class, and of those that are right."""
        sets = self.sets(probabilities)
        one = sets.sum(1) == 1
        holds = sets[np.arange(len(label)), label.astype(int)]
        right = float(np.mean(holds[one])) if one.any() else float("nan")
        return {"holds_true": float(np.mean(holds)), "single": float(np.mean(one)), "single_right": right}


def conformal(label: NDArray[Any], probabilities: FloatArray, alpha: float = 0.1) -> Conformal:
    """The threshold that 1 - alpha of the true classes' probabilities reach, with the correction for finite n."""
    true = np.sort(probabilities[np.arange(len(label)), label.astype(int)])
    below = math.floor(alpha * (len(true) + 1))  # so many of the n may lie below
    return Conformal(float(true[below - 1]) if below else 0.0, alpha)

"""Models and baselines judged on the same marks: numbers with intervals, as one dictionary.

Two sets: the test split of the prepared crops, by class, route, source and skin tone; and photos with boxes, which
nothing was trained or tuned on. Every photo, patient or scene counts the same, however many marks it has, and
intervals come from drawing those anew, not single marks.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from spotscan._version import __version__
from spotscan.classes import Classes, judge
from spotscan.colour import skin_tone
from spotscan.errors import cannot_write
from spotscan.findings import CLASSES
from spotscan.learn.baselines import route_probe
from spotscan.learn.calibration import conformal
from spotscan.learn.card import write_card
from spotscan.learn.config import EvaluateConfig, as_dict, folder_for
from spotscan.learn.handmade import features
from spotscan.learn.metrics import (
    FloatArray,
    Roc,
    balanced_accuracy,
    bootstrap,
    confusion,
    ece,
    group_weights,
    recalls,
    reliability,
    risk_coverage,
    surest,
)
from spotscan.learn.models import Model, baseline, read_model, with_share
from spotscan.learn.photos import OTHER, Boxed, read_boxed
from spotscan.learn.prepared import NONE, Crops, fingerprint, read_crops, with_alike_in_scene
from spotscan.learn.report import evaluation_markdown

K = len(CLASSES)
_CURVE = np.linspace(0.05, 1, 20)  # coverages of the risk-coverage curve
ALONE = ", each mark alone"  # after the name of a model judged without a thought for marks that look alike
_LEAST = 10  # marks of a class in a subset that a recall is told for


def evaluate(config: EvaluateConfig, stream: TextIO | None = None) -> dict[str, Any]:
    """Judge what a config names; progress is told on `stream` (default standard error).

    Returns
    -------
    dict
        ``about``, and by the name of each model ``about``, ``calibration``, ``test`` (``all``, ``by_route``,
        ``by_source``, ``by_tone``, ``none``, ``conformal``), ``photos`` (the same, ``other``) and ``route_probe``.

    Raises
    ------
    InputError
        Crops, photos or a model cannot be read.
    """
    stream = sys.stderr if stream is None else stream
    folder_for(config.out)
    test, validation = read_crops(config.data, "test"), read_crops(config.data, "validation")
    boxed = read_boxed(config.photos) if config.photos else None
    models = [read_model(folder) for folder in config.models]
    if config.baselines:
        training = read_crops(config.data, "train")
        for name in config.baselines:
            print(f"learning {name}", file=stream, flush=True)
            models.append(baseline(name, training, validation, config.coverage, config.alike_share, config.seed))
        del training
    models += [replace(with_share(m, validation, config.coverage, 0.0), name=f"{m.name}{ALONE}") for m in models]
    found: dict[str, Any] = {"about": _about(config, test, boxed), "models": {}}
    for model in models:
        print(f"judging {model.name}", file=stream, flush=True)
        found["models"][model.name] = judged(model, test, validation, boxed, config)
    return found


def judged(model: Model, test: Crops, validation: Crops, boxed: Boxed | None, config: EvaluateConfig) -> dict[str, Any]:
    """All numbers of one model."""
    held: dict[str, Any] = {"about": model.about, "calibration": asdict(model.calibration)}
    calibrating = Judgement(model, validation, None)
    one = Judgement(model, test, np.array([skin_tone(i) or "" if np.isfinite(i) else "" for i in test.ita_deg]))
    held["test"] = _set_numbers(one, config) | {
        "by_route": one.by(test.route, config),
        "by_source": one.by(np.array([g.partition(":")[0] for g in test.group]), config),
        "conformal": _conformal(calibrating, one),
        "none": _none_numbers(one),
    }
    if boxed is not None:
        two = Judgement(model, boxed.crops, boxed.tone)
        held["photos"] = _set_numbers(two, config) | {
            "conformal": _conformal(calibrating, two),
            "none": _none_numbers(two),
            "other": _other(two),
        }
    if model.seen is not None and not model.name.endswith(ALONE):
        held["route_probe"] = {
            "network": route_probe(model.seen(test), test.label, test.route, test.group, config.seed),
            "handmade": route_probe(features(test), test.label, test.route, test.group, config.seed),
        }
    return held


class Judgement:
    """A model's word on a set of marks."""

    def __init__(self, model: Model, crops: Crops, tone: NDArray[Any] | None) -> None:
        self.crops, self.tone = crops, tone
        began = time.perf_counter()
        logits = model.logits(crops)
        self.crops_per_s = len(crops) / max(time.perf_counter() - began, 1e-9)
        c = model.calibration
        together = with_alike_in_scene(logits, crops, c.alike_share)
        self.classes: Classes = judge(logits, c.temperature, c.unsure_below, c.none_above, together)
        self.probabilities = self.classes.probabilities
        self.label = crops.label.astype(int)
        self.is_class = self.label < K
        self.given = np.array([name in CLASSES for name in self.classes.names], bool)

    def numbers(self, chosen: NDArray[Any], config: EvaluateConfig) -> dict[str, Any]:
        """Every metric of the chosen marks, each with its 95 % interval."""
        label, probabilities = self.label[chosen], self.probabilities[chosen]
        group = self.crops.group[chosen]
        base = group_weights(group)
        sure = probabilities.max(1)
        kept = sure >= surest(sure, config.coverage, base)
        names, statistic = _statistic(label, probabilities, kept, self.given[chosen])
        value = statistic(base)
        draw = bootstrap(
            lambda times: statistic(times * base), group, config.resamples, config.seed, _strata(label, group)
        )
        found = {
            name: {"value": _n(v), "low": _n(low), "high": _n(high)}
            for name, v, low, high in zip(names, value, *draw, strict=True)
        }
        return {"marks": len(label), "groups": len(np.unique(group)), "metrics": found}

    def by(self, key: NDArray[Any], config: EvaluateConfig) -> dict[str, Any]:
        """The same for every value of a key."""
        found = {}
        for value in np.unique(key[self.is_class]):
            chosen = self.is_class & (key == value)
            if chosen.sum() >= _LEAST:
                found[str(value) or "unknown"] = self.numbers(chosen, config)
        return found


def _statistic(
    label: NDArray[Any], probabilities: FloatArray, kept: NDArray[Any], given: NDArray[Any]
) -> tuple[list[str], Callable[[FloatArray], FloatArray]]:
    """Names of the metrics, and a function from the marks' weights to them."""
    chosen = probabilities.argmax(1)
    rocs = [Roc(label == c, probabilities[:, c]) for c in range(K)]
    names = ["balanced_accuracy", *(f"recall_{c}" for c in CLASSES), *(f"auc_{c}" for c in CLASSES), "ece"]
    for suffix in ("covered", "given"):
        names += [f"balanced_accuracy_{suffix}", *(f"recall_{c}_{suffix}" for c in CLASSES)]
    names += ["coverage_given"]

    def of(w: FloatArray) -> FloatArray:
        parts: list[Any] = [balanced_accuracy(label, chosen, K, w), *recalls(label, chosen, K, w)]
        parts += [roc.area(w) for roc in rocs] + [ece(label, probabilities, w)]
        for some in (kept, given):
            v = w * some
            parts += [balanced_accuracy(label, chosen, K, v), *recalls(label, chosen, K, v)]
        return np.array([*parts, np.sum(w * given) / np.sum(w)], float)

    return names, of


def _strata(label: NDArray[Any], group: NDArray[Any]) -> NDArray[Any]:
    """Class (n,) of most of a group's marks: groups are drawn within it."""
    _, which = np.unique(group, return_inverse=True)
    counts = np.zeros((which.max() + 1, K))
    np.add.at(counts, (which, label), 1)
    return np.asarray(counts.argmax(1)[which])


def _set_numbers(some: Judgement, config: EvaluateConfig) -> dict[str, Any]:
    found: dict[str, Any] = {"all": some.numbers(some.is_class, config), "crops_per_s": _n(some.crops_per_s)}
    if some.tone is not None:
        found["by_tone"] = some.by(some.tone, config)
    label, probabilities = some.label[some.is_class], some.probabilities[some.is_class]
    weight = group_weights(some.crops.group[some.is_class])
    covered, error = risk_coverage(probabilities.argmax(1) != label, probabilities.max(1), weight)
    at = np.minimum(np.searchsorted(covered, _CURVE * (1 - 1e-9)), len(covered) - 1)
    return found | {
        "confusion": confusion(label, probabilities.argmax(1), K, weight).round(3).tolist(),
        "confusion_marks": confusion(label, probabilities.argmax(1), K).astype(int).tolist(),
        "reliability": reliability(label, probabilities, weight).round(4).tolist(),
        "risk_coverage": np.stack([_CURVE, error[at]], 1).round(4).tolist(),
    }


def _none_numbers(some: Judgement) -> dict[str, Any]:
    """How well what is no mark is told from marks, and what that costs."""
    is_none, dropped = some.label == NONE, ~some.classes.is_mark
    area = Roc(is_none, some.classes.no_mark).area(np.ones(len(is_none)))
    cost = {f"dropped_{name}": _share(dropped[some.label == c]) for c, name in enumerate(CLASSES)}
    return {"auc": _n(area), "dropped_none": _share(dropped[is_none]), **cost, "marks": int(is_none.sum())}


def _other(some: Judgement) -> dict[str, Any]:
    """What becomes of marks that are none of the classes: best unsure, or no mark."""
    other = some.label == OTHER
    names = np.array(some.classes.names)[other]
    shares = {name: _share(names == name) for name in (*CLASSES, "unsure")}
    return {"marks": int(other.sum()), **shares, "no_mark": _share(~some.classes.is_mark[other])}


def _conformal(calibrating: Judgement, some: Judgement) -> dict[str, float | None]:
    """Split-conformal sets at 90 %, set on validation, measured here."""
    rule = conformal(calibrating.label[calibrating.is_class], calibrating.probabilities[calibrating.is_class])
    told = rule.measured(some.label[some.is_class], some.probabilities[some.is_class])
    return {"threshold": rule.threshold, "wanted": 1 - rule.alpha, **{key: _n(value) for key, value in told.items()}}


def _about(config: EvaluateConfig, test: Crops, boxed: Boxed | None) -> dict[str, Any]:
    counts = {name: int((test.label == c).sum()) for c, name in enumerate((*CLASSES, "none"))}
    return {
        "config": as_dict(config),
        "spotscan": __version__,
        "prepared": fingerprint(config.data),
        "test_marks": counts,
        "photo_marks": None
        if boxed is None
        else {name: int((boxed.crops.label == c).sum()) for c, name in enumerate(CLASSES)},
    }


def _share(values: NDArray[Any]) -> float | None:
    return round(float(np.mean(values)), 4) if len(values) else None


def _n(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def write_evaluation(found: dict[str, Any], config: EvaluateConfig) -> list[Path]:
    """Write evaluation.json and evaluation.md, and the numbers into each model's card where the config says so."""
    out = folder_for(config.out)
    paths = [out / "evaluation.json", out / "evaluation.md"]
    try:
        paths[0].write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        paths[1].write_text(evaluation_markdown(found), encoding="utf-8")
    except OSError as error:
        raise cannot_write(error, str(out)) from error
    return paths + [write_card(Path(folder), found) for folder in config.models if config.cards]

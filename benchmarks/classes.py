"""What marks are: the pinned network on the boxed photos of `eval/dermnet_nz`, and what its fourth output drops.

Each photo counts the same, however many marks it has; brackets are 95 % intervals of a bootstrap over photos. Nothing
was trained on these photos, and no threshold or choice between networks was set by them; but their numbers were seen
after each of five trainings, and twice their mistakes were looked at while the drawn scenes were still being changed:
they are no wholly unseen test. The table of models and baselines is that of `spotscan evaluate` (`evaluation.json`
beside the weights), which needs the training data; all else is measured by this command. Detection is that of the
section above, once as the scan does it and once with `keep_no_marks`. Both runtimes take one thread.
"""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.data import folder, shared_scoring
from benchmarks.detection import Record, detect_all
from benchmarks.scoring import FloatArray, f1, false_alarms
from spotscan.classes import classify_marks
from spotscan.crops import mark_crops
from spotscan.findings import CLASSES
from spotscan.learn.calibration import Calibration
from spotscan.learn.config import EvaluateConfig
from spotscan.learn.evaluation import Judgement
from spotscan.learn.models import Model
from spotscan.learn.photos import read_boxed
from spotscan.pipeline import scan
from spotscan.weights import FOLDERS, NAME, Weights, load_weights

_REPEATS = 7
_SPOTS = 80


def run() -> dict[str, Any]:
    """Accuracy on boxed photos, by tone; detection with and without the fourth output; speed."""
    where, weights = folder("eval", "dermnet_nz"), load_weights()
    boxed = read_boxed(where.resolve())
    read = Calibration(weights.temperature, weights.unsure_below, weights.none_above, weights.alike_share, "")
    model = Model(weights.name, lambda crops: weights.logits(np.asarray(crops.crops, np.float32)), read, {})
    judged = Judgement(model, boxed.crops, boxed.tone)
    config = EvaluateConfig(data="", out="", models=())
    everything = judged.numbers(judged.is_class, config)
    result: dict[str, Any] = {"weights": weights.name, "marks": everything["marks"], "photos": everything["groups"]}
    for name, value in everything["metrics"].items():
        result[name] = value["value"]
        result[f"{name}, 95 %"] = [value["low"], value["high"]]
    result |= _held_out() | _detection(where) | _speed(weights)
    result["by skin tone"] = [
        {"tone": tone, "marks": found["marks"], "photos": found["groups"]}
        | {name: found["metrics"][name]["value"] for name in _COLUMNS}
        for tone, found in judged.by(boxed.tone, config).items()
    ]
    result["models and baselines"] = _compared()
    return result


_COLUMNS = ("balanced_accuracy", *(f"recall_{c}" for c in CLASSES), *(f"auc_{c}" for c in CLASSES), "ece")


def _evaluation() -> dict[str, Any]:
    path = next(path for place in FOLDERS if (path := place / NAME / "evaluation.json").is_file())
    return dict(json.loads(path.read_text(encoding="utf-8"))["models"])


def _compared() -> list[dict[str, Any]]:
    """One row a model and set, from `spotscan evaluate`."""
    rows = []
    for name, model in _evaluation().items():
        for part in ("photos", "test"):
            metrics = model[part]["all"]["metrics"]
            row: dict[str, Any] = {"model": name, "on": part, "parameters": model["about"].get("parameters")}
            row |= {key: metrics[key]["value"] for key in _COLUMNS}
            low, high = (metrics["balanced_accuracy"][end] for end in ("low", "high"))
            row |= {"95 %": [low, high], "at 80 % coverage": metrics["balanced_accuracy_covered"]["value"]}
            rows.append(row)
    return rows


def _held_out() -> dict[str, Any]:
    """Real marks of patients and lesions that training never saw."""
    routes = _evaluation()[NAME]["test"]["by_route"]
    found = {}
    for route, name in (("dermoscopic", "angioma"), ("dermoscopic", "lesion"), ("clinical", "lesion")):
        if route in routes:
            found[f"{name}_recall_{route}"] = routes[route]["metrics"][f"recall_{name}"]["value"]
    return found


def _detection(where: Path) -> dict[str, Any]:
    records = [r for r in json.loads((where / "annotations.json").read_text()) if r["complete"] and r["usable"]]
    found = {}
    for kept in (False, True):
        centres = detect_all(partial(_centres, kept), where, records)
        scores, alarms = [], []
        for record in records:
            if record["photo_label"] == "spot":
                tp, fp, fn, _ = shared_scoring().match(record, centres[record["file"]])
                scores.append(f1(tp, fp, fn))
            else:
                alarms.append(false_alarms(record, centres[record["file"]]))
        suffix = "_all_kept" if kept else ""
        found[f"macro_f1{suffix}"] = float(np.mean(scores))
        found[f"alarms_mean{suffix}"] = float(np.mean(alarms))
    return found


def _centres(kept: bool, where: Path, record: Record) -> FloatArray:
    return scan(where / record["file"], reference="none", keep_no_marks=kept).spots.centre_px


def _speed(weights: Weights) -> dict[str, Any]:
    """Crops a second on one thread, by ONNX Runtime and by OpenCV, turn by turn; seconds for 80 marks of a photo."""
    random = np.random.default_rng(0)
    rgb = random.integers(60, 220, (3000, 4000, 3), np.uint8)
    centre = random.uniform(100, 2900, (_SPOTS, 2))
    crops = mark_crops(rgb, centre, np.full(_SPOTS, 40.0))
    path = next(p for place in FOLDERS if (p := place / NAME / "weights.onnx").is_file())
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        peer = cv2.dnn.readNetFromONNX(str(path))
        peer.setInput(crops)
        apart = float(np.abs(peer.forward() - weights.logits(crops)).max())
        ours, theirs, whole = [], [], []
        for _ in range(_REPEATS):
            ours.append(_timed(lambda: weights.logits(crops)))
            theirs.append(_timed(lambda: (peer.setInput(crops), peer.forward())))
            whole.append(_timed(lambda: classify_marks(rgb, centre, np.full(_SPOTS, 40.0))))
    finally:
        cv2.setNumThreads(threads)
    return {
        "onnxruntime_crops_per_s": _SPOTS / float(np.median(ours)),
        "opencv_dnn_crops_per_s": _SPOTS / float(np.median(theirs)),
        "largest_difference_of_logits": apart,
        "classify_80_s": float(np.median(whole)),
    }


def _timed(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    from benchmarks.report import show

    show(run())

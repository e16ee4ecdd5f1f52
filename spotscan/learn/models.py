"""What is judged: exported networks, run by ONNX Runtime, and baselines."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spotscan.crops import CROP_PX
from spotscan.errors import InputError
from spotscan.learn.baselines import Logits, learned
from spotscan.learn.calibration import Calibration, calibrate
from spotscan.learn.metrics import FloatArray
from spotscan.learn.prepared import Crops, with_alike_in_scene
from spotscan.weights import Weights, open_session

_BATCH = 64
_TIMED = 512  # crops to time


@dataclass(frozen=True)
class Model:
    """Something that gives logits, and how they are read.

    Attributes
    ----------
    name : str
    logits : callable
        Crops -> (n, 4).
    calibration : Calibration
    about : dict
        What it was trained on, parameters ... for the table.
    seen : callable or None
        Crops -> features (n, m) of the last layer but one; None where there are none.
    weights : Weights or None
        As a scan would use them.
    """

    name: str
    logits: Logits
    calibration: Calibration
    about: dict[str, Any]
    seen: Logits | None = None
    weights: Weights | None = None


def read_model(folder: str | Path) -> Model:
    """A model from a folder with weights.onnx and config.json; not checked against any pinned hash.

    Raises
    ------
    InputError
        The folder holds no model.
    """
    folder = Path(folder)
    try:
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        calibration = Calibration(
            told["temperature"],
            told["unsure_below"],
            told["none_above"],
            told["alike_share"],
            told.get("rule", ""),
            told.get("validation", {}),
        )
        session, last = _session((folder / "weights.onnx").read_bytes())
    except (OSError, ValueError, KeyError) as error:
        raise InputError("there is no model", str(folder), f"{type(error).__name__}: {error}") from error
    c = calibration
    weights = Weights(told["name"], c.temperature, c.unsure_below, c.none_above, c.alike_share, session)
    about = told.get("trained", {}) | {"speed_crops_per_s": round(_speed(weights), 1)}

    def seen(crops: Crops) -> FloatArray:
        parts = [np.asarray(crops.crops[i : i + _BATCH], np.float32) for i in range(0, len(crops), _BATCH)]
        return np.concatenate([session.run([last], {"crops": part})[0] for part in parts])

    return Model(told["name"], lambda crops: weights.logits(crops.crops), calibration, about, seen, weights)


def _session(weights: bytes) -> tuple[Any, str]:
    """A session on one core, as a scan's, that gives what goes into the last layer, too; and the name of that."""
    import onnx

    model = onnx.load_from_string(weights)
    (last,) = (node for node in model.graph.node if "logits" in node.output)
    model.graph.output.append(onnx.ValueInfoProto(name=last.input[0]))
    return open_session(model.SerializeToString()), last.input[0]


def _speed(weights: Weights) -> float:
    """Crops a second, the best of three."""
    crops = np.random.default_rng(0).normal(0, 0.2, (_TIMED, 6, CROP_PX, CROP_PX)).astype(np.float32)
    weights.logits(crops[:_BATCH])
    times = []
    for _ in range(3):
        began = time.perf_counter()
        weights.logits(crops)
        times.append(time.perf_counter() - began)
    return _TIMED / min(times)


def baseline(name: str, training: Crops, validation: Crops, coverage: float, share: float, seed: int) -> Model:
    """A baseline learned on the training split and calibrated on the validation split, as a network is."""
    logits = learned(name, training, seed)
    model = Model(name, logits, Calibration(1.0, 0.0, 1.0, 0.0, ""), {"network": "none: a baseline"})
    return with_share(model, validation, coverage, share)


def with_share(model: Model, validation: Crops, coverage: float, share: float) -> Model:
    """The same, calibrated anew with another share of judgement from alike marks; 0 is each mark alone."""
    logits = model.logits(validation)
    together = with_alike_in_scene(logits, validation, share)
    read = calibrate(logits, validation.label, coverage, together=together, alike_share=share)
    return replace(model, calibration=read)

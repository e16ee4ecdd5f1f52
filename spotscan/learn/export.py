"""From a trained network to weights that the library can run: ONNX, config, card. Needs the extra ``train``."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spotscan._version import __version__
from spotscan.crops import CROP_PX, TIGHT, WIDE
from spotscan.errors import cannot_write
from spotscan.learn.calibration import Calibration, calibrate
from spotscan.learn.card import write_card
from spotscan.learn.config import TrainConfig, as_dict
from spotscan.learn.network import CHANNELS, Network, n_parameters
from spotscan.learn.prepared import OUTPUTS, fingerprint, read_crops, with_alike_in_scene
from spotscan.learn.training import predict

OPSET = 18


def export(network: Network, config: TrainConfig) -> Path:
    """Calibrate a trained network on the validation split; write weights.onnx, config.json and card.md.

    Returns
    -------
    Path
        The folder, `<out>/<name>`, to be copied to models/.
    """
    validation = read_crops(config.data, "validation")
    logits = predict(network, validation.crops)
    together = with_alike_in_scene(logits, validation, config.alike_share)
    limits = (config.coverage, config.max_error, config.none_cost)
    calibration = calibrate(logits, validation.label, *limits, together, config.alike_share)
    folder = Path(config.out) / config.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_onnx(network, folder / "weights.onnx")
        text = json.dumps(model_config(network, config, calibration), indent=1, allow_nan=False)
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise cannot_write(error, str(folder)) from error
    write_card(folder)
    return folder


def write_onnx(network: Network, path: Path) -> None:
    """Write a network as one file: input ``crops`` (n, 6, 40, 40) float32, output ``logits`` (n, 4), any n."""
    network = network.to("cpu", memory_format=torch.contiguous_format).eval()
    example = torch.zeros(2, CHANNELS, CROP_PX, CROP_PX)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's exporter, about itself
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            network,
            (example,),
            str(path),
            input_names=["crops"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    _strip(path)


def _strip(path: Path) -> None:
    """Take out what the exporter notes about this machine: folders, and the lines of code behind each node."""
    import onnx

    model = onnx.load(path)
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer, graph, model):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def model_config(network: Network, config: TrainConfig, calibration: Calibration) -> dict[str, Any]:
    """What stands beside the weights: how crops are cut, and how logits are read."""
    told = asdict(calibration)
    measured = {key: round(value, 4) for key, value in told.pop("measured").items()}
    return {
        "name": config.name,
        "crop_px": CROP_PX,
        "tight": TIGHT,
        "wide": WIDE,
        "classes": list(OUTPUTS),
        **told,
        "validation": measured,
        "trained": {
            **{key: value for key, value in as_dict(config).items() if key not in ("data", "out", "name", "threads")},
            "parameters": n_parameters(network),
            "crops": _prepared(config.data),
            "spotscan": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }


def sha256(path: Path) -> str:
    """Of a file, as `spotscan.weights.PINNED` holds it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _prepared(folder: str) -> dict[str, Any]:
    """What the crops were made of, as their folder tells it, without the names of folders on this machine."""
    path = Path(folder) / "prepared.json"
    told = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    asked = {key: value for key, value in told.get("config", {}).items() if not isinstance(value, str)}
    return {"sha256": fingerprint(folder), **told, "config": asked}

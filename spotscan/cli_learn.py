"""The commands `data`, `train` and `evaluate`; thin over `spotscan.learn`."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from typing import Any

from spotscan.errors import UsageError

_STOPPED = 130  # what shells give a command that Ctrl-C ended


def add_commands(commands: Any, epilog: str) -> None:
    """Add what makes and judges the network to the command line's parser."""
    data = commands.add_parser(
        "data",
        help="prepare crops to train on",
        description="Build training crops from the data sets that a config names, split by patient and lesion.",
        epilog=epilog,
    )
    data.add_argument("what", metavar="prepare", choices=("prepare",), help="prepare: read, check, split and cut")
    data.add_argument("config", metavar="CONFIG", help="YAML; see examples/prepare.yaml")
    data.set_defaults(run=_data)
    train = commands.add_parser(
        "train",
        help="train the network",
        description="Train, calibrate and export a network. Stopped and started again, it goes on.",
        epilog=epilog,
    )
    train.add_argument("config", metavar="CONFIG", help="YAML; see examples/train.yaml")
    train.set_defaults(run=_train)
    evaluate = commands.add_parser(
        "evaluate",
        help="judge networks and baselines",
        description="Judge networks and baselines on the test split and on boxed photos; one table with intervals.",
        epilog=epilog,
    )
    evaluate.add_argument("config", metavar="CONFIG", help="YAML; see examples/evaluate.yaml")
    evaluate.set_defaults(run=_evaluate)


def _data(options: argparse.Namespace) -> int:
    from spotscan.learn.config import read_config
    from spotscan.learn.prepare import PrepareConfig, prepare

    config = read_config(options.config, PrepareConfig)
    try:
        print(prepare(config).table(), flush=True)
    except KeyboardInterrupt:
        return _stopped()
    return 0


def _train(options: argparse.Namespace) -> int:
    from spotscan.learn.config import TrainConfig, read_config

    config = read_config(options.config, TrainConfig)
    _need("training", "torch", "torchvision", "onnx", "onnxscript")
    from spotscan.learn.export import export, sha256
    from spotscan.learn.training import train

    try:
        folder = export(train(config), config)
    except KeyboardInterrupt:
        return _stopped()
    for name in ("weights.onnx", "config.json"):
        print(f"{sha256(folder / name)}  {folder / name}")
    print(f"card: {folder / 'card.md'}", flush=True)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from spotscan.learn.config import EvaluateConfig, read_config

    config = read_config(options.config, EvaluateConfig)
    _need("judging", "onnx", "sklearn")
    from spotscan.learn.evaluation import evaluate, write_evaluation

    try:
        for path in write_evaluation(evaluate(config), config):
            print(f"wrote {path}", flush=True)
    except KeyboardInterrupt:
        return _stopped()
    return 0


def _need(what: str, *modules: str) -> None:
    if any(importlib.util.find_spec(module) is None for module in modules):
        raise UsageError(f"{what} needs packages that are not installed", "", "pip install 'spotscan[train]'")


def _stopped() -> int:
    print("stopped; what was done stays, the same command goes on", file=sys.stderr)
    return _STOPPED

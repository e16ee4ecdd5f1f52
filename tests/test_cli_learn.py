"""Tests of the commands that make and judge the network: thin, and friendly where something is missing."""

import argparse
import importlib.util

import pytest

from spotscan.cli_learn import add_commands
from spotscan.errors import InputError, UsageError


def run(*arguments):
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers(required=True), "")
    options = parser.parse_args([str(a) for a in arguments])
    return options.run(options)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"data: {tmp_path / 'none'}\nout: {tmp_path / 'out'}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_without_the_extra_it_says_how_to_get_it(command, config, monkeypatch):
    if command == "evaluate":
        config.write_text(config.read_text(encoding="utf-8") + "models: []\n", encoding="utf-8")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(UsageError, match=r"pip install 'spotscan\[train\]'"):
        run(command, config)


@pytest.mark.parametrize("command", [("train",), ("evaluate",), ("data", "prepare")])
def test_a_wrong_key_is_named(command, config):
    config.write_text("epoch: 3\n", encoding="utf-8")
    with pytest.raises(UsageError, match="unknown key in the config: epoch"):
        run(*command, config)


def test_without_crops_it_says_what_to_run_first(config):
    for module in ("torch", "torchvision", "onnx", "onnxscript"):
        pytest.importorskip(module)
    with pytest.raises(InputError, match="spotscan data prepare"):
        run("train", config)


@pytest.mark.slow
def test_train_writes_weights_and_says_their_hash(tmp_path, capsys):
    import hashlib

    for module in ("torch", "torchvision", "onnx", "onnxscript"):
        pytest.importorskip(module)
    from tests.learn_tools import prepared_folder

    data = prepared_folder(tmp_path / "prepared", 96)
    text = f"data: {data}\nout: {tmp_path / 'run'}\nname: tiny\nwidth: 4\nepochs: 1\nbatch: 32\nthreads: 1\n"
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    assert run("train", path) == 0
    told = capsys.readouterr()
    held = (tmp_path / "run" / "tiny" / "weights.onnx").read_bytes()
    assert hashlib.sha256(held).hexdigest() in told.out
    assert "epoch 1 / 1" in told.err
    assert str(tmp_path) not in (tmp_path / "run" / "tiny" / "config.json").read_text(encoding="utf-8")

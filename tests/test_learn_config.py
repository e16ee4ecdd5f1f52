"""Tests of configs and of prepared crops on disk."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from spotscan.errors import InputError, UsageError
from spotscan.learn.config import Augment, EvaluateConfig, TrainConfig, read_config
from spotscan.learn.prepared import Crops, fingerprint, read_crops, write_crops
from tests.learn_tools import separable

EXAMPLES = Path(__file__).parents[1] / "examples"


def written(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "kind"), [("train", TrainConfig), ("evaluate", EvaluateConfig)])
def test_examples_are_read(name, kind):
    assert isinstance(read_config(EXAMPLES / f"{name}.yaml", kind), kind)


def test_values_come_out_as_their_field_says(tmp_path):
    text = "data: a\nout: b\nlearning_rate: 1\nholdout_routes: [drawn]\nmax_error: 0.1\naugment: {blur: 0}\n"
    config = read_config(written(tmp_path, text), TrainConfig)
    assert config == TrainConfig(
        data="a", out="b", learning_rate=1.0, holdout_routes=("drawn",), max_error=0.1, augment=Augment(blur=0.0)
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("data: a\nout: b\nepoch: 3\n", "epoch"),
        ("data: a\nout: b\naugment: {blurr: 1}\n", "augment.blurr"),
        ("data: a\n", "lacks out"),
        ("data: a\nout: b\nepochs: many\n", "epochs"),
        ("data: a\nout: b\nepochs: true\n", "epochs"),
        ("data: a\nout: b\nholdout_routes: drawn\n", "holdout_routes"),
        ("- data\n", "mapping"),
        ("data: [a\n", "YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, named):
    with pytest.raises(UsageError, match=named):
        read_config(written(tmp_path, text), TrainConfig)


def test_a_config_that_is_not_there_is_said(tmp_path):
    with pytest.raises(UsageError, match="cannot read"):
        read_config(tmp_path / "no.yaml", TrainConfig)


def test_crops_come_back_as_written_whole_or_in_shards(tmp_path):
    crops = separable(30, 0, "photo")
    (tmp_path / "whole").mkdir()
    (tmp_path / "shards").mkdir()
    write_crops(tmp_path / "whole", "train", crops)
    write_crops(tmp_path / "shards", "train_0", crops.take(np.arange(10)))
    write_crops(tmp_path / "shards", "train_1", crops.take(np.arange(10, 30)))
    for folder in ("whole", "shards"):
        back = read_crops(tmp_path / folder, "train")
        for f in fields(Crops):
            assert np.array_equal(getattr(back, f.name), getattr(crops, f.name), equal_nan=f.name == "ita_deg")
    assert fingerprint(tmp_path / "whole") != fingerprint(tmp_path / "shards")


def test_crops_that_cannot_be_read_are_said(tmp_path):
    with pytest.raises(InputError, match="data prepare"):
        read_crops(tmp_path, "train")
    (tmp_path / "train.npz").write_bytes(b"no")
    with pytest.raises(InputError, match="cannot be read"):
        read_crops(tmp_path, "train")
    crops = separable(8, 0, "photo")
    write_crops(tmp_path, "test", replace(crops, label=crops.label[:5]))
    with pytest.raises(InputError, match="fit together"):
        read_crops(tmp_path, "test")

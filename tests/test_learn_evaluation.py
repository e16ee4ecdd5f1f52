"""Tests of baselines, boxed photos and the tables of an evaluation; no torch."""

import io
import itertools
import json

import cv2
import numpy as np
import pytest

from spotscan.errors import InputError
from spotscan.learn.config import EvaluateConfig
from spotscan.learn.handmade import NAMES, features
from spotscan.learn.photos import OTHER, read_boxed
from spotscan.learn.prepared import OUTPUTS
from tests.learn_tools import prepared_folder, separable

SKIN, MARKS = (214, 170, 146), {"spot": (190, 90, 80), "angioma": (160, 30, 40), "lesion": (90, 60, 50)}


@pytest.fixture
def photos(tmp_path):
    """Three photos, not square, each with marks of one class and one mark that nobody was sure of."""
    folder = tmp_path / "photos"
    (folder / "images").mkdir(parents=True)
    told = []
    for name, colour in MARKS.items():
        rgb = np.full((120, 200, 3), SKIN, np.uint8)
        spots = []
        for k, x in enumerate((40, 100, 160)):
            cv2.circle(rgb, (x, 60), 8, colour, -1)
            spots.append({"cx": x, "cy": 60, "w": 17, "h": 17, "label": name, "sure": k < 2})
        spots.append({"cx": 20, "cy": 20, "w": 9, "h": 9, "label": "other"})
        cv2.imwrite(str(folder / "images" / f"{name}.png"), rgb[..., ::-1])
        told.append({"file": f"{name}.png", "skin_tone": "light", "spots": spots})
    (folder / "annotations.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def test_boxed_marks_are_cut_where_they_are(photos):
    boxed = read_boxed(photos)
    assert boxed.crops.label.tolist() == [0, 0, OTHER, 1, 1, OTHER, 2, 2, OTHER]
    centre = boxed.crops.crops[:, :3, 19:21, 19:21].astype(float).mean((2, 3))
    assert np.all(centre[boxed.crops.label < 3, 1] > 0.3)  # a mark in the middle
    assert np.abs(centre[boxed.crops.label == OTHER]).max() < 0.01  # plain skin
    assert set(boxed.crops.group) == {"spot.png", "angioma.png", "lesion.png"}
    assert set(boxed.tone) == {"light"}


def test_boxed_photos_are_found_within_the_data_folder(photos, monkeypatch):
    monkeypatch.setenv("SPOTSCAN_DATA", str(photos.parent))
    assert len(read_boxed("photos").crops) == 9
    with pytest.raises(InputError, match="SPOTSCAN_DATA"):
        read_boxed("nowhere")


def test_handmade_features_measure_what_their_names_say():
    crops = separable(40, 3, "photo")
    found = dict(zip(NAMES, features(crops).T, strict=True))
    marks = crops.label < 3
    truth = crops.crops[:, :3, 16:24, 16:24].astype(float)
    assert np.allclose(found["green"], np.median(truth[:, 1], axis=(1, 2)), atol=0.05)
    assert np.allclose(found["log_diameter_px"], np.log(crops.diameter_px))
    assert np.allclose(found["filled"][marks], 1, atol=0.1)  # the disc fills its own diameter
    assert np.all(found["circularity"][marks] > 0.8)
    assert np.all(found["elongation"][marks] < 1.2)
    assert np.all(np.isfinite(features(crops)))


def test_handmade_features_count_the_neighbours():
    crops = separable(12, 4, "photo")
    lonely = features(crops)[:, NAMES.index("neighbours")]
    with_two = crops.crops.copy()
    for y, x in ((6, 6), (30, 33)):
        with_two[:, 3:, y : y + 4, x : x + 4] = crops.crops[:, :3, 18:22, 18:22]
    marks = crops.label < 3
    more = features(type(crops)(**{**vars(crops), "crops": with_two}))[:, NAMES.index("neighbours")]
    assert np.all(lonely[marks] == 0)
    assert np.all(more[marks] == 2)


def test_an_evaluation_tells_models_apart_and_is_written(tmp_path, photos):
    pytest.importorskip("sklearn")
    from spotscan.learn.evaluation import evaluate, write_evaluation

    asked = EvaluateConfig(
        str(prepared_folder(tmp_path / "prepared", 400)), str(tmp_path / "out"), (), photos=str(photos), resamples=60
    )
    found = evaluate(asked, io.StringIO())
    for name in ("nearest_mean", "random_forest"):
        test = found["models"][name]["test"]
        metrics = test["all"]["metrics"]
        assert metrics["balanced_accuracy"]["value"] > 0.9, name
        for number in metrics.values():
            assert number["low"] <= number["value"] + 1e-9, name
            assert number["value"] <= number["high"] + 1e-9, name
        assert set(test["by_route"]) == {"drawn", "pasted"}
        assert set(test["by_tone"]) <= {"light", "medium", "dark", "unknown"}
        assert test["none"]["auc"] > 0.95
        assert np.sum(test["confusion_marks"]) == test["all"]["marks"]
        assert found["models"][name]["photos"]["other"]["marks"] == 3
    paths = write_evaluation(found, asked)
    assert json.loads(paths[0].read_text(encoding="utf-8")) == json.loads(json.dumps(found))
    text = paths[1].read_text(encoding="utf-8")
    assert "| nearest_mean |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for above, row in itertools.pairwise(rows):
        assert row.startswith("| ") or row.count("|") == above.count("|")  # a rule is as wide as its head


def test_the_probe_finds_a_route_that_is_there_and_none_where_there_is_none():
    pytest.importorskip("sklearn")
    from spotscan.learn.baselines import route_probe

    random = np.random.default_rng(0)
    crops = separable(600, 5, "photo")
    noise = random.normal(0, 1, (600, 6))
    blind = route_probe(noise, crops.label, crops.route, crops.group)
    assert set(blind) == set(OUTPUTS)
    assert np.mean([p["balanced_accuracy"] for p in blind.values()]) == pytest.approx(0.5, abs=0.06)
    noise[:, 2] += 4 * (crops.route == "drawn")
    seen = route_probe(noise, crops.label, crops.route, crops.group)
    assert min(p["balanced_accuracy"] for p in seen.values()) > 0.9

"""Classes: the rule for `unsure`, weights that cannot be tampered with, boxes, the command line, the scan."""

import json
import subprocess
import sys

import numpy as np
import pytest

import spotscan
from spotscan import weights
from spotscan.boxes import read_boxes
from spotscan.classes import classify_marks, judge, softmax
from spotscan.cli import main
from spotscan.errors import InputError, UsageError
from spotscan.findings import CLASSES
from spotscan.occlusion import mark_saliency
from spotscan.synth import SceneParams, draw_scene, to_jpeg


def logits(*rows):
    return np.log(np.array(rows, np.float32))


@pytest.fixture(scope="module")
def scene():
    return draw_scene(SceneParams(width_px=640, height_px=480, px_per_mm=14, n_spots=8, kinds=(("purpura", 1.0),)), 5)


@pytest.fixture(scope="module")
def boxes(scene):
    low = np.array([outline.min(axis=0) for outline in scene.outlines_px])
    return np.c_[low, np.array([np.ptp(outline, axis=0) for outline in scene.outlines_px])]


def test_the_names_are_the_contracts():
    assert CLASSES == ("spot", "angioma", "lesion")


def test_a_class_is_said_where_its_probability_reaches_the_threshold():
    found = judge(logits([6, 3, 1, 0.1], [1, 8, 1, 0.1], [1, 1, 8, 0.1], [4, 3, 3, 0.1]), 1.0, 0.6, 0.5)
    assert found.names == ("spot", "angioma", "lesion", "unsure")
    assert found.probabilities.sum(axis=1) == pytest.approx(1)


def test_what_is_no_mark_is_unsure_and_is_said_to_be_none():
    found = judge(logits([9, 0.5, 0.5, 40], [9, 0.5, 0.5, 1]), 1.0, 0.6, 0.5)
    assert found.names == ("unsure", "spot")
    assert found.is_mark.tolist() == [False, True]
    assert found.probabilities[0] == pytest.approx([0.9, 0.05, 0.05])  # over the three classes all the same


def test_a_higher_temperature_is_less_sure_of_the_same_class():
    row = logits([6, 3, 1, 0.1])
    cool, warm = judge(row, 1.0, 0.0, 1.0), judge(row, 3.0, 0.0, 1.0)
    assert cool.names == warm.names == ("spot",)
    assert warm.probabilities.max() < cool.probabilities.max()


def test_huge_logits_do_not_overflow():
    assert softmax(np.array([[1e4, 0.0, -1e4]])) == pytest.approx(np.array([[1.0, 0, 0]]))


def test_nothing_to_classify_loads_nothing(monkeypatch):
    monkeypatch.setattr(weights, "FOLDERS", ())
    found = classify_marks(np.zeros((20, 30, 3), np.uint8), np.zeros((0, 2)), [])
    assert (found.probabilities.shape, found.names, found.to_dicts()) == ((0, 3), (), ())


def test_the_pinned_weights_are_there_and_pinned():
    for name, files in weights.PINNED.items():
        assert set(files) == {"weights.onnx", "config.json"}
        loaded = weights.load_weights(name)
        assert 0 < loaded.unsure_below < 1
        assert 0 < loaded.none_above <= 1
        assert loaded.temperature > 0


@pytest.mark.parametrize("file", ["weights.onnx", "config.json"])
def test_an_altered_file_is_refused(tmp_path, monkeypatch, file):
    source = next(folder / weights.NAME for folder in weights.FOLDERS if (folder / weights.NAME).is_dir())
    copy = tmp_path / weights.NAME
    copy.mkdir()
    for name in weights.PINNED[weights.NAME]:
        held = (source / name).read_bytes()
        (copy / name).write_bytes(held + b" " if name == file else held)
    monkeypatch.setattr(weights, "FOLDERS", (tmp_path,))
    with pytest.raises(InputError, match="not the ones this version was measured with"):
        weights.load_weights.__wrapped__()


def test_missing_and_unknown_weights_are_refused(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="unknown weights"):
        weights.load_weights("../../etc")
    monkeypatch.setattr(weights, "FOLDERS", (tmp_path,))
    with pytest.raises(InputError, match="missing"):
        weights.load_weights.__wrapped__()


def test_boxes_are_classified_in_their_order(scene, boxes):
    said = spotscan.classify(scene.rgb, boxes)
    assert len(said) == len(boxes)
    for one in said:
        assert one["class"] in (*CLASSES, "unsure")
        assert sum(one["probabilities"].values()) == pytest.approx(1)
    backward = spotscan.classify(to_jpeg(scene, 100), boxes[::-1])
    for one, other in zip(said, backward[::-1], strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=0.1)


def test_marks_are_judged_with_those_that_look_alike_in_mind(scene, boxes):
    together = [one["probabilities"]["spot"] for one in spotscan.classify(scene.rgb, boxes)]
    alone = [spotscan.classify(scene.rgb, [box])[0]["probabilities"]["spot"] for box in boxes]
    assert np.std(together) <= np.std(alone)  # all of one kind: they agree more
    assert together != pytest.approx(alone, abs=1e-6)


def test_no_boxes_give_an_empty_list(scene):
    assert spotscan.classify(scene.rgb, []) == []
    assert spotscan.classify(scene.rgb, np.zeros((0, 4))) == []


@pytest.mark.parametrize("boxes", [[[1, 2, 3]], [[1, 2, 3, np.nan]], "box", [[1, 2, 3, "x"]], np.zeros((2, 3, 4))])
def test_what_are_no_boxes_is_a_wrong_call(scene, boxes):
    with pytest.raises(UsageError):
        spotscan.classify(scene.rgb, boxes)


@pytest.mark.parametrize(("box", "what"), [
    ([10, 10, 0, 5], "smaller than 2 px"), ([10, 10, -5, 5], "smaller than 2 px"),
    ([-500000, -500000, 1e6, 1e6], "larger than the photo"), ([0, 0, 2e300, 2e300], "larger than the photo"),
    ([5000, 10, 9, 9], "outside the photo"), ([-50, 10, 9, 9], "outside the photo"),
])  # fmt: skip
def test_a_box_that_holds_nothing_is_named(scene, box, what):
    with pytest.raises(InputError, match=f"box 2 .*{what}"):
        spotscan.classify(scene.rgb, [[10, 10, 9, 9], box])


def test_boxes_are_read_as_spreadsheets_write_them(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_bytes("\ufeffname, X ,y,w,h\r\na,1,2,3,4\r\nb,5.5,6,7,8\r\n".encode())
    assert read_boxes(path).tolist() == [[1, 2, 3, 4], [5.5, 6, 7, 8]]
    path.write_text("x,y,w,h\n")
    assert read_boxes(path).shape == (0, 4)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"x,y,w,h\n1,2,3\n", b"x,y,w,h\n1,2,3,many\n",
                                     b"x,y,w,h\n1,2,3,inf\n", b"x,y,w,h,x\n1,2,3,4,9\n", b"\xff\xfe\x00",
                                     b"\x00" * 50])  # fmt: skip
def test_a_file_that_holds_no_boxes_is_refused_in_a_line(tmp_path, capsys, content, scene):
    photo, boxes = tmp_path / "a.jpg", tmp_path / "boxes.csv"
    photo.write_bytes(to_jpeg(scene))
    boxes.write_bytes(content)
    assert main(["classify", str(photo), "--boxes", str(boxes)]) == 3
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert not said.out


def test_the_command_prints_one_document(tmp_path, capsys, scene, boxes):
    photo, table = tmp_path / "a.jpg", tmp_path / "boxes.csv"
    photo.write_bytes(to_jpeg(scene))
    table.write_text("x,y,w,h\n" + "\n".join(",".join(map(str, box)) for box in boxes))
    assert main(["classify", str(photo), "--boxes", str(table), "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["boxes"][0]["box_px"] == pytest.approx(boxes[0].tolist())
    assert [one["class"] for one in document["boxes"]] == [c["class"] for c in spotscan.classify(str(photo), boxes)]
    assert main(["classify", str(photo), "--boxes", str(table)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert len(told) == len(boxes) + 1
    assert "no finding" in told[-1]


def test_a_scan_classifies_each_mark(scene):
    scan = spotscan.scan(scene.rgb, "px-per-mm:14")
    document = scan.to_dict()
    assert len(document["spots"]) > 3
    mix = document["findings"]["class_mix"]
    assert sum(mix.values()) == pytest.approx(1, abs=1e-3)
    for mark in document["spots"]:
        assert mark["class"] in (*CLASSES, "unsure")
        assert sum(mark["probabilities"].values()) == pytest.approx(1, abs=1e-3)


def test_what_is_no_mark_is_dropped_unless_asked_to_keep(scene, monkeypatch):
    import spotscan.pipeline as pipeline

    real = pipeline.classify_marks

    def doubts_the_first(*arguments):
        found = real(*arguments)
        is_mark = found.is_mark.copy()
        is_mark[0] = False
        return type(found)(found.probabilities, found.no_mark, found.names, is_mark)

    monkeypatch.setattr(pipeline, "classify_marks", doubts_the_first)
    kept = spotscan.scan(scene.rgb, "px-per-mm:14", keep_no_marks=True)
    dropped = spotscan.scan(scene.rgb, "px-per-mm:14")
    assert len(dropped.spots) == len(kept.spots) - 1
    assert dropped.spots.diameter_mm.tolist() == kept.spots.diameter_mm[1:].tolist()
    assert len(dropped.classes) == len(dropped.spots) == len(dropped.density.membership)


def test_saliency_lies_on_the_photo_and_has_a_peak(scene, boxes):
    why = spotscan.saliency(scene.rgb, boxes[0])
    x, y, w, h = why.box_px
    assert w == h == pytest.approx(2.4 * np.sqrt(boxes[0][2] * boxes[0][3]))
    assert (x + w / 2, y + h / 2) == pytest.approx(tuple(boxes[0][:2] + boxes[0][2:] / 2))
    assert why.weights.min() >= 0
    assert why.weights.max() == pytest.approx(1) or not why.weights.any()
    assert 0 <= why.surroundings <= 1


def test_saliency_points_at_what_the_network_looks_at():
    class Looks:
        """Believes in class 0 by what stands in the upper left of the tight crop."""

        temperature = 1.0

        def logits(self, crops):
            seen = crops[:, 1, 8:16, 8:16].mean(axis=(1, 2))
            return np.stack([20 * seen, 0 * seen, 0 * seen, 0 * seen], axis=1)

    rgb = np.full((120, 150, 3), (200, 160, 140), np.uint8)
    rgb[40:80, 50:90] = (150, 60, 60)
    why = mark_saliency(rgb, (70, 60), 40.0, Looks())
    peak = np.unravel_index(why.weights.argmax(), why.weights.shape)
    assert all(6 <= at <= 18 for at in peak)
    assert why.weights[25:, 25:].max() < 0.05


def test_importing_and_asking_for_help_load_no_runtime():
    code = "import spotscan, spotscan.cli, sys; print('onnxruntime' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_sure_lesion_is_not_talked_away_by_those_around_it():
    alone = logits([0.05, 0.05, 0.9, 0.01], [0.2, 0.3, 0.5, 0.01], [0.05, 0.9, 0.05, 0.01])
    around = np.repeat(logits([0.1, 0.8, 0.1]), 3, axis=0)
    found = judge(alone, 1.0, 0.6, 0.9, around)
    assert found.names == ("lesion", "angioma", "angioma")
    assert found.probabilities[0] == pytest.approx([0.05, 0.05, 0.9])


def test_large_marks_are_never_dropped_and_dropped_ones_are_counted(scene, monkeypatch):
    import spotscan.pipeline as pipeline

    real = pipeline.classify_marks

    def believes_none(*arguments):
        found = real(*arguments)
        return type(found)(found.probabilities, found.no_mark, found.names, np.zeros(len(found.names), bool))

    monkeypatch.setattr(pipeline, "classify_marks", believes_none)
    kept = spotscan.scan(scene.rgb, "px-per-mm:14", keep_no_marks=True)
    scan = spotscan.scan(scene.rgb, "px-per-mm:14")
    assert kept.n_no_marks == 0
    assert scan.to_dict()["quality"]["n_no_marks"] == scan.n_no_marks == len(kept.spots) - len(scan.spots)
    assert scan.spots.diameter_mm.tolist() == [d for d in kept.spots.diameter_mm if d >= 2]

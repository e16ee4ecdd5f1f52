"""The benchmarks' own rulers: scoring on records made up here, and the page they write."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import batch, data, dots, peers, report, scoring, speed, synth


def spot(cx: float, cy: float, w: float = 10, h: float = 10, sure: bool = True) -> dict:
    return {"cx": cx, "cy": cy, "w": w, "h": h, "sure": sure}


RECORD = {
    "roi": [100, 50, 300, 200],
    "ignore": [[300, 50, 100, 50]],
    "spots": [spot(150, 100), spot(200, 150, 40, 8), spot(250, 200, sure=False)],
}


def test_perfect_detections_score_one():
    rng = np.random.default_rng(1)
    truth = np.c_[rng.uniform(0, 900, 40), rng.uniform(0, 500, 40)]
    diameter = rng.uniform(5, 9, 40)
    pairs = scoring.pair_up(truth[::-1], truth, diameter)
    assert len(pairs) == 40
    assert (pairs[:, 0] == 39 - pairs[:, 1]).all()
    assert scoring.f1(len(pairs), 0, 0) == 1.0


def test_a_mark_found_twice_is_one_hit():
    truth, diameter = np.array([[50.0, 20.0]]), np.array([20.0])
    found = np.array([[53.0, 20.0], [50.0, 21.0], [90.0, 20.0]])
    assert scoring.pair_up(found, truth, diameter).tolist() == [[0, 1]]


def test_pairing_needs_the_centre_inside_the_mark():
    truth, diameter = np.array([[50.0, 20.0]]), np.array([20.0])
    assert len(scoring.pair_up(np.array([[62.9, 20.0]]), truth, diameter)) == 1
    assert len(scoring.pair_up(np.array([[63.1, 20.0]]), truth, diameter)) == 0


@pytest.mark.parametrize(("found", "truth"), [(np.zeros((0, 2)), np.ones((3, 2))), (np.ones((3, 2)), np.zeros((0, 2)))])
def test_nothing_pairs_with_nothing(found, truth):
    assert scoring.pair_up(found, truth, np.full(len(truth), 9.0)).shape == (0, 2)


def test_f1_of_nothing_to_find_and_nothing_found_is_one():
    assert scoring.f1(0, 0, 0) == 1.0
    assert scoring.f1(0, 1, 0) == 0.0
    assert scoring.f1(3, 1, 2) == pytest.approx(6 / 9)


@pytest.mark.parametrize(
    ("where", "alarms"),
    [
        ((120, 180), 1),  # plain skin
        ((150, 100), 0),  # on a mark
        ((156.9, 100), 0),  # in the 2 px around its box
        ((157.1, 100), 1),
        ((225.9, 150), 0),  # 15 % of a long mark's longer side
        ((200, 160.1), 1),
        ((250, 200), 0),  # an unsure mark is a mark
        ((350, 70), 0),  # ignored
        ((90, 100), 0),  # outside the roi, left
        ((250, 251), 0),  # and below
    ],
)
def test_false_alarms_of_a_made_up_record(where, alarms):
    assert scoring.false_alarms(RECORD, [where]) == alarms


def test_false_alarms_add_up_and_need_no_marks():
    assert scoring.false_alarms(RECORD, [(120, 180), (150, 100), (130, 190, 4.0)]) == 2
    assert scoring.false_alarms({"roi": [0, 0, 30, 20], "spots": []}, [(25, 5), (5, 25)]) == 1


def test_coverage_of_honest_errors_is_that_of_a_gaussian():
    rng = np.random.default_rng(2)
    err = rng.uniform(0.01, 0.2, 20_000)
    truth = np.full(20_000, 2.0)
    value = truth + err * rng.standard_normal(20_000)
    assert scoring.coverage(value, err, truth) == pytest.approx(0.9545, abs=0.005)
    assert scoring.coverage(value, err / 2, truth) == pytest.approx(0.6827, abs=0.01)


def test_a_batch_is_scored_by_its_own_millimetres_and_a_peer_by_the_true_scale():
    truth = {
        "a.jpg": {
            "centre_px": np.array([[30.0, 40.0], [100.0, 20.0]]), "diameter_px": np.array([20.0, 10.0]),
            "diameter_mm": np.array([2.0, 1.0]), "px_per_mm": 10.0, "skin": np.ones((80, 120), bool),
        }
    }  # fmt: skip
    truth["a.jpg"]["skin"][60:] = False
    ours = [{"file": "a.jpg", "cx_px": "30", "cy_px": "40", "diameter_px": "9", "diameter_mm": "2.2"}]
    assert batch._score(ours, truth) == pytest.approx(
        {"F1": 2 / 3, "diameter median abs %": 10, "diameter p95 abs %": 10}
    )
    peer = [{"file": "a.jpg", "cx_px": x, "cy_px": y, "diameter_px": "22"} for x, y in (("30", "40"), ("50", "70"))]
    assert batch._score(peer, truth)["F1"] == pytest.approx(2 / 3)  # what lies off the skin is left out


def test_local_scale_by_differences_is_that_of_a_similarity():
    turn, px_per_mm = np.radians(30), 25.0
    c, s = np.cos(turn) / px_per_mm, np.sin(turn) / px_per_mm
    px_to_mm = np.array([[c, -s, 3.0], [s, c, -7.0], [0, 0, 1]])
    assert synth._px_per_mm(px_to_mm, np.array([[310.0, 120.0]])) == pytest.approx(25.0)


def test_counts_within_the_range_of_people():
    assert dots.within(95, [100, 110]) == "yes"
    assert dots.within(94, [100, 110]) == "no"
    assert dots.within(115, [100, 110]) == "yes"


def test_dish_of_a_drawn_plate():
    import cv2

    plate = np.full((600, 640, 3), 255, np.uint8)
    cv2.circle(plate, (320, 300), 300, (120, 130, 90), -1)
    inside = dots.dish(plate)
    assert inside.shape == (600, 640)
    assert inside.mean() == pytest.approx(np.pi * (0.96 * 300) ** 2 / plate[..., 0].size, rel=0.03)


@pytest.mark.parametrize("name", peers.PEERS)
def test_peers_find_plain_dots(name):
    """Four reddish discs on skin colour, in a picture that is not square: x first."""
    import cv2

    rgb = np.full((160, 240, 3), (224, 184, 160), np.uint8)
    rgb = (rgb + np.random.default_rng(3).normal(0, 1.5, rgb.shape)).clip(0, 255).astype(np.uint8)
    truth = np.array([(30, 40), (200, 50), (100, 120), (210, 130)], float)
    for x, y in truth.astype(int).tolist():
        cv2.circle(rgb, (x, y), 5, (180, 70, 70), -1, cv2.LINE_AA)
    found = peers.PEERS[name](cv2.GaussianBlur(rgb, (0, 0), 1.0))
    assert len(scoring.pair_up(found, truth, np.full(4, 10.0))) == 4


@pytest.mark.parametrize("name", peers.PEERS)
def test_peers_on_a_flat_picture_give_an_empty_list(name):
    assert np.shape(peers.PEERS[name](np.full((90, 120, 3), 180, np.uint8))) == (0, 2)


def test_race_takes_turns_and_leaves_the_first_out():
    calls = []
    times = speed.race({"a": lambda data: calls.append("a"), "b": lambda data: calls.append("b")}, b"", 3)
    assert calls == ["a", "b"] * 4
    assert [len(t) for t in times.values()] == [3, 3]


def test_page_puts_reached_beside_asked():
    results: dict = {
        "detection": {"macro_f1": 0.851, "alarms_mean": 1.2, "rows": [{"photo": "x", "n": 3}]},
        "synth": "no data",
    }
    table = report.target_table(results)
    assert "| macro F1, real petechiae and purpura | >= 0.85 | 0.851 | yes |" in table
    assert "| false alarms per other photo, mean | <= 1 | 1.20 | no |" in table
    assert "| F1, drawn, dark skin | >= 0.93 | not run | - |" in table
    page = report.markdown(results, dict.fromkeys(results, "About."), dict.fromkeys(results, 1.0), "# Results\n")
    assert "Not run: no data" in page
    assert "### rows\n\n| photo | n |\n|---|---|\n| x | 3 |" in page


def test_numbers_are_printed_without_false_digits():
    assert [report.number(v) for v in (3, 0.0, 1234.5, 0.123456, float("nan"), None, np.int64(7), "x")] == [
        "3", "0", "1234", "0.123", "not measured", "-", "7", "x",
    ]  # fmt: skip


def test_absent_data_are_said_plainly(monkeypatch, tmp_path):
    monkeypatch.setenv("SPOTSCAN_DATA", str(tmp_path))
    with pytest.raises(data.MissingData, match="set SPOTSCAN_DATA"):
        data.folder("eval", "dots")
    with pytest.raises(data.MissingData):
        dots.run()

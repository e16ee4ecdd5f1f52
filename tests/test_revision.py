"""Corrections by hand: what was removed is gone, what was missed is measured as if found, and the rest follows."""

from __future__ import annotations

import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spotscan
from spotscan import UsageError, revise
from spotscan.flags import FLAGS
from spotscan.references.by_hand import scale_by_hand
from spotscan.synth import SceneParams, draw_scene
from spotscan.types import Measurements, Scan

PX_PER_MM = 18.0


def drawn(**changes: object) -> Scan:
    params = {
        "width_px": 1300,
        "height_px": 1000,
        "px_per_mm": PX_PER_MM,
        "n_spots": 24,
        "reference": "aruco",
        "side_mm": 12.0,
    }
    scene = draw_scene(SceneParams(**{**params, **changes}), 5)  # type: ignore[arg-type]
    return spotscan.scan(scene.rgb, f"aruco:{12:g}")


@pytest.fixture(scope="module")
def scan() -> Scan:
    return drawn()


def row_of(scan: Scan, name: int) -> int:
    return scan.spots.ids.index(name)


def same_marks(a: Measurements, b: Measurements) -> None:
    assert a.ids == b.ids
    for field in ("centre_px", "diameter_px", "diameter_mm", "diameter_mm_err", "longest_mm", "area_mm2"):
        np.testing.assert_allclose(getattr(a, field), getattr(b, field), rtol=1e-12, err_msg=field)
    assert a.flags == b.flags


def bare_skin(scan: Scan, margin_px: float = 60.0) -> np.ndarray:
    """Places on the skin far from every mark and from the edge of the skin."""
    skin = cv2.resize(scan.skin.mask.astype(np.uint8), (scan.photo.width_px, scan.photo.height_px))
    for (x, y), d in zip(scan.spots.centre_px, scan.spots.diameter_px, strict=True):
        cv2.circle(skin, (round(x), round(y)), round(float(np.nan_to_num(d, nan=20)) / 2 + margin_px), 0, -1)
    skin = cv2.erode(np.pad(skin, 1), np.ones((61, 61), np.uint8))[1:-1, 1:-1]
    y, x = np.nonzero(skin)
    return np.column_stack([x, y]).astype(float)


def test_nothing_corrected_is_the_same_scan(scan: Scan) -> None:
    again = revise(scan)
    same_marks(again.spots, scan.spots)
    assert again.to_dict() == scan.to_dict()


def test_removed_marks_are_gone_and_the_others_keep_their_numbers(scan: Scan) -> None:
    names = scan.spots.ids[::3]
    left = revise(scan, removed=names)
    assert set(left.spots.ids) == set(scan.spots.ids) - set(names)
    for name in left.spots.ids:
        assert left.spots.diameter_mm[row_of(left, name)] == scan.spots.diameter_mm[row_of(scan, name)]
    assert [spot["id"] for spot in left.to_dict()["spots"]] == list(left.spots.ids)


def test_density_and_findings_follow(scan: Scan) -> None:
    assert scan.density.spots_per_cm2 is not None
    n = len(scan.spots)
    left = revise(scan, removed=scan.spots.ids[: n // 2])
    assert left.density.skin_area_cm2 == scan.density.skin_area_cm2
    assert left.density.spots_per_cm2 == pytest.approx(scan.density.spots_per_cm2 * (n - n // 2) / n)
    assert left.to_dict()["findings"]["count"] == n - n // 2
    nothing = revise(scan, removed=scan.spots.ids)
    assert nothing.to_dict()["findings"]["count"] == 0
    assert nothing.to_dict()["findings"]["max_diameter_mm"] is None
    assert nothing.density.clusters == ()


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(1, 24)), st.sets(st.integers(1, 24)))
def test_removing_twice_is_removing_both(scan: Scan, one: set[int], other: set[int]) -> None:
    same_marks(revise(revise(scan, removed=one), removed=other).spots, revise(scan, removed=one | other).spots)


@pytest.mark.parametrize("tone", ["light", "medium", "dark"])
def test_a_missed_mark_is_measured_as_if_it_had_been_found(tone: str) -> None:
    scan = drawn(skin_tone=tone)
    clear = [i for i, flags in enumerate(scan.spots.flags) if not flags]
    chosen = clear[:: max(1, len(clear) // 8)]
    names = [scan.spots.ids[i] for i in chosen]
    # A finger hits within a fifth of the mark.
    off = np.random.default_rng(0).uniform(-0.2, 0.2, (len(chosen), 2)) * scan.spots.diameter_px[chosen, None]
    clicks = [tuple(xy) for xy in scan.spots.centre_px[chosen] + off]
    again = revise(scan, removed=names, added=clicks)
    assert len(again.spots) == len(scan.spots)
    for k, i in enumerate(chosen):
        row = row_of(again, len(scan.spots) + 1 + k)
        assert again.spots.flags[row] == ("added_by_hand",)
        assert again.spots.diameter_mm[row] == pytest.approx(scan.spots.diameter_mm[i], rel=0.02)
        assert np.hypot(*(again.spots.centre_px[row] - scan.spots.centre_px[i])) < 1.0
        assert again.spots.colour[row] == scan.spots.colour[i]


def test_what_is_no_mark_gets_no_size(scan: Scan) -> None:
    places = bare_skin(scan)
    picked = places[np.random.default_rng(1).choice(len(places), 25, replace=False)]
    again = revise(scan, added=[tuple(xy) for xy in picked])
    new = np.array(again.spots.ids) > len(scan.spots)
    sized = np.isfinite(again.spots.diameter_px[new])
    assert sized.mean() <= 0.1  # a mole or a freckle of the texture may be among them
    spot = again.to_dict()["spots"][-1]
    assert spot["diameter_mm"] is None
    assert spot["bbox_px"] == [None] * 4
    assert spot["colour"] is None
    assert set(spot["flags"]) == {"not_measured", "added_by_hand"} <= set(FLAGS)
    assert again.to_dict()["findings"]["max_diameter_mm"] == scan.to_dict()["findings"]["max_diameter_mm"]


def test_a_circle_around_nothing_is_the_size_drawn_and_says_so(scan: Scan) -> None:
    x, y = bare_skin(scan)[0]
    again = revise(scan, added=[(x, y, 54.0)])
    assert again.spots.flags[-1] == ("drawn_by_hand", "added_by_hand")
    assert again.spots.diameter_px[-1] == 54.0
    assert again.spots.diameter_mm[-1] == pytest.approx(3.0, rel=0.01)
    assert again.spots.diameter_mm_err[-1] >= 0.2 * again.spots.diameter_mm[-1]
    assert again.spots.longest_mm[-1] == pytest.approx(3.0, rel=0.01)
    assert np.hypot(*(again.spots.contours_px[-1] - [x, y]).T) == pytest.approx(27.0)
    assert np.isnan(again.spots.contrast[-1])


def test_a_circle_around_a_mark_only_says_where_to_measure(scan: Scan) -> None:
    i = next(i for i, flags in enumerate(scan.spots.flags) if not flags and scan.spots.diameter_px[i] > 20)
    xy, d = scan.spots.centre_px[i], scan.spots.diameter_px[i]
    for factor in (0.75, 1.3):
        again = revise(scan, removed=[scan.spots.ids[i]], added=[(*xy, factor * d)])
        assert again.spots.diameter_px[-1] == pytest.approx(d, rel=0.02)
        assert again.spots.flags[-1] == ("added_by_hand",)


def test_pointing_to_a_mark_that_is_known_adds_nothing(scan: Scan) -> None:
    xy = tuple(scan.spots.centre_px[3])
    assert len(revise(scan, added=[xy]).spots) == len(scan.spots)
    twice = revise(scan, removed=[scan.spots.ids[3]], added=[xy, xy])
    assert len(twice.spots) == len(scan.spots)


def test_numbers_of_added_marks_do_not_depend_on_the_rest(scan: Scan) -> None:
    n, places = len(scan.spots), bare_skin(scan)
    added = [tuple(places[0]), tuple(scan.spots.centre_px[2]), tuple(places[-1])]
    assert revise(scan, added=added).spots.ids[n:] == (n + 1, n + 3)
    assert revise(scan, removed=[1, n + 1], added=added).spots.ids == (*range(2, n + 1), n + 3)


def test_scale_by_hand_is_the_length_over_the_pixels(scan: Scan) -> None:
    again = revise(scan, scale=((100.0, 200.0), (400.0, 600.0), 25.0), click_err_px=2.0)
    assert again.scale is not None
    assert again.scale.reference == "by-hand"
    assert again.scale.px_per_mm == pytest.approx(500 / 25)
    # Each end is off by 2 px, independently.
    assert again.scale.px_per_mm_err / again.scale.px_per_mm == pytest.approx(2 * np.sqrt(2) / 500)
    assert again.scale.tilt_deg is None
    np.testing.assert_allclose(again.spots.diameter_mm, scan.spots.diameter_px / 20, rtol=1e-9)
    assert (again.spots.diameter_mm_err >= again.spots.diameter_mm * 2 * np.sqrt(2) / 500).all()
    assert again.to_dict()["scale"]["reference"] == "by-hand"


def test_the_error_of_a_scale_by_hand_is_that_of_the_clicks(scan: Scan) -> None:
    rng, ends = np.random.default_rng(3), np.array([(100.0, 200.0), (340.0, 380.0)])
    clicks = ends + rng.normal(0, 3.0, (1000, 2, 2))
    got = [scale_by_hand(scan.photo, a, b, 10.0, click_err_px=3.0) for a, b in clicks]
    stated = np.mean([scale.px_per_mm_err for scale in got])
    assert np.std([scale.px_per_mm for scale in got]) == pytest.approx(stated, rel=0.1)


def test_twice_the_length_is_twice_the_size_and_a_quarter_of_the_density(scan: Scan) -> None:
    ends = (100.0, 200.0), (900.0, 700.0)
    one, two = (revise(scan, scale=(*ends, mm)) for mm in (40.0, 80.0))
    np.testing.assert_allclose(two.spots.diameter_mm, 2 * one.spots.diameter_mm, rtol=1e-9)
    np.testing.assert_allclose(two.spots.area_mm2, 4 * one.spots.area_mm2, rtol=1e-9)
    assert one.density.spots_per_cm2 == pytest.approx(4 * two.density.spots_per_cm2)
    assert two.quality.smallest_mm == pytest.approx(2 * one.quality.smallest_mm)


def test_a_scale_by_hand_gives_millimetres_to_a_photo_without(scan: Scan) -> None:
    bare = spotscan.scan(scan.photo.rgb, "none")
    assert "no_scale" in bare.quality.flags
    again = revise(bare, scale=((100.0, 500.0), (100.0 + 20 * PX_PER_MM, 500.0), 20.0))
    assert "no_scale" not in again.quality.flags
    known = np.isfinite(bare.spots.diameter_px)
    np.testing.assert_allclose(again.spots.diameter_mm[known], bare.spots.diameter_px[known] / PX_PER_MM, rtol=1e-9)
    assert np.isfinite(again.spots.diameter_mm_err[known]).all()


def test_a_card_stays_covered_under_a_scale_by_hand() -> None:
    from spotscan.groups import GREY
    from spotscan.overlay import draw_overlay
    from spotscan.synth import random_params

    params = replace(random_params(3, "light", "bank_card"), tilt_deg=5.0)
    scan = spotscan.scan(draw_scene(params, 3).rgb, "card")
    assert scan.scale is not None
    again = revise(scan, scale=((10.0, 10.0), (900.0, 10.0), 40.0))
    middle = scan.scale.outline_px.mean(axis=0)
    page = draw_overlay(again)
    x, y = np.rint(middle * page.shape[1] / scan.photo.width_px).astype(int)
    assert (page[y - 30 : y + 30, x - 30 : x + 30] == GREY).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": ((100, 100), (100, 100), 10.0)},
        {"scale": ((100, 100), (400, 100), 0.0)},
        {"scale": ((100, 100), (400, 100), float("nan"))},
        {"scale": ((100, 100), (400, 100), 1e6)},
        {"scale": ((-50, 100), (400, 100), 10.0)},
        {"scale": ((100, float("inf")), (400, 100), 10.0)},
        {"added": [(-5.0, 10.0)]},
        {"added": [(10.0, float("nan"))]},
        {"added": [(10.0, 10.0, 0.0)]},
        {"added": [(10.0, 10.0, float("nan"))]},
        {"added": [(1300.0, 10.0)]},
        {"added": [(1.0,)]},
    ],
)
def test_what_cannot_be_is_said(scan: Scan, wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError) as said:
        revise(scan, **wrong)  # type: ignore[arg-type]
    assert said.value.todo


@pytest.mark.parametrize("xy", [(0.0, 0.0), (1299.0, 999.0), (-0.5, 999.5), (1299.5, 0.0), (650.0, 0.0)])
def test_corners_and_edges_can_be_pointed_to(scan: Scan, xy: tuple[float, float]) -> None:
    assert len(revise(scan, added=[xy, (*xy, 15.0)]).spots) >= len(scan.spots)


def test_classes_follow_the_marks(scan: Scan) -> None:
    assert scan.classes is not None
    assert [one["class"] for one in revise(scan).classes or ()] == [one["class"] for one in scan.classes]
    i = next(i for i, flags in enumerate(scan.spots.flags) if not flags)
    added = [tuple(scan.spots.centre_px[i]), tuple(bare_skin(scan)[0])]
    again = revise(scan, removed=[scan.spots.ids[i]], added=added)
    assert again.classes is not None
    assert len(again.classes) == len(again.spots)
    back, nothing = again.classes[-2:]
    before = scan.classes[i]["probabilities"]  # the same mark, measured anew
    assert all(abs(back["probabilities"][name] - before[name]) < 0.3 for name in before)
    assert nothing == {"class": None, "probabilities": None}  # nothing was seen there that could be classified


def test_an_earlier_result_does_not_stay_on_other_findings(scan: Scan) -> None:
    assert revise(replace(scan, triage={"urgency": "self_watch"}), removed=[1]).triage is None


def test_flags_of_the_place_are_not_repeated(scan: Scan) -> None:
    assert scan.scale is not None
    flagged = replace(scan, scale=replace(scan.scale, flags=("tilted", "reference_off_skin")))
    assert revise(flagged).scale.flags.count("tilted") == 1  # type: ignore[union-attr]
    assert "reference_off_skin" not in revise(flagged).scale.flags  # type: ignore[union-attr]


def test_speed_at_twelve_megapixels() -> None:
    params = SceneParams(width_px=4032, height_px=3024, px_per_mm=40.0, n_spots=100, reference="aruco", side_mm=20.0)
    scan = spotscan.scan(draw_scene(params, 2).rgb, "aruco:20")
    places = bare_skin(scan)[::100_000][:3]
    added = [tuple(scan.spots.centre_px[i]) for i in (5, 50)] + [tuple(xy) for xy in places]
    best = 9.0
    for _ in range(3):
        start = time.process_time()
        revise(scan, removed=[6, 51], added=added, scale=((100, 100), (900, 100), 20.0))
        best = min(best, time.process_time() - start)
    assert best < 0.6  # of the processor, a third of it for the classes of 100 marks


def test_the_only_mark_may_be_one_added_by_hand(scan: Scan) -> None:
    i = next(i for i, flags in enumerate(scan.spots.flags) if not flags)
    again = revise(scan, removed=scan.spots.ids, added=[tuple(scan.spots.centre_px[i])])
    assert again.spots.ids == (len(scan.spots) + 1,)
    assert again.spots.diameter_mm[0] == pytest.approx(scan.spots.diameter_mm[i], rel=0.03)

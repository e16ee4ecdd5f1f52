"""Findings: unknown stays unknown, nothing found is a count of 0."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spotscan.findings import image_quality, summarise
from spotscan.flags import FLAGS
from spotscan.types import Density, Measurements, Quality

GOOD = Quality(True, (), 0.8, 1.0, 5.0, 0.3)
NO_SCALE = Density(None, None, (), np.zeros(0, np.int64), None, None)


def marks(diameter_mm: list[float], flags: tuple[tuple[str, ...], ...] | None = None) -> Measurements:
    n, mm = len(diameter_mm), np.array(diameter_mm, float)
    return Measurements(
        centre_px=np.zeros((n, 2)),
        bbox_px=np.zeros((n, 4)),
        contours_px=tuple(np.zeros((3, 2)) for _ in range(n)),
        diameter_px=mm * 20,
        diameter_mm=mm,
        diameter_mm_err=mm * 0.02,
        longest_mm=mm,
        area_mm2=mm,
        circularity=mm,
        contrast=mm,
        colour=("red",) * n,
        flags=flags or ((),) * n,
    )


def test_sizes_and_count() -> None:
    density = replace(NO_SCALE, skin_area_cm2=6.0, spots_per_cm2=0.5)
    assert summarise(marks([1.0, 4.0, 1.5]), density, GOOD) == {
        "count": 3,
        "median_diameter_mm": 1.5,
        "max_diameter_mm": 4.0,
        "density_per_cm2": 0.5,
        "class_mix": None,
        "image_quality": "good",
        "max_diameter_mm_err": pytest.approx(0.08),  # 2 % of the largest
    }


def test_nothing_found_is_a_count_of_zero_and_no_sizes() -> None:
    findings = summarise(marks([]), NO_SCALE, GOOD)
    assert findings["count"] == 0
    assert findings["median_diameter_mm"] is None
    assert findings["max_diameter_mm"] is None
    assert findings["class_mix"] is None


def test_without_scale_marks_count_and_sizes_are_unknown() -> None:
    findings = summarise(marks([np.nan, np.nan]), NO_SCALE, GOOD)
    assert findings["count"] == 2
    assert findings["median_diameter_mm"] is None
    assert findings["density_per_cm2"] is None


def test_marks_not_measured_do_not_pull_the_sizes() -> None:
    findings = summarise(marks([np.nan, 2.0, 3.0, 4.0]), NO_SCALE, GOOD)
    assert findings["count"] == 4
    assert findings["median_diameter_mm"] == 3.0


def test_a_cut_mark_is_at_least_so_large() -> None:
    cut = marks([1.0, 1.2, 9.0], ((), (), ("at_edge",)))
    findings = summarise(cut, NO_SCALE, GOOD)
    assert findings["median_diameter_mm"] == pytest.approx(1.1)
    assert findings["max_diameter_mm"] == 9.0
    alone = summarise(marks([9.0], (("at_edge",),)), NO_SCALE, GOOD)
    assert alone["median_diameter_mm"] == 9.0


def test_class_mix_is_the_mean_probability_and_sums_to_one() -> None:
    classes = [
        {"class": "spot", "probabilities": {"spot": 0.9, "angioma": 0.1, "lesion": 0.0}},
        {"class": "unsure", "probabilities": {"spot": 0.4, "angioma": 0.3, "lesion": 0.3}},
    ]
    mix = summarise(marks([1.0, 2.0]), NO_SCALE, GOOD, classes)["class_mix"]
    assert mix == pytest.approx({"spot": 0.65, "angioma": 0.2, "lesion": 0.15})
    assert sum(mix.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("name", [flag.name for flag in FLAGS.values() if flag.concerns == "photo"])
def test_every_flag_has_its_grade(name: str) -> None:
    hides_marks = {"blurred", "focus_unknown", "too_dark", "too_bright", "glare", "low_resolution", "little_skin"}
    expected = "unusable" if FLAGS[name].unusable else "poor" if name in hides_marks else "good"
    assert image_quality(replace(GOOD, flags=(name,))) == expected


def test_unusable_outranks_poor() -> None:
    assert image_quality(replace(GOOD, usable=False, flags=("glare",))) == "unusable"
    assert image_quality(replace(GOOD, flags=("glare", "no_skin"))) == "unusable"

"""A mark enlarged: it lies in the middle, true to scale, and nothing is shown that must not be."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from spotscan import UsageError
from spotscan.close_up import close_up
from spotscan.groups import GREY
from spotscan.types import Scan
from tests.test_overlay import PX_PER_MM, scan_of

W, H = 700, 500
SKIN, MARK = (200, 160, 140), (150, 40, 50)


def disc_scan(at: tuple[float, float] = (310.0, 220.0), diameter: float = 40.0, scaled: bool = True) -> Scan:
    """A disc on plain skin, drawn to a sixteenth of a pixel."""
    rgb = np.full((H, W, 3), SKIN, np.uint8)
    centre = tuple(round(16 * v) for v in at)
    cv2.circle(rgb, centre, round(8 * diameter), MARK, -1, cv2.LINE_AA, shift=4)
    return scan_of(rgb, np.array([at]), diameter, scaled=scaled)


def is_mark(picture: np.ndarray) -> np.ndarray:
    return np.abs(picture.astype(int) - MARK).sum(axis=2) < 60


@pytest.mark.parametrize("side", [240, 480, 601])
@pytest.mark.parametrize("diameter", [9.0, 40.0, 170.0])
def test_the_mark_is_in_the_middle_and_true_to_scale(side: int, diameter: float) -> None:
    scan = disc_scan(diameter=diameter, scaled=False)
    picture = close_up(scan, 1, side, contour=False)
    assert picture.shape == (side, side, 3)
    y, x = np.nonzero(is_mark(picture))
    assert abs(x.mean() - (side - 1) / 2) < 0.02 * side
    assert abs(y.mean() - (side - 1) / 2) < 0.02 * side
    shown = max(1.7 * diameter, 24.0)  # photo px across
    assert 2 * np.sqrt(len(x) / np.pi) == pytest.approx(diameter / shown * side, rel=0.06)


def test_the_outline_lies_on_the_edge() -> None:
    scan = disc_scan(scaled=False)
    side = 480
    bare, lined = (close_up(scan, 1, side, contour=on) for on in (False, True))
    y, x = np.nonzero((bare != lined).any(axis=2))
    radius = np.hypot(x - (side - 1) / 2, y - (side - 1) / 2)
    expected = 20.0 / (1.7 * 40) * side
    assert np.median(radius) == pytest.approx(expected, rel=0.01)
    assert radius.max() - radius.min() < 0.04 * side
    turn = np.degrees(np.arctan2(y - side / 2, x - side / 2))
    assert len(np.unique(np.floor(turn / 10))) >= 36  # all around


def test_the_bar_is_as_long_as_it_says() -> None:
    side = 480
    scaled, bare = (close_up(disc_scan(scaled=on), 1, side, contour=False) for on in (True, False))
    assert (scaled != bare).any()
    row = scaled[side - 4 * side // 240 - 7 * side // 240]
    white = np.flatnonzero((row > 240).all(axis=1))
    zoom = side / max(1.7 * 40.0, 2.0 * PX_PER_MM)
    assert (white[-1] - white[0]) / (zoom * PX_PER_MM) == pytest.approx(1.0, abs=0.05)  # 1 mm is the round length


@pytest.mark.parametrize("at", [(0.0, 0.0), (W - 1.0, H - 1.0), (3.0, 250.0)])
def test_what_lies_beyond_the_photo_is_grey(at: tuple[float, float]) -> None:
    picture = close_up(disc_scan(at, scaled=False), 1, 300, contour=False)
    corner = picture[0, 0] if at[0] < W / 2 else picture[-1, -1]
    assert tuple(corner) == GREY
    assert is_mark(picture)[140:160, 140:160].any()


def test_marks_without_a_size_are_shown_too() -> None:
    scan = disc_scan(scaled=False)
    nothing = replace(
        scan.spots,
        contours_px=(np.zeros((0, 2)),),
        bbox_px=np.full((1, 4), np.nan),
        diameter_px=np.full(1, np.nan),
    )
    assert is_mark(close_up(replace(scan, spots=nothing), 1, 200)).any()


def test_what_a_class_does_not_rest_on_is_dark() -> None:
    scan = disc_scan(scaled=False)
    weights = np.zeros((4, 4), np.float32)
    weights[0] = 1.0  # the upper row of the region looked at
    box = (310.0 - 40, 220.0 - 40, 80.0, 80.0)
    side = 400
    plain = close_up(scan, 1, side, contour=False, saliency=SimpleNamespace(box_px=box, weights=np.ones((4, 4))))
    lit = close_up(scan, 1, side, contour=False, saliency=SimpleNamespace(box_px=box, weights=weights))
    light = lit.astype(float).mean(axis=2) / plain.astype(float).mean(axis=2)
    shown = 80.0  # photo px across: all of the box
    assert light[int(side * 10 / shown), side // 2] == pytest.approx(1.0, abs=0.02)  # middle of the first of four rows
    assert light[int(side * 50 / shown) :, side // 4 : -side // 4].max() < 0.3


def test_print_on_a_card_is_not_shown() -> None:
    scan = disc_scan()
    assert scan.scale is not None
    card = np.array([(200.0, 150.0), (600, 150), (600, 450), (200, 450)])
    picture = close_up(replace(scan, scale=replace(scan.scale, private_px=(card,))), 1, 300, contour=False)
    assert (picture[:100] == GREY).all()


def test_an_unknown_number_is_said() -> None:
    with pytest.raises(UsageError):
        close_up(disc_scan(), 2)
